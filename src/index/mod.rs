//! The index: which positions of a log may match a filter, worked out behind the append path.
//!
//! A tree per filtered column, kept up to date by every append, costs two to three times what storing the
//! row does. Instead the positions of a log are indexed in bulk, a *segment* at a time, once they are there;
//! what is not indexed yet is scanned. The store is the only truth: the index proposes positions, and the
//! rows at those are fetched and compared with the whole filter. A hash that two values share costs time
//! and never a wrong row; only a posting that is missing would lose a row.
//!
//! This module is pure: `terms` says what an event is found by, `segment` collects a segment, `postings`
//! and `run` are what is stored, `chores` decides which runs to merge and which to clear away, `erase` takes positions out of rows. It does no
//! I/O. Callers: `ingest::indexer`, which builds, and `query`, which looks up; `store` keeps the rows.
pub mod chores;
pub mod erase;
pub mod postings;
pub mod run;
pub mod segment;
pub mod terms;

pub use run::{Key, Kind, Row};
pub use terms::Term;

/// Number of the format of everything in this module. Whatever changes the hash of a term or the bytes of a
/// row changes it, and comes with a migration that empties the tables of the index: runs of another number are
/// not asked, what they cover is read through, and nothing builds them anew by itself.
pub const FORMAT: u32 = 1;

/// How positions are cut into runs. A run of level L covers 2^L positions, aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Level of a segment: what is indexed at a time.
    pub segment: u32,
    /// Runs of one level that make one of the next, as a power of two.
    pub fan_out: u32,
    /// Level of the largest runs.
    pub top: u32,
}

impl Shape {
    /// Segments of 16,384 positions, merged by 16 to 262,144 and by 16 to 4,194,304. A look-up of one term
    /// then reads at most 15 + 15 small runs, and one run for every 4 million positions. Every posting is
    /// written three times, which is what the fan-out is weighed against.
    pub const DEFAULT: Self = Self { segment: 14, fan_out: 4, top: 22 };

    /// Positions of a segment.
    pub const fn segment_size(self) -> u64 {
        1 << self.segment
    }
}

/// What is wrong with stored bytes that are no index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a damaged row of the index: {0}")]
pub struct Damaged(pub &'static str);
