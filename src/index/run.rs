//! The rows of a run: its terms with their postings, in rows that are large enough to be worth one and
//! small enough to be read for one term.
//!
//! Terms share a *bucket* row by their highest bits. A term whose postings are long has a row of its own,
//! so that it does not weigh on its neighbours.
use std::ops::Range;

use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    Damaged, Term,
    postings::{self, Postings, Ranges, put, take},
    terms::TERM_BITS,
};

/// Bytes of postings above which a term has a row of its own.
const LONG: usize = 2048;
/// A term of more than one event in this many of a segment is stored as all of the segment: reading its
/// events one by one would not be faster than reading through, and its postings take a few bytes.
const COMMON: usize = 8;
/// Positions of a run for each bucket, as a power of two. 16,384 events with some 5 rare terms of some 11
/// bytes each make 512 buckets of 1.8 KB.
const BUCKET_LEVEL: u32 = 5;

/// What a row holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Terms that begin with the same bits.
    Bucket = 0,
    /// One term.
    Term = 1,
}

/// A row's place in its run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    pub kind: Kind,
    /// Number of the bucket, or the term.
    pub key: u64,
}

/// A row of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub key: Key,
    /// Ends with a check, because a posting that is damaged and still reads would hide an event.
    pub data: Vec<u8>,
}

impl Row {
    /// A row of these bytes.
    pub fn sealed(key: Key, mut bytes: Vec<u8>) -> Self {
        let check = check(key, &bytes);
        bytes.extend(check);
        Self { key, data: bytes }
    }

    /// Its bytes, when they are those that were sealed, under this key.
    fn bytes(&self) -> Result<&[u8], Damaged> {
        let (bytes, sealed) = self.data.split_last_chunk().ok_or(Damaged("a row without its check"))?;
        (check(self.key, bytes) == *sealed).then_some(bytes).ok_or(Damaged("a row that has changed"))
    }
}

/// Four bytes that stand for a row's key and bytes.
fn check(key: Key, bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64_with_seed(bytes, key.key << 1 | key.kind as u64).to_le_bytes();
    [a, b, c, d]
}

/// Positions of a run of a level.
pub const fn size(level: u32) -> u32 {
    1 << if level < 31 { level } else { 31 }
}

/// Bits of a term that its bucket has.
const fn bucket_bits(level: u32) -> u32 {
    level.saturating_sub(BUCKET_LEVEL)
}

/// Number of buckets of a level.
pub const fn buckets(level: u32) -> u64 {
    1 << bucket_bits(level)
}

/// The bucket of a term.
pub const fn bucket(level: u32, term: Term) -> u64 {
    term.0 >> (TERM_BITS - bucket_bits(level))
}

/// First and last term of a range of buckets, both included.
pub const fn terms(level: u32, buckets: &Range<u64>) -> (u64, u64) {
    let shift = TERM_BITS - bucket_bits(level);
    (buckets.start << shift, (buckets.end << shift).wrapping_sub(1))
}

/// Where a term's postings may lie.
pub const fn keys(level: u32, term: Term) -> [Key; 2] {
    [Key { kind: Kind::Bucket, key: bucket(level, term) }, Key { kind: Kind::Term, key: term.0 }]
}

/// The offsets of a term, given the rows of its keys. None of them there: no event has it.
///
/// # Errors
/// A row is damaged.
pub fn find<'a>(
    level: u32,
    term: Term,
    rows: impl IntoIterator<Item = &'a Row>,
) -> Result<RoaringBitmap, Damaged> {
    for row in rows {
        if row.key == (Key { kind: Kind::Term, key: term.0 }) {
            return postings::bitmap(row.bytes()?, size(level));
        }
        if row.key == (Key { kind: Kind::Bucket, key: bucket(level, term) }) {
            for entry in Entries::new(level, row) {
                let (found, bytes) = entry?;
                if found == term {
                    return postings::bitmap(bytes, size(level));
                }
            }
        }
    }
    Ok(RoaringBitmap::new())
}

/// The terms of a row with the bytes of their postings, in ascending order.
pub struct Entries<'a> {
    data: &'a [u8],
    /// What is wrong with the whole row.
    damaged: Option<Damaged>,
    /// A row of one term.
    alone: Option<Term>,
    next: u64,
    end: u64,
}

