//! PER_EVENT: every event of a batch is judged for itself; what the catalog refuses is kept in
//! quarantine, what is malformed nowhere.
use chancery::proto::v1::{
    AppendResult::{self, Accepted, Conflict, Duplicate, Quarantined, Rejected},
    CmsAuditEvent, NewEvent,
    new_event::Family,
};
use prost::Message as _;
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, everything, from_producer, per_event, results},
    database::Database,
    events,
    metrics::conserved,
    server::Server,
};

#[test]
fn one_batch_meets_every_fate() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let (first, second) = (events::hold("first"), events::hold("second"));
            accept(&mut audit, atomic(vec![first.clone(), second.clone()])).await;
            let other_content = NewEvent { correlation_id: "other".to_owned(), ..second };
            let unknown = events::token("NO_SUCH_TYPE");
            let malformed = NewEvent { occurred_at: None, ..events::hold("malformed") };
            let (third, fourth) = (events::hold("third"), events::hold("fourth"));
            let batch = vec![third, unknown.clone(), first, malformed.clone(), other_content, fourth];
            let answer = append(&mut audit, per_event(batch)).await;
            let fates = [Accepted, Quarantined, Duplicate, Rejected, Conflict, Accepted];
            assert_eq!(results(&answer), fates);
            let positions: Vec<_> = answer.results.iter().map(|result| result.position).collect();
            assert_eq!(positions, [Some(2), None, Some(0), None, None, Some(3)]);
            assert_eq!(answer.tree_size, 4);
            for (at, result) in answer.results.iter().enumerate() {
                assert_eq!(result.index as usize, at);
                assert!(!result.retryable, "every fate here is final: {result:?}");
                let stored = matches!(result.result(), Accepted | Duplicate);
                assert_eq!(result.leaf_hash.len(), if stored { 32 } else { 0 });
                assert_eq!(result.error.is_none(), stored);
            }
            for (at, code, reason, field) in [
                (1, Code::InvalidArgument, "UNKNOWN_EVENT_CODE", "events[1].token_server.type"),
                (3, Code::InvalidArgument, "MALFORMED_EVENT", "events[3].occurred_at"),
                (4, Code::AlreadyExists, "EVENT_ID_REUSED", "events[4].event_id"),
            ] {
                let refusal = Refusal::of_event(&answer.results[at]);
                assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason));
                assert_eq!(refusal.fields(), [field]);
            }
            let devices: Vec<_> =
                everything(&mut audit, "").await.into_iter().map(|event| event.device).collect();
            assert_eq!(devices, ["first", "second", "third", "fourth"]);
            let mut database = Database::open(&store).await;
            let submitted = database.bytes("SELECT submitted FROM quarantine").await;
            assert_eq!(submitted.len(), 1, "the rejected one is nowhere");
            assert_eq!(NewEvent::decode(submitted[0].as_slice()).expect("a NewEvent"), unknown);
            conserved(&server).await;
        });
    }
}

#[test]
fn a_quarantined_event_is_kept_once_and_without_its_secrets() {
    let challenge = |severity| {
        events::event(Family::CmsAudit(CmsAuditEvent {
            code: "20011".to_owned(),
            severity,
            client_id: Some("device-1".to_owned()),
            char2: Some("SECRET-CHALLENGE".to_owned()),
            ..CmsAuditEvent::default()
        }))
    };
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            // Severity 500 is none of this code's.
            let event = challenge(500);
            for batch in [vec![event.clone()], vec![event.clone()], vec![event.clone(), event.clone()]] {
                let answer = append(&mut audit, per_event(batch)).await;
                assert!(answer.results.iter().all(|result| result.result() == Quarantined));
                assert_eq!(answer.tree_size, 0);
            }
            let mut database = Database::open(&store).await;
            let submitted = database.bytes("SELECT submitted FROM quarantine").await;
            assert_eq!(submitted.len(), 1, "sent four times, kept once");
            let kept = NewEvent::decode(submitted[0].as_slice()).expect("a NewEvent");
            assert_eq!(kept.event_id, event.event_id);
            let Some(Family::CmsAudit(kept)) = kept.family else { panic!("another family") };
            assert_eq!(kept.char2.as_deref(), Some(""), "that the field was there is kept, its value is not");
            assert_eq!(kept.client_id.as_deref(), Some("device-1"));
            assert_eq!(database.texts("SELECT reason FROM quarantine").await, ["CATALOG_VIOLATION"]);
            assert_eq!(database.texts("SELECT producer FROM quarantine").await, ["anonymous"]);
            let described = database.texts("SELECT description FROM quarantine").await;
            assert!(described[0].contains("cms_audit.severity"), "{described:?}");
            // The same event of another producer, and another content, are kept for themselves.
            let other = NewEvent { correlation_id: "other".to_owned(), ..event.clone() };
            append(&mut audit, per_event(vec![other])).await;
            append(&mut audit, from_producer("shim-2", per_event(vec![event]))).await;
            assert_eq!(database.rows("quarantine").await, 3);
            assert_eq!(database.rows("events").await + database.rows("event_keys").await, 0);
            conserved(&server).await;
        });
    }
}

#[test]
fn a_batch_of_bad_events_only_is_answered() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("device-1")])).await;
            let malformed = || NewEvent { family: None, ..events::hold("malformed") };
            let answer = append(&mut audit, per_event(vec![malformed(), malformed()])).await;
            assert_eq!(results(&answer), [AppendResult::Rejected; 2]);
            assert_eq!(answer.tree_size, 1);
            let unknown = (0..1000).map(|_| events::token("NO_SUCH_TYPE")).collect();
            let answer = append(&mut audit, per_event(unknown)).await;
            assert_eq!(results(&answer), [AppendResult::Quarantined; 1000]);
            assert_eq!(answer.tree_size, 1);
            assert_eq!(Database::open(&store).await.rows("quarantine").await, 1000);
            conserved(&server).await;
        });
    }
}
