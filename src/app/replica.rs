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
pub(super) async fn look(store: &dyn Store, metrics: &Metrics, before: bool) -> bool {
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
    metrics.writes_refused(WritesRefused::sync_replica, !confirmed);
    confirmed
}

/// Looks again and again.
pub(super) async fn watch(store: Arc<dyn Store>, metrics: Arc<Metrics>, mut confirmed: bool) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        confirmed = look(store.as_ref(), &metrics, confirmed).await;
    }
}