impl<'a> Entries<'a> {
    /// Of a row of a run of this level.
    pub fn new(level: u32, row: &'a Row) -> Self {
        let (data, damaged) = match row.bytes() {
            Ok(bytes) => (bytes, None),
            Err(damaged) => (&[][..], Some(damaged)),
        };
        match row.key.kind {
            Kind::Term => {
                let alone = damaged.is_none().then_some(Term(row.key.key));
                Self { data, damaged, alone, next: 0, end: 0 }
            }
            Kind::Bucket => {
                let (next, end) = terms(level, &(row.key.key..row.key.key.saturating_add(1)));
                Self { data, damaged, alone: None, next, end }
            }
        }
    }

    fn entry(&mut self) -> Result<(Term, &'a [u8]), Damaged> {
        let distance = take(&mut self.data)?;
        let term = self.next.checked_add(distance).filter(|term| *term <= self.end);
        let term = term.ok_or(Damaged("a term outside of its bucket"))?;
        let length = take(&mut self.data)?;
        let length = usize::try_from(length).map_err(|_| Damaged("postings that are too long"))?;
        let (postings, rest) =
            self.data.split_at_checked(length).ok_or(Damaged("it ends inside of postings"))?;
        self.data = rest;
        // Terms ascend: one that comes twice is damage.
        self.next = term.saturating_add(1);
        Ok((Term(term), postings))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(Term, &'a [u8]), Damaged>;

    /// Every step takes at least two bytes, so it ends.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(damaged) = self.damaged.take() {
            return Some(Err(damaged));
        }
        if let Some(term) = self.alone.take() {
            return Some(Ok((term, std::mem::take(&mut self.data))));
        }
        if self.data.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.data = &[];
        }
        Some(entry)
    }
}

/// Writes the rows of a run, term by term in ascending order.
pub struct RowWriter {
    level: u32,
    /// Not sealed yet.
    buckets: Vec<Row>,
    alone: Vec<Row>,
    /// The term after the last one of the open bucket.
    next: u64,
}

impl RowWriter {
    /// Of a run of this level.
    pub const fn new(level: u32) -> Self {
        Self { level, buckets: Vec::new(), alone: Vec::new(), next: 0 }
    }

    /// Adds a term that `count` events of a segment have.
    pub fn positions(&mut self, term: Term, size: u32, offsets: impl Iterator<Item = u32>, count: usize) {
        let mut postings = Postings::default();
        if count > size as usize / COMMON {
            postings.push(0..size);
        } else {
            offsets.for_each(|offset| postings.push(offset..offset + 1));
        }
        self.term(term, postings.finish());
    }

    /// Adds a term with its postings as they are stored.
    pub fn term(&mut self, term: Term, postings: Vec<u8>) {
        if postings.len() > LONG {
            self.alone.push(Row::sealed(Key { kind: Kind::Term, key: term.0 }, postings));
            return;
        }
        let key = Key { kind: Kind::Bucket, key: bucket(self.level, term) };
        if self.buckets.last().is_none_or(|row| row.key != key) {
            self.buckets.push(Row { key, data: Vec::new() });
            self.next = terms(self.level, &(key.key..key.key + 1)).0;
        }
        let Some(row) = self.buckets.last_mut() else { return };
        put(&mut row.data, term.0 - self.next);
        put(&mut row.data, postings.len() as u64);
        row.data.extend(postings);
        self.next = term.0.saturating_add(1);
    }

    /// The rows, in the order of their keys.
    pub fn finish(mut self) -> Vec<Row> {
        let buckets = self.buckets.into_iter().map(|row| Row::sealed(row.key, row.data));
        buckets.chain(self.alone.drain(..)).collect()
    }
}

/// Makes the rows of a run of `level` out of those of its children, of `child` level: for the same range of
/// the children's buckets each, so that a large run is merged slice by slice. `children` are the number of
/// each child inside of its parent, with its rows.
///
/// # Errors
/// A row is damaged.
pub fn merge(level: u32, child: u32, children: &[(u32, Vec<Row>)]) -> Result<Vec<Row>, Damaged> {
    let mut entries = Vec::new();
    for (number, rows) in children {
        for row in rows {
            for entry in Entries::new(child, row) {
                let (term, postings) = entry?;
                entries.push((term, *number, postings));
            }
        }
    }
    entries.sort_unstable_by_key(|(term, number, _)| (*term, *number));
    let mut writer = RowWriter::new(level);
    for same in entries.chunk_by(|left, right| left.0 == right.0) {
        if same.windows(2).any(|pair| pair[0].1 == pair[1].1) {
            return Err(Damaged("a term that comes twice"));
        }
        let mut postings = Postings::default();
        for (_, number, bytes) in same {
            let before = number << child;
            for range in Ranges::new(bytes, size(child)) {
                let range = range?;
                postings.push(before + range.start..before + range.end);
            }
        }
        writer.term(same[0].0, postings.finish());
    }
    Ok(writer.finish())
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
