//! What a database says of itself, for the metrics.
use async_trait::async_trait;

use super::StoreError;

/// How large a store is, and how far its schema and its partitions go.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Figures {
    /// Bytes that it takes.
    pub bytes: u64,
    /// Version of the newest migration that was applied.
    pub schema: u64,
    /// Positions until the newest partition of a log is full, of the log with fewest. None where nothing is
    /// partitioned, or no log has events.
    pub positions_left: Option<u64>,
}

/// The connections of a store's pools.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Connections {
    pub idle: usize,
    pub used: usize,
    /// How many there may be.
    pub max: usize,
}

impl Connections {
    /// Those of a pool: how many are open, how many of them are idle, and how many may be open.
    pub(super) fn of(size: u32, idle: usize, max: u32) -> Self {
        let (size, max) = (size as usize, max as usize);
        Self { idle, used: size.saturating_sub(idle), max }
    }
}

impl std::iter::Sum for Connections {
    fn sum<I: Iterator<Item = Self>>(pools: I) -> Self {
        pools.fold(Self::default(), |all, pool| Self {
            idle: all.idle + pool.idle,
            used: all.used + pool.used,
            max: all.max + pool.max,
        })
    }
}

/// A store that tells.
#[async_trait]
pub trait Measures: Send + Sync {
    /// Asked now and then, never for a caller: the database may take a while to answer.
    async fn figures(&self) -> Result<Figures, StoreError>;
    /// The connections of its pools, at once.
    fn connections(&self) -> Connections;
}
