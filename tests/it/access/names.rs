//! A caller is who its credential says, and a producer sends what its line allows.
use chancery::proto::v1::{AppendRequest, AppendResult, NewEvent};
use tonic::{Code, Request};

use crate::harness::{
    KINDS, Kind, TestStore,
    access::{self, by},
    block_on,
    calls::{Refusal, accept, append, atomic, everything, per_event, refuse, results},
    database::assert_empty,
    events,
    stream::Stream,
};

const ACCESS: &str = "
[producer.cards]
logs = [\"main\"]
families = [\"cms_audit\"]
[producer.open]
logs = [\"*\"]
families = [\"*\"]
";

fn mixed() -> Vec<NewEvent> {
    vec![events::hold("device-1"), events::token("CONSENT_GIVEN"), events::hold("device-2")]
}

#[test]
fn a_producer_of_one_family_sends_no_other() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = access::server(&store, &access::file(ACCESS, &["cards", "open"]), "");
        block_on(async {
            let mut audit = server.audit().await;
            // Whole or not at all.
            for dry in [true, false] {
                let request = AppendRequest { validate_only: dry, ..atomic(mixed()) };
                let refusal = refuse(&mut audit, by("cards", request)).await;
                assert_eq!(
                    (refusal.code, refusal.reason.as_str()),
                    (Code::PermissionDenied, "FAMILY_NOT_ALLOWED")
                );
                assert_eq!(refusal.fields(), ["events[1].token_server"]);
            }
            assert_empty(&store).await;
            let refused = [AppendResult::Accepted, AppendResult::Rejected, AppendResult::Accepted];
            let answer = append(&mut audit, by("cards", per_event(mixed()))).await;
            assert_eq!(results(&answer), refused);
            let refusal = Refusal::of_event(&answer.results[1]);
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::PermissionDenied, "FAMILY_NOT_ALLOWED")
            );
            let mut stream =
                Stream::with(&mut audit, |batches| by("cards", batches)).await.expect("a stream");
            stream.answer().await.settings.expect("settings");
            stream.send(1, mixed()).await;
            let acked = loop {
                let answer = stream.answer().await;
                if answer.acked_through == 1 {
                    break answer;
                }
            };
            // Those that are no plain success have a line.
            let refusals: Vec<_> =
                acked.results.iter().filter(|each| each.result() == AppendResult::Rejected).collect();
            assert_eq!(refusals.len(), 1, "{acked:?}");
            assert_eq!(Refusal::of_event(refusals[0]).reason, "FAMILY_NOT_ALLOWED");
            accept(&mut audit, by("open", atomic(mixed()))).await;
        });
    }
}

#[test]
fn the_credential_is_the_name_whatever_the_header_says() {
    let store = TestStore::new(Kind::Sqlite);
    let reader = "[reader.open]\nlogs = [\"main\"]\nfamilies = [\"*\"]\npersonal = true\n";
    let server = access::server(&store, &access::file(&(ACCESS.to_owned() + reader), &["cards", "open"]), "");
    block_on(async {
        let mut audit = server.audit().await;
        let named = |name: &str, message: AppendRequest| {
            let mut request = by("cards", message);
            request.metadata_mut().insert("x-chancery-producer", name.parse().expect("a header value"));
            request
        };
        let one = || atomic(vec![events::hold("device-1")]);
        let refusal = refuse(&mut audit, named("open", one())).await;
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Unauthenticated, "PRODUCER_NOT_CREDENTIAL")
        );
        assert!(!refusal.message.contains("cards"), "{refusal:?}");
        // The right name says nothing new.
        accept(&mut audit, named("cards", one())).await;
        let refusal = refuse(&mut audit, named("no name", one())).await;
        assert_eq!(refusal.reason, "INVALID_PRODUCER");
        // Without a credential a name is nothing.
        let mut request = Request::new(one());
        request.metadata_mut().insert("x-chancery-producer", "cards".parse().expect("a header value"));
        let refusal = refuse(&mut audit, request).await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unauthenticated, "NO_CREDENTIAL"));
        // Two of them: which one counts would be for each reader of headers to decide.
        let mut request = by("cards", one());
        let more = format!("Bearer {}", access::token("open")).parse().expect("a header value");
        request.metadata_mut().append("authorization", more);
        let refusal = refuse(&mut audit, request).await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unauthenticated, "CREDENTIAL_REFUSED"));
        for other in ["Basic Y2FyZHM6eA==", "Bearer", "Bearer ", "bearer\tx", &access::token("cards")] {
            let mut request = Request::new(one());
            request.metadata_mut().insert("authorization", other.parse().expect("a header value"));
            let refusal = refuse(&mut audit, request).await;
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::Unauthenticated, "CREDENTIAL_REFUSED"),
                "{other}"
            );
        }
        let mut all = server.audit().await;
        let request = by("open", chancery::proto::v1::QueryRequest::default());
        let read = crate::harness::calls::query(&mut all, request).await;
        assert!(read.events.iter().all(|event| event.producer == "cards"), "{:?}", read.events);
        assert_eq!(read.events.len(), 1);
    });
}

/// Without an access file a token is nothing that the server could look up.
#[test]
fn a_token_is_refused_where_there_is_no_access_file() {
    let store = TestStore::new(Kind::Sqlite);
    let server = crate::harness::server::Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        let refusal = refuse(&mut audit, by("cards", atomic(vec![events::hold("device-1")]))).await;
        assert_eq!(refusal.reason, "CREDENTIAL_REFUSED");
        assert_eq!(everything(&mut audit, "").await.len(), 0);
    });
}
