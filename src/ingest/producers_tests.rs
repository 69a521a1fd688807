//! Random numbers against a model that only keeps what was seen: gaps are the numbers between the lowest
//! and the highest that are not in it, in whatever order they came and however they were grouped.
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::store::{Epoch, Gap};

/// The table of gaps and epochs, read as the stores read it.
#[derive(Default)]
struct Table {
    epochs: HashMap<EpochKey, Epoch>,
    gaps: BTreeMap<(EpochKey, u64), Gap>,
}

impl Table {
    fn read(&self, runs: &[Run]) -> HashMap<EpochKey, StoredEpoch> {
        let mut read = HashMap::new();
        for run in runs {
            let Some(epoch) = self.epochs.get(&run.epoch) else { continue };
            let stored = read
                .entry(run.epoch.clone())
                .or_insert_with(|| StoredEpoch { epoch: epoch.clone(), gaps: BTreeMap::new() });
            for ((key, from), gap) in &self.gaps {
                let overlaps = *from <= run.to && gap.to >= run.from;
                if *key == run.epoch && overlaps {
                    stored.gaps.insert(*from, gap.clone());
                }
            }
        }
        read
    }

    fn write(&mut self, writes: ProducerWrites) {
        self.epochs.extend(writes.epochs);
        for (key, from) in writes.closed {
            assert!(self.gaps.remove(&(key, from)).is_some(), "a gap is closed that is not there");
        }
        for (key, gap) in writes.gaps {
            assert!(gap.from <= gap.to);
            assert!(self.gaps.insert((key, gap.from), gap).is_none(), "a gap stands there twice");
        }
    }

    fn see(&mut self, numbers: &[(u64, u64)], at: i64) -> Vec<Noted> {
        let producer = producer();
        let mut group = Group::default();
        for &(epoch, number) in numbers {
            group.see(&producer, at, Some(Sequence { epoch, number }));
        }
        let read = self.read(&group.runs());
        let (writes, noted) = group.writes(read);
        self.write(writes);
        noted
    }

    /// First and last number and time of the gaps of an epoch.
    fn gaps(&self, epoch: u64) -> Vec<(u64, u64, i64)> {
        let of = self.gaps.iter().filter(|((key, _), _)| key.epoch == epoch);
        of.map(|(_, gap)| (gap.from, gap.to, gap.seen_at)).collect()
    }
}

fn producer() -> Producer {
    Producer::parse("one").expect("a name")
}

fn key(epoch: u64) -> EpochKey {
    EpochKey { producer: producer(), epoch }
}

#[test]
fn a_gap_opens_shrinks_splits_and_closes() {
    let mut table = Table::default();
    assert_eq!(table.see(&[(0, 10), (0, 11)], 1)[0].sequences, Sequences::default());
    let opened = table.see(&[(0, 20)], 2)[0].sequences;
    assert_eq!(opened, Sequences { gaps: 1, missing: 8, late: 0 });
    assert_eq!(table.gaps(0), [(12, 19, 2)]);
    table.see(&[(0, 12)], 3);
    assert_eq!(table.gaps(0), [(13, 19, 2)]);
    table.see(&[(0, 16), (0, 19)], 4);
    assert_eq!(table.gaps(0), [(13, 15, 2), (17, 18, 2)]);
    let late = table.see(&[(0, 13), (0, 14), (0, 15), (0, 17), (0, 18), (0, 18), (0, 20)], 5)[0].sequences;
    assert_eq!(late, Sequences { gaps: 0, missing: 0, late: 5 });
    assert_eq!(table.gaps(0), []);
    let epoch = &table.epochs[&key(0)];
    assert_eq!((epoch.seen, epoch.repeated, epoch.gaps, epoch.missing()), (11, 2, 0, 0));
    assert_eq!((epoch.first_seen, epoch.last_seen), (1, 5));
    // The first number of another epoch opens none.
    table.see(&[(1, 500)], 6);
    assert_eq!((table.gaps(1), table.gaps.len()), (Vec::new(), 0));
}

#[test]
fn the_largest_numbers_are_counted_too() {
    const MOST: u64 = i64::MAX as u64;
    let mut table = Table::default();
    table.see(&[(MOST, 0)], 1);
    table.see(&[(MOST, MOST)], 2);
    assert_eq!(table.gaps(MOST), [(1, MOST - 1, 2)]);
    assert_eq!(table.epochs[&key(MOST)].missing(), MOST - 1);
}

#[test]
fn a_dense_group_is_one_run_and_runs_are_no_longer_than_their_numbers() {
    let producer = producer();
    let mut group = Group::default();
    for number in [5, 3, 4, 4, 900, 6] {
        group.see(&producer, 1, Some(Sequence { epoch: 0, number }));
    }
    let runs: Vec<_> = group.runs().into_iter().map(|run| (run.from, run.to)).collect();
    assert_eq!(runs, [(3, 6), (900, 900)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn gaps_are_what_was_not_seen(
        groups in prop::collection::vec(prop::collection::vec((0..2_u64, 0..40_u64), 1..12), 1..12)
    ) {
        let mut table = Table::default();
        let mut seen: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let mut sent: BTreeMap<u64, u64> = BTreeMap::new();
        // When each missing number was found missing.
        let mut missing: BTreeMap<(u64, u64), i64> = BTreeMap::new();
        let (mut opened, mut late) = (0, 0);
        for (at, group) in (1..).zip(&groups) {
            for noted in table.see(group, at) {
                opened += noted.sequences.missing;
                late += noted.sequences.late;
            }
            for &(epoch, number) in group {
                seen.entry(epoch).or_default().insert(number);
                *sent.entry(epoch).or_default() += 1;
            }
            for (epoch, seen) in &seen {
                let (first, last) = (*seen.first().expect("one"), *seen.last().expect("one"));
                for number in first..=last {
                    match seen.contains(&number) {
                        true => drop(missing.remove(&(*epoch, number))),
                        false => drop(missing.entry((*epoch, number)).or_insert(at)),
                    }
                }
                let row = &table.epochs[&key(*epoch)];
                prop_assert_eq!((row.first_sequence, row.last_sequence), (first, last));
                prop_assert_eq!(row.seen, seen.len() as u64);
                prop_assert_eq!(row.repeated, sent[epoch] - row.seen);
                prop_assert_eq!(row.gaps, table.gaps(*epoch).len() as u64);
                let lacking = missing.keys().filter(|(of, _)| of == epoch).count();
                prop_assert_eq!(row.missing(), lacking as u64);
                // No two gaps touch, so that one loss is one gap.
                let gaps = table.gaps(*epoch);
                prop_assert!(gaps.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", gaps);
            }
            let told: BTreeMap<_, _> = table
                .gaps
                .iter()
                .flat_map(|((key, _), gap)| (gap.from..=gap.to).map(|each| ((key.epoch, each), gap.seen_at)))
                .collect();
            prop_assert_eq!(&told, &missing);
            prop_assert_eq!(opened - late, missing.len() as u64);
        }
    }
}
