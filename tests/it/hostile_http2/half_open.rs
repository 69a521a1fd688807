//! Calls that are opened and left alone: they keep a place for a while, and there are so many places.
use std::time::Duration;

use chancery::proto::v1::ListEventTypesRequest;
use tokio::time::sleep;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    Honest,
    raw::{APPEND, END_HEADERS, HEADERS, RST_STREAM, Raw, call, frame, stream},
};
use crate::harness::{KINDS, TestStore, block_on, calls::Refusal, metrics::metrics, server::Server};

/// Calls that may run at once, and as many connections as that takes.
const MOST: usize = 7_680;
const CONNECTIONS: usize = MOST / 128;
/// Calls of health that may run at once.
const MOST_PROBES: usize = 512;
/// KiB that one of them takes, in a build for tests.
const EACH: u64 = 20;

/// Opens as many calls as one connection may have.
async fn leave_open(server: &Server, path: &str) -> Raw {
    let mut raw = Raw::open(server, &[]).await;
    let calls: Vec<u8> =
        (0..128).flat_map(|number| frame(HEADERS, END_HEADERS, stream(number), &call(path))).collect();
    assert!(raw.send(&calls).await);
    raw
}

/// 2,560 calls without a message beside an honest client; after 30 seconds all of them have been ended.
#[test]
fn calls_without_a_message_end_and_nobody_waits_for_them() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let honest = Honest::start(&server).await;
        honest.goes_on(3).await;
        let before = server.peak_memory();
        let paths = [APPEND, "/chancery.v1.ProofService/GetCheckpoint", "/grpc.health.v1.Health/Check"];
        let mut open = Vec::new();
        for number in 0..20 {
            open.push(leave_open(&server, paths[number % paths.len()]).await);
        }
        for raw in &mut open {
            raw.settle().await;
        }
        honest.goes_on(5).await;
        for raw in &mut open {
            let mut ended = 0;
            while ended < 128 {
                // A connection on which nobody known has called ends at the same age, and its calls with it.
                let Some(frame) = raw.next().await else { break };
                // The answer, and that the rest of the request is not wanted.
                ended += usize::from(frame.kind == RST_STREAM);
            }
        }
        honest.finish().await;
        let grown = server.peak_memory() - before;
        assert!(grown < 2_560 * EACH, "grown by {grown} KiB");
    });
}

/// With every place taken, whoever comes is told to come back, and does.
#[test]
fn a_call_beyond_the_last_place_is_told_to_come_back() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let mut health = HealthClient::new(server.channel().await);
        let check = || HealthCheckRequest { service: String::new() };
        health.check(check()).await.expect("an answer");
        let before = server.peak_memory();
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            open.push(leave_open(&server, APPEND).await);
        }
        for raw in &mut open {
            raw.settle().await;
        }
        // They are counted when their handlers begin, which is soon.
        while metrics(&server).await["rpc_server_active_calls"] < MOST as f64 {
            sleep(Duration::from_millis(20)).await;
        }
        let types = ListEventTypesRequest::default;
        let mut catalog = server.catalog().await;
        let refused = catalog.list_event_types(types()).await.expect_err("no place");
        let refusal = Refusal::of(&refused);
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "OVERLOADED"));
        assert!(refusal.retry_after.is_some() && refusal.message.contains("7680"), "{refusal:?}");
        // Probes have places of their own.
        health.check(check()).await.expect("an answer");
        assert_eq!(metrics(&server).await["chancery_load_shed_total{cause=\"calls\"}"], 1.0);
        let grown = server.peak_memory() - before;
        assert!(grown < MOST as u64 * EACH, "grown by {grown} KiB");
        // One connection goes, and its places are free.
        drop(open.pop());
        while metrics(&server).await["rpc_server_active_calls"] >= MOST as f64 {
            sleep(Duration::from_millis(20)).await;
        }
        catalog.list_event_types(types()).await.expect("a place");
        // Probes take no others than theirs, either.
        for _ in 0..MOST_PROBES / 128 {
            let mut raw = leave_open(&server, "/grpc.health.v1.Health/Check").await;
            raw.settle().await;
            open.push(raw);
        }
        while health.check(check()).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
        catalog.list_event_types(types()).await.expect("a place");
    });
}
