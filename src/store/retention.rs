//! What retention needs of a store: how far back a log reaches, its partitions, and the holds on it.
//!
//! Removing is two steps. The first, one transaction, says that the log begins later, and takes what is removed
//! out of the rollup and the index; from then on nobody reads it. The second, later, drops the partitions (SQLite:
//! deletes the rows), and can be done again. What of it is due is decided in `crate::retention`, the only caller.
use std::ops::Range;

use async_trait::async_trait;
use uuid::Uuid;

use super::{LogName, StoreError, from_sql};

/// The positions of a log that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extent {
    /// Retention has removed what is below.
    pub oldest: u64,
    /// Events in the log, removed ones too.
    pub size: u64,
}

/// What keeps retention from removing anything of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    pub id: Uuid,
    pub reason: String,
    /// Microseconds since 1970.
    pub placed_at: i64,
    pub placed_by: String,
    /// When and by whom it was released.
    pub released: Option<(i64, String)>,
}

impl Extent {
    /// From the columns of a log's head; of no head, nothing.
    pub(super) fn of(row: Option<(i64, i64)>) -> Result<Self, StoreError> {
        let (oldest, size) = row.unwrap_or_default();
        Ok(Self { oldest: from_sql(oldest)?, size: from_sql(size)? })
    }
}

/// Columns of a hold: id, reason, when and by whom it was placed, when and by whom it was released.
pub(super) type HoldColumns = (Uuid, String, i64, String, Option<i64>, Option<String>);

impl Hold {
    /// From its columns.
    pub(super) fn of((id, reason, placed_at, placed_by, at, by): HoldColumns) -> Self {
        Self { id, reason, placed_at, placed_by, released: at.map(|at| (at, by.unwrap_or_default())) }
    }
}

/// Whether a log begins later now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marked {
    Yes,
    /// A hold is on it.
    Held,
    /// It is not indexed so far yet.
    NotIndexed,
}

/// Retention of one log.
#[async_trait]
pub trait Retention: Send + Sync {
    /// How far back a log reaches. Nothing for a log without events.
    async fn extent(&self, log: &LogName) -> Result<Extent, StoreError>;
    /// The positions of its own partitions, as a power of two, when it has some.
    async fn partition_bits(&self, log: &LogName) -> Result<Option<u32>, StoreError>;
    /// Gives a log partitions of its own, and moves there what it has. Returns what it has now, which may be
    /// partitions of another size that it had before.
    async fn partition(&self, log: &LogName, bits: u32) -> Result<u32, StoreError>;
    /// When the newest event of each family among these positions was received.
    async fn newest_received(
        &self,
        log: &LogName,
        positions: Range<u64>,
    ) -> Result<Vec<(i32, i64)>, StoreError>;
    /// Lets a log begin at a position, unless something speaks against it.
    async fn begin_at(&self, log: &LogName, oldest: u64) -> Result<Marked, StoreError>;
    /// Removes for good what is below a position at which a log with partitions of its own begins, or before it.
    async fn drop_removed(&self, log: &LogName, oldest: u64) -> Result<(), StoreError>;
    /// All holds of a log, released ones too, the oldest first.
    async fn holds(&self, log: &LogName) -> Result<Vec<Hold>, StoreError>;
    /// Places a hold. One that is there already stays as it is.
    async fn place_hold(&self, log: &LogName, hold: &Hold) -> Result<(), StoreError>;
    /// Releases a hold. Whether there is one of this id.
    async fn release_hold(&self, log: &LogName, id: Uuid, released: (i64, &str)) -> Result<bool, StoreError>;
}
