//! The positions of one term inside of one run, as bytes: ranges of offsets, each by its distance from the
//! one before. A selective term takes two or three bytes a position, and a term that nearly every event
//! has takes a few bytes for a whole run.
use std::ops::Range;

use roaring::RoaringBitmap;

use super::Damaged;

/// Writes ranges in ascending order; those that touch become one.
#[derive(Default)]
pub struct Postings {
    bytes: Vec<u8>,
    /// Where the last written range ended.
    written: u32,
    open: Option<Range<u32>>,
}

impl Postings {
    /// Adds a range, which begins where the last one ended or behind that.
    pub fn push(&mut self, range: Range<u32>) {
        match &mut self.open {
            Some(open) if open.end == range.start => open.end = range.end,
            _ => {
                self.flush();
                self.open = Some(range);
            }
        }
    }

    fn flush(&mut self) {
        let Some(open) = self.open.take() else { return };
        let length = open.end - open.start;
        // The lowest bit tells whether a length follows: mostly it is 1.
        put(&mut self.bytes, u64::from(open.start - self.written) << 1 | u64::from(length > 1));
        if length > 1 {
            put(&mut self.bytes, u64::from(length - 2));
        }
        self.written = open.end;
    }

    /// The bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.bytes
    }
}

/// Reads the ranges of `bytes`, all of them inside `0..size`.
pub struct Ranges<'a> {
    bytes: &'a [u8],
    size: u32,
    end: u32,
}

impl<'a> Ranges<'a> {
    /// Of these bytes.
    pub const fn new(bytes: &'a [u8], size: u32) -> Self {
        Self { bytes, size, end: 0 }
    }

    fn range(&mut self) -> Result<Range<u32>, Damaged> {
        let code = take(&mut self.bytes)?;
        let length = if code & 1 == 1 { take(&mut self.bytes)?.saturating_add(2) } else { 1 };
        let start = u64::from(self.end).saturating_add(code >> 1);
        let end = start.saturating_add(length);
        if end > u64::from(self.size) {
            return Err(Damaged("a position outside of its run"));
        }
        let narrow = |offset: u64| u32::try_from(offset).map_err(|_| Damaged("a position too far"));
        let range = narrow(start)?..narrow(end)?;
        self.end = range.end;
        Ok(range)
    }
}

impl Iterator for Ranges<'_> {
    type Item = Result<Range<u32>, Damaged>;

    /// Every step takes at least one byte, so it ends.
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let range = self.range();
        if range.is_err() {
            self.bytes = &[];
        }
        Some(range)
    }
}

/// The offsets of `bytes`.
///
/// # Errors
/// The bytes are no postings of a run of this size.
pub fn bitmap(bytes: &[u8], size: u32) -> Result<RoaringBitmap, Damaged> {
    let mut bitmap = RoaringBitmap::new();
    for range in Ranges::new(bytes, size) {
        bitmap.insert_range(range?);
    }
    Ok(bitmap)
}

/// Appends a number, seven bits a byte, the lowest first.
pub fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front.
///
/// # Errors
/// There is none, or one of more than 64 bits.
pub fn take(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Damaged("it ends inside of a number"))?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(Damaged("a number of more than 64 bits"));
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Damaged("a number of more than 64 bits"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_come_back(positions in prop::collection::btree_set(0_u32..3000, 0..400)) {
            let mut postings = Postings::default();
            positions.iter().for_each(|at| postings.push(*at..at + 1));
            let bytes = postings.finish();
            let found: BTreeSet<u32> = bitmap(&bytes, 3000).expect("postings").iter().collect();
            prop_assert_eq!(&found, &positions);
            if let Some(last) = positions.last() {
                prop_assert!(bitmap(&bytes, *last).is_err(), "a position outside of the run");
            }
        }

        #[test]
        fn whatever_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200), size in any::<u32>()) {
            let read: Vec<_> = Ranges::new(&bytes, size).collect();
            prop_assert!(read.len() <= bytes.len());
            for range in read.into_iter().flatten() {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn numbers_come_back(number in any::<u64>(), shift in 0_u32..64) {
            let mut bytes = Vec::new();
            put(&mut bytes, number >> shift);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take(&mut rest), Ok(number >> shift));
            prop_assert!(rest.is_empty());
            prop_assert!(take(&mut &bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn a_term_of_all_positions_takes_a_few_bytes() {
        let mut postings = Postings::default();
        (0..256).for_each(|segment| postings.push(segment << 14..(segment + 1) << 14));
        assert!(postings.finish().len() <= 5);
    }
}
