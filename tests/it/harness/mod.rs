//! What every test stands on: stores, server processes, clients and events.
pub mod access;
pub mod backup;
pub mod calls;
pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod database;
pub mod events;
pub mod guarded;
pub mod issuer;
pub mod live;
pub mod log;
pub mod metrics;
pub mod pooler;
pub mod postgres;
pub mod previous;
pub mod producers;
pub mod receiver;
pub mod scripted;
pub mod server;
pub mod signing;
pub mod stalled;
pub mod stream;
pub mod terminal;
pub mod trees;
pub mod types;
pub mod witness;
pub mod writers;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::time::sleep;

/// Which database a test runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    /// How many servers a test has on one database: a SQLite file has one.
    pub const fn replicas(self) -> usize {
        match self {
            Self::Sqlite => 1,
            Self::Postgres => 2,
        }
    }
}

/// Both databases.
pub const KINDS: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

/// An empty store of its own for one test; gone with it.
pub struct TestStore {
    pub kind: Kind,
    pub url: String,
    /// Holds the SQLite file, and whatever else a test wants to write.
    pub folder: tempfile::TempDir,
}

impl TestStore {
    /// A migrated, empty store.
    pub fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = match kind {
            Kind::Sqlite => format!("sqlite:{}", folder.path().join("chancery.db").display()),
            Kind::Postgres => postgres::database(),
        };
        let migrated =
            server::chancery().args(["migrate", "--store", &url]).output().expect("chancery migrate");
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        Self { kind, url, folder }
    }

    /// A store that is there already.
    pub fn at(kind: Kind, url: &str) -> Self {
        Self { kind, url: url.to_owned(), folder: tempfile::tempdir().expect("a temporary folder") }
    }
}

/// The root of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs an async test on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
