//! A receiver that hangs, refuses or is not there keeps nobody waiting, and the end of the process sends what waits.
use std::time::Duration;

use super::{batch, server, server_in, trace_id, traced};
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, everything},
    events,
    metrics::metrics,
    receiver::{Mood, Receiver},
    server::Server,
};

/// So much is lost of a signal.
async fn dropped(server: &Server, signal: &str) -> f64 {
    metrics(server).await[&format!("chancery_telemetry_dropped_total{{signal=\"{signal}\"}}")]
}

/// Appends in as many traces, and everything is there.
async fn appends(server: &Server, count: u8) {
    let mut audit = server.audit().await;
    for trace in 0..count {
        accept(&mut audit, traced(trace, true, batch(vec![events::hold("device-1")]))).await;
    }
    assert_eq!(everything(&mut audit, "").await.len(), usize::from(count));
}

fn ends_well(server: &mut Server) {
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(30)).code(), Some(0), "{}", server.log());
}

#[test]
fn sigterm_sends_what_waits() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let receiver = Receiver::start(Mood::Well).await;
            // One thread for everything that serves: none may wait for another.
            let endpoint = format!("CHANCERY_OTLP_ENDPOINT={}", receiver.url());
            let mut server = server_in(&store, &["TOKIO_WORKER_THREADS=1", &endpoint], &[]);
            appends(&server, 20).await;
            ends_well(&mut server);
            let received = receiver.received();
            for trace in 0..20 {
                assert_eq!(received.of_trace(&trace_id(trace)).len(), 1, "{kind:?} {trace}");
            }
            for line in ["serving", "draining", "drained"] {
                assert_eq!(received.saying(line).len(), 1, "{line}");
            }
            assert!(!server.log().contains("telemetry"), "{}", server.log());
        });
    }
}

#[test]
fn nobody_waits_for_a_receiver_that_hangs() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let receiver = Receiver::start(Mood::Hangs).await;
            let endpoint = receiver.url();
            let flags = ["--otlp-endpoint", &endpoint, "--drain-seconds", "10"];
            let mut server = server_in(&store, &["TOKIO_WORKER_THREADS=1"], &flags);
            appends(&server, 200).await;
            ends_well(&mut server);
            assert!(!receiver.received().raw.is_empty(), "it was called");
            assert!(server.log().contains("not all telemetry was sent before the end"), "{}", server.log());
        });
    }
}

#[test]
fn what_is_refused_is_counted_and_told_once_until_it_is_taken_again() {
    let store = TestStore::new(Kind::Sqlite);
    block_on(async {
        let receiver = Receiver::start(Mood::Refuses).await;
        let mut server = server(&store, &receiver, &[]);
        appends(&server, 200).await;
        // Each call, and its commit.
        while dropped(&server, "traces").await < 400.0 || dropped(&server, "logs").await < 1.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(dropped(&server, "metrics").await > 20.0);
        let told = |signal: &str, message: &str| {
            let line =
                |line: &&str| line.contains(message) && line.contains(&format!("\"signal\":\"{signal}\""));
            server.log().lines().filter(line).count()
        };
        for signal in ["traces", "metrics", "logs"] {
            assert_eq!(told(signal, "telemetry cannot be sent"), 1, "{signal} {}", server.log());
        }
        assert!(!server.log().contains("not from you"), "what it says may be anything");
        // It may take a request and none of its spans.
        receiver.becomes(Mood::Rejects);
        let (mut audit, before) = (server.audit().await, dropped(&server, "traces").await);
        accept(&mut audit, traced(200, true, batch(vec![events::hold("device-1")]))).await;
        while dropped(&server, "traces").await < before + 2.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        receiver.becomes(Mood::Well);
        accept(&mut audit, traced(201, true, batch(vec![events::hold("device-1")]))).await;
        receiver.until("a span", |received| received.spans.first().map(|_| ())).await;
        while told("traces", "telemetry is sent again") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ends_well(&mut server);
    });
}

#[test]
fn nobody_waits_for_a_receiver_that_is_not_there() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            // A port that was given to us and that nobody listens on any more.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
            drop(listener);
            let mut server = Server::start_with(&store, &["--otlp-endpoint", &endpoint]);
            appends(&server, 50).await;
            while dropped(&server, "metrics").await < 1.0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(server.log().contains("Connection refused"), "{}", server.log());
            ends_well(&mut server);
        });
    }
}

/// A server that cannot even begin tells of it before it ends.
#[test]
fn a_server_that_fails_sends_its_lines_too() {
    let store = TestStore::new(Kind::Sqlite);
    block_on(async {
        let receiver = Receiver::start(Mood::Well).await;
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = taken.local_addr().expect("an address");
        let holds = std::net::TcpListener::bind(taken);
        let mut command = crate::harness::server::chancery();
        command.args(["serve", "--store", &store.url, "--otlp-endpoint", &receiver.url()]);
        command.args(["--listen", &taken.to_string(), "--admin-listen", "127.0.0.1:0"]);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("run").expect("run");
        drop(holds);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let received = receiver.received();
        assert!(!received.metrics.is_empty(), "the last metrics");
        assert!(format!("{:?}", received.lines).contains("cannot listen on"), "why it has ended");
    });
}
