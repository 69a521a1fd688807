//! What `/livez` watches: the process and the progress of its sequencers, never the database.
use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::sleep};

use crate::{
    server::checks::{Liveness, Part},
    telemetry::Pulse,
};

/// How often a runtime shows that its threads turn.
const BEAT: Duration = Duration::from_secs(1);
/// Thirty beats in a row that did not come. No turn of a runtime takes more than some ten milliseconds, and the thread of
/// the sequencers has one worker, so that whatever blocks it blocks the beat.
const STUCK: Duration = Duration::from_secs(30);
/// How long no group of events may get anywhere while there are some. A try to commit one ends after 15 s of writing and 15 s
/// of COMMIT, and the next begins a second later, whatever the database does: three times that.
const NO_PROGRESS: Duration = Duration::from_secs(93);

/// Watches a runtime.
pub(super) fn runtime(liveness: &Liveness, name: &'static str, runtime: &Handle) {
    beat(liveness, name, runtime, BEAT, STUCK);
}

fn beat(liveness: &Liveness, name: &'static str, runtime: &Handle, every: Duration, limit: Duration) {
    let pulse = Pulse::steady();
    liveness.watch(Part { name, pulse: Arc::clone(&pulse), limit });
    runtime.spawn(async move {
        loop {
            pulse.beat();
            sleep(every).await;
        }
    });
}

/// Watches what the sequencers do.
pub(super) fn groups(liveness: &Liveness, pulse: Arc<Pulse>) {
    liveness.watch(Part { name: "groups of events", pulse, limit: NO_PROGRESS });
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;
    use crate::app::sequencers::Sequencers;

    /// The real thread: blocked by what does not give it back, and then only waiting.
    #[test]
    fn a_blocked_thread_of_the_sequencers_is_told_from_one_that_waits() {
        let sequencers = Sequencers::start().expect("a thread");
        let liveness = Liveness::default();
        beat(
            &liveness,
            "sequencers",
            &sequencers.handle(),
            Duration::from_millis(1),
            Duration::from_millis(100),
        );
        let (release, blocked) = mpsc::channel::<()>();
        sequencers.handle().spawn(async move {
            // As a lock that is never let go.
            let _ = blocked.recv();
            // As for a database that does not answer.
            std::future::pending::<()>().await;
        });
        while liveness.page(false).0 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(liveness.page(false).1.contains("sequencers: no sign of life"));
        drop(release);
        while !liveness.page(false).0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
