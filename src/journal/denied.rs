//! Refused calls that are alike: the first is told at once, the others as a number. A flood of refused calls is then
//! no flood of entries. Pure: the time is a parameter.
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::entry::{Alike, Entry};

/// How long calls that are alike are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Kinds that are told apart. Each takes about a kilobyte, so a megabyte. What comes on top is told apart by method and
/// reason only, of which the server has a few hundred.
const MOST: usize = 1024;

/// The counts.
#[derive(Default)]
pub struct Denied {
    counted: HashMap<Alike, Counted>,
    /// When each ends, in that order: all take as long.
    ends: VecDeque<(Instant, Alike)>,
}

struct Counted {
    entry: Entry,
    more: u64,
}

impl Denied {
    /// A refused call. What is to be told now: it, or nothing, because it is counted.
    pub fn pass(&mut self, entry: Entry, now: Instant) -> Option<Entry> {
        let Some(alike) = entry.alike.clone() else { return Some(entry) };
        if let Some(counted) = self.counted.get_mut(&alike) {
            counted.more += 1;
            return None;
        }
        if self.ends.len() < MOST {
            self.count(alike, entry.clone(), 0, now);
            return Some(entry);
        }
        let rest = Alike { caller: None, ..alike };
        match self.counted.get_mut(&rest) {
            Some(counted) => counted.more += 1,
            None => {
                let mut entry = entry;
                entry.details.retain(|(key, _)| !["caller", "credential", "address"].contains(key));
                self.count(rest, entry, 1, now);
            }
        }
        None
    }

    fn count(&mut self, alike: Alike, entry: Entry, more: u64, now: Instant) {
        self.ends.push_back((now + WINDOW, alike.clone()));
        self.counted.insert(alike, Counted { entry, more });
    }

    /// When the next of them ends.
    pub fn next(&self) -> Option<Instant> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Those that have ended, or all of them, as far as there were more.
    pub fn ended(&mut self, now: Option<Instant>) -> Vec<Entry> {
        let mut told = Vec::new();
        while let Some((_, alike)) = self.ends.pop_front_if(|(end, _)| now.is_none_or(|now| *end <= now)) {
            if let Some(Counted { entry, more }) = self.counted.remove(&alike)
                && more > 0
            {
                told.push(entry.with_number("count", more));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::{super::entry::Who, *};

    fn denied(name: &str, reason: &'static str) -> Entry {
        let who = Who { name: name.to_owned(), credential: "none", address: None };
        Entry::denied(&who, "chancery.v1.AuditService/Query", ("PERMISSION_DENIED", reason))
    }

    fn count(entry: &Entry) -> Option<&str> {
        entry.details.iter().find(|(key, _)| *key == "count").map(|(_, value)| value.as_str())
    }

    #[test]
    fn of_those_that_are_alike_the_first_is_told_and_then_how_many() {
        let (mut all, start) = (Denied::default(), Instant::now());
        assert!(all.pass(denied("a", "X"), start).is_some());
        for _ in 0..999 {
            assert!(all.pass(denied("a", "X"), start).is_none());
        }
        assert!(all.pass(denied("a", "Y"), start).is_some(), "another reason");
        assert!(all.pass(denied("b", "X"), start).is_some(), "another caller");
        assert_eq!(all.next(), Some(start + WINDOW));
        assert!(all.ended(Some(start + WINDOW - Duration::from_millis(1))).is_empty());
        let ended = all.ended(Some(start + WINDOW));
        let [one] = ended.as_slice() else { panic!("{ended:?}") };
        assert_eq!(count(one), Some("999"));
        assert_eq!(all.next(), None);
        assert!(all.pass(denied("a", "X"), start + WINDOW).is_some(), "the next one is told again");
    }

    #[test]
    fn what_comes_on_top_of_many_is_counted_together() {
        let (mut all, start) = (Denied::default(), Instant::now());
        for each in 0..MOST {
            assert!(all.pass(denied(&each.to_string(), "X"), start).is_some());
        }
        for each in 0..10 * MOST {
            assert!(all.pass(denied(&format!("more {each}"), "X"), start).is_none());
        }
        assert_eq!(all.counted.len(), MOST + 1);
        let ended = all.ended(None);
        let [rest] = ended.as_slice() else { panic!("{} ended", ended.len()) };
        assert_eq!(count(rest), Some((10 * MOST).to_string().as_str()));
        assert!(rest.details.iter().all(|(key, _)| *key != "caller"));
        assert!(all.counted.is_empty() && all.ends.is_empty());
    }
}
