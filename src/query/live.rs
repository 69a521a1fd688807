//! What is committed, handed to those who follow it.
//!
//! Each log that is followed has one [`Feed`]: its newest events in memory, in order and without a gap. What
//! this replica commits comes from its sequencers, at once and without being read again; what others commit
//! is seen by a look at the heads of the followed logs every [`POLL`], and read once for all followers. A
//! follower that is too slow for the feed reads from the store until it is back. Callers: `reader`, `ingest`
//! (which commits), `app` (which runs [`Live::watch`]).
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    plan::Terms,
    predicate::{Predicate, Row},
};
use crate::{
    clock::Clock,
    event::{Columns, LogName, SealedEvent, personal},
    index::{Term, terms::terms_of},
    proto::v1::EventFamily,
    store::{PageRequest, PageStart, Store, StoreError, StoredEvent},
};

/// Code of the event that tells of an erasure.
const ERASED: &str = "SUBJECT_ERASED";

/// How often the heads of followed logs are looked at: what another replica commits is seen this late at
/// most. One short statement for all logs.
const POLL: Duration = Duration::from_millis(50);
/// Memory of all feeds. Some 30,000 events.
const FEEDS_BYTES: usize = 32 * 1024 * 1024;
/// Committed groups that wait for a feed. When there are more, they are read from the store.
const WAITING_GROUPS: usize = 4;
/// Events that a feed reads at a time.
const READ_EVENTS: u32 = 256;

/// The feeds of a replica.
pub struct Live {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    feeds: Mutex<HashMap<LogName, Weak<Feed>>>,
    /// Feeds there are.
    count: Arc<AtomicUsize>,
    followed: Notify,
}

/// A group of events that was committed.
pub struct Commit {
    /// Position of the first.
    pub first: u64,
    /// In their order, without a gap.
    pub events: Vec<Arc<SealedEvent>>,
}

/// The newest events of a log.
pub struct Feed {
    log: LogName,
    ring: Mutex<Ring>,
    known: watch::Sender<Option<Known>>,
    commits: mpsc::Sender<Commit>,
    polled: watch::Sender<Option<Known>>,
    count: Arc<AtomicUsize>,
}

/// How far a log is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// Events in the log.
    pub end: u64,
    /// When there were no more, in microseconds since 1970.
    pub at: i64,
}

#[derive(Default)]
struct Ring {
    /// First position it holds.
    first: u64,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

/// Events that follow each other.
pub struct Batch {
    first: u64,
    events: Vec<LiveEvent>,
    bytes: usize,
    /// Those of all its events, in order. Made once for all followers: most of many followers then see by a few
    /// look-ups that a batch holds nothing for them.
    terms: OnceLock<Vec<Term>>,
}

/// One of them.
enum LiveEvent {
    /// Committed by this replica.
    Sealed(Arc<SealedEvent>),
    /// Read from the store.
    Read(Box<(StoredEvent, Columns)>),
}

impl LiveEvent {
    fn columns(&self) -> &Columns {
        match self {
            Self::Sealed(event) => event.columns(),
            Self::Read(event) => &event.1,
        }
    }

    fn stored(&self, position: u64) -> StoredEvent {
        match self {
            Self::Sealed(event) => StoredEvent {
                position,
                occurred_at: event.columns().occurred_at,
                record: event.record().to_vec(),
                personal: event.personal().to_vec(),
                leaf_hash: *event.leaf_hash(),
            },
            Self::Read(event) => event.0.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let record = match self {
            Self::Sealed(event) => event.record().len() + event.personal().len(),
            Self::Read(event) => event.0.record.len() + event.0.personal.len(),
        };
        // The columns repeat about as much as a record holds.
        2 * record + 512
    }
}

impl Batch {
    fn new(first: u64, events: Vec<LiveEvent>) -> Self {
        let bytes = events.iter().map(LiveEvent::bytes).sum();
        Self { first, events, bytes, terms: OnceLock::new() }
    }

    /// Whether it says that events before it have been erased.
    fn tells_of_erasure(&self) -> bool {
        self.events.iter().any(|event| {
            let columns = event.columns();
            columns.family == EventFamily::Chancery as i32 && columns.code == ERASED
        })
    }

    /// The position after its last event.
    pub fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    fn terms(&self) -> &[Term] {
        self.terms.get_or_init(|| {
            let mut terms = Vec::new();
            for event in &self.events {
                terms_of(event.columns(), |term| terms.push(term));
            }
            terms.sort_unstable();
            terms.dedup();
            terms
        })
    }

