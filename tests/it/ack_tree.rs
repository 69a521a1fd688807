//! Every ack names the tree that its events are in: the root over the records that are stored, of every size that
//! an ack was given for, whoever appends; and programs that know of no tree leave nothing behind that stays so.
use chancery::proto::v1::{AppendMode, AppendRequest, AppendResponse, AppendStreamRequest};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use futures::future::join_all;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{atomic, from_producer},
    database::Database,
    events,
    server::{Server, chancery},
};

/// The roots of the stored records by size, as an independent library has them.
async fn roots(store: &TestStore, log: &str) -> Vec<Vec<u8>> {
    let mut database = Database::open(store).await;
    let query = format!("SELECT record FROM events WHERE log = '{log}' ORDER BY position");
    let mut tree = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let mut roots = vec![tree.root().as_bytes().to_vec()];
    for record in database.bytes(&query).await {
        tree.push(record);
        roots.push(tree.root().as_bytes().to_vec());
    }
    roots
}

fn batch(events: usize) -> AppendRequest {
    atomic((0..events).map(|number| events::hold(&number.to_string())).collect())
}

fn assert_true(answers: &[AppendResponse], roots: &[Vec<u8>]) {
    for answer in answers {
        let size = usize::try_from(answer.tree_size).expect("a size");
        assert_eq!(answer.root_hash[..], roots[size][..], "size {size}");
        let last = answer.results.iter().filter_map(|result| result.position).max();
        assert!(last.is_none_or(|last| last < answer.tree_size), "the events are in the tree");
    }
}

#[test]
fn acks_name_the_root_over_what_is_stored() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let replicas: Vec<_> = (0..kind.replicas()).map(|_| Server::start(&store)).collect();
        block_on(async {
            let callers = (0..8_usize).map(|caller| {
                let server = &replicas[caller % replicas.len()];
                async move {
                    let mut audit = server.audit().await;
                    let mut answers = Vec::new();
                    for events in [1, 7, 2, 60, 1, 33] {
                        let request = batch(events);
                        let first = audit.append(request.clone()).await.expect("an ack").into_inner();
                        // A duplicate is in the tree as well.
                        let again = audit.append(request).await.expect("an ack").into_inner();
                        answers.extend([first, again]);
                    }
                    answers
                }
            });
            let answers: Vec<_> = join_all(callers).await.into_iter().flatten().collect();
            let roots = roots(&store, "main").await;
            assert_eq!(roots.len(), 8 * 104 + 1, "{kind:?}");
            assert_true(&answers, &roots);

            let mut audit = replicas[0].audit().await;
            let dry = AppendRequest { validate_only: true, ..batch(3) };
            let dry = audit.append(dry).await.expect("a dry run").into_inner();
            assert_eq!((dry.tree_size, dry.root_hash.len()), (0, 0));
            let mut malformed = batch(1);
            malformed.mode = AppendMode::PerEvent as i32;
            malformed.events[0].occurred_at = None;
            let rejected = audit.append(malformed).await.expect("an answer").into_inner();
            assert_eq!(rejected.tree_size, 8 * 104);
            assert_true(&[rejected], &roots);

            // A log of its own has a tree of its own.
            let other = AppendRequest { log: "other".to_owned(), ..batch(5) };
            let other = audit.append(other).await.expect("an ack").into_inner();
            assert_eq!(other.tree_size, 5);
            assert_true(&[other], &self::roots(&store, "other").await);
        });
    }
}

#[test]
fn acks_of_streams_name_it_too() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let messages = (1..=5_u64).map(|batch_number| AppendStreamRequest {
                batch_number,
                events: batch(9).events,
                ..AppendStreamRequest::default()
            });
            let request = from_producer("stream", tokio_stream::iter(messages));
            let mut stream = audit.append_stream(request).await.expect("a stream").into_inner();
            let mut answers = Vec::new();
            while let Some(message) = stream.message().await.expect("a message") {
                if message.acked_through > 0 {
                    let (tree_size, root_hash, results) =
                        (message.tree_size, message.root_hash, message.results);
                    answers.push(AppendResponse { results, tree_size, root_hash });
                }
            }
            assert_eq!(answers.len(), 5, "{kind:?}");
            assert_true(&answers, &roots(&store, "main").await);
        });
    }
}

#[test]
fn a_tree_that_was_left_behind_is_caught_up() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = Server::start(&store);
            let mut audit = server.audit().await;
            for _ in 0..40 {
                audit.append(batch(500)).await.expect("an ack");
            }
            drop(server);
            let mut database = Database::open(&store).await;
            // As an older program leaves it: the whole log, and then a part of it, more than is read at a time.
            for (size, edge) in
                [(0, "''"), (1, "(SELECT leaf_hash FROM events WHERE log = 'main' AND position = 0)")]
            {
                let edge = format!("CAST({edge} AS {})", if kind == Kind::Sqlite { "BLOB" } else { "BYTEA" });
                let leave = format!("UPDATE log_head SET tree_size = {size}, frontier = {edge}");
                database.run(&leave).await;
                let ran =
                    chancery().args(["migrate", "--store", &store.url]).output().expect("chancery migrate");
                assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
                assert_eq!(
                    database.number("SELECT tree_size FROM log_head WHERE log = 'main'").await,
                    20_000
                );
                if kind == Kind::Postgres {
                    // Without migrate: the next append does it.
                    database.run(&leave).await;
                }
                let server = Server::start(&store);
                let mut audit = server.audit().await;
                let answer = audit.append(batch(1)).await.expect("an ack").into_inner();
                assert_true(&[answer], &roots(&store, "main").await);
                drop(server);
                database.run("DELETE FROM event_keys WHERE log = 'main' AND position >= 20000").await;
                database.run("DELETE FROM events WHERE log = 'main' AND position >= 20000").await;
                database.run("UPDATE log_head SET size = 20000").await;
            }
        });
    }
}
