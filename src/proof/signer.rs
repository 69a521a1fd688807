//! Signs a checkpoint of every log that grew, once a second, as long as the log is an extension of what was
//! signed before.
//!
//! Does: ask the store for a proof from the last signed head, which lies in a file outside of the store
//! (`heads`), have it verified by the library that did not make it, sign, make the new head durable in its file,
//! and only then store the checkpoint. A log that is not an extension is halted for good, with both heads as
//! evidence: a store that came back from an older backup must not be signed as if nothing was lost.
//! Does not: trust the store; wait for witnesses (`witness`). Called by: `app`, which owns the task.
//!
//! Costs per second and log that grew: a proof of some 5 reads, two fsyncs (file and folder) and one write of the
//! store. Logs have their turn one after the other, so with very many that grow all the time a turn takes longer
//! than a second, and checkpoints come as often as turns end.
use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

pub use super::advance::Parts;
use super::{
    advance::{Log, Trouble, advance, evidence},
    heads::{Known, SignedHead},
    prover::Prover,
};
use crate::{event::LogName, tree::TreeHead};

/// How often is looked for growth.
const INTERVAL: Duration = Duration::from_secs(1);
/// Logs at most, as many as are appended to at a time: their heads take some 300 bytes each.
const MOST_LOGS: usize = 2048;

/// The newest signed heads, for witnesses.
pub type Newest = BTreeMap<LogName, Arc<SignedHead>>;

/// The signer of a server.
pub struct Signer {
    parts: Parts,
    prover: Prover,
    logs: BTreeMap<LogName, Log>,
    /// The logs that are halted, sorted.
    halted: watch::Sender<Vec<LogName>>,
    newest: watch::Sender<Newest>,
    /// Those that were signed in this turn of all, to be told at its end: witnesses look through all logs each time.
    fresh: Vec<(LogName, Arc<SignedHead>)>,
    /// When was looked before: what is new was committed since.
    looked: Instant,
    failing: bool,
    full: bool,
}

impl Signer {
    /// A signer that knows these heads.
    pub fn new(parts: Parts, known: BTreeMap<LogName, Known>) -> Self {
        let prover = Prover { store: Arc::clone(&parts.store) };
        let log = |Known { last, forked }: Known| Log { last, halted: forked, ..Log::default() };
        let logs = known.into_iter().map(|(name, known)| (name, log(known))).collect();
        let signer = Self {
            parts,
            prover,
            logs,
            halted: watch::Sender::default(),
            newest: watch::Sender::default(),
            fresh: Vec::new(),
            looked: Instant::now(),
            failing: false,
            full: false,
        };
        signer.tell_halted();
        for log in signer.halted.borrow().iter() {
            let folder = signer.parts.heads.path().display();
            tracing::error!(%log, %folder, "no checkpoint of this log is signed: it was found not to extend what was signed before");
        }
        signer
    }

    /// The logs that are halted.
    pub fn halted(&self) -> watch::Receiver<Vec<LogName>> {
        self.halted.subscribe()
    }

    /// The newest signed heads.
    pub fn newest(&self) -> watch::Receiver<Newest> {
        self.newest.subscribe()
    }

