//! What is found in a run is what the events have, in a segment and after merges, and no bytes whatever
//! do more than fail.
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    event::Columns,
    index::{
        chores::{Chore, Run, RunId, State, next},
        segment::Collector,
        terms::terms_of,
    },
};

const SHAPE: crate::index::Shape = crate::index::Shape { segment: 7, fan_out: 2, top: 11 };

/// Few values, some rare and some that nearly every event has.
fn event() -> impl Strategy<Value = Columns> {
    (0_u32..40, 0_u32..400, 0_i32..3, prop::bool::weighted(0.9)).prop_map(
        |(actor, device, family, common)| Columns {
            family,
            code: if common { "common".to_owned() } else { format!("code-{actor}") },
            actor: format!("actor-{actor}"),
            device: if device < 100 { String::new() } else { format!("device-{device}") },
            attributes: format!("\u{fdd0}a\u{fdd1}{actor}\u{fdd0}a\u{fdd1}{device}\u{fdd0}"),
            ..Columns::default()
        },
    )
}

fn segment(events: &[Columns], first: u64) -> Vec<Row> {
    let mut collector = Collector::new(SHAPE.segment, first);
    for (at, event) in events.iter().enumerate() {
        collector.add(first + at as u64, event.clone());
    }
    collector.finish().rows
}

/// The offsets of every term, one event after the other.
fn by_hand(events: &[Columns]) -> BTreeMap<Term, BTreeSet<u32>> {
    let mut found: BTreeMap<Term, BTreeSet<u32>> = BTreeMap::new();
    for (event, offset) in events.iter().zip(0..) {
        terms_of(event, |term| {
            found.entry(term).or_default().insert(offset);
        });
    }
    found
}

/// Nothing is missing; beyond that only whole segments in which the term is common.
fn assert_found(level: u32, rows: &[Row], events: &[Columns]) {
    assert!(rows.is_sorted_by_key(|row| row.key), "rows in the order of their keys");
    let common = usize::try_from(SHAPE.segment_size()).expect("small") / COMMON;
    for (term, offsets) in by_hand(events) {
        let keys = keys(level, term);
        let found = find(level, term, rows.iter().filter(|row| keys.contains(&row.key))).expect("postings");
        assert!(offsets.iter().all(|offset| found.contains(*offset)), "{term:?}");
        for (number, segment) in events.chunks(1 << SHAPE.segment).enumerate() {
            let base = u32::try_from(number << SHAPE.segment).expect("small");
            let here = offsets.range(base..base + (1 << SHAPE.segment)).count();
            let expected = if here > common { 1 << SHAPE.segment } else { here as u64 };
            assert_eq!(
                found.range_cardinality(base..base + (1 << SHAPE.segment)),
                expected,
                "{term:?} {}",
                segment.len()
            );
        }
    }
    let absent = Term(12_345);
    assert!(find(level, absent, rows).expect("postings").is_empty());
}

/// Merges, slice by slice, by the steps that `chores` decides.
fn merged(children: &[Vec<Row>]) -> Vec<Row> {
    let child = SHAPE.segment;
    let mut runs: Vec<Run> = (0..children.len() as u64)
        .map(|number| Run {
            id: RunId { level: child, first: number << child },
            state: State::Live,
            progress: 0,
        })
        .collect();
    let mut rows = Vec::new();
    while let Some(Chore::Merge { parent, child_level, buckets, last, .. }) = next(SHAPE, &runs) {
        let (low, high) = terms(child_level, &buckets);
        let inside = |row: &&Row| match row.key.kind {
            Kind::Bucket => buckets.contains(&row.key.key),
            Kind::Term => (low..=high).contains(&row.key.key),
        };
        let slices: Vec<(u32, Vec<Row>)> = (0..)
            .zip(children)
            .map(|(number, rows)| (number, rows.iter().filter(inside).cloned().collect()))
            .collect();
        rows.extend(merge(parent.level, child_level, &slices).expect("rows"));
        runs.retain(|run| run.state == State::Live);
        runs.push(Run { id: parent, state: State::Building, progress: buckets.end });
        if last {
            break;
        }
    }
    rows.sort_by_key(|row| row.key);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_segment_finds_what_its_events_have(events in prop::collection::vec(event(), 0..128)) {
        assert_found(SHAPE.segment, &segment(&events, 256), &events);
    }

    #[test]
    fn merged_runs_find_what_their_events_have(events in prop::collection::vec(event(), 512)) {
        let children: Vec<_> =
            (0..).zip(events.chunks(128)).map(|(number, chunk)| segment(chunk, number << 7)).collect();
        let rows = merged(&children);
        let keys: BTreeSet<_> = rows.iter().map(|row| row.key).collect();
        prop_assert_eq!(keys.len(), rows.len(), "a key that comes twice");
        assert_found(SHAPE.segment + SHAPE.fan_out, &rows, &events);
    }

    #[test]
    fn whatever_bytes_are_read_to_an_end(
        data in prop::collection::vec(any::<u8>(), 0..300),
        key in any::<u64>(), alone in any::<bool>(), level in 0_u32..23, term in 0_u64..1 << 63,
    ) {
        let kind = if alone { Kind::Term } else { Kind::Bucket };
        let row = Row::sealed(Key { kind, key: if alone { key } else { key % buckets(level) } }, data);
        let entries: Vec<_> = Entries::new(level, &row).collect();
        prop_assert!(entries.len() <= row.data.len() + 1);
        let _ = find(level, Term(term), [&row]);
        let _ = merge(level + 4, level, &[(0, vec![row.clone()]), (15, vec![row])]);
    }

    /// A posting that is damaged and still reads would hide an event.
    #[test]
    fn a_row_that_has_changed_or_moved_is_noticed(
        events in prop::collection::vec(event(), 128), at in any::<usize>(), bit in 0_u8..8,
    ) {
        let rows = segment(&events, 0);
        let row = &rows[at % rows.len()];
        prop_assert!(Entries::new(SHAPE.segment, row).all(|entry| entry.is_ok()));
        let mut changed = row.clone();
        let byte = at % changed.data.len();
        changed.data[byte] ^= 1 << bit;
        let mut shorter = row.clone();
        shorter.data.pop();
        let mut moved = row.clone();
        moved.key.key ^= 1;
        for damaged in [changed, shorter, moved] {
            let entries: Vec<_> = Entries::new(SHAPE.segment, &damaged).collect();
            prop_assert!(entries.len() == 1 && entries[0].is_err(), "{entries:?}");
            let term = Term(match damaged.key.kind {
                Kind::Term => damaged.key.key,
                Kind::Bucket => terms(SHAPE.segment, &(damaged.key.key..damaged.key.key + 1)).0,
            });
            prop_assert!(find(SHAPE.segment, term, [&damaged]).is_err());
        }
    }
}

#[test]
fn a_long_term_has_a_row_of_its_own() {
    let level = 18;
    let mut writer = RowWriter::new(level);
    writer.positions(Term(5), size(level), (0..3000).map(|number| number * 80), 3000);
    writer.positions(Term(6), size(level), [7].into_iter(), 1);
    let rows = writer.finish();
    assert_eq!(rows.iter().map(|row| row.key.kind).collect::<Vec<_>>(), [Kind::Bucket, Kind::Term]);
    assert_eq!(find(level, Term(5), &rows).expect("postings").len(), 3000);
    assert_eq!(find(level, Term(6), &rows).expect("postings").iter().collect::<Vec<_>>(), [7]);
    // The term's own row is outside of the bucket of all others.
    assert_eq!(rows[1].key.key, 5);
}
