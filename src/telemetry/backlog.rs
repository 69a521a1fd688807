//! What waits, how much of it, and since when: events that are queued for a commit and not answered yet, and followers
//! that are behind their logs. Called by: `ingest` and `query`, for the metrics.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Who waits, by the order in which they came. As many as the queues of all logs hold, or as queries may run.
#[derive(Default)]
pub struct Backlog(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    tickets: u64,
    events: usize,
    waiting: BTreeMap<u64, (Instant, usize)>,
}

/// The place of one that waits, until it is dropped.
pub struct Waiting {
    backlog: Arc<Backlog>,
    ticket: u64,
}

impl Backlog {
    /// So many begin to wait.
    pub fn wait(self: &Arc<Self>, events: usize) -> Waiting {
        let mut queue = self.queue();
        let ticket = queue.tickets;
        queue.tickets += 1;
        queue.events += events;
        queue.waiting.insert(ticket, (Instant::now(), events));
        drop(queue);
        Waiting { backlog: Arc::clone(self), ticket }
    }

    /// How many wait.
    pub fn events(&self) -> usize {
        self.queue().events
    }

    /// How long the first of them has waited.
    pub fn oldest(&self) -> Duration {
        let queue = self.queue();
        let first = queue.waiting.first_key_value();
        first.map_or(Duration::ZERO, |(_, (since, _))| since.elapsed())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut queue = self.backlog.queue();
        if let Some((_, events)) = queue.waiting.remove(&self.ticket) {
            queue.events -= events;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_waits_is_told_until_it_is_answered() {
        let backlog = Arc::new(Backlog::default());
        let told = || (backlog.events(), backlog.oldest().as_secs());
        assert_eq!(told(), (0, 0));
        let first = backlog.wait(3);
        tokio::time::advance(Duration::from_secs(5)).await;
        let second = backlog.wait(4);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(told(), (7, 6));
        drop(first);
        assert_eq!(told(), (4, 1));
        drop(second);
        assert_eq!(told(), (0, 0));
    }
}
