//! PostgreSQL 15 or newer: the production store. Several replicas may append to one database; the
//! locked head row decides.
mod append;
mod copy;
mod erase;
mod examine;
mod figures;
mod filling;
mod index;
mod index_write;
mod partitions;
mod pool;
mod pooler;
mod producer_list;
mod producers;
mod quarantine;
mod read;
mod replica;
mod retention;
mod schema;
mod session;
mod tree;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
pub use examine::examine;
use replica::Replica;
use session::Target;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::{
    Appender, CountRequest, Counted, Discard, HashMap, Key, Known, LastSeen, LogName, PageRequest, Producer,
    ProducerDetail, ProducerPage, ProducerRow, QuarantineCursor, QuarantineFilter, QuarantineKey,
    QuarantinePage, QuarantinedRow, Rows, Store, StoreError, StoredEvent, from_sql,
    sql::{Dialect, Lists},
};
use crate::tree::Frontier;

/// In the "C" collation lower() folds ASCII letters only, as SQLite's does.
pub(super) const DIALECT: Dialect =
    Dialect { find: "strpos", lower: ("lower((", ") COLLATE \"C\")"), character: "chr", lists: Lists::Array };

/// Connections for reading by key, and how long a request waits for one.
const READERS: (u32, Duration) = (4, Duration::from_secs(5));
/// Connections for what is written beside appends: tiles, checkpoints, what an administrator asks for. Each may wait
/// for a standby that is not there, which reads must not notice.
const WRITERS: (u32, Duration) = (2, Duration::from_secs(5));
/// Connections for pages and counts of queries. They take their time, and wait for each other in line; what is
/// read by key must not stand in it.
const SCANNERS: (u32, Duration) = (6, Duration::from_secs(30));
/// Counts that run at a time: each statement of one takes a while, and pages must not wait behind all of them.
const COUNTING: usize = 3;
/// How long a statement may take: a little longer than the server's own statement timeout, which does not end one whose
/// commit waits for a standby.
const READ_LIMIT: Duration = Duration::from_secs(65);

/// Every read goes by a key, in its order. A plan that is kept reads partitions that came later by whatever
/// looked cheap while they were empty: so each statement is planned for its values, which takes some 0.2 ms. A table without statistics must not be read through; a
/// bitmap reads all of a range before its first row; and compiling a statement takes longer than running it.
const BY_KEY: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
];

/// A PostgreSQL database.
pub struct PostgresStore {
    target: Target,
    readers: PgPool,
    writers: PgPool,
    scanners: PgPool,
    counting: Semaphore,
    /// One connection for the readiness check and the heads of followed logs alone: slow queries on every
    /// other one must not make the server look dead, nor followers late.
    sentinel: PgPool,
    replica: Arc<Replica>,
}