    /// Its events from a position on that match a predicate, which has these terms.
    pub fn matching<'a>(
        &'a self,
        from: u64,
        predicate: &'a Predicate,
        terms: Option<&Terms>,
    ) -> impl Iterator<Item = StoredEvent> + 'a {
        let events = match terms {
            Some(terms) if !terms.may_match(self.terms()) => &[],
            _ => self.events.as_slice(),
        };
        let numbered = (self.first..).zip(events).skip_while(move |(position, _)| *position < from);
        let matching = numbered.filter(|(position, event)| {
            predicate.matches(&Row { position: *position, columns: event.columns() })
        });
        matching.map(|(position, event)| event.stored(position))
    }
}

impl Live {
    /// No feed yet.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, feeds: Mutex::default(), count: Arc::default(), followed: Notify::new() }
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<LogName, Weak<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The feed of a log, which lasts while somebody holds it. Where it is new, so is the task that fills it.
    pub fn follow(&self, log: &LogName) -> Arc<Feed> {
        let mut feeds = self.feeds();
        if let Some(feed) = feeds.get(log).and_then(Weak::upgrade) {
            return feed;
        }
        let (commits, waiting) = mpsc::channel(WAITING_GROUPS);
        let polled = watch::Sender::new(None);
        let seen = polled.subscribe();
        self.count.fetch_add(1, Ordering::Relaxed);
        let feed = Arc::new(Feed {
            log: log.clone(),
            ring: Mutex::default(),
            known: watch::Sender::new(None),
            commits,
            polled,
            count: Arc::clone(&self.count),
        });
        feeds.insert(log.clone(), Arc::downgrade(&feed));
        // It ends with its feed.
        tokio::spawn(fill(Arc::downgrade(&feed), Arc::clone(&self.store), waiting, seen));
        self.followed.notify_one();
        feed
    }

    /// Whether anybody follows a log.
    pub fn is_followed(&self, log: &LogName) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.feeds().contains_key(log)
    }

    /// Tells those who follow a log what was committed to it. Never waits.
    pub fn committed(&self, log: &LogName, commit: Commit) {
        let feed = self.feeds().get(log).and_then(Weak::upgrade);
        if let Some(feed) = feed {
            // Where there is no room, the next look at the head finds the events in the store.
            let _ = feed.commits.try_send(commit);
        }
    }

    /// Looks at the heads of followed logs for as long as the server runs.
    pub async fn watch(self: Arc<Self>) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            poll.tick().await;
            let feeds: Vec<Arc<Feed>> = {
                let mut feeds = self.feeds();
                feeds.retain(|_, feed| feed.strong_count() > 0);
                feeds.values().filter_map(Weak::upgrade).collect()
            };
            if feeds.is_empty() {
                self.followed.notified().await;
                continue;
            }
            let logs: Vec<LogName> = feeds.iter().map(|feed| feed.log.clone()).collect();
            // Before the look: what is committed after it may be missing.
            let at = self.clock.now_micros();
            match self.store.heads(&logs).await {
                Ok(heads) => {
                    for feed in feeds {
                        let end = heads.get(&feed.log).copied().unwrap_or(0);
                        feed.polled.send_replace(Some(Known { end, at }));
                    }
                }
                // Followers end by themselves when this lasts; health says why.
                Err(error) => tracing::debug!(%error, "the heads of followed logs cannot be read"),
            }
        }
    }
}

impl Feed {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the log is known, and its changes. `None` until it is known at all.
    pub fn known(&self) -> watch::Receiver<Option<Known>> {
        self.known.subscribe()
    }

    /// The events from a position on. `None` when the feed does not reach back so far.
    pub fn since(&self, position: u64) -> Option<Vec<Arc<Batch>>> {
        let ring = self.ring();
        if position < ring.first {
            return None;
        }
        let newer = ring.batches.iter().rev().take_while(|batch| batch.end() > position);
        let mut newer: Vec<_> = newer.cloned().collect();
        newer.reverse();
        Some(newer)
    }

    fn begin(&self, known: Known) {
        self.ring().first = known.end;
        self.known.send_replace(Some(known));
    }

