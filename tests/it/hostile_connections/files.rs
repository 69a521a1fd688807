//! A process that may open no more files goes on with the connections that it has, and takes new ones when it can.
use std::{net::Ipv4Addr, time::Duration};

use super::{from, until};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic},
    events,
    metrics::metrics,
    server::Server,
};

#[test]
fn a_server_without_files_to_open_survives_and_recovers() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start_under(&store, &["prlimit", "--nofile=96:96"], &[]);
        let errors = "chancery_accept_errors_total";
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("before")])).await;
            // The admin port's own connection must have been there before there are no more files.
            let mut idle = Vec::new();
            for _ in 0..120 {
                idle.push(
                    from(Ipv4Addr::new(127, 0, 0, 2), &server.address)
                        .await
                        .expect("connected by the system"),
                );
            }
            let began = std::time::Instant::now();
            while !server.log().contains("cannot accept connections") {
                assert!(began.elapsed() < Duration::from_secs(20), "{}", server.log());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // A connection that is there works on.
            for number in 0..5 {
                accept(&mut audit, atomic(vec![events::hold(&format!("meanwhile {number}"))])).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(idle);
            let failed = until(&server, errors, |count| count > 0.0).await;
            // It waits between its tries, of which there are ten a second.
            assert!(failed < 10.0 * began.elapsed().as_secs_f64() + 10.0, "{failed}");
            accept(&mut server.audit().await, atomic(vec![events::hold("after")])).await;
            let log = server.log();
            assert_eq!(log.matches("cannot accept connections").count(), 1, "once for each outage: {log}");
            assert!(log.contains("connections are accepted again"), "{log}");
            assert!(metrics(&server).await["chancery_connections_accepted_total"] > 2.0);
        });
    }
}
