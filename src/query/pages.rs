//! The pages of one query, in its order: which positions or times the next statement goes through.
//!
//! A page may be empty and still move on: a filter that matches next to nothing makes many short
//! statements, between which the query can tell how far it is and can end, and never one long one.
//! Callers: `query`.
use std::sync::Arc;

use super::{Order, after, finished, predicate::Predicate};
use crate::{
    event::LogName,
    store::{PageRequest, PageStart, Store, StoreError, StoredEvent},
};

/// Positions that one statement goes through at most. By time there is no such window; there the store's own
/// limit on a read holds.
const WINDOW: u64 = 200_000;

/// What a query reads.
pub struct Pages {
    store: Arc<dyn Store>,
    log: LogName,
    predicate: Predicate,
    order: Order,
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
    pub const fn new(store: Arc<dyn Store>, log: LogName, predicate: Predicate, order: Order) -> Self {
        Self { store, log, predicate, order }
    }

    /// The page that begins at `start`, of positions below `head`, with at most `limit` events.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next(&mut self, start: PageStart, head: u64, limit: u32) -> Result<Page, StoreError> {
        let (floor, ceiling) = window(start, head);
        let request =
            PageRequest { log: &self.log, predicate: &self.predicate, start, floor, head: ceiling, limit };
        let events = self.store.page(&request).await?;
        if let Some(last) = events.last()
            && events.len() >= limit as usize
        {
            return Ok(Page { next: after(self.order, last, head).start, events, complete: false });
        }
        let next = match start {
            PageStart::From(_) if ceiling < head => PageStart::From(ceiling),
            PageStart::Below(_) if floor > 0 => PageStart::Below(floor),
            _ => return Ok(Page { next: finished(self.order, head).start, events, complete: true }),
        };
        Ok(Page { events, next, complete: false })
    }

    /// How the query runs, in words.
    pub async fn plan(&self, head: u64) -> Result<String, StoreError> {
        Ok(format!("scan positions below {head}"))
    }
}

/// The positions that the next statement goes through.
fn window(start: PageStart, head: u64) -> (u64, u64) {
    match start {
        PageStart::From(position) => (0, head.min(position.saturating_add(WINDOW))),
        PageStart::Below(position) => (position.min(head).saturating_sub(WINDOW), head),
        PageStart::Earlier { .. } => (0, head),
    }
}
