//! SQLite: the embedded default. One file, WAL, `synchronous=FULL`: a commit is on the disk before it
//! is acked. One writer at a time; readers are never blocked by it.
mod append;
mod erase;
mod examine;
mod figures;
mod filling;
mod index;
mod index_write;
mod producer_list;
mod producers;
mod quarantine;
mod read;
mod retention;
mod schema;
mod tree;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
pub use examine::examine;
use sqlx::{
    ConnectOptions as _, Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use tokio::sync::{Mutex, Semaphore};

use super::{
    Appender, CountRequest, Counted, Discard, HashMap, Key, Known, LastSeen, LogName, PageRequest, Producer,
    ProducerDetail, ProducerPage, ProducerRow, QuarantineCursor, QuarantineFilter, QuarantineKey,
    QuarantinePage, QuarantinedRow, Rows, Store, StoreError, StoredEvent, from_sql,
    sql::{Dialect, Lists},
};
use crate::tree::Frontier;

pub(super) const DIALECT: Dialect =
    Dialect { find: "instr", lower: ("lower(", ")"), character: "char", lists: Lists::Json };

/// Connections for reading by key, and how long a request waits for one. Each is a thread with a page cache of
/// 2 MiB.
const READERS: (u32, Duration) = (2, Duration::from_secs(5));
/// Connections for pages and counts of queries. They take their time, and wait for each other in line; what is
/// read by key must not stand in it.
const SCANNERS: (u32, Duration) = (4, Duration::from_secs(30));
/// Counts that run at a time: each statement of one takes a while, and pages must not wait behind all of them.
const COUNTING: usize = 2;
/// How long a read may take.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// How long a writer waits for another process to let go of the write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A SQLite database file.
pub struct SqliteStore {
    path: PathBuf,
    /// One writer at a time, in the order of asking: SQLite's own lock is taken by whoever happens to
    /// look when it is free, so that a busy log would starve every other one.
    writer: Arc<Mutex<()>>,
    /// Held by whoever works on an index: what was read of it is what it still says when it is written.
    indexing: Arc<Mutex<()>>,
    readers: SqlitePool,
    scanners: SqlitePool,
    counting: Semaphore,
    /// One connection for the readiness check and the heads of followed logs alone: slow queries on every
    /// other one must not make the server look dead, nor followers late.
    sentinel: SqlitePool,
    /// One connection for what is written behind the appends, a statement at a time. Opened when it is needed.
    deriver: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, making it when it does not exist, readable by its owner only.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display()).into()))?;
        // What is not ours stays as it is.
        let mut look = plain(path).connect().await.map_err(failed)?;
        schema::applied(&mut look).await?;
        sqlx::Connection::close(look).await.map_err(failed)?;
        // One connection makes the file a WAL database before the readers come.
        let first = options(path).connect().await.map_err(failed)?;
        sqlx::Connection::close(first).await.map_err(failed)?;
        let pool = |(connections, wait)| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(wait)
                .connect_with(options(path).pragma("query_only", "ON"))
        };
        let readers = pool(READERS).await.map_err(failed)?;
        let scanners = pool(SCANNERS).await.map_err(failed)?;
        let sentinel = pool((1, READERS.1)).await.map_err(failed)?;
        let deriver = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(READERS.1)
            .connect_lazy_with(options(path));
        Ok(Self {
            path: path.to_owned(),
            writer: Arc::default(),
            indexing: Arc::default(),
            readers,
            scanners,
            counting: Semaphore::new(COUNTING),
            sentinel,
            deriver,
        })
    }
}

