//! Whatever field a name stands in, it is found and goes; and nothing else does.
use chancery::proto::v1::{AsAuditEvent, CmsAuditEvent, NewEvent, new_event::Family};

use super::{OTHER, PERSON, consent, erase, moved, request, stored};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic, everything},
    database::Database,
    events,
    server::Server,
};

/// Somebody acted under two names, of which the column has the first.
fn two_names(reference: &str, user: &str) -> NewEvent {
    events::event(Family::AsAudit(AsAuditEvent {
        action: "logout".to_owned(),
        direct_external_reference: Some(reference.to_owned()),
        user_id: Some(user.to_owned()),
        ..AsAuditEvent::default()
    }))
}

/// A code that no catalog has, so that no field has a meaning.
fn unknown(by: &str) -> NewEvent {
    events::event(Family::CmsAudit(CmsAuditEvent {
        code: "99999".to_owned(),
        severity: 100,
        operator_id: Some(by.to_owned()),
        char1: Some("kept".to_owned()),
        ..CmsAuditEvent::default()
    }))
}

/// Parameters in JSON with letters as numbers, one of them under a key that the catalog does not have.
fn escaped(key: &str) -> NewEvent {
    let name: String = PERSON.chars().map(|each| format!("\\u{:04x}", u32::from(each))).collect();
    events::event(Family::AsAudit(AsAuditEvent {
        raw_parameters: format!(
            r#"{{"GRC":"USG_OLD","USN":"{OTHER}","{key}":"{name}","Action":"moveUserSubGroup"}}"#
        ),
        ..AsAuditEvent::default()
    }))
}

#[test]
fn a_name_goes_from_every_field() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start_with(&store, &["--accept-unknown", "cms_audit"]);
        block_on(async {
            let mut audit = server.audit().await;
            let longer = format!("{PERSON}son");
            let sent = vec![
                two_names("ann", PERSON),
                unknown(PERSON),
                consent(OTHER, "198.51.100.1", "agent/1", PERSON),
                escaped("XYZ"),
                // A part of a longer word, and a word of a longer text, are not their name.
                consent(&longer, "198.51.100.1", "agent/1", "+31-1"),
                moved(OTHER, &format!("CN={PERSON},O=x")),
            ];
            accept(&mut audit, atomic(sent)).await;
            let before = stored(&store).await;
            let dry = super::EraseSubjectRequest { dry_run: true, ..request("") };
            let dry = super::admin(&server).await.erase_subject(dry).await.expect("a count").into_inner();
            let answer = erase(&server, &request(&events::fresh_id())).await;
            assert_eq!((answer.events_erased, answer.not_erasable), (4, 0), "{kind:?}");
            assert_eq!((dry.events_erased, dry.values_erased), (4, answer.values_erased), "{kind:?}");
            let after = stored(&store).await;
            let changed: Vec<_> = (0..6).filter(|at| before[*at] != after[*at]).collect();
            assert_eq!(changed, [0, 1, 2, 3], "{kind:?}");
            let read = everything(&mut audit, "").await;
            for event in &read[..4] {
                let text = format!("{event:?}");
                assert!(!text.contains(PERSON) && !text.contains("u0051"), "{text}");
            }
            // Only what is their name.
            assert_eq!(read[0].actor, "ann");
            assert!(read[1].attributes.iter().any(|each| each.value == "kept"), "{:?}", read[1]);
            let left = read[2].attributes.iter().filter(|each| each.erased).count();
            assert_eq!((read[2].subject.as_str(), left), (OTHER, 1), "{:?}", read[2]);
            assert_eq!(read[3].subject, OTHER);
        });
    }
}

/// A quarantine that cannot be read does not hold up an erasure, and is not told to be empty.
#[test]
fn a_quarantine_that_cannot_be_read_is_not_counted() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(super::mixed())).await;
            let mut database = Database::open(&store).await;
            database.run("ALTER TABLE quarantine RENAME TO elsewhere").await;
            let answer = erase(&server, &request(&events::fresh_id())).await;
            assert_eq!((answer.events_erased, answer.quarantined_mentions), (5, None), "{kind:?}");
        });
    }
}