    /// Signs until it is stopped, and then what has grown since.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.pass().await,
                () = stop.cancelled() => return self.pass().await,
            }
        }
    }

    /// A turn of every log.
    async fn pass(&mut self) {
        let began = Instant::now();
        let mut lag = Duration::ZERO;
        let mut unsigned = 0;
        let mut all = true;
        // Read as it grows, should this turn hang.
        self.parts.metrics.checkpoints.waits_since(self.oldest().unwrap_or(began));
        match self.parts.store.logs().await {
            Ok(sizes) => {
                let mut sizes: BTreeMap<LogName, u64> = sizes.into_iter().collect();
                // A log that the store no longer knows has no events.
                for log in self.logs.keys() {
                    sizes.entry(log.clone()).or_default();
                }
                for (log, size) in sizes {
                    if !self.has_room(&log) {
                        unsigned += 1;
                        continue;
                    }
                    if !self.turn(&log, size, &mut lag).await {
                        all = false;
                        break;
                    }
                }
                self.parts.metrics.checkpoints.unsigned(unsigned);
                if all && unsigned == 0 && !self.logs.values().any(|log| log.halted || log.failing) {
                    self.parts.metrics.checkpoints.verified(self.parts.clock.now_micros());
                }
            }
            Err(error) => {
                all = false;
                self.complain(&error);
            }
        }
        // Of logs that were not looked at nobody knows whether they have grown since.
        let unseen = (!all).then_some(self.looked);
        if all {
            self.looked = began;
        }
        if !self.fresh.is_empty() {
            let fresh = mem::take(&mut self.fresh);
            self.newest.send_modify(|newest| newest.extend(fresh));
        }
        self.parts.metrics.checkpoints.lag(lag, self.oldest().into_iter().chain(unseen).min());
    }

    /// Since when the oldest commit waits that has no checkpoint.
    fn oldest(&self) -> Option<Instant> {
        self.logs.values().filter_map(|log| log.uncovered).min()
    }

    /// Whether a log is known, or can be.
    fn has_room(&mut self, log: &LogName) -> bool {
        let room = self.logs.len() < MOST_LOGS || self.logs.contains_key(log);
        if !room && !mem::replace(&mut self.full, true) {
            tracing::error!(%log, most = MOST_LOGS, "there are too many logs: no checkpoint of this and later ones is signed");
        }
        room
    }

    /// The turn of one log. Whether the next one should have its turn.
    async fn turn(&mut self, name: &LogName, size: u64, lag: &mut Duration) -> bool {
        let looked = self.looked;
        let log = self.logs.entry(name.clone()).or_default();
        if log.last.as_ref().is_none_or(|last| last.head.size < size) && size > 0 {
            log.uncovered.get_or_insert(looked);
        }
        if log.halted {
            return true;
        }
        match advance(&self.parts, &self.prover, name, size, log).await {
            Ok(signed) => {
                if let Some(since) = log.uncovered.take() {
                    *lag = since.elapsed().max(*lag);
                }
                if mem::take(&mut log.failing) {
                    tracing::info!(log = %name, "checkpoints of this log are signed again");
                }
                if mem::take(&mut self.failing) {
                    tracing::info!("signing goes on");
                }
                if let (true, Some(last)) = (signed, &log.last) {
                    self.fresh.push((name.clone(), Arc::new(last.clone())));
                }
                true
            }
            Err(Trouble::Forked(reason, observed)) => {
                self.halt(name, &reason, &observed).await;
                true
            }
            Err(trouble) if trouble.is_of_all() => {
                self.complain(&trouble);
                false
            }
            Err(trouble) => {
                if !mem::replace(&mut log.failing, true) {
                    tracing::warn!(log = %name, error = %trouble, "no checkpoint of this log can be signed for now");
                }
                true
            }
        }
    }

    /// Ends the signing of a log for good.
    async fn halt(&mut self, name: &LogName, reason: &str, observed: &TreeHead) {
        let Some(log) = self.logs.get_mut(name) else { return };
        log.halted = true;
        self.parts.metrics.checkpoints.verify_failed();
        let signed = log.last.as_ref().map(|last| last.note.as_str()).unwrap_or_default();
        let evidence = evidence(name, reason, observed, self.parts.clock.now_micros(), signed);
        let size = log.last.as_ref().map(|last| last.head.size).unwrap_or_default();
        let folder = self.parts.heads.path().display();
        tracing::error!(log = %name, reason, signed_size = size, stored_size = observed.size, %folder,
            "the log does not extend what was signed: no checkpoint of it is signed any more");
        if let Err(error) = self.parts.heads.keep_fork(name, evidence).await {
            tracing::error!(log = %name, %error, "the evidence could not be written; the next start finds it again");
        }
        self.tell_halted();
    }

    fn tell_halted(&self) {
        let halted = self.logs.iter().filter(|(_, log)| log.halted).map(|(name, _)| name.clone());
        let halted: Vec<_> = halted.collect();
        self.parts.metrics.checkpoints.halted(halted.len());
        self.halted.send_replace(halted);
    }

    fn complain(&mut self, error: &dyn std::fmt::Display) {
        if !mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "no checkpoint can be signed for now");
        }
    }
}
