//! What the log itself tells of what is not there any more: values that were erased, positions that were removed.
//!
//! An erasure appends `SUBJECT_ERASED` before it changes anything, so what it erases lies before that event; a
//! removal appends `RETENTION_APPLIED` with the first position that stays. Both are records like any other: they
//! count when the tree in which they stand is the signed one, which is for the caller to find out.
//! Called by: [`super::Rehash`], [`super::bundle`].
use std::ops::Range;

use prost::Message as _;

use super::{Finding, Values, Verdict, values::Field};
use crate::proto::v1::{Event, EventFamily};

/// The event of an erasure.
pub const ERASED: &str = "SUBJECT_ERASED";
/// The event of a removal.
pub const REMOVED: &str = "RETENTION_APPLIED";
/// The producer of both; no caller may use its name.
const OWN: &str = "chancery";
/// Number of `code` in `Event`.
const CODE: u32 = 4;
/// Ranges of positions that are kept, 16 bytes each.
const MOST_RANGES: usize = 100;

/// Positions: how many, and the first of them as ranges.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Positions {
    pub count: u64,
    pub ranges: Vec<Range<u64>>,
}

impl Positions {
    /// Adds one that is larger than all others.
    pub(super) fn add(&mut self, position: u64) {
        self.count += 1;
        let room = self.ranges.len() < MOST_RANGES;
        match self.ranges.last_mut() {
            Some(last) if last.end == position => last.end += 1,
            _ if room => self.ranges.push(position..position + 1),
            _ => {}
        }
    }

    /// The ranges as text, `5` or `7-9`.
    pub fn texts(&self) -> Vec<String> {
        let text = |range: &Range<u64>| match range.end - 1 {
            last if last == range.start => last.to_string(),
            last => format!("{}-{last}", range.start),
        };
        self.ranges.iter().map(text).collect()
    }

    /// How many are in none of the ranges.
    pub fn more(&self) -> u64 {
        self.count - self.ranges.iter().map(|range| range.end - range.start).sum::<u64>()
    }
}

/// Sees the records of a log in the order of their positions.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Told {
    /// Records with erased values.
    erased: Positions,
    /// Those of them after which no erasure was told.
    open: Positions,
    /// Where the log begins, when that is not at 0.
    oldest: Option<u64>,
    /// The event that tells of it.
    removal: Option<u64>,
}

impl Told {
    /// Of a log that begins at this position.
    pub fn beginning(oldest: u64) -> Self {
        Self { oldest: Some(oldest).filter(|oldest| *oldest > 0), ..Self::default() }
    }

    /// The next record.
    pub fn see(&mut self, position: u64, record: &[u8], values: &Values) {
        match own(record) {
            Some(event) if event.code == ERASED => self.open = Positions::default(),
            Some(event) if self.oldest.is_some() && minimum(&event) == self.oldest => {
                self.removal.get_or_insert(position);
            }
            _ => {}
        }
        if values.erased > 0 {
            self.erased.add(position);
            self.open.add(position);
        }
    }

    /// Records with erased values.
    pub const fn erased(&self) -> &Positions {
        &self.erased
    }

    /// Those after which no erasure was told.
    pub const fn open(&self) -> &Positions {
        &self.open
    }

    /// Where the log begins, and the event that tells why.
    pub fn removed(&self) -> Option<(u64, u64)> {
        self.oldest.zip(self.removal)
    }

    /// Codes of the events that would account for what nothing accounts for yet.
    pub fn wanted(&self) -> Vec<&'static str> {
        let erasure = (self.open.count > 0).then_some(ERASED);
        let removal = (self.oldest.is_some() && self.removal.is_none()).then_some(REMOVED);
        erasure.into_iter().chain(removal).collect()
    }

    /// What is not there and nothing in the log accounts for, once every record up to the checkpoint was seen.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(oldest) = self.oldest.filter(|_| self.removal.is_none()) {
            let evidence = format!(
                "the log begins at position {oldest}, and no signed event {REMOVED} says that what lies before it was \
                 removed"
            );
            found.push(Finding::new(Verdict::Missing, "record", evidence).at(0..oldest));
        }
        let tampered = |evidence: String| Finding::new(Verdict::Tampered, "personal", evidence);
        for range in &self.open.ranges {
            let evidence =
                format!("values are marked as erased, and no signed event {ERASED} comes after them");
            found.push(tampered(evidence).at(range.clone()));
        }
        match self.open.more() {
            0 => {}
            more => found.push(tampered(format!("there are {more} more events like these"))),
        }
        found
    }
}

