//! Proofs of `ProofService` convince a verifier that the server has no part in: of any position in any size that
//! the log has reached, signed or not, while it grows and after it has.
use chancery::proto::v1::{
    GetCheckpointRequest, GetConsistencyProofRequest, GetInclusionProofRequest,
    proof_service_client::ProofServiceClient,
};
use chancery::{
    event::LogName,
    store::{self, StoredCheckpoint},
    tree::TreeHead,
};
use tonic::transport::Channel;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{append, atomic},
    database::Database,
    events,
    server::Server,
    trees::{Tree, fill, numbers, tiled},
};

type Proofs = ProofServiceClient<Channel>;

async fn inclusion(proofs: &mut Proofs, tree: &Tree, position: u64, tree_size: u64) {
    let request = GetInclusionProofRequest { log: "main".to_owned(), position, tree_size };
    let answer = proofs.get_inclusion_proof(request).await.expect("a proof").into_inner();
    tree.holds(position, tree_size, &answer);
}

async fn consistency(proofs: &mut Proofs, tree: &Tree, first_size: u64, second_size: u64) {
    let request = GetConsistencyProofRequest { log: "main".to_owned(), first_size, second_size };
    let answer = proofs.get_consistency_proof(request).await.expect("a proof").into_inner();
    tree.begins(first_size, second_size, &answer);
}

/// Every position and pair of sizes among these.
async fn all_of(proofs: &mut Proofs, tree: &Tree, sizes: &[u64]) {
    for size in sizes {
        for other in sizes.iter().filter(|other| *other <= size) {
            inclusion(proofs, tree, other - 1, *size).await;
            consistency(proofs, tree, *other, *size).await;
        }
    }
}

#[test]
fn any_position_in_any_size() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut proofs) = (server.audit().await, server.proofs().await);
            let mut database = Database::open(&store).await;
            let mut acks = Vec::new();
            for batch in [1, 1, 100, 153, 1, 1, 250, 4, 2, 187] {
                let events = (0..batch).map(|_| events::hold("device-1")).collect();
                let answer = append(&mut audit, atomic(events)).await;
                acks.push((answer.tree_size, answer.root_hash));
            }
            let tree = Tree::stored(&mut database, "main").await;
            assert_eq!(tree.size(), 700);
            for (size, root) in &acks {
                assert_eq!(root[..], tree.root(*size), "{kind:?}: the ack at {size}");
            }
            // The tiles may be written by now, or not; then they are.
            let sizes: Vec<_> = acks.iter().map(|(size, _)| *size).collect();
            all_of(&mut proofs, &tree, &sizes).await;
            tiled(&mut database, "main", 700).await;
            all_of(&mut proofs, &tree, &[1, 255, 256, 257, 511, 512, 513, 700]).await;
        });
    }
}

#[test]
fn a_large_log_that_came_without_tiles() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&store).await;
            let contents = numbers(66_000);
            fill(&store, &mut database, "main", &contents).await;
            let server = Server::start(&store);
            let mut proofs = server.proofs().await;
            let tree = Tree::of(contents);
            tiled(&mut database, "main", 66_000).await;
            all_of(&mut proofs, &tree, &[1, 256, 65_535, 65_536, 65_537, 66_000]).await;
            // What is in a tile is proved without its event, which retention may have removed.
            database.run("DELETE FROM events WHERE log = 'main' AND position < 65792").await;
            all_of(&mut proofs, &tree, &[1, 256, 65_535, 65_536, 65_537, 66_000]).await;
        });
    }
}

#[test]
fn while_the_log_grows() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut proofs) = (server.audit().await, server.proofs().await);
            let (sizes, mut grown) = tokio::sync::watch::channel(0);
            let growing = tokio::spawn(async move {
                for _ in 0..30 {
                    let events = (0..100).map(|_| events::hold("device-1")).collect();
                    let answer = append(&mut audit, atomic(events)).await;
                    sizes.send_replace(answer.tree_size);
                }
            });
            let mut answers = Vec::new();
            while grown.changed().await.is_ok() {
                let size = *grown.borrow_and_update();
                for position in [0, size / 3, size - 1] {
                    let request =
                        GetInclusionProofRequest { position, tree_size: size, ..Default::default() };
                    let answer = proofs.get_inclusion_proof(request).await.expect("a proof").into_inner();
                    answers.push((position, size, answer));
                }
                let request = GetConsistencyProofRequest {
                    first_size: 1 + size / 2,
                    second_size: size,
                    ..Default::default()
                };
                let answer = proofs.get_consistency_proof(request).await.expect("a proof").into_inner();
                assert_eq!(answer.second.expect("a tree").tree_size, size);
            }
            growing.await.expect("appended");
            let tree = Tree::stored(&mut Database::open(&store).await, "main").await;
            assert!(!answers.is_empty());
            for (position, size, answer) in answers {
                tree.holds(position, size, &answer);
            }
        });
    }
}

#[test]
fn a_size_that_was_signed_comes_with_its_note() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&test).await;
            let contents = numbers(900);
            fill(&test, &mut database, "main", &contents).await;
            let tree = Tree::of(contents);
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            for size in [300, 800] {
                let checkpoint = StoredCheckpoint {
                    tree: TreeHead { size, root: tree.root(size) },
                    signed_note: format!("note of {size}"),
                    signed_at: 7,
                };
                let log = LogName::parse("main").expect("a log");
                store.add_checkpoint(&log, &checkpoint).await.expect("kept");
            }
            store.close().await;
            let server = Server::start(&test);
            let mut proofs = server.proofs().await;
            for (min_tree_size, size) in [(0, 800), (1, 300), (300, 300), (301, 800), (800, 800)] {
                let request = GetCheckpointRequest { min_tree_size, ..GetCheckpointRequest::default() };
                let found = proofs.get_checkpoint(request).await.expect("a checkpoint").into_inner();
                let found = found.checkpoint.expect("a checkpoint");
                assert_eq!((found.log.as_str(), found.tree_size), ("main", size), "{kind:?}");
                assert_eq!(found.signed_note, format!("note of {size}"));
                assert_eq!(found.root_hash[..], tree.root(size));
            }
            for (asked, size, note) in [
                (0, 800, "note of 800"),
                (800, 800, "note of 800"),
                (300, 300, "note of 300"),
                (301, 301, ""),
                (900, 900, ""),
            ] {
                let request =
                    GetInclusionProofRequest { position: 299, tree_size: asked, ..Default::default() };
                let answer = proofs.get_inclusion_proof(request).await.expect("a proof").into_inner();
                tree.holds(299, size, &answer);
                assert_eq!(answer.checkpoint.expect("a tree").signed_note, note, "{kind:?} {asked}");
                let request =
                    GetConsistencyProofRequest { first_size: 300, second_size: asked, ..Default::default() };
                let answer = proofs.get_consistency_proof(request).await.expect("a proof").into_inner();
                tree.begins(300, size, &answer);
                assert_eq!(answer.first.expect("a tree").signed_note, "note of 300", "{kind:?} {asked}");
                assert_eq!(answer.second.expect("a tree").signed_note, note, "{kind:?} {asked}");
            }
        });
    }
}
