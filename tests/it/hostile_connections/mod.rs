//! Clients that only connect, and do everything wrong from there: the server keeps its memory and its files, and
//! others notice nothing.
mod files;
mod handshakes;
mod idle;
mod limits;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{
    calls::{accept, atomic, everything},
    events,
    metrics::metrics,
    server::Server,
};

/// What a client of HTTP/2 says first.
const FIRST_WORDS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Connects from an address of this machine.
async fn from(address: Ipv4Addr, server: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    // A port is chosen for the pair of addresses, so that there are enough of them.
    socket.set_reuseaddr(true).expect("set");
    socket.bind(SocketAddr::from((address, 0))).expect("an address of this machine");
    socket.connect(server.parse().expect("an address")).await
}

/// Appends over a new connection and reads everything back.
async fn honest(server: &Server, log: &str) {
    let mut audit = server.audit().await;
    let request =
        chancery::proto::v1::AppendRequest { log: log.to_owned(), ..atomic(vec![events::hold("honest")]) };
    let positions = accept(&mut audit, request).await;
    let read = everything(&mut audit, log).await;
    assert_eq!(Some(read.len() as u64 - 1), positions.last().copied());
}

/// Waits until a metric of the server is so.
async fn until(server: &Server, metric: &str, reached: impl Fn(f64) -> bool) -> f64 {
    let began = Instant::now();
    loop {
        let value = metrics(server).await[metric];
        if reached(value) {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(90), "{metric} is {value}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn refused(reason: &str) -> String {
    format!("chancery_connections_refused_total{{reason=\"{reason}\"}}")
}

const OPEN: &str = "chancery_open_connections";
