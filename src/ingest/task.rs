//! The sequencer task of one log: takes what is queued as one group, commits it, answers, repeats.
//!
//! The group grows by itself while the previous commit is in flight; there is no timer. A connection
//! that failed is dropped, never used again. After a failure during COMMIT the outcome is unknown:
//! the same group runs again on a fresh connection, and the stored keys tell what was committed.
//!
//! Most groups hold new events only, and the unique key of the stored ones would say so in any case. So
//! their keys are not looked up first, which costs a fifth of the time of a group: the database refuses
//! a group that holds a stored event, and the same group runs again with the look-up, as do the next few.
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    Committed, Job, SubmitError,
    appenders::{Appenders, Lease, Turn},
    producers::{Group, Noted},
    sequencer::{self, Head, Plan, Submission, Verdict},
};
use crate::{
    event::{LogName, limits::MAX_MESSAGE_BYTES},
    proof::recent::Recent,
    query::live::{Commit, Live},
    store::{self, Appender, ProducerWrites, StoreError},
    telemetry::{self, Metrics},
    tree::{Frontier, TreeHead},
};

/// Events of one transaction: enough to make the commit's fsync cheap per event, few enough that a
/// transaction stays below some 50 ms.
const GROUP_EVENTS: usize = 2048;
/// Bytes of the records of one transaction, but for the batch that passes it: as much as one call may send.
const GROUP_BYTES: usize = MAX_MESSAGE_BYTES;
/// How long a group is tried again while nothing of it can have been stored.
const RETRY_FOR: Duration = Duration::from_secs(2);
/// How long a group is tried again while somebody else holds the head of its log.
const RETRY_LOCKED_FOR: Duration = Duration::from_secs(10);
/// How long a group is tried again while its outcome is unknown.
const RETRY_UNKNOWN_FOR: Duration = Duration::from_secs(20);
/// How long a sequencer without work stays.
const IDLE: Duration = Duration::from_secs(10);
/// Groups whose keys are looked up first after one that held a stored event.
const WARY_GROUPS: u32 = 32;
/// How long everything up to COMMIT may take: a database host that stops answering must not hold its
/// callers for ever. Above the databases' own lock timeouts of 10 seconds, so that those speak first.
const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// How long a COMMIT may take before its outcome counts as unknown.
const COMMIT_LIMIT: Duration = Duration::from_secs(15);
/// Leaf hashes that are read at a time: half a MiB.
const CATCH_UP: u64 = 1 << 14;
/// Pause after the first failed try; doubles up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a transaction has done up to its COMMIT.
struct Written {
    committed: Vec<Committed>,
    noted: Vec<Noted>,
    /// The tree that it found.
    before: TreeHead,
    /// When there is something to commit.
    lease: Option<Lease>,
}

/// One log's sequencer.
pub struct Sequencer {
    log: LogName,
    appenders: Arc<Appenders>,
    live: Arc<Live>,
    /// For those who make tiles.
    recent: Arc<Recent>,
    metrics: Arc<Metrics>,
    /// Groups whose keys are to be looked up first.
    wary: u32,
    /// Whether somebody else held the head of the log for too long at the last try.
    held_up: bool,
}

impl Sequencer {
    /// A sequencer that borrows a connection when it has something to write.
    pub const fn new(
        log: LogName,
        appenders: Arc<Appenders>,
        live: Arc<Live>,
        recent: Arc<Recent>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { log, appenders, live, recent, metrics, wary: 0, held_up: false }
    }

