//! Runs one query: reads page after page, says how far it is every second, and, where it follows, goes on
//! with what is committed. It waits for its client between pages, and for nothing else.
use std::{
    future::pending,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    End, Engine, Order, Part, Query, Summary, after,
    live::{Batch, Known, Live},
    mailbox::Mailbox,
    pages::Pages,
    plan::{Plan, Terms},
    predicate::Predicate,
    removed::{self, Removed},
    tails::Tail,
    token::Cursor,
};
use crate::{
    clock::Clock,
    store::{Extent, PageStart, Store, StoreError, StoredEvent},
    telemetry::Metrics,
};

/// Events of one page at most.
const PAGE_EVENTS: u32 = 2048;
/// Events of the first page, before anything is known of their size: 64 of the largest are 13 MiB.
const FIRST_PAGE_EVENTS: u32 = 64;
/// Memory of the pages of all queries together.
const PAGES_BYTES: usize = 96 * 1024 * 1024;
/// Pages of one query that are in memory at a time: one being read, one that waits, one with the client.
const PAGES: usize = 3;
/// Aimed-at bytes of a page: the next page's number of events follows from this one's size. A query alone
/// gets large ones, which take fewer statements; 256 of them get a share of the memory each.
const PAGE_BYTES: (usize, usize) = (128 * 1024, 1024 * 1024);
/// How often a query says how far it is.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// How long the end of a query waits for the store to tell how far the index is.
const PLAN: Duration = Duration::from_secs(1);
/// How long a query follows although nobody knows how far its log is.
const UNKNOWN: Duration = Duration::from_secs(10);

/// Why reading stopped before its end.
enum Stop {
    /// Nobody reads the answers.
    Unread,
    Failed(StoreError),
    Removed(Removed),
    Drain,
    Deadline,
}

/// One running query.
pub struct Reader {
    store: Arc<dyn Store>,
    live: Arc<Live>,
    pages: Pages,
    query: Query,
    pace: Pace,
    /// Where the next event is looked for.
    cursor: Cursor,
    /// Where the first one was.
    first: Cursor,
    head: u64,
    /// Retention had removed what is below...
    oldest: u64,
    /// ...when that was last looked at.
    looked: Instant,
    returned: u64,
    /// Events of the next page.
    rows: u32,
    running: Running,
    metrics: Arc<Metrics>,
    tail: Tail,
}

/// How many queries run, counted as one of them until it is dropped.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn of(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What goes on beside the reading.
struct Pace {
    clock: Arc<dyn Clock>,
    mailbox: Mailbox,
    checkpoint: Interval,
    deadline: Option<Instant>,
}

impl Pace {
    async fn put(&self, part: Part) -> Result<(), Stop> {
        self.mailbox.put(part).await.map_err(|_| Stop::Unread)
    }

    /// Waits for `work`, and says meanwhile that the query has come to `cursor`. That waits for nobody: a
    /// statement must not stand still because a client does.
    async fn until<T>(
        &mut self,
        drain: &CancellationToken,
        cursor: impl Fn() -> Option<(Cursor, i64)>,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let mut work = pin!(work);
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        let mut deadline = pin!(deadline);
        loop {
            tokio::select! {
                biased;
                () = drain.cancelled() => return Err(Stop::Drain),
                () = &mut deadline => return Err(Stop::Deadline),
                done = &mut work => return Ok(done),
                () = self.mailbox.gone() => return Err(Stop::Unread),
                _ = self.checkpoint.tick() => if let Some((cursor, at)) = cursor() {
                    self.mailbox.offer(Part::Checkpoint { cursor, at });
                },
            }
        }
    }
}

impl Reader {
    /// A query that has not begun.
    pub fn new(engine: &Engine, query: Query, mailbox: Mailbox) -> Self {
        let Engine { store, live, clock, running, metrics, tails, .. } = engine;
        let (store, live, clock) = (Arc::clone(store), Arc::clone(live), Arc::clone(clock));
        let pages = Pages::new(
            Arc::clone(&store),
            query.log.clone(),
            query.predicate.predicate().clone(),
            query.order,
        );
        let now = Instant::now();
        let mut checkpoint = interval_at(now + CHECKPOINT, CHECKPOINT);
        checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = query.max_duration.and_then(|limit| now.checked_add(limit));
        let cursor = Cursor { start: PageStart::From(0), head: 0 };
        Self {
            store,
            live,
            pages,
            query,
            pace: Pace { clock, mailbox, checkpoint, deadline },
            cursor,
            first: cursor,
            head: 0,
            oldest: 0,
            looked: now,
            returned: 0,
            rows: FIRST_PAGE_EVENTS,
            running: Running::of(running),
            metrics: Arc::clone(metrics),
            tail: tails.follow(),
        }
    }

