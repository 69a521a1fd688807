//! What producers were told, and everything they were told that cannot be true.
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chancery::proto::v1::{AppendResult, EventResult, NewEvent};
use tokio::sync::watch;

/// Producer and event id.
pub type Id = (String, String);

/// What an event is, and so how it must be answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// To be appended, once.
    Good,
    /// An acked event once more.
    Again,
    /// An acked event's id with other content.
    Reused,
    /// Of a code that the catalog does not have.
    Unknown,
    /// With a time that is none.
    Malformed,
}

/// An event to be sent until it is answered.
#[derive(Clone, Debug)]
pub struct Sent {
    pub kind: Kind,
    pub event: NewEvent,
}

/// What an acked event was promised.
#[derive(Clone, PartialEq, Eq)]
pub struct Ack {
    pub position: u64,
    pub leaf_hash: Vec<u8>,
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begins: String = self.leaf_hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{} ({begins}...)", self.position)
    }
}

/// Everything that all producers know together.
#[derive(Default)]
pub struct Book {
    pub acked: HashMap<Id, Ack>,
    /// Roots of trees by their sizes, as acks have named them.
    pub trees: BTreeMap<u64, Vec<u8>>,
    /// Acked events, to be sent again.
    pub events: Vec<(String, NewEvent)>,
    pub quarantined: HashSet<Id>,
    /// Refused as a whole.
    pub refused: HashSet<Id>,
    pub wrong: Vec<String>,
    /// Calls that failed without an answer of the server, and with one.
    pub broken: u64,
    pub unavailable: u64,
    /// Calls that failed with INTERNAL, and whether they may.
    pub internal: u64,
    pub internal_is_fine: bool,
    /// Times that a stream was told to wait.
    pub throttled: u64,
    /// Answers of each kind.
    pub answers: HashMap<Kind, u64>,
}

impl Book {
    /// Calls that failed, however.
    pub const fn failed(&self) -> u64 {
        self.broken + self.unavailable + self.internal
    }
}

/// Shared by producers, verifier and test.
#[derive(Clone)]
pub struct Ledger {
    book: Arc<Mutex<Book>>,
    acks: Arc<watch::Sender<u64>>,
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        Self { book: Arc::default(), acks: Arc::new(watch::channel(0).0) }
    }

    /// The book. Not to be held while waiting for anything.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("the book")
    }

    /// Waits until this many further events are acked.
    pub async fn progress(&self, events: u64) {
        let mut acks = self.acks.subscribe();
        let goal = *acks.borrow() + events;
        let reached = acks.wait_for(|acked| *acked >= goal);
        if tokio::time::timeout(Duration::from_secs(120), reached).await.is_err() {
            self.stuck("nothing was acked for two minutes");
        }
    }

    /// Fails with what is wrong so far.
    pub fn stuck(&self, what: &str) -> ! {
        let wrong = self.book().wrong.clone();
        super::check(what, &wrong);
        panic!("CHANCERY_FAULT_SEED={} {what}", super::seed());
    }

    /// Something is not as it must be.
    pub fn wrong(&self, what: String) {
        self.book().wrong.push(what);
    }

    /// Takes the tree that an ack names. Acks of nothing that is stored may name none.
    pub fn tree(&self, size: u64, root: &[u8]) {
        let mut book = self.book();
        if root.is_empty() && size == 0 {
            return;
        }
        let first = book.trees.entry(size).or_insert_with(|| root.to_vec()).clone();
        if first != root || root.len() != 32 {
            book.wrong.push(format!("the tree of size {size} has the roots {first:02x?} and {root:02x?}"));
        }
    }

    /// Takes an answer to an event. Whether it is final: the event needs no further sending.
    pub fn answer(&self, producer: &str, sent: &Sent, result: &EventResult) -> bool {
        let fate = result.result();
        if fate == AppendResult::NotAttempted && result.retryable {
            return false;
        }
        let id = (producer.to_owned(), sent.event.event_id.clone());
        let mut book = self.book();
        if fate == AppendResult::NotAttempted && book.internal_is_fine {
            book.internal += 1;
            return false;
        }
        *book.answers.entry(sent.kind).or_default() += 1;
        let before = book.acked.get(&id).cloned();
        let fits = match (sent.kind, fate) {
            // An outcome that was unknown to the server ends as a duplicate, too.
            (Kind::Good, AppendResult::Accepted) => before.is_none(),
            (Kind::Good | Kind::Again, AppendResult::Duplicate) => true,
            (Kind::Reused, AppendResult::Conflict) => true,
            (Kind::Unknown, AppendResult::Quarantined) => {
                book.quarantined.insert(id.clone());
                true
            }
            (Kind::Malformed, AppendResult::Rejected) => true,
            _ => false,
        };
        if !fits {
            book.wrong.push(format!("{:?} {id:?}, {before:?} before, is answered {result:?}", sent.kind));
        }
        if matches!(fate, AppendResult::Accepted | AppendResult::Duplicate) {
            let ack =
                Ack { position: result.position.unwrap_or(u64::MAX), leaf_hash: result.leaf_hash.to_vec() };
            match before {
                Some(before) if before != ack => {
                    book.wrong.push(format!("{id:?} was acked as {before:?} and then as {ack:?}"));
                }
                Some(_) => {}
                None => {
                    book.events.push((producer.to_owned(), sent.event.clone()));
                    book.acked.insert(id, ack);
                }
            }
            drop(book);
            self.acks.send_modify(|acks| *acks += 1);
        }
        true
    }

    /// Takes the refusal of a whole batch: nothing that is new in it may be stored.
    pub fn refuse(&self, producer: &str, batch: &[Sent]) {
        let mut book = self.book();
        for sent in batch {
            *book.answers.entry(sent.kind).or_default() += 1;
            if matches!(sent.kind, Kind::Good | Kind::Unknown) {
                book.refused.insert((producer.to_owned(), sent.event.event_id.clone()));
            }
        }
    }
}
