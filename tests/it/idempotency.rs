//! (producer, event id) is stored at most once per log: a retry answers the first position with OK,
//! other content under the same id is refused.
use chancery::proto::v1::{
    AppendRequest,
    AppendResult::{Accepted, Conflict, Duplicate},
    NewEvent,
};
use tonic::Code;
use uuid::Uuid;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, everything, from_producer, per_event, refuse, results},
    database::Database,
    events,
    server::Server,
};

fn changed(event: &NewEvent) -> NewEvent {
    NewEvent { correlation_id: "changed".to_owned(), ..event.clone() }
}

#[test]
fn a_retry_answers_the_first_position_also_after_a_restart() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let batch: Vec<_> = (0..20).map(|number| events::hold(&format!("device-{number}"))).collect();
        let mut first = Vec::new();
        for restart in 0..2 {
            let server = Server::start(&store);
            block_on(async {
                let mut audit = server.audit().await;
                for attempt in 0..2 {
                    let answer = append(&mut audit, atomic(batch.clone())).await;
                    let fate = if restart + attempt == 0 { Accepted } else { Duplicate };
                    assert_eq!(results(&answer), [fate; 20]);
                    assert_eq!(answer.tree_size, 20);
                    let places: Vec<_> =
                        answer.results.into_iter().map(|each| (each.position, each.leaf_hash)).collect();
                    if first.is_empty() {
                        first = places;
                    } else {
                        assert_eq!(places, first);
                    }
                }
                let answer = append(&mut audit, per_event(batch.clone())).await;
                assert_eq!(results(&answer), [Duplicate; 20]);
                let stored = everything(&mut audit, "").await;
                let stored: Vec<_> = stored.into_iter().map(|each| (each.position, each.leaf_hash)).collect();
                assert_eq!(stored, first);
            });
        }
    }
}

#[test]
fn new_events_beside_duplicates_take_the_next_positions() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let old: Vec<_> = (0..3).map(|_| events::hold("old")).collect();
            accept(&mut audit, atomic(old.clone())).await;
            let batch = vec![events::hold("new"), old[2].clone(), events::hold("new"), old[0].clone()];
            let answer = append(&mut audit, atomic(batch)).await;
            assert_eq!(results(&answer), [Accepted, Duplicate, Accepted, Duplicate]);
            let positions: Vec<_> = answer.results.iter().map(|result| result.position).collect();
            assert_eq!(positions, [Some(3), Some(2), Some(4), Some(0)]);
            assert_eq!(answer.tree_size, 5);
        });
    }
}

#[test]
fn other_content_under_a_known_id_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let event = events::hold("device-1");
            accept(&mut audit, atomic(vec![events::hold("device-0"), event.clone()])).await;
            let batch = || vec![events::hold("device-2"), changed(&event), events::hold("device-3")];
            let refusal = refuse(&mut audit, atomic(batch())).await;
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "EVENT_ID_REUSED"));
            assert_eq!(refusal.fields(), ["events[1].event_id"]);
            assert_eq!(refusal.metadata["stored_position"], "1");
            assert_eq!(everything(&mut audit, "").await.len(), 2, "nothing of the batch is stored");
            assert_eq!(Database::open(&store).await.rows("event_keys").await, 2);
            let answer = append(&mut audit, per_event(batch())).await;
            assert_eq!(results(&answer), [Accepted, Conflict, Accepted]);
            let refusal = Refusal::of_event(&answer.results[1]);
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "EVENT_ID_REUSED"));
            let stored = everything(&mut audit, "").await;
            assert_eq!(stored[1].correlation_id, "", "the first content stays");
            assert_eq!(stored.len(), 4);
        });
    }
}

#[test]
fn the_same_id_within_one_batch() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let event = events::hold("device-1");
            let answer =
                append(&mut audit, atomic(vec![event.clone(), events::hold("x"), event.clone()])).await;
            assert_eq!(results(&answer), [Accepted, Accepted, Duplicate]);
            assert_eq!(answer.results[2].position, answer.results[0].position);
            assert_eq!(answer.results[2].leaf_hash, answer.results[0].leaf_hash);
            assert_eq!(answer.tree_size, 2);
            let fresh = events::hold("device-2");
            let refusal = refuse(&mut audit, atomic(vec![fresh.clone(), changed(&fresh)])).await;
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "EVENT_ID_REUSED"));
            assert_eq!(refusal.fields(), ["events[1].event_id"]);
            assert_eq!(everything(&mut audit, "").await.len(), 2);
            let answer = append(&mut audit, per_event(vec![fresh.clone(), changed(&fresh), fresh])).await;
            assert_eq!(results(&answer), [Accepted, Conflict, Duplicate]);
        });
    }
}

#[test]
fn another_producer_or_log_or_spelling() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let event = events::hold("device-1");
            let batch = || atomic(vec![event.clone()]);
            assert_eq!(accept(&mut audit, batch()).await, [0]);
            assert_eq!(accept(&mut audit, from_producer("shim-1", batch())).await, [1]);
            assert_eq!(accept(&mut audit, from_producer("SHIM-1", batch())).await, [2]);
            let elsewhere = AppendRequest { log: "other".to_owned(), ..batch() };
            assert_eq!(accept(&mut audit, elsewhere).await, [0]);
            let again = append(&mut audit, from_producer("shim-1", batch())).await;
            assert_eq!((results(&again), again.results[0].position), (vec![Duplicate], Some(1)));
            let named = append(&mut audit, from_producer("anonymous", batch())).await;
            assert_eq!(named.results[0].position, Some(0), "a caller without a name is anonymous");
            let producers: Vec<_> =
                everything(&mut audit, "").await.into_iter().map(|e| e.producer).collect();
            assert_eq!(producers, ["anonymous", "shim-1", "SHIM-1"]);
            // A UUID is the same in every spelling of its digits.
            let upper = NewEvent { event_id: event.event_id.to_uppercase(), ..event.clone() };
            let answer = append(&mut audit, atomic(vec![upper])).await;
            assert_eq!((results(&answer), answer.results[0].position), (vec![Duplicate], Some(0)));
            assert_eq!(answer.results[0].event_id, event.event_id);
        });
    }
}

#[test]
fn an_event_without_an_id_gets_a_uuid_of_version_7_and_is_never_a_duplicate() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let event = NewEvent { event_id: String::new(), ..events::hold("device-1") };
            let answer = append(&mut audit, atomic(vec![event.clone(), event.clone()])).await;
            assert_eq!(results(&answer), [Accepted, Accepted]);
            assert_eq!(accept(&mut audit, atomic(vec![event])).await, [2]);
            let stored = everything(&mut audit, "").await;
            assert_eq!(stored[0].event_id, answer.results[0].event_id);
            let mut ids: Vec<_> = stored.iter().map(|event| event.event_id.clone()).collect();
            assert!(ids.iter().all(|id| Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 7)));
            ids.dedup();
            assert_eq!(ids.len(), 3);
        });
    }
}
