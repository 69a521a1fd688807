//! The connections that write, shared by the sequencers of all logs.
//!
//! A sequencer borrows one for each group, so a thousand logs need no more of them than a few: what
//! bounds the rate of a database is its processors, not its sessions. A connection that failed is
//! dropped, never lent again; the idle ones then are too, because what broke one has often broken all.
//! Callers: `task`.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    store::{Appender, Connections, Store, StoreError},
    telemetry::{Metrics, Pulse},
};

/// Connections that one replica writes with. With those for everything else, seven replicas fit into 200 sessions.
pub const MAX_APPENDERS: usize = 8;
/// How many of them may be held up at a time by logs whose head somebody else held when they last tried.
const MAX_HELD_UP: usize = 2;
/// How long a connection that nobody needs is kept.
const IDLE: Duration = Duration::from_secs(10);

/// The connections.
pub struct Appenders {
    store: Arc<dyn Store>,
    turns: Arc<Semaphore>,
    held_up: Arc<Semaphore>,
    /// The last one back is the first to go out again, so that those in front grow old.
    idle: Mutex<Vec<Idle>>,
    pulse: Arc<Pulse>,
    metrics: Arc<Metrics>,
}

struct Idle {
    appender: Box<dyn Appender>,
    since: Instant,
}

/// A connection for one transaction. Dropped with its owner's failure unless it is [given
/// back](Lease::give_back).
pub struct Lease {
    pub appender: Box<dyn Appender>,
    owner: Arc<Appenders>,
    turn: Turn,
}

/// The right to hold one connection.
#[expect(dead_code, reason = "held, not looked at")]
pub struct Turn(Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

impl Appenders {
    /// Without any connection yet.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            turns: Arc::new(Semaphore::new(MAX_APPENDERS)),
            held_up: Arc::new(Semaphore::new(MAX_HELD_UP)),
            idle: Mutex::default(),
            pulse: Pulse::at_work(),
            metrics,
        }
    }

    /// Beats when a group of events gets somewhere, of whatever log.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Waits for a turn, first come, first served: as long as it takes those ahead, whose transactions are
    /// all bounded in time. A log that was held up goes by a narrower way, so that the others get past it.
    pub async fn turn(&self, held_up: bool) -> Turn {
        let began = Instant::now();
        // The semaphores are never closed.
        let narrow = match held_up {
            true => Arc::clone(&self.held_up).acquire_owned().await.ok(),
            false => None,
        };
        let turn = Turn(narrow, Arc::clone(&self.turns).acquire_owned().await.ok());
        self.metrics.storage.waited(began.elapsed());
        turn
    }

    /// Takes an idle connection or makes one.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn borrow(self: &Arc<Self>, turn: Turn) -> Result<Lease, StoreError> {
        let idle = self.idle().pop();
        let appender = match idle {
            Some(idle) => idle.appender,
            // Whatever it is that refuses a connection, it does not refuse the events.
            None => self.store.appender().await.map_err(|error| match error {
                StoreError::Broken(source) => StoreError::Unavailable(source),
                error => error,
            })?,
        };
        Ok(Lease { appender, owner: Arc::clone(self), turn })
    }

    /// How many of them there are.
    pub fn connections(&self) -> Connections {
        let used = MAX_APPENDERS.saturating_sub(self.turns.available_permits());
        Connections { idle: self.idle().len(), used, max: MAX_APPENDERS }
    }

    /// Drops the idle connections: one of them has just failed.
    pub fn forget(&self) {
        self.idle().clear();
    }

    /// Drops the connections that nobody has needed for a while.
    pub fn age(&self) {
        self.idle().retain(|idle| idle.since.elapsed() < IDLE);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Ends the transaction without a trace, and gives the connection back.
    ///
    /// # Errors
    /// The rollback failed, and the connection is dropped.
    pub async fn roll_back(mut self) -> Result<(), StoreError> {
        self.appender.rollback().await?;
        self.give_back();
        Ok(())
    }

    /// Gives the connection back, with no transaction open.
    pub fn give_back(self) {
        let Self { appender, owner, turn } = self;
        owner.idle().push(Idle { appender, since: Instant::now() });
        // Only now may the next one look.
        drop(turn);
        owner.age();
    }
}