    fn push(&self, batch: Batch) {
        let end = batch.end();
        let feeds = self.count.load(Ordering::Relaxed).max(1);
        let most = FEEDS_BYTES / feeds;
        let mut ring = self.ring();
        ring.bytes += batch.bytes;
        // What lies before an erasure may hold what it erases, on whichever replica: followers read it from the store.
        let stale = batch.tells_of_erasure();
        ring.batches.push_back(Arc::new(batch));
        let mut old = Vec::new();
        while ring.bytes > most || stale {
            // At last the newest itself: its followers read it from the store.
            let Some(oldest) = ring.batches.pop_front() else { break };
            ring.bytes -= oldest.bytes;
            ring.first = oldest.end();
            old.push(oldest);
        }
        drop(ring);
        drop(old);
        self.known.send_if_modified(|known| {
            known.as_mut().is_some_and(|known| {
                known.end = end;
                true
            })
        });
    }

    /// Notes that there were no more events at that time.
    fn verified(&self, end: u64, at: i64) {
        self.known.send_if_modified(|known| {
            if let Some(known) = known
                && known.end >= end
            {
                known.at = at;
            }
            // Nobody waits for a later time alone.
            false
        });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Fills a feed until nobody holds it.
async fn fill(
    feed: Weak<Feed>,
    store: Arc<dyn Store>,
    mut commits: mpsc::Receiver<Commit>,
    mut polled: watch::Receiver<Option<Known>>,
) {
    let mut end = None;
    loop {
        let (to, commit, at) = tokio::select! {
            // What was committed here first: it need not be read.
            biased;
            commit = commits.recv() => match commit {
                Some(commit) => (commit.first, Some(commit), None),
                None => return,
            },
            changed = polled.changed() => match (changed, *polled.borrow_and_update()) {
                (Ok(()), Some(known)) => (known.end, None, Some(known.at)),
                (Ok(()), None) => continue,
                (Err(_), _) => return,
            },
        };
        let Some(feed) = feed.upgrade() else { return };
        let from = match end {
            Some(end) => end,
            None => {
                // It begins where the log was first seen to end.
                let Some(at) = at else { continue };
                feed.begin(Known { end: to, at });
                to
            }
        };
        let mut reached = from;
        if reached < to {
            reached = match read(&feed, store.as_ref(), from, to).await {
                Ok(reached) => reached,
                Err(error) => {
                    tracing::debug!(log = %feed.log, %error, "events for followers cannot be read");
                    // The next look at the head tries again, from the same place: nothing was pushed that
                    // `end` does not count.
                    end = Some(feed.known.borrow().map_or(from, |known| known.end));
                    continue;
                }
            };
        }
        if let Some(commit) = commit {
            // Some of it may have been read meanwhile.
            let known = usize::try_from(reached.saturating_sub(commit.first)).unwrap_or(usize::MAX);
            if commit.first <= reached && known < commit.events.len() {
                let events: Vec<_> = commit.events.into_iter().skip(known).map(LiveEvent::Sealed).collect();
                let batch = Batch::new(reached, events);
                reached = batch.end();
                feed.push(batch);
            }
        }
        end = Some(reached);
        if let Some(at) = at {
            feed.verified(to, at);
        }
    }
}

/// Reads the events from `from` up to `to` into a feed. Returns where it has come to.
async fn read(feed: &Feed, store: &dyn Store, from: u64, to: u64) -> Result<u64, StoreError> {
    let everything = Predicate::All(Vec::new());
    let mut next = from;
    while next < to {
        let request = PageRequest {
            log: &feed.log,
            predicate: &everything,
            start: PageStart::From(next),
            floor: 0,
            head: to,
            until: None,
            positions: None,
            limit: READ_EVENTS,
        };
        let page = store.page(&request).await?.events;
        let mut events = Vec::with_capacity(page.len());
        for event in page {
            if event.position != next + events.len() as u64 {
                return Err(StoreError::Broken(
                    format!("no event at position {}", next + events.len() as u64).into(),
                ));
            }
            let columns = personal::decode(&event.record, &event.personal)
                .map_err(|error| StoreError::Broken(error.into()))?;
            events.push(LiveEvent::Read(Box::new((event, Columns::of(&columns)))));
        }
        if events.is_empty() {
            return Err(StoreError::Broken(format!("no event at position {next}").into()));
        }
        let batch = Batch::new(next, events);
        next = batch.end();
        feed.push(batch);
    }
    Ok(next)
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
