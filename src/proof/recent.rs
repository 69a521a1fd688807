//! The leaf hashes of what this replica committed last, so that tiles are made without reading events back.
//! Filled by the sequencers after their commits; whoever finds nothing here reads the store.
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use crate::{event::LogName, tree::Hash};

/// Leaf hashes of all logs: 4 MiB. Tiles are made four times a second, which at 80,000 events a second is
/// 20,000 leaves; a log of few events may keep its last 255 out of a tile for as long as others fill this.
const MOST_LEAVES: usize = 1 << 17;
/// Committed groups: some 100 bytes each beside their leaves, and looked through one by one.
const MOST_GROUPS: usize = 4096;

/// The memory.
#[derive(Default)]
pub struct Recent {
    groups: Mutex<Groups>,
}

#[derive(Default)]
struct Groups {
    /// In the order of their commits.
    groups: VecDeque<Group>,
    leaves: usize,
}

/// Leaves that were committed together.
struct Group {
    log: LogName,
    first: u64,
    leaves: Vec<Hash>,
}

impl Recent {
    /// Takes the leaf hashes of a committed group, which lie side by side in their log.
    pub fn committed(&self, log: &LogName, first: u64, leaves: Vec<Hash>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.leaves += leaves.len();
        groups.groups.push_back(Group { log: log.clone(), first, leaves });
        while groups.leaves > MOST_LEAVES || groups.groups.len() > MOST_GROUPS {
            let Some(oldest) = groups.groups.pop_front() else { break };
            groups.leaves -= oldest.leaves.len();
        }
    }

    /// The leaf hashes of these positions, when all of them are here.
    pub fn leaves(&self, log: &LogName, positions: &Range<u64>) -> Option<Vec<Hash>> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        let mut next = positions.start;
        // A log's groups stand in the order of its positions: one sequencer commits them one by one. Unless the
        // database has lost commits (a failover, a backup that came back): then nobody knows which are true.
        let mut end = 0;
        for group in groups.groups.iter().filter(|group| group.log == *log) {
            if group.first < end {
                return None;
            }
            end = group.first + group.leaves.len() as u64;
            if group.first <= next && next < end.min(positions.end) {
                let (from, to) = (next - group.first, end.min(positions.end) - group.first);
                found.extend(group.leaves.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?);
                next = group.first + to;
            }
        }
        (next == positions.end).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> LogName {
        LogName::parse(name).expect("a log")
    }

    fn leaves(positions: Range<u64>) -> Vec<Hash> {
        let leaf = |position: u64| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&position.to_be_bytes());
            hash
        };
        positions.map(leaf).collect()
    }

    #[test]
    fn a_run_comes_back_when_all_of_it_is_there() {
        let (recent, main, other) = (Recent::default(), log("main"), log("other"));
        for group in [100..300, 300..301, 301..700] {
            recent.committed(&main, group.start, leaves(group.clone()));
            recent.committed(&other, group.start - 100, leaves(group));
        }
        for run in [100..700, 100..101, 299..302, 256..512, 699..700, 300..301] {
            assert_eq!(recent.leaves(&main, &run), Some(leaves(run.clone())), "{run:?}");
        }
        for run in [99..300, 0..1, 512..701, 700..701, 900..901] {
            assert_eq!(recent.leaves(&main, &run), None, "{run:?}");
        }
        assert_eq!(recent.leaves(&other, &(0..600)), Some(leaves(100..700)));
        assert_eq!(recent.leaves(&log("none"), &(100..300)), None);
    }

    #[test]
    fn what_another_replica_committed_in_between_is_missing() {
        let (recent, main) = (Recent::default(), log("main"));
        recent.committed(&main, 0, leaves(0..10));
        recent.committed(&main, 20, leaves(20..30));
        assert_eq!(recent.leaves(&main, &(0..10)), Some(leaves(0..10)));
        assert_eq!(recent.leaves(&main, &(20..30)), Some(leaves(20..30)));
        assert_eq!(recent.leaves(&main, &(5..25)), None);
        assert_eq!(recent.leaves(&main, &(10..20)), None);
    }

    #[test]
    fn a_log_that_was_set_back_is_read_from_the_store() {
        let (recent, main) = (Recent::default(), log("main"));
        recent.committed(&main, 0, leaves(0..200));
        recent.committed(&main, 150, leaves(1150..1200));
        for run in [0..100, 0..200, 150..200] {
            assert_eq!(recent.leaves(&main, &run), None, "{run:?}");
        }
    }

    #[test]
    fn the_oldest_goes_when_there_is_too_much() {
        let (recent, main) = (Recent::default(), log("main"));
        let group = 1 << 10;
        for first in (0..2 * MOST_LEAVES as u64).step_by(group) {
            recent.committed(&main, first, leaves(first..first + group as u64));
        }
        let end = 2 * MOST_LEAVES as u64;
        let kept = end - MOST_LEAVES as u64..end;
        assert!(recent.leaves(&main, &kept).is_some());
        assert_eq!(recent.leaves(&main, &(kept.start - 1..kept.end)), None);
        for first in end..end + 2 * MOST_GROUPS as u64 {
            recent.committed(&main, first, leaves(first..first + 1));
        }
        assert_eq!(recent.groups.lock().expect("groups").groups.len(), MOST_GROUPS);
    }
}
