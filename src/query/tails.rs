//! Since when followers are behind their logs, for the metrics. Called by: `reader`.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The followers that are behind: as many as queries may run.
#[derive(Default)]
pub struct Tails(Mutex<Behind>);

#[derive(Default)]
struct Behind {
    tickets: u64,
    since: BTreeMap<u64, Instant>,
}

/// One follower.
pub struct Tail {
    tails: Arc<Tails>,
    ticket: Option<u64>,
}

impl Tails {
    /// A follower that is not behind.
    pub fn follow(self: &Arc<Self>) -> Tail {
        Tail { tails: Arc::clone(self), ticket: None }
    }

    /// How long the one has been behind that has been so for longest.
    pub fn longest(&self) -> Duration {
        let behind = self.behind();
        // Tickets are given out as followers fall behind.
        behind.since.first_key_value().map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// Whether it is behind now. Since when it is stays as it was told first.
    pub fn is_behind(&mut self, now: bool) {
        match (self.ticket, now) {
            (None, true) => {
                let mut behind = self.tails.behind();
                let ticket = behind.tickets;
                behind.tickets += 1;
                behind.since.insert(ticket, Instant::now());
                self.ticket = Some(ticket);
            }
            (Some(ticket), false) => {
                self.tails.behind().since.remove(&ticket);
                self.ticket = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.is_behind(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_is_behind_for_longest_is_told() {
        let tails = Arc::new(Tails::default());
        let (mut one, mut other) = (tails.follow(), tails.follow());
        one.is_behind(true);
        tokio::time::advance(Duration::from_secs(2)).await;
        other.is_behind(true);
        one.is_behind(true);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(tails.longest().as_secs(), 3);
        one.is_behind(false);
        assert_eq!(tails.longest().as_secs(), 1);
        drop(other);
        assert_eq!(tails.longest(), Duration::ZERO);
    }
}
