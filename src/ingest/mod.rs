//! Ingest: from sealed events to acked positions.
//!
//! `sequencer` and `producers` decide (pure), `task` runs the decision in a transaction, one task per log
//! and replica, over connections that `appenders` lends. [`Ingest`] is the door: a bounded queue per log. A
//! caller's future may be dropped at any time; what was queued is committed all the same, because the task
//! is not tied to it. `silence` keeps the metrics of producers, `indexer` builds the indexes. Callers: `grpc`, `app`.
pub mod admission;
pub mod allowance;
mod appenders;
pub mod erasure;
mod gaps;
pub mod indexer;
pub mod own;
pub mod producers;
pub mod rate;
pub mod room;
pub mod sequencer;
pub mod shares;
pub mod silence;
pub mod streams;
mod task;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

pub use admission::Admission;
use admission::{ADMISSION_WAIT, Budget};
use appenders::Appenders;
use room::{Need, Room};
use sequencer::{Submission, Verdict};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::{
    event::LogName,
    proof::recent::Recent,
    query::live::Live,
    store::{Connections, Store},
    telemetry::{Backlog, Link, Metrics, Pulse, Waiting},
    tree::TreeHead,
};

/// Logs that one replica appends to at a time. Each holds a task with its queue, some 10 KiB, and waits its
/// turn for a connection. A log without appends for a while does not count.
pub const MAX_OPEN_LOGS: usize = 2048;
/// Calls waiting for one log's sequencer.
const QUEUE_CALLS: usize = 1024;

/// What a committed submission is answered with.
#[derive(Debug)]
pub struct Committed {
    /// Per entry of the submission.
    pub verdicts: Vec<Verdict>,
    /// The tree of the log when the group was committed.
    pub tree: TreeHead,
}

/// Why a submission was not committed. Nothing of it is stored, except for `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmitError {
    /// No room in the queue.
    Overloaded,
    /// The producer has its share of the room already.
    OverShare,
    /// The server is going away.
    Draining,
    /// This replica appends to as many logs as it can.
    TooManyLogs,
    /// The store cannot be written now.
    StoreUnavailable,
    /// No synchronous standby confirms what is appended, as one has to.
    NoSyncReplica,
    /// The store failed during the commit and did not come back in time: the events may be stored.
    /// Sending the same event ids again tells.
    Unknown,
    /// The store's disk is full, or nearly so.
    StorageFull,
    /// The store refused the events.
    StoreBroken,
}

impl SubmitError {
    /// Its kind, for spans.
    const fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::OverShare => "over_share",
            Self::Draining => "draining",
            Self::TooManyLogs => "too_many_logs",
            Self::StoreUnavailable => "store_unavailable",
            Self::NoSyncReplica => "no_sync_replica",
            Self::Unknown => "commit_outcome_unknown",
            Self::StorageFull => "storage_full",
            Self::StoreBroken => "store_broken",
        }
    }
}

struct Job {
    submission: Arc<Submission>,
    /// To the span of the call that waits for it.
    call: Option<Link>,
    reply: oneshot::Sender<Result<Committed, SubmitError>>,
    /// Given back just before the reply is sent.
    held: (Admission, Waiting),
}

/// The door to the sequencers.
pub struct Ingest {
    store: Arc<dyn Store>,
    appenders: Arc<Appenders>,
    live: Arc<Live>,
    recent: Arc<Recent>,
    metrics: Arc<Metrics>,
    /// Where the sequencers run.
    runtime: Handle,
    /// Memory of messages that are being received.
    pub receive: Budget,
    /// Memory of events that are being worked on.
    pub flight: Budget,
    /// Whether there is room on the store's disk.
    pub room: Room,
    /// `None` once draining.
    logs: Mutex<Option<HashMap<LogName, mpsc::Sender<Job>>>>,
    tasks: TaskTracker,
    backlog: Arc<Backlog>,
}

