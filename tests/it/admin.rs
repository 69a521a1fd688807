//! The admin port: liveness, readiness, and metrics in which no event goes missing.
use std::{collections::BTreeMap, time::Duration};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, append, atomic, everything, per_event, refuse, results},
    database::Database,
    events,
    metrics::{conserved, fates, metrics},
    server::Server,
};
use chancery::proto::v1::{AppendRequest, AppendResult, NewEvent};

#[test]
fn liveness_and_readiness() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            assert_eq!(server.admin_get("/livez").await, (200, "ok\n".to_owned()));
            assert_eq!(server.admin_get("/readyz").await, (200, "ok\n".to_owned()));
            assert_eq!(server.admin_get("/").await.0, 404);
            let told = metrics(&server).await;
            assert_eq!((told["chancery_ready"], told["chancery_ingest_received_events_total"]), (1.0, 0.0));
        });
    }
}

#[test]
fn every_received_event_is_counted_once_by_what_became_of_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let stored: Vec<_> = (0..5).map(|_| events::hold("device-1")).collect();
            accept(&mut audit, atomic(stored.clone())).await;
            let other = NewEvent { correlation_id: "other".to_owned(), ..stored[0].clone() };
            let malformed = NewEvent { occurred_at: None, ..events::hold("device-1") };
            let (fresh, unknown) = (|| events::hold("device-1"), || events::token("NO_SUCH_TYPE"));
            let mixed = vec![fresh(), stored[1].clone(), other.clone(), unknown(), malformed.clone()];
            append(&mut audit, per_event(mixed)).await;
            refuse(&mut audit, atomic(vec![fresh(), fresh(), other.clone()])).await;
            refuse(&mut audit, atomic(vec![fresh(), unknown(), malformed.clone()])).await;
            // What the request itself is refused for is no event received.
            refuse(&mut audit, atomic(Vec::new())).await;
            let log = "No Log".to_owned();
            refuse(&mut audit, AppendRequest { log, ..atomic(vec![fresh()]) }).await;
            // Nor is a dry run, of which nothing becomes anything.
            let dry = AppendRequest {
                validate_only: true,
                ..per_event(vec![fresh(), stored[2].clone(), unknown()])
            };
            append(&mut audit, dry).await;
            append(&mut audit, per_event(vec![malformed.clone(), malformed])).await;
            everything(&mut audit, "").await;
            let samples = metrics(&server).await;
            let (received, by_result) = fates(&samples);
            assert_eq!(received, 18.0);
            let expected = [
                ("accepted", 6.0),
                ("conflict", 2.0),
                ("duplicate", 1.0),
                ("not_attempted", 3.0),
                ("quarantined", 1.0),
                ("rejected", 5.0),
            ];
            assert_eq!(by_result, BTreeMap::from(expected));
            assert_eq!(by_result.values().sum::<f64>(), received);
            let reason =
                |reason| samples[&format!("chancery_ingest_rejected_events_total{{reason=\"{reason}\"}}")];
            let reasons = ["event_id_reused", "unknown_event_code", "malformed_event"].map(reason);
            assert_eq!(reasons, [2.0, 2.0, 4.0]);
            conserved(&server).await;
            assert_eq!(samples["chancery_query_rows_total"], 6.0);
            assert!(samples["chancery_commit_duration_seconds_count{phase=\"sync\"}"] >= 2.0);
        });
    }
}

/// A caller that goes away while its events wait for the store.
#[test]
fn events_of_a_caller_that_went_away_are_counted_too() {
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
            let batch = vec![events::hold("abandoned"), events::hold("abandoned")];
            let mut gone = server.audit().await;
            let request = atomic(batch.clone());
            let call = tokio::spawn(async move { gone.append(request).await.map(drop) });
            while fates(&metrics(&server).await).0 < 3.0 {
                tokio::task::yield_now().await;
            }
            call.abort();
            assert!(call.await.expect_err("an aborted call").is_cancelled());
            other.run("ROLLBACK").await;
            // What was queued is stored all the same.
            let answer = append(&mut audit, atomic(batch)).await;
            assert_eq!(results(&answer), [AppendResult::Duplicate; 2]);
            let began = std::time::Instant::now();
            loop {
                let samples = metrics(&server).await;
                let (received, by_result) = fates(&samples);
                assert_eq!(received, 5.0);
                if by_result.values().sum::<f64>() == received {
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(20), "{by_result:?} of {received}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
}
