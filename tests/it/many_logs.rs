//! Logs are independent: positions from 0 in each, and nothing of one is seen in another. A server
//! appends to very many of them over a few connections.
use std::time::{Duration, Instant};

use chancery::proto::v1::{
    AppendRequest, AppendResponse, AppendResult, CountEventsRequest, GetEventRequest, NewEvent, Order,
    QueryRequest,
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Response, Status};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, everything, per_event, query, results},
    database::Database,
    events,
    metrics::{conserved, metrics},
    server::Server,
};

/// Logs that a server appends to at a time.
const LOGS: usize = 2048;

/// Time series of a server at most that has been asked for a bit of everything: mostly those of histograms, 17 for each
/// operation of the store and each method with each status.
const MOST_SERIES: usize = 2_500;

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
            conserved(&server).await;
        });
    }
}

/// Appends one event to each of these logs at the same time, 100 to a connection.
async fn append_to_each(
    server: &Server,
    logs: std::ops::Range<usize>,
) -> JoinSet<Result<AppendResponse, Status>> {
    let mut tasks = JoinSet::new();
    let mut audit = server.audit().await;
    for log in logs {
        if log % 100 == 0 {
            audit = server.audit().await;
        }
        let mut audit = audit.clone();
        let request = into_log(&format!("log-{log}"), vec![events::hold("device-1")]);
        tasks.spawn(async move { audit.append(request).await.map(Response::into_inner) });
    }
    tasks
}

#[test]
fn a_thousand_logs_share_a_few_connections() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            for round in 0..3 {
                for answer in append_to_each(&server, 0..1000).await.join_all().await {
                    let answer = answer.expect("an answer");
                    assert_eq!(answer.results[0].position, Some(round));
                }
            }
            let mut database = Database::open(&store).await;
            assert_eq!(database.number("SELECT count(*) FROM log_head WHERE size = 3").await, 1000);
            if kind == Kind::Postgres {
                let connections = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = 'chancery'";
                // 8 that write, 8 that read, 1 that watches.
                assert!(database.number(connections).await <= 17);
            }
            // No time series is of a log.
            let samples = metrics(&server).await;
            assert!(!samples.keys().any(|name| name.contains("\"log-")), "{samples:?}");
            assert!(samples.len() < MOST_SERIES, "{kind:?}: {} series", samples.len());
            conserved(&server).await;
        });
        let peak = server.peak_memory();
        assert!(peak < 200 * 1024, "{kind:?}: {peak} KiB");
    }
}

#[test]
fn one_open_log_too_many_is_refused_with_the_limit_and_a_time_to_come_back() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            // No log closes while its first event waits for the store.
            let mut database = Database::open(&store).await;
            match kind {
                Kind::Sqlite => database.run("BEGIN IMMEDIATE").await,
                Kind::Postgres => {
                    database.run("BEGIN").await;
                    database.run("LOCK TABLE log_head IN ACCESS EXCLUSIVE MODE").await;
                }
            }
            // All but one of them wait, so the one that is answered first is the one too many.
            let mut callers = append_to_each(&server, 0..LOGS + 1).await;
            let first = callers.join_next().await.expect("an answer").expect("a caller");
            let refusal = Refusal::of(&first.expect_err("a refused append"));
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_LOGS"));
            assert!(refusal.retry_after.is_some(), "{refusal:?}");
            assert_eq!(refusal.quotas, ["open logs"]);
            assert!(refusal.message.contains(&LOGS.to_string()), "{}", refusal.message);
            let extra = || into_log("one-more", vec![events::hold("device-1")]);
            let each = AppendRequest { mode: per_event(Vec::new()).mode, ..extra() };
            let answer = append(&mut audit, each).await;
            assert_eq!(results(&answer), [AppendResult::NotAttempted]);
            assert!(answer.results[0].retryable);
            assert_eq!(Refusal::of_event(&answer.results[0]).reason, "TOO_MANY_LOGS");
            database.run("ROLLBACK").await;
            for answer in callers.join_all().await {
                // A wait that took too long says so, and stores nothing.
                if let Err(status) = answer {
                    assert_eq!(Refusal::of(&status).reason, "STORE_UNAVAILABLE");
                }
            }
            assert!(everything(&mut audit, "one-more").await.is_empty());
            // Idle logs make room.
            let began = Instant::now();
            while let Err(status) = audit.append(extra()).await {
                assert_eq!(Refusal::of(&status).reason, "TOO_MANY_LOGS");
                assert!(began.elapsed() < Duration::from_secs(60), "no log was ever closed");
                sleep(Duration::from_millis(500)).await;
            }
            conserved(&server).await;
        });
    }
}

/// A replica that has stopped in the middle holds the heads of as many logs as it has connections.
#[test]
fn logs_that_somebody_else_holds_do_not_hold_up_the_others() {
    let store = TestStore::new(Kind::Postgres);
    let server = Server::start(&store);
    block_on(async {
        for answer in append_to_each(&server, 0..24).await.join_all().await {
            answer.expect("an answer");
        }
        let mut other = Database::open(&store).await;
        other.run("BEGIN").await;
        other.run("SELECT size FROM log_head FOR UPDATE").await;
        let mut callers = append_to_each(&server, 0..24).await;
        sleep(Duration::from_millis(200)).await;
        let mut audit = server.audit().await;
        for at in 0..10 {
            let free = audit.append(into_log("free", vec![events::hold("device-1")]));
            let answered = tokio::select! {
                answer = free => answer,
                ended = callers.join_next() => panic!("{ended:?} before the append that nothing is in the way of"),
            };
            let results = answered.expect("an answer").into_inner().results;
            assert_eq!(results[0].position, Some(at));
        }
        other.run("ROLLBACK").await;
        for answer in callers.join_all().await {
            if let Err(status) = answer {
                assert_eq!(Refusal::of(&status).reason, "STORE_UNAVAILABLE");
            }
        }
        conserved(&server).await;
    });
}
