//! A store in memory that fails as it is told: for tests of what the sequencer makes of failures. It
//! locks heads, refuses what the databases' keys refuse, and forgets what was not committed, as they do.
//! What only readers use is not in it.
mod tree;

mod reads;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::pending,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::OwnedMutexGuard, time::sleep};

use super::{
    Appender, CountRequest, Counted, Discard, EpochKey, Key, Known, LastSeen, PageRequest, ProducerDetail,
    ProducerPage, ProducerRow, QuarantineCursor, QuarantineFilter, QuarantineKey, QuarantinePage,
    Quarantined, QuarantinedRow, Rows, Run, Store, StoreError, StoredEpoch, StoredEvent, broken,
};
use crate::{
    event::{LogName, Producer},
    ingest::sequencer::{Head, Plan},
    tree::{Frontier, Hash},
};

/// Where a transaction can fail before its commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Connect,
    Begin,
    Known,
    Live,
    Keep,
    Epochs,
    Write,
    Rollback,
}

/// How a step fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    Unavailable,
    Locked,
    Broken,
    /// It never answers.
    Hangs,
}

/// What goes wrong in one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    At(Step, Failure),
    /// COMMIT is answered: not committed.
    CommitRefused,
    /// The connection breaks before COMMIT has any effect.
    CommitLost,
    /// The connection breaks after it.
    CommitUnanswered,
    /// COMMIT never answers and has no effect.
    CommitHangs,
    /// COMMIT takes its time, and has its effect whether or not anybody still waits for it.
    CommitLate(Duration),
}

/// One log's tables.
#[derive(Default)]
pub struct Tables {
    pub size: u64,
    pub tree: Frontier,
    pub events: HashMap<u64, StoredEvent>,
    pub keys: HashMap<Key, Known>,
    pub quarantine: HashSet<QuarantineKey>,
}

#[derive(Default)]
struct State {
    logs: HashMap<LogName, Tables>,
    heads: HashMap<LogName, Arc<tokio::sync::Mutex<()>>>,
    /// For the transactions to come, in their order.
    faults: VecDeque<Option<Fault>>,
    misused: bool,
}

