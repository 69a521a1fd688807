//! SIGTERM while everything is open at once, while the queue is full, and while the store hangs: the server tells all,
//! flushes what it has taken, and ends within its time, or at once when it is told twice.
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chancery::proto::v1::{
    AppendResult, CountEventsRequest, NewEvent, QueryRequest, TokenServerEvent, new_event::Family,
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, body::Body};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Service as _, ServiceExt as _};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Refusal, accept, atomic, everything, from_producer},
    database::Database,
    events,
    metrics::{fates, metrics},
    server::Server,
    stalled::Stalled,
    stream::Stream,
    until,
};

/// Holds what every append needs.
async fn locked(store: &TestStore) -> Database {
    let mut other = Database::open(store).await;
    match store.kind {
        Kind::Sqlite => other.run("BEGIN IMMEDIATE").await,
        Kind::Postgres => {
            other.run("BEGIN").await;
            other.run("SELECT size FROM log_head FOR UPDATE").await;
        }
    }
    other
}

/// Waits until the server has received this many events.
async fn received(server: &Server, events: f64) {
    until("received", async || fates(&metrics(server).await).0 >= events).await;
}

#[test]
fn everything_that_is_open_is_told_and_ended() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("before")])).await;
            let mut stream = Stream::open(&server).await;
            stream.answer().await;
            stream.send(1, vec![events::hold("on a stream")]).await;
            assert_eq!(stream.answer().await.acked_through, 1);
            let request = QueryRequest { follow: true, ..QueryRequest::default() };
            let mut follower = audit.query(request).await.expect("a query").into_inner();
            follower.message().await.expect("a message").expect("an event");
            let all = HealthCheckRequest::default();
            let mut health =
                HealthClient::new(server.channel().await).watch(all).await.expect("a watch").into_inner();
            health.message().await.expect("a message").expect("a status");
            // A message that has begun and does not go on, in two places.
            let half = |rpc: &str| {
                http::Request::post(format!("{}/chancery.v1.AuditService/{rpc}", server.url()))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .body(Body::new(Stalled::after(Bytes::from_static(&[0, 0, 0, 1, 0, 10]))))
                    .expect("a request")
            };
            let mut unfinished = JoinSet::new();
            for rpc in ["Append", "AppendStream"] {
                let (mut channel, request) = (server.channel().await, half(rpc));
                unfinished.spawn(async move {
                    let answer = channel.ready().await.expect("a connection").call(request).await;
                    // Either an answer, or a connection that is closed; not a call that stays.
                    drop(answer);
                });
            }
            // A connection that nobody uses.
            let idle = server.channel().await;
            sleep(Duration::from_millis(50)).await;
            server.signal("TERM");
            let notice = loop {
                if let Some(drain) = stream.answer().await.drain {
                    break drain;
                }
            };
            assert_eq!(notice.reason, "SHUTDOWN");
            while follower.message().await.expect("an end without an error").is_some() {}
            // Well below the 20 seconds after which it would end by force, with code 1.
            assert_eq!(server.wait(Duration::from_secs(10)).code(), Some(0), "{}", server.log());
            while let Some(ended) = unfinished.join_next().await {
                ended.expect("a call that ends");
            }
            drop(idle);
        });
    }
}

