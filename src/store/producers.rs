//! What the store knows of producers: rows as it hands them out, and what an append writes to them. What
//! is counted and where there are gaps is decided in `ingest::producers`; `grpc::producer` shows it.
use std::collections::BTreeMap;

use super::{LogName, Producer};

/// One run of a producer's numbering, within a log.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EpochKey {
    pub producer: Producer,
    pub epoch: u64,
}

/// Numbers that follow one another, `from` and `to` included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    pub epoch: EpochKey,
    pub from: u64,
    pub to: u64,
}

/// What is known of an epoch. All numbers between the first and the last are seen or inside a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Epoch {
    pub first_sequence: u64,
    pub last_sequence: u64,
    /// Numbers that were seen, each counted once.
    pub seen: u64,
    /// Events whose number had been seen before.
    pub repeated: u64,
    pub gaps: u64,
    pub first_seen: i64,
    pub last_seen: i64,
}

impl Epoch {
    /// Numbers that lie between seen ones and were not seen.
    pub const fn missing(&self) -> u64 {
        (self.last_sequence - self.first_sequence).saturating_sub(self.seen.saturating_sub(1))
    }
}

/// Numbers that were not seen, `from` and `to` included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    pub from: u64,
    pub to: u64,
    /// When numbers on both sides of it had been seen.
    pub seen_at: i64,
}

/// An epoch as it lies in the store, with some of its gaps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEpoch {
    pub epoch: Epoch,
    /// By their first number.
    pub gaps: BTreeMap<u64, Gap>,
}

/// What one append adds to a producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerDelta {
    pub producer: Producer,
    /// When it was seen first and last; 0 when the append only took its events out of the quarantine.
    pub first_seen: i64,
    pub last_seen: i64,
    /// Position of its newest event, when the append stored any.
    pub last_position: Option<u64>,
    pub events: i64,
    /// Below zero when more of its events left the quarantine than came in.
    pub quarantined: i64,
}

/// What an append writes to the tables of producers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerWrites {
    /// One per producer.
    pub producers: Vec<ProducerDelta>,
    /// As they are afterwards; one per epoch.
    pub epochs: Vec<(EpochKey, Epoch)>,
    /// Gaps that are gone, by their first number; deleted before the others are inserted.
    pub closed: Vec<(EpochKey, u64)>,
    /// New gaps, and what is left of closed ones.
    pub gaps: Vec<(EpochKey, Gap)>,
}

/// Which producers, from where on.
pub struct ProducerPage<'a> {
    /// Of this log; of all logs when absent.
    pub log: Option<&'a LogName>,
    /// This one; all when absent.
    pub producer: Option<&'a Producer>,
    /// Last seen at this time or before.
    pub seen_until: Option<i64>,
    /// Only behind this log and producer.
    pub after: Option<(&'a str, &'a str)>,
    pub limit: u32,
}

/// A producer of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerRow {
    pub log: String,
    pub producer: String,
    pub first_seen: i64,
    pub last_seen: i64,
    pub last_position: Option<u64>,
    pub events: u64,
    pub quarantined: u64,
    pub gaps: u64,
    pub missing: u64,
}

/// An epoch of a producer, as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochRow {
    pub number: u64,
    pub epoch: Epoch,
}

/// A producer with its highest epochs, and with the highest gaps, each with its epoch's number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerDetail {
    pub row: ProducerRow,
    pub epochs: Vec<EpochRow>,
    pub gaps: Vec<(u64, Gap)>,
}

/// When producers were last seen, in whatever log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastSeen {
    /// Number of all producers.
    pub producers: u64,
    /// Names and times of those that were asked for.
    pub times: Vec<(String, i64)>,
}

/// Epochs that a producer is shown with.
pub(super) const MOST_EPOCHS: i64 = 100;
/// Gaps that a producer is shown with.
pub(super) const MOST_GAPS: i64 = 1000;

/// The page that holds one producer.
pub(super) const fn only<'a>(log: &'a LogName, producer: &'a Producer) -> ProducerPage<'a> {
    ProducerPage { log: Some(log), producer: Some(producer), seen_until: None, after: None, limit: 1 }
}
