//! Queries: from a filter to a stream of stored events, page by page.
//!
//! A query is bounded by the head of the log as it was when the call began, so it ends even while
//! events keep coming; one that follows goes on with what is committed from then on (`live`). Pages are
//! read by keyset, one ahead of the client; no transaction and no connection is held between pages.
//! Positions become visible in order, so a page never skips an event that commits later.
//!
//! `predicate` says what is asked for, `plan` what of it the index can look up, `pages` reads it in an order,
//! `removed` says what retention has taken away, `reader` runs one query, `mailbox` brings what it reads to a client that may be slow, `token` lets it go on
//! later; `count` counts. Callers: `grpc`.
mod by_time;
pub mod count;
pub mod live;
mod mailbox;
pub mod pages;
mod pieces;
pub mod plan;
pub mod predicate;
mod reader;
pub mod removed;
pub mod scoped;
pub mod tails;
pub mod token;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use live::Live;
pub use mailbox::{Letter, Letters, SLOW};
use reader::Reader;
use removed::Removed;
use scoped::Scoped;
use tails::Tails;
use token::Cursor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    event::LogName,
    store::{PageStart, Store, StoreError, StoredEvent},
    telemetry::Metrics,
};

/// Order of a query's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Order {
    PositionAsc = 1,
    PositionDesc = 2,
    OccurredDesc = 3,
}

impl Order {
    /// Name in the self-audit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PositionAsc => "position_asc",
            Self::PositionDesc => "position_desc",
            Self::OccurredDesc => "occurred_desc",
        }
    }
}

/// A query whose parts are checked.
pub struct Query {
    pub log: LogName,
    pub predicate: Scoped,
    pub order: Order,
    /// At most this many events; 0 for all.
    pub limit: u64,
    /// Where to continue.
    pub resume: Option<Cursor>,
    /// Whether to go on at the head of the log. Ascending by position only.
    pub follow: bool,
    /// How long it may run.
    pub max_duration: Option<Duration>,
    /// Whether only to say how it would run.
    pub explain: bool,
}

/// Why a query ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Complete,
    Limit,
    MaxDuration,
    Drain,
}

/// What a query brings.
pub enum Part {
    /// Events, with the head that bounds the query.
    Page { events: Vec<StoredEvent>, head: u64 },
    /// How far it has looked, and when, in microseconds since 1970.
    Checkpoint { cursor: Cursor, at: i64 },
    /// It follows, and has looked at everything below this head.
    CaughtUp { cursor: Cursor, head: u64 },
    /// It follows, and what comes next has to be read from the store.
    FellBehind { cursor: Cursor, head: u64 },
    /// The end.
    Summary(Summary),
    /// The store failed.
    Failed(StoreError),
    /// Retention has removed what was asked for, or what was still to be read.
    Removed(Removed),
    /// The server is going away.
    Draining,
    /// The client has taken nothing for [`SLOW`].
    Slow,
}

/// What a query did.
pub struct Summary {
    pub returned: u64,
    pub scanned: u64,
    pub head: u64,
    /// The first position that was there to be looked at.
    pub oldest: u64,
    pub end: End,
    pub cursor: Cursor,
    pub plan: String,
}

/// What queries run on.
pub struct Engine {
    pub store: Arc<dyn Store>,
    pub live: Arc<Live>,
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the server begins to go away.
    pub drain: CancellationToken,
    /// The readers of running queries.
    pub readers: TaskTracker,
    /// How many there are.
    pub running: Arc<AtomicUsize>,
    pub metrics: Arc<Metrics>,
    /// Those that follow, and are behind.
    pub tails: Arc<Tails>,
}

impl Engine {
    /// Begins a query. Its reader ends by itself when the letters are dropped or nobody takes them, and then
    /// frees its place.
    pub fn run(&self, query: Query, place: impl Send + 'static) -> Letters {
        let (sender, letters) = mailbox::mailbox();
        let reader = Reader::new(self, query, sender);
        let drain = self.drain.clone();
        self.readers.spawn(async move {
            let _place = place;
            reader.run(drain).await;
        });
        letters
    }
}

/// The cursor after an event.
pub fn after(order: Order, event: &StoredEvent, head: u64) -> Cursor {
    match order {
        Order::PositionAsc => Cursor { start: PageStart::From(event.position + 1), head: 0 },
        Order::PositionDesc => Cursor { start: PageStart::Below(event.position), head },
        Order::OccurredDesc => Cursor {
            start: PageStart::Earlier { occurred_at: event.occurred_at, position: event.position },
            head,
        },
    }
}

/// The cursor after everything below `head`.
fn finished(order: Order, head: u64) -> Cursor {
    match order {
        Order::PositionAsc => Cursor { start: PageStart::From(head), head: 0 },
        Order::PositionDesc => Cursor { start: PageStart::Below(0), head },
        Order::OccurredDesc => {
            Cursor { start: PageStart::Earlier { occurred_at: i64::MIN, position: 0 }, head }
        }
    }
}
