//! Which positions of a range may match: pieces to be looked at one after the other, by position in either
//! direction. What is indexed yields candidates, what is not is scanned, and what no matching event can lie
//! in is left out. Callers: `pages`, `by_time`, `count`.
use std::{
    collections::{BTreeMap, HashMap},
    iter,
    ops::Range,
    sync::Arc,
};

use roaring::RoaringBitmap;

use super::plan::{Plan, Terms};
use crate::{
    event::LogName,
    index::{Damaged, Row, Term, chores::RunId, run},
    store::{Store, StoreError},
};

/// Fewer positions than this are scanned without asking the index: that is as fast.
const FEW: u64 = 2048;
/// Positions of the runs that are asked at first; then four times as many each time, so that the first
/// event comes soon and a rare one takes few statements.
const FIRST_GROUP: u64 = 1 << 22;
/// Positions times terms that are asked at a time. Postings take an eighth of a byte a position at most, so
/// what is read is 32 MiB at the very worst, or 50 MiB for 100 terms in one run of 4 million.
const LARGEST_GROUP: u64 = 64 << 22;
/// Positions whose times are asked for at a time, without a term: 16,384 segments.
const TIMED_GROUP: u64 = 1 << 28;
/// Candidates are weighed by this many positions...
const CELL: u32 = 1 << 14;
/// ...and where there are more than one in this many, reading through is cheaper than by position.
const DENSE: u64 = 16;
/// How often runs that were merged away meanwhile are looked for again.
const TRIES: u32 = 4;

/// Positions to be looked at.
#[derive(Clone, PartialEq, Debug)]
pub enum Piece {
    /// All of these.
    Scan(Range<u64>),
    /// Some, as offsets from a position.
    Look { base: u64, candidates: RoaringBitmap },
}

/// Finds pieces.
pub struct Pieces {
    store: Arc<dyn Store>,
    log: LogName,
    plan: Plan,
    descending: bool,
    group: u64,
}

/// A part of the range: a run, or what no run covers.
#[derive(Clone, PartialEq, Debug)]
struct Part {
    range: Range<u64>,
    run: Option<RunId>,
}

impl Pieces {
    /// For a plan.
    pub const fn new(store: Arc<dyn Store>, log: LogName, plan: Plan, descending: bool) -> Self {
        Self { store, log, plan, descending, group: FIRST_GROUP }
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The first pieces of `rest`, in order, and what of it they stand for: from its beginning, or when
    /// descending from its end.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next(&mut self, rest: Range<u64>) -> Result<(Vec<Piece>, Range<u64>), StoreError> {
        let plain = self.plan.terms.is_none() && !self.plan.is_timed();
        if plain || rest.end.saturating_sub(rest.start) <= FEW {
            return Ok((vec![Piece::Scan(rest.clone())], rest));
        }
        let mut last = None;
        for _ in 0..TRIES {
            let live = self.store.live_runs(&self.log, &rest).await?;
            let parts = self.nearest(parts(&rest, &live.runs));
            if let Some(pieces) = self.look(&parts).await? {
                self.group = self.group.saturating_mul(4);
                return Ok((pieces, covered(&parts)));
            }
            last = Some(parts);
        }
        // Merges faster than a look-up: not for long. Reading through is right in any case.
        let part = covered(&last.unwrap_or_default());
        Ok((vec![Piece::Scan(part.clone())], part))
    }

    /// The parts that are asked at a time, in order.
    fn nearest(&self, mut parts: Vec<Part>) -> Vec<Part> {
        let most = match self.plan.weight() as u64 {
            0 => TIMED_GROUP,
            terms => self.group.min(LARGEST_GROUP / terms),
        };
        if self.descending {
            parts.reverse();
        }
        let mut asked: u64 = 0;
        let mut taken = 0;
        for part in &parts {
            // A part that is not indexed costs nothing here; there is one at most, or retention's.
            let positions = part.run.map_or(0, |run| 1 << run.level);
            if taken > 0 && asked.saturating_add(positions) > most {
                break;
            }
            asked += positions;
            taken += 1;
        }
        parts.truncate(taken);
        parts
    }

    /// The pieces of parts that lie side by side; `None` when a run was merged away meanwhile.
    async fn look(&self, parts: &[Part]) -> Result<Option<Vec<Piece>>, StoreError> {
        let timed = self.timed(parts).await?;
        let mut found = self.candidates(parts, &timed).await?;
        let mut pieces = Vec::new();
        for part in parts {
            let Some(run) = part.run else {
                pieces.push(Piece::Scan(part.range.clone()));
                continue;
            };
            let mut mine = Vec::new();
            for range in overlap(&timed, &part.range) {
                match &self.plan.terms {
                    None => mine.push(Piece::Scan(range)),
                    Some(_) => match found.get_mut(&run) {
                        Some(None) => return Ok(None),
                        Some(Some(candidates)) => cut(run.first, candidates, &range, &mut mine),
                        None => {}
                    },
                }
            }
            if self.descending {
                mine.reverse();
            }
            pieces.extend(mine);
        }
        Ok(Some(joined(pieces)))
    }

