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

/// Positions that are looked at for an event that still has a term: mostly the first one has.
const PROBED: usize = 256;

/// Takes events out of the terms that they do not have any more: position, what it was found by and what it is found
/// by from now on. The transaction must be begun, and the events not yet written.
///
/// # Errors
/// The store failed, or holds a damaged index.
pub async fn forget<'a>(
    eraser: &mut dyn Eraser,
    log: &LogName,
    changes: impl Iterator<Item = (u64, &'a Columns, &'a Columns)>,
) -> Result<(), StoreError> {
    let changes: Vec<(u64, BTreeSet<Term>)> =
        changes.map(|(position, before, after)| (position, lost(before, after))).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let runs = eraser.runs(log).await?;
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
            rewrite(eraser, log, run, &leaving).await?;
        }
    }
    Ok(())
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
    let nobodys = nobodys(eraser, log, run, &left).await?;
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
) -> Result<BTreeSet<Term>, StoreError> {
    let position = |offset: u32| run.first + u64::from(offset);
    // One look for all of them first.
    let first: BTreeSet<u64> =
        left.values().flat_map(|offsets| offsets.iter().take(1).map(position)).collect();
    let mut found = has(eraser, log, &first.into_iter().collect::<Vec<_>>()).await?;
    let mut nobodys = BTreeSet::new();
    for (term, offsets) in left {
        if found.contains(term) {
            continue;
        }
        let positions: Vec<u64> = offsets.iter().map(position).collect();
        let mut somebodys = false;
        for positions in positions.chunks(PROBED) {
            found.extend(has(eraser, log, positions).await?);
            somebodys = found.contains(term);
            if somebodys {
                break;
            }
        }
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
