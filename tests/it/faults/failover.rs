//! Failover: two clusters, of which one follows the other, and is promoted when that is killed under load. The server
//! goes on through an address that leads to whichever is the primary.
use std::time::Duration;

use chancery::proto::v1::AppendResult::Duplicate;
use tokio::time::{sleep, timeout};

use super::{
    Random, check,
    ledger::Ledger,
    producers::{Producers, STYLES},
    proxy::Proxy,
    site::Site,
    verifier::verify,
};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, append, atomic, everything, refuse, results},
    cluster::{Cluster, Options},
    database::Database,
    events,
    metrics::metrics,
    postgres::admin,
    server::{Server, chancery},
    signing::{checkpoint, grow, signing},
    until,
};

const REQUIRED: [&str; 1] = ["--require-sync-replica"];

async fn number(cluster: &Cluster, query: &str) -> i64 {
    let store = TestStore::at(Kind::Postgres, &cluster.url("postgres"));
    Database::open(&store).await.number(query).await
}

/// Has commits of a cluster wait for standbys of these names.
pub(super) async fn wait_for(cluster: &Cluster, names: &str) {
    let mut database = Database::open(&TestStore::at(Kind::Postgres, &cluster.url("postgres"))).await;
    database.run(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'")).await;
    database.run("SELECT pg_reload_conf()").await;
}

/// Waits until a standby has everything and confirms it, or just has it.
async fn followed(cluster: &Cluster, state: &str) {
    let query = match state {
        "sync" => "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'",
        _ => "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()",
    };
    let following = async {
        while number(cluster, query).await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), following).await.expect("a standby that follows");
}

#[test]
fn a_failover_to_a_synchronous_standby_loses_nothing() {
    let mut primary = Cluster::start(&Options::default());
    let _database = primary.store("failover");
    let standby = Cluster::following(&primary);
    let proxy = Proxy::start(&primary);
    let mut random = Random::of("failover");
    let ledger = Ledger::new();
    block_on(async {
        wait_for(&primary, "*").await;
        followed(&primary, "sync").await;
        let mut site = Site::start_with(Kind::Postgres, proxy.url("failover"), &REQUIRED);
        let producers = Producers::start(&STYLES, &site.address.subscribe(), &ledger, &mut random);
        ledger.progress(300).await;
        primary.kill();
        // Everything goes to a standby for a moment, which takes nothing.
        proxy.lead_to(&standby);
        sleep(Duration::from_millis(300)).await;
        standby.promote();
        // Nothing follows the new primary yet, so nothing is taken.
        let mut audit = site.server.audit().await;
        until("no standby", async || {
            let answer = audit.append(atomic(vec![events::hold("lone")])).await;
            answer.is_err_and(|status| status.message().contains("no synchronous standby"))
        })
        .await;
        // The operator decides to go on without one.
        site.kill();
        site.restart();
        ledger.progress(100).await;
        producers.finish().await;
        let direct = TestStore::at(Kind::Postgres, &standby.url("failover"));
        check("after a failover", &verify(&site.server, &direct, &ledger, &mut random).await);
        assert!(ledger.book().failed() > 0, "nobody noticed the failover");
    });
}

/// The window that docs/postgres.md names: what a standby has not received is lost with the primary, and the signer
/// says so.
#[test]
fn a_failover_without_a_synchronous_standby_is_seen_by_the_signer() {
    let mut primary = Cluster::start(&Options::default());
    let _database = primary.store("lagging");
    let standby = Cluster::following(&primary);
    let proxy = Proxy::start(&primary);
    let store = TestStore::at(Kind::Postgres, &proxy.url("lagging"));
    block_on(async {
        let server = signing(&store, &[]);
        let (early, _) = grow(&server, "main", 5).await;
        checkpoint(&store, "main", early).await;
        followed(&primary, "any").await;
        // Cut off. From here on nothing reaches it.
        standby.unfollow();
        until("cut off", async || number(&primary, "SELECT count(*) FROM pg_stat_replication").await == 0)
            .await;
        let (signed, _) = grow(&server, "main", 20).await;
        checkpoint(&store, "main", signed).await;
        primary.kill();
        standby.promote();
        proxy.lead_to(&standby);
        until("ready", async || server.admin_get("/readyz").await.0 == 200).await;
        until("halted", async || metrics(&server).await["chancery_checkpoint_halted_logs"] == 1.0).await;
        let (code, body) = server.admin_get("/readyz").await;
        assert!(code == 200 && body.contains("signing has stopped: main"), "{code} {body}");
        let mut audit = server.audit().await;
        // What was acked and signed is gone, and the log goes on where the standby was.
        assert_eq!(everything(&mut audit, "").await.len() as u64, early);
        assert_eq!(accept(&mut audit, atomic(vec![events::hold("after")])).await, [early]);
    });
}

