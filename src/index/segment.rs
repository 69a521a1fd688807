//! A segment while it is collected, event by event: its terms, its span of time, its counts.
use std::collections::HashMap;

use super::{
    Row, Term,
    run::{self, RowWriter},
    terms::terms_of,
};
use crate::event::Columns;

/// Microseconds of an hour: the rollup's bucket.
pub const HOUR: i64 = 3_600_000_000;

/// Earliest and latest times of a segment. Of no event at all it overlaps no range of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zone {
    pub min_occurred: i64,
    pub max_occurred: i64,
    pub min_received: i64,
    pub max_received: i64,
}

/// What the rollup counts by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CountKey {
    /// Hours since 1970 of the time of the event.
    pub hour: i64,
    pub family: i32,
    pub code: String,
    pub name: String,
    pub category: String,
    pub outcome: i32,
    pub producer: String,
}

/// A segment that is being collected.
pub struct Collector {
    level: u32,
    first: u64,
    pairs: Vec<(Term, u32)>,
    zone: Zone,
    counts: HashMap<CountKey, u64>,
}

/// A collected segment: what is to be stored of it.
pub struct Segment {
    pub level: u32,
    pub first: u64,
    /// In the order of their keys.
    pub rows: Vec<Row>,
    pub zone: Zone,
    pub counts: Vec<(CountKey, u64)>,
}

impl Collector {
    /// The run of this level that begins at `first`.
    pub fn new(level: u32, first: u64) -> Self {
        let zone = Zone {
            min_occurred: i64::MAX,
            max_occurred: i64::MIN,
            min_received: i64::MAX,
            max_received: i64::MIN,
        };
        Self { level, first, pairs: Vec::new(), zone, counts: HashMap::new() }
    }

    /// Adds an event of the segment.
    pub fn add(&mut self, position: u64, event: Columns) {
        let Ok(offset) = u32::try_from(position.saturating_sub(self.first)) else { return };
        terms_of(&event, |term| self.pairs.push((term, offset)));
        let zone = &mut self.zone;
        zone.min_occurred = zone.min_occurred.min(event.occurred_at);
        zone.max_occurred = zone.max_occurred.max(event.occurred_at);
        zone.min_received = zone.min_received.min(event.received_at);
        zone.max_received = zone.max_received.max(event.received_at);
        let key = CountKey {
            hour: event.occurred_at.div_euclid(HOUR),
            family: event.family,
            code: event.code,
            name: event.name,
            category: event.category,
            outcome: event.outcome,
            producer: event.producer,
        };
        *self.counts.entry(key).or_default() += 1;
    }

    /// What is to be stored.
    pub fn finish(mut self) -> Segment {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        let mut writer = RowWriter::new(self.level);
        let size = run::size(self.level);
        for postings in self.pairs.chunk_by(|left, right| left.0 == right.0) {
            writer.positions(postings[0].0, size, postings.iter().map(|(_, offset)| *offset), postings.len());
        }
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        // In the order of the stored key, which rows are cheapest to add in.
        counts.sort_unstable_by(|(left, _), (right, _)| {
            let key = |key: &CountKey| (key.hour, key.family);
            key(left).cmp(&key(right)).then_with(|| left.code.cmp(&right.code))
        });
        Segment { level: self.level, first: self.first, rows: writer.finish(), zone: self.zone, counts }
    }
}
