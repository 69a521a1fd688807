//! Looks every second whether a synchronous standby confirms what is appended, where one has to
//! (`require_sync_replica`). The store refuses appends meanwhile; here it is told and counted.
use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    store::{Store, StoreError},
    telemetry::{Metrics, WritesRefused},
};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks once; whether one confirms.
async fn look(store: &dyn Store, metrics: &Metrics, before: bool) -> bool {
    let confirmed = match store.confirm_by_replica().await {
        Ok(()) => true,
        Err(error @ StoreError::NoSyncReplica(_)) => {
            if before {
                tracing::error!(%error, "appends are refused until a synchronous standby confirms them");
            }
            false
        }
        // The store is away, which others tell; what was seen last still holds.
        Err(error) => {
            tracing::debug!(%error, "the standbys cannot be looked at");
            before
        }
    };
    if confirmed && !before {
        tracing::info!("a synchronous standby confirms what is appended");
    }
    metrics.storage.writes_refused(WritesRefused::sync_replica, !confirmed);
    confirmed
}

/// Looks now, before anything is appended, and again and again.
pub(super) async fn require(store: &Arc<dyn Store>, metrics: &Arc<Metrics>) {
    let (store, metrics) = (Arc::clone(store), Arc::clone(metrics));
    let mut confirmed = look(store.as_ref(), &metrics, true).await;
    tokio::spawn(async move {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            confirmed = look(store.as_ref(), &metrics, confirmed).await;
        }
    });
}
