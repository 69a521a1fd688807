//! What `ProofService` cannot prove it refuses, and says how far the log is.
use chancery::{
    event::LogName,
    proto::v1::{GetCheckpointRequest, GetConsistencyProofRequest, GetInclusionProofRequest},
    store::{self, StoredCheckpoint},
    tree::TreeHead,
};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::Refusal,
    database::Database,
    server::Server,
    trees::{Tree, fill, numbers},
};

#[test]
fn positions_and_sizes_that_are_no_tree() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&test).await;
            fill(&test, &mut database, "unsigned", &numbers(20)).await;
            fill(&test, &mut database, "main", &numbers(20)).await;
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            let root = Tree::of(numbers(10)).root(10);
            let tree = TreeHead { size: 10, root };
            let checkpoint = StoredCheckpoint { tree, signed_note: "note".to_owned(), signed_at: 7 };
            let main = LogName::parse("main").expect("a log");
            store.add_checkpoint(&main, &checkpoint).await.expect("kept");
            store.close().await;
            let server = Server::start(&test);
            let mut proofs = server.proofs().await;
            let assert = |refused: &tonic::Status, reason: &str, code, field: &str, size: Option<&str>| {
                let refusal = Refusal::of(refused);
                assert_eq!((refusal.reason.as_str(), refusal.code), (reason, code), "{kind:?} {refusal:?}");
                let fields: Vec<_> = if field.is_empty() { vec![] } else { vec![field] };
                assert_eq!(refusal.fields(), fields, "{refusal:?}");
                assert_eq!(refusal.metadata.get("tree_size").map(String::as_str), size, "{refusal:?}");
            };
            use Code::{InvalidArgument, NotFound, OutOfRange};
            for (log, min_tree_size, reason, code, field, size) in [
                ("none", 0, "NO_CHECKPOINT", NotFound, "", None),
                ("unsigned", 0, "NO_CHECKPOINT", NotFound, "", None),
                ("unsigned", 20, "NO_CHECKPOINT", NotFound, "", None),
                ("main", 11, "NO_CHECKPOINT", NotFound, "", None),
                ("main", 21, "SIZE_NOT_REACHED", OutOfRange, "min_tree_size", Some("20")),
                ("none", 1, "SIZE_NOT_REACHED", OutOfRange, "min_tree_size", Some("0")),
                ("main", u64::MAX, "SIZE_NOT_REACHED", OutOfRange, "min_tree_size", Some("20")),
                ("No log", 0, "INVALID_LOG", InvalidArgument, "log", None),
            ] {
                let request = GetCheckpointRequest { log: log.to_owned(), min_tree_size };
                let refused = proofs.get_checkpoint(request).await.expect_err("no checkpoint");
                assert(&refused, reason, code, field, size);
            }
            for (log, position, tree_size, reason, code, field, size) in [
                ("none", 0, 0, "NO_CHECKPOINT", NotFound, "", None),
                ("unsigned", 0, 0, "NO_CHECKPOINT", NotFound, "", None),
                ("none", 0, 1, "SIZE_NOT_REACHED", OutOfRange, "tree_size", Some("0")),
                ("main", 0, 21, "SIZE_NOT_REACHED", OutOfRange, "tree_size", Some("20")),
                ("unsigned", 0, u64::MAX, "SIZE_NOT_REACHED", OutOfRange, "tree_size", Some("20")),
                ("main", 10, 0, "POSITION_NOT_REACHED", OutOfRange, "position", Some("10")),
                ("main", u64::MAX, 0, "POSITION_NOT_REACHED", OutOfRange, "position", Some("10")),
                ("main", 10, 10, "INVALID_TREE_SIZE", InvalidArgument, "tree_size", None),
                ("main", 20, 20, "INVALID_TREE_SIZE", InvalidArgument, "tree_size", None),
                ("No log", 0, 0, "INVALID_LOG", InvalidArgument, "log", None),
            ] {
                let request = GetInclusionProofRequest { log: log.to_owned(), position, tree_size };
                let refused = proofs.get_inclusion_proof(request).await.expect_err("no proof");
                assert(&refused, reason, code, field, size);
            }
            for (log, first_size, second_size, reason, code, field, size) in [
                ("main", 0, 10, "INVALID_TREE_SIZE", InvalidArgument, "first_size", None),
                ("main", 12, 11, "INVALID_TREE_SIZE", InvalidArgument, "first_size", None),
                ("main", 11, 0, "SIZE_NOT_REACHED", OutOfRange, "first_size", Some("10")),
                ("main", 10, 21, "SIZE_NOT_REACHED", OutOfRange, "second_size", Some("20")),
                ("unsigned", 10, 0, "NO_CHECKPOINT", NotFound, "", None),
                ("none", 1, 1, "SIZE_NOT_REACHED", OutOfRange, "second_size", Some("0")),
                ("No log", 1, 1, "INVALID_LOG", InvalidArgument, "log", None),
            ] {
                let request = GetConsistencyProofRequest { log: log.to_owned(), first_size, second_size };
                let refused = proofs.get_consistency_proof(request).await.expect_err("no proof");
                assert(&refused, reason, code, field, size);
            }
        });
    }
}

#[test]
fn a_log_whose_tiles_are_far_behind_is_to_be_asked_again() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut database = Database::open(&test).await;
            fill(&test, &mut database, "main", &numbers(70_000)).await;
            // Tiles that nobody can write: the table is read only.
            let refuse = match kind {
                crate::harness::Kind::Sqlite => {
                    "CREATE TRIGGER no BEFORE INSERT ON tiles BEGIN SELECT RAISE(ABORT, 'no'); END"
                }
                crate::harness::Kind::Postgres => "ALTER TABLE tiles ADD CONSTRAINT no CHECK (level < 0)",
            };
            database.run(refuse).await;
            let server = Server::start(&test);
            let mut proofs = server.proofs().await;
            let request = GetInclusionProofRequest { position: 5, tree_size: 70_000, ..Default::default() };
            let refused = proofs.get_inclusion_proof(request).await.expect_err("no proof");
            let refusal = Refusal::of(&refused);
            assert_eq!(
                (refusal.reason.as_str(), refusal.code),
                ("TILES_BEHIND", Code::Unavailable),
                "{kind:?}"
            );
            assert!(refusal.retry_after.is_some());
            // A smaller tree is within what is read for one proof.
            let request = GetInclusionProofRequest { position: 5, tree_size: 60_000, ..Default::default() };
            let answer = proofs.get_inclusion_proof(request).await.expect("a proof").into_inner();
            Tree::of(numbers(60_000)).holds(5, 60_000, &answer);
        });
    }
}