/// A connection that changes nothing by itself.
fn plain(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

fn options(path: &Path) -> SqliteConnectOptions {
    plain(path)
        // Larger pages than the default of 4 KiB: a row of some 700 bytes then lies whole in its leaf.
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What is erased is overwritten, not only unlinked.
        .pragma("secure_delete", "ON")
        .statement_cache_capacity(128)
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = options(&self.path).connect().await.map_err(failed)?;
        schema::migrate(&mut connection).await?;
        let _turn = self.writer.lock().await;
        filling::fill(&mut connection).await?;
        sqlx::Connection::close(connection).await.map_err(failed)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let mut connection = self.sentinel.acquire().await.map_err(failed)?;
        schema::ready(&mut connection).await
    }

    async fn confirm_by_replica(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn appender(&self) -> Result<Box<dyn Appender>, StoreError> {
        let connection = options(&self.path).connect().await.map_err(failed)?;
        Ok(Box::new(append::SqliteAppender::new(connection, Arc::clone(&self.writer))))
    }

    async fn tree(&self, log: &LogName) -> Result<Frontier, StoreError> {
        let query = sqlx::query(include_str!("tree.sql")).bind(log.as_str());
        let row = within(query.fetch_optional(&self.readers)).await?;
        row.map_or_else(|| Ok(Frontier::default()), |row| append::tree(&row, 0))
    }

    async fn heads(&self, logs: &[LogName]) -> Result<HashMap<LogName, u64>, StoreError> {
        let logs: Vec<&str> = logs.iter().map(LogName::as_str).collect();
        let query = sqlx::query_as(include_str!("heads.sql")).bind(serde_json::json!(logs).to_string());
        let rows: Vec<(String, i64)> = within(query.fetch_all(&self.sentinel)).await?;
        let rows = rows.into_iter().map(|(log, size)| {
            let log = LogName::parse(&log).map_err(super::broken)?;
            Ok((log, from_sql(size)?))
        });
        rows.collect()
    }

    async fn page(&self, request: &PageRequest<'_>) -> Result<Rows, StoreError> {
        read::page(&self.scanners, request).await
    }

    async fn event_at(&self, log: &LogName, position: u64) -> Result<Option<StoredEvent>, StoreError> {
        let query =
            sqlx::query(include_str!("event_at.sql")).bind(log.as_str()).bind(super::to_sql(position));
        let row = within(query.fetch_optional(&self.readers)).await?;
        row.as_ref().map(read::stored_event).transpose()
    }

    async fn known(&self, log: &LogName, keys: &[Key]) -> Result<HashMap<Key, Known>, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(failed)?;
        append::known(&mut connection, log, keys).await
    }

    async fn count(&self, request: &CountRequest<'_>) -> Result<Vec<Counted>, StoreError> {
        let _turn = self.counting.acquire().await.map_err(super::broken)?;
        read::count(&self.scanners, request).await
    }

    async fn quarantined(&self, page: &QuarantinePage<'_>) -> Result<Vec<QuarantinedRow>, StoreError> {
        quarantine::page(&self.readers, page).await
    }

    async fn count_quarantined(
        &self,
        log: &LogName,
        filter: &QuarantineFilter,
        after: Option<&QuarantineCursor>,
    ) -> Result<u64, StoreError> {
        quarantine::count(&self.readers, log, filter, after).await
    }

    async fn quarantined_rows(
        &self,
        log: &LogName,
        rows: &[QuarantineKey],
    ) -> Result<HashMap<QuarantineKey, QuarantinedRow>, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(failed)?;
        quarantine::rows(&mut connection, log, rows).await
    }

    async fn discard(
        &self,
        log: &LogName,
        rows: &[QuarantineKey],
        discard: &Discard,
    ) -> Result<(), StoreError> {
        let _turn = self.writer.lock().await;
        // Its own connection: a caller that goes away half-way must not leave a transaction behind.
        let mut connection = options(&self.path).connect().await.map_err(failed)?;
        quarantine::discard(&mut connection, log, rows, discard).await
    }

    async fn producers(&self, page: &ProducerPage<'_>) -> Result<Vec<ProducerRow>, StoreError> {
        producer_list::page(&self.readers, page).await
    }

    async fn producer(
        &self,
        log: &LogName,
        producer: &Producer,
    ) -> Result<Option<ProducerDetail>, StoreError> {
        producer_list::detail(&self.readers, log, producer).await
    }

    async fn last_seen(&self, most: u32, since: i64) -> Result<LastSeen, StoreError> {
        producer_list::last_seen(&self.readers, most, since).await
    }

    async fn shared_value(&self, name: &'static str, proposed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut connection = options(&self.path).connect().await.map_err(failed)?;
        sqlx::query(include_str!("shared_value_propose.sql"))
            .bind(name)
            .bind(proposed)
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        let row = sqlx::query(include_str!("shared_value.sql"))
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        row.try_get(0).map_err(failed)
    }

    async fn reusable_bytes(&self) -> Result<u64, StoreError> {
        let bytes = sqlx::query_scalar(include_str!("reusable_bytes.sql"));
        from_sql(within(bytes.fetch_one(&self.sentinel)).await?)
    }

    async fn close(&self) {
        self.scanners.close().await;
        self.readers.close().await;
        self.sentinel.close().await;
        self.deriver.close().await;
    }
}

/// Runs a read, for as long as it may take.
async fn within<T>(read: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(READ_LIMIT, read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(StoreError::TooSlow(format!("no end within {} s", READ_LIMIT.as_secs()).into())),
    }
}

/// Classes an error by what the caller must do. In SQLite nothing is ever committed by a statement
/// that failed, so every retryable failure is `Unavailable`.
fn failed(error: sqlx::Error) -> StoreError {
    // SQLITE_BUSY 5, LOCKED 6, NOMEM 7, READONLY 8, IOERR 10, FULL 13, CANTOPEN 14: the low byte of
    // the extended code. They pass, or somebody must make room.
    const PASSING: [i64; 7] = [5, 6, 7, 8, 10, 13, 14];
    let passing = match &error {
        sqlx::Error::Database(_) => primary_code(&error).is_some_and(|code| PASSING.contains(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    match passing {
        true => StoreError::Unavailable(error.into()),
        false => StoreError::Broken(error.into()),
    }
}

/// Whether the disk is full.
fn is_full(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(13)
}

/// SQLite's code without what extends it.
fn primary_code(error: &sqlx::Error) -> Option<i64> {
    let code: i64 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

#[cfg(test)]
mod plans_tests;
