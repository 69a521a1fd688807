//! Tiles and checkpoints, which no sequencer reads or writes.
use std::ops::Range;

use async_trait::async_trait;

use super::{
    super::{NewTile, StoredCheckpoint, TreeReads, Trees, WantedCheckpoint},
    Hash, LogName, MemoryStore, StoreError, readers_only,
};

#[async_trait]
impl TreeReads for MemoryStore {
    async fn leaf_hashes(&self, _log: &LogName, _positions: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        readers_only()
    }

    async fn tiles(&self, _log: &LogName, _wanted: &[(u8, u64)]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        readers_only()
    }

    async fn tile_roots(
        &self,
        _log: &LogName,
        _level: u8,
        _tiles: Range<u64>,
    ) -> Result<Vec<Hash>, StoreError> {
        readers_only()
    }
}

#[async_trait]
impl Trees for MemoryStore {
    async fn logs(&self) -> Result<Vec<(LogName, u64)>, StoreError> {
        readers_only()
    }

    async fn full_tiles(&self, _log: &LogName, _level: u8) -> Result<u64, StoreError> {
        readers_only()
    }

    async fn add_tiles(&self, _log: &LogName, _tiles: &[NewTile]) -> Result<(), StoreError> {
        readers_only()
    }

    async fn checkpoint(
        &self,
        _log: &LogName,
        _wanted: WantedCheckpoint,
    ) -> Result<Option<StoredCheckpoint>, StoreError> {
        readers_only()
    }

    async fn add_checkpoint(
        &self,
        _log: &LogName,
        _checkpoint: &StoredCheckpoint,
    ) -> Result<bool, StoreError> {
        readers_only()
    }

    async fn replace_checkpoint(
        &self,
        _log: &LogName,
        _checkpoint: &StoredCheckpoint,
        _former_note: &str,
    ) -> Result<bool, StoreError> {
        readers_only()
    }
}
