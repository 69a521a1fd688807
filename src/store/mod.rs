//! The store: what a database must do for Chancery, and nothing of how.
//!
//! Two implementations, `sqlite` and `postgres`, are held to one behaviour by one conformance suite.
//! `sql` builds the statements that depend on a filter, for both. sqlx is used nowhere else.
//!
//! Writes go through an [`Appender`], which owns its database connection and belongs to one sequencer
//! task: a write must never share a connection with a request that may be dropped half-way. Reads go
//! through a pool, in short statements, never inside a long transaction.
mod causes;
mod erase;
mod examine;
mod figures;
mod filling;
mod index;
mod index_steps;
mod measured;
mod postgres;
mod producer_columns;
mod producers;
mod quarantine;
mod retention;
mod schema;
mod sql;
mod sqlite;
mod tree;
mod url;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::Range,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
pub use causes::{is_full, may_come};
pub use erase::{ErasedEvent, Eraser, ErasureCounts, ErasureRequest, Erasures};
pub use examine::{Examined, Finding, Standing, examine};
pub use figures::{Connections, Figures, Measures};
pub use index::{Behind, IndexReads, IndexWriter, Live, Moment, RollupRequest, Times};
pub use measured::Measured;
pub use producers::{
    Epoch, EpochKey, EpochRow, Gap, LastSeen, ProducerDelta, ProducerDetail, ProducerPage, ProducerRow,
    ProducerWrites, Run, StoredEpoch,
};
pub use quarantine::{
    Discard, QuarantineCursor, QuarantineFilter, QuarantineKey, QuarantinePage, QuarantinedRow,
};
pub use retention::{Extent, Hold, Marked, Retention};
pub use schema::SchemaFault;
pub use tree::{NewTile, StoredCheckpoint, TILE_BYTES, TreeReads, Trees, WantedCheckpoint};
pub use url::StoreUrl;
use uuid::Uuid;

use crate::{
    event::{LogName, Producer, SealedEvent, Sequence},
    ingest::sequencer::{Head, Plan},
    query::predicate::Predicate,
    tree::{Frontier, Hash},
};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A store failure, by what the caller must do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was committed; trying again later may succeed.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Source),
    /// Somebody else holds the head of the log for longer than is waited for at a time. Nothing was
    /// committed, and other logs are none the worse.
    #[error("the head of the log is locked: {0}")]
    Locked(#[source] Source),
    /// The connection failed during COMMIT: reload the head and run the same batch again.
    #[error("the outcome of a commit is unknown: {0}")]
    StateUnknown(#[source] Source),
    /// An event of a write is stored already; the transaction is to be rolled back. Only where its key
    /// was not among the known ones.
    #[error("an event of the group is stored already")]
    KeyTaken,
    /// A read took longer than it may; the same read would again.
    #[error("a read took too long: {0}")]
    TooSlow(#[source] Source),
    /// The database refused a statement or holds what it must not; trying again will not help.
    #[error("the store refused or is broken: {0}")]
    Broken(#[source] Source),
    /// A synchronous standby has to confirm what is appended, and none does. Nothing was committed.
    #[error("no synchronous standby confirms commits: {0}")]
    NoSyncReplica(String),
    /// What stands between this program and the database mixes up statements.
    #[error(transparent)]
    Pooled(Source),
    /// This program does not run on the schema of the database, until one of them is brought up to date.
    #[error(transparent)]
    Schema(#[from] SchemaFault),
}

/// What makes two submissions one event.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    pub producer: Producer,
    pub event_id: Uuid,
}

/// A stored event's key row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    pub position: u64,
    /// Empty when values of the event were erased.
    pub content_hash: Vec<u8>,
    /// Empty when the event itself is gone.
    pub leaf_hash: Vec<u8>,
}

impl Known {
    /// Whether an event of this content is the stored one. Of an event whose personal values were erased nothing
    /// is left to compare with, because they could be guessed from it; its id tells.
    pub fn is(&self, content_hash: &[u8]) -> bool {
        Self::same(&self.content_hash, content_hash)
    }

    /// The same, of a stored content hash.
    pub fn same(stored: &[u8], content_hash: &[u8]) -> bool {
        stored.is_empty() || stored == content_hash
    }
}

/// An event as it lies in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEvent {
    pub position: u64,
    pub occurred_at: i64,
    pub record: Vec<u8>,
    /// What lies beside the record: see `event::personal`.
    pub personal: Vec<u8>,
    pub leaf_hash: [u8; 32],
}

/// Where a page begins, exclusive of what came before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageStart {
    /// Ascending, at this position or above.
    From(u64),
    /// Descending, below this position.
    Below(u64),
    /// By time of the event, descending: earlier, or at the same time below the position.
    Earlier { occurred_at: i64, position: u64 },
}

