//! What retention has removed of a log, and the questions that it makes unanswerable. Callers: `reader`, `count`.
use super::{
    plan::Plan,
    predicate::{NumberColumn, Predicate},
};

/// Something was asked for that is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removed {
    /// The first position that is still there.
    pub oldest: u64,
}

/// Refuses a predicate that names positions of which some are removed, be it by one bound only. One that names none
/// is answered from what is there.
pub fn refuse(predicate: &Predicate, oldest: u64) -> Result<(), Removed> {
    let asked = Plan::of(predicate).positions;
    let names = asked.start > 0 || asked.end < u64::MAX;
    let removed = names && asked.start < asked.end && asked.start < oldest;
    if removed { Err(Removed { oldest }) } else { Ok(()) }
}

/// The predicate, and that an event is not removed: between the mark and the removal it can still be read.
pub fn from_oldest(predicate: Predicate, oldest: u64) -> Predicate {
    match i64::try_from(oldest) {
        Ok(0) | Err(_) => predicate,
        Ok(oldest) => Predicate::All(vec![Predicate::From(NumberColumn::Position, oldest), predicate]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_positions_that_are_removed_are_refused() {
        let of = |text: &str| Predicate::of(None, text).map_err(|_| ()).expect("a predicate");
        for (text, refused) in [
            ("", false),
            ("code = a", false),
            ("position >= 100", false),
            ("position >= 99", true),
            ("position = 5", true),
            ("position < 100", true),
            ("position < 101", true),
            ("position >= 100 AND position < 101", false),
            ("position = 100", false),
        ] {
            assert_eq!(refuse(&of(text), 100).is_err(), refused, "{text}");
            assert!(refuse(&of(text), 0).is_ok(), "{text}");
        }
    }
}
