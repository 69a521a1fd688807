//! A query answers the same before, while and after its log is indexed and merged, in every order, page by
//! page, and from wherever it is continued.
use std::{cmp::Reverse, sync::Arc};

use chancery::{
    index::{Row, Term, chores::RunId, run, terms::Field},
    ingest::indexer::Indexer,
    proto::v1::{Event, EventFilter},
    query::{Order, pages::Pages, predicate::Predicate},
    store::PageStart,
};
use tokio_util::sync::CancellationToken;

use super::{Log, micros, predicate, predicates, range};
use crate::harness::{KINDS, Kind, TestStore, block_on, database::Database};

const ORDERS: [Order; 3] = [Order::PositionAsc, Order::PositionDesc, Order::OccurredDesc];

fn in_order(order: Order, events: Vec<&Event>) -> Vec<u64> {
    let mut keys: Vec<_> = events
        .into_iter()
        .map(|event| (micros(event.occurred_at.as_ref()), event.position.expect("a position")))
        .collect();
    match order {
        Order::PositionAsc => {}
        Order::PositionDesc => keys.reverse(),
        Order::OccurredDesc => keys.sort_unstable_by_key(|key| Reverse(*key)),
    }
    keys.into_iter().map(|(_, position)| position).collect()
}

/// Everything that a query brings, in pages of changing size, now and then from a token, and with a step of
/// the indexer in between when there is one.
async fn read(log: &mut Log, asked: &Predicate, order: Order, mut indexer: Option<&mut Indexer>) -> Vec<u64> {
    let head = log.all.len() as u64;
    let mut start = match order {
        Order::PositionAsc => PageStart::From(0),
        Order::PositionDesc => PageStart::Below(head),
        Order::OccurredDesc => PageStart::Earlier { occurred_at: i64::MAX, position: head },
    };
    let new = |log: &Log| Pages::new(Arc::clone(&log.store), log.name.clone(), asked.clone(), order);
    let mut pages = new(log);
    let mut read = Vec::new();
    let mut empty = 0;
    loop {
        let limit = [1, 7, 64, 600][log.dice.roll(4) as usize];
        let page = pages.next(start, head, limit).await.expect("a page");
        assert!(page.events.len() <= limit as usize);
        empty = if page.events.is_empty() { empty + 1 } else { 0 };
        assert!(empty < 1000, "{order:?} {asked} does not get on");
        read.extend(page.events.iter().map(|event| event.position));
        if page.complete {
            return read;
        }
        start = page.next;
        match log.dice.roll(12) {
            0 => pages = new(log),
            // As a resume token has it: after the last event.
            1 if !page.events.is_empty() => {
                let last = &page.events[page.events.len() - 1];
                start = match order {
                    Order::PositionAsc => PageStart::From(last.position + 1),
                    Order::PositionDesc => PageStart::Below(last.position),
                    Order::OccurredDesc => {
                        PageStart::Earlier { occurred_at: last.occurred_at, position: last.position }
                    }
                };
                pages = new(log);
            }
            2 => {
                if let Some(indexer) = &mut indexer {
                    indexer.pass(&CancellationToken::new()).await.expect("a pass");
                }
            }
            _ => {}
        }
    }
}

async fn check(log: &mut Log, mut indexer: Option<&mut Indexer>, when: &str) {
    for (asked, rule) in predicates(log) {
        let matching: Vec<u64> =
            log.all.iter().filter(|event| rule(event)).filter_map(|event| event.position).collect();
        for order in ORDERS {
            let events = matching.iter().map(|position| &log.all[*position as usize]).collect();
            let expected = in_order(order, events);
            let found = read(log, &asked, order, indexer.as_deref_mut()).await;
            assert_eq!(found, expected, "{when} {order:?} {asked}");
        }
    }
}

#[test]
fn every_filter_in_every_order_answers_the_same_whatever_is_indexed() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut log = Log::fill(&test, 10_000).await;
            let named = predicates(&log).iter().filter(|(_, rule)| log.all.iter().any(rule)).count();
            assert!(named >= 24, "only {named} filters match anything");
            check(&mut log, None, &format!("{kind:?} before")).await;
            let mut indexer = log.indexer();
            check(&mut log, Some(&mut indexer), &format!("{kind:?} while indexing")).await;
            log.index().await;
            let mut database = Database::open(&test).await;
            assert_eq!(database.number("SELECT indexed FROM index_heads").await, 10_000 / 128 * 128);
            assert_eq!(database.number("SELECT CAST(max(level) AS BIGINT) FROM index_runs").await, 11);
            check(&mut log, None, &format!("{kind:?} after")).await;
        });
    }
}

