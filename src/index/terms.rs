//! What an event is found by: a term for each value that a filter can ask for by equality.
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::event::{ATTRIBUTE_MARK, Columns, VALUE_MARK, attribute_escaped};

/// A field and a value, as 63 bits of their XXH3: what fits a signed column. Stored, so it never changes
/// within one [`super::FORMAT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Term(pub u64);

/// Bits of a term.
pub const TERM_BITS: u32 = 63;

/// Attributes of one event that have terms of their own. An event with more has [`Term::CROWDED`] instead,
/// so that a segment is bounded: 16,384 events of at most 75 terms of 16 bytes are 20 MB while they are
/// sorted. The events of the vendors have at most some twenty attributes.
pub const MOST_ATTRIBUTES: usize = 64;

/// The fields that have terms. Their numbers are part of the stored format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Field {
    Family = 1,
    Outcome = 2,
    Code = 3,
    Name = 4,
    Category = 5,
    Producer = 6,
    Actor = 7,
    Subject = 8,
    Device = 9,
    CorrelationId = 10,
    Attribute = 11,
    Crowded = 12,
    Severity = 13,
}

impl Term {
    /// Of an event with more attributes than have terms: what asks for an attribute asks for this as well.
    pub fn crowded() -> Self {
        Self::of(Field::Crowded, b"")
    }

    /// Of a text. An empty one has no term: most events have some empty field.
    pub fn text(field: Field, value: &str) -> Option<Self> {
        (!value.is_empty()).then(|| Self::of(field, value.as_bytes()))
    }

    /// Of a number.
    pub fn number(field: Field, value: i64) -> Self {
        Self::of(field, &value.to_le_bytes())
    }

    /// Of an attribute with its value, which may be empty.
    pub fn attribute(name: &str, value: &str) -> Self {
        let pair = format!("{}{VALUE_MARK}{}", attribute_escaped(name), attribute_escaped(value));
        Self::of(Field::Attribute, pair.as_bytes())
    }

    fn of(field: Field, value: &[u8]) -> Self {
        Self(xxh3_64_with_seed(value, field as u64) >> (u64::BITS - TERM_BITS))
    }
}

/// Every term of an event; some more than once.
pub fn terms_of(event: &Columns, mut add: impl FnMut(Term)) {
    add(Term::number(Field::Family, event.family.into()));
    add(Term::number(Field::Outcome, event.outcome.into()));
    // Most families have none.
    if event.severity != 0 {
        add(Term::number(Field::Severity, event.severity));
    }
    for (field, value) in [
        (Field::Code, &event.code),
        (Field::Name, &event.name),
        (Field::Category, &event.category),
        (Field::Producer, &event.producer),
        (Field::Actor, &event.actor),
        (Field::Subject, &event.subject),
        (Field::Device, &event.device),
        (Field::CorrelationId, &event.correlation_id),
    ] {
        if let Some(term) = Term::text(field, value) {
            add(term);
        }
    }
    // Names and values are escaped in both texts alike, so what lies between two marks is one attribute.
    let pairs = || event.attributes.split(ATTRIBUTE_MARK).filter(|pair| !pair.is_empty());
    if pairs().count() > MOST_ATTRIBUTES {
        add(Term::crowded());
    } else {
        pairs().for_each(|pair| add(Term::of(Field::Attribute, pair.as_bytes())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::attribute_text, proto::v1};

    fn terms(event: &Columns) -> Vec<Term> {
        let mut terms = Vec::new();
        terms_of(event, |term| terms.push(term));
        terms
    }

    fn attributes(pairs: &[(&str, &str)]) -> Columns {
        let attribute = |(name, value): &(&str, &str)| v1::Attribute {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            ..v1::Attribute::default()
        };
        let list: Vec<_> = pairs.iter().map(attribute).collect();
        Columns { attributes: attribute_text(&list), ..Columns::default() }
    }

    /// They are stored: a change of any is a new format.
    #[test]
    fn terms_never_change() {
        let terms = [
            Term::text(Field::Device, "5000000000148213").expect("a term"),
            Term::number(Field::Outcome, 3),
            Term::attribute("scope", "read"),
            Term::crowded(),
        ];
        let stored = [
            8_160_981_420_122_889_616,
            6_907_701_068_366_248_962,
            7_806_846_736_427_433_597,
            5_959_280_181_777_180_264,
        ];
        assert_eq!(terms.map(|term| term.0), stored);
    }

    #[test]
    fn every_attribute_is_found_by_its_term_whatever_it_holds() {
        let pairs = [
            ("a", "1"),
            ("a", "1\u{fdd0}b\u{fdd1}2\u{fdd0}"),
            ("", ""),
            ("c", ""),
            ("", "d"),
            ("\u{fdd0}", "\u{fdd2}"),
            ("\u{fdd0}\u{fdd0}", "\u{fdd0}"),
        ];
        let found = terms(&attributes(&pairs));
        for (name, value) in pairs {
            assert!(found.contains(&Term::attribute(name, value)), "{name:?}={value:?}");
        }
        for (name, value) in [("b", "2"), ("a", "2"), ("d", ""), ("c", "1")] {
            assert!(!found.contains(&Term::attribute(name, value)), "{name:?}={value:?}");
        }
    }

    #[test]
    fn the_same_value_in_another_field_is_another_term() {
        let event = Columns { actor: "ann".to_owned(), ..Columns::default() };
        let found = terms(&event);
        assert!(found.contains(&Term::text(Field::Actor, "ann").expect("a term")));
        assert!(!found.contains(&Term::text(Field::Subject, "ann").expect("a term")));
        assert_eq!(Term::text(Field::Actor, ""), None);
    }

    #[test]
    fn an_event_with_too_many_attributes_has_one_term_for_all() {
        let names: Vec<String> = (0..=MOST_ATTRIBUTES).map(|number| number.to_string()).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert!(terms(&attributes(&pairs)).contains(&Term::crowded()));
        assert!(!terms(&attributes(&pairs)).contains(&Term::attribute("0", "")));
        let fewer = terms(&attributes(&pairs[1..]));
        assert!(!fewer.contains(&Term::crowded()) && fewer.contains(&Term::attribute("1", "")));
    }
}
