//! Writers on two replicas, commits that are held up, followers on both replicas, one of them slow: every one
//! gets every event, once, in order.
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chancery::proto::v1::{EventFilter, QueryRequest};
use tokio::time::sleep;

use super::Follower;
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::everything,
    database::Database,
    server::Server,
    writers::{OnError, Writers},
};

/// Events to be acked.
const EVENTS: usize = 3_000;

/// Follows until it has as many events as there are in the end, reading as slowly as told.
async fn follow(server: &Server, request: QueryRequest, pause: Duration, total: Arc<AtomicU64>) -> Vec<u64> {
    let mut follower = Follower::open(&mut server.audit().await, request).await;
    loop {
        // A checkpoint comes every second at least.
        assert!(follower.step().await.expect("a running query"), "the query ended");
        if follower.positions.len() % 20 == 0 {
            sleep(pause).await;
        }
        let total = total.load(Ordering::Relaxed);
        if total > 0 && follower.positions.len() as u64 >= total {
            // Nothing more comes.
            let checkpoints = follower.checkpoints.len();
            follower.until(|it| it.checkpoints.len() > checkpoints + 1).await;
            return follower.positions;
        }
    }
}

/// Takes the head of the log away from all writers, again and again, for longer and longer than they are
/// used to.
async fn hold_up(store: &TestStore, total: Arc<AtomicU64>) {
    let mut database = Database::open(store).await;
    for round in 0..1000_u64 {
        if total.load(Ordering::Relaxed) > 0 {
            return;
        }
        let lock = match store.kind {
            Kind::Postgres => "BEGIN; SELECT size FROM log_head WHERE log = 'main' FOR UPDATE",
            Kind::Sqlite => "BEGIN IMMEDIATE",
        };
        for statement in lock.split("; ") {
            database.run(statement).await;
        }
        sleep(Duration::from_millis(round % 7 * 30)).await;
        database.run("ROLLBACK").await;
        sleep(Duration::from_millis(40)).await;
    }
}

async fn check(store: &TestStore, servers: &[&Server]) {
    let total = Arc::new(AtomicU64::new(0));
    let filtered = EventFilter { codes: vec!["20018".to_owned()], ..EventFilter::default() };
    let filtered = QueryRequest { filter: Some(filtered), ..QueryRequest::default() };
    let mut following = Vec::new();
    for server in servers {
        for (request, pause) in [
            (QueryRequest::default(), Duration::ZERO),
            (filtered.clone(), Duration::ZERO),
            (QueryRequest::default(), Duration::from_millis(5)),
        ] {
            following.push(follow(server, request, pause, Arc::clone(&total)));
        }
    }
    let following = futures::future::join_all(following);
    let writing = async {
        let mut writers = Vec::new();
        for server in servers {
            writers.push(Writers::start(server, 6, OnError::Retry).await);
        }
        for writers in &mut writers {
            writers.acked(EVENTS / servers.len()).await;
        }
        for writers in writers {
            writers.finish().await;
        }
        let stored = everything(&mut servers[0].audit().await, "").await.len();
        assert!(stored >= EVENTS);
        total.store(stored as u64, Ordering::Relaxed);
    };
    let (followed, (), ()) = tokio::join!(following, writing, hold_up(store, Arc::clone(&total)));
    let all: Vec<u64> = (0..total.load(Ordering::Relaxed)).collect();
    for positions in followed {
        assert_eq!(positions, all);
    }
}

#[test]
fn on_one_replica() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(check(&store, &[&server]));
    }
}

#[test]
fn on_two_replicas() {
    let store = TestStore::new(Kind::Postgres);
    let (first, second) = (Server::start(&store), Server::start(&store));
    block_on(check(&store, &[&first, &second]));
}
