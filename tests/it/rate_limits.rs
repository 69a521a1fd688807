//! A producer sends no more than it may, is told the truth about when to come back, and pays for what is
//! refused too. Other producers notice nothing.
use std::time::{Duration, Instant};

use chancery::proto::v1::{AppendRequest, AppendResult, QueryRequest};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore,
    access::{self, by},
    block_on,
    calls::{Audit, Refusal, accept, append, atomic, from_producer, per_event, query, refuse, results},
    events,
    metrics::{conserved, fates, metrics},
    server::Server,
    stream::Stream,
};

/// So slow that nothing is given back while a test runs.
const SLOW: &str = "[limits]\nevents_per_second = 1\n";

fn batch(size: usize) -> Vec<chancery::proto::v1::NewEvent> {
    (0..size).map(|at| events::hold(&format!("device-{at}"))).collect()
}

fn limited(refusal: &Refusal, limit: &str, per_second: &str) -> Duration {
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    assert_eq!(
        (refusal.metadata["limit"].as_str(), refusal.metadata["per_second"].as_str()),
        (limit, per_second)
    );
    assert_eq!(refusal.quotas, [format!("{limit} of producer {}", refusal.metadata["producer"])]);
    assert!(refusal.message.contains(per_second), "{}", refusal.message);
    refusal.retry_after.expect("a time to come back")
}

#[test]
fn every_call_pays_whatever_becomes_of_its_events() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::configured(&store, SLOW);
        block_on(async {
            let mut audit = server.audit().await;
            let good = batch(100);
            let malformed = || vec![chancery::proto::v1::NewEvent::default(); 100];
            accept(&mut audit, atomic(good.clone())).await;
            let again = append(&mut audit, atomic(good)).await;
            assert!(results(&again).iter().all(|result| *result == AppendResult::Duplicate));
            refuse(&mut audit, atomic(malformed())).await;
            append(&mut audit, per_event(malformed())).await;
            let dry = AppendRequest { validate_only: true, ..atomic(batch(100)) };
            append(&mut audit, dry.clone()).await;
            let unknown = vec![events::token("NO_SUCH_TYPE"); 100];
            append(&mut audit, per_event(unknown)).await;
            // 600 of 1000 are gone, so 500 do not fit, in whatever mode.
            for request in [atomic(batch(500)), per_event(batch(500))] {
                let wait = limited(&refuse(&mut audit, request).await, "events_per_second", "1");
                assert!(wait <= Duration::from_secs(100) && wait > Duration::from_secs(40), "{wait:?}");
            }
            // What was refused for the rate has not paid for it.
            accept(&mut audit, atomic(batch(390))).await;
            let wait = limited(&refuse(&mut audit, dry).await, "events_per_second", "1");
            assert!(wait <= Duration::from_secs(90) && wait > Duration::from_secs(30), "{wait:?}");
            // Another producer.
            accept(&mut audit, from_producer("other", atomic(batch(1000)))).await;
            let samples = metrics(&server).await;
            assert_eq!(samples["chancery_load_shed_total{cause=\"events_per_second\"}"], 3.0);
            let (received, by_result) = fates(&samples);
            assert_eq!(by_result.values().sum::<f64>(), received);
            assert_eq!(by_result["not_attempted"], 1000.0, "of both refused calls, not of the dry run");
            conserved(&server).await;
        });
    }
}

