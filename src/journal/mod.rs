//! The self-audit: who called, and what they asked for or were given, as events of the log `audit`.
//!
//! [`Journal::record`] never waits and never fails. Entries queue within bounds (`queue`), and one task appends them in
//! order, in groups, by the way of every other event (`ingest::own`), and tries again for as long as the store is away.
//! Nothing is lost without a word: what found no room, or is none that the catalog accepts, is counted, and an event
//! `SELF_AUDIT_GAP` says how many they were, where they would stand. Refused calls that are alike are counted too
//! (`denied`). What the journal appends makes no entries.
//!
//! What a caller does has happened when its entry waits, so entries that wait when the process is killed are lost;
//! `docs/self-audit.md` says so. Callers: `grpc`, which records; `app`, which runs and drains it.
mod denied;
mod entry;
mod queue;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use denied::Denied;
pub use entry::{CLIENT_GONE, Entry, Sent, Who, code_name};
use queue::{Lost, Queue};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    catalog::Catalog,
    clock::Clock,
    event::{LogName, rfc3339},
    ingest::{
        Ingest,
        own::{self, OwnEvent},
    },
    telemetry::{LostTo, Metrics},
};

/// The type of the entry that tells of lost ones.
const GAP: &str = "SELF_AUDIT_GAP";
/// Between two tries to write, at first and at most.
const WAIT: Duration = Duration::from_millis(100);
const MOST_WAIT: Duration = Duration::from_secs(5);

/// An entry, with its time and its id: the same at every try.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    entry: Entry,
    /// Microseconds since 1970.
    at: i64,
    id: Uuid,
    bytes: usize,
}

impl Told {
    fn new(entry: Entry, at: i64, id: Uuid) -> Self {
        Self { bytes: entry.bytes(), entry, at, id }
    }

    fn event(&self) -> own::Timed {
        let details = self.entry.details.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let event = OwnEvent { event_id: self.id, r#type: self.entry.r#type, details: details.collect() };
        own::Timed { event, at: self.at, call: self.entry.call }
    }
}

/// What waits.
#[derive(Default)]
struct State {
    queue: Queue,
    denied: Denied,
    closed: bool,
}

/// The door to the self-audit.
pub struct Journal {
    state: Mutex<State>,
    wake: Notify,
    /// Everything was written, and nothing comes any more.
    done: CancellationToken,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Journal {
    /// A journal that takes entries. They are written once it runs.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let (state, wake, done) = (Mutex::default(), Notify::new(), CancellationToken::new());
        Self { state, wake, done, clock, metrics }
    }

    /// A fresh id, by which the entries of one call are found: their correlation id.
    pub fn call(&self) -> Uuid {
        self.clock.new_id()
    }

    /// Takes an entry. It never waits; what finds no room is counted. False when it is only counted, because others like
    /// it were told just now.
    pub fn record(&self, entry: Entry) -> bool {
        let mut state = self.state();
        if state.closed {
            drop(state);
            self.metrics.self_audit.lost(LostTo::shutdown, 1);
            tracing::error!(r#type = entry.r#type, "an entry of the self-audit is lost: the server ends");
        } else if let Some(entry) = state.denied.pass(entry, Instant::now()) {
            self.queue(&mut state, entry);
            self.wake.notify_one();
        } else {
            return false;
        }
        true
    }

    fn queue(&self, state: &mut State, entry: Entry) {
        let told = Told::new(entry, self.clock.now_micros(), self.clock.new_id());
        if let Err(to) = state.queue.add(told) {
            self.metrics.self_audit.lost(to, 1);
        }
    }

    /// Writes what comes until it is drained.
    pub async fn run(self: Arc<Self>, ingest: Arc<Ingest>, catalog: Arc<Catalog>) {
        loop {
            let (batch, next, closed) = {
                let mut state = self.state();
                let now = (!state.closed).then(Instant::now);
                for entry in state.denied.ended(now) {
                    self.queue(&mut state, entry);
                }
                (state.queue.batch(), state.denied.next(), state.closed)
            };
            if !batch.is_empty() {
                self.write(&ingest, &catalog, batch).await;
                continue;
            }
            if closed {
                self.done.cancel();
                return;
            }
            match next {
                None => self.wake.notified().await,
                Some(end) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = sleep_until(end) => {}
                },
            }
        }
    }

    /// Writes entries, however long it takes.
    async fn write(&self, ingest: &Ingest, catalog: &Catalog, batch: Vec<Told>) {
        let log = LogName::audit();
        let events: Vec<_> = batch.iter().map(Told::event).collect();
        let mut wait = WAIT;
        let refused = loop {
            match own::append_all(ingest, catalog, self.clock.as_ref(), &log, &events).await {
                Ok(refused) => break refused,
                Err(error) => {
                    if wait == WAIT {
                        tracing::warn!(%error, entries = batch.len(), "the self-audit is written later");
                    }
                    sleep(wait).await;
                    wait = MOST_WAIT.min(2 * wait);
                }
            }
        };
        if wait > WAIT {
            tracing::info!(entries = batch.len(), "the self-audit is written again");
        }
        self.metrics.self_audit.written(batch.len() - refused.len());
        let mut lost = Vec::new();
        for (at, reason) in refused {
            let told = &batch[at];
            tracing::error!(
                r#type = told.entry.r#type,
                reason,
                "an entry of the self-audit cannot be stored"
            );
            self.metrics.self_audit.lost(LostTo::refused, 1);
            // What tells of a gap must not make another one.
            if told.entry.r#type != GAP {
                lost.push(told.at);
            }
        }
        self.state().queue.written(&batch, &lost, |lost| self.gap(&lost));
    }

    fn gap(&self, lost: &Lost) -> Told {
        let causes: Vec<_> = lost.count.keys().map(|cause| cause.name()).collect();
        let (first, last) = lost.between.unwrap_or_default();
        let entry = Entry::new(GAP)
            .with_number("count", lost.count.values().sum())
            .with("error_reason", causes.join(" "))
            .with("lost_from", rfc3339(first))
            .with("lost_until", rfc3339(last));
        Told::new(entry, self.clock.now_micros(), self.clock.new_id())
    }

    /// Takes nothing new, and returns when everything is written. Whoever does not wait for it calls
    /// [`Journal::abandon`].
    pub async fn drain(&self) {
        self.state().closed = true;
        self.wake.notify_one();
        self.done.cancelled().await;
    }

    /// Says what is lost because the process ends now.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        let counted = state.denied.ended(None).len();
        let entries = state.queue.len() + counted;
        if entries > 0 {
            self.metrics.self_audit.lost(LostTo::shutdown, entries as u64);
            tracing::error!(entries, "entries of the self-audit are lost: they could not be written in time");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
