//! The store in memory is for sequencers: it erases nothing.
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Eraser, ErasureRequest, Erasures, LogName, StoreError,
    memory::{MemoryStore, readers_only},
};

#[async_trait]
impl Erasures for MemoryStore {
    async fn erasure(&self, _proposed: &ErasureRequest) -> Result<ErasureRequest, StoreError> {
        readers_only()
    }

    async fn erasure_told(&self, _log: &LogName, _id: Uuid, _position: u64) -> Result<(), StoreError> {
        readers_only()
    }

    async fn erasure_done(&self, _log: &LogName, _id: Uuid) -> Result<(), StoreError> {
        readers_only()
    }

    async fn eraser(&self) -> Result<Box<dyn Eraser>, StoreError> {
        readers_only()
    }
}
