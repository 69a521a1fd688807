//! Two replicas on one database. One is stopped in the middle of its transaction, with the head of the
//! log locked: the database ends that transaction, the other replica goes on, and the stopped one finds
//! its place again.
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use super::{
    Random, check,
    ledger::Ledger,
    producers::{Producers, STYLES, Style},
    site::Site,
    verifier::verify,
};
use crate::harness::{Kind, TestStore, block_on, metrics::unconserved};

/// Whether somebody holds the head of the log without doing anything.
async fn held(connection: &mut PgConnection) -> bool {
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'chancery' AND state = 'idle in transaction'";
    let idle: i64 = sqlx::query_scalar(idle).fetch_one(&mut *connection).await.expect("a count");
    let lock = "SELECT size FROM log_head WHERE log = 'main' FOR UPDATE NOWAIT";
    let free = sqlx::query_scalar::<_, i64>(lock).fetch_optional(connection).await;
    idle > 0 && free.is_err()
}

/// Stops a server until it is stopped while it holds the head of the log.
async fn stop_inside(site: &Site, store: &TestStore, random: &mut Random) {
    let mut connection = PgConnection::connect(&store.url).await.expect("the database");
    for _ in 0..2000 {
        site.server.signal("STOP");
        // What the database does for it already comes to an end first.
        sleep(Duration::from_millis(20)).await;
        if held(&mut connection).await {
            return;
        }
        site.server.signal("CONT");
        sleep(Duration::from_micros(random.below(5_000))).await;
    }
    panic!("never stopped inside of a transaction, seed {}", super::seed());
}

#[test]
fn a_replica_that_is_stopped_inside_its_transaction_stops_nobody_else() {
    let store = TestStore::new(Kind::Postgres);
    let mut random = Random::of("stopped");
    let ledger = Ledger::new();
    block_on(async {
        let stopped = Site::start(store.kind, store.url.clone());
        let other = Site::start(store.kind, store.url.clone());
        let fed = [Style::PerEvent, Style::Atomic, Style::Stream];
        let to_stopped = Producers::start(&fed, &stopped.address.subscribe(), &ledger, &mut random);
        ledger.progress(50).await;
        stop_inside(&stopped, &store, &mut random).await;
        // From here on every ack is the other replica's, which first has to wait for the head.
        let to_other = Producers::named("other", &STYLES, &other.address.subscribe(), &ledger, &mut random);
        ledger.progress(100).await;
        to_other.finish().await;
        stopped.server.signal("CONT");
        ledger.progress(20).await;
        to_stopped.finish().await;
        check("after a stopped replica", &verify(&other.server, &store, &ledger, &mut random).await);
        check("metrics of the replica that was stopped", &unconserved(&stopped.server).await);
    });
}
