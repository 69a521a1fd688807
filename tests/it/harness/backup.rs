//! A backup of a store that no server runs on, and its restoration.
use std::fs;

use super::{Kind, TestStore, postgres::admin};

/// A copy of a whole store.
pub enum Backup {
    Sqlite(Vec<u8>),
    /// Name of the database.
    Postgres(String),
}

impl Backup {
    /// Copies a store.
    pub fn take(store: &TestStore) -> Self {
        Self::take_as(store, "backup")
    }

    /// Copies a store of which there are other copies.
    pub fn take_as(store: &TestStore, label: &str) -> Self {
        match store.kind {
            Kind::Sqlite => {
                let path = store.folder.path().join("chancery.db");
                // A server that ended has written its log into the file and removed it.
                assert!(!path.with_extension("db-wal").exists(), "the server has not ended");
                Self::Sqlite(fs::read(path).expect("the database"))
            }
            Kind::Postgres => {
                let (server, name) = place(store);
                let copy = format!("{name}_{label}");
                admin(&server, &format!("CREATE DATABASE {copy} TEMPLATE {name}"));
                Self::Postgres(copy)
            }
        }
    }

    /// Puts the copy in the place of the store.
    pub fn restore(&self, store: &TestStore) {
        match self {
            Self::Sqlite(bytes) => {
                let path = store.folder.path().join("chancery.db");
                assert!(!path.with_extension("db-wal").exists(), "the server has not ended");
                fs::write(path, bytes).expect("the database");
            }
            Self::Postgres(copy) => {
                let (server, name) = place(store);
                admin(&server, &format!("DROP DATABASE {name} WITH (FORCE)"));
                admin(&server, &format!("CREATE DATABASE {name} TEMPLATE {copy}"));
            }
        }
    }
}

/// The administrator's database, and the name of the store's.
fn place(store: &TestStore) -> (String, String) {
    let (server, name) = store.url.rsplit_once('/').expect("a database");
    (format!("{server}/postgres"), name.to_owned())
}
