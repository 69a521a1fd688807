//! Cycle after cycle, something is killed or cut at a random moment while producers write; after each,
//! everything is read back.
use std::time::Duration;

use tokio::time::sleep;

use super::{
    CYCLES, Random, check, cycles,
    ledger::{Kind, Ledger},
    producers::{Producers, STYLES},
    proxy::{Cut, Proxy},
    site::Site,
    verifier::verify,
};
use crate::harness::{
    Kind as Database, TestStore, block_on,
    cluster::{Cluster, Options},
};

/// Cycles on one database; then a fresh one, so that reading everything back stays cheap.
const ROUND: u64 = 20;

/// What happens in a cycle.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// SIGKILL of the server.
    Server,
    /// And of the next one, as soon as it serves.
    ServerTwice,
    /// SIGKILL of all processes of PostgreSQL.
    Database,
    /// SIGKILL of one of its processes: PostgreSQL ends the others and recovers.
    Backend,
    /// Immediate stop of PostgreSQL.
    Stop,
    /// Fast stop of PostgreSQL, as for a restart.
    Restart,
    Cut(Cut),
    /// SIGKILL of both, with the database first.
    Both,
}

const ON_SQLITE: [Fault; 2] = [Fault::Server, Fault::ServerTwice];
const ON_POSTGRES: [Fault; 10] = [
    Fault::Server,
    Fault::ServerTwice,
    Fault::Database,
    Fault::Backend,
    Fault::Stop,
    Fault::Restart,
    Fault::Cut(Cut::Before),
    Fault::Cut(Cut::During),
    Fault::Cut(Cut::After),
    Fault::Both,
];

/// Runs one cycle, and returns everything that is wrong after it.
pub async fn one(
    fault: Fault,
    site: &mut Site,
    mut postgres: Option<(&mut Cluster, &Proxy)>,
    direct: &TestStore,
    ledger: &Ledger,
    random: &mut Random,
) -> Vec<String> {
    let producers = Producers::start(&STYLES, &site.address.subscribe(), ledger, random);
    ledger.progress(10 + random.below(150)).await;
    sleep(Duration::from_micros(random.below(20_000))).await;
    match (fault, postgres.as_mut()) {
        (Fault::Server, _) => {
            site.kill();
            site.restart();
        }
        (Fault::ServerTwice, _) => {
            site.kill();
            site.restart();
            sleep(Duration::from_micros(random.below(50_000))).await;
            site.kill();
            site.restart();
        }
        (Fault::Database, Some((cluster, _))) => {
            cluster.kill();
            cluster.resume();
        }
        (Fault::Backend, Some((cluster, _))) => {
            cluster.kill_backend().await;
        }
        (Fault::Stop, Some((cluster, _))) => {
            cluster.stop_immediately();
            cluster.resume();
        }
        (Fault::Restart, Some((cluster, _))) => {
            cluster.stop_fast();
            cluster.resume();
        }
        (Fault::Cut(cut), Some((_, proxy))) => proxy.cut(cut).await,
        (Fault::Both, Some((cluster, _))) => {
            cluster.kill();
            site.kill();
            cluster.resume();
            site.restart();
        }
        (fault, None) => panic!("{fault:?} needs PostgreSQL"),
    }
    ledger.progress(20).await;
    producers.finish().await;
    verify(&site.server, direct, ledger, random).await
}

/// Every fault once in random order, then again.
fn draw(deck: &mut Vec<Fault>, faults: &[Fault], random: &mut Random) -> Fault {
    if deck.is_empty() {
        deck.extend(faults);
    }
    deck.swap_remove(random.below(deck.len() as u64) as usize)
}

fn run(kind: Database, faults: &[Fault]) {
    let mut random = Random::of(&format!("{kind:?}"));
    let mut cluster = (kind == Database::Postgres).then(|| Cluster::start(&Options::default()));
    let mut deck = Vec::new();
    for round in 0..cycles().div_ceil(ROUND) {
        let direct = match &cluster {
            Some(cluster) => cluster.store(&format!("round_{round}")),
            None => TestStore::new(kind),
        };
        let proxy = cluster.as_ref().map(Proxy::start);
        let url =
            proxy.as_ref().map_or_else(|| direct.url.clone(), |proxy| proxy.url(&format!("round_{round}")));
        let mut site = Site::start(kind, url);
        let ledger = Ledger::new();
        block_on(async {
            for cycle in round * ROUND..cycles().min((round + 1) * ROUND) {
                let fault = draw(&mut deck, faults, &mut random);
                println!("{kind:?} cycle {cycle}: {fault:?}");
                let postgres = cluster.as_mut().zip(proxy.as_ref());
                let wrong = one(fault, &mut site, postgres, &direct, &ledger, &mut random).await;
                check(format!("{kind:?} cycle {cycle}, {fault:?}"), &wrong);
            }
        });
        let book = ledger.book();
        println!(
            "{kind:?} round {round}: {} acked, {:?}, {} calls broken, {} unavailable",
            book.acked.len(),
            book.answers,
            book.broken,
            book.unavailable
        );
        if cycles() >= CYCLES {
            for each in [Kind::Good, Kind::Again, Kind::Reused, Kind::Unknown, Kind::Malformed] {
                assert!(book.answers.contains_key(&each), "no event was {each:?}");
            }
            assert!(book.failed() > 0, "nobody noticed any fault");
        }
    }
}

#[test]
fn acks_hold_on_sqlite() {
    run(Database::Sqlite, &ON_SQLITE);
}

#[test]
fn acks_hold_on_postgres() {
    run(Database::Postgres, &ON_POSTGRES);
}
