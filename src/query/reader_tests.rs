//! How a query ends on a store that tells the head of a log and nothing else.
use std::collections::BTreeSet;

use futures::StreamExt as _;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    auth::Scope,
    catalog::Catalog,
    clock::SystemClock,
    event::LogName,
    query::{Letter, Letters, scoped::Scoped},
    store::memory::MemoryStore,
};

/// Every event.
fn everything() -> Scoped {
    let catalog = Catalog::load([], BTreeSet::new()).expect("the embedded catalog");
    Scoped::new(Predicate::All(Vec::new()), &Scope::everything(), &catalog)
        .expect("nothing personal is asked")
}

/// Runs a query of an empty log on a store that tells the head of a log and nothing else.
fn run(explain: bool) -> Letters {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Engine {
        live: Arc::new(Live::new(Arc::clone(&store), Arc::clone(&clock))),
        store,
        clock,
        drain: CancellationToken::new(),
        readers: TaskTracker::new(),
        running: Arc::default(),
        metrics: Arc::default(),
        tails: Arc::default(),
    };
    let query = Query {
        log: LogName::parse("main").expect("a log"),
        predicate: everything(),
        order: Order::PositionAsc,
        limit: 0,
        resume: None,
        follow: false,
        max_duration: None,
        explain,
    };
    engine.run(query, ())
}

#[tokio::test]
async fn a_query_that_has_ended_does_not_fail_with_the_store() {
    let Some(Letter::Notice(Part::Summary(summary))) = run(false).next().await else { panic!("a summary") };
    assert_eq!((summary.end, summary.plan.as_str()), (End::Complete, ""));
}

#[tokio::test]
async fn a_plan_that_was_asked_for_is_told_or_fails() {
    assert!(matches!(run(true).next().await, Some(Letter::Notice(Part::Failed(_)))));
}
