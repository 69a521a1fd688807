//! What the signer does where the store alone does not say enough: reads that may be old, a first signature, and
//! checkpoints of other keys.
use std::{fs, path::PathBuf};

use chancery::{
    event::LogName,
    note::{self, Key, VerifierKey},
};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    database::Database,
    metrics::metrics,
    server::{Server, chancery},
    signing::{checkpoint, file, grow, note, signing, sizes, state, verifier},
    until,
};

/// Ends every session of a database but one's own.
const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// What a standby that lags behind shows, and what a primary shows that another one has taken the place of.
#[test]
fn an_older_tree_in_a_database_that_takes_no_commits_is_no_fork() {
    let store = TestStore::new(Kind::Postgres);
    let server = signing(&store, &[]);
    block_on(async {
        let mut database = Database::open(&store).await;
        let (early, _) = grow(&server, "main", 3).await;
        checkpoint(&store, "main", early).await;
        database.run("CREATE TABLE early AS SELECT * FROM log_head").await;
        let (signed, _) = grow(&server, "main", 4).await;
        checkpoint(&store, "main", signed).await;
        database.run("CREATE TABLE late AS SELECT * FROM log_head").await;
        let name = store.url.rsplit_once('/').expect("a database").1.to_owned();
        let head = |of: &str| {
            format!(
                "UPDATE log_head SET size = {of}.size, tree_size = {of}.tree_size, frontier = {of}.frontier
                 FROM {of} WHERE log_head.log = {of}.log"
            )
        };
        database.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
        database.run(KILL).await;
        database.run(&head("early")).await;
        until("it is seen", || async { server.log().contains("which is not certain") }).await;
        assert_eq!(metrics(&server).await["chancery_checkpoint_halted_logs"], 0.0);
        assert!(!state(&store).join("main.fork").exists(), "{}", server.log());
        // It catches up, or the right one is found.
        database.run(&head("late")).await;
        database.run(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
        database.run(KILL).await;
        let (size, _) = grow(&server, "main", 1).await;
        assert_eq!(size, signed + 1);
        checkpoint(&store, "main", size).await;
    });
}

#[test]
fn a_first_checkpoint_is_of_the_tree_of_the_events() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = Server::start(&store);
            grow(&server, "main", 5).await;
            drop(server);
            let hash = match kind {
                Kind::Sqlite => "zeroblob(32)",
                Kind::Postgres => "decode(repeat('00', 32), 'hex')",
            };
            let change = format!("UPDATE events SET leaf_hash = {hash} WHERE log = 'main' AND position = 2");
            Database::open(&store).await.run(&change).await;
            let server = signing(&store, &[]);
            until("it is seen", || async {
                server.log().contains("the tree of the log is not that of its events")
            })
            .await;
            // Others are signed.
            let (size, _) = grow(&server, "other", 1).await;
            checkpoint(&store, "other", size).await;
            assert!(sizes(&store, "main").await.is_empty(), "{kind:?}");
            assert!(!state(&store).join("main.checkpoint").exists(), "{kind:?}");
        });
    }
}

/// A key of another name, and its folder.
struct Other(PathBuf, PathBuf);

impl Other {
    fn new(store: &TestStore) -> Self {
        let path = store.folder.path().join("other.key");
        let made =
            chancery().args(["keys", "generate", "audit.example.com/anew", "--out"]).arg(&path).output();
        assert!(made.expect("chancery keys generate").status.success());
        Self(path, store.folder.path().join("other-signer"))
    }

    fn start(&self, store: &TestStore) -> Server {
        let Self(key, state) = self;
        let [key, state] = [key, state].map(|path| path.to_str().expect("a path"));
        Server::start_with(store, &["--signing-key-file", key, "--signer-state", state])
    }

    fn verifier(&self) -> VerifierKey {
        let text = fs::read_to_string(&self.0).expect("a key");
        Key::parse(text.trim_end()).expect("a key").verifier(&LogName::parse("main").expect("a name"))
    }
}

/// The way out after events were lost, `docs/signing.md`.
#[test]
fn a_key_of_a_new_name_signs_where_another_one_has_signed() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = signing(&store, &[]);
            let (size, root) = grow(&server, "main", 5).await;
            checkpoint(&store, "main", size).await;
            drop(server);
            let other = Other::new(&store);
            let server = other.start(&store);
            let anew = note(&store, "main", size, |text| note::open(text, &[other.verifier()]).is_ok()).await;
            let opened = note::open(&anew, &[other.verifier()]).expect("signed");
            assert_eq!((opened.checkpoint.head.size, &opened.checkpoint.head.root[..]), (size, &root[..]));
            assert_eq!(server.log().matches("this key begins anew").count(), 1, "{}", server.log());
            assert_eq!(sizes(&store, "main").await, [size.to_string()]);
        });
    }
}

#[test]
fn a_lost_folder_is_made_up_for_behind_checkpoints_of_other_keys_but_not_from_a_changed_row() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = signing(&store, &[]);
            let (first, _) = grow(&server, "main", 5).await;
            checkpoint(&store, "main", first).await;
            drop(server);
            // It grows before the other key sees it, which would sign this size too.
            let server = Server::start(&store);
            grow(&server, "main", 1).await;
            drop(server);
            let other = Other::new(&store);
            let server = other.start(&store);
            note(&store, "main", first + 1, |_| true).await;
            let (size, _) = grow(&server, "main", 1).await;
            note(&store, "main", size, |_| true).await;
            drop(server);
            fs::remove_dir_all(state(&store)).expect("removed");
            let server = signing(&store, &[]);
            checkpoint_of(&store, first + 2).await;
            let taken = "the newest one of this key in the store is taken";
            assert_eq!(server.log().matches(taken).count(), 1, "{}", server.log());
            assert!(!server.log().contains("begins anew"), "{}", server.log());
            drop(server);

            fs::remove_dir_all(state(&store)).expect("removed");
            let mut database = Database::open(&store).await;
            database.run("UPDATE checkpoints SET tree_size = tree_size + 1000 WHERE tree_size = 7").await;
            let server = signing(&store, &[]);
            until("it is seen", || async { server.log().contains("events holds another note") }).await;
            assert!(!state(&store).join("main.checkpoint").exists(), "{kind:?}");
        });
    }
}

/// Waits until this size is signed by the first key.
async fn checkpoint_of(store: &TestStore, size: u64) {
    let keys = [verifier(store, "main")];
    file(&state(store).join("main.checkpoint"), |text| {
        note::open(text, &keys).is_ok_and(|opened| opened.checkpoint.head.size == size)
    })
    .await;
    note(store, "main", size, |text| note::open(text, &keys).is_ok()).await;
}
