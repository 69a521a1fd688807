//! Columns and trees that came with a later schema, in rows that were written before: read from the records, batch by
//! batch, by `Store::migrate`. Each store has the statements; what a row gets is decided here.
//!
//! `log_head.filled` says how far a log is done. An append moves it along with the head when nothing is left to
//! fill; a program of an older schema leaves it behind, which is how its rows are found. `log_head.tree_size` says the same of the log's tree.
use super::{StoreError, broken};
use crate::event::{Columns, personal};

/// Positions of one batch. Its records are in memory: 256 of the largest are some 50 MiB. The head of the log
/// is locked meanwhile, for some 10 ms.
pub const BATCH: i64 = 256;

/// Leaf hashes that are taken into a tree at a time: half a MiB. The head of the log is locked meanwhile.
pub const LEAVES: u64 = 1 << 14;

/// What a row lacks.
pub struct Filling {
    pub position: i64,
    pub severity: i64,
    pub attributes: String,
}

impl Filling {
    /// What the event at a position says.
    pub fn of(position: i64, record: &[u8], personal: &[u8]) -> Result<Self, StoreError> {
        let event = personal::decode(record, personal)
            .map_err(|error| broken(format!("the record at position {position}: {error}")))?;
        let Columns { severity, attributes, .. } = Columns::of(&event);
        Ok(Self { position, severity, attributes })
    }
}
