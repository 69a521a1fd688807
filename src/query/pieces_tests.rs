//! Pieces hold every candidate of their range, in order, and scan only where candidates are dense.
use proptest::prelude::*;

use super::*;

fn run(level: u32, number: u64) -> RunId {
    RunId { level, first: number << level }
}

proptest! {
    #[test]
    fn pieces_hold_every_candidate_and_nothing_thin_is_scanned(
        sparse in prop::collection::btree_set(0_u32..100_000, 0..60),
        dense in (0_u32..90_000, 0_u32..4000),
        range in (0_u64..100_000, 0_u64..100_000),
    ) {
        let base = 1 << 20;
        let mut candidates: RoaringBitmap = sparse.into_iter().collect();
        candidates.insert_range(dense.0..dense.0 + dense.1);
        let range = base + range.0.min(range.1)..base + range.0.max(range.1);
        let mut pieces = Vec::new();
        cut(base, &candidates, &range, &mut pieces);
        let mut at = range.start;
        let mut found = RoaringBitmap::new();
        for piece in joined(pieces) {
            match piece {
                Piece::Scan(scanned) => {
                    prop_assert!(scanned.start >= at && scanned.end <= range.end);
                    at = scanned.end;
                    let inside: RoaringBitmap =
                        candidates.range((scanned.start - base) as u32..(scanned.end - base) as u32).collect();
                    prop_assert!(inside.len() * DENSE >= (scanned.end - scanned.start).min(DENSE));
                    found |= inside;
                }
                Piece::Look { base: from, candidates: some } => {
                    prop_assert_eq!(from, base);
                    prop_assert!(!some.is_empty());
                    prop_assert!(base + u64::from(some.min().unwrap_or_default()) >= at);
                    at = base + u64::from(some.max().unwrap_or_default()) + 1;
                    prop_assert!(some.is_subset(&candidates) && at <= range.end);
                    found |= some;
                }
            }
        }
        let expected: RoaringBitmap =
            candidates.range((range.start - base) as u32..(range.end - base) as u32).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn parts_lie_side_by_side(missing in prop::collection::btree_set(0_u64..20, 0..20), from in 0_u64..400, to in 0_u64..400) {
        let runs: Vec<RunId> = (0..20).filter(|number| !missing.contains(number)).map(|number| run(4, number)).collect();
        let parts = parts(&(from..to), &runs);
        let mut at = from;
        for part in &parts {
            prop_assert_eq!(part.range.start, at);
            prop_assert!(!part.range.is_empty());
            at = part.range.end;
            for position in part.range.clone() {
                let covered = position < 320 && !missing.contains(&(position >> 4));
                prop_assert_eq!(part.run, covered.then(|| run(4, position >> 4)));
            }
        }
        prop_assert_eq!(at, to.max(from));
        if from < to {
            prop_assert_eq!(covered(&parts), from..to);
        }
    }
}

#[test]
fn ranges_are_cut_to_what_they_have_in_common() {
    let ranges = [0..4, 4..8, 12..16, 20..24];
    let common = |with: Range<u64>| overlap(&ranges, &with).collect::<Vec<_>>();
    assert_eq!(common(5..21), [5..8, 12..16, 20..21]);
    assert_eq!(common(8..12), []);
    assert_eq!(common(3..5), [3..4, 4..5]);
    assert_eq!(common(24..30), []);
}
