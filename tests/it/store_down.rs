//! A store that goes away: calls succeed late or say UNAVAILABLE and when to come back; nothing acked
//! is lost or doubled; when the store is back, so is the service.
use std::{collections::HashMap, time::Duration};

use chancery::proto::v1::{
    AppendResult::{Accepted, NotAttempted, Quarantined, Rejected},
    NewEvent,
};
use tonic::Code;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, everything, per_event, refuse, results},
    database::Database,
    events,
    metrics::conserved,
    server::Server,
    writers::{OnError, Writers},
};

/// Ends every connection of the server, and counts them.
const END_CONNECTIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'chancery'";

#[test]
fn connections_that_the_database_ends_lose_and_double_nothing() {
    let store = TestStore::new(Kind::Postgres);
    let server = Server::start(&store);
    block_on(async {
        let mut database = Database::open(&store).await;
        let mut writers = Writers::start(&server, 8, OnError::Retry).await;
        for _ in 0..10 {
            writers.acked(50).await;
            // Those of the last round may not be back yet.
            while database.number(END_CONNECTIONS).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        writers.acked(50).await;
        let mut places: HashMap<String, u64> = HashMap::new();
        for writer in writers.finish().await {
            for (event_id, position) in writer.acked {
                assert_eq!(places.insert(event_id, position), None);
            }
        }
        let mut audit = server.audit().await;
        let stored = everything(&mut audit, "").await;
        assert_eq!(stored.len(), places.len());
        for event in stored {
            assert_eq!(places.get(&event.event_id).copied(), event.position);
        }
        conserved(&server).await;
    });
}

/// Somebody else holds the lock that an append needs, for longer than the server tries.
#[test]
fn a_locked_store_is_unavailable_and_works_again_after() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("before")])).await;
            let mut other = Database::open(&store).await;
            match kind {
                Kind::Sqlite => other.run("BEGIN IMMEDIATE").await,
                Kind::Postgres => {
                    other.run("BEGIN").await;
                    other.run("SELECT size FROM log_head FOR UPDATE").await;
                }
            }
            let whole = vec![events::hold("whole")];
            let malformed = NewEvent { occurred_at: None, ..events::hold("malformed") };
            let mixed = vec![events::hold("mixed"), malformed, events::token("NO_SUCH_TYPE")];
            let (mut second, mut third) = (audit.clone(), audit.clone());
            let (refusal, answer, read) = tokio::join!(
                refuse(&mut audit, atomic(whole.clone())),
                append(&mut second, per_event(mixed.clone())),
                // Reading is not in the way of a lock.
                everything(&mut third, ""),
            );
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
            assert!(refusal.retry_after.is_some(), "{refusal:?}");
            assert_eq!(results(&answer), [NotAttempted, Rejected, NotAttempted]);
            let retryable: Vec<_> = answer.results.iter().map(|result| result.retryable).collect();
            assert_eq!(retryable, [true, false, true]);
            for at in [0, 2] {
                let refusal = Refusal::of_event(&answer.results[at]);
                assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
                assert!(refusal.retry_after.is_some(), "{refusal:?}");
            }
            assert_eq!(read.len(), 1);
            other.run("ROLLBACK").await;
            assert_eq!(accept(&mut audit, atomic(whole)).await, [1]);
            let again = append(&mut audit, per_event(mixed)).await;
            assert_eq!(results(&again), [Accepted, Rejected, Quarantined]);
            assert_eq!(everything(&mut audit, "").await.len(), 3);
            conserved(&server).await;
        });
    }
}
