//! The sequencer's decision: which events of a group are new, which position each takes, what each
//! submitter hears. A pure function of the locked head's size, the stored keys and the group; the task in
//! `task` runs it inside a transaction, as often as it takes.
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use crate::{
    event::{Producer, SealedEvent},
    store::{Key, Known, Placed, ProducerWrites, QuarantineKey, Quarantined},
    tree::Frontier,
};

/// A log's head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Events in the log; the next position.
    pub size: u64,
    /// The tree of its leaf hashes. Of fewer leaves than there are events where an older program has appended
    /// some, which knows of no tree.
    pub tree: Frontier,
}

/// What one bad event does to its submission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// All or none.
    Atomic,
    /// Every event for itself.
    PerEvent,
}

/// One entry of a submission.
pub enum Entry {
    /// To be appended.
    Event(Arc<SealedEvent>),
    /// To be kept in quarantine.
    Quarantined(Box<Quarantined>),
    /// A row of the quarantine, judged again: it leaves in the transaction that appends its event.
    Replayed(Box<Replayed>),
}

/// A row of the quarantine as the catalog judges it now.
pub struct Replayed {
    pub event_id: Uuid,
    /// Content hash of the row, which with producer and event id names it.
    pub row: [u8; 32],
    /// The event; or, when the catalog still refuses it, what another event with its id is compared with.
    pub judged: Result<Arc<SealedEvent>, [u8; 32]>,
}

impl Entry {
    /// The event that is appended when it is accepted.
    pub fn event(&self) -> Option<Arc<SealedEvent>> {
        match self {
            Self::Event(event) => Some(Arc::clone(event)),
            Self::Replayed(replayed) => replayed.judged.as_ref().ok().cloned(),
            Self::Quarantined(_) => None,
        }
    }

    /// Event id, and what a second event with the same id is compared with.
    pub(super) fn identity(&self) -> (Uuid, &[u8; 32]) {
        match self {
            Self::Event(event) => (event.event_id(), event.content_hash()),
            Self::Quarantined(event) => (event.event_id, &event.content_hash),
            Self::Replayed(replayed) => match &replayed.judged {
                Ok(event) => (replayed.event_id, event.content_hash()),
                Err(content_hash) => (replayed.event_id, content_hash),
            },
        }
    }
}

/// The events of one call.
pub struct Submission {
    pub producer: Producer,
    pub mode: Mode,
    pub entries: Vec<Entry>,
}

impl Submission {
    /// Bytes of its records.
    pub fn bytes(&self) -> usize {
        let sizes = self.entries.iter().map(|entry| match entry {
            Entry::Event(event) => event.record().len() + event.personal().len(),
            Entry::Quarantined(event) => event.submitted.len(),
            Entry::Replayed(replayed) => replayed.judged.as_ref().map_or(0, |event| event.record().len()),
        });
        sizes.sum()
    }
}

/// What became of one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accepted {
        position: u64,
    },
    Duplicate {
        position: u64,
        leaf_hash: Vec<u8>,
    },
    /// The id is taken by an event with other content; `None` when that event stands in the same
    /// refused submission and so is stored nowhere.
    Conflict {
        position: Option<u64>,
    },
    Quarantined,
    /// Another entry refused the submission, or the replayed row is not in quarantine any more.
    NotAttempted,
}

/// What to write, and what to answer.
pub struct Plan<'a> {
    pub placed: Vec<Placed<'a>>,
    pub quarantined: Vec<(&'a Producer, &'a Quarantined)>,
    /// Rows that leave the quarantine, because their events are in the log.
    pub released: Vec<QuarantineKey>,
    /// What becomes of the tables of producers: see `producers`.
    pub producers: ProducerWrites,
    /// Events in the log after the write.
    pub size: u64,
    /// Per submission, per entry.
    pub verdicts: Vec<Vec<Verdict>>,
}

impl Plan<'_> {
    /// Whether an event has the id of another one.
    pub fn conflicts(&self) -> bool {
        self.verdicts.iter().flatten().any(|verdict| matches!(verdict, Verdict::Conflict { .. }))
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty() && self.quarantined.is_empty() && self.released.is_empty()
    }

    /// The tree of the log after the write, given the one before.
    pub fn tree(&self, before: &Frontier) -> Frontier {
        before.extended(self.placed.iter().map(|placed| placed.event.leaf_hash()))
    }

    /// Whether it acks events that were stored before.
    pub fn repeats(&self) -> bool {
        self.verdicts.iter().flatten().any(|verdict| matches!(verdict, Verdict::Duplicate { .. }))
    }
}

/// The keys whose stored rows [`plan`] needs.
pub fn keys(group: &[Arc<Submission>]) -> Vec<Key> {
    keys_where(group, |_| true)
}

fn keys_where(group: &[Arc<Submission>], wanted: impl Fn(&Entry) -> bool) -> Vec<Key> {
    let mut keys = Vec::new();
    for submission in group {
        for entry in submission.entries.iter().filter(|entry| wanted(entry)) {
            keys.push(Key { producer: submission.producer.clone(), event_id: entry.identity().0 });
        }
    }
    keys
}

