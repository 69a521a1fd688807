//! The index forgets as well: a term is a hash of a value, by which a guess could be confirmed.
use chancery::{
    event::LogName,
    index::{
        Shape, Term,
        run::{find, keys},
        terms::Field,
    },
    ingest::indexer::Indexer,
    proto::v1::{EventFilter, QueryRequest},
    store::Store,
    telemetry::Metrics,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::{ADDRESS, AGENT, OTHER, PERSON, PHONE, behind, consent, erase, hold, request};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic, query},
    events,
    server::Server,
};

/// Segments of 128, merged by 4 to 512.
const SHAPE: Shape = Shape { segment: 7, fan_out: 2, top: 9 };

async fn index(store: &Arc<dyn Store>) {
    let mut indexer = Indexer::new(Arc::clone(store), Arc::new(Metrics::default()), SHAPE);
    while indexer.pass(&CancellationToken::new()).await.expect("a pass") {}
}

/// Positions that the index proposes for a term.
async fn proposed(store: &Arc<dyn Store>, term: Term) -> Vec<u64> {
    let log = LogName::parse("").expect("a log");
    let live = store.live_runs(&log, &(0..1 << 40)).await.expect("runs");
    assert!(live.indexed >= 1024 && live.runs.len() > 2, "{live:?}");
    let mut positions = Vec::new();
    for run in live.runs {
        let wanted = [(run, keys(run.level, term).to_vec())];
        let rows = store.index_rows(&log, &wanted).await.expect("rows");
        let rows = rows.into_iter().flatten().flatten().collect::<Vec<_>>();
        let found = find(run.level, term, &rows).expect("postings");
        positions.extend(found.iter().map(|offset| run.first + u64::from(offset)));
    }
    positions
}

fn terms() -> Vec<Term> {
    vec![
        Term::text(Field::Subject, PERSON).expect("a term"),
        Term::text(Field::Actor, PERSON).expect("a term"),
        Term::attribute("user_id", PERSON),
        Term::attribute("client_ip", ADDRESS),
        Term::attribute("user_agent", AGENT),
        Term::attribute("phone_number", PHONE),
        Term::attribute("operator_id", PERSON),
    ]
}

/// In the first segment the person is so common that whole segments stand for them, later they are rare.
#[test]
fn terms_of_erased_values_are_gone_and_those_of_others_are_found() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        {
            let server = Server::start(&store);
            block_on(async {
                let mut audit = server.audit().await;
                for batch in 0..3_u64 {
                    let event = |number: u64| {
                        let at = batch * 400 + number;
                        match (
                            at < 128 && at.is_multiple_of(3),
                            at.is_multiple_of(97),
                            at.is_multiple_of(101),
                        ) {
                            (true, ..) | (_, true, _) => consent(PERSON, ADDRESS, AGENT, PHONE),
                            (.., true) => hold(PERSON, "device-9"),
                            _ => consent(OTHER, "198.51.100.3", &format!("agent/{}", at % 50), "+31-1"),
                        }
                    };
                    accept(&mut audit, atomic((0..400).map(event).collect())).await;
                }
            });
        }
        let before = block_on(async {
            let store = behind(&store).await;
            index(&store).await;
            for term in terms() {
                assert!(!proposed(&store, term).await.is_empty());
            }
            let other = proposed(&store, Term::text(Field::Subject, OTHER).expect("a term")).await;
            store.close().await;
            other
        });
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let of_other = QueryRequest {
                filter: Some(EventFilter { subject: OTHER.to_owned(), ..EventFilter::default() }),
                ..QueryRequest::default()
            };
            let found = query(&mut audit, of_other.clone()).await.positions();
            let answer = erase(&server, &request(&events::fresh_id())).await;
            assert!(answer.events_erased > 60, "{answer:?}");
            assert_eq!(query(&mut audit, of_other).await.positions(), found, "{kind:?}");
            let device = EventFilter { device: "device-9".to_owned(), ..EventFilter::default() };
            let device = QueryRequest { filter: Some(device), ..QueryRequest::default() };
            assert!(!query(&mut audit, device).await.events.is_empty(), "what is not erased is still found");
        });
        drop(server);
        block_on(async {
            let store = behind(&store).await;
            for (number, term) in terms().into_iter().enumerate() {
                assert_eq!(proposed(&store, term).await, Vec::<u64>::new(), "{kind:?} {number}");
            }
            let other = proposed(&store, Term::text(Field::Subject, OTHER).expect("a term")).await;
            assert_eq!(other, before);
            // The builder goes on with what is there.
            index(&store).await;
            store.close().await;
        });
    }
}
