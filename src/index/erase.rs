//! Takes positions out of stored rows: what was erased must not be found in the index either, because a term is
//! an unsalted hash of a value, by which a guess could be confirmed.
//!
//! A run is rewritten a bucket at a time: the row of the bucket with the rows of those of its terms that have one of
//! their own. Caller: `ingest::erasure`, under the lock that keeps the builder of the index away.
use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;

use super::{
    Damaged, Key, Kind, Row, Term, postings,
    postings::Postings,
    run::{Entries, RowWriter, bucket, size},
};

/// What is to leave one run: per term the offsets of its positions.
pub type Leaving = BTreeMap<Term, RoaringBitmap>;

/// The keys of the rows that hold these terms of a run, bucket by bucket.
pub fn keys(level: u32, leaving: &Leaving) -> Vec<Vec<Key>> {
    let terms: Vec<Term> = leaving.keys().copied().collect();
    let same = terms.chunk_by(|left, right| bucket(level, *left) == bucket(level, *right));
    let keys = same.map(|terms| {
        let bucket = terms.iter().take(1).map(|term| Key { kind: Kind::Bucket, key: bucket(level, *term) });
        bucket.chain(terms.iter().map(|term| Key { kind: Kind::Term, key: term.0 })).collect()
    });
    keys.collect()
}

/// The offsets that are left of each leaving term after what leaves is gone. A term without any is not there.
///
/// # Errors
/// A row is damaged.
pub fn left(level: u32, rows: &[Row], leaving: &Leaving) -> Result<BTreeMap<Term, RoaringBitmap>, Damaged> {
    let mut left = BTreeMap::new();
    for row in rows {
        for entry in Entries::new(level, row) {
            let (term, bytes) = entry?;
            if let Some(gone) = leaving.get(&term) {
                let offsets = postings::bitmap(bytes, size(level))? - gone;
                if !offsets.is_empty() {
                    left.insert(term, offsets);
                }
            }
        }
    }
    Ok(left)
}

/// The rows of one bucket anew: `left` of the leaving terms, but for those that no event has any more, and all others
/// as they are.
///
/// # Errors
/// A row is damaged.
pub fn rewritten(
    level: u32,
    rows: &[Row],
    leaving: &Leaving,
    left: &BTreeMap<Term, RoaringBitmap>,
    nobodys: &BTreeSet<Term>,
) -> Result<Vec<Row>, Damaged> {
    let mut terms: Vec<(Term, Vec<u8>)> = Vec::new();
    for row in rows {
        for entry in Entries::new(level, row) {
            let (term, bytes) = entry?;
            if !leaving.contains_key(&term) {
                terms.push((term, bytes.to_vec()));
            } else if let Some(offsets) = left.get(&term).filter(|_| !nobodys.contains(&term)) {
                let mut postings = Postings::default();
                offsets.iter().for_each(|offset| postings.push(offset..offset.saturating_add(1)));
                terms.push((term, postings.finish()));
            }
        }
    }
    terms.sort_unstable_by_key(|(term, _)| *term);
    let mut writer = RowWriter::new(level);
    for (term, postings) in terms {
        writer.term(term, postings);
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::run::find;

    const LEVEL: u32 = 14;

    fn rows(terms: &[(Term, Vec<u32>)]) -> Vec<Row> {
        let mut writer = RowWriter::new(LEVEL);
        for (term, offsets) in terms {
            writer.positions(*term, size(LEVEL), offsets.iter().copied(), offsets.len());
        }
        writer.finish()
    }

    /// Terms that share a bucket, one of them so long that it has a row of its own, and one so common that all of the
    /// run stands for it.
    #[test]
    fn what_leaves_is_gone_and_nothing_else_moves() {
        let (rare, long, common, other) = (Term(1), Term(2), Term(3), Term(4));
        // Below the number at which all of the run stands for a term, and of more bytes than fit into a bucket.
        let near = (0..1900).map(|number| number * 2);
        let sparse: Vec<u32> = near.chain((0..140).map(|number| 3900 + number * 70)).collect();
        let all: Vec<u32> = (0..4000).collect();
        let rows = rows(&[(rare, vec![5, 9]), (long, sparse.clone()), (common, all), (other, vec![5])]);
        assert_eq!(rows.len(), 2, "a bucket, and a row of one term");
        let gone = |offsets: &[u32]| offsets.iter().copied().collect::<RoaringBitmap>();
        let leaving = Leaving::from([
            (rare, gone(&[5, 9])),
            (long, gone(&[0])),
            (common, gone(&[5])),
            (Term(77), gone(&[1])),
        ]);
        let keys = keys(LEVEL, &leaving);
        assert_eq!(keys.len(), 1);
        assert!(rows.iter().all(|row| keys[0].contains(&row.key)));
        let left = left(LEVEL, &rows, &leaving).expect("rows");
        assert_eq!(left.keys().collect::<Vec<_>>(), [&long, &common]);
        let new = rewritten(LEVEL, &rows, &leaving, &left, &BTreeSet::from([common])).expect("rows");
        let found = |term| find(LEVEL, term, &new).expect("postings");
        assert!(found(rare).is_empty() && found(common).is_empty());
        assert_eq!(found(long), gone(&sparse[1..]));
        assert_eq!(found(other), gone(&[5]));
        let kept = rewritten(LEVEL, &rows, &leaving, &left, &BTreeSet::new()).expect("rows");
        let common = find(LEVEL, common, &kept).expect("postings");
        assert!(!common.contains(5) && common.len() == u64::from(size(LEVEL)) - 1);
        // Nothing is left of a bucket of which everything leaves.
        let everything = Leaving::from([rare, long, Term(3), other].map(|term| (term, gone(&[]))));
        let none = rewritten(LEVEL, &rows, &everything, &BTreeMap::new(), &BTreeSet::new()).expect("rows");
        assert!(none.is_empty());
    }
}
