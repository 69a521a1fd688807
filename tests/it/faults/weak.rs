//! The negative control: a setting that loses acked events when PostgreSQL is killed must be seen. The
//! server does not commit in such a session by itself, so a lying proxy keeps it from saying so.
use super::{
    Random, check,
    ledger::Ledger,
    proxy::Proxy,
    random::{Fault, one},
    site::Site,
};
use crate::harness::{
    Kind, block_on,
    cluster::{Cluster, Options},
    database::Database,
};

/// Kills after which a loss must have been seen. Nearly every one shows it.
const KILLS: u64 = 10;

/// Commits answer before they are written, and what is not written dies with the processes.
fn weak() -> Cluster {
    let settings = vec![
        "synchronous_commit=off",
        "wal_writer_delay=10s",
        "wal_writer_flush_after=64MB",
        "wal_buffers=16MB",
    ];
    Cluster::start(&Options { settings, ..Options::default() })
}

/// Kills the cluster again and again until something is wrong, and returns that.
fn kill(cluster: &mut Cluster, proxy: &Proxy, kills: u64) -> Vec<String> {
    let direct = cluster.store("weak");
    let mut random = Random::of("weak");
    let ledger = Ledger::new();
    block_on(async {
        // The schema itself is not what is to be lost.
        Database::open(&direct).await.run("CHECKPOINT").await;
        let mut site = Site::start(Kind::Postgres, proxy.url("weak"));
        for _ in 0..kills {
            let postgres = Some((&mut *cluster, proxy));
            let wrong = one(Fault::Database, &mut site, postgres, &direct, &ledger, &mut random).await;
            if !wrong.is_empty() {
                return wrong;
            }
        }
        Vec::new()
    })
}

#[test]
fn commits_that_do_not_wait_for_the_disk_are_caught() {
    let mut cluster = weak();
    let proxy = Proxy::lying(&cluster);
    let wrong = kill(&mut cluster, &proxy, KILLS);
    assert!(proxy.lied() > 0, "no session asked for durable commits, so nothing was weakened");
    println!("caught: {:?}", wrong.first());
    let lost = wrong.iter().filter(|each| each.contains("is lost") || each.contains("acked as"));
    assert!(lost.count() > 0, "seed {}: no loss in {KILLS} kills: {wrong:?}", super::seed());
}

#[test]
fn the_server_itself_asks_for_durable_commits() {
    let mut cluster = weak();
    let proxy = Proxy::start(&cluster);
    check("killed under weak defaults", &kill(&mut cluster, &proxy, 3));
}