    /// Runs the query to its end.
    pub async fn run(mut self, drain: CancellationToken) {
        let last = match self.read(&drain).await {
            Ok(end) => self.summary(end).await,
            Err(Stop::Deadline) => self.summary(End::MaxDuration).await,
            Err(Stop::Drain) if self.query.follow => self.summary(End::Drain).await,
            Err(Stop::Drain) => Part::Draining,
            Err(Stop::Failed(error)) => Part::Failed(error),
            Err(Stop::Removed(removed)) => Part::Removed(removed),
            Err(Stop::Unread) => return,
        };
        // The client may be gone.
        let _ = self.pace.mailbox.end(last).await;
    }

    async fn summary(&self, end: End) -> Part {
        let (returned, head, oldest, cursor) = (self.returned, self.head, self.oldest, self.cursor);
        let scanned = passed(self.first, cursor).unwrap_or(returned);
        // How far the index is decorates the end of a query: that must neither wait for the store nor fail with it.
        let plan = match timeout(PLAN, self.pages.plan()).await {
            Ok(Ok(plan)) => plan,
            Ok(Err(error)) if self.query.explain => return Part::Failed(error),
            Err(_) if self.query.explain => {
                return Part::Failed(StoreError::Unavailable("no plan in time".into()));
            }
            Ok(Err(_)) | Err(_) => String::new(),
        };
        Part::Summary(Summary { returned, scanned, head, oldest, end, cursor, plan })
    }

    async fn read(&mut self, drain: &CancellationToken) -> Result<End, Stop> {
        let Extent { oldest, size: now } = self.extent(drain).await?;
        removed::refuse(self.query.predicate.predicate(), oldest).map_err(Stop::Removed)?;
        if self.query.resume.is_some_and(|cursor| is_removed(cursor, oldest)) {
            return Err(Stop::Removed(Removed { oldest }));
        }
        self.oldest = oldest;
        let predicate = removed::from_oldest(self.query.predicate.predicate().clone(), oldest);
        self.pages = Pages::new(Arc::clone(&self.store), self.query.log.clone(), predicate, self.query.order);
        self.cursor = self.query.resume.unwrap_or(match self.query.order {
            Order::PositionAsc => Cursor { start: PageStart::From(oldest), head: 0 },
            Order::PositionDesc => Cursor { start: PageStart::Below(now), head: now },
            Order::OccurredDesc => {
                Cursor { start: PageStart::Earlier { occurred_at: i64::MAX, position: now }, head: now }
            }
        });
        self.first = self.cursor;
        // A resumed descending query stays below the head of its first call: what came since lies before
        // the place where it stopped.
        self.head = if self.query.order == Order::PositionAsc { now } else { self.cursor.head.min(now) };
        if self.query.explain {
            return Ok(End::Complete);
        }
        if self.past(drain).await? {
            return Ok(End::Limit);
        }
        match self.query.follow {
            true => self.follow(drain).await,
            false => Ok(End::Complete),
        }
    }

    async fn extent(&mut self, drain: &CancellationToken) -> Result<Extent, Stop> {
        self.looked = Instant::now();
        let extent = self.pace.until(drain, || None, self.store.extent(&self.query.log)).await?;
        extent.map_err(Stop::Failed)
    }

    /// Makes sure that nothing was removed of what is still to be read: it would be missing without a word.
    /// Retention waits much longer between the mark and the removal than this does between two looks.
    async fn still_there(&mut self, drain: &CancellationToken) -> Result<(), Stop> {
        if self.looked.elapsed() < CHECKPOINT {
            return Ok(());
        }
        let Extent { oldest, .. } = self.extent(drain).await?;
        let missing = oldest > self.oldest
            && (self.query.order != Order::PositionAsc || is_removed(self.cursor, oldest));
        if missing { Err(Stop::Removed(Removed { oldest })) } else { Ok(()) }
    }

    /// Reads everything below the head. Returns whether the limit was reached.
    async fn past(&mut self, drain: &CancellationToken) -> Result<bool, Stop> {
        loop {
            self.still_there(drain).await?;
            let (cursor, clock) = (self.cursor, Arc::clone(&self.pace.clock));
            let reading = self.pages.next(cursor.start, self.head, self.wanted());
            let page = self.pace.until(drain, || Some((cursor, clock.now_micros())), reading).await?;
            let page = page.map_err(Stop::Failed)?;
            self.cursor.start = page.next;
            self.metrics.query.scanned(passed(cursor, self.cursor).unwrap_or(page.events.len() as u64));
            if self.send(page.events).await? {
                return Ok(true);
            }
            if page.complete {
                return Ok(false);
            }
        }
    }

    /// Events that the next page may have.
    fn wanted(&self) -> u32 {
        match self.query.limit {
            0 => self.rows,
            limit => u32::try_from(limit - self.returned).unwrap_or(u32::MAX).min(self.rows),
        }
    }

    /// Sends a page. Returns whether the limit was reached; the cursor is then after its last event.
    async fn send(&mut self, events: Vec<StoredEvent>) -> Result<bool, Stop> {
        let Some(last) = events.last() else { return Ok(false) };
        let last = after(self.query.order, last, self.head);
        let bytes: usize = events.iter().map(|event| event.record.len() + event.personal.len()).sum();
        self.rows = page_rows(bytes / events.len(), self.running.0.load(Ordering::Relaxed));
        self.returned += events.len() as u64;
        self.pace.put(Part::Page { events, head: self.head }).await?;
        let limited = self.query.limit != 0 && self.returned >= self.query.limit;
        if limited {
            self.cursor = last;
        }
        Ok(limited)
    }

