//! Pages by the time of the event, the latest first.
//!
//! Where the index leaves few candidates, their times are collected and sorted once: some ten thousand
//! pairs of numbers. Where it leaves many, a walk down the index by time meets one soon; it goes in steps
//! of a bounded number of events, whether they match or not. Either way late and early events come where
//! their time puts them, and events of one time by their position.
use std::{cmp::Reverse, collections::VecDeque, ops::Range, time::Instant};

use super::{
    pages::{CANDIDATES, Page, Source, TURN, WINDOW},
    pieces::{Piece, Pieces},
    plan::Plan,
};
use crate::store::{Moment, PageRequest, PageStart, StoreError, StoredEvent};

/// Candidates that are collected at most: 10,000 rows are looked at before the first event is known, some
/// 50 to 100 ms. Of a log of 20 million that is one event in 2,000, of which a step of the walk meets ten.
const MOST_FOUND: u64 = 10_000;
/// Positions that are scanned for candidates at most.
const MOST_SCANNED: u64 = 4 * WINDOW;
/// Events of the first step of a walk, and of the others.
const FIRST_STEP: u32 = 2_000;
const STEP: u32 = 20_000;

/// Pages by time.
pub struct ByTime {
    pieces: Pieces,
    state: State,
}

enum State {
    New,
    /// Candidates are being looked at.
    Collecting(Collecting),
    /// All matching moments, the latest first.
    Found(Vec<Moment>),
    Walking(Walk),
}

#[derive(Default)]
struct Collecting {
    queue: VecDeque<Piece>,
    unknown: Range<u64>,
    scanned: u64,
    candidates: u64,
    found: Vec<Moment>,
}

/// A walk down: where its step ends, and whether that is the end of the walk.
#[derive(Clone, Copy)]
struct Walk {
    until: Option<Moment>,
    last: bool,
    step: u32,
}

const WALK: Walk = Walk { until: None, last: false, step: FIRST_STEP };

impl ByTime {
    /// By the candidates of these.
    pub const fn new(pieces: Pieces) -> Self {
        Self { pieces, state: State::New }
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        self.pieces.plan()
    }

    /// The next page below a moment.
    pub async fn next(
        &mut self,
        source: &Source,
        below: Moment,
        head: u64,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let Plan { occurred, positions, .. } = self.pieces.plan().clone();
        if matches!(self.state, State::New) {
            let unknown = positions.start..positions.end.min(head);
            let looked_up = self.pieces.plan().terms.is_some();
            let begin = || State::Collecting(Collecting { unknown, ..Collecting::default() });
            self.state = if looked_up { begin() } else { State::Walking(WALK) };
        }
        if let State::Collecting(collecting) = &mut self.state {
            match collecting.turn(source, &mut self.pieces).await? {
                Turn::More => return Ok(Page { events: Vec::new(), next: earlier(below), complete: false }),
                Turn::Found(found) => self.state = State::Found(found),
                Turn::TooMany => self.state = State::Walking(WALK),
            }
        }
        match &mut self.state {
            State::Found(found) => sorted(source, found, below, limit).await,
            State::Walking(walk) => {
                // Below the end of the range is everything before it.
                let below = below.min((occurred.to, 0));
                walk.turn(source, below, occurred.from, head, limit).await
            }
            // Left above.
            State::New | State::Collecting(_) => {
                Ok(Page { events: Vec::new(), next: earlier(below), complete: false })
            }
        }
    }
}

enum Turn {
    More,
    Found(Vec<Moment>),
    TooMany,
}

impl Collecting {
    async fn turn(&mut self, source: &Source, pieces: &mut Pieces) -> Result<Turn, StoreError> {
        let begun = Instant::now();
        while begun.elapsed() < TURN {
            let Some(piece) = self.queue.pop_front() else {
                if self.unknown.is_empty() {
                    let mut found = std::mem::take(&mut self.found);
                    found.sort_unstable_by_key(|moment| Reverse(*moment));
                    return Ok(Turn::Found(found));
                }
                let (pieces, covered) = pieces.next(self.unknown.clone()).await?;
                self.unknown.start = covered.end;
                for piece in &pieces {
                    match piece {
                        Piece::Scan(range) => self.scanned += range.end - range.start,
                        Piece::Look { candidates, .. } => self.candidates += candidates.len(),
                    }
                }
                self.queue.extend(pieces);
                if self.scanned > MOST_SCANNED || self.candidates > MOST_FOUND {
                    return Ok(Turn::TooMany);
                }
                continue;
            };
            self.look(source, piece).await?;
            if self.found.len() as u64 > MOST_FOUND {
                return Ok(Turn::TooMany);
            }
        }
        Ok(Turn::More)
    }