impl PostgresStore {
    /// Connects.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let target = Target::parse(url)?;
        // Alone first: a pool would wait, and then say that it timed out and not why.
        let mut first = target.connect().await?;
        session::warn_if_logged(&mut first).await?;
        sqlx::Connection::close(first).await.map_err(failed)?;
        let by_key = target.with(&BY_KEY);
        let pool = async |size, target: &Target| {
            pool::pool(size, target.options.clone(), target.opener()).await.map_err(failed)
        };
        let readers = pool(READERS, &by_key).await?;
        let writers = pool(WRITERS, &by_key).await?;
        let scanners = pool(SCANNERS, &by_key).await?;
        let sentinel = pool((1, READERS.1), &target).await?;
        Ok(Self {
            target,
            readers,
            writers,
            scanners,
            counting: Semaphore::new(COUNTING),
            sentinel,
            replica: Arc::default(),
        })
    }

    /// All of its pools.
    const fn pools(&self) -> [&PgPool; 4] {
        [&self.readers, &self.writers, &self.scanners, &self.sentinel]
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.target.connect().await?;
        schema::migrate(&mut connection).await?;
        filling::fill(&mut connection).await?;
        sqlx::Connection::close(connection).await.map_err(failed)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let mut connection = self.sentinel.acquire().await.map_err(failed)?;
        schema::ready(&mut connection).await
    }

    async fn appender(&self) -> Result<Box<dyn Appender>, StoreError> {
        // An append looks rows up by key and never reads a table through. A plan made while a table was empty
        // would, for as long as it is kept: tables that fill and empty again, such as the gaps of producers,
        // are vacuumed to no page at all.
        // A scan that cannot be helped costs so much then, on paper, that each would be compiled first: 50 ms.
        let mut connection = self.target.with(&[("enable_seqscan", "off"), ("jit", "off")]).connect().await?;
        append::insist_on_durability(&mut connection, self.replica.is_required()).await?;
        Ok(Box::new(append::PostgresAppender::new(connection, Arc::clone(&self.replica))))
    }

    async fn confirm_by_replica(&self) -> Result<(), StoreError> {
        self.replica.look(&self.target).await
    }

    async fn tree(&self, log: &LogName) -> Result<Frontier, StoreError> {
        let query = sqlx::query(include_str!("tree.sql")).bind(log.as_str());
        let row = within(query.fetch_optional(&self.readers)).await?;
        row.map_or_else(|| Ok(Frontier::default()), |row| append::tree(&row, 0))
    }

    async fn heads(&self, logs: &[LogName]) -> Result<HashMap<LogName, u64>, StoreError> {
        let logs: Vec<&str> = logs.iter().map(LogName::as_str).collect();
        let query = sqlx::query_as(include_str!("heads.sql")).bind(logs);
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
        quarantine::rows(&self.readers, log, rows).await
    }

    async fn discard(
        &self,
        log: &LogName,
        rows: &[QuarantineKey],
        discard: &Discard,
    ) -> Result<(), StoreError> {
        quarantine::discard(&self.writers, log, rows, discard).await
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
        let propose = sqlx::query(include_str!("shared_value_propose.sql")).bind(name).bind(proposed);
        within(propose.execute(&self.writers)).await?;
        let value = sqlx::query_scalar(include_str!("shared_value.sql")).bind(name);
        within(value.fetch_one(&self.readers)).await
    }

    async fn reusable_bytes(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn close(&self) {
        self.scanners.close().await;
        self.readers.close().await;
        self.writers.close().await;
        self.sentinel.close().await;
    }
}

/// Runs a statement of a pool, for as long as it may take.
async fn within<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(READ_LIMIT, statement).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed_read(error)),
        Err(_) => Err(late()),
    }
}

/// One that the server did not even cancel: the host has stopped answering, or a standby has.
fn late() -> StoreError {
    StoreError::Unavailable(format!("no answer within {} s", READ_LIMIT.as_secs()).into())
}

/// Classes an error of a read. `query_canceled` is the statement timeout.
fn failed_read(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) if database.code().as_deref() == Some("57014") => {
            StoreError::TooSlow(error.into())
        }
        _ => failed(error),
    }
}

/// Classes an error by what the caller must do.
fn failed(error: sqlx::Error) -> StoreError {
    let passing = match &error {
        sqlx::Error::Database(database) => database.code().is_some_and(|code| passing(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    if pooler::is_pooled(&error) {
        return StoreError::Pooled(error.into());
    }
    match passing {
        true => StoreError::Unavailable(error.into()),
        false => StoreError::Broken(error.into()),
    }
}

/// SQLSTATEs that pass by themselves or once somebody has made room.
fn passing(code: &str) -> bool {
    // Connection, sign-in (a password that is being changed), no such database (one that is being
    // restored), rollback (serialization, deadlock), resources (disk full, too many connections), operator
    // intervention (shutdown, cancel), system error.
    let class = ["08", "28", "3D", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class));
    // A database that takes no connections, lock not available, idle-in-transaction timeout, read-only (a
    // standby after a failover), and a partition that is missing because the head moved far, which a fresh
    // appender makes (23514).
    class || ["55000", "55P03", "25P03", "25006", "23514"].contains(&code)
}
