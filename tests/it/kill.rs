//! SIGKILL during writes loses no acked event, doubles none and moves none.
use std::collections::HashMap;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{append, atomic, everything},
    metrics::conserved,
    server::Server,
    writers::{OnError, Writers},
};

#[test]
fn every_acked_event_is_at_its_position_after_a_kill() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut places: HashMap<String, u64> = HashMap::new();
        for cycle in 0..5 {
            let server = Server::start(&store);
            block_on(async {
                let mut writers = Writers::start(&server, 8, OnError::End).await;
                writers.acked(100 + cycle * 37).await;
                server.signal("KILL");
                let written = writers.finish().await;
                drop(server);
                let server = Server::start(&store);
                let mut audit = server.audit().await;
                for writer in &written {
                    places.extend(writer.acked.iter().cloned());
                    // What was not acked is sent again, and stored once.
                    if writer.unacked.is_empty() {
                        continue;
                    }
                    for result in append(&mut audit, atomic(writer.unacked.clone())).await.results {
                        places.insert(result.event_id, result.position.expect("a position"));
                    }
                }
                let stored = everything(&mut audit, "").await;
                assert_eq!(stored.len(), places.len(), "{kind:?} cycle {cycle}");
                for event in stored {
                    assert_eq!(
                        places.get(&event.event_id).copied(),
                        event.position,
                        "{kind:?} cycle {cycle}"
                    );
                }
                conserved(&server).await;
            });
        }
    }
}
