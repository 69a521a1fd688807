//! Logs are independent: positions from 0 in each, and nothing of one is seen in another. A server
//! appends to at most 64 of them.
use chancery::proto::v1::{
    AppendRequest, AppendResult, CountEventsRequest, GetEventRequest, NewEvent, Order, QueryRequest,
};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, everything, per_event, query, refuse, results},
    database::Database,
    events,
    server::Server,
};

fn into_log(log: &str, events: Vec<NewEvent>) -> AppendRequest {
    AppendRequest { log: log.to_owned(), ..atomic(events) }
}

#[test]
fn each_log_has_its_own_positions_and_events() {
    let logs = ["", "a", "tenant-1.eu_west", "0", "l".repeat(64).leak()];
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for round in 0..3 {
                for log in logs {
                    let batch: Vec<_> =
                        (0..2).map(|each| events::hold(&format!("{log}/{round}.{each}"))).collect();
                    assert_eq!(accept(&mut audit, into_log(log, batch)).await, [round * 2, round * 2 + 1]);
                }
            }
            for log in logs {
                let stored = everything(&mut audit, log).await;
                let named = if log.is_empty() { "main" } else { log };
                assert_eq!(stored.len(), 6);
                for event in &stored {
                    assert_eq!(event.log, named);
                    assert!(event.device.starts_with(&format!("{log}/")), "{}", event.device);
                }
                for order in [Order::PositionDesc, Order::OccurredDesc] {
                    let request =
                        QueryRequest { log: log.to_owned(), order: order as i32, ..QueryRequest::default() };
                    assert_eq!(query(&mut audit, request).await.positions(), [5, 4, 3, 2, 1, 0]);
                }
                let count = CountEventsRequest { log: log.to_owned(), ..CountEventsRequest::default() };
                assert_eq!(audit.count_events(count).await.expect("a count").into_inner().total, 6);
                let get = GetEventRequest {
                    log: log.to_owned(),
                    producer: "anonymous".to_owned(),
                    event_id: stored[4].event_id.clone(),
                    ..GetEventRequest::default()
                };
                let got = audit.get_event(get.clone()).await.expect("the event").into_inner();
                assert_eq!(got.event.as_ref(), Some(&stored[4]));
                let elsewhere = GetEventRequest { log: "elsewhere".to_owned(), ..get };
                let status = audit.get_event(elsewhere).await.expect_err("another log");
                assert_eq!(Refusal::of(&status).reason, "EVENT_NOT_FOUND");
            }
            // "main" is the log without a name.
            assert_eq!(everything(&mut audit, "main").await, everything(&mut audit, "").await);
        });
    }
}

#[test]
fn the_33rd_open_log_is_refused_with_the_limit_and_a_time_to_come_back() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for log in 0..32 {
                let batch = vec![events::hold("device-1")];
                assert_eq!(accept(&mut audit, into_log(&format!("log-{log}"), batch)).await, [0]);
            }
            let batch = || into_log("log-32", vec![events::hold("device-1")]);
            let refusal = refuse(&mut audit, batch()).await;
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_LOGS"));
            assert!(refusal.retry_after.is_some(), "{refusal:?}");
            assert_eq!(refusal.quotas, ["open logs"]);
            assert!(refusal.message.contains("32"), "{}", refusal.message);
            let each = AppendRequest { mode: per_event(Vec::new()).mode, ..batch() };
            let answer = append(&mut audit, each).await;
            assert_eq!(results(&answer), [AppendResult::NotAttempted]);
            assert!(answer.results[0].retryable);
            assert_eq!(Refusal::of_event(&answer.results[0]).reason, "TOO_MANY_LOGS");
            assert!(everything(&mut audit, "log-32").await.is_empty());
            assert_eq!(Database::open(&store).await.rows("events").await, 32);
            // The open ones go on, and an idle one makes room.
            assert_eq!(accept(&mut audit, into_log("log-31", vec![events::hold("device-2")])).await, [1]);
            let began = std::time::Instant::now();
            while let Err(status) = audit.append(batch()).await {
                assert_eq!(Refusal::of(&status).reason, "TOO_MANY_LOGS");
                assert!(began.elapsed() < std::time::Duration::from_secs(60), "no log was ever closed");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        });
    }
}
