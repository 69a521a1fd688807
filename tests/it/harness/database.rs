//! The store itself, opened behind the server's back: for what no RPC shows, and for faults.
use std::str::FromStr as _;

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

use super::{Kind, TestStore};

/// A connection to a store.
pub enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    /// Opens a store.
    pub async fn open(store: &TestStore) -> Self {
        match store.kind {
            Kind::Sqlite => {
                let options = SqliteConnectOptions::from_str(&store.url).expect("a SQLite URL");
                Self::Sqlite(SqliteConnection::connect_with(&options).await.expect("the database file"))
            }
            Kind::Postgres => Self::Postgres(PgConnection::connect(&store.url).await.expect("the database")),
        }
    }

    /// Runs a statement.
    pub async fn run(&mut self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(connection) => drop(connection.execute(statement).await.expect("a statement")),
            Self::Postgres(connection) => drop(connection.execute(statement).await.expect("a statement")),
        }
    }

    /// The one number that a query returns.
    pub async fn number(&mut self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_one(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_one(connection).await,
        }
        .expect("a number")
    }

    /// The texts that a query of one column returns.
    pub async fn texts(&mut self, query: &str) -> Vec<String> {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
        }
        .expect("texts")
    }

    /// The bytes that a query of one column returns.
    pub async fn bytes(&mut self, query: &str) -> Vec<Vec<u8>> {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
        }
        .expect("bytes")
    }

    /// Says on PostgreSQL that a log without events holds so many. Their tree has no meaning, but the right form.
    pub async fn pretend(&mut self, log: &str, size: u64) {
        let frontier = "00".repeat(32 * size.count_ones() as usize);
        let head = format!("'{log}', {size}, {size}, decode('{frontier}', 'hex')");
        self.run(&format!("INSERT INTO log_head (log, size, tree_size, frontier) VALUES ({head})")).await;
    }

    /// Rows of a table that has logs, without those of the self-audit.
    pub async fn rows(&mut self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table} WHERE log <> 'audit'")).await
    }
}

/// Asserts that a store holds no event of a caller, in whatever log, neither stored nor in quarantine,
/// and knows no producer.
pub async fn assert_empty(store: &TestStore) {
    let mut database = Database::open(store).await;
    for table in ["events", "event_keys", "quarantine", "producers", "producer_epochs", "producer_gaps"] {
        assert_eq!(database.rows(table).await, 0, "rows of {table} on {:?}", store.kind);
    }
}