/// One page of a query.
pub struct PageRequest<'a> {
    pub log: &'a LogName,
    pub predicate: &'a Predicate,
    pub start: PageStart,
    /// Only positions from this on...
    pub floor: u64,
    /// ...and below this.
    pub head: u64,
    /// By time: not below this time and position.
    pub until: Option<Moment>,
    /// By position: of these positions only, which are within the others' bounds.
    pub positions: Option<&'a [u64]>,
    /// At most this many events.
    pub limit: u32,
}

/// The events of a page.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Rows {
    pub events: Vec<StoredEvent>,
    /// Whether they are so large that further ones were left out.
    pub cut: bool,
}

impl Rows {
    /// Bytes of the records of a page at most, but for the event that passes it: a page of the largest events
    /// that follows one of small ones must not take the memory.
    const MOST_BYTES: usize = 4 * 1024 * 1024;

    /// Adds an event. Returns whether there is room for more.
    fn add(&mut self, bytes: &mut usize, event: StoredEvent) -> bool {
        *bytes += event.record.len() + event.personal.len();
        self.events.push(event);
        self.cut = *bytes >= Self::MOST_BYTES;
        !self.cut
    }
}

/// A column that counts can be grouped by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupColumn {
    Family,
    Code,
    Name,
    Category,
    Outcome,
    Producer,
}

impl GroupColumn {
    /// Every column.
    pub const ALL: [Self; 6] =
        [Self::Family, Self::Code, Self::Name, Self::Category, Self::Outcome, Self::Producer];

    /// Name in requests and in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Code => "code",
            Self::Name => "name",
            Self::Category => "category",
            Self::Outcome => "outcome",
            Self::Producer => "producer",
        }
    }
}

/// What to count.
pub struct CountRequest<'a> {
    pub log: &'a LogName,
    pub predicate: &'a Predicate,
    pub group_by: &'a [GroupColumn],
    /// Width of a bucket over the time of the event, microseconds.
    pub bucket: Option<i64>,
    /// Only positions from this on...
    pub floor: u64,
    /// ...and below this...
    pub head: u64,
    /// ...and of these only.
    pub positions: Option<&'a [u64]>,
    /// At most this many rows are read.
    pub limit: u32,
}

/// One counted group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// In the order of `group_by`; numbers of enum columns as text.
    pub group: Vec<String>,
    /// Start of the bucket, microseconds since 1970.
    pub bucket: Option<i64>,
    pub count: u64,
}

/// An event that the catalog refused, to be kept.
pub struct Quarantined {
    pub event_id: Uuid,
    pub content_hash: [u8; 32],
    pub received_at: i64,
    /// The producer's number of it.
    pub sequence: Option<Sequence>,
    pub reason: &'static str,
    pub description: String,
    pub submitted: Vec<u8>,
}

