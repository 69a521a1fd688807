//! One condition, evaluated three ways over random events: by the database, through the front door; by
//! `Predicate::matches` over what was stored; and by a few lines here that know nothing of either. Filters and
//! expressions are random, made of values that occur and of values that careless code trips over.
mod occurrences;
mod wish;

use std::sync::atomic::{AtomicU32, Ordering};

use chancery::{
    event::Columns,
    proto::v1::{CountEventsRequest, Event, EventFilter, NewEvent, QueryRequest},
    query::predicate::{Predicate, Row},
};
use proptest::{
    collection::vec,
    strategy::Strategy as _,
    test_runner::{Config, TestCaseError, TestRunner},
};
use wish::Wish;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, everything, per_event, query, try_query},
    server::Server,
};

/// What is asked of the events: a filter and an expression.
#[derive(Clone, Debug)]
struct Question {
    filter: EventFilter,
    wish: Wish,
}

fn matching(all: &[Event], rule: impl Fn(&Event) -> bool) -> Vec<u64> {
    all.iter().filter(|event| rule(event)).filter_map(|event| event.position).collect()
}

async fn ask(
    audit: &mut Audit,
    log: &str,
    all: &[Event],
    question: &Question,
) -> Result<usize, TestCaseError> {
    let Question { filter, wish } = question;
    let expression = wish.to_string();
    let expected = matching(all, |event| wish::allows(filter, event) && wish.holds(event));

    let predicate = Predicate::of(Some(filter), &expression)
        .map_err(|fault| TestCaseError::fail(format!("{expression}: {fault:?}")))?;
    let printed = predicate.to_string();
    let again = Predicate::of(None, &printed)
        .map_err(|fault| TestCaseError::fail(format!("{printed}: {fault:?}")))?;
    for predicate in [&predicate, &again] {
        let found = matching(all, |event| {
            let columns = Columns::of(event);
            predicate.matches(&Row { position: event.position.expect("a position"), columns: &columns })
        });
        proptest::prop_assert_eq!(&found, &expected, "in memory: {} as {}", expression, printed);
    }
    proptest::prop_assert_eq!(again.to_string(), printed.clone());

    let request = QueryRequest {
        log: log.to_owned(),
        filter: Some(filter.clone()),
        r#where: expression.clone(),
        ..QueryRequest::default()
    };
    let answer =
        try_query(audit, request).await.map_err(|status| TestCaseError::fail(format!("{status:?}")))?;
    proptest::prop_assert_eq!(&answer.positions(), &expected, "in the database: {}", expression);
    proptest::prop_assert_eq!(&answer.summary.filter, &printed);
    let request = CountEventsRequest {
        log: log.to_owned(),
        filter: Some(filter.clone()),
        r#where: expression.clone(),
        ..CountEventsRequest::default()
    };
    let counted =
        audit.count_events(request).await.map_err(|status| TestCaseError::fail(format!("{status:?}")))?;
    proptest::prop_assert_eq!(counted.into_inner().total, expected.len() as u64, "counted: {}", expression);
    Ok(expected.len())
}

/// Appends what the catalog accepts of these, to a log of its own.
async fn stored(audit: &mut Audit, log: &str, events: Vec<NewEvent>) -> Vec<Event> {
    for (at, events) in events.chunks(4).enumerate() {
        let request =
            chancery::proto::v1::AppendRequest { log: log.to_owned(), ..per_event(events.to_vec()) };
        let producer = ["cms-1", "CMS-1", "as-1"][at % 3];
        audit.append(crate::harness::calls::from_producer(producer, request)).await.expect("an append");
    }
    everything(audit, log).await
}

#[test]
fn the_database_and_the_memory_answer_alike() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let logs = AtomicU32::new(0);
        let (some, none, every) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let config =
            Config { cases: 40, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
        let question = (wish::filter(), wish::wish()).prop_map(|(filter, wish)| Question { filter, wish });
        let cases = (vec(occurrences::event(), 1..24), vec(question, 1..12));
        TestRunner::new(config)
            .run(&cases, |(events, questions)| {
                block_on(async {
                    let mut audit = server.audit().await;
                    let log = format!("log-{}", logs.fetch_add(1, Ordering::Relaxed));
                    let all = stored(&mut audit, &log, events).await;
                    for question in &questions {
                        let found = ask(&mut audit, &log, &all, question).await?;
                        let tally = match found {
                            0 => &none,
                            found if found == all.len() => &every,
                            _ => &some,
                        };
                        tally.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        let [some, none, every] = [some, none, every].map(AtomicU32::into_inner);
        assert!(some > 15 && none > 10 && every > 10, "{kind:?}: {none} empty, {some} partial, {every} full");
    }
}

/// Every value that careless code trips over, in every field that takes text, finds what it should and breaks
/// nothing.
#[test]
fn a_hostile_value_is_a_value() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let all = stored(&mut audit, "main", occurrences::of_every_value()).await;
            assert!(all.len() > 40, "{} events", all.len());
            let mut found = 0;
            for value in occurrences::VALUES {
                for wish in wish::everywhere(value) {
                    let question = Question { filter: EventFilter::default(), wish };
                    found += ask(&mut audit, "main", &all, &question).await.expect("the same answers");
                }
                for filter in wish::filters(value) {
                    let question = Question { filter, wish: Wish::And(Vec::new()) };
                    found += ask(&mut audit, "main", &all, &question).await.expect("the same answers");
                }
            }
            assert!(found > 1000, "{found} found");
            assert_eq!(query(&mut audit, QueryRequest::default()).await.events.len(), all.len());
        });
    }
}
