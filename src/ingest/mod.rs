//! Ingest: from sealed events to acked positions.
//!
//! `sequencer` decides (pure), `task` runs the decision in a transaction, one task per log and replica,
//! each with a database connection of its own. [`Ingest`] is the door: a bounded queue per log. A
//! caller's future may be dropped at any time; what was queued is committed all the same, because the
//! task is not tied to it. Callers: `grpc::audit`.
pub mod sequencer;
mod task;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sequencer::{Submission, Verdict};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::{event::LogName, store::Store, telemetry::Metrics};

/// Logs that one replica appends to at a time. Each holds a task and, on PostgreSQL, a connection, of which
/// there are 100 unless the server is told otherwise. A log without appends for a while does not count.
pub const MAX_OPEN_LOGS: usize = 32;
/// Bytes of submitted events in flight, over all logs: sixteen of the largest messages.
const MAX_BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// Unit of the in-flight budget.
const BYTES_PER_PERMIT: usize = 1024;
/// Calls waiting for one log's sequencer.
const QUEUE_CALLS: usize = 1024;
/// How long a call waits for room before it is told to come back.
const ADMISSION_WAIT: Duration = Duration::from_secs(2);

/// What a committed submission is answered with.
#[derive(Debug)]
pub struct Committed {
    /// Per entry of the submission.
    pub verdicts: Vec<Verdict>,
    /// Size of the log when the group was committed.
    pub tree_size: u64,
}

/// Why a submission was not committed. Nothing of it is stored, except for `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmitError {
    /// No room in the queue.
    Overloaded,
    /// The server is going away.
    Draining,
    /// This replica appends to as many logs as it can.
    TooManyLogs,
    /// The store cannot be written now.
    StoreUnavailable,
    /// The store failed during the commit and did not come back in time: the events may be stored.
    /// Sending the same event ids again tells.
    Unknown,
    /// The store refused the events.
    StoreBroken,
}

struct Job {
    submission: Arc<Submission>,
    reply: oneshot::Sender<Result<Committed, SubmitError>>,
    /// Held until the reply is sent.
    _admission: Admission,
}

/// A share of the bytes that may be in flight, held as long as they are.
#[derive(Clone)]
pub struct Admission {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// The door to the sequencers.
pub struct Ingest {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    budget: Arc<Semaphore>,
    /// `None` once draining.
    logs: Mutex<Option<HashMap<LogName, mpsc::Sender<Job>>>>,
    tasks: TaskTracker,
}

impl Ingest {
    /// An ingest without any sequencer yet; each log's begins with its first event.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            budget: Arc::new(Semaphore::new(MAX_BYTES_IN_FLIGHT / BYTES_PER_PERMIT)),
            logs: Mutex::new(Some(HashMap::new())),
            tasks: TaskTracker::new(),
        }
    }

    /// Waits for room for `bytes` bytes of submitted events. Comes before any work on them: what waits
    /// for room must not have taken it already.
    ///
    /// # Errors
    /// There is no room, or the server is going away.
    pub async fn admit(&self, bytes: usize) -> Result<Admission, SubmitError> {
        let permits = u32::try_from(bytes / BYTES_PER_PERMIT + 1).unwrap_or(u32::MAX);
        let permit = timeout(ADMISSION_WAIT, Arc::clone(&self.budget).acquire_many_owned(permits)).await;
        let permit = permit.map_err(|_| SubmitError::Overloaded)?.map_err(|_| SubmitError::Draining)?;
        Ok(Admission { _permit: Arc::new(permit) })
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
        let slot = timeout(ADMISSION_WAIT, self.slot(log)).await.map_err(|_| SubmitError::Overloaded)??;
        let (reply, answer) = oneshot::channel();
        slot.send(Job { submission, reply, _admission: admission.clone() });
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
        if logs.len() >= MAX_OPEN_LOGS {
            return Err(SubmitError::TooManyLogs);
        }
        let (sender, jobs) = mpsc::channel(QUEUE_CALLS);
        let task = task::Sequencer::new(log.clone(), Arc::clone(&self.store), Arc::clone(&self.metrics));
        self.tasks.spawn(task.run(jobs));
        logs.insert(log.clone(), sender.clone());
        Ok(sender)
    }

    /// Takes nothing new, and returns when everything that was queued is answered.
    pub async fn drain(&self) {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(logs);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod task_tests;
