//! What targets of the query engine share: some events, and what every condition promises. What others share is in
//! the files beside this one.
pub mod edits;
pub mod sealed;

use std::sync::LazyLock;

use chancery::{
    event::Columns,
    proto::v1::{Attribute, Event, EventFamily, Outcome},
    query::predicate::{FilterFault, Predicate, Row},
};
use pbjson_types::Timestamp;

/// A stored event and what predicates see of it.
pub struct Stored {
    pub event: Event,
    pub columns: Columns,
}

impl Stored {
    fn new(event: Event) -> Self {
        Self { columns: Columns::of(&event), event }
    }

    /// Whether the condition holds for it.
    pub fn matches(&self, predicate: &Predicate) -> bool {
        let position = self.event.position.expect("a position");
        predicate.matches(&Row { position, columns: &self.columns })
    }
}

/// Events that conditions are tried on: an ordinary one, one of letters and marks that careless code trips
/// over, and one with next to nothing in it.
pub static EVENTS: LazyLock<[Stored; 3]> = LazyLock::new(|| {
    let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let attribute = |name: &str, value: &str| Attribute {
        name: name.to_owned(),
        value: value.to_owned(),
        ..Attribute::default()
    };
    let ordinary = Event {
        family: EventFamily::CmsAudit as i32,
        code: "20018".to_owned(),
        name: "PIN reset".to_owned(),
        category: "PIN".to_owned(),
        severity: Some(500),
        outcome: Outcome::Failure as i32,
        occurred_at: time(1_780_000_000, 0),
        received_at: time(1_780_000_001, 1_000),
        producer: "a".to_owned(),
        actor: "ab".to_owned(),
        subject: "j.larsen".to_owned(),
        device: "5000".to_owned(),
        correlation_id: "x-1".to_owned(),
        attributes: vec![attribute("scope", "mail read"), attribute("a.b", "1")],
        position: Some(7),
        ..Event::default()
    };
    let marks = Event {
        family: EventFamily::TokenServer as i32,
        code: "CONSENT_GIVEN".to_owned(),
        name: "Ünicode \"name\"".to_owned(),
        outcome: Outcome::Success as i32,
        occurred_at: time(0, 999_999_000),
        received_at: time(253_402_207_199, 0),
        actor: "a*\\".to_owned(),
        subject: "\n\t'".to_owned(),
        device: "\u{fdd0}\u{fdd1}\u{fdd2}".to_owned(),
        attributes: vec![
            attribute("scope", "\u{fdd0}a\u{fdd1}*"),
            attribute("scope", ""),
            attribute("Odd \"key\"", "\u{fdd3}\\\n"),
            attribute("\u{fdd2}", "\u{fdd4}"),
        ],
        position: Some(u64::MAX),
        ..Event::default()
    };
    let bare = Event { position: Some(0), ..Event::default() };
    [ordinary, marks, bare].map(Stored::new)
});

/// Checks that a condition can be printed, that what is printed is an expression of the same condition, which
/// prints as itself, and that both hold for the same events.
pub fn printed(predicate: &Predicate) {
    let printed = predicate.to_string();
    let again = match Predicate::of(None, &printed) {
        Ok(again) => again,
        // Parentheses and repeated names can make an expression longer and deeper than it was.
        Err(fault) if is_limit(&fault) => return,
        Err(fault) => panic!("{printed:?}: {fault:?}"),
    };
    assert_eq!(again.to_string(), printed);
    for stored in EVENTS.iter() {
        assert_eq!(stored.matches(predicate), stored.matches(&again), "{printed:?} on {:?}", stored.event);
    }
}

/// Whether something is refused for its size alone.
pub fn is_limit(fault: &FilterFault) -> bool {
    let (FilterFault::Filter { description, .. } | FilterFault::Where { description, .. }) = fault;
    description.contains("at most") || description.contains("deeper than")
}
