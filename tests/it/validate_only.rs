//! validate_only runs every check, duplicates included, and stores nothing.
use chancery::proto::v1::{
    AppendRequest,
    AppendResult::{Accepted, Conflict, Duplicate, Quarantined, Rejected},
    CmsAuditEvent, NewEvent,
    new_event::Family,
};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, append, atomic, everything, per_event, refuse, results},
    database::{Database, assert_empty},
    events,
    metrics::conserved,
    server::Server,
};

fn dry(request: AppendRequest) -> AppendRequest {
    AppendRequest { validate_only: true, ..request }
}

#[test]
fn good_events_are_accepted_without_a_place() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let unlisted = events::event(Family::CmsAudit(CmsAuditEvent {
                code: "20018".to_owned(),
                severity: 100,
                char2: Some("FROZEN".to_owned()),
                ..CmsAuditEvent::default()
            }));
            let batch = vec![events::hold("device-1"), unlisted];
            for request in [atomic(batch.clone()), per_event(batch)] {
                for _ in 0..2 {
                    let answer = append(&mut audit, dry(request.clone())).await;
                    assert_eq!(results(&answer), [Accepted, Accepted]);
                    assert!(answer.results.iter().all(|each| each.position.is_none()));
                    assert!(answer.results.iter().all(|each| each.leaf_hash.is_empty()));
                    assert_eq!(answer.results[1].warnings[0].reason, "VALUE_NOT_LISTED");
                    assert_eq!(answer.tree_size, 0);
                }
            }
            assert!(everything(&mut audit, "").await.is_empty());
            assert_empty(&store).await;
            assert_eq!(Database::open(&store).await.rows("log_head").await, 0, "not even a log is made");
            conserved(&server).await;
        });
    }
}

#[test]
fn every_fate_is_foretold() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let stored = events::hold("stored");
            accept(&mut audit, atomic(vec![stored.clone()])).await;
            let other = NewEvent { correlation_id: "other".to_owned(), ..stored.clone() };
            let (fresh, unknown) = (events::hold("fresh"), events::token("NO_SUCH_TYPE"));
            let malformed = NewEvent { occurred_at: None, ..events::hold("malformed") };
            let batch = vec![stored, other.clone(), fresh.clone(), fresh.clone(), unknown.clone(), malformed];
            let answer = append(&mut audit, dry(per_event(batch))).await;
            let fates = [Duplicate, Conflict, Accepted, Duplicate, Quarantined, Rejected];
            assert_eq!(results(&answer), fates);
            assert!(answer.results.iter().all(|each| each.position.is_none() && each.leaf_hash.is_empty()));
            let conflict = refuse(&mut audit, dry(atomic(vec![fresh.clone(), other]))).await;
            assert_eq!((conflict.code, conflict.reason.as_str()), (Code::AlreadyExists, "EVENT_ID_REUSED"));
            assert_eq!(conflict.fields(), ["events[1].event_id"]);
            let refused = refuse(&mut audit, dry(atomic(vec![fresh.clone(), unknown]))).await;
            assert_eq!(
                (refused.code, refused.reason.as_str()),
                (Code::InvalidArgument, "UNKNOWN_EVENT_CODE")
            );
            assert_eq!(refuse(&mut audit, dry(atomic(Vec::new()))).await.reason, "EMPTY_BATCH");
            assert_eq!(everything(&mut audit, "").await.len(), 1);
            assert_eq!(Database::open(&store).await.rows("quarantine").await, 0);
            // Nothing of it was remembered.
            assert_eq!(accept(&mut audit, atomic(vec![fresh])).await, [1]);
            conserved(&server).await;
        });
    }
}