    /// Goes on with what is committed. Ends with the limit only.
    async fn follow(&mut self, drain: &CancellationToken) -> Result<End, Stop> {
        let feed = self.live.follow(&self.query.log);
        let predicate = self.query.predicate.predicate().clone();
        let terms = Plan::of(&predicate).terms;
        let mut known = feed.known();
        let began = self.pace.clock.now_micros();
        // The query has caught up once it has looked at everything that is known now.
        let (mut goal, mut caught_up, mut has_been_there) = (None, false, false);
        loop {
            let now = *known.borrow_and_update();
            let Some(now) = now else {
                self.wait(drain, &mut known, began).await?;
                continue;
            };
            self.head = self.head.max(now.end);
            let position = position(self.cursor);
            has_been_there |= caught_up;
            self.tail.is_behind(has_been_there && position < now.end);
            if !caught_up && position >= *goal.get_or_insert(now.end) {
                (goal, caught_up) = (None, true);
                self.pace.put(Part::CaughtUp { cursor: self.cursor, head: position }).await?;
            }
            match feed.since(position) {
                // The feed does not reach back so far: the client, or the history before this, took its time.
                None => {
                    if caught_up {
                        caught_up = false;
                        self.pace.put(Part::FellBehind { cursor: self.cursor, head: self.head }).await?;
                    }
                    if self.past(drain).await? {
                        return Ok(End::Limit);
                    }
                }
                Some(newer) if newer.is_empty() => self.wait(drain, &mut known, began).await?,
                Some(newer) => {
                    let page = self.newest(&predicate, terms.as_ref(), &newer);
                    drop(newer);
                    self.metrics.query.scanned(self::position(self.cursor).saturating_sub(position));
                    if self.send(page).await? {
                        return Ok(End::Limit);
                    }
                }
            }
        }
    }

    /// A page of what matches of events in memory. It is a copy: who waits for a client must not keep what the
    /// feed has let go of meanwhile, which is up to 32 MiB for each follower.
    fn newest(
        &mut self,
        predicate: &Predicate,
        terms: Option<&Terms>,
        newer: &[Arc<Batch>],
    ) -> Vec<StoredEvent> {
        let (mut page, wanted) = (Vec::new(), self.wanted() as usize);
        for batch in newer {
            for event in batch.matching(position(self.cursor), predicate, terms) {
                self.cursor.start = PageStart::From(event.position + 1);
                page.push(event);
                if page.len() >= wanted {
                    return page;
                }
            }
            self.cursor.start = PageStart::From(batch.end());
        }
        page
    }

    /// Waits for something to be committed.
    async fn wait(
        &mut self,
        drain: &CancellationToken,
        known: &mut watch::Receiver<Option<Known>>,
        began: i64,
    ) -> Result<(), Stop> {
        let (cursor, latest) = (self.cursor, known.clone());
        // Everything that was committed at that time has been looked at.
        let checkpoint = || {
            let known = latest.borrow().filter(|known| known.end <= position(cursor));
            known.map(|known| (cursor, known.at))
        };
        let changed = timeout(UNKNOWN, known.changed());
        let changed = self.pace.until(drain, checkpoint, changed).await?;
        let at = latest.borrow().map_or(began, |known| known.at);
        let unknown = self.pace.clock.now_micros().saturating_sub(at);
        // The next look may be under way.
        if changed.is_err() && unknown > i64::try_from(UNKNOWN.as_micros()).unwrap_or(i64::MAX) {
            let cause = "nobody knows how far the log is";
            return Err(Stop::Failed(StoreError::Unavailable(cause.into())));
        }
        Ok(())
    }
}

/// Positions between two places of a query. By time nobody knows.
const fn passed(from: Cursor, to: Cursor) -> Option<u64> {
    match (from.start, to.start) {
        (PageStart::From(first), PageStart::From(last)) => Some(last.saturating_sub(first)),
        (PageStart::Below(first), PageStart::Below(last)) => Some(first.saturating_sub(last)),
        _ => None,
    }
}

/// Whether an ascending query has come to positions that are removed.
fn is_removed(cursor: Cursor, oldest: u64) -> bool {
    matches!(cursor.start, PageStart::From(position) if position < oldest)
}

/// The position that an ascending query looks at next.
const fn position(cursor: Cursor) -> u64 {
    match cursor.start {
        PageStart::From(position) => position,
        // Only ascending queries follow.
        PageStart::Below(_) | PageStart::Earlier { .. } => 0,
    }
}

/// Events of the next page, given the bytes of an event of the last one and the queries that run.
fn page_rows(event_bytes: usize, running: usize) -> u32 {
    let (least, most) = PAGE_BYTES;
    let rows = (PAGES_BYTES / PAGES / running.max(1)).clamp(least, most) / event_bytes.max(1);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(8, PAGE_EVENTS)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
