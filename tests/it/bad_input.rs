//! Bad input is refused with a status, a reason and the field at fault, and is not stored.
mod cases;

use cases::Case;
use chancery::proto::v1::{self, AppendResult, NewEvent, new_event::Family};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, append, atomic, everything, from_producer, per_event, refuse},
    database::{Database, assert_empty},
    events,
    server::Server,
};

fn all_cases() -> Vec<Case> {
    cases::refused_by_the_catalog().into_iter().chain(cases::malformed()).collect()
}

/// Checks reason, field path and words of a refusal of the event at `index`.
fn check(case: &Case, index: usize, refusal: &Refusal) {
    let name = case.name;
    assert_eq!(refusal.code, Code::InvalidArgument, "{name}");
    assert_eq!(refusal.reason, case.reason, "{name}: {refusal:?}");
    let (field, description) = refusal.violations.first().unwrap_or_else(|| panic!("{name}: {refusal:?}"));
    assert_eq!(*field, format!("events[{index}].{}", case.field), "{name}");
    assert!(description.contains(case.says), "{name}: {description:?} does not say {:?}", case.says);
    if case.reason == "UNKNOWN_EVENT_CODE" {
        assert!(refusal.metadata.get("nearest").is_some_and(|nearest| !nearest.is_empty()), "{refusal:?}");
    }
}

#[test]
fn atomic_refuses_the_call_and_stores_nothing() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for case in all_cases() {
                let batch = atomic(vec![events::hold("good"), case.event.clone()]);
                check(&case, 1, &refuse(&mut audit, batch).await);
            }
            assert!(everything(&mut audit, "").await.is_empty());
            assert_empty(&store).await;
        });
    }
}

#[test]
fn per_event_keeps_what_a_newer_catalog_could_accept_and_rejects_the_rest() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let cases = all_cases();
            for case in &cases {
                let batch = per_event(vec![case.event.clone(), events::hold("good")]);
                let answer = append(&mut audit, batch).await;
                let bad = &answer.results[0];
                let fate = if case.kept { AppendResult::Quarantined } else { AppendResult::Rejected };
                assert_eq!(bad.result(), fate, "{}", case.name);
                assert!(!bad.retryable && bad.position.is_none() && bad.leaf_hash.is_empty(), "{bad:?}");
                check(case, 0, &Refusal::of_event(bad));
                assert_eq!(answer.results[1].result(), AppendResult::Accepted, "{}", case.name);
            }
            // Only the good ones are events; only the kept ones are in quarantine.
            let stored = everything(&mut audit, "").await;
            assert_eq!(stored.len(), cases.len());
            assert!(stored.iter().all(|event| event.device == "good"));
            let mut database = Database::open(&store).await;
            let kept = cases.iter().filter(|case| case.kept).count();
            assert_eq!(database.rows("quarantine").await, i64::try_from(kept).expect("a few"));
        });
    }
}

#[test]
fn what_is_wrong_with_the_request_itself_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let good = || vec![events::hold("device-1")];
            let empty = refuse(&mut audit, atomic(Vec::new())).await;
            assert_eq!((empty.code, empty.reason.as_str()), (Code::InvalidArgument, "EMPTY_BATCH"));
            assert_eq!(empty.fields(), ["events"]);
            for log in ["Main", "-main", ".", "a b", "ä", &"l".repeat(65), "log\n", "a/b"] {
                let request = v1::AppendRequest { log: log.to_owned(), ..atomic(good()) };
                let refusal = refuse(&mut audit, request).await;
                assert_eq!(refusal.code, Code::InvalidArgument, "{log:?}");
                assert_eq!(
                    (refusal.reason.as_str(), refusal.fields()),
                    ("INVALID_LOG", vec!["log"]),
                    "{log:?}"
                );
                let query = v1::QueryRequest { log: log.to_owned(), ..v1::QueryRequest::default() };
                let status = audit.query(query).await.expect_err("a refused query");
                assert_eq!(Refusal::of(&status).reason, "INVALID_LOG", "{log:?}");
            }
            let request = v1::AppendRequest { mode: 3, ..atomic(good()) };
            let refusal = refuse(&mut audit, request).await;
            assert_eq!(refusal.code, Code::InvalidArgument);
            assert_eq!((refusal.reason.as_str(), refusal.fields()), ("INVALID_MODE", vec!["mode"]));
            for producer in ["", "two words", "semi;colon", &"p".repeat(129)] {
                let refusal = refuse(&mut audit, from_producer(producer, atomic(good()))).await;
                assert_eq!(refusal.code, Code::InvalidArgument, "{producer:?}");
                assert_eq!(refusal.reason, "INVALID_PRODUCER", "{producer:?}");
                assert_eq!(refusal.fields(), ["x-chancery-producer"], "{producer:?}");
            }
            assert_empty(&store).await;
        });
    }
}

#[test]
fn what_the_documents_do_not_say_is_accepted_with_a_warning() {
    let cms = |change: &dyn Fn(&mut v1::CmsAuditEvent)| -> NewEvent {
        let mut event = v1::CmsAuditEvent {
            code: "20018".to_owned(),
            severity: 100,
            char1: Some("OP_2.0".to_owned()),
            char2: Some("ON_HOLD".to_owned()),
            ..v1::CmsAuditEvent::default()
        };
        change(&mut event);
        events::event(Family::CmsAudit(event))
    };
    let parameter = v1::AsParameter { code: "XYZ".to_owned(), value: "new".to_owned() };
    let record = v1::AsAuditEvent {
        action: "createUser".to_owned(),
        parameters: vec![parameter],
        ..v1::AsAuditEvent::default()
    };
    let cases = [
        (cms(&|event| event.char2 = Some("FROZEN".to_owned())), "VALUE_NOT_LISTED", "cms_audit.char2"),
        (cms(&|event| event.num1 = Some(9)), "FIELD_NOT_DOCUMENTED", "cms_audit.num1"),
        (
            cms(&|event| event.error_message = Some("oh".to_owned())),
            "FIELD_NOT_DOCUMENTED",
            "cms_audit.error_message",
        ),
        (cms(&|event| event.description = "Suspend".to_owned()), "NAME_DIFFERS", "cms_audit.description"),
        (events::event(Family::AsAudit(record)), "UNKNOWN_KEY", "as_audit.parameters[0].value"),
    ];
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let answer = append(&mut audit, atomic(cases.iter().map(|case| case.0.clone()).collect())).await;
            let stored = everything(&mut audit, "").await;
            for ((result, event), (_, reason, field)) in answer.results.iter().zip(&stored).zip(&cases) {
                assert_eq!(result.result(), AppendResult::Accepted);
                let named: Vec<_> =
                    result.warnings.iter().map(|each| (each.reason.as_str(), each.field.as_str())).collect();
                assert_eq!(named, [(*reason, *field)]);
                assert_eq!(event.warnings, result.warnings, "a warning is stored with its event");
            }
            // 0, null, empty and absent are one thing in an unused field.
            for unused in
                [cms(&|event| event.num1 = Some(0)), cms(&|event| event.error_message = Some("null".into()))]
            {
                let answer = append(&mut audit, atomic(vec![unused])).await;
                assert!(answer.results[0].warnings.is_empty(), "{:?}", answer.results[0]);
            }
        });
    }
}
