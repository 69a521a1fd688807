//! The pages of one query, in its order: which positions or times the next statement goes through.
//!
//! A page may be empty and still move on, or even stay where it is while candidates are collected: a filter
//! that matches next to nothing makes many short statements, between which the query can tell how far it is
//! and can end, and never one long one. Callers: `query`.
use std::{
    collections::VecDeque,
    fmt::Write as _,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Order,
    by_time::ByTime,
    finished,
    pieces::{Piece, Pieces},
    plan::Plan,
    predicate::Predicate,
};
use crate::{
    event::LogName,
    store::{PageRequest, PageStart, Rows, Store, StoreError, StoredEvent, Times},
};

/// Positions that one statement scans at most: 20 to 50 ms.
pub(super) const WINDOW: u64 = 1 << 15;
/// Candidates that one statement looks at.
pub(super) const CANDIDATES: usize = 1024;
/// How long a page goes on with further statements while it is not full.
pub(super) const TURN: Duration = Duration::from_millis(50);

/// What a query reads.
pub struct Pages {
    source: Source,
    order: Order,
    kind: Kind,
}

/// Where events come from.
pub(super) struct Source {
    pub store: Arc<dyn Store>,
    pub log: LogName,
    pub predicate: Predicate,
}

enum Kind {
    Position(ByPosition),
    Time(ByTime),
}

/// Matching events that follow each other, and where the next page begins.
pub struct Page {
    pub events: Vec<StoredEvent>,
    /// Everything before it has been looked at.
    pub next: PageStart,
    /// Whether that was all below the head.
    pub complete: bool,
}

impl Pages {
    /// The pages of a query.
    pub fn new(store: Arc<dyn Store>, log: LogName, predicate: Predicate, order: Order) -> Self {
        let plan = Plan::of(&predicate);
        let pieces = |descending| Pieces::new(Arc::clone(&store), log.clone(), plan.clone(), descending);
        let kind = match order {
            Order::PositionAsc => Kind::Position(ByPosition::new(pieces(false), false)),
            Order::PositionDesc => Kind::Position(ByPosition::new(pieces(true), true)),
            Order::OccurredDesc => Kind::Time(ByTime::new(pieces(false))),
        };
        Self { source: Source { store, log, predicate }, order, kind }
    }

    /// The page that begins at `start`, of positions below `head`, with at most `limit` events.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next(&mut self, start: PageStart, head: u64, limit: u32) -> Result<Page, StoreError> {
        let page = match (&mut self.kind, start) {
            (Kind::Position(pages), PageStart::From(position)) => {
                pages.next(&self.source, position..head, limit).await?
            }
            (Kind::Position(pages), PageStart::Below(position)) => {
                pages.next(&self.source, 0..position.min(head), limit).await?
            }
            (Kind::Time(pages), PageStart::Earlier { occurred_at, position }) => {
                pages.next(&self.source, (occurred_at, position), head, limit).await?
            }
            // A token is bound to its order, so this is a start that nobody gives.
            _ => Page { events: Vec::new(), next: start, complete: true },
        };
        Ok(if page.complete { Page { next: finished(self.order, head).start, ..page } } else { page })
    }

    /// What the query does, in words, a step on each line.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn plan(&self) -> Result<String, StoreError> {
        let plan = match &self.kind {
            Kind::Position(pages) => pages.pieces.plan(),
            Kind::Time(pages) => pages.plan(),
        };
        let live = self.source.store.live_runs(&self.source.log, &(0..i64::MAX.cast_unsigned())).await?;
        let mut words = match &plan.terms {
            Some(_) => format!(
                "look up in the index of positions below {}, {} parts: {}",
                live.indexed,
                live.runs.len(),
                plan.looked_up.join(" AND ")
            ),
            None => "read through the log: no part of the filter is looked up in the index".to_owned(),
        };
        let mut step = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = words.write_fmt(format_args!("\n{text}"));
        };
        for (column, times) in [("occurred_at", plan.occurred), ("received_at", plan.received)] {
            if times != Times::ALL {
                step(format_args!("leave out segments below {} with no {column} in the range", live.indexed));
            }
        }
        if plan.terms.is_some() || plan.is_timed() {
            step(format_args!("read through positions from {} on", live.indexed));
        }
        if self.order == Order::OccurredDesc {
            step(format_args!(
                "sort by occurred_at, or when too many match walk down the index by occurred_at"
            ));
        }
        step(format_args!("compare each event with the whole filter"));
        Ok(words)
    }
}

/// Pages by position, in either direction.
struct ByPosition {
    pieces: Pieces,
    descending: bool,
    queue: VecDeque<Piece>,
    /// What is not looked at yet...
    rest: Range<u64>,
    /// ...and what of it is not in the queue either.
    unknown: Range<u64>,
}

impl ByPosition {
    const fn new(pieces: Pieces, descending: bool) -> Self {
        Self { pieces, descending, queue: VecDeque::new(), rest: 0..0, unknown: 0..0 }
    }

