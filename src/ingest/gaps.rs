//! The numbers of one epoch of one producer. They are a set: those between the lowest and the highest that
//! were not seen are its gaps. So the order in which they arrive decides nothing, and a late event closes its
//! gap: reordering is no loss. Pure. Called by: `producers`.
use std::mem;

use crate::store::{Epoch, Gap, StoredEpoch};

/// A number, and when its event was received.
pub type Seen = (u64, i64);

/// Time of a number that was seen before: earlier than that of any other.
const BEFORE: i64 = i64::MIN;

/// What became of a producer's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sequences {
    /// Gaps that opened, and the numbers in them.
    pub gaps: u64,
    pub missing: u64,
    /// Numbers of known gaps that arrived after all.
    pub late: u64,
}

/// What a group makes of one epoch.
pub struct Tracked {
    pub epoch: Epoch,
    /// First numbers of the gaps that numbers arrived for.
    pub closed: Vec<u64>,
    /// New gaps, and what is left of closed ones.
    pub gaps: Vec<Gap>,
    pub sequences: Sequences,
}

/// Adds numbers to an epoch; none changes nothing. `stored` has the gaps that hold any of them.
pub fn track(stored: Option<StoredEpoch>, mut numbers: Vec<Seen>) -> Option<Tracked> {
    numbers.sort_unstable();
    let sent = numbers.len() as u64;
    let first_seen = numbers.iter().map(|&(_, at)| at).min()?;
    let last_seen = numbers.iter().map(|&(_, at)| at).max()?;
    numbers.dedup_by_key(|&mut (number, _)| number);
    let Some(StoredEpoch { epoch, gaps: touched }) = stored else {
        let gaps: Vec<_> = between(&numbers).collect();
        let epoch = Epoch {
            first_sequence: numbers.first()?.0,
            last_sequence: numbers.last()?.0,
            seen: numbers.len() as u64,
            repeated: sent - numbers.len() as u64,
            gaps: gaps.len() as u64,
            first_seen,
            last_seen,
        };
        let sequences = Sequences { gaps: epoch.gaps, missing: epoch.missing(), late: 0 };
        return Some(Tracked { epoch, closed: Vec::new(), gaps, sequences });
    };
    // Below the epoch as it was, inside it, above it.
    let (first, last) = (epoch.first_sequence, epoch.last_sequence);
    let above = numbers.split_off(numbers.partition_point(|&(number, _)| number <= last));
    let inside = numbers.split_off(numbers.partition_point(|&(number, _)| number < first));
    let below = mem::take(&mut numbers);
    let chain = |parts: [&[Seen]; 2]| between(&parts.concat()).collect::<Vec<_>>();
    let mut gaps = chain([&below, &[(first, BEFORE)]]);
    gaps.extend(chain([&[(last, BEFORE)], &above]));
    let opened = gaps.len() as u64;
    let missing = gaps.iter().map(|gap| gap.to - gap.from + 1).fold(0, u64::saturating_add);
    let (mut closed, mut late) = (Vec::new(), 0);
    for gap in touched.into_values() {
        let start = inside.partition_point(|&(number, _)| number < gap.from);
        let end = inside.partition_point(|&(number, _)| number <= gap.to);
        let arrived = &inside[start..end];
        if !arrived.is_empty() {
            late += arrived.len() as u64;
            closed.push(gap.from);
            gaps.extend(left_of(&gap, arrived));
        }
    }
    let fresh = (below.len() + above.len()) as u64 + late;
    let epoch = Epoch {
        first_sequence: below.first().map_or(first, |&(number, _)| number),
        last_sequence: above.last().map_or(last, |&(number, _)| number),
        seen: epoch.seen + fresh,
        repeated: epoch.repeated + (sent - fresh),
        gaps: (epoch.gaps + gaps.len() as u64).saturating_sub(closed.len() as u64),
        first_seen: epoch.first_seen.min(first_seen),
        last_seen: epoch.last_seen.max(last_seen),
    };
    Some(Tracked { epoch, closed, gaps, sequences: Sequences { gaps: opened, missing, late } })
}

/// The gaps between numbers that were seen, in ascending order.
fn between(numbers: &[Seen]) -> impl Iterator<Item = Gap> {
    let pairs = numbers.windows(2).filter(|pair| pair[1].0 - pair[0].0 > 1);
    pairs.map(|pair| Gap { from: pair[0].0 + 1, to: pair[1].0 - 1, seen_at: pair[0].1.max(pair[1].1) })
}

/// What is left of a gap when these of its numbers have arrived, in ascending order.
fn left_of(gap: &Gap, arrived: &[Seen]) -> Vec<Gap> {
    let mut left = Vec::new();
    let mut from = gap.from;
    for &(number, _) in arrived {
        if number > from {
            left.push(Gap { from, to: number - 1, ..*gap });
        }
        from = number + 1;
    }
    if from <= gap.to {
        left.push(Gap { from, ..*gap });
    }
    left
}
