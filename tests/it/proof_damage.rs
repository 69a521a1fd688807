//! A tile that somebody alters in the database makes no wrong proof: the call fails, and the log says why.
use chancery::{
    event::LogName,
    proto::v1::{GetConsistencyProofRequest, GetInclusionProofRequest},
    store::{self, StoredCheckpoint},
    tree::TreeHead,
};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::Refusal,
    database::Database,
    server::Server,
    trees::{Tree, fill, literal, numbers, tiled},
};

#[test]
fn an_altered_tile_is_an_error() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&test).await;
            let contents = numbers(66_000);
            fill(&test, &mut database, "main", &contents).await;
            let tree = Tree::of(contents);
            let server = Server::start(&test);
            let mut proofs = server.proofs().await;
            tiled(&mut database, "main", 66_000).await;
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            let checkpoint = StoredCheckpoint {
                tree: TreeHead { size: 65_900, root: tree.root(65_900) },
                signed_note: "note".to_owned(),
                signed_at: 7,
            };
            let log = LogName::parse("main").expect("a log");
            store.add_checkpoint(&log, &checkpoint).await.expect("kept");
            store.close().await;
            let (position, tree_size) = (12_345, 66_000);
            let inclusion = || GetInclusionProofRequest { position, tree_size, ..Default::default() };
            let consistency = || GetConsistencyProofRequest {
                first_size: position,
                second_size: tree_size,
                ..Default::default()
            };
            let mut errors = 0;
            for (column, level, tile) in [
                ("hashes", 0, 48),
                ("hashes", 1, 0),
                ("root", 0, 256),
                ("root", 1, 0),
                ("hashes", 0, 0),
                ("root", 0, 48),
            ] {
                let place = format!("WHERE log = 'main' AND level = {level} AND tile = {tile}");
                let kept = database.bytes(&format!("SELECT {column} FROM tiles {place}")).await.remove(0);
                let mut altered = kept.clone();
                altered[7] ^= 1;
                let set =
                    |bytes: &[u8]| format!("UPDATE tiles SET {column} = {} {place}", literal(kind, bytes));
                database.run(&set(&altered)).await;
                match proofs.get_inclusion_proof(inclusion()).await {
                    Ok(answer) => tree.holds(position, tree_size, &answer.into_inner()),
                    Err(refused) => {
                        errors += 1;
                        let refusal = Refusal::of(&refused);
                        assert_eq!((refusal.reason.as_str(), refusal.code), ("INTERNAL", Code::Internal));
                    }
                }
                match proofs.get_consistency_proof(consistency()).await {
                    Ok(answer) => tree.begins(position, tree_size, &answer.into_inner()),
                    Err(_) => errors += 1,
                }
                database.run(&set(&kept)).await;
            }
            assert!(errors >= 6, "{kind:?}: only {errors} of the changes mattered");
            let log = server.log();
            let told = log.lines().filter(|line| line.contains("a proof could not be made")).count();
            assert_eq!(told, errors, "{kind:?}: {log}");
            // As it was, it proves again.
            let answer = proofs.get_inclusion_proof(inclusion()).await.expect("a proof").into_inner();
            tree.holds(position, tree_size, &answer);
        });
    }
}

#[test]
fn a_root_that_contradicts_the_signed_one_is_not_given_out() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&test).await;
            fill(&test, &mut database, "main", &numbers(10)).await;
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            let tree = TreeHead { size: 8, root: [1; 32] };
            let checkpoint = StoredCheckpoint { tree, signed_note: "note".to_owned(), signed_at: 7 };
            let log = LogName::parse("main").expect("a log");
            store.add_checkpoint(&log, &checkpoint).await.expect("kept");
            store.close().await;
            let server = Server::start(&test);
            let mut proofs = server.proofs().await;
            for tree_size in [0, 7, 8, 9, 10] {
                let request = GetInclusionProofRequest { position: 3, tree_size, ..Default::default() };
                let refused = proofs.get_inclusion_proof(request).await.expect_err("no proof");
                assert_eq!(Refusal::of(&refused).reason, "INTERNAL", "{kind:?} {tree_size}");
            }
        });
    }
}
