//! Queries: from a filter to a stream of stored events, page by page.
//!
//! A query is bounded by the head of the log as it was when the call began, so it ends even while
//! events keep coming. Pages are read by keyset (`position > cursor`), one ahead of the client; no
//! transaction and no connection is held between pages. Positions become visible in order, so a page
//! never skips an event that commits later. Callers: `grpc::audit`.
mod by_time;
pub mod count;
pub mod pages;
mod pieces;
pub mod plan;
pub mod predicate;
pub mod token;

use std::sync::Arc;

use pages::Pages;
use predicate::Predicate;
use token::Cursor;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    event::LogName,
    store::{PageStart, Store, StoreError, StoredEvent},
};

/// Events of one page at most.
const PAGE_EVENTS: u32 = 512;
/// Events of the first page, before anything is known of their size: 64 of the largest are 13 MiB.
const FIRST_PAGE_EVENTS: u32 = 64;
/// Aimed-at bytes of a page: the next page's number of events follows from this one's size.
const PAGE_BYTES: usize = 1024 * 1024;

/// Order of a query's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Order {
    PositionAsc = 1,
    PositionDesc = 2,
    OccurredDesc = 3,
}

/// A query whose parts are checked.
pub struct Query {
    pub log: LogName,
    pub predicate: Predicate,
    pub order: Order,
    /// At most this many events; 0 for all.
    pub limit: u64,
    /// Where to continue.
    pub resume: Option<Cursor>,
}

/// Why a query ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Complete,
    Limit,
}

/// What a query brings.
pub enum Part {
    /// Events, with the head that bounds the query.
    Page { events: Vec<StoredEvent>, head: u64 },
    /// The end.
    Summary { returned: u64, scanned: u64, head: u64, end: End, cursor: Cursor },
    /// The store failed.
    Failed(StoreError),
    /// The server is going away.
    Draining,
}

/// Begins a query. The reading task ends by itself when the receiver is dropped.
pub fn run(
    store: Arc<dyn Store>,
    query: Query,
    drain: CancellationToken,
    tasks: &TaskTracker,
) -> mpsc::Receiver<Part> {
    // One page with the client, one waiting, one being read.
    let (parts, receiver) = mpsc::channel(1);
    tasks.spawn(async move {
        let reading = read(store, query, &parts);
        let last = tokio::select! {
            ended = reading => ended,
            () = parts.closed() => None,
            () = drain.cancelled() => Some(Part::Draining),
        };
        if let Some(last) = last {
            // The client may be gone.
            let _ = parts.send(last).await;
        }
    });
    receiver
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

/// Reads page after page. Returns the last part; `None` when nobody listens any more.
async fn read(store: Arc<dyn Store>, query: Query, parts: &mpsc::Sender<Part>) -> Option<Part> {
    let now = match store.head(&query.log).await {
        Ok(head) => head,
        Err(error) => return Some(Part::Failed(error)),
    };
    let mut cursor = query.resume.unwrap_or(match query.order {
        Order::PositionAsc => Cursor { start: PageStart::From(0), head: 0 },
        Order::PositionDesc => Cursor { start: PageStart::Below(now), head: now },
        Order::OccurredDesc => {
            Cursor { start: PageStart::Earlier { occurred_at: i64::MAX, position: now }, head: now }
        }
    });
    // A resumed descending query stays below the head of its first call: what came since lies before
    // the place where it stopped.
    let head = if query.order == Order::PositionAsc { now } else { cursor.head.min(now) };
    let first = cursor;
    let mut returned = 0;
    let mut rows = FIRST_PAGE_EVENTS;
    let mut pages = Pages::new(store, query.log, query.predicate, query.order);
    let end = loop {
        let wanted = match query.limit {
            0 => rows,
            limit => u32::try_from(limit - returned).unwrap_or(u32::MAX).min(rows),
        };
        let page = match pages.next(cursor.start, head, wanted).await {
            Ok(page) => page,
            Err(error) => return Some(Part::Failed(error)),
        };
        cursor.start = page.next;
        returned += page.events.len() as u64;
        if !page.events.is_empty() {
            let bytes: usize = page.events.iter().map(|event| event.record.len()).sum();
            rows = page_rows(bytes / page.events.len());
            let last = page.events.last().map(|last| after(query.order, last, head));
            parts.send(Part::Page { events: page.events, head }).await.ok()?;
            if query.limit != 0 && returned >= query.limit {
                cursor = last.unwrap_or(cursor);
                break End::Limit;
            }
        }
        if page.complete {
            break End::Complete;
        }
    };
    if end == End::Complete {
        cursor = finished(query.order, head);
    }
    let scanned = scanned(first.start, cursor.start, returned);
    Some(Part::Summary { returned, scanned, head, end, cursor })
}

/// Events of the next page, given the bytes of an event of the last one.
fn page_rows(event_bytes: usize) -> u32 {
    let rows = PAGE_BYTES / event_bytes.max(1);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(8, PAGE_EVENTS)
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

fn scanned(first: PageStart, last: PageStart, returned: u64) -> u64 {
    match (first, last) {
        (PageStart::From(first), PageStart::From(last)) => last.saturating_sub(first),
        (PageStart::Below(first), PageStart::Below(last)) => first.saturating_sub(last),
        _ => returned,
    }
}
