//! ATOMIC: all events of a batch are stored, or none and the call says which one was at fault.
use chancery::proto::v1::{AppendRequest, NewEvent};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{append, atomic, everything, refuse},
    database::assert_empty,
    events,
    metrics::conserved,
    server::Server,
};

fn holds(count: usize) -> Vec<NewEvent> {
    (0..count).map(|number| events::hold(&format!("device-{number}"))).collect()
}

#[test]
fn one_bad_event_refuses_the_whole_batch() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for at in [0, 1, 4] {
                let mut batch = holds(5);
                batch[at] = events::token("NO_SUCH_TYPE");
                let refusal = refuse(&mut audit, atomic(batch)).await;
                assert_eq!(refusal.code, Code::InvalidArgument);
                assert_eq!(refusal.reason, "UNKNOWN_EVENT_CODE");
                assert_eq!(refusal.fields(), [format!("events[{at}].token_server.type")]);
                assert_eq!(refusal.metadata["refused_events"], "1");
                assert_eq!(refusal.metadata["first_index"], at.to_string());
                assert!(refusal.message.contains(&format!("events[{at}]")), "{}", refusal.message);
                assert!(everything(&mut audit, "").await.is_empty());
            }
            assert_empty(&store).await;
            conserved(&server).await;
        });
    }
}

#[test]
fn every_bad_event_is_named() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut batch = holds(4);
            batch[1].family = None;
            batch[3] = events::token("NO_SUCH_TYPE");
            let refusal = refuse(&mut audit, atomic(batch)).await;
            assert_eq!(refusal.reason, "MALFORMED_EVENT", "the reason is that of the first");
            assert_eq!(refusal.fields(), ["events[1].family", "events[3].token_server.type"]);
            assert_eq!(refusal.metadata["refused_events"], "2");
            assert_empty(&store).await;
            conserved(&server).await;
        });
    }
}

#[test]
fn positions_are_dense_and_in_the_order_of_the_request() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut sent = Vec::new();
            for count in [1, 7, 300, 1000, 2] {
                let batch = holds(count);
                let ids: Vec<_> = batch.iter().map(|event| event.event_id.clone()).collect();
                // The mode that is not set is ATOMIC.
                let answer = append(&mut audit, AppendRequest { mode: 0, ..atomic(batch) }).await;
                for (at, result) in answer.results.iter().enumerate() {
                    assert_eq!(result.index as usize, at);
                    assert_eq!(result.event_id, ids[at]);
                    assert_eq!(result.position, Some((sent.len() + at) as u64));
                    assert!(result.error.is_none() && !result.retryable, "{result:?}");
                }
                sent.extend(answer.results.into_iter().map(|result| (result.event_id, result.leaf_hash)));
                assert_eq!(
                    sent.iter().skip(sent.len() - count).map(|each| each.0.clone()).collect::<Vec<_>>(),
                    ids
                );
                assert_eq!(answer.tree_size, sent.len() as u64);
            }
            let stored = everything(&mut audit, "").await;
            let read: Vec<_> = stored.into_iter().map(|event| (event.event_id, event.leaf_hash)).collect();
            assert_eq!(read, sent);
            assert!(read.iter().all(|(_, leaf_hash)| leaf_hash.len() == 32));
            conserved(&server).await;
        });
    }
}
