//! Counting: from the rollup where the filter and the groups allow it, else by looking at the events in
//! windows that are each short. Either way the result is of one prefix of the log. Called by: `grpc::audit`.
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    pages::CANDIDATES,
    pieces::{Piece, Pieces},
    plan::Plan,
    predicate::{NumberColumn, Predicate, TextColumn},
    removed::{self, Removed},
    scoped::Scoped,
};
use crate::{
    event::LogName,
    index::segment::HOUR,
    store::{CountRequest, Counted, Extent, GroupColumn, RollupRequest, Store, StoreError, Times},
};

/// Positions of one statement. It groups what it reads and returns little, so it may read more than a page.
const WINDOW: u64 = 1 << 18;
/// How long a count may take.
const MOST: Duration = Duration::from_secs(60);

/// What to count.
pub struct Count<'a> {
    pub log: &'a LogName,
    pub predicate: &'a Scoped,
    pub group_by: &'a [GroupColumn],
    /// Width of a bucket over the time of the event, microseconds.
    pub bucket: Option<i64>,
    /// Groups at most, which also bounds the memory: 10,000 of six values are some 5 MB.
    pub most: u32,
}

/// Why there is no count.
#[derive(Debug)]
pub enum CountError {
    Store(StoreError),
    /// More groups than asked for.
    TooMany,
    /// Retention has removed what was asked for.
    Removed(Removed),
}

impl From<StoreError> for CountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Bucket, then the values; numbers of enum columns as numbers, so that they are in their order.
type Key = (Option<i64>, Vec<(i64, String)>);

#[derive(Default)]
struct Groups(BTreeMap<Key, u64>);

impl Count<'_> {
    /// The groups that have events, by bucket and then by their values, and the first position that was there to
    /// be counted.
    ///
    /// # Errors
    /// The store cannot be read, it takes too long, or there are too many groups.
    pub async fn run(&self, store: &Arc<dyn Store>) -> Result<(Vec<Counted>, u64), CountError> {
        let begun = Instant::now();
        let Extent { oldest, size: head } = store.extent(self.log).await?;
        removed::refuse(self.predicate.predicate(), oldest).map_err(CountError::Removed)?;
        let plan = Plan::of(self.predicate.predicate());
        let mut rest = plan.positions.start.max(oldest)..head.min(plan.positions.end);
        let mut groups = Groups::default();
        if let Some((predicate, occurred)) = self.rolled_up() {
            let count = CountRequest { predicate: &predicate, ..self.request(&rest, None) };
            let (indexed, rows) = store.rollup(&RollupRequest { count, occurred }).await?;
            self.add(&mut groups, rows)?;
            // What was indexed after the head was read is counted as well: a longer prefix.
            rest = indexed.max(oldest)..head.max(indexed);
        }
        let mut pieces = Pieces::new(Arc::clone(store), self.log.clone(), plan, false);
        while !rest.is_empty() {
            let (found, covered) = pieces.next(rest.clone()).await?;
            rest.start = covered.end;
            for piece in found {
                for part in parts(piece) {
                    if begun.elapsed() >= MOST {
                        let what = format!("a count did not end within {} s", MOST.as_secs());
                        return Err(StoreError::TooSlow(what.into()).into());
                    }
                    let rows = match &part {
                        Part::Window(range) => store.count(&self.request(range, None)).await?,
                        Part::Positions(positions) => {
                            store.count(&self.request(&(oldest..head), Some(positions))).await?
                        }
                    };
                    self.add(&mut groups, rows)?;
                }
            }
        }
        // What was removed meanwhile may have been counted or not.
        let now = store.extent(self.log).await?.oldest;
        if now > oldest {
            return Err(CountError::Removed(Removed { oldest: now }));
        }
        let counted = groups.0.into_iter().map(|((bucket, group), count)| Counted {
            group: group.into_iter().map(|(_, text)| text).collect(),
            bucket,
            count,
        });
        Ok((counted.collect(), oldest))
    }

    const fn request<'a>(&'a self, range: &Range<u64>, positions: Option<&'a [u64]>) -> CountRequest<'a> {
        CountRequest {
            log: self.log,
            predicate: self.predicate.predicate(),
            group_by: self.group_by,
            bucket: self.bucket,
            floor: range.start,
            head: range.end,
            positions,
            limit: self.most + 1,
        }
    }

    fn add(&self, groups: &mut Groups, rows: Vec<Counted>) -> Result<(), CountError> {
        for row in rows.into_iter().filter(|row| row.count > 0) {
            let value = |(column, text): (&GroupColumn, String)| match column {
                GroupColumn::Family | GroupColumn::Outcome => (text.parse().unwrap_or_default(), text),
                GroupColumn::Code | GroupColumn::Name | GroupColumn::Category | GroupColumn::Producer => {
                    (0, text)
                }
            };
            let group = self.group_by.iter().zip(row.group).map(value).collect();
            *groups.0.entry((row.bucket, group)).or_default() += row.count;
        }
        if groups.0.len() > self.most as usize { Err(CountError::TooMany) } else { Ok(()) }
    }

    /// The predicate without its range of time, when the rollup can answer both.
    fn rolled_up(&self) -> Option<(Predicate, Times)> {
        if self.bucket.is_some_and(|width| width % HOUR != 0) {
            return None;
        }
        let mut occurred = Times::ALL;
        let rest = rolled_up(self.predicate.predicate(), Some(&mut occurred))?;
        Some((rest, occurred))
    }
}