    /// One statement.
    async fn look(&mut self, source: &Source, piece: Piece) -> Result<(), StoreError> {
        let limit = u32::try_from(MOST_FOUND).unwrap_or(u32::MAX) + 1;
        let request = |range: &Range<u64>| PageRequest {
            log: &source.log,
            predicate: &source.predicate,
            start: PageStart::From(range.start),
            floor: range.start,
            head: range.end,
            until: None,
            positions: None,
            limit,
        };
        match piece {
            Piece::Scan(range) => {
                let window = range.start..range.end.min(range.start.saturating_add(WINDOW));
                self.found.extend(source.store.moments(&request(&window)).await?);
                if window.end < range.end {
                    self.queue.push_front(Piece::Scan(window.end..range.end));
                }
            }
            Piece::Look { base, mut candidates } => {
                let offsets: Vec<u32> = candidates.iter().take(CANDIDATES).collect();
                let positions: Vec<u64> = offsets.iter().map(|offset| base + u64::from(*offset)).collect();
                let all = PageRequest { positions: Some(&positions), ..request(&(0..u64::MAX)) };
                self.found.extend(source.store.moments(&all).await?);
                if let Some(last) = offsets.last() {
                    candidates.remove_range(..=*last);
                }
                if !candidates.is_empty() {
                    self.queue.push_front(Piece::Look { base, candidates });
                }
            }
        }
        Ok(())
    }
}

/// A page of sorted moments.
async fn sorted(source: &Source, found: &[Moment], below: Moment, limit: u32) -> Result<Page, StoreError> {
    let from = found.partition_point(|moment| *moment >= below);
    let mut chunk = &found[from..found.len().min(from + limit as usize)];
    loop {
        let Some(last) = chunk.last() else {
            return Ok(Page { events: Vec::new(), next: earlier(below), complete: true });
        };
        let positions: Vec<u64> = chunk.iter().map(|(_, position)| *position).collect();
        let mut rows = source.page(&(0..u64::MAX), Some(&positions), false, limit).await?;
        if rows.cut && chunk.len() > 1 {
            // It was cut by position, and is wanted by time. One alone always fits.
            chunk = &chunk[..chunk.len() / 2];
            continue;
        }
        rows.events.sort_unstable_by_key(|event| Reverse((event.occurred_at, event.position)));
        let complete = from + chunk.len() == found.len();
        return Ok(Page { events: rows.events, next: earlier(*last), complete });
    }
}

impl Walk {
    async fn turn(
        &mut self,
        source: &Source,
        mut below: Moment,
        earliest: i64,
        head: u64,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let begun = Instant::now();
        let mut events: Vec<StoredEvent> = Vec::new();
        loop {
            if self.until.is_none_or(|until| until >= below) {
                let down = source.store.down(&source.log, below, earliest, self.step).await?;
                self.last = down.is_none();
                self.until = Some(down.unwrap_or((earliest, 0)));
                self.step = STEP;
            }
            let wanted = limit - u32::try_from(events.len()).unwrap_or(limit);
            let request = PageRequest {
                log: &source.log,
                predicate: &source.predicate,
                start: earlier(below),
                floor: 0,
                head,
                until: self.until,
                positions: None,
                limit: wanted,
            };
            let found = source.store.page(&request).await?;
            let full = found.cut || found.events.len() >= wanted as usize;
            events.extend(found.events);
            below = match (events.last().filter(|_| full), self.until) {
                (Some(last), _) => (last.occurred_at, last.position),
                (None, Some(until)) => until,
                (None, None) => below,
            };
            let complete = !full && self.last;
            if full || complete || begun.elapsed() >= TURN {
                return Ok(Page { events, next: earlier(below), complete });
            }
        }
    }
}

const fn earlier((occurred_at, position): Moment) -> PageStart {
    PageStart::Earlier { occurred_at, position }
}
