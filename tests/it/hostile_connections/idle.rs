//! Ten thousand connections on which nothing is called: bounded memory, gone after 30 seconds, and nobody else
//! notices.
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{FIRST_WORDS, OPEN, from, honest, refused, until};
use crate::harness::{KINDS, TestStore, block_on, metrics::metrics, server::Server};

const CONNECTIONS: usize = 10_000;
/// From each address; the server's default takes 1024.
const OF_ADDRESS: usize = 1000;
/// KiB for each: a socket's tasks, timers and buffers, in a build for tests. With HTTP/2 begun, two buffers of 8 KiB
/// for reading and writing and the tables of header compression come on top.
const MOST_KIB: u64 = 64;

#[test]
fn ten_thousand_idle_connections_take_bounded_memory_and_end_after_half_a_minute() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start_with(&store, &["--max-connections", "12000"]);
    block_on(async {
        honest(&server, "before").await;
        // It calls now and then, over one connection that outlives all others.
        let mut known = server.audit().await;
        let before = server.memory();
        let began = Instant::now();
        let mut idle = Vec::with_capacity(CONNECTIONS);
        while idle.len() < CONNECTIONS {
            let address = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(idle.len() / OF_ADDRESS).expect("few"));
            for number in 0..OF_ADDRESS {
                let mut stream = from(address, &server.address).await.expect("connected");
                // Every other one begins HTTP/2, and says no more.
                if number % 2 == 0 {
                    stream.write_all(FIRST_WORDS).await.expect("written");
                }
                idle.push(stream);
            }
            // The system holds no more of them than that before it drops some, which then take a second.
            until(&server, OPEN, |open| open >= idle.len() as f64).await;
        }
        let connected = began.elapsed();
        until(&server, OPEN, |open| open >= CONNECTIONS as f64).await;
        honest(&server, "meanwhile").await;
        let each = server.memory().saturating_sub(before) / CONNECTIONS as u64;
        eprintln!("{CONNECTIONS} connections in {connected:?}, {each} KiB each");
        assert!(each < MOST_KIB, "{each} KiB for each connection");
        assert_eq!(metrics(&server).await[&refused("stranger")], 0.0);

        let request = crate::harness::calls::atomic(vec![crate::harness::events::hold("known")]);
        crate::harness::calls::accept(&mut known, request).await;
        // Both kinds are closed by the server, not sooner than promised.
        for mut stream in idle {
            let end = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
            tokio::time::timeout(Duration::from_secs(60), end).await.expect("the server closes it");
            assert!(began.elapsed() >= Duration::from_secs(30), "closed after {:?}", began.elapsed());
        }
        until(&server, &refused("stranger"), |count| count == CONNECTIONS as f64).await;
        until(&server, OPEN, |open| open <= 2.0).await;
        // The one on which calls are made is still the same.
        let accepted = metrics(&server).await["chancery_connections_accepted_total"];
        crate::harness::calls::everything(&mut known, "").await;
        assert_eq!(metrics(&server).await["chancery_connections_accepted_total"], accepted);
    });
}
