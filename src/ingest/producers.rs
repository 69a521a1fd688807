//! What a group of events says about its producers: when they were seen, how much of theirs is stored, and
//! which of their numbers are missing.
//!
//! A producer is seen when an event of it is stored or quarantined for the first time; a duplicate says
//! nothing new, and a replayed event was seen when it was quarantined. The numbers of one epoch are the
//! matter of `gaps`.
//!
//! Pure. `task` reads what [`Group::runs`] asks for, under the lock of the log's head, and writes what
//! [`Group::writes`] decides together with the events.
use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    gaps::{Seen, Sequences, track},
    sequencer::Plan,
};
use crate::{
    event::{Producer, Sequence},
    store::{EpochKey, Key, ProducerDelta, ProducerWrites, QuarantineKey, Run, StoredEpoch},
};

/// What the metrics hear of one producer after the commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    pub producer: Producer,
    /// 0 when it was not seen.
    pub last_seen: i64,
    pub sequences: Sequences,
}

/// The events of a group by producer and by epoch. Nothing is copied per event: the log's head is locked.
#[derive(Default)]
pub struct Group<'p> {
    producers: BTreeMap<&'p Producer, ProducerDelta>,
    numbers: BTreeMap<(&'p Producer, u64), Vec<Seen>>,
}

impl<'p> Group<'p> {
    /// The events of a plan. `kept` are those quarantined ones that were not in quarantine before.
    pub fn of(plan: &'p Plan<'_>, kept: &HashSet<QuarantineKey>) -> Self {
        let mut group = Self::default();
        for placed in &plan.placed {
            let delta = group.delta(placed.producer);
            delta.last_position = Some(placed.position);
            delta.events += 1;
            if !placed.replayed {
                group.see(placed.producer, placed.event.columns().received_at, placed.event.sequence());
            }
        }
        // A group may hold the same event, or the same replay, twice.
        let mut counted = HashSet::new();
        for (producer, event) in &plan.quarantined {
            let key = Key { producer: (*producer).clone(), event_id: event.event_id };
            let row = QuarantineKey { key, content_hash: event.content_hash };
            if kept.contains(&row) && counted.insert(row) {
                group.delta(producer).quarantined += 1;
                group.see(producer, event.received_at, event.sequence);
            }
        }
        counted.clear();
        for row in &plan.released {
            if counted.insert(row.clone()) {
                group.delta(&row.key.producer).quarantined -= 1;
            }
        }
        group
    }

    fn delta(&mut self, producer: &'p Producer) -> &mut ProducerDelta {
        self.producers.entry(producer).or_insert_with(|| ProducerDelta {
            producer: producer.clone(),
            first_seen: 0,
            last_seen: 0,
            last_position: None,
            events: 0,
            quarantined: 0,
        })
    }

    fn see(&mut self, producer: &'p Producer, at: i64, sequence: Option<Sequence>) {
        let delta = self.delta(producer);
        delta.first_seen = if delta.first_seen == 0 { at } else { delta.first_seen.min(at) };
        delta.last_seen = delta.last_seen.max(at);
        if let Some(Sequence { epoch, number }) = sequence {
            self.numbers.entry((producer, epoch)).or_default().push((number, at));
        }
    }

    /// What [`Group::writes`] must know: the epochs, and the gaps that these runs of numbers touch. A dense
    /// producer's group is one run, and all of them together are no longer than the group.
    pub fn runs(&mut self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (&(producer, epoch), numbers) in &mut self.numbers {
            let key = || EpochKey { producer: producer.clone(), epoch };
            numbers.sort_unstable();
            let mut run: Option<(u64, u64)> = None;
            for &(number, _) in numbers.iter() {
                run = Some(match run {
                    Some((from, to)) if number <= to.saturating_add(1) => (from, number),
                    Some((from, to)) => {
                        runs.push(Run { epoch: key(), from, to });
                        (number, number)
                    }
                    None => (number, number),
                });
            }
            runs.extend(run.map(|(from, to)| Run { epoch: key(), from, to }));
        }
        runs
    }

    /// What to write, and what there is to tell once it is committed.
    pub fn writes(self, mut stored: HashMap<EpochKey, StoredEpoch>) -> (ProducerWrites, Vec<Noted>) {
        let mut writes = ProducerWrites::default();
        let mut sequences: BTreeMap<Producer, Sequences> = BTreeMap::new();
        for ((producer, epoch), numbers) in self.numbers {
            let key = EpochKey { producer: producer.clone(), epoch };
            let Some(tracked) = track(stored.remove(&key), numbers) else { continue };
            let sum = sequences.entry(key.producer.clone()).or_default();
            sum.gaps += tracked.sequences.gaps;
            sum.missing = sum.missing.saturating_add(tracked.sequences.missing);
            sum.late += tracked.sequences.late;
            writes.closed.extend(tracked.closed.into_iter().map(|from| (key.clone(), from)));
            writes.gaps.extend(tracked.gaps.into_iter().map(|gap| (key.clone(), gap)));
            writes.epochs.push((key, tracked.epoch));
        }
        writes.producers = self.producers.into_values().collect();
        let noted = writes.producers.iter().map(|delta| Noted {
            producer: delta.producer.clone(),
            last_seen: delta.last_seen,
            sequences: sequences.remove(&delta.producer).unwrap_or_default(),
        });
        let noted = noted.collect();
        (writes, noted)
    }
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
