//! Counts from the rollup are those of the events, whatever is indexed.
use std::collections::{BTreeMap, BTreeSet};

use chancery::{
    auth::Grants,
    catalog::Catalog,
    event::LogName,
    proto::v1::{Event, EventFilter},
    query::{
        count::{Count, CountError},
        predicate::Predicate,
        scoped::Scoped,
    },
    store::GroupColumn,
};
use tokio_util::sync::CancellationToken;

use super::{BEGIN, Log, filters, micros, predicate, range};
use crate::harness::{KINDS, TestStore, block_on};

const HOUR: i64 = 3_600_000_000;

type Row = (Option<i64>, Vec<(i64, String)>);

fn by_hand<'e>(
    events: impl Iterator<Item = &'e Event>,
    group_by: &[GroupColumn],
    bucket: Option<i64>,
) -> BTreeMap<Row, u64> {
    let mut counts = BTreeMap::new();
    for event in events {
        let number = |number: i32| (i64::from(number), number.to_string());
        let value = |column: &GroupColumn| match column {
            GroupColumn::Family => number(event.family),
            GroupColumn::Outcome => number(event.outcome),
            GroupColumn::Code => (0, event.code.clone()),
            GroupColumn::Name => (0, event.name.clone()),
            GroupColumn::Category => (0, event.category.clone()),
            GroupColumn::Producer => (0, event.producer.clone()),
        };
        let start = bucket.map(|width| micros(event.occurred_at.as_ref()) / width * width);
        *counts.entry((start, group_by.iter().map(value).collect())).or_default() += 1;
    }
    counts
}

/// A filter that the rollup can answer, or nearly, with its rule.
fn random(log: &mut Log) -> (EventFilter, super::Rule) {
    if log.dice.roll(3) == 0 {
        let mut all = filters(log);
        let at = log.dice.roll(all.len() as u64) as usize;
        return all.swap_remove(at);
    }
    let mut bound = || match log.dice.roll(4) {
        0 => None,
        1 => Some(BEGIN * 1_000_000 / HOUR * HOUR + log.dice.roll(8) as i64 * HOUR),
        _ => Some((BEGIN - 2000 + log.dice.roll(15_000) as i64) * 1_000_000),
    };
    let (first, second) = (bound(), bound());
    let (start, end) = match (first, second) {
        (Some(first), Some(second)) => (Some(first.min(second)), Some(first.max(second))),
        open => open,
    };
    let codes = [vec![], vec!["20018"], vec!["CONSENT_GIVEN", "20018"]][log.dice.roll(3) as usize].clone();
    let families = [vec![], vec![1], vec![4]][log.dice.roll(3) as usize].clone();
    let producers = [vec![], vec!["second"]][log.dice.roll(2) as usize].clone();
    let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let filter = EventFilter {
        codes: text(&codes),
        producers: text(&producers),
        families: families.clone(),
        occurred: range(start, end),
        ..EventFilter::default()
    };
    let rule = move |event: &Event| {
        let time = micros(event.occurred_at.as_ref());
        (codes.is_empty() || codes.contains(&event.code.as_str()))
            && (families.is_empty() || families.contains(&event.family))
            && (producers.is_empty() || producers.contains(&event.producer.as_str()))
            && start.is_none_or(|start| time >= start)
            && end.is_none_or(|end| time < end)
    };
    (filter, Box::new(rule))
}

/// For somebody who sees everything.
fn scoped(predicate: Predicate) -> Scoped {
    let catalog = Catalog::load([], BTreeSet::new()).expect("the embedded catalog");
    Scoped::new(predicate, &Grants::Everything.scope(&LogName::audit()).expect("everything"), &catalog)
        .expect("nothing is hidden")
}

#[test]
fn rollup_and_events_agree_while_the_log_is_indexed() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut log = Log::fill(&test, 6000).await;
            let mut indexer = log.indexer();
            for round in 0..150 {
                let (filter, rule) = random(&mut log);
                let mut group_by = GroupColumn::ALL.to_vec();
                group_by.retain(|_| log.dice.roll(3) == 0);
                let bucket = [None, Some(HOUR), Some(3 * HOUR), Some(24 * HOUR), Some(60_000_000)];
                let bucket = bucket[log.dice.roll(5) as usize];
                let expected = by_hand(log.all.iter().filter(|event| rule(event)), &group_by, bucket);
                let predicate = scoped(predicate(&filter));
                let count = Count {
                    log: &log.name,
                    predicate: &predicate,
                    group_by: &group_by,
                    bucket,
                    most: 10_000,
                };
                let counted = count.run(&log.store).await.expect("a count");
                let found: Vec<_> =
                    counted.0.into_iter().map(|row| (row.bucket, row.group, row.count)).collect();
                let expected: Vec<_> = expected
                    .into_iter()
                    .map(|((start, group), count)| {
                        (start, group.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), count)
                    })
                    .collect();
                assert_eq!(found, expected, "{kind:?} round {round} {filter:?} {group_by:?} {bucket:?}");
                if round % 2 == 1 {
                    indexer.pass(&CancellationToken::new()).await.expect("a pass");
                }
            }
            let groups = [GroupColumn::Code];
            let all = scoped(predicate(&EventFilter::default()));
            let few =
                Count { log: &log.name, predicate: &all, group_by: &groups, bucket: Some(HOUR), most: 3 };
            assert!(matches!(few.run(&log.store).await, Err(CountError::TooMany)));
        });
    }
}
