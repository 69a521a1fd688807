//! What waits to be written, in order, within bounds, and what was lost of it. Pure.
use std::collections::{BTreeMap, VecDeque};

use super::Told;
use crate::telemetry::LostTo;

/// Entries that wait: an entry without a filter takes some 600 bytes, so 5 MiB.
const MOST: usize = 8192;
/// Bytes of them, for those that have long filters.
const MOST_BYTES: usize = 8 << 20;
/// Entries that are written at a time, and about so many bytes. Admission prices a byte of them at twelve.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 512 << 10;

/// The queue.
#[derive(Default)]
pub struct Queue {
    waiting: VecDeque<Told>,
    /// Entries and their bytes, those that are being written too.
    entries: usize,
    bytes: usize,
    lost: Lost,
}

/// Entries that were lost since the last ones were written.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lost {
    pub count: BTreeMap<LostTo, u64>,
    /// Of the first and the last, in microseconds since 1970.
    pub between: Option<(i64, i64)>,
}

impl Lost {
    fn add(&mut self, at: i64, to: LostTo) {
        *self.count.entry(to).or_default() += 1;
        let (first, last) = self.between.unwrap_or((at, at));
        self.between = Some((first.min(at), last.max(at)));
    }
}

impl Queue {
    /// Adds an entry, or says that it is lost. Behind one that is lost all others are, until some were written: the
    /// entry that tells of it then stands where they would.
    pub fn add(&mut self, told: Told) -> Result<(), LostTo> {
        let full = self.entries >= MOST || self.bytes + told.bytes > MOST_BYTES;
        if full || self.lost.between.is_some() {
            self.lost.add(told.at, LostTo::queue_full);
            return Err(LostTo::queue_full);
        }
        self.push(told);
        Ok(())
    }

    fn push(&mut self, told: Told) {
        self.entries += 1;
        self.bytes += told.bytes;
        self.waiting.push_back(told);
    }

    /// The next that are written together. They take room until [`Queue::written`].
    pub fn batch(&mut self) -> Vec<Told> {
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(BATCH).take_while(|told| {
            bytes += told.bytes;
            bytes <= BATCH_BYTES
        });
        let count = fitting.count().max(1).min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }

    /// These were written, but for some that never can be. `gap` makes the entry that tells of what was lost.
    pub fn written(&mut self, batch: &[Told], refused: &[i64], gap: impl FnOnce(Lost) -> Told) {
        self.entries -= batch.len();
        self.bytes -= batch.iter().map(|told| told.bytes).sum::<usize>();
        for at in refused {
            self.lost.add(*at, LostTo::refused);
        }
        if self.lost.between.is_some() {
            // At most one more than may wait: it is pushed when others have just left.
            let lost = std::mem::take(&mut self.lost);
            self.push(gap(lost));
        }
    }

    /// Entries that wait or are being written.
    pub const fn len(&self) -> usize {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::{super::entry::Entry, *};

    fn told(at: i64, bytes: usize) -> Told {
        Told { bytes, at, ..Told::new(Entry::new("EVENT_READ"), at, uuid::Uuid::nil()) }
    }

    fn gap(lost: Lost) -> Told {
        let (first, last) = lost.between.expect("times");
        told(-(first * 100_000 + last), 1)
    }

    #[test]
    fn everything_is_written_once_and_in_order() {
        let mut queue = Queue::default();
        for at in 0..1000 {
            assert_eq!(queue.add(told(at, 100)), Ok(()));
        }
        let mut next = 0;
        while queue.len() > 0 {
            let batch = queue.batch();
            assert!(batch.len() <= BATCH);
            for told in &batch {
                assert_eq!(told.at, next);
                next += 1;
            }
            queue.written(&batch, &[], gap);
        }
        assert_eq!((next, queue.bytes), (1000, 0));
    }

    #[test]
    fn a_batch_has_a_bound_in_bytes_and_at_least_one_entry() {
        let mut queue = Queue::default();
        for at in 0..3 {
            assert_eq!(queue.add(told(at, BATCH_BYTES / 2 + 1)), Ok(()));
        }
        assert_eq!(queue.add(told(3, BATCH_BYTES + 1)), Ok(()));
        for at in 0..4 {
            let batch = queue.batch();
            assert_eq!(batch.iter().map(|told| told.at).collect::<Vec<_>>(), [at]);
            queue.written(&batch, &[], gap);
        }
    }

    #[test]
    fn what_is_lost_is_told_of_where_it_would_stand() {
        for bytes in [1, MOST_BYTES / 1000] {
            let mut queue = Queue::default();
            let mut fits = 0;
            while queue.add(told(fits, bytes)).is_ok() {
                fits += 1;
            }
            assert!(fits as usize <= MOST && fits as usize * bytes <= MOST_BYTES);
            // A small one would find room among the bytes, and would stand before the gap.
            assert_eq!(queue.add(told(fits + 1, 0)), Err(LostTo::queue_full));
            let first = queue.batch();
            queue.written(&first, &[], gap);
            assert_eq!(queue.add(told(fits + 2, bytes)), Ok(()), "there is room again");
            let mut order: Vec<i64> = first.iter().map(|told| told.at).collect();
            while queue.len() > 0 {
                let batch = queue.batch();
                order.extend(batch.iter().map(|told| told.at));
                queue.written(&batch, &[], gap);
            }
            let whole: Vec<i64> = (0..fits).chain([-(fits * 100_000 + fits + 1), fits + 2]).collect();
            assert_eq!(order, whole);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_of_too() {
        let mut queue = Queue::default();
        assert_eq!(queue.add(told(7, 1)), Ok(()));
        let batch = queue.batch();
        queue.written(&batch, &[7], |lost| {
            assert_eq!(lost.count, [(LostTo::refused, 1)].into());
            gap(lost)
        });
        assert_eq!(queue.batch()[0].at, -700_007);
    }
}
