//! What the store does to erase personal values: requests and how far they are, and the connection that rewrites
//! events with their keys and their places in the index, in one transaction. Caller: `ingest::erasure`.
use async_trait::async_trait;
use uuid::Uuid;

use super::{LogName, StoreError};
use crate::{
    event::Columns,
    index::{
        Key, Row,
        chores::{Run, RunId},
    },
};

/// A request to erase a person's values, and how far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureRequest {
    pub log: LogName,
    pub request_id: Uuid,
    /// The person. `None` once it is done: then nothing names them any more.
    pub subject: Option<String>,
    pub reason: String,
    /// Of the event that tells of it; `None`: not appended yet.
    pub position: Option<u64>,
    /// Everything below is done.
    pub next: u64,
    pub counts: ErasureCounts,
}

/// What an erasure has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ErasureCounts {
    /// Events of which values were erased.
    pub events: u64,
    pub values: u64,
    /// Events that still name the person: their records hold the name itself.
    pub not_erasable: u64,
}

/// An event as it is to lie in the store from now on.
pub struct ErasedEvent {
    pub position: u64,
    pub producer: String,
    pub event_id: Uuid,
    /// What lay beside the record when it was read. Somebody else may have changed it since.
    pub before: Vec<u8>,
    pub personal: Vec<u8>,
    pub columns: Columns,
}

/// Reads and writes of requests.
#[async_trait]
pub trait Erasures: Send + Sync {
    /// The request with this id, which is this one when there was none.
    async fn erasure(&self, proposed: &ErasureRequest) -> Result<ErasureRequest, StoreError>;
    /// Its event is at this position.
    async fn erasure_told(&self, log: &LogName, request_id: Uuid, position: u64) -> Result<(), StoreError>;
    /// It is done: the store forgets whom it was about.
    async fn erasure_done(&self, log: &LogName, request_id: Uuid) -> Result<(), StoreError>;
    /// A connection of its own for erasing.
    async fn eraser(&self) -> Result<Box<dyn Eraser>, StoreError>;
}

/// The connection that erases, inside at most one transaction. After an error it must be dropped.
#[async_trait]
pub trait Eraser: Send {
    /// Begins a transaction, and keeps whoever builds the index of the log away until it ends. `false`: somebody is
    /// at it now.
    async fn begin(&mut self, log: &LogName) -> Result<bool, StoreError>;
    /// The runs of the index.
    async fn runs(&mut self, log: &LogName) -> Result<Vec<Run>, StoreError>;
    /// Those rows of a run, live or not, that are there.
    async fn rows(&mut self, log: &LogName, run: RunId, keys: &[Key]) -> Result<Vec<Row>, StoreError>;
    /// Puts rows in the place of others.
    async fn replace(
        &mut self,
        log: &LogName,
        run: RunId,
        gone: &[Key],
        rows: &[Row],
    ) -> Result<(), StoreError>;
    /// The columns of the events at these positions.
    async fn columns(&mut self, log: &LogName, positions: &[u64]) -> Result<Vec<Columns>, StoreError>;
    /// Writes events and forgets the content of their keys; the request is done below `next`, and has done this much
    /// more. `false`: somebody else has changed one of the events or the request.
    async fn write(
        &mut self,
        request: &ErasureRequest,
        events: &[ErasedEvent],
        next: u64,
        counts: ErasureCounts,
    ) -> Result<bool, StoreError>;
    /// Commits. An unknown outcome is no matter: the request says how far it is.
    async fn commit(&mut self) -> Result<(), StoreError>;
    /// Ends the transaction without a trace.
    async fn rollback(&mut self) -> Result<(), StoreError>;
}