/// One with a low limit of its own, and one with none that it meets.
const LINES: &str = "[producer.flood]
logs = [\"*\"]
families = [\"*\"]
events_per_second = 2000
[producer.honest]
logs = [\"*\"]
families = [\"*\"]
events_per_second = 1000000
[reader.honest]
logs = [\"main\"]
families = [\"*\"]
personal = true
";

/// Sends batches without a pause; what was accepted, and how long it took.
async fn flood(audit: &mut Audit, size: usize, calls: usize) -> (usize, usize, Duration) {
    let began = Instant::now();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..calls {
        match audit.append(by("flood", atomic(batch(size)))).await {
            Ok(_) => accepted += size,
            Err(status) => {
                limited(&Refusal::of(&status), "events_per_second", "2000");
                refused += 1;
            }
        }
    }
    (accepted, refused, began.elapsed())
}

#[test]
fn a_producer_far_above_its_rate_gets_its_rate_and_the_others_all_they_send() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = access::server(
            &store,
            &access::file(LINES, &["flood", "honest"]),
            "[limits]\nevents_per_second = 1\n",
        );
        block_on(async {
            let (mut audit, mut other) = (server.audit().await, server.audit().await);
            let flooding = tokio::spawn(async move { (flood(&mut audit, 400, 150).await, audit) });
            for _ in 0..20 {
                accept(&mut other, by("honest", atomic(batch(3)))).await;
            }
            let ((accepted, refused, took), mut audit) = flooding.await.expect("the flood");
            let most = 2000.0 + 2000.0 * took.as_secs_f64();
            assert!(accepted as f64 <= most, "{accepted} events in {took:?}");
            assert!(accepted >= 2000 && refused > 0, "{accepted} events accepted, {refused} calls refused");
            let mine = |event: &&chancery::proto::v1::Event| event.producer == "flood";
            assert_eq!(
                query(&mut other, by("honest", QueryRequest::default()))
                    .await
                    .events
                    .iter()
                    .filter(mine)
                    .count(),
                accepted
            );
            // Whoever waits as told is accepted.
            let mut told = 0;
            for _ in 0..40 {
                if told > 2 {
                    break;
                }
                if let Err(status) = audit.append(by("flood", atomic(batch(1000)))).await {
                    let wait = limited(&Refusal::of(&status), "events_per_second", "2000");
                    tokio::time::sleep(wait).await;
                    accept(&mut audit, by("flood", atomic(batch(1000)))).await;
                    told += 1;
                }
            }
            assert!(told > 2, "only {told} calls were told to wait");
            conserved(&server).await;
        });
    }
}

#[test]
fn bytes_are_limited_too() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start_with(&store, &["--bytes-per-second", "1024"]);
    block_on(async {
        let mut audit = server.audit().await;
        let large = || {
            let mut batch = batch(100);
            for event in &mut batch {
                event.correlation_id = "x".repeat(200);
            }
            atomic(batch)
        };
        let mut calls = 0;
        let refusal = loop {
            match audit.append(large()).await {
                Ok(_) => {
                    calls += 1;
                    assert!(calls < 500, "no limit");
                }
                Err(status) => break Refusal::of(&status),
            }
        };
        limited(&refusal, "bytes_per_second", "1024");
        let bytes = prost::Message::encoded_len(&large()) * calls;
        assert!((4_100_000..4_300_000).contains(&bytes), "{bytes} bytes of a burst of 4 MiB");
        conserved(&server).await;
    });
}

#[test]
fn a_stream_is_told_to_wait_and_goes_on() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::configured(&store, "[limits]\nevents_per_second = 500\nburst_events = 1000\n");
        block_on(async {
            let mut stream = Stream::of(&mut server.audit().await, "exporter").await.expect("a stream");
            let settings = stream.answer().await.settings.expect("settings");
            assert_eq!((settings.events_per_second, settings.burst_events), (500, 1000));
            assert_eq!((settings.bytes_per_second, settings.burst_bytes), (0, 0), "no limit");
            let began = Instant::now();
            for number in 1..=5 {
                stream.send(number, batch(800)).await;
            }
            let (mut acked, mut throttles) = (0, 0);
            while acked < 5 {
                let answer = stream.answer().await;
                if let Some(throttle) = answer.throttle {
                    assert_eq!(throttle.reason, "RATE_LIMITED");
                    assert!(throttle.retry_after.is_some());
                    throttles += 1;
                } else {
                    acked += 1;
                    assert_eq!(answer.acked_through, acked);
                    assert!(answer.results.iter().all(|result| result.result() == AppendResult::Accepted));
                    // A batch may be ahead of the rate.
                    let most = 1000.0 + 800.0 + 500.0 * began.elapsed().as_secs_f64();
                    assert!((acked * 800) as f64 <= most, "batch {acked} came too early");
                }
            }
            assert!(throttles > 0, "no notice");
            conserved(&server).await;
        });
    }
}

#[test]
fn a_drain_does_not_wait_for_a_rate() {
    let store = TestStore::new(KINDS[0]);
    let mut server = Server::configured(&store, SLOW);
    block_on(async {
        let mut stream = Stream::of(&mut server.audit().await, "exporter").await.expect("a stream");
        stream.answer().await;
        for number in 1..=3 {
            stream.send(number, batch(1000)).await;
        }
        let (mut acked, mut throttled) = (0, false);
        while acked < 2 || !throttled {
            let answer = stream.answer().await;
            acked = acked.max(answer.acked_through);
            throttled |= answer.throttle.is_some();
        }
        server.signal("TERM");
        assert_eq!(stream.answer().await.drain.expect("a drain notice").reason, "SHUTDOWN");
        assert!(stream.next().await.expect("a clean end").is_none(), "batch 3 was not read");
        assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
    });
}
