//! Tiles hold the leaves of the log and nothing else, whoever writes them, and however many at once.
use std::sync::Arc;

use chancery::{
    event::LogName,
    proof::{recent::Recent, tiles::Tiler},
    store,
    tree::{Frontier, Hash},
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic},
    database::Database,
    events,
    server::Server,
    trees::{assert_tiles, fill, numbers, tiled},
};

#[test]
fn servers_write_them_behind_the_appends() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let servers: Vec<_> = (0..kind.replicas()).map(|_| Server::start(&store)).collect();
        block_on(async {
            let mut clients = Vec::new();
            for client in 0..2 {
                clients.push(servers[client % servers.len()].audit().await);
            }
            let mut appending = Vec::new();
            for mut audit in clients {
                appending.push(tokio::spawn(async move {
                    for _ in 0..10 {
                        let events = (0..130).map(|_| events::hold("device-1")).collect();
                        accept(&mut audit, atomic(events)).await;
                    }
                }));
            }
            for task in appending {
                task.await.expect("appended");
            }
            let mut database = Database::open(&store).await;
            tiled(&mut database, "main", 2600).await;
            assert_tiles(&mut database, "main").await;
        });
    }
}

#[test]
fn two_writers_at_once_write_what_one_would() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&test).await;
            fill(&test, &mut database, "main", &numbers(66_000)).await;
            fill(&test, &mut database, "small", &numbers(255)).await;
            let url = test.url.parse().expect("a URL");
            let (one, other) = (store::connect(&url).await, store::connect(&url).await);
            let tilers = [one, other].map(|store| Tiler::new(store.expect("a store"), Arc::default()));
            let log = LogName::parse("main").expect("a log");
            // Up to a size, and no further.
            tilers[0].complete(&log, 5000).await.expect("written");
            assert_eq!(database.rows("tiles").await, 19, "{kind:?}");
            let stop = CancellationToken::new();
            let (one, other) = tokio::join!(tilers[0].complete(&log, 66_000), async {
                while tilers[1].pass(&stop).await? {}
                Ok::<(), store::StoreError>(())
            });
            one.and(other).expect("written");
            assert_eq!(database.rows("tiles").await, 257 + 1, "{kind:?}");
            assert_tiles(&mut database, "main").await;
            // A backup comes back in which the last tiles are not: they are not taken for written.
            database.run("DELETE FROM tiles WHERE log = 'main' AND (level = 1 OR tile >= 200)").await;
            database.run("UPDATE log_head SET size = 60000, tree_size = 60000 WHERE log = 'main'").await;
            while tilers[0].pass(&stop).await.expect("written") {}
            assert_eq!(database.rows("tiles").await, 234, "{kind:?}");
        });
    }
}

/// A failover can take back commits that a replica remembers, and another replica commits others in their place.
#[test]
fn a_tile_holds_what_is_stored_and_not_what_a_replica_remembers() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        let server = Server::start(&test);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic((0..300).map(|_| events::hold("device-1")).collect())).await;
        });
        drop(server);
        block_on(async {
            let mut database = Database::open(&test).await;
            database.run("DELETE FROM tiles").await;
            let stored =
                database.bytes("SELECT leaf_hash FROM events WHERE log = 'main' ORDER BY position").await;
            let log = LogName::parse("main").expect("a log");
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            let leaves: Vec<Hash> =
                stored.iter().map(|hash| hash.as_slice().try_into().expect("a hash")).collect();
            let tree = |leaves: &[Hash]| Frontier::default().extended(leaves).head();
            for (lost, first) in [(150, 300), (255, 300), (199, 200), (199, 250), (0, 1)] {
                database.run("DELETE FROM tiles").await;
                let recent = Recent::default();
                let remembered = leaves.iter().enumerate().map(|(at, leaf)| match at >= lost {
                    true => [0; 32],
                    false => *leaf,
                });
                let remembered: Vec<_> = remembered.take(first).collect();
                recent.committed(&log, tree(&[]), tree(&remembered), remembered);
                if first < leaves.len() {
                    // Its own again, behind those of the other replica.
                    let own = leaves[first..].to_vec();
                    recent.committed(&log, tree(&leaves[..first]), tree(&leaves), own);
                }
                let tiler = Tiler::new(Arc::clone(&store), Arc::new(recent));
                tiler.complete(&log, 256).await.expect("a tile");
                let tile = database.bytes("SELECT hashes FROM tiles").await;
                assert_eq!(tile, [stored[..256].concat()], "{kind:?}, lost {lost}..{first}");
            }
            store.close().await;
        });
    }
}

#[test]
fn a_damaged_log_holds_up_no_other() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&test).await;
            for log in ["a-damaged", "main", "z-damaged"] {
                fill(&test, &mut database, log, &numbers(300)).await;
            }
            database.run("DELETE FROM events WHERE log <> 'main' AND position = 7").await;
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            let tiler = Tiler::new(Arc::clone(&store), Arc::default());
            tiler.pass(&CancellationToken::new()).await.expect("written");
            assert_tiles(&mut database, "main").await;
            let tiles = database.texts("SELECT log FROM tiles").await;
            assert_eq!(tiles, ["main"], "{kind:?}");
            for log in ["a-damaged", "z-damaged"] {
                let log = LogName::parse(log).expect("a log");
                tiler.complete(&log, 300).await.expect_err("an event is gone");
            }
            store.close().await;
        });
    }
}
