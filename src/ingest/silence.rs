//! Keeps the metrics of producers true to the store, so that a replica that was just started, or that does
//! not get a producer's events, does not take it for silent. Called by: `app`, which owns the task.
use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    store::Store,
    telemetry::{MOST_LABELS, Metrics},
};

/// How often the store is asked: one short read of one row per producer. An alert on silence is that much
/// late at most.
const INTERVAL: Duration = Duration::from_secs(10);

/// Refreshes the metrics for ever, beginning at once.
pub async fn watch(store: Arc<dyn Store>, metrics: Arc<Metrics>) {
    loop {
        match store.last_seen(MOST_LABELS).await {
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
