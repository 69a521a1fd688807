//! Streams as a server might send them, and what is found in each.
use super::*;
use crate::verify::leaf_hash;

const SIZE: u64 = 3 * BLOCK + 1_000;

fn record(position: u64) -> Vec<u8> {
    position.to_be_bytes().to_vec()
}

fn take(rehash: &mut Rehash, position: u64, record: &[u8], leaf_hash: Hash) {
    let event = Arrived { record, beside: &[], withheld: false, position, leaf_hash };
    rehash.take(&event, &mut |position| {
        (position % 10 != 3).then(|| super::super::leaf_hash(&self::record(position)))
    });
}

fn plain(rehash: &mut Rehash, positions: Range<u64>) {
    for position in positions {
        let record = record(position);
        take(rehash, position, &record, leaf_hash(&record));
    }
}

#[test]
fn the_tree_is_that_of_its_records_at_every_mark_and_block() {
    let marks = [0, 1, 5_000, BLOCK, BLOCK + 1, SIZE - 1];
    let mut rehash = Rehash::new(Frontier::default(), marks);
    plain(&mut rehash, 0..SIZE);
    let leaves: Vec<Hash> = (0..SIZE).map(|position| leaf_hash(&record(position))).collect();
    let tree = |size: u64| Frontier::default().extended(&leaves[..usize::try_from(size).expect("a size")]);
    assert_eq!(rehash.head(), tree(SIZE).head());
    for mark in marks {
        assert_eq!(rehash.marked(mark), Some(tree(mark).root()), "{mark}");
    }
    for (size, block) in [(0, 0), (BLOCK - 1, 0), (BLOCK, BLOCK), (SIZE, 3 * BLOCK), (u64::MAX, 3 * BLOCK)] {
        assert_eq!(*rehash.block(size), tree(block), "{size}");
    }
    assert_eq!(rehash.findings(), (Vec::new(), None));
    // It goes on from any tree.
    let mut rest = Rehash::new(tree(70_000), [70_000]);
    plain(&mut rest, 70_000..SIZE);
    assert_eq!((rest.head(), rest.marked(70_000)), (rehash.head(), Some(tree(70_000).root())));
    assert_eq!((rest.block(70_001).size(), rest.block(SIZE).size()), (70_000, 3 * BLOCK));
}

#[test]
fn a_record_that_is_not_what_its_leaf_hash_says_is_told() {
    let mut rehash = Rehash::new(Frontier::default(), []);
    plain(&mut rehash, 0..7);
    take(&mut rehash, 7, b"altered", leaf_hash(&record(7)));
    plain(&mut rehash, 8..10);
    let (findings, more) = rehash.findings();
    assert_eq!((findings.len(), more), (1, None));
    assert_eq!((findings[0].verdict, &findings[0].positions), (Verdict::Tampered, &Some(7..8)));
}

#[test]
fn a_record_that_is_not_shown_is_never_valid_and_what_follows_is_checked() {
    let mut rehash = Rehash::new(Frontier::default(), []);
    plain(&mut rehash, 0..7);
    for position in [7, 8] {
        let leaf_hash = leaf_hash(&record(position));
        let event = Arrived { record: &[], beside: b"rest", withheld: true, position, leaf_hash };
        rehash.take(&event, &mut |_| None);
    }
    plain(&mut rehash, 9..20);
    let mut whole = Rehash::new(Frontier::default(), []);
    plain(&mut whole, 0..20);
    assert_eq!((rehash.head(), rehash.unseen()), (whole.head(), 2));
    let (findings, more) = rehash.findings();
    assert_eq!((findings.len(), more), (1, None));
    assert_eq!((findings[0].verdict, &findings[0].positions), (Verdict::Missing, &Some(7..9)));
    assert!(findings[0].evidence.starts_with("cannot be verified by this caller"), "{findings:?}");
    // However many there are.
    let mut rehash = Rehash::new(Frontier::default(), []);
    for position in 0..300 {
        match position % 2 {
            0 => plain(&mut rehash, position..position + 1),
            _ => {
                let event =
                    Arrived { record: &[], beside: &[], withheld: true, position, leaf_hash: [0; 32] };
                rehash.take(&event, &mut |_| None);
            }
        }
    }
    let (findings, more) = rehash.findings();
    assert!(findings.len() == 100 && more.is_some_and(|more| more.verdict == Verdict::Missing));
}

#[test]
fn what_is_missing_is_told_and_bridged_where_somebody_knows_the_leaf_hash() {
    let mut rehash = Rehash::new(Frontier::default(), []);
    plain(&mut rehash, 0..4);
    plain(&mut rehash, 6..20);
    let mut whole = Rehash::new(Frontier::default(), []);
    plain(&mut whole, 0..20);
    assert_eq!(rehash.head(), whole.head());
    // Nobody knows that of position 23: the tree ends there, the reading does not.
    plain(&mut rehash, 24..30);
    take(&mut rehash, 30, b"altered", leaf_hash(&record(30)));
    let (findings, _) = rehash.findings();
    let found: Vec<_> = findings.iter().map(|each| (each.verdict, each.positions.clone())).collect();
    let expected =
        [(Verdict::Missing, Some(4..6)), (Verdict::Missing, Some(20..24)), (Verdict::Tampered, Some(30..31))];
    assert_eq!(found, expected);
    assert_eq!((rehash.head().size, rehash.next()), (23, 31));
}

#[test]
fn a_position_that_comes_again_is_told() {
    let mut rehash = Rehash::new(Frontier::default(), []);
    plain(&mut rehash, 0..5);
    plain(&mut rehash, 2..3);
    let (findings, _) = rehash.findings();
    assert_eq!((findings[0].verdict, &findings[0].positions), (Verdict::Tampered, &Some(2..3)));
    assert_eq!(rehash.head().size, 5);
}

#[test]
fn findings_are_bounded_and_counted() {
    let mut rehash = Rehash::new(Frontier::default(), []);
    for position in 0..150 {
        plain(&mut rehash, 2 * position..2 * position + 1);
    }
    // The only grave one comes when no more are kept.
    take(&mut rehash, 299, b"altered", [0; 32]);
    let (findings, more) = rehash.findings();
    assert!(findings.len() == 100 && findings.iter().all(|each| each.verdict == Verdict::Missing));
    assert_eq!(more.map(|more| more.verdict), Some(Verdict::Tampered));
}

#[test]
fn the_search_finds_every_first_position() {
    for size in [1, 2, 3, 100, BLOCK, BLOCK + 1, 5 * BLOCK + 7] {
        for first in [0, 1, size / 3, size / 2, BLOCK - 1, BLOCK, BLOCK + 1, size.saturating_sub(2), size - 1]
        {
            if first >= size {
                continue;
            }
            let mut search = Search::new(0, size);
            let mut asked = 0;
            while let Some(middle) = search.size() {
                asked += 1;
                search.tell(middle, middle <= first);
            }
            assert_eq!(search.positions(), first..first + 1, "{first} of {size}");
            assert!(asked <= 24, "{asked} for {first} of {size}");
        }
    }
}

#[test]
fn a_search_takes_what_it_is_told_of_other_sizes() {
    let mut search = Search::new(0, 1_000);
    search.tell(600, true);
    search.tell(300, false);
    search.tell(900, false);
    search.tell(950, true);
    search.tell(2_000, false);
    assert_eq!(search.positions(), 899..900);
    assert_eq!(search.size(), None);
}
