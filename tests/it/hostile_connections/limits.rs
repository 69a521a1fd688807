//! As many connections as may be, and not one more: from one address, and in all.
use std::net::Ipv4Addr;

use tokio::io::AsyncReadExt as _;

use super::{OPEN, from, honest, refused, until};
use crate::harness::{KINDS, TestStore, block_on, server::Server};

#[test]
fn connections_beyond_the_limits_are_closed_at_once_and_counted() {
    let store = TestStore::new(KINDS[0]);
    let flags = ["--max-connections", "30", "--max-connections-per-address", "20"];
    let server = Server::start_with(&store, &flags);
    block_on(async {
        let (one, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
        let mut open = Vec::new();
        for _ in 0..20 {
            open.push(from(one, &server.address).await.expect("connected"));
        }
        until(&server, OPEN, |count| count == 20.0).await;
        let mut above = from(one, &server.address).await.expect("connected by the system");
        assert_eq!(above.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed");
        until(&server, &refused("address"), |count| count == 1.0).await;
        // Others are not refused for its sake.
        honest(&server, "others").await;
        until(&server, OPEN, |count| count == 20.0).await;

        for _ in 0..10 {
            open.push(from(other, &server.address).await.expect("connected"));
        }
        until(&server, OPEN, |count| count == 30.0).await;
        let mut above = from(Ipv4Addr::LOCALHOST, &server.address).await.expect("connected by the system");
        assert_eq!(above.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed");
        until(&server, &refused("total"), |count| count == 1.0).await;

        open.truncate(25);
        until(&server, OPEN, |count| count == 25.0).await;
        honest(&server, "others").await;
    });
}