/// As an ordinary role, which sees nothing of standbys.
#[test]
fn appends_are_refused_while_no_standby_confirms_them() {
    let primary = Cluster::start(&Options::default());
    let url = primary.url("lone").replacen("postgres@", "ordinary@", 1);
    admin(&primary.url("postgres"), "CREATE ROLE ordinary LOGIN");
    admin(&primary.url("postgres"), "CREATE DATABASE lone OWNER ordinary");
    let migrated = chancery().args(["migrate", "--store", &url]).status().expect("chancery migrate");
    assert!(migrated.success());
    let store = TestStore::at(Kind::Postgres, &url);
    let batch = || atomic(vec![events::hold("1")]);
    let refused = async |server: &Server| {
        let refusal = refuse(&mut server.audit().await, batch()).await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (tonic::Code::Unavailable, "NO_SYNC_REPLICA"));
        assert!(refusal.retry_after.is_some());
        // What is stored can be read.
        assert_eq!(everything(&mut server.audit().await, "").await.len(), 0);
    };
    let gauge = "chancery_writes_refused{cause=\"sync_replica\"}";
    block_on(async {
        // Without the setting a primary alone is enough, which is not tried here: every other test does.
        let server = Server::start_with(&store, &REQUIRED);
        refused(&server).await;
        assert_eq!(metrics(&server).await[gauge], 1.0);
        // Named, and not there.
        wait_for(&primary, "*").await;
        refused(&server).await;
        let mut standby = Cluster::following(&primary);
        followed(&primary, "sync").await;
        until("accepted", async || server.audit().await.append(batch()).await.is_ok()).await;
        assert_eq!(metrics(&server).await[gauge], 0.0);
        standby.kill();
        until("told", async || metrics(&server).await[gauge] == 1.0).await;
        let mut audit = server.audit().await;
        let refusal = refuse(&mut audit, batch()).await;
        assert_eq!(refusal.reason, "NO_SYNC_REPLICA");
        standby.resume();
        until("accepted again", async || audit.append(batch()).await.is_ok()).await;
        // Somebody tells the server not to wait.
        wait_for(&primary, "").await;
        until("refused again", async || {
            let answer = audit.append(batch()).await;
            answer.is_err_and(|status| status.message().contains("no synchronous standby"))
        })
        .await;
    });
}

/// Waits until a session of the server that runs what begins like this waits for a standby; its number.
pub(super) async fn waits(cluster: &Cluster, statement: &str) -> i64 {
    let mut database = Database::open(&TestStore::at(Kind::Postgres, &cluster.url("postgres"))).await;
    let query = format!(
        "SELECT coalesce(max(pid), 0)::bigint FROM pg_stat_activity WHERE wait_event = 'SyncRep'
         AND application_name = 'chancery' AND query LIKE '{statement}%'"
    );
    let waiting = async {
        loop {
            match database.number(&query).await {
                0 => sleep(Duration::from_millis(1)).await,
                pid => return pid,
            }
        }
    };
    timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("nobody waits in {statement}"))
}

/// A primary with a standby that confirms, and a server that has one event from it.
pub(super) async fn confirmed(database: &str) -> (Cluster, Cluster, TestStore, Server) {
    let primary = Cluster::start(&Options::default());
    let store = primary.store(database);
    let standby = Cluster::following(&primary);
    wait_for(&primary, "*").await;
    followed(&primary, "sync").await;
    let server = Server::start_with(&store, &REQUIRED);
    accept(&mut server.audit().await, atomic(vec![events::hold("1")])).await;
    (primary, standby, store, server)
}

/// PostgreSQL says COMMIT to whoever is cancelled while waiting for a standby, however early.
#[test]
fn a_commit_whose_wait_was_cancelled_is_not_acked() {
    block_on(async {
        let (primary, standby, _store, server) = confirmed("cancelled").await;
        let mut audit = server.audit().await;
        standby.pause();
        let appending =
            tokio::spawn(async move { accept(&mut audit, atomic(vec![events::hold("2")])).await });
        let pid = waits(&primary, "COMMIT").await;
        number(&primary, &format!("SELECT pg_cancel_backend({pid})::int::bigint")).await;
        // It has committed there, and still waits.
        assert_eq!(waits(&primary, "-- sync_commit").await, pid);
        assert!(!appending.is_finished(), "acked, and no standby has it");
        standby.go_on();
        assert_eq!(appending.await.expect("an append"), [1]);
    });
}

/// It says COMMIT too when nobody is to be waited for any more.
#[test]
fn a_commit_that_waited_for_nobody_in_the_end_is_not_acked() {
    block_on(async {
        let (primary, standby, _store, server) = confirmed("forgotten").await;
        let mut audit = server.audit().await;
        standby.pause();
        let appending =
            tokio::spawn(async move { append(&mut audit, atomic(vec![events::hold("2")])).await });
        waits(&primary, "COMMIT").await;
        wait_for(&primary, "").await;
        let gauge = "chancery_writes_refused{cause=\"sync_replica\"}";
        until("told", async || metrics(&server).await[gauge] == 1.0).await;
        assert!(!appending.is_finished(), "acked, and no standby has it");
        wait_for(&primary, "*").await;
        standby.go_on();
        // Looked up again, and found where it was.
        let answer = appending.await.expect("an append");
        assert_eq!((results(&answer), answer.results[0].position), (vec![Duplicate], Some(1)));
    });
}
