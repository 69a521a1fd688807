//! An expression of the filter language. Whatever it is, it is refused at one of its own characters, or it is a
//! condition that prints as itself and whose opposite holds for the other events.
use chancery::query::predicate::{FilterFault, Predicate};

use super::common::{EVENTS, is_limit, printed};

/// One expression in UTF-8, which is what protobuf lets through.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Predicate::of(None, text) {
        Ok(predicate) => {
            printed(&predicate);
            opposite(text, &predicate);
        }
        Err(FilterFault::Where { offset, description }) => {
            assert!(text.is_char_boundary(offset), "{text:?}: byte {offset}, {description}");
            assert!(!description.is_empty(), "{text:?}: nothing said at byte {offset}");
        }
        Err(fault) => panic!("{text:?}: {fault:?}"),
    }
}

fn opposite(text: &str, predicate: &Predicate) {
    if text.trim().is_empty() {
        return;
    }
    let negated = format!("NOT ({text})");
    let opposite = match Predicate::of(None, &negated) {
        Ok(opposite) => opposite,
        Err(fault) if is_limit(&fault) => return,
        Err(fault) => panic!("{negated:?}: {fault:?}"),
    };
    for stored in EVENTS.iter() {
        assert_ne!(stored.matches(predicate), stored.matches(&opposite), "{text:?} on {:?}", stored.event);
    }
}