/// A record of Chancery's own that says what is not there. Of any other nothing is read beyond its code.
fn own(record: &[u8]) -> Option<Event> {
    let mut left = record;
    loop {
        match Field::next(&mut left)? {
            Field::Bytes(CODE, code) if code == ERASED.as_bytes() || code == REMOVED.as_bytes() => break,
            Field::Bytes(CODE, _) => return None,
            _ => {}
        }
    }
    let event = Event::decode(record).ok()?;
    let ours = event.family() == EventFamily::Chancery && event.producer == OWN;
    (ours && [ERASED, REMOVED].contains(&event.code.as_str())).then_some(event)
}

/// The first position that stays, by an event of a removal.
fn minimum(event: &Event) -> Option<u64> {
    let stays = event.attributes.iter().find(|each| each.name == "minimum_position")?;
    super::from_decimal(&stays.value).filter(|_| event.code == REMOVED)
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::proto::v1::Attribute;

    /// A record of Chancery's own.
    pub fn record(code: &str, minimum: u64) -> Vec<u8> {
        let stays = Attribute {
            name: "minimum_position".to_owned(),
            value: minimum.to_string(),
            ..Attribute::default()
        };
        let mut event = Event { code: code.to_owned(), producer: OWN.to_owned(), ..Event::default() };
        event.set_family(EventFamily::Chancery);
        event.attributes.push(stays);
        event.encode_to_vec()
    }

    fn seen(told: &mut Told, position: u64, record: &[u8], erased: u64) {
        told.see(position, record, &Values { erased, ..Values::default() });
    }

    #[test]
    fn an_erasure_accounts_for_what_lies_before_it_and_nothing_else() {
        let mut told = Told::default();
        for position in [1, 2, 4] {
            seen(&mut told, position, b"", 1);
        }
        assert_eq!(
            (told.open().texts(), told.wanted()),
            (vec!["1-2".to_owned(), "4".to_owned()], vec![ERASED])
        );
        let found: Vec<_> = told.findings().into_iter().map(|each| (each.verdict, each.positions)).collect();
        assert_eq!(found, [(Verdict::Tampered, Some(1..3)), (Verdict::Tampered, Some(4..5))]);
        // What any producer may write tells nothing.
        let mut foreign = Event::decode(&record(ERASED, 0)[..]).expect("an event");
        foreign.producer = "site".to_owned();
        seen(&mut told, 5, &foreign.encode_to_vec(), 0);
        foreign.producer = OWN.to_owned();
        foreign.set_family(EventFamily::TokenServer);
        seen(&mut told, 6, &foreign.encode_to_vec(), 0);
        seen(&mut told, 7, &record(REMOVED, 5), 0);
        assert_eq!(told.open().count, 3);
        seen(&mut told, 8, &record(ERASED, 0), 0);
        assert_eq!((told.findings(), told.erased().count), (Vec::new(), 3));
        seen(&mut told, 9, b"", 2);
        assert_eq!((told.open().texts(), told.erased().count), (vec!["9".to_owned()], 4));
    }

    #[test]
    fn a_log_that_begins_later_says_why() {
        let mut told = Told::beginning(16);
        seen(&mut told, 16, &record(REMOVED, 8), 0);
        seen(&mut told, 17, &record(ERASED, 16), 0);
        assert_eq!((told.removed(), told.wanted()), (None, vec![REMOVED]));
        let found = told.findings();
        assert_eq!((found[0].verdict, found[0].positions.clone()), (Verdict::Missing, Some(0..16)));
        seen(&mut told, 18, &record(REMOVED, 16), 0);
        assert_eq!(
            (told.removed(), told.wanted(), told.findings()),
            (Some((16, 18)), Vec::new(), Vec::new())
        );
        assert_eq!(Told::beginning(0).findings(), Vec::new());
    }

    #[test]
    fn ranges_are_bounded_and_what_is_not_in_them_is_counted() {
        let mut told = Told::default();
        for number in 0..150 {
            seen(&mut told, 2 * number, b"", 1);
        }
        assert_eq!((told.open().texts().len(), told.open().more()), (MOST_RANGES, 50));
        let found = told.findings();
        assert!(
            found.len() == MOST_RANGES + 1 && found[MOST_RANGES].evidence.contains("50 more"),
            "{found:?}"
        );
    }
}