/// Two replicas build the same index while a third one is asked.
#[test]
fn two_builders_at_once_make_one_index() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut log = Log::fill(&test, 6000).await;
            let stop = CancellationToken::new();
            let builders =
                [log.indexer(), log.indexer()].map(|indexer| tokio::spawn(indexer.run(stop.clone())));
            check(&mut log, None, &format!("{kind:?} with two builders")).await;
            log.index().await;
            stop.cancel();
            for builder in builders {
                builder.await.expect("a builder");
            }
            let mut database = Database::open(&test).await;
            assert_eq!(database.number("SELECT indexed FROM index_heads").await, 6000 / 128 * 128);
            let covered =
                "SELECT CAST(sum(1 << CAST(level AS INTEGER)) AS BIGINT) FROM index_runs WHERE state = 1";
            assert_eq!(database.number(covered).await, 6000 / 128 * 128);
            let counted = "SELECT CAST(sum(count) AS BIGINT) FROM event_counts";
            assert_eq!(database.number(counted).await, 6000 / 128 * 128);
            // Nothing is left of what was merged.
            let stray = "SELECT count(*) FROM index_postings AS row WHERE NOT EXISTS (SELECT 1 FROM index_runs AS run
                WHERE run.log = row.log AND run.level = row.level AND run.first = row.first AND run.state = 1)";
            assert_eq!(database.number(stray).await, 0);
            check(&mut log, None, &format!("{kind:?} after two builders")).await;
        });
    }
}

/// A row that cannot be read costs time and no event.
#[test]
fn a_damaged_index_hides_nothing() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut log = Log::fill(&test, 6000).await;
            log.index().await;
            damage(kind, &test).await;
            check(&mut log, None, &format!("{kind:?} damaged")).await;
        });
    }
}

/// Runs that cannot be merged are left as they are: nothing else waits for them.
#[test]
fn a_damaged_run_does_not_stop_the_indexer() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let mut log = Log::fill(&test, 2000).await;
            let mut indexer = log.indexer();
            let stop = CancellationToken::new();
            for _ in 0..3 {
                indexer.pass(&stop).await.expect("a pass");
            }
            damage(kind, &test).await;
            while indexer.pass(&stop).await.expect("a pass") {}
            let mut database = Database::open(&test).await;
            assert_eq!(database.number("SELECT indexed FROM index_heads").await, 2000 / 128 * 128);
            check(&mut log, None, &format!("{kind:?} with a damaged run")).await;
        });
    }
}

/// Makes every row of the index unreadable.
async fn damage(kind: Kind, test: &TestStore) {
    let damage = match kind {
        Kind::Sqlite => "UPDATE index_postings SET data = x'ffffffffffffffffffffff'",
        Kind::Postgres => "UPDATE index_postings SET data = '\\xffffffffffffffffffffff'",
    };
    Database::open(test).await.run(damage).await;
}

#[test]
fn the_plan_says_what_is_looked_up_and_what_is_read_through() {
    let test = TestStore::new(Kind::Sqlite);
    block_on(async {
        let log = Log::fill(&test, 3000).await;
        log.index().await;
        let plan = async |filter: EventFilter, order| {
            let pages = Pages::new(Arc::clone(&log.store), log.name.clone(), predicate(&filter), order);
            pages.plan().await.expect("a plan")
        };
        let all = plan(EventFilter::default(), Order::PositionAsc).await;
        assert_eq!(
            all,
            "read through the log: no part of the filter is looked up in the index\n\
             compare each event with the whole filter"
        );
        let filter = EventFilter {
            device: "device-7".to_owned(),
            text: "hold".to_owned(),
            occurred: range(Some(5), None),
            ..EventFilter::default()
        };
        assert_eq!(
            plan(filter, Order::OccurredDesc).await,
            "look up in the index of positions below 2944, 5 parts: device = \"device-7\"\n\
             leave out segments below 2944 with no occurred_at in the range\n\
             read through positions from 2944 on\n\
             sort by occurred_at, or when too many match walk down the index by occurred_at\n\
             compare each event with the whole filter"
        );
    });
}

#[test]
fn a_run_that_was_merged_away_is_not_taken_for_empty() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let log = Log::fill(&test, 3000).await;
            log.index().await;
            let live = log.store.live_runs(&log.name, &(0..3000)).await.expect("runs");
            assert_eq!((live.indexed, live.runs.len()), (2944, 5));
            let absent = Term::text(Field::Device, "nobody's").expect("a term");
            let ask = async |runs: &[RunId]| -> Vec<Option<u64>> {
                let wanted: Vec<_> =
                    runs.iter().map(|run| (*run, run::keys(run.level, absent).to_vec())).collect();
                let rows = log.store.index_rows(&log.name, &wanted).await.expect("rows");
                let found = |(run, rows): (&RunId, &Option<Vec<Row>>)| {
                    let found = |rows| run::find(run.level, absent, rows).expect("postings").len();
                    rows.as_ref().map(found)
                };
                runs.iter().zip(&rows).map(found).collect()
            };
            let merged = RunId { level: 7, first: 0 };
            assert_eq!(ask(&[merged, live.runs[0], merged]).await, [None, Some(0), None], "{kind:?}");
            // Its rows are being deleted.
            Database::open(&test).await.run("UPDATE index_runs SET state = 2 WHERE level = 11").await;
            assert_eq!(ask(&[live.runs[0], live.runs[1]]).await, [None, Some(0)], "{kind:?}");
        });
    }
}
