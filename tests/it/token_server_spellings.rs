//! A Token Server type is one code in every spelling that the product and its documents use.
use chancery::proto::v1::{EventFamily, Outcome};

use crate::harness::{
    KINDS, TestStore, block_on,
    events::token,
    log::{judged, stored},
    server::Server,
    types,
};

const MISPRINT: &str = "TOKEN_REQUEST_FINGER_PRINT_ REFRESH_TOKEN_RETRY_COUNT_EXCEEDED";
const REPAIRED: &str = "TOKEN_REQUEST_FINGER_PRINT_REFRESH_TOKEN_RETRY_COUNT_EXCEEDED";

#[test]
fn three_spellings_and_the_misprint_are_one_code() {
    let spellings = [
        ("CONSENT_GIVEN", "CONSENT_GIVEN"),
        ("CONSENT GIVEN", "CONSENT_GIVEN"),
        ("Consent given", "CONSENT_GIVEN"),
        (" consent__given ", "CONSENT_GIVEN"),
        (MISPRINT, REPAIRED),
        (REPAIRED, REPAIRED),
        ("Token request finger print refresh token retry count exceeded", REPAIRED),
    ];
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let events = spellings.map(|(spelling, _)| token(spelling)).to_vec();
            let read = stored(&mut server.audit().await, events).await;
            for (event, (spelling, code)) in read.iter().zip(spellings) {
                assert_eq!((event.code.as_str(), event.name.as_str()), (code, code), "{spelling:?}");
                assert!(event.warnings.is_empty(), "{spelling:?}: {:?}", event.warnings);
                assert_ne!(event.outcome(), Outcome::Unspecified);
                let source = serde_json::to_value(event.source.as_ref().expect("a source")).expect("JSON");
                assert_eq!(
                    source["tokenServer"]["type"], spelling,
                    "the source keeps the product's spelling"
                );
            }
        });
    }
}

#[test]
fn the_misprint_is_another_event_than_its_neighbour() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let events = vec![token(MISPRINT), token("TOKEN_REQUEST_REFRESH_TOKEN_RETRY_COUNT_EXCEEDED")];
        let read = stored(&mut server.audit().await, events).await;
        assert_ne!(read[0].code, read[1].code);
    });
}

#[test]
fn every_type_is_accepted_in_every_spelling() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let all = types::all(&mut server.catalog().await, &[EventFamily::TokenServer], 1000).await;
        let mut spelled = Vec::new();
        for each in &all {
            let blanks = each.code.replace('_', " ");
            let (first, rest) = blanks.split_at(1);
            spelled.push((each.code.clone(), blanks.clone()));
            spelled.push((each.code.clone(), format!("{first}{}", rest.to_lowercase())));
        }
        let events = spelled.iter().map(|(_, spelling)| token(spelling)).collect();
        let read = stored(&mut server.audit().await, events).await;
        for (event, (code, spelling)) in read.iter().zip(&spelled) {
            assert_eq!(&event.code, code, "{spelling:?}");
        }
    });
}

/// Letters and digits must agree; only case, blanks and underscores may differ.
#[test]
fn a_spelling_without_its_word_breaks_is_unknown() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        for wrong in ["CONSENTGIVEN", "CONSENT-GIVEN", "CONSENT_GIVEN2"] {
            let result = judged(&mut server.audit().await, token(wrong)).await;
            let error = result.error.expect("an error").message;
            assert!(error.contains("nearest: CONSENT_GIVEN"), "{wrong}: {error}");
        }
    });
}