    /// Runs until it has nothing to do for a while, or every sender of `jobs` is gone, and everything
    /// queued is answered.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let first = match timeout(IDLE, jobs.recv()).await {
                Ok(Some(first)) => first,
                Ok(None) => return,
                Err(_) => {
                    // Takes nothing new, but everything that found a place before.
                    jobs.close();
                    self.appenders.age();
                    continue;
                }
            };
            let mut events = first.submission.entries.len();
            let mut bytes = first.submission.bytes();
            let mut group = vec![first];
            while events < GROUP_EVENTS && bytes < GROUP_BYTES {
                let Ok(next) = jobs.try_recv() else { break };
                events += next.submission.entries.len();
                bytes += next.submission.bytes();
                group.push(next);
            }
            let calls = group.iter_mut().filter_map(|job| job.call.take()).collect();
            let span = telemetry::group(self.log.as_str(), calls, group.len(), events);
            telemetry::within(span.as_ref(), self.commit(group)).await;
        }
    }

    async fn commit(&mut self, group: Vec<Job>) {
        let (submissions, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|job| (job.submission, (job.reply, job.held))).unzip();
        let settled = self.settle(&submissions).await;
        if let Err(error) = &settled {
            telemetry::failed(error.name());
        }
        let answers = match settled {
            Err(SubmitError::StoreBroken) if submissions.len() > 1 => {
                // One submission that the store refuses must not take the others with it.
                let mut answers = Vec::with_capacity(submissions.len());
                let mut away = false;
                for submission in &submissions {
                    if away {
                        // Each would wait for the store on its own.
                        answers.push(Err(SubmitError::StoreUnavailable));
                        continue;
                    }
                    let alone = self.settle(std::slice::from_ref(submission)).await;
                    away = matches!(
                        alone,
                        Err(SubmitError::StoreUnavailable
                            | SubmitError::StorageFull
                            | SubmitError::NoSyncReplica
                            | SubmitError::Unknown)
                    );
                    answers.push(alone.map(|mut committed| committed.remove(0)));
                }
                answers
            }
            Ok(committed) => committed.into_iter().map(Ok).collect(),
            Err(error) => submissions.iter().map(|_| Err(error)).collect(),
        };
        // The callers hold them too, and free them outside of this task.
        drop(submissions);
        for ((reply, held), answer) in replies.into_iter().zip(answers) {
            // Whoever looks once it has its answer sees that it waits no longer.
            drop(held);
            // The caller may be gone; what it sent is stored all the same.
            let _ = reply.send(answer);
        }
    }

    /// Runs one group until its outcome is known or time is up.
    async fn settle(&mut self, group: &[Arc<Submission>]) -> Result<Vec<Committed>, SubmitError> {
        let pulse = self.appenders.pulse();
        let _work = pulse.work();
        // The wait for the first turn is not the store's fault.
        let mut turn = self.appenders.turn(self.held_up).await;
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut unknown = false;
        self.wary = self.wary.saturating_sub(1);
        loop {
            let looked_up = self.wary > 0;
            let attempt = self.attempt(group, turn).await;
            pulse.beat();
            self.held_up = matches!(attempt, Err(StoreError::Locked(_)));
            let error = match attempt {
                Ok(committed) => {
                    self.metrics.ingest.group(group.iter().map(|each| each.entries.len()).sum());
                    return Ok(committed);
                }
                Err(StoreError::KeyTaken) if !looked_up => {
                    self.wary = WARY_GROUPS;
                    turn = self.appenders.turn(false).await;
                    continue;
                }
                Err(error) => error,
            };
            if !self.held_up {
                self.appenders.forget();
            }
            let limit = match &error {
                StoreError::Broken(_) | StoreError::KeyTaken if !unknown => {
                    tracing::error!(log = %self.log, %error, "the store refused a group of events");
                    return Err(SubmitError::StoreBroken);
                }
                StoreError::StateUnknown(_) => {
                    unknown = true;
                    // What was stored is to be found, not to be run into.
                    self.wary = WARY_GROUPS;
                    RETRY_UNKNOWN_FOR
                }
                _ if unknown => RETRY_UNKNOWN_FOR,
                StoreError::Locked(_) => RETRY_LOCKED_FOR,
                _ => RETRY_FOR,
            };
            if began.elapsed() + pause > limit {
                tracing::error!(log = %self.log, %error, unknown, "a group of events could not be committed");
                return Err(match error {
                    _ if unknown => SubmitError::Unknown,
                    StoreError::NoSyncReplica(_) => SubmitError::NoSyncReplica,
                    _ if store::is_full(&error) => SubmitError::StorageFull,
                    _ => SubmitError::StoreUnavailable,
                });
            }
            tracing::debug!(log = %self.log, %error, "trying a group of events again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            turn = self.appenders.turn(self.held_up).await;
        }
    }

    /// Runs one group in one transaction. A connection that fails on the way is dropped.
    async fn attempt(&mut self, group: &[Arc<Submission>], turn: Turn) -> Result<Vec<Committed>, StoreError> {
        let late =
            |what: &str, limit: Duration| format!("{what} took longer than {} s", limit.as_secs()).into();
        let began = Instant::now();
        let written = timeout(WRITE_LIMIT, self.write(group, turn)).await;
        let Written { committed, noted, before, lease } =
            written.map_err(|_| StoreError::Unavailable(late("a transaction", WRITE_LIMIT)))??;
        if let Some(mut lease) = lease {
            let write = began.elapsed();
            let done = timeout(COMMIT_LIMIT, lease.appender.commit()).await;
            done.map_err(|_| StoreError::StateUnknown(late("a commit", COMMIT_LIMIT)))??;
            self.metrics.ingest.commit(write, began.elapsed() - write);
            lease.give_back();
            if let Some(commit) = appended(group, &committed) {
                let leaves = commit.events.iter().map(|event| *event.leaf_hash()).collect();
                if let Some(Committed { tree: after, .. }) = committed.first() {
                    self.recent.committed(&self.log, before, *after, leaves);
                }
                if self.live.is_followed(&self.log) {
                    self.live.committed(&self.log, commit);
                }
            }
        }
        for each in &noted {
            let sequences = each.sequences;
            self.metrics.producers.seen(each.producer.as_str(), each.last_seen);
            self.metrics.producers.sequences(
                each.producer.as_str(),
                sequences.gaps,
                sequences.missing,
                sequences.late,
            );
        }
        Ok(committed)
    }

    /// Everything up to COMMIT.
    async fn write(&mut self, group: &[Arc<Submission>], turn: Turn) -> Result<Written, StoreError> {
        let mut lease = self.appenders.borrow(turn).await?;
        let appender = &mut lease.appender;
        let head = appender.begin(&self.log).await?;
        let before = caught_up(appender.as_mut(), &self.log, head).await?;
        let keys = match self.wary {
            0 => sequencer::refused_keys(group),
            _ => sequencer::keys(group),
        };
        let known = match keys.is_empty() {
            true => HashMap::new(),
            false => appender.known(&self.log, &keys).await?,
        };
        let rows = sequencer::rows(group);
        let live = match rows.is_empty() {
            true => HashSet::new(),
            false => appender.live(&self.log, &rows).await?,
        };
        let mut plan = sequencer::plan(before.size(), &known, &live, group);
        if self.wary == 0 && plan.conflicts() {
            // An event that is stored would be named by its position, and may be another one than this.
            lease.roll_back().await?;
            return Err(StoreError::KeyTaken);
        }
        if !known.is_empty() {
            self.wary = WARY_GROUPS;
        }
        let found = before.head();
        let mut tree = found;
        let mut noted = Vec::new();
        let lease = if plan.is_empty() && plan.repeats() {
            // What is seen is not yet safe where commits wait for a standby: a session that ended while it
            // waited leaves its commit to be seen at once. The lock makes this COMMIT wait as that one did.
            Some(lease)
        } else if plan.is_empty() {
            lease.roll_back().await?;
            None
        } else {
            (plan.producers, noted) = producers(appender.as_mut(), &self.log, &plan).await?;
            let after = plan.tree(&before);
            tree = after.head();
            match appender.write(&self.log, &plan, &after).await {
                Ok(()) => Some(lease),
                Err(StoreError::KeyTaken) => {
                    lease.roll_back().await?;
                    return Err(StoreError::KeyTaken);
                }
                Err(error) => return Err(error),
            }
        };
        let committed = plan.verdicts.into_iter().map(|verdicts| Committed { verdicts, tree }).collect();
        Ok(Written { committed, noted, before: found, lease })
    }
}

