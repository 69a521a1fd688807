//! Keeps the metrics of producers true to the store, so that a replica that was just started, or that does
//! not get a producer's events, does not take it for silent. Called by: `app`, which owns the task.
use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    clock::Clock,
    store::Store,
    telemetry::{MOST_LABELS, Metrics},
};

/// How often the store is asked: one short read of one row per producer. An alert on silence is that much
/// late at most.
const INTERVAL: Duration = Duration::from_secs(10);

/// Who has been silent for longer than this is taken to be gone for good, and takes no label from others.
const GONE: i64 = 14 * 86_400_000_000;

/// Refreshes the metrics for ever, beginning at once.
pub async fn watch(store: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) {
    loop {
        match store.last_seen(MOST_LABELS, clock.now_micros() - GONE).await {
            Ok(found) => {
                metrics.producers.known(found.producers);
                for (producer, at) in found.times {
                    metrics.producers.seen(&producer, at);
                }
            }
            // A store that is down is named in the log already, by whoever watches its health.
            Err(error) => tracing::debug!(%error, "the times of producers could not be read"),
        }
        sleep(INTERVAL).await;
    }
}
