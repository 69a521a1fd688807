//! Gives the metrics their answers, and asks the store for its figures now and then: a scrape asks nobody.
use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::sequencers::Sequencers;
use crate::{
    clock::Clock,
    config::ServeConfig,
    ingest::Ingest,
    query::tails::Tails,
    store::{Connections, Figures, Measured, Store, StoreUrl},
    telemetry::Metrics,
};

/// How often the store is asked. PostgreSQL looks at each file of the database to tell its size: some milliseconds.
const INTERVAL: Duration = Duration::from_secs(15);

/// A store that is measured.
pub(super) fn measured(store: Arc<dyn Store>, url: &StoreUrl, metrics: &Arc<Metrics>) -> Arc<dyn Store> {
    Arc::new(Measured::new(store, url, Arc::clone(metrics)))
}

/// Tells what the process is, and whom to ask for what.
pub(super) fn begin(
    metrics: &Metrics,
    config: &ServeConfig,
    clock: &dyn Clock,
    sequencers: &Sequencers,
    store: &Arc<dyn Store>,
    ingest: &Arc<Ingest>,
    tails: &Arc<Tails>,
) {
    metrics.process.begin(clock.now_micros(), config.store.system());
    metrics.process.config(config.hash().to_owned());
    metrics.process.runtime("main", &Handle::current());
    metrics.process.runtime("sequencer", &sequencers.handle());
    // Both hold the metrics, which must not hold them.
    let connections = |figure: fn(Connections) -> usize| {
        let (store, ingest) = (Arc::downgrade(store), Arc::downgrade(ingest));
        move || {
            let all = [store.upgrade()?.connections(), ingest.upgrade()?.connections()];
            Some(figure(all.into_iter().sum()) as f64)
        }
    };
    metrics.storage.idle.answer(connections(|all| all.idle));
    metrics.storage.used.answer(connections(|all| all.used));
    metrics.storage.max.answer(connections(|all| all.max));
    let tails = Arc::clone(tails);
    metrics.query.tail_lag.answer(move || Some(tails.longest().as_secs_f64()));
}

/// Refreshes what the store says of itself, for ever, beginning at once.
pub(super) fn refresh(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match store.figures().await {
                Ok(Figures { bytes, schema, positions_left }) => {
                    metrics.storage.bytes.set(bytes);
                    metrics.storage.schema.set(schema);
                    if let Some(left) = positions_left {
                        metrics.storage.positions_left.set(left);
                    }
                }
                // Whoever watches the store's health tells of it.
                Err(error) => tracing::debug!(%error, "the store does not tell its figures"),
            }
        }
    })
}
