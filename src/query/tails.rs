//! Since when followers are behind their logs, for the metrics. Called by: `reader`.
use std::{sync::Arc, time::Duration};

use crate::telemetry::{Backlog, Waiting};

/// The followers that are behind.
#[derive(Default)]
pub struct Tails(Arc<Backlog>);

/// One follower.
pub struct Tail {
    tails: Arc<Backlog>,
    behind: Option<Waiting>,
}

impl Tails {
    /// A follower that is not behind.
    pub fn follow(&self) -> Tail {
        Tail { tails: Arc::clone(&self.0), behind: None }
    }

    /// How long the one has been behind that has been so for longest.
    pub fn longest(&self) -> Duration {
        self.0.oldest()
    }
}

impl Tail {
    /// Whether it is behind now. Since when it is stays as it was told first.
    pub fn is_behind(&mut self, now: bool) {
        match (&self.behind, now) {
            (None, true) => self.behind = Some(self.tails.wait(1)),
            (Some(_), false) => self.behind = None,
            (None, false) | (Some(_), true) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_is_behind_for_longest_is_told() {
        let tails = Tails::default();
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
