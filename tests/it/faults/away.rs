//! The store is away for a while: producers are told to come back, nothing that was acked is lost, and
//! the service is back when the store is.
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    LONG, Random, check, cycles,
    ledger::Ledger,
    producers::{Producers, STYLES},
    site::Site,
    verifier::verify,
};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::{atomic, refuse},
    cluster::{Cluster, Options},
    database::Database,
    events,
};

/// A minute in a long run.
fn while_away() -> Duration {
    Duration::from_secs(if cycles() >= LONG { 60 } else { 6 })
}

/// Waits as long as the store is to be away, and until somebody was told so.
async fn told(ledger: &Ledger) {
    let (began, limit) = (Instant::now(), while_away() + Duration::from_secs(60));
    let heard = || {
        let book = ledger.book();
        book.unavailable + book.throttled
    };
    while began.elapsed() < while_away() || heard() == 0 {
        assert!(began.elapsed() < limit, "nobody was told that the store is away");
        sleep(Duration::from_millis(50)).await;
    }
}

fn run(direct: &TestStore, away: impl AsyncFnOnce(&mut Site, &Ledger)) {
    let mut random = Random::of("away");
    let ledger = Ledger::new();
    block_on(async {
        let mut site = Site::start(direct.kind, direct.url.clone());
        let producers = Producers::start(&STYLES, &site.address.subscribe(), &ledger, &mut random);
        ledger.progress(100).await;
        away(&mut site, &ledger).await;
        ledger.progress(50).await;
        producers.finish().await;
        check("after a store that was away", &verify(&site.server, direct, &ledger, &mut random).await);
        // Nobody lost a connection to the server over it.
        assert_eq!(ledger.book().broken, 0);
    });
}

#[test]
fn a_postgres_that_is_stopped_for_a_while() {
    let mut cluster = Cluster::start(&Options::default());
    let direct = cluster.store("away");
    run(&direct, async |site, ledger| {
        cluster.stop_immediately();
        told(ledger).await;
        let mut audit = site.server.audit().await;
        // A call that begins while the store is away hears of it, too.
        let refusal = refuse(&mut audit, atomic(vec![events::hold("away")])).await;
        assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
        assert!(refusal.retry_after.is_some());
        assert_eq!(site.server.admin_get("/readyz").await.0, 503);
        cluster.resume();
    });
}

#[test]
fn a_sqlite_file_that_is_locked_for_a_while() {
    let direct = TestStore::new(Kind::Sqlite);
    run(&direct, async |_, ledger| {
        let mut other = Database::open(&direct).await;
        other.run("BEGIN IMMEDIATE").await;
        told(ledger).await;
        other.run("ROLLBACK").await;
    });
}
