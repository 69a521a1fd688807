//! The quarantine's rows as the store hands them out. What is done with them: `grpc::quarantine`,
//! `grpc::replay`, and `ingest::sequencer`, which alone takes rows out.
use uuid::Uuid;

use super::{Key, StoreError, broken};
use crate::event::{LogName, Producer};

/// What names a row of the quarantine within its log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct QuarantineKey {
    pub key: Key,
    /// Of the event as it was quarantined.
    pub content_hash: [u8; 32],
}

/// A row's place in the list, oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuarantineCursor {
    pub received_at: i64,
    pub row: QuarantineKey,
}

/// Which rows of a log's quarantine.
#[derive(Clone, Debug, Default)]
pub struct QuarantineFilter {
    /// Of any of these producers; of all when empty.
    pub producers: Vec<String>,
    /// With any of these reasons; with whatever reason when empty.
    pub reasons: Vec<String>,
    /// Discarded rows too.
    pub discarded: bool,
}

/// One page of the list.
pub struct QuarantinePage<'a> {
    pub log: &'a LogName,
    pub filter: &'a QuarantineFilter,
    /// Only rows behind this one.
    pub after: Option<&'a QuarantineCursor>,
    pub limit: u32,
}

/// That, when and why a row was discarded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Discard {
    pub at: i64,
    pub by: String,
    pub reason: String,
}

/// A row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuarantinedRow {
    pub cursor: QuarantineCursor,
    pub reason: String,
    pub description: String,
    /// An encoded `NewEvent`, without secrets.
    pub submitted: Vec<u8>,
    pub discard: Option<Discard>,
}

/// A row's key from its columns.
pub(super) fn key(
    producer: &str,
    event_id: Uuid,
    content_hash: Vec<u8>,
) -> Result<QuarantineKey, StoreError> {
    let content_hash =
        content_hash.try_into().map_err(|_| broken("a content hash of other than 32 bytes"))?;
    let producer = Producer::parse(producer).map_err(broken)?;
    Ok(QuarantineKey { key: Key { producer, event_id }, content_hash })
}

/// A discard from its columns.
pub(super) fn discard(at: Option<i64>, by: Option<String>, reason: Option<String>) -> Option<Discard> {
    at.map(|at| Discard { at, by: by.unwrap_or_default(), reason: reason.unwrap_or_default() })
}
