//! The leaf hashes of what this replica committed last, so that tiles are made without reading events back.
//! Filled by the sequencers after their commits; whoever finds nothing here reads the store.
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use crate::{
    event::LogName,
    tree::{Hash, TreeHead},
};

/// Leaf hashes of all logs: 4 MiB. Tiles are made four times a second, which at 80,000 events a second is
/// 20,000 leaves; a log of few events may keep its last 255 out of a tile for as long as others fill this.
const MOST_LEAVES: usize = 1 << 17;
/// Committed groups: some 200 bytes each beside their leaves, and looked through one by one.
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
    /// The tree that they were appended to...
    before: TreeHead,
    /// ...and the one that it became.
    after: TreeHead,
    leaves: Vec<Hash>,
}

impl Recent {
    /// Takes the leaf hashes of a committed group, which lie side by side in their log, with the trees that the
    /// transaction found and left.
    pub fn committed(&self, log: &LogName, before: TreeHead, after: TreeHead, leaves: Vec<Hash>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.leaves += leaves.len();
        groups.groups.push_back(Group { log: log.clone(), before, after, leaves });
        while groups.leaves > MOST_LEAVES || groups.groups.len() > MOST_GROUPS {
            let Some(oldest) = groups.groups.pop_front() else { break };
            groups.leaves -= oldest.leaves.len();
        }
    }

    /// The leaf hashes of these positions, when all of them are here. They are of one tree, and that is the newest
    /// that is known here of the log.
    pub fn leaves(&self, log: &LogName, positions: &Range<u64>) -> Option<Vec<Hash>> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        let mut next = positions.start;
        let mut tree: Option<TreeHead> = None;
        for group in groups.groups.iter().filter(|group| group.log == *log) {
            if tree.replace(group.after) != Some(group.before) {
                // Somebody else has appended in between, or the database has lost commits (a failover, a backup
                // that came back) and others may stand in their place: what was before is not known to be so.
                found.clear();
                next = positions.start;
            }
            let (first, end) = (group.before.size, group.after.size.min(positions.end));
            if first <= next && next < end {
                let (from, to) = (next - first, end - first);
                found.extend(group.leaves.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?);
                next = end;
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

    /// The tree of a log that was appended to in history 0, and has lost commits in another one.
    fn tree(size: u64, history: u8) -> TreeHead {
        TreeHead { size, root: [history; 32] }
    }

    fn commit(recent: &Recent, log: &LogName, positions: Range<u64>) {
        let (before, after) = (tree(positions.start, 0), tree(positions.end, 0));
        recent.committed(log, before, after, leaves(positions));
    }

    #[test]
    fn a_run_comes_back_when_all_of_it_is_there() {
        let (recent, main, other) = (Recent::default(), log("main"), log("other"));
        for group in [100..300, 300..301, 301..700] {
            commit(&recent, &main, group.clone());
            commit(&recent, &other, group);
        }
        for run in [100..700, 100..101, 299..302, 256..512, 699..700, 300..301] {
            assert_eq!(recent.leaves(&main, &run), Some(leaves(run.clone())), "{run:?}");
        }
        for run in [99..300, 0..1, 512..701, 700..701, 900..901] {
            assert_eq!(recent.leaves(&main, &run), None, "{run:?}");
        }
        assert_eq!(recent.leaves(&other, &(100..700)), Some(leaves(100..700)));
        assert_eq!(recent.leaves(&log("none"), &(100..300)), None);
    }

    #[test]
    fn what_was_before_another_replica_committed_is_read_from_the_store() {
        let (recent, main) = (Recent::default(), log("main"));
        commit(&recent, &main, 0..10);
        assert_eq!(recent.leaves(&main, &(0..10)), Some(leaves(0..10)));
        commit(&recent, &main, 20..30);
        assert_eq!(recent.leaves(&main, &(20..30)), Some(leaves(20..30)));
        for run in [0..10, 5..25, 10..20, 0..30] {
            assert_eq!(recent.leaves(&main, &run), None, "{run:?}");
        }
    }

    #[test]
    fn what_a_log_lost_is_not_remembered_whether_or_not_positions_overlap() {
        for first in [150, 199, 200] {
            let (recent, main) = (Recent::default(), log("main"));
            commit(&recent, &main, 0..150);
            commit(&recent, &main, 150..200);
            // Position 199 was lost, and another replica has committed another event there, or nobody has.
            recent.committed(&main, tree(first, 1), tree(300, 1), leaves(first..300));
            for run in [0..100, 0..200, 149..201, 0..256] {
                assert_eq!(recent.leaves(&main, &run), None, "{first} {run:?}");
            }
            assert_eq!(recent.leaves(&main, &(first..300)), Some(leaves(first..300)));
        }
    }

    #[test]
    fn the_oldest_goes_when_there_is_too_much() {
        let (recent, main) = (Recent::default(), log("main"));
        let group = 1 << 10;
        for first in (0..2 * MOST_LEAVES as u64).step_by(group) {
            commit(&recent, &main, first..first + group as u64);
        }
        let end = 2 * MOST_LEAVES as u64;
        let kept = end - MOST_LEAVES as u64..end;
        assert!(recent.leaves(&main, &kept).is_some());
        assert_eq!(recent.leaves(&main, &(kept.start - 1..kept.end)), None);
        for first in end..end + 2 * MOST_GROUPS as u64 {
            commit(&recent, &main, first..first + 1);
        }
        assert_eq!(recent.groups.lock().expect("groups").groups.len(), MOST_GROUPS);
    }
}