/// The keys of those entries that need not become rows of their own, so that no unique key tells whether
/// they are stored: events that the catalog refuses today, and rows of the quarantine.
pub fn refused_keys(group: &[Arc<Submission>]) -> Vec<Key> {
    keys_where(group, |entry| !matches!(entry, Entry::Event(_)))
}

/// The rows of the quarantine that the group would release.
pub fn rows(group: &[Arc<Submission>]) -> Vec<QuarantineKey> {
    let rows = group.iter().flat_map(|submission| {
        let rows = submission.entries.iter().filter_map(|entry| match entry {
            Entry::Replayed(replayed) => Some(row(&submission.producer, replayed)),
            Entry::Event(_) | Entry::Quarantined(_) => None,
        });
        rows.collect::<Vec<_>>()
    });
    rows.collect()
}

fn row(producer: &Producer, replayed: &Replayed) -> QuarantineKey {
    let key = Key { producer: producer.clone(), event_id: replayed.event_id };
    QuarantineKey { key, content_hash: replayed.row }
}

/// An event's key as stored before this group, or as placed by it.
#[derive(Clone)]
struct Seen<'a> {
    position: u64,
    content_hash: &'a [u8],
    leaf_hash: &'a [u8],
}

/// Decides a group. An atomic submission holds events only, or refused ones that are stored already: `grpc`
/// refuses any other before it gets here, and a group that runs again after an unknown commit relies on it.
/// `live` are those of its [`rows`] that are in quarantine and not discarded.
pub fn plan<'a>(
    size: u64,
    known: &'a HashMap<Key, Known>,
    live: &HashSet<QuarantineKey>,
    group: &'a [Arc<Submission>],
) -> Plan<'a> {
    let mut plan = Plan {
        placed: Vec::new(),
        quarantined: Vec::new(),
        released: Vec::new(),
        producers: ProducerWrites::default(),
        size,
        verdicts: Vec::new(),
    };
    let mut placed_keys: HashMap<Key, Seen<'a>> = HashMap::new();
    for submission in group {
        let (placed, quarantined, size) = (plan.placed.len(), plan.quarantined.len(), plan.size);
        let released = plan.released.len();
        let mut own_keys = Vec::new();
        let mut verdicts = Vec::with_capacity(submission.entries.len());
        for entry in &submission.entries {
            let (event_id, content_hash) = entry.identity();
            let key = Key { producer: submission.producer.clone(), event_id };
            let row = match entry {
                Entry::Replayed(replayed) => Some(row(&submission.producer, replayed)),
                Entry::Event(_) | Entry::Quarantined(_) => None,
            };
            let gone = row.as_ref().is_some_and(|row| !live.contains(row));
            let row = row.filter(|_| !gone);
            let stored = known.get(&key).map(|known| Seen {
                position: known.position,
                content_hash: &known.content_hash,
                leaf_hash: &known.leaf_hash,
            });
            // Also for an event that the catalog refuses today: it may be the retry of one that was
            // accepted before the catalog changed, and that one is stored.
            if let Some(seen) = stored.or_else(|| placed_keys.get(&key).cloned()) {
                verdicts.push(match Known::same(seen.content_hash, content_hash) {
                    true => {
                        plan.released.extend(row);
                        Verdict::Duplicate { position: seen.position, leaf_hash: seen.leaf_hash.to_vec() }
                    }
                    false => Verdict::Conflict { position: Some(seen.position) },
                });
                continue;
            }
            if gone {
                verdicts.push(Verdict::NotAttempted);
                continue;
            }
            let (event, replayed) = match entry {
                Entry::Event(event) => (event.as_ref(), false),
                Entry::Replayed(replayed) => match &replayed.judged {
                    Ok(event) => (event.as_ref(), true),
                    Err(_) => {
                        verdicts.push(Verdict::Quarantined);
                        continue;
                    }
                },
                Entry::Quarantined(event) => {
                    plan.quarantined.push((&submission.producer, event));
                    verdicts.push(Verdict::Quarantined);
                    continue;
                }
            };
            let position = plan.size;
            plan.size += 1;
            plan.placed.push(Placed { position, producer: &submission.producer, event, replayed });
            plan.released.extend(row);
            verdicts.push(Verdict::Accepted { position });
            own_keys.push(key.clone());
            placed_keys.insert(
                key,
                Seen { position, content_hash: event.content_hash(), leaf_hash: event.leaf_hash() },
            );
        }
        let refused = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Conflict { .. }));
        if submission.mode == Mode::Atomic && refused {
            plan.placed.truncate(placed);
            plan.quarantined.truncate(quarantined);
            plan.released.truncate(released);
            plan.size = size;
            for key in own_keys {
                placed_keys.remove(&key);
            }
            for verdict in &mut verdicts {
                match verdict {
                    Verdict::Conflict { position } => {
                        *position = position.filter(|position| *position < size)
                    }
                    _ => *verdict = Verdict::NotAttempted,
                }
            }
        }
        plan.verdicts.push(verdicts);
    }
    plan
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
pub(super) mod tests;