/// A database.
#[async_trait]
pub trait Store: IndexReads + Trees + Retention + Erasures + Measures {
    /// Brings the schema up to date, and fills in columns that came with it. Can be ended and begun again, and run by
    /// several programs at once. A newer schema that allows this program is left as it is.
    async fn migrate(&self) -> Result<(), StoreError>;
    /// Whether the store answers and has a schema that this program runs on: `StoreError::Schema` when it does not.
    async fn ready(&self) -> Result<(), StoreError>;
    /// Looks whether a synchronous standby confirms commits. From the first look on appends are refused while none
    /// does; it is to be looked at every second then. Nothing is asked of a store that has no standbys.
    async fn confirm_by_replica(&self) -> Result<(), StoreError>;
    /// A connection of its own for one sequencer.
    async fn appender(&self) -> Result<Box<dyn Appender>, StoreError>;
    /// The tree of a log's leaf hashes. Empty for a log that has none.
    async fn tree(&self, log: &LogName) -> Result<Frontier, StoreError>;
    /// Numbers of events in these logs; those that have none may be left out.
    async fn heads(&self, logs: &[LogName]) -> Result<HashMap<LogName, u64>, StoreError>;
    /// One page of matching events, in the order of its start.
    async fn page(&self, request: &PageRequest<'_>) -> Result<Rows, StoreError>;
    /// The event at a position.
    async fn event_at(&self, log: &LogName, position: u64) -> Result<Option<StoredEvent>, StoreError>;
    /// The key rows of those keys that are stored.
    async fn known(&self, log: &LogName, keys: &[Key]) -> Result<HashMap<Key, Known>, StoreError>;
    /// Counts of matching events, ordered by bucket and then by group.
    async fn count(&self, request: &CountRequest<'_>) -> Result<Vec<Counted>, StoreError>;
    /// One page of a log's quarantine, oldest first.
    async fn quarantined(&self, page: &QuarantinePage<'_>) -> Result<Vec<QuarantinedRow>, StoreError>;
    /// Number of rows that match, behind a row.
    async fn count_quarantined(
        &self,
        log: &LogName,
        filter: &QuarantineFilter,
        after: Option<&QuarantineCursor>,
    ) -> Result<u64, StoreError>;
    /// Those of these rows that there are, discarded ones too.
    async fn quarantined_rows(
        &self,
        log: &LogName,
        rows: &[QuarantineKey],
    ) -> Result<HashMap<QuarantineKey, QuarantinedRow>, StoreError>;
    /// Marks those of these rows as discarded that there are and that are not discarded yet, all at once.
    async fn discard(
        &self,
        log: &LogName,
        rows: &[QuarantineKey],
        discard: &Discard,
    ) -> Result<(), StoreError>;
    /// One page of the producers, by log and name.
    async fn producers(&self, page: &ProducerPage<'_>) -> Result<Vec<ProducerRow>, StoreError>;
    /// One producer of a log with its newest epochs and gaps.
    async fn producer(
        &self,
        log: &LogName,
        producer: &Producer,
    ) -> Result<Option<ProducerDetail>, StoreError>;
    /// When producers were last seen, over all logs: those `most` that were known first, of those seen `since` then
    /// before all others.
    async fn last_seen(&self, most: u32, since: i64) -> Result<LastSeen, StoreError>;
    /// The value of this name that all replicas share: the stored one, or `proposed` stored now.
    async fn shared_value(&self, name: &'static str, proposed: &[u8]) -> Result<Vec<u8>, StoreError>;
    /// Bytes that the database has to spare within what it takes of its disk. PostgreSQL does not tell: 0.
    async fn reusable_bytes(&self) -> Result<u64, StoreError>;
    /// Ends the read pool.
    async fn close(&self);
}

/// One connection inside at most one transaction, of any log. After any error but `KeyTaken` it must be
/// dropped.
#[async_trait]
pub trait Appender: Send {
    /// Begins a transaction and locks the head of a log until it ends.
    async fn begin(&mut self, log: &LogName) -> Result<Head, StoreError>;
    /// The key rows of those keys that are stored. Its own statement after the lock: one snapshot for
    /// both would miss what was committed while waiting.
    async fn known(&mut self, log: &LogName, keys: &[Key]) -> Result<HashMap<Key, Known>, StoreError>;
    /// Those of these rows that are in quarantine and not discarded. They stay as they are until the
    /// transaction ends.
    async fn live(
        &mut self,
        log: &LogName,
        rows: &[QuarantineKey],
    ) -> Result<HashSet<QuarantineKey>, StoreError>;
    /// Keeps quarantined events, and returns those that were not kept before.
    async fn keep(
        &mut self,
        log: &LogName,
        events: &[(&Producer, &Quarantined)],
    ) -> Result<HashSet<QuarantineKey>, StoreError>;
    /// The epochs of these runs that are stored, with those of their gaps that overlap the runs.
    async fn epochs(
        &mut self,
        log: &LogName,
        runs: &[Run],
    ) -> Result<HashMap<EpochKey, StoredEpoch>, StoreError>;
    /// The leaf hashes of these positions, in their order.
    async fn leaf_hashes(&mut self, log: &LogName, positions: Range<u64>) -> Result<Vec<Hash>, StoreError>;
    /// Writes a plan: events, keys, rows that leave the quarantine, what is known of producers, and the new
    /// head with its tree. Quarantined events are kept before, by [`Appender::keep`]. `KeyTaken` when one of the events is
    /// stored already, after which only `rollback` may follow.
    async fn write(&mut self, log: &LogName, plan: &Plan<'_>, tree: &Frontier) -> Result<(), StoreError>;
    /// Writes the events and keys of plans that follow each other by the fastest bulk load that the database
    /// has, a transaction each. Returns how long that took once the rows lay ready: what `write` is measured
    /// by.
    async fn bulk_load(
        &mut self,
        log: &LogName,
        plans: &[(Plan<'_>, Frontier)],
    ) -> Result<Duration, StoreError>;
    /// Reads the records of a log and drops them, by the fastest way out that the database has. Returns how many
    /// there are: what `Store::page` is measured by. Outside of a transaction.
    async fn bulk_read(&mut self, log: &LogName) -> Result<u64, StoreError>;
    /// Commits. `StateUnknown` when the connection failed on the way.
    async fn commit(&mut self) -> Result<(), StoreError>;
    /// Ends the transaction without a trace.
    async fn rollback(&mut self) -> Result<(), StoreError>;
}

/// An event with its place.
pub struct Placed<'a> {
    pub position: u64,
    pub producer: &'a Producer,
    pub event: &'a SealedEvent,
    /// Whether it comes from the quarantine.
    pub replayed: bool,
}

/// Connects to the store that a URL names.
///
/// # Errors
/// The store cannot be reached or opened.
pub async fn connect(url: &StoreUrl) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match url {
        StoreUrl::Sqlite(path) => Arc::new(sqlite::SqliteStore::open(path).await?),
        StoreUrl::Postgres(url) => Arc::new(postgres::PostgresStore::connect(url).await?),
    })
}

/// A number as the databases store it. Positions and sizes stay far below 2^63: at 100,000 events a
/// second that is three million years away.
fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as the databases stored it.
fn from_sql(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| broken(format!("a position or size of {number}")))
}

/// A hash as the databases stored it.
fn hash_from_sql(bytes: &[u8]) -> Result<Hash, StoreError> {
    Hash::try_from(bytes).map_err(|_| broken(format!("a hash of {} bytes", bytes.len())))
}

/// A tree as the databases stored it.
fn tree_from_sql(size: i64, frontier: &[u8]) -> Result<Frontier, StoreError> {
    Frontier::restore(from_sql(size)?, frontier).map_err(broken)
}

/// The leaf hashes of positions, of which none may be missing.
fn leaf_hashes_from_sql(positions: &Range<u64>, found: &[Vec<u8>]) -> Result<Vec<Hash>, StoreError> {
    if found.len() as u64 != positions.end - positions.start {
        return Err(broken(format!("an event below position {} is gone", positions.end)));
    }
    found.iter().map(|hash| hash_from_sql(hash)).collect()
}

fn broken(what: impl fmt::Display) -> StoreError {
    StoreError::Broken(what.to_string().into())
}

#[cfg(test)]
pub mod memory;
#[cfg(test)]
mod memory_erasures;
