//! Erased values and the index: terms are unsalted hashes, by which a guess at a value could be confirmed. So the
//! positions of erased events leave their terms, and a term that no event has any more is not there.
//!
//! The index proposes and never decides: a posting too many costs a look at a row, one too few would lose it. Only
//! terms that an event no longer has lose its position.
use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;

use crate::{
    event::{Columns, LogName},
    index::{Term, chores::RunId, erase, terms::terms_of},
    store::{Eraser, StoreError},
};

/// Positions that are looked at in one statement for an event that still has a term: mostly the first one has.
const PROBED: usize = 256;
/// Positions that are looked at in one transaction, over all terms: some 50 ms, for which the indexes of the log and,
/// on SQLite, appends wait.
const BUDGET: usize = 16 * PROBED;

/// How far it is known that no event has a term. Events lose terms and never gain any, so nobody looks twice: the
/// terms of one request are looked for once through each run, however many batches it takes.
#[derive(Default)]
pub struct Probes {
    /// Below this no event of the run has the term.
    from: BTreeMap<(RunId, Term), u64>,
    /// Terms that may be nobody's: nothing was found when the budget was spent. They stay until [`finish`].
    open: BTreeSet<(RunId, Term)>,
}

/// Takes events out of the terms that they do not have any more: position, what it was found by and what it is found
/// by from now on. The transaction must be begun, and the events not yet written.
///
/// # Errors
/// The store failed, or holds a damaged index.
pub async fn forget<'a>(
    eraser: &mut dyn Eraser,
    log: &LogName,
    probes: &mut Probes,
    changes: impl Iterator<Item = (u64, &'a Columns, &'a Columns)>,
) -> Result<(), StoreError> {
    let changes: Vec<(u64, BTreeSet<Term>)> =
        changes.map(|(position, before, after)| (position, lost(before, after))).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let runs = eraser.runs(log).await?;
    let mut budget = BUDGET;
    for run in runs.into_iter().map(|run| run.id) {
        let mut leaving = erase::Leaving::new();
        for (position, terms) in changes.iter().filter(|(position, _)| run.positions().contains(position)) {
            // A run has at most 2^22 positions.
            let offset = u32::try_from(position - run.first).unwrap_or(u32::MAX);
            for term in terms {
                leaving.entry(*term).or_default().insert(offset);
            }
        }
        if !leaving.is_empty() {
            rewrite(eraser, log, run, &leaving, (probes, &mut budget)).await?;
        }
    }
    Ok(())
}

/// Looks on for terms that were left open, as far as one transaction goes. The transaction must be begun.
///
/// # Errors
/// As [`forget`].
pub async fn finish(eraser: &mut dyn Eraser, log: &LogName, probes: &mut Probes) -> Result<(), StoreError> {
    let runs: Vec<RunId> = eraser.runs(log).await?.into_iter().map(|run| run.id).collect();
    let mut budget = BUDGET;
    while let Some((run, term)) = probes.open.first().copied().filter(|_| budget > 0) {
        probes.open.remove(&(run, term));
        // The builder may have merged the run away meanwhile.
        let now = runs.iter().filter(|each| each.positions().contains(&run.first)).copied();
        for run in now.collect::<Vec<_>>() {
            let leaving = erase::Leaving::from([(term, RoaringBitmap::new())]);
            rewrite(eraser, log, run, &leaving, (&mut *probes, &mut budget)).await?;
        }
    }
    Ok(())
}

impl Probes {
    /// Forgets how far was looked: what had been taken out of the events is in them again.
    pub fn forget(&mut self) {
        self.from.clear();
    }

    /// Whether a term may be somebody's no more.
    pub fn are_open(&self) -> bool {
        !self.open.is_empty()
    }
}

/// Terms that an event had and has no more. The one of crowded events stays where it is: it is what asks for any
/// attribute ask for, too.
fn lost(before: &Columns, after: &Columns) -> BTreeSet<Term> {
    let mut lost = BTreeSet::new();
    terms_of(before, |term| {
        lost.insert(term);
    });
    terms_of(after, |term| {
        lost.remove(&term);
    });
    lost.remove(&Term::crowded());
    lost
}

async fn rewrite(
    eraser: &mut dyn Eraser,
    log: &LogName,
    run: RunId,
    leaving: &erase::Leaving,
    probing: (&mut Probes, &mut usize),
) -> Result<(), StoreError> {
    let damaged = |error: crate::index::Damaged| {
        StoreError::Broken(format!("{error}, in the run of level {} at {}", run.level, run.first).into())
    };
    let buckets = erase::keys(run.level, leaving);
    let keys = buckets.concat();
    let rows = eraser.rows(log, run, &keys).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let left = erase::left(run.level, &rows, leaving).map_err(damaged)?;
    let nobodys = nobodys(eraser, log, run, &left, probing).await?;
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for bucket in buckets {
        let old: Vec<_> = rows.iter().filter(|row| bucket.contains(&row.key)).cloned().collect();
        let rewritten = erase::rewritten(run.level, &old, leaving, &left, &nobodys).map_err(damaged)?;
        gone.extend(old.iter().map(|row| row.key));
        new.extend(rewritten);
    }
    eraser.replace(log, run, &gone, &new).await
}

/// Those terms that no event of the run has any more. The postings of a term that many events have stand for whole
/// segments, so that they outlive the last event that has it.
async fn nobodys(
    eraser: &mut dyn Eraser,
    log: &LogName,
    run: RunId,
    left: &BTreeMap<Term, RoaringBitmap>,
    (probes, budget): (&mut Probes, &mut usize),
) -> Result<BTreeSet<Term>, StoreError> {
    // What a term that leaves has left, from where it may still be found.
    let rest = |probes: &Probes, term: Term, offsets: &RoaringBitmap| -> Vec<u64> {
        let from = probes.from.get(&(run, term)).copied().unwrap_or(run.first);
        offsets.iter().map(|offset| run.first + u64::from(offset)).skip_while(|at| *at < from).collect()
    };
    // One look for all of them first.
    let first: BTreeSet<u64> =
        left.iter().filter_map(|(term, offsets)| rest(probes, *term, offsets).first().copied()).collect();
    let mut found = has(eraser, log, &first.into_iter().collect::<Vec<_>>()).await?;
    let mut nobodys = BTreeSet::new();
    for (term, offsets) in left {
        if found.contains(term) {
            continue;
        }
        let positions = rest(probes, *term, offsets);
        let mut chunks = positions.chunks(PROBED);
        let somebodys = loop {
            let Some(positions) = chunks.next() else { break false };
            if *budget == 0 {
                probes.open.insert((run, *term));
                break true;
            }
            *budget = budget.saturating_sub(positions.len());
            let terms = has(eraser, log, positions).await?;
            let has = terms.contains(term);
            found.extend(terms);
            if has {
                break true;
            }
            let last = positions.last().map_or(run.first, |last| last + 1);
            probes.from.insert((run, *term), last);
        };
        if !somebodys {
            nobodys.insert(*term);
        }
    }
    Ok(nobodys)
}

/// The terms of the events at these positions.
async fn has(
    eraser: &mut dyn Eraser,
    log: &LogName,
    positions: &[u64],
) -> Result<BTreeSet<Term>, StoreError> {
    let mut terms = BTreeSet::new();
    for columns in eraser.columns(log, positions).await? {
        terms_of(&columns, |term| {
            terms.insert(term);
        });
    }
    Ok(terms)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
