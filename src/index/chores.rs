//! What is to be done next about the runs of a log: merge those that are complete, in slices, and clear
//! away what was merged. Every step is one short transaction, and what is left to do is always told by
//! the stored runs, so that whoever comes next goes on: after a crash, or on another replica.
use std::ops::Range;

use super::{Shape, run};

/// Rows of children that one step of a merge reads: at some 2 KB, 2 MB. The worst case, where every event
/// has all the terms that it may (`terms::MOST_ATTRIBUTES`), is 27 MB.
const MERGE_ROWS: u64 = 1024;
/// Buckets that one step clears.
const CLEAR_BUCKETS: u64 = 1024;

/// A run's place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId {
    pub level: u32,
    /// Its first position.
    pub first: u64,
}

impl RunId {
    /// The positions of the run.
    pub const fn positions(self) -> Range<u64> {
        self.first..self.first + (1 << self.level)
    }
}

/// What a run is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Not all of its rows are there yet; its children are live.
    Building = 0,
    /// Complete. The live runs of a log cover what is indexed, each position once.
    Live = 1,
    /// Part of a larger run by now; its rows are being deleted.
    Gone = 2,
}

impl State {
    /// The state with this number.
    pub const fn of(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Building),
            1 => Some(Self::Live),
            2 => Some(Self::Gone),
            _ => None,
        }
    }
}

/// A stored run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub id: RunId,
    pub state: State,
    /// Building: buckets of the children that are merged. Gone: buckets that are deleted.
    pub progress: u64,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chore {
    /// Merge these buckets of the children of a run.
    Merge {
        parent: RunId,
        child_level: u32,
        children: Vec<u64>,
        buckets: Range<u64>,
        /// Afterwards the parent is live and the children are gone.
        last: bool,
    },
    /// Delete these buckets of a run that is gone.
    Clear {
        run: RunId,
        buckets: Range<u64>,
        /// Afterwards nothing is left of it.
        last: bool,
    },
}

/// The next step for the runs of a log.
pub fn next(shape: Shape, runs: &[Run]) -> Option<Chore> {
    let begun = runs.iter().find(|run| run.state == State::Building);
    if let Some(begun) = begun.or(complete(shape, runs).as_ref()) {
        return Some(merge(shape, *begun));
    }
    let gone = runs.iter().find(|run| run.state == State::Gone)?;
    let all = run::buckets(gone.id.level);
    let end = gone.progress.saturating_add(CLEAR_BUCKETS).min(all);
    Some(Chore::Clear { run: gone.id, buckets: gone.progress..end, last: end == all })
}

fn merge(shape: Shape, parent: Run) -> Chore {
    let child_level = parent.id.level.saturating_sub(shape.fan_out);
    let children: Vec<u64> =
        (0..1 << shape.fan_out).map(|number| parent.id.first + (number << child_level)).collect();
    let all = run::buckets(child_level);
    let step = (MERGE_ROWS >> shape.fan_out).max(1);
    let end = parent.progress.saturating_add(step).min(all);
    Chore::Merge { parent: parent.id, child_level, children, buckets: parent.progress..end, last: end == all }
}

/// A run all of whose children are live, of the lowest level that has one.
fn complete(shape: Shape, runs: &[Run]) -> Option<Run> {
    let mut live: Vec<RunId> = runs
        .iter()
        .filter(|run| run.state == State::Live && run.id.level < shape.top)
        .map(|run| run.id)
        .collect();
    live.sort_unstable();
    let parent = |run: &RunId| RunId {
        level: run.level + shape.fan_out,
        first: run.first >> (run.level + shape.fan_out) << (run.level + shape.fan_out),
    };
    let siblings = live.chunk_by(|left, right| parent(left) == parent(right));
    let full = siblings.filter(|siblings| siblings.len() == 1 << shape.fan_out);
    full.map(|siblings| Run { id: parent(&siblings[0]), state: State::Building, progress: 0 }).next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Does a step, as the store would.
    fn act(runs: &mut Vec<Run>, chore: &Chore) {
        match chore {
            Chore::Merge { parent, child_level, children, buckets, last } => {
                let at = runs.iter().position(|run| run.id == *parent).unwrap_or_else(|| {
                    runs.push(Run { id: *parent, state: State::Building, progress: 0 });
                    runs.len() - 1
                });
                assert_eq!((runs[at].state, runs[at].progress), (State::Building, buckets.start));
                runs[at].progress = buckets.end;
                for run in runs.iter_mut().filter(|run| *last && run.id.level == *child_level) {
                    if children.contains(&run.id.first) {
                        assert_eq!(run.state, State::Live);
                        *run = Run { state: State::Gone, progress: 0, ..*run };
                    }
                }
                if *last {
                    runs[at].state = State::Live;
                }
            }
            Chore::Clear { run, buckets, last } => {
                let at = runs.iter().position(|each| each.id == *run).expect("the run");
                assert_eq!((runs[at].state, runs[at].progress), (State::Gone, buckets.start));
                runs[at].progress = buckets.end;
                if *last {
                    runs.remove(at);
                }
            }
        }
    }

    fn covered(runs: &[Run]) -> Vec<Range<u64>> {
        let live = runs.iter().filter(|run| run.state == State::Live);
        let mut covered: Vec<_> = live.map(|run| run.id.positions()).collect();
        covered.sort_unstable_by_key(|range| range.start);
        covered
    }

    proptest! {
        /// However segments and steps take turns, live runs cover what is indexed, once and without a gap,
        /// and in the end as few runs as possible are left.
        #[test]
        fn live_runs_always_cover_what_is_indexed(pauses in prop::collection::vec(0_usize..40, 1..90)) {
            let shape = Shape { segment: 12, fan_out: 2, top: 16 };
            let mut runs = Vec::new();
            let mut end = 0;
            for pause in pauses {
                runs.push(Run { id: RunId { level: 12, first: end }, state: State::Live, progress: 0 });
                end += shape.segment_size();
                for _ in 0..pause {
                    let Some(chore) = next(shape, &runs) else { break };
                    act(&mut runs, &chore);
                    let mut at = 0;
                    for range in covered(&runs) {
                        prop_assert_eq!(range.start, at);
                        at = range.end;
                    }
                    prop_assert_eq!(at, end);
                }
            }
            while let Some(chore) = next(shape, &runs) {
                act(&mut runs, &chore);
            }
            let left = end >> 12;
            let few = (left >> 4) + (left >> 2 & 3) + (left & 3);
            prop_assert_eq!(runs.len() as u64, few, "{:?}", runs);
            prop_assert!(runs.iter().all(|run| run.state == State::Live));
        }
    }
}
