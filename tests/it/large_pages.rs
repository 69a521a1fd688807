//! A page of the largest events that follows one of small ones takes bounded memory, and leaves none out.
use chancery::proto::v1::{EventFilter, NewEvent, Order, QueryRequest, TokenServerEvent, new_event::Family};

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic, query},
    events,
    server::Server,
};

/// An event whose record has some 120 KiB.
fn large() -> NewEvent {
    let detail = |number| (format!("note {number}"), "x".repeat(8000));
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        user_id: Some("large".to_owned()),
        details: (0..7).map(detail).collect(),
        ..TokenServerEvent::default()
    }))
}

#[test]
fn large_events_behind_small_ones_are_read_in_smaller_pages() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for _ in 0..4 {
                accept(&mut audit, atomic((0..1000).map(|at| events::hold(&at.to_string())).collect())).await;
            }
            for _ in 0..20 {
                accept(&mut audit, atomic((0..60).map(|_| large()).collect())).await;
            }
            for (order, actor, first) in [
                (Order::PositionAsc, "", 0),
                (Order::PositionDesc, "", 0),
                (Order::OccurredDesc, "large", 4000),
            ] {
                let filter = Some(EventFilter { actor: actor.to_owned(), ..EventFilter::default() });
                let request = QueryRequest { filter, order: order as i32, ..QueryRequest::default() };
                let mut positions = query(&mut audit, request).await.positions();
                positions.sort_unstable();
                assert_eq!(positions, (first..5200).collect::<Vec<_>>(), "{kind:?} {order:?}");
            }
            // The records of the large ones are 140 MiB, and a page was to hold 2,048 events.
            let memory = server.peak_memory() / 1024;
            assert!(memory < 200, "{kind:?}: {memory} MiB");
        });
    }
}