    /// The positions of these parts that the plan's times leave, in ascending order.
    async fn timed(&self, parts: &[Part]) -> Result<Vec<Range<u64>>, StoreError> {
        let runs = parts.iter().filter_map(|part| part.run);
        let (Some(first), Some(end)) =
            (runs.clone().map(|run| run.first).min(), runs.map(|run| run.positions().end).max())
        else {
            return Ok(Vec::new());
        };
        if !self.plan.is_timed() {
            return Ok(iter::once(first..end).collect());
        }
        let Plan { occurred, received, .. } = self.plan;
        if occurred.from >= occurred.to || received.from >= received.to {
            return Ok(Vec::new());
        }
        self.store.segments(&self.log, &(first..end), occurred, received).await
    }

    /// The candidates of every run that the times leave something of.
    async fn candidates(
        &self,
        parts: &[Part],
        timed: &[Range<u64>],
    ) -> Result<HashMap<RunId, Option<RoaringBitmap>>, StoreError> {
        let Some(terms) = &self.plan.terms else { return Ok(HashMap::new()) };
        let mut all = Vec::new();
        terms.each(&mut |term| all.push(term));
        let runs = parts.iter().filter(|part| overlap(timed, &part.range).next().is_some());
        let wanted: Vec<_> = runs
            .filter_map(|part| part.run)
            .map(|id| {
                let mut keys: Vec<_> = all.iter().flat_map(|term| run::keys(id.level, *term)).collect();
                keys.sort_unstable();
                keys.dedup();
                (id, keys)
            })
            .collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self.store.index_rows(&self.log, &wanted).await?;
        let mut found = HashMap::new();
        for ((id, _), rows) in wanted.into_iter().zip(rows) {
            let Some(rows) = rows else {
                found.insert(id, None);
                continue;
            };
            let candidates = offsets(id, terms, &all, rows).unwrap_or_else(|damaged| {
                // The events are there all the same.
                tracing::error!(log = %self.log, level = id.level, first = id.first, %damaged, "reading through");
                let mut everything = RoaringBitmap::new();
                everything.insert_range(..run::size(id.level));
                everything
            });
            found.insert(id, Some(candidates));
        }
        Ok(found)
    }
}

/// The offsets of a run that may match, given the rows that its terms may be in.
fn offsets(id: RunId, terms: &Terms, all: &[Term], rows: Vec<Row>) -> Result<RoaringBitmap, Damaged> {
    let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row)).collect();
    let mut postings: HashMap<Term, RoaringBitmap> = HashMap::new();
    for term in all {
        let keys = run::keys(id.level, *term);
        postings.insert(*term, run::find(id.level, *term, keys.iter().filter_map(|key| rows.get(key)))?);
    }
    Ok(terms.candidates(&postings))
}

/// Runs and what lies between them, side by side in ascending order.
fn parts(rest: &Range<u64>, runs: &[RunId]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = rest.start;
    for run in runs {
        let range = run.positions().start.max(at)..run.positions().end.min(rest.end);
        if range.is_empty() {
            continue;
        }
        if at < range.start {
            parts.push(Part { range: at..range.start, run: None });
        }
        at = range.end;
        parts.push(Part { range, run: Some(*run) });
    }
    if at < rest.end {
        parts.push(Part { range: at..rest.end, run: None });
    }
    parts
}

/// From the first position of parts that lie side by side to their last.
fn covered(parts: &[Part]) -> Range<u64> {
    let start = parts.iter().map(|part| part.range.start).min().unwrap_or_default();
    start..parts.iter().map(|part| part.range.end).max().unwrap_or_default()
}

/// What ranges in ascending order have in common with one.
fn overlap(ranges: &[Range<u64>], with: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let from = ranges.partition_point(|range| range.end <= with.start);
    let ranges = ranges[from..].iter().take_while(|range| range.start < with.end);
    ranges.map(|range| range.start.max(with.start)..range.end.min(with.end))
}

/// Adds the pieces of one range of a run, in ascending order: where candidates are dense, all of it.
fn cut(base: u64, candidates: &RoaringBitmap, range: &Range<u64>, pieces: &mut Vec<Piece>) {
    let offset = |position: u64| u32::try_from(position - base).unwrap_or(u32::MAX);
    let (mut at, end) = (offset(range.start), offset(range.end));
    while at < end {
        let cell = at..end.min((at / CELL + 1) * CELL);
        at = cell.end;
        let few = u64::from(cell.end - cell.start) / DENSE;
        match candidates.range_cardinality(cell.clone()) {
            0 => {}
            count if count > few.max(1) => {
                pieces.push(Piece::Scan(base + u64::from(cell.start)..base + u64::from(cell.end)));
            }
            _ => {
                let candidates = candidates.range(cell).collect();
                pieces.push(Piece::Look { base, candidates });
            }
        }
    }
}

/// Makes one of pieces that follow each other and are of one kind.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Scan(before)), Piece::Scan(range)) if before.end == range.start => {
                before.end = range.end;
            }
            (Some(Piece::Scan(before)), Piece::Scan(range)) if range.end == before.start => {
                before.start = range.start;
            }
            (Some(Piece::Look { base: before, candidates: all }), Piece::Look { base, candidates })
                if *before == base =>
            {
                *all |= candidates
            }
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