/// The store.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store; its first transactions, one each, meet these faults.
    pub fn failing(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        let store = Self::default();
        store.state().faults.extend(faults);
        store
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Whether somebody went on with a connection that had failed, or that nobody had waited for.
    pub fn misused(&self) -> bool {
        self.state().misused
    }

    /// Looks at the committed tables of a log.
    pub fn look<T>(&self, log: &LogName, look: impl FnOnce(&Tables) -> T) -> T {
        look(self.state().logs.entry(log.clone()).or_default())
    }

    fn draw(&self) -> Option<Fault> {
        self.state().faults.pop_front().flatten()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fail(failure: Failure) -> StoreError {
    match failure {
        Failure::Unavailable => StoreError::Unavailable("as told".into()),
        Failure::Locked => StoreError::Locked("as told".into()),
        Failure::Broken => broken("as told"),
        Failure::Hangs => pending().await,
    }
}

/// One connection. A dropped one leaves nothing but its late commit behind.
struct MemoryAppender {
    store: MemoryStore,
    /// Of the transaction at hand; drawn when it begins, or with the connection for its first one.
    fault: Option<Option<Fault>>,
    /// From the beginning of every step to its good end.
    unusable: bool,
    /// The lock on the head.
    turn: Option<OwnedMutexGuard<()>>,
    written: Option<Written>,
}

/// What a transaction has written and not committed.
struct Written {
    log: LogName,
    size: u64,
    tree: Frontier,
    events: Vec<(StoredEvent, Key, Known)>,
    quarantined: Vec<QuarantineKey>,
    released: Vec<QuarantineKey>,
}

impl MemoryAppender {
    async fn step(&mut self, step: Step) -> Result<(), StoreError> {
        self.enter();
        match self.fault {
            Some(Some(Fault::At(at, failure))) if at == step => Err(fail(failure).await),
            _ => Ok(()),
        }
    }

    fn enter(&mut self) {
        self.store.state().misused |= self.unusable;
        self.unusable = true;
    }

    /// Makes what was written visible, and gives the head free.
    fn apply(store: &MemoryStore, written: Option<Written>, turn: Option<OwnedMutexGuard<()>>) {
        if let Some(written) = written {
            let mut state = store.state();
            let tables = state.logs.entry(written.log).or_default();
            (tables.size, tables.tree) = (written.size, written.tree);
            for (event, key, known) in written.events {
                tables.events.insert(event.position, event);
                tables.keys.insert(key, known);
            }
            tables.quarantine.extend(written.quarantined);
            for row in written.released {
                tables.quarantine.remove(&row);
            }
        }
        drop(turn);
    }
}

#[async_trait]
impl Appender for MemoryAppender {
    async fn begin(&mut self, log: &LogName) -> Result<Head, StoreError> {
        if self.turn.is_some() {
            return Err(broken("a transaction inside of a transaction"));
        }
        self.fault = Some(match self.fault {
            Some(drawn) => drawn,
            None => self.store.draw(),
        });
        self.step(Step::Begin).await?;
        let head = Arc::clone(self.store.state().heads.entry(log.clone()).or_default());
        self.turn = Some(head.lock_owned().await);
        self.unusable = false;
        Ok(self.store.look(log, |tables| Head { size: tables.size, tree: tables.tree.clone() }))
    }

    async fn known(&mut self, log: &LogName, keys: &[Key]) -> Result<HashMap<Key, Known>, StoreError> {
        self.step(Step::Known).await?;
        self.unusable = false;
        self.store.known(log, keys).await
    }

    async fn live(
        &mut self,
        log: &LogName,
        rows: &[QuarantineKey],
    ) -> Result<HashSet<QuarantineKey>, StoreError> {
        self.step(Step::Live).await?;
        self.unusable = false;
        Ok(self
            .store
            .look(log, |tables| rows.iter().filter(|row| tables.quarantine.contains(row)).cloned().collect()))
    }

    async fn keep(
        &mut self,
        log: &LogName,
        events: &[(&Producer, &Quarantined)],
    ) -> Result<HashSet<QuarantineKey>, StoreError> {
        self.step(Step::Keep).await?;
        self.unusable = false;
        let rows = events.iter().map(|(producer, event)| row(producer, event));
        Ok(self.store.look(log, |tables| rows.filter(|row| !tables.quarantine.contains(row)).collect()))
    }

    async fn epochs(
        &mut self,
        _log: &LogName,
        _runs: &[Run],
    ) -> Result<HashMap<EpochKey, StoredEpoch>, StoreError> {
        self.step(Step::Epochs).await?;
        self.unusable = false;
        Ok(HashMap::new())
    }

    async fn bulk_load(
        &mut self,
        _log: &LogName,
        _plans: &[(Plan<'_>, Frontier)],
    ) -> Result<Duration, StoreError> {
        readers_only()
    }

    async fn leaf_hashes(&mut self, log: &LogName, positions: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.store.look(log, |tables| {
            let found = positions.map(|position| tables.events.get(&position).map(|event| event.leaf_hash));
            found.collect::<Option<_>>().ok_or_else(|| broken("an event is gone"))
        })
    }

    async fn write(&mut self, log: &LogName, plan: &Plan<'_>, tree: &Frontier) -> Result<(), StoreError> {
        self.step(Step::Write).await?;
        let events = plan.placed.iter().map(|placed| {
            let (position, event) = (placed.position, placed.event);
            let key = Key { producer: placed.producer.clone(), event_id: event.event_id() };
            let (content_hash, leaf_hash) = (event.content_hash().to_vec(), event.leaf_hash().to_vec());
            let known = Known { position, content_hash, leaf_hash };
            let stored = StoredEvent {
                position,
                occurred_at: event.columns().occurred_at,
                record: event.record().to_vec(),
                personal: event.personal().to_vec(),
                leaf_hash: *event.leaf_hash(),
            };
            (stored, key, known)
        });
        let quarantined = plan.quarantined.iter().map(|(producer, event)| row(producer, event));
        let written = Written {
            log: log.clone(),
            size: plan.size,
            tree: tree.clone(),
            events: events.collect(),
            quarantined: quarantined.collect(),
            released: plan.released.clone(),
        };
        let (placed, taken) = self.store.look(log, |tables| {
            let mut events = written.events.iter();
            let placed = events.any(|(event, _, _)| tables.events.contains_key(&event.position));
            (placed, written.events.iter().any(|(_, key, _)| tables.keys.contains_key(key)))
        });
        if placed {
            return Err(broken("a position that is taken"));
        }
        if taken {
            self.unusable = false;
            return Err(StoreError::KeyTaken);
        }
        self.written = Some(written);
        self.unusable = false;
        Ok(())
    }

    async fn bulk_read(&mut self, _log: &LogName) -> Result<u64, StoreError> {
        readers_only()
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.enter();
        let fault = self.fault.take().flatten();
        let (written, turn) = (self.written.take(), self.turn.take());
        match fault {
            Some(Fault::CommitRefused) => return Err(broken("as told")),
            Some(Fault::CommitLost) => return Err(StoreError::StateUnknown("as told".into())),
            Some(Fault::CommitHangs) => {
                // The lock goes with the connection.
                let _turn = turn;
                return pending().await;
            }
            Some(Fault::CommitLate(late)) => {
                let store = self.store.clone();
                let done = tokio::spawn(async move {
                    sleep(late).await;
                    Self::apply(&store, written, turn);
                });
                done.await.map_err(|error| StoreError::StateUnknown(error.into()))?;
            }
            Some(Fault::CommitUnanswered) => {
                Self::apply(&self.store, written, turn);
                return Err(StoreError::StateUnknown("as told".into()));
            }
            None | Some(Fault::At(..)) => Self::apply(&self.store, written, turn),
        }
        self.unusable = false;
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        self.step(Step::Rollback).await?;
        (self.fault, self.written, self.turn) = (None, None, None);
        self.unusable = false;
        Ok(())
    }
}

fn row(producer: &Producer, event: &Quarantined) -> QuarantineKey {
    let key = Key { producer: producer.clone(), event_id: event.event_id };
    QuarantineKey { key, content_hash: event.content_hash }
}

pub(super) fn readers_only<T>() -> Result<T, StoreError> {
    Err(broken("the store in memory is for sequencers"))
}

#[async_trait]
impl Store for MemoryStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn confirm_by_replica(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn appender(&self) -> Result<Box<dyn Appender>, StoreError> {
        let fault = Some(self.draw());
        let store = self.clone();
        let mut appender = MemoryAppender { store, fault, unusable: false, turn: None, written: None };
        appender.step(Step::Connect).await?;
        appender.unusable = false;
        Ok(Box::new(appender))
    }

    async fn tree(&self, log: &LogName) -> Result<Frontier, StoreError> {
        Ok(self.look(log, |tables| tables.tree.clone()))
    }

    async fn heads(&self, _logs: &[LogName]) -> Result<HashMap<LogName, u64>, StoreError> {
        readers_only()
    }

    async fn page(&self, _request: &PageRequest<'_>) -> Result<Rows, StoreError> {
        readers_only()
    }

    async fn event_at(&self, log: &LogName, position: u64) -> Result<Option<StoredEvent>, StoreError> {
        Ok(self.look(log, |tables| tables.events.get(&position).cloned()))
    }

    async fn known(&self, log: &LogName, keys: &[Key]) -> Result<HashMap<Key, Known>, StoreError> {
        Ok(self.look(log, |tables| {
            let found = keys.iter().filter_map(|key| tables.keys.get_key_value(key));
            found.map(|(key, known)| (key.clone(), known.clone())).collect()
        }))
    }

    async fn count(&self, _request: &CountRequest<'_>) -> Result<Vec<Counted>, StoreError> {
        readers_only()
    }

    async fn quarantined(&self, _page: &QuarantinePage<'_>) -> Result<Vec<QuarantinedRow>, StoreError> {
        readers_only()
    }

    async fn count_quarantined(
        &self,
        _log: &LogName,
        _filter: &QuarantineFilter,
        _after: Option<&QuarantineCursor>,
    ) -> Result<u64, StoreError> {
        readers_only()
    }

    async fn quarantined_rows(
        &self,
        _log: &LogName,
        _rows: &[QuarantineKey],
    ) -> Result<HashMap<QuarantineKey, QuarantinedRow>, StoreError> {
        readers_only()
    }

    async fn discard(
        &self,
        _log: &LogName,
        _rows: &[QuarantineKey],
        _discard: &Discard,
    ) -> Result<(), StoreError> {
        readers_only()
    }

    async fn producers(&self, _page: &ProducerPage<'_>) -> Result<Vec<ProducerRow>, StoreError> {
        readers_only()
    }

    async fn producer(
        &self,
        _log: &LogName,
        _producer: &Producer,
    ) -> Result<Option<ProducerDetail>, StoreError> {
        readers_only()
    }

    async fn last_seen(&self, _most: u32, _since: i64) -> Result<LastSeen, StoreError> {
        readers_only()
    }

    async fn shared_value(&self, _name: &'static str, proposed: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(proposed.to_vec())
    }

    async fn reusable_bytes(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn close(&self) {}
}
