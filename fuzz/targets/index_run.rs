//! Rows of the index: any bytes as a row of any run. What is damaged is told, what is read lies within the run,
//! and what is merged reads the same.
use chancery::index::{
    Row, Term, postings,
    run::{self, Entries, Key, Kind},
};

/// Levels of runs, and that of the run that one of them is merged into.
const LEVELS: [(u32, u32); 2] = [(14, 18), (18, 22)];

/// A choice, a key, and the row's data.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let Some((key, data)) = rest.split_first_chunk() else { return };
    let (level, parent) = LEVELS[usize::from(choice & 1)];
    let kind = if choice & 2 == 0 { Kind::Bucket } else { Kind::Term };
    let key = match kind {
        Kind::Bucket => u64::from_be_bytes(*key) % run::buckets(level),
        // Terms have 63 bits.
        Kind::Term => u64::from_be_bytes(*key) >> 1,
    };
    let row = Row::sealed(Key { kind, key }, data.to_vec());
    let size = 1 << level;
    let mut last = None;
    let mut whole = true;
    for entry in Entries::new(level, &row) {
        let Ok((term, bytes)) = entry else {
            whole = false;
            break;
        };
        assert!(last < Some(term), "terms ascend");
        last = Some(term);
        assert!(run::keys(level, term).contains(&row.key), "a term lies in its row");
        let read = postings::bitmap(bytes, size);
        whole &= read.is_ok();
        if let Ok(offsets) = read {
            assert!(offsets.max().is_none_or(|offset| offset < size), "an offset lies in its run");
            let found = run::find(level, term, [&row]).expect("a row that was read");
            assert_eq!(found, offsets);
        }
    }
    let number = u32::from(choice >> 4);
    let merged = run::merge(parent, level, &[(number, vec![row.clone()])]);
    let Ok(rows) = merged else {
        assert!(!whole, "a row that reads is merged");
        return;
    };
    for entry in Entries::new(level, &row) {
        let Ok((term, bytes)) = entry else { return };
        let Ok(offsets) = postings::bitmap(bytes, size) else { return };
        let moved = run::find(parent, term, &rows).expect("what was merged");
        assert!(offsets.iter().map(|offset| offset + number * size).eq(moved.iter()), "{term:?}");
    }
    let nobody = Term(u64::MAX >> 1);
    assert!(last == Some(nobody) || run::find(parent, nobody, &rows).is_ok_and(|found| found.is_empty()));
}