impl Ingest {
    /// An ingest without any sequencer yet; each log's begins with its first event, on `runtime`. That is
    /// best one of their own: a sequencer mostly waits for the database, and when an answer comes it must
    /// not queue behind calls that check their events.
    pub fn new(
        store: Arc<dyn Store>,
        live: Arc<Live>,
        recent: Arc<Recent>,
        metrics: Arc<Metrics>,
        runtime: Handle,
    ) -> Self {
        let flight = Budget::of_flight();
        let backlog = Arc::new(Backlog::default());
        flight.tell(&metrics.ingest);
        let (events, oldest) = (Arc::clone(&backlog), Arc::clone(&backlog));
        metrics.ingest.queue_events.answer(move || Some(events.events() as f64));
        metrics.ingest.oldest_seconds.answer(move || Some(oldest.oldest().as_secs_f64()));
        Self {
            appenders: Arc::new(Appenders::new(Arc::clone(&store), Arc::clone(&metrics))),
            store,
            live,
            recent,
            metrics,
            runtime,
            receive: Budget::of_receive(),
            flight,
            room: Room::default(),
            logs: Mutex::new(Some(HashMap::new())),
            tasks: TaskTracker::new(),
            backlog,
        }
    }

    /// Queues a submission and waits for its commit.
    ///
    /// # Errors
    /// Why nothing was committed.
    pub async fn submit(
        &self,
        log: &LogName,
        submission: Arc<Submission>,
        admission: &Admission,
    ) -> Result<Committed, SubmitError> {
        self.submit_for(Need::Events, log, submission, admission).await
    }

    async fn submit_for(
        &self,
        need: Need,
        log: &LogName,
        submission: Arc<Submission>,
        admission: &Admission,
    ) -> Result<Committed, SubmitError> {
        if !self.room.has(need) {
            return Err(SubmitError::StorageFull);
        }
        let slot = timeout(ADMISSION_WAIT, self.slot(log)).await.map_err(|_| SubmitError::Overloaded)??;
        let (reply, answer) = oneshot::channel();
        let held = (admission.clone(), self.backlog.wait(submission.entries.len()));
        slot.send(Job { submission: Arc::clone(&submission), call: Link::current(), reply, held });
        // The task answers every job it takes; it only vanishes with the process.
        answer.await.unwrap_or(Err(SubmitError::Unknown))
    }

    /// A place in a log's queue. A sequencer that closes its queue just now, because it was idle, is
    /// followed by another one.
    async fn slot(&self, log: &LogName) -> Result<mpsc::OwnedPermit<Job>, SubmitError> {
        loop {
            if let Ok(slot) = self.sender(log)?.reserve_owned().await {
                return Ok(slot);
            }
        }
    }

    fn sender(&self, log: &LogName) -> Result<mpsc::Sender<Job>, SubmitError> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let logs = logs.as_mut().ok_or(SubmitError::Draining)?;
        // A closed queue is that of a sequencer which was idle.
        if let Some(sender) = logs.get(log).filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        logs.retain(|_, sender| !sender.is_closed());
        // Whoever opens them all keeps nobody from telling of it.
        if logs.len() >= MAX_OPEN_LOGS && !log.is_audit() {
            return Err(SubmitError::TooManyLogs);
        }
        let (sender, jobs) = mpsc::channel(QUEUE_CALLS);
        let task = task::Sequencer::new(
            log.clone(),
            Arc::clone(&self.appenders),
            Arc::clone(&self.live),
            Arc::clone(&self.recent),
            Arc::clone(&self.metrics),
        );
        self.tasks.spawn_on(task.run(jobs), &self.runtime);
        logs.insert(log.clone(), sender.clone());
        Ok(sender)
    }

    /// Beats when a group of events gets somewhere, of whatever log.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.appenders.pulse()
    }

    /// The connections that write.
    pub fn connections(&self) -> Connections {
        self.appenders.connections()
    }

    /// Takes nothing new, and returns when everything that was queued is answered.
    pub async fn drain(&self) {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(logs);
        self.tasks.close();
        self.tasks.wait().await;
        self.appenders.forget();
    }
}

#[cfg(test)]
mod task_tests;
