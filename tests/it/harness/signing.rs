//! Servers that sign, their keys, and the checkpoints that they store.
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chancery::{
    event::LogName,
    note::{self, Key, Opened, VerifierKey},
    proto::v1::AppendRequest,
};
use tokio::time::sleep;

use super::{
    TestStore,
    calls::{append, atomic},
    database::Database,
    events,
    server::{Server, chancery},
};

/// Name of the keys of tests.
pub const NAME: &str = "audit.example.com/test";
/// No checkpoint takes as long as this, on however busy a machine.
const MOST: Duration = Duration::from_secs(60);

/// A key in a file of a store's folder.
pub fn key(store: &TestStore) -> PathBuf {
    let path = store.folder.path().join("chancery.key");
    if !path.exists() {
        let made = chancery().args(["keys", "generate", NAME, "--out"]).arg(&path).output();
        let made = made.expect("chancery keys generate");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    path
}

/// What verifies the checkpoints of a log.
pub fn verifier(store: &TestStore, log: &str) -> VerifierKey {
    let text = std::fs::read_to_string(key(store)).expect("a key");
    Key::parse(text.trim_end()).expect("a key").verifier(&LogName::parse(log).expect("a name"))
}

/// Starts a server that signs, with its state in the store's folder.
pub fn signing(store: &TestStore, flags: &[&str]) -> Server {
    let key = key(store);
    let mut all = vec!["--signing-key-file", key.to_str().expect("a path")];
    all.extend(flags);
    Server::start_with(store, &all)
}

/// The signer's folder.
pub fn state(store: &TestStore) -> PathBuf {
    store.folder.path().join("chancery-signer")
}

/// Appends so many events to a log; size and root of its tree then.
pub async fn grow(server: &Server, log: &str, events: usize) -> (u64, Vec<u8>) {
    let batch = (0..events).map(|_| events::hold("device")).collect();
    let request = AppendRequest { log: log.to_owned(), ..atomic(batch) };
    let answer = append(&mut server.audit().await, request).await;
    (answer.tree_size, answer.root_hash.to_vec())
}

/// Waits for the checkpoint of a tree, as it is stored, and opens it.
pub async fn checkpoint(store: &TestStore, log: &str, size: u64) -> Opened {
    let note = note(store, log, size, |_| true).await;
    note::open(&note, &[verifier(store, log)]).expect("a signed checkpoint")
}

/// Waits for the note of a tree's checkpoint, until it is as wanted.
pub async fn note(store: &TestStore, log: &str, size: u64, wanted: impl Fn(&str) -> bool) -> String {
    let mut database = Database::open(store).await;
    let query = format!("SELECT signed_note FROM checkpoints WHERE log = '{log}' AND tree_size = {size}");
    let began = Instant::now();
    loop {
        if let Some(note) = database.texts(&query).await.into_iter().next()
            && wanted(&note)
        {
            return note;
        }
        assert!(began.elapsed() < MOST, "no such checkpoint of {log} with {size} events");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Sizes of the stored checkpoints of a log.
pub async fn sizes(store: &TestStore, log: &str) -> Vec<String> {
    let query = format!(
        "SELECT CAST(tree_size AS TEXT) FROM checkpoints WHERE log = '{log}' ORDER BY checkpoints.tree_size"
    );
    Database::open(store).await.texts(&query).await
}

/// Waits for a file, and returns its text.
pub async fn file(path: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(path)
            && wanted(&text)
        {
            return text;
        }
        assert!(began.elapsed() < MOST, "no such {}", path.display());
        sleep(Duration::from_millis(20)).await;
    }
}