/// A text of 8,000 bytes: a byte of an event takes twelve of the memory of events in flight.
fn large(device: &str) -> NewEvent {
    let details = [("scope".to_owned(), "x".repeat(8000))].into();
    let consent =
        TokenServerEvent { r#type: "CONSENT_GIVEN".to_owned(), details, ..TokenServerEvent::default() };
    NewEvent { correlation_id: device.to_owned(), ..events::event(Family::TokenServer(consent)) }
}

/// Events that fill the memory of events in flight, 128 MiB, wait while the store is locked.
#[test]
fn a_full_queue_is_flushed() {
    const CALLS: usize = 16;
    const EVENTS: usize = 80;
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("before")])).await;
            let mut other = locked(&store).await;
            let mut calls = JoinSet::new();
            for call in 0..CALLS {
                let mut audit = server.audit().await;
                calls.spawn(async move {
                    let batch: Vec<_> = (0..EVENTS).map(|at| large(&format!("{call}.{at}"))).collect();
                    let ids: Vec<_> = batch.iter().map(|event| event.event_id.clone()).collect();
                    let producer = format!("producer-{}", call % 4);
                    (audit.append(from_producer(&producer, atomic(batch))).await, ids)
                });
            }
            received(&server, (1 + CALLS * EVENTS) as f64).await;
            let began = Instant::now();
            server.signal("TERM");
            other.run("ROLLBACK").await;
            assert_eq!(server.wait(Duration::from_secs(30)).code(), Some(0), "{}", server.log());
            let took = began.elapsed();
            let (mut acked, mut refused) = (HashSet::new(), 0);
            while let Some(call) = calls.join_next().await {
                match call.expect("a call") {
                    (Ok(answer), ids) => {
                        let results = answer.into_inner().results;
                        assert!(results.iter().all(|result| result.result() == AppendResult::Accepted));
                        acked.extend(ids);
                    }
                    (Err(status), _) => {
                        let refusal = Refusal::of(&status);
                        assert_eq!(refusal.code, Code::Unavailable, "{refusal:?}");
                        assert!(refusal.retry_after.is_some(), "{refusal:?}");
                        refused += 1;
                    }
                }
            }
            println!(
                "{kind:?}: {} events flushed in {took:?}; {refused} calls told to come back",
                acked.len()
            );
            assert!(acked.len() >= CALLS * EVENTS / 2, "{} events had been taken", acked.len());
            let server = Server::start(&store);
            let stored = everything(&mut server.audit().await, "").await;
            let stored: HashSet<_> = stored.into_iter().map(|event| event.event_id).collect();
            assert!(acked.is_subset(&stored), "acked and lost");
            assert_eq!(stored.len(), acked.len() + 1, "refused and stored");
        });
    }
}

/// Another server answers a read as well. (For SQLite, where nobody keeps readers waiting, see `src/server/parting.rs`.)
#[test]
fn a_slow_read_does_not_hold_up_the_end() {
    let store = TestStore::new(Kind::Postgres);
    let mut server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        accept(&mut audit, atomic(vec![events::hold("before")])).await;
        let mut other = Database::open(&store).await;
        other.run("BEGIN").await;
        other.run("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").await;
        let mut counting = audit.clone();
        let request =
            CountEventsRequest { group_by: vec!["code".to_owned()], ..CountEventsRequest::default() };
        let count = tokio::spawn(async move { counting.count_events(request).await });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND query ~ '^-- (count|rollup)'";
        let mut looking = Database::open(&store).await;
        while looking.number(waits).await == 0 {
            assert!(!count.is_finished(), "it waits for the lock");
            sleep(Duration::from_millis(10)).await;
        }
        server.signal("TERM");
        let refusal = Refusal::of(&count.await.expect("a call").expect_err("a server that ends"));
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "DRAINING"));
        assert!(refusal.retry_after.is_some(), "{refusal:?}");
        // The self-audit is told of it, in a table that can be written again.
        other.run("ROLLBACK").await;
        assert_eq!(server.wait(Duration::from_secs(10)).code(), Some(0), "{}", server.log());
        let told = "SELECT count(*) FROM events WHERE log = 'audit' AND code = 'READ_FAILED'";
        assert_eq!(looking.number(told).await, 1);
    });
}

#[test]
fn a_store_that_hangs_is_waited_for_as_long_as_a_drain_may_take_and_no_longer() {
    for kind in KINDS {
        for (seconds, twice) in [("1", false), ("3600", true)] {
            let store = TestStore::new(kind);
            let mut server = Server::start_with(&store, &["--drain-seconds", seconds]);
            block_on(async {
                let mut audit = server.audit().await;
                accept(&mut audit, atomic(vec![events::hold("before")])).await;
                let other = locked(&store).await;
                let call = tokio::spawn(async move { audit.append(atomic(vec![events::hold("x")])).await });
                received(&server, 2.0).await;
                server.signal("TERM");
                if twice {
                    while !server.log().contains("draining") {
                        sleep(Duration::from_millis(5)).await;
                    }
                    server.signal("INT");
                }
                // The store would be waited for by ten seconds and more.
                assert_eq!(server.wait(Duration::from_secs(8)).code(), Some(1), "{}", server.log());
                call.await.expect("a call").expect_err("a server that ended");
                drop(other);
            });
        }
    }
}
