//! Whether something goes on. What is watched beats; who asks sees how long it has been silent while it should not have
//! been. Called by: `app` and `ingest`, which beat, and `server::checks`, which asks.
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// One thing that goes on.
pub struct Pulse {
    began: Instant,
    /// Milliseconds from then to the last beat.
    last: AtomicU64,
    /// What is to be done; silence means nothing when that is nothing.
    work: AtomicUsize,
}

/// Something that is to be done. Done when dropped, however it ends.
pub struct Work(Arc<Pulse>);

impl Pulse {
    /// A pulse that is to beat while there is [work](Self::work).
    #[must_use]
    pub fn at_work() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), last: AtomicU64::new(0), work: AtomicUsize::new(0) })
    }

    /// A pulse that is always to beat.
    #[must_use]
    pub fn steady() -> Arc<Self> {
        let pulse = Self::at_work();
        pulse.work.store(1, Ordering::Relaxed);
        pulse
    }

    /// It goes on.
    pub fn beat(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// There is something to be done. More of it is no sign that anything goes on.
    pub fn work(self: &Arc<Self>) -> Work {
        if self.work.load(Ordering::Relaxed) == 0 {
            self.beat();
        }
        self.work.fetch_add(1, Ordering::Relaxed);
        Work(Arc::clone(self))
    }

    /// How long there has been no beat that was due.
    pub fn silence(&self) -> Duration {
        if self.work.load(Ordering::Relaxed) == 0 {
            return Duration::ZERO;
        }
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.work.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_steady_pulse_is_silent_from_its_last_beat_on() {
        let pulse = Pulse::steady();
        advance(MINUTE).await;
        assert_eq!(pulse.silence(), MINUTE);
        pulse.beat();
        assert_eq!(pulse.silence(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn without_work_nothing_is_due_and_more_work_is_no_beat() {
        let pulse = Pulse::at_work();
        advance(MINUTE).await;
        assert_eq!(pulse.silence(), Duration::ZERO, "nothing to do");
        let first = pulse.work();
        assert_eq!(pulse.silence(), Duration::ZERO, "it has only just begun");
        advance(MINUTE).await;
        let second = pulse.work();
        assert_eq!(pulse.silence(), MINUTE, "more of it does not hide that nothing is done");
        drop((first, second));
        assert_eq!(pulse.silence(), Duration::ZERO);
    }
}
