//! What the store does without the service around it: `chancery bench ceiling` measures by it.
//!
//! Two measures over events that are checked and sealed before the clock runs: a bulk load of the finished
//! rows, and the same rows through the sequencer. Both end in a log of their own, whole and readable like
//! any other; but what is loaded in bulk is not counted among the producers. Caller: `cli::bench::ceiling`.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{AppError, Sequencers, open};
use crate::{
    catalog::{Catalog, Suggestions},
    clock::{Clock, SystemClock},
    event::{LogName, ParsedEvent, Producer, Receipt, SealedEvent, admit, seal},
    ingest::{
        Ingest, SubmitError,
        sequencer::{self, Entry, Head, Mode, Submission},
    },
    proto::v1::NewEvent,
    query::live::Live,
    store::{Store, StoreError, StoreUrl},
    telemetry::Metrics,
};

/// A store and all that makes rows for it.
pub struct Ceiling {
    url: StoreUrl,
    store: Arc<dyn Store>,
    catalog: Catalog,
    ingest: Arc<Ingest>,
    _sequencers: Sequencers,
}

/// Events of one log that are ready to be written.
pub struct Finished {
    log: LogName,
    events: Vec<SealedEvent>,
}

impl Ceiling {
    /// Opens a store as the server does.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn open(url: StoreUrl) -> Result<Self, AppError> {
        let store = open(&url).await?;
        let sequencers = Sequencers::start().map_err(AppError::Threads)?;
        let live = Arc::new(Live::new(Arc::clone(&store), Arc::new(SystemClock)));
        let metrics = Arc::new(Metrics::default());
        let ingest = Ingest::new(Arc::clone(&store), live, Arc::default(), metrics, sequencers.handle());
        let catalog = Catalog::load([], std::collections::BTreeSet::new())?;
        Ok(Self { url, store, catalog, ingest: Arc::new(ingest), _sequencers: sequencers })
    }

    /// Takes events for a log through parse, catalog and seal. What the catalog refuses is left out.
    ///
    /// # Errors
    /// The log cannot be called that.
    pub fn finish(&self, log: &str, events: Vec<NewEvent>) -> Result<Finished, AppError> {
        let broken = |what: &str| AppError::Store(self.url.clone(), StoreError::Broken(what.into()));
        let log = LogName::parse(log).map_err(broken)?;
        let (clock, producer) = (SystemClock, Producer::anonymous());
        let receipt =
            Receipt { log: &log, producer: &producer, received_at: clock.now_micros(), clock: &clock };
        let mut suggestions = Suggestions::default();
        let sealed = events.into_iter().filter_map(|event| {
            let parsed = ParsedEvent::parse(event, &clock).ok()?;
            Some(seal(admit(&self.catalog, parsed, &mut suggestions).ok()?, &receipt))
        });
        let events = sealed.collect();
        Ok(Finished { log, events })
    }

    /// Loads finished rows in bulk, so many in a transaction.
    ///
    /// # Errors
    /// The store failed.
    pub async fn bulk_load(&self, rows: Finished, per_transaction: usize) -> Result<Duration, AppError> {
        let failed = |error: StoreError| AppError::Store(self.url.clone(), error);
        let mut appender = self.store.appender().await.map_err(failed)?;
        let mut groups = Vec::new();
        let Finished { log, events } = rows;
        let mut rows = events.into_iter().peekable();
        while rows.peek().is_some() {
            groups.push([Arc::new(submission(rows.by_ref().take(per_transaction)))]);
        }
        let Head { mut size, mut tree } = appender.begin(&log).await.map_err(failed)?;
        appender.rollback().await.map_err(failed)?;
        let (known, live) = Default::default();
        let mut plans = Vec::new();
        for group in &groups {
            let plan = sequencer::plan(size, &known, &live, group);
            (size, tree) = (plan.size, plan.tree(&tree));
            plans.push((plan, tree.clone()));
        }
        appender.bulk_load(&log, &plans).await.map_err(failed)
    }

    /// Reads every record of a log, as fast as the database hands them out. Returns how many there are.
    ///
    /// # Errors
    /// The store failed, or the log cannot be called that.
    pub async fn bulk_read(&self, log: &str) -> Result<(u64, Duration), AppError> {
        let failed = |error: StoreError| AppError::Store(self.url.clone(), error);
        let log = LogName::parse(log).map_err(|what| failed(StoreError::Broken(what.into())))?;
        let mut appender = self.store.appender().await.map_err(failed)?;
        let start = Instant::now();
        let records = appender.bulk_read(&log).await.map_err(failed)?;
        Ok((records, start.elapsed()))
    }

    /// Appends finished rows through the sequencer, `batch` in each submission, from so many callers at a
    /// time.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sequence(&self, rows: Finished, batch: usize, callers: usize) -> Result<Duration, AppError> {
        let Finished { log, events } = rows;
        let mut rows = events.into_iter().peekable();
        let mut queues = Vec::from_iter((0..callers).map(|_| Vec::new()));
        for caller in (0..callers).cycle() {
            if rows.peek().is_none() {
                break;
            }
            queues[caller].push(Arc::new(submission(rows.by_ref().take(batch))));
        }
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for queue in queues {
            let (ingest, log) = (Arc::clone(&self.ingest), log.clone());
            tasks.spawn(async move {
                for submission in queue {
                    let admission = ingest.flight.admit(None, 0, submission.entries.len()).await?;
                    ingest.submit(&log, submission, &admission).await?;
                }
                Ok::<_, SubmitError>(())
            });
        }
        for ended in tasks.join_all().await {
            ended.map_err(|error| {
                let cause = format!("the sequencer answers {error:?}");
                AppError::Store(self.url.clone(), StoreError::Broken(cause.into()))
            })?;
        }
        Ok(start.elapsed())
    }
}

fn submission(events: impl Iterator<Item = SealedEvent>) -> Submission {
    let entries = events.map(|event| Entry::Event(Arc::new(event))).collect();
    Submission { producer: Producer::anonymous(), mode: Mode::Atomic, entries }
}
