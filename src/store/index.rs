//! What the store keeps of the index (`crate::index`): reading it, and the writer's connection.
use std::ops::Range;

use async_trait::async_trait;

use super::{CountRequest, Counted, PageRequest, StoreError};
use crate::{
    event::{Columns, LogName},
    index::{
        Key, Row,
        chores::{Chore, Run, RunId},
        segment::Segment,
    },
};

/// Times, microseconds, the end excluded. Everything by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    pub from: i64,
    pub to: i64,
}

impl Times {
    /// All times.
    pub const ALL: Self = Self { from: i64::MIN, to: i64::MAX };
}

/// The runs that can be asked, as they were at one moment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Live {
    /// Every position below is indexed.
    pub indexed: u64,
    /// In the order of their positions.
    pub runs: Vec<RunId>,
}

/// A place in the order by time: time of the event, position.
pub type Moment = (i64, u64);

/// A count from the rollup.
pub struct RollupRequest<'a> {
    /// The condition without its range of time, and what to group by. Neither may need a column that the
    /// rollup does not have, and a bucket is whole hours.
    pub count: CountRequest<'a>,
    /// Times of the events.
    pub occurred: Times,
}

/// Reads of the index, and reads that only make sense with it.
#[async_trait]
pub trait IndexReads: Send + Sync {
    /// The live runs that overlap these positions.
    async fn live_runs(&self, log: &LogName, positions: &Range<u64>) -> Result<Live, StoreError>;
    /// For each of these runs the rows at its keys that there are; `None` for a run that is no longer live:
    /// a larger one has taken its place.
    async fn index_rows(
        &self,
        log: &LogName,
        wanted: &[(RunId, Vec<Key>)],
    ) -> Result<Vec<Option<Vec<Row>>>, StoreError>;
    /// The segments with their first position in this range that may hold events of both ranges of time, in
    /// order.
    async fn segments(
        &self,
        log: &LogName,
        positions: &Range<u64>,
        occurred: Times,
        received: Times,
    ) -> Result<Vec<Range<u64>>, StoreError>;
    /// Times and positions of the events of a page, instead of the events.
    async fn moments(&self, page: &PageRequest<'_>) -> Result<Vec<Moment>, StoreError>;
    /// The moment this many events down from another one; `None` when there are fewer, down to a time.
    async fn down(
        &self,
        log: &LogName,
        below: Moment,
        until: i64,
        events: u32,
    ) -> Result<Option<Moment>, StoreError>;
    /// Counts of all indexed events, and up to which position they are, at one moment.
    async fn rollup(&self, request: &RollupRequest<'_>) -> Result<(u64, Vec<Counted>), StoreError>;
    /// A connection of its own for building indexes.
    async fn index_writer(&self) -> Result<Box<dyn IndexWriter>, StoreError>;
}

/// How far the index of a log is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    pub log: LogName,
    /// Events of the log.
    pub head: u64,
    pub indexed: u64,
}

/// The connection that builds indexes. After an error it must be dropped.
///
/// What it writes can be built again, so its commits do not wait for the disk: a crash may take the newest
/// of them back, all that came after first.
#[async_trait]
pub trait IndexWriter: Send {
    /// The most positions of any log that are not indexed.
    async fn most_behind(&mut self) -> Result<u64, StoreError>;
    /// Logs with at least this many positions that are not indexed, the longest waiting first.
    async fn behind(&mut self, positions: u64, most: u32) -> Result<Vec<Behind>, StoreError>;
    /// Logs that may have runs to merge or to clear away: those with as many runs, or with unfinished ones.
    async fn untidy(&mut self, runs: u64, most: u32) -> Result<Vec<LogName>, StoreError>;
    /// Begins to work on a log: up to where it is indexed; `None` while another replica is at it. Ends with
    /// `add`, `tidy` or `release`.
    async fn claim(&mut self, log: &LogName) -> Result<Option<u64>, StoreError>;
    /// Ends the work without a change.
    async fn release(&mut self) -> Result<(), StoreError>;
    /// Events at these positions, at most this many, in order.
    async fn events(
        &mut self,
        log: &LogName,
        positions: Range<u64>,
        most: u32,
    ) -> Result<Vec<(u64, Columns)>, StoreError>;
    /// Adds the next segment. `false`: it is not the next one any more.
    async fn add(&mut self, log: &LogName, segment: &Segment) -> Result<bool, StoreError>;
    /// The runs of a log.
    async fn runs(&mut self, log: &LogName) -> Result<Vec<Run>, StoreError>;
    /// The rows of runs of one level that hold terms of these buckets, with the first position of their run.
    async fn slice(
        &mut self,
        log: &LogName,
        level: u32,
        runs: &[u64],
        buckets: &Range<u64>,
    ) -> Result<Vec<(u64, Row)>, StoreError>;
    /// Does a step, of which `rows` are the result. `false`: it is not the next step any more.
    async fn tidy(&mut self, log: &LogName, chore: &Chore, rows: &[Row]) -> Result<bool, StoreError>;
}

/// A stored level, kind, or the like.
pub(super) fn small(number: u32) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
