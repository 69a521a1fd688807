//! A value that very many events had: how long one transaction looks for somebody who still has it.
use async_trait::async_trait;

use super::*;
use crate::{
    index::{
        Key, Row,
        chores::{Run, State},
        run::{RowWriter, find, size},
        terms::Field,
    },
    store::{ErasedEvent, ErasureCounts, ErasureRequest},
};

const LEVEL: u32 = 14;
const RUN: RunId = RunId { level: LEVEL, first: 0 };
const PERSON: &str = "ann";

/// One run, and the positions of the events whose subject is the person.
struct Fake {
    rows: Vec<Row>,
    theirs: BTreeSet<u64>,
    looked_at: usize,
}

fn columns(subject: &str) -> Columns {
    Columns { subject: subject.to_owned(), ..Columns::default() }
}

fn term() -> Term {
    Term::text(Field::Subject, PERSON).expect("a term")
}

impl Fake {
    /// The person is so common that all of the run stands for them.
    fn new(theirs: impl Iterator<Item = u64>) -> Self {
        let mut writer = RowWriter::new(LEVEL);
        writer.positions(term(), size(LEVEL), 0..8000, 8000);
        Self { rows: writer.finish(), theirs: theirs.collect(), looked_at: 0 }
    }

    fn found(&self) -> u64 {
        find(LEVEL, term(), &self.rows).expect("postings").len()
    }

    /// A batch: the events are taken out of the index first, then written.
    async fn erase(&mut self, probes: &mut Probes, positions: std::ops::Range<u64>) {
        let log = LogName::parse("").expect("a log");
        let (before, after) = (columns(PERSON), columns(""));
        let changes = positions.clone().map(|position| (position, &before, &after));
        forget(self, &log, probes, changes).await.expect("a batch");
        self.theirs.retain(|position| !positions.contains(position));
    }

    /// Positions that were looked at since the last time.
    fn looked(&mut self) -> usize {
        std::mem::take(&mut self.looked_at)
    }
}

#[async_trait]
impl Eraser for Fake {
    async fn begin(&mut self, _log: &LogName) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn runs(&mut self, _log: &LogName) -> Result<Vec<Run>, StoreError> {
        Ok(vec![Run { id: RUN, state: State::Live, progress: 0 }])
    }

    async fn rows(&mut self, _log: &LogName, _run: RunId, keys: &[Key]) -> Result<Vec<Row>, StoreError> {
        Ok(self.rows.iter().filter(|row| keys.contains(&row.key)).cloned().collect())
    }

    async fn replace(
        &mut self,
        _log: &LogName,
        _run: RunId,
        gone: &[Key],
        rows: &[Row],
    ) -> Result<(), StoreError> {
        self.rows.retain(|row| !gone.contains(&row.key));
        self.rows.extend_from_slice(rows);
        Ok(())
    }

    async fn columns(&mut self, _log: &LogName, positions: &[u64]) -> Result<Vec<Columns>, StoreError> {
        self.looked_at += positions.len();
        let subject = |position| if self.theirs.contains(position) { PERSON } else { "" };
        Ok(positions.iter().map(|position| columns(subject(position))).collect())
    }

    async fn write(
        &mut self,
        _request: &ErasureRequest,
        _events: &[ErasedEvent],
        _next: u64,
        _counts: ErasureCounts,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// More than the budget in one transaction: the first looks of all terms.
const MOST: usize = BUDGET + PROBED;

async fn finished(fake: &mut Fake, probes: &mut Probes) -> usize {
    let log = LogName::parse("").expect("a log");
    let mut looked = 0;
    while probes.are_open() {
        finish(fake, &log, probes).await.expect("a transaction");
        let now = fake.looked();
        assert!(now <= MOST, "{now}");
        looked += now;
    }
    looked
}

#[tokio::test]
async fn one_transaction_looks_at_so_much_and_the_end_is_found_all_the_same() {
    let mut fake = Fake::new((0..64).chain([16_000]));
    let mut probes = Probes::default();
    let mut looked = 0;
    for batch in 0..2 {
        fake.erase(&mut probes, batch * 32..(batch + 1) * 32).await;
        let now = fake.looked();
        assert!(now <= MOST, "{now}");
        looked += now;
    }
    assert!(probes.are_open(), "the last event of theirs is far behind");
    looked += finished(&mut fake, &mut probes).await;
    assert_eq!(fake.found(), u64::from(size(LEVEL)) - 64, "somebody has it");
    // The last one: what was looked at is not looked at again.
    fake.erase(&mut probes, 16_000..16_001).await;
    looked += fake.looked();
    looked += finished(&mut fake, &mut probes).await;
    assert_eq!(fake.found(), 0);
    assert!(looked < 16_384 + 4 * PROBED, "once through the run: {looked}");
}
