//! What only readers use: not in the store in memory.
use std::ops::Range;

use async_trait::async_trait;

use super::super::{
    Connections, Counted, Extent, Figures, Hold, IndexReads, IndexWriter, Live, LogName, Marked, Measures,
    Moment, PageRequest, Retention, RollupRequest, StoreError, Times,
};
use super::{MemoryStore, readers_only};
use crate::index::{self, chores::RunId};

#[async_trait]
impl IndexReads for MemoryStore {
    async fn live_runs(&self, _log: &LogName, _positions: &Range<u64>) -> Result<Live, StoreError> {
        readers_only()
    }

    async fn index_rows(
        &self,
        _log: &LogName,
        _wanted: &[(RunId, Vec<index::Key>)],
    ) -> Result<Vec<Option<Vec<index::Row>>>, StoreError> {
        readers_only()
    }

    async fn segments(
        &self,
        _log: &LogName,
        _positions: &Range<u64>,
        _occurred: Times,
        _received: Times,
    ) -> Result<Vec<Range<u64>>, StoreError> {
        readers_only()
    }

    async fn moments(&self, _page: &PageRequest<'_>) -> Result<Vec<Moment>, StoreError> {
        readers_only()
    }

    async fn down(
        &self,
        _log: &LogName,
        _below: Moment,
        _until: i64,
        _events: u32,
    ) -> Result<Option<Moment>, StoreError> {
        readers_only()
    }

    async fn rollup(&self, _request: &RollupRequest<'_>) -> Result<(u64, Vec<Counted>), StoreError> {
        readers_only()
    }

    async fn index_writer(&self) -> Result<Box<dyn IndexWriter>, StoreError> {
        readers_only()
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn extent(&self, log: &LogName) -> Result<Extent, StoreError> {
        Ok(self.look(log, |tables| Extent { oldest: 0, size: tables.size }))
    }

    async fn partition_bits(&self, _log: &LogName) -> Result<Option<u32>, StoreError> {
        readers_only()
    }

    async fn partition(&self, _log: &LogName, _bits: u32) -> Result<u32, StoreError> {
        readers_only()
    }

    async fn newest_received(
        &self,
        _log: &LogName,
        _positions: Range<u64>,
    ) -> Result<Vec<(i32, i64)>, StoreError> {
        readers_only()
    }

    async fn begin_at(&self, _log: &LogName, _oldest: u64) -> Result<Marked, StoreError> {
        readers_only()
    }

    async fn drop_removed(&self, _log: &LogName, _oldest: u64) -> Result<(), StoreError> {
        readers_only()
    }

    async fn holds(&self, _log: &LogName) -> Result<Vec<Hold>, StoreError> {
        readers_only()
    }

    async fn place_hold(&self, _log: &LogName, _hold: &Hold) -> Result<(), StoreError> {
        readers_only()
    }

    async fn release_hold(
        &self,
        _log: &LogName,
        _id: uuid::Uuid,
        _released: (i64, &str),
    ) -> Result<bool, StoreError> {
        readers_only()
    }
}

/// Nobody asks.
#[async_trait]
impl Measures for MemoryStore {
    async fn figures(&self) -> Result<Figures, StoreError> {
        Ok(Figures::default())
    }

    fn connections(&self) -> Connections {
        Connections::default()
    }
}
