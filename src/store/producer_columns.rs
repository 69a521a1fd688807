//! Rows of the tables of producers from their columns, which both databases read alike.
use std::collections::{BTreeMap, HashMap};

use super::{
    StoreError, broken, from_sql,
    producers::{Epoch, EpochKey, Gap, ProducerRow, Run, StoredEpoch},
};

/// The numbers of a row, which both databases read alike.
pub(super) type Numbers<const N: usize> = [Option<i64>; N];

fn number(value: Option<i64>) -> Result<i64, StoreError> {
    value.ok_or_else(|| broken("no number where there must be one"))
}

fn natural(value: Option<i64>) -> Result<u64, StoreError> {
    from_sql(number(value)?)
}

/// An epoch of its seven columns.
pub(super) fn epoch(columns: Numbers<7>) -> Result<Epoch, StoreError> {
    let [first_sequence, last_sequence, seen, repeated, gaps, first_seen, last_seen] = columns;
    Ok(Epoch {
        first_sequence: natural(first_sequence)?,
        last_sequence: natural(last_sequence)?,
        seen: natural(seen)?,
        repeated: natural(repeated)?,
        gaps: natural(gaps)?,
        first_seen: number(first_seen)?,
        last_seen: number(last_seen)?,
    })
}

/// A gap of its three columns.
pub(super) fn gap(columns: Numbers<3>) -> Result<Gap, StoreError> {
    let [from, to, seen_at] = columns;
    Ok(Gap { from: natural(from)?, to: natural(to)?, seen_at: number(seen_at)? })
}

/// Adds what was found for a run: its epoch, and a gap that it overlaps, if any. A gap may overlap several.
pub(super) fn add(
    found: &mut HashMap<EpochKey, StoredEpoch>,
    run: &Run,
    columns: Numbers<10>,
) -> Result<(), StoreError> {
    let [a, b, c, d, e, f, g, from, to, seen_at] = columns;
    let epoch = epoch([a, b, c, d, e, f, g])?;
    let empty = || StoredEpoch { epoch, gaps: BTreeMap::new() };
    let stored = found.entry(run.epoch.clone()).or_insert_with(empty);
    if from.is_some() {
        let gap = gap([from, to, seen_at])?;
        stored.gaps.insert(gap.from, gap);
    }
    Ok(())
}

/// A producer of its names and eight numbers, the last two of which are its missing numbers: whole multiples
/// of 2^32, and the rest. Their sum can exceed what either database adds up in 64 bits, because a producer
/// may number its events as it likes.
pub(super) fn producer(
    log: String,
    producer: String,
    columns: Numbers<8>,
) -> Result<ProducerRow, StoreError> {
    let [first_seen, last_seen, last_position, events, quarantined, gaps, high, low] = columns;
    let missing = (i128::from(number(high)?) << 32) + i128::from(number(low)?);
    Ok(ProducerRow {
        log,
        producer,
        first_seen: number(first_seen)?,
        last_seen: number(last_seen)?,
        last_position: last_position.map(from_sql).transpose()?,
        events: natural(events)?,
        // Below zero when a program of an older schema kept an event without counting it.
        quarantined: natural(quarantined.map(|number| number.max(0)))?,
        gaps: natural(gaps)?,
        missing: u64::try_from(missing).unwrap_or(u64::MAX),
    })
}