/// The tree of a log with every event in it. A program of an older schema leaves out those that it appends:
/// some thousands during an update, more than a transaction has time for only where `chancery migrate` was
/// not run again after it.
async fn caught_up(appender: &mut dyn Appender, log: &LogName, head: Head) -> Result<Frontier, StoreError> {
    let Head { size, mut tree } = head;
    while tree.size() < size {
        let leaves = appender.leaf_hashes(log, tree.size()..size.min(tree.size() + CATCH_UP)).await?;
        tree = tree.extended(&leaves);
    }
    Ok(tree)
}

/// The events that a group has appended.
fn appended(group: &[Arc<Submission>], committed: &[Committed]) -> Option<Commit> {
    let answered = group.iter().zip(committed);
    let entries = answered.flat_map(|(submission, answer)| submission.entries.iter().zip(&answer.verdicts));
    let accepted = entries.filter_map(|(entry, verdict)| match verdict {
        Verdict::Accepted { position } => Some((*position, entry.event()?)),
        _ => None,
    });
    // Positions were given out in this order.
    let (positions, events): (Vec<_>, Vec<_>) = accepted.unzip();
    Some(Commit { first: *positions.first()?, events })
}

/// Keeps the quarantined events of a plan, and decides what it says about producers.
async fn producers(
    appender: &mut dyn Appender,
    log: &LogName,
    plan: &Plan<'_>,
) -> Result<(ProducerWrites, Vec<Noted>), StoreError> {
    let kept = match plan.quarantined.is_empty() {
        true => HashSet::new(),
        false => appender.keep(log, &plan.quarantined).await?,
    };
    let mut group = Group::of(plan, &kept);
    let runs = group.runs();
    let stored = match runs.is_empty() {
        true => HashMap::new(),
        false => appender.epochs(log, &runs).await?,
    };
    Ok(group.writes(stored))
}