    async fn next(&mut self, source: &Source, range: Range<u64>, limit: u32) -> Result<Page, StoreError> {
        let allowed = &self.pieces.plan().positions;
        let range = range.start.max(allowed.start)..range.end.min(allowed.end);
        self.go_to(range);
        let begun = Instant::now();
        let mut events = Vec::new();
        while !self.rest.is_empty() {
            if self.queue.is_empty() {
                let (pieces, covered) = self.pieces.next(self.unknown.clone()).await?;
                self.queue.extend(pieces);
                self.unknown = match self.descending {
                    false => covered.end..self.unknown.end,
                    true => self.unknown.start..covered.start,
                };
            }
            let wanted = limit - u32::try_from(events.len()).unwrap_or(limit);
            let found = self.look(source, wanted).await?;
            events.extend(found.events);
            if found.cut || events.len() >= limit as usize || begun.elapsed() >= TURN {
                break;
            }
        }
        let next = match self.descending {
            false => PageStart::From(self.rest.start),
            true => PageStart::Below(self.rest.end),
        };
        Ok(Page { events, next, complete: self.rest.is_empty() })
    }

    /// Continues with a range, keeping what is known of it.
    fn go_to(&mut self, range: Range<u64>) {
        if !self.descending && range.start == self.rest.start && range.end >= self.rest.end {
            // The head may have moved on.
            self.unknown.end = range.end;
        } else if range != self.rest {
            self.queue.clear();
            self.unknown = range.clone();
        }
        self.rest = range;
    }

    /// Everything up to a position is looked at: below it, or from it on when descending.
    fn done(&mut self, to: u64) {
        match self.descending {
            false => self.rest.start = to.min(self.rest.end),
            true => self.rest.end = to.max(self.rest.start),
        }
    }

    /// One statement.
    async fn look(&mut self, source: &Source, wanted: u32) -> Result<Rows, StoreError> {
        let descending = self.descending;
        let Some(piece) = self.queue.pop_front() else {
            // Nothing was left of what the index was asked for.
            self.done(if descending { self.unknown.end } else { self.unknown.start });
            return Ok(Rows::default());
        };
        let (found, left, mut to) = match piece {
            Piece::Scan(range) => {
                let window = match descending {
                    false => range.start..range.end.min(range.start.saturating_add(WINDOW)),
                    true => range.start.max(range.end.saturating_sub(WINDOW))..range.end,
                };
                let found = source.page(&window, None, descending, wanted).await?;
                let to = if descending { window.start } else { window.end };
                (found, Piece::Scan(range), to)
            }
            Piece::Look { base, candidates } => {
                let most = (wanted as usize).saturating_mul(2).clamp(64, CANDIDATES);
                let offsets: Vec<u32> = match descending {
                    false => candidates.iter().take(most).collect(),
                    true => candidates.iter().rev().take(most).collect(),
                };
                let positions: Vec<u64> = offsets.iter().map(|offset| base + u64::from(*offset)).collect();
                let found = source.page(&self.rest, Some(&positions), descending, wanted).await?;
                let last = positions.last().copied().unwrap_or(base);
                (found, Piece::Look { base, candidates }, if descending { last } else { last + 1 })
            }
        };
        let full = found.cut || found.events.len() >= wanted as usize;
        if let Some(last) = found.events.last().filter(|_| full) {
            to = if descending { last.position } else { last.position + 1 };
        }
        match remainder(left, to, descending) {
            Some(piece) => self.queue.push_front(piece),
            None if self.queue.is_empty() => {
                to = if descending { self.unknown.end } else { self.unknown.start }
            }
            None => {}
        }
        self.done(to);
        Ok(found)
    }
}

/// What is left of a piece once it is looked at up to a position.
fn remainder(piece: Piece, to: u64, descending: bool) -> Option<Piece> {
    match piece {
        Piece::Scan(range) => {
            let range = if descending { range.start..to } else { to..range.end };
            (!range.is_empty()).then_some(Piece::Scan(range))
        }
        Piece::Look { base, mut candidates } => {
            let offset = u32::try_from(to.saturating_sub(base)).unwrap_or(u32::MAX);
            match descending {
                false => candidates.remove_range(..offset),
                true => candidates.remove_range(offset..),
            };
            (!candidates.is_empty()).then_some(Piece::Look { base, candidates })
        }
    }
}

impl Source {
    /// Matching events of a range, or of some positions in it, by position.
    pub async fn page(
        &self,
        range: &Range<u64>,
        positions: Option<&[u64]>,
        descending: bool,
        limit: u32,
    ) -> Result<Rows, StoreError> {
        let start = if descending { PageStart::Below(range.end) } else { PageStart::From(range.start) };
        let request = PageRequest {
            log: &self.log,
            predicate: &self.predicate,
            start,
            floor: range.start,
            head: range.end,
            until: None,
            positions,
            limit,
        };
        self.store.page(&request).await
    }
}