/// The predicate on columns of the rollup; at its top, ranges of time go into `times` instead.
fn rolled_up(predicate: &Predicate, mut times: Option<&mut Times>) -> Option<Predicate> {
    match predicate {
        Predicate::All(all) => {
            let each = all.iter().map(|each| rolled_up(each, times.as_deref_mut()));
            Some(Predicate::All(each.collect::<Option<_>>()?))
        }
        Predicate::From(NumberColumn::OccurredAt, from) => {
            let times = times?;
            times.from = times.from.max(*from);
            Some(Predicate::All(Vec::new()))
        }
        Predicate::Before(NumberColumn::OccurredAt, to) => {
            let times = times?;
            times.to = times.to.min(*to);
            Some(Predicate::All(Vec::new()))
        }
        // Below these no range of time is at the top.
        Predicate::Any(any) => {
            Some(Predicate::Any(any.iter().map(|each| rolled_up(each, None)).collect::<Option<_>>()?))
        }
        Predicate::Not(not) => Some(Predicate::Not(Box::new(rolled_up(not, None)?))),
        Predicate::Text(column, _)
        | Predicate::TextPrefix(column, _)
        | Predicate::TextContains(column, _) => is_rolled_up(*column).then(|| predicate.clone()),
        Predicate::Enum(..) => Some(predicate.clone()),
        Predicate::From(NumberColumn::Position | NumberColumn::Severity | NumberColumn::ReceivedAt, _)
        | Predicate::Before(NumberColumn::Position | NumberColumn::Severity | NumberColumn::ReceivedAt, _)
        | Predicate::Attribute { .. }
        | Predicate::AttributePrefix { .. }
        | Predicate::AttributeContains { .. }
        | Predicate::AttributePresent { .. }
        | Predicate::Contains(_) => None,
    }
}

const fn is_rolled_up(column: TextColumn) -> bool {
    match column {
        TextColumn::Code | TextColumn::Name | TextColumn::Category | TextColumn::Producer => true,
        TextColumn::Actor | TextColumn::Subject | TextColumn::Device | TextColumn::CorrelationId => false,
    }
}

/// What one statement counts.
enum Part {
    Window(Range<u64>),
    Positions(Vec<u64>),
}

fn parts(piece: Piece) -> Vec<Part> {
    match piece {
        Piece::Scan(range) => {
            let starts = range.clone().step_by(usize::try_from(WINDOW).unwrap_or(usize::MAX));
            starts.map(|start| Part::Window(start..range.end.min(start + WINDOW))).collect()
        }
        Piece::Look { base, candidates } => {
            let positions: Vec<u64> = candidates.iter().map(|offset| base + u64::from(offset)).collect();
            positions.chunks(CANDIDATES).map(|chunk| Part::Positions(chunk.to_vec())).collect()
        }
    }
}
