//! Three orders, and resume tokens that continue each of them exactly: no gap, no repeat.
use chancery::proto::v1::{EndReason, EventFamily, EventFilter, NewEvent, Order, QueryRequest};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Answer, Audit, Refusal, accept, atomic, everything, query, try_query},
    events,
    server::Server,
};

const ORDERS: [Order; 3] = [Order::PositionAsc, Order::PositionDesc, Order::OccurredDesc];

/// Event number `number`: times go up and down, and every third is one of a few that tie.
fn numbered(number: i64) -> NewEvent {
    let mut event = match number % 2 {
        0 => events::hold(&format!("device-{number}")),
        _ => events::token("CONSENT_GIVEN"),
    };
    let time = if number % 3 == 0 { number % 4 } else { number * 7919 % 1000 };
    event.occurred_at = Some(pbjson_types::Timestamp {
        seconds: 1_780_000_000 + time / 10,
        nanos: i32::try_from(time % 10).expect("a digit") * 1_000,
    });
    event
}

async fn fill(audit: &mut Audit, numbers: std::ops::Range<i64>) {
    accept(audit, atomic(numbers.map(numbered).collect())).await;
}

fn ordered(order: Order) -> QueryRequest {
    QueryRequest { order: order as i32, ..QueryRequest::default() }
}

/// Positions of all events in an order, from an unordered reading.
async fn expected(audit: &mut Audit, order: Order) -> Vec<u64> {
    let mut all: Vec<_> = everything(audit, "")
        .await
        .into_iter()
        .map(|event| {
            let time = event.occurred_at.expect("a time");
            ((time.seconds, time.nanos), event.position.expect("a position"))
        })
        .collect();
    match order {
        Order::PositionDesc => all.reverse(),
        Order::OccurredDesc => all.sort_by(|left, right| right.cmp(left)),
        Order::Unspecified | Order::PositionAsc => {}
    }
    all.into_iter().map(|(_, position)| position).collect()
}

fn resumed(request: &QueryRequest, token: &str, limit: u64) -> QueryRequest {
    QueryRequest { resume_token: token.to_owned(), limit, ..request.clone() }
}

#[test]
fn every_order_is_kept_over_many_pages() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            // More than two pages of 512.
            fill(&mut audit, 0..900).await;
            fill(&mut audit, 900..1300).await;
            for order in ORDERS {
                let expected = expected(&mut audit, order).await;
                assert_eq!(expected.len(), 1300);
                let answer = query(&mut audit, ordered(order)).await;
                assert_eq!(answer.positions(), expected, "{kind:?} {order:?}");
                for limit in [1, 511, 512, 513, 1299, 1300, 1301] {
                    let limited = query(&mut audit, QueryRequest { limit, ..ordered(order) }).await;
                    let most = usize::try_from(limit).expect("a small number").min(1300);
                    assert_eq!(limited.positions(), expected[..most], "{kind:?} {order:?} {limit}");
                }
            }
        });
    }
}

#[test]
fn the_summary_tells_what_the_query_did() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            fill(&mut audit, 0..100).await;
            let filter = EventFilter {
                families: vec![EventFamily::CmsAudit as i32],
                codes: vec!["20018".to_owned(), "say \"hi\"".to_owned()],
                ..EventFilter::default()
            };
            for order in ORDERS {
                let request = QueryRequest { filter: Some(filter.clone()), ..ordered(order) };
                let whole = query(&mut audit, request.clone()).await.summary;
                assert_eq!((whole.returned, whole.head_position), (50, 100));
                assert_eq!(whole.scanned, if order == Order::OccurredDesc { 50 } else { 100 }, "{order:?}");
                assert_eq!(whole.end_reason(), EndReason::Complete);
                let family = "family = EVENT_FAMILY_CMS_AUDIT";
                let codes = "(code = \"20018\" OR code = \"say \\\"hi\\\"\")";
                assert_eq!(whole.filter, format!("{family} AND {codes}"));
                let part = query(&mut audit, QueryRequest { limit: 10, ..request }).await.summary;
                assert_eq!((part.returned, part.head_position), (10, 100));
                assert_eq!(part.end_reason(), EndReason::Limit);
            }
            let empty = QueryRequest { log: "empty".to_owned(), ..QueryRequest::default() };
            let empty = query(&mut audit, empty).await.summary;
            assert_eq!((empty.returned, empty.scanned, empty.head_position), (0, 0, 0));
            assert_eq!((empty.end_reason(), empty.filter.as_str()), (EndReason::Complete, ""));
        });
    }
}

#[test]
fn a_token_of_any_message_continues_after_it_also_after_a_restart() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let filter = EventFilter { text: "e".to_owned(), ..EventFilter::default() };
        let request = |order| QueryRequest { filter: Some(filter.clone()), ..ordered(order) };
        let whole: Vec<Answer> = block_on(async {
            let mut audit = server.audit().await;
            fill(&mut audit, 0..60).await;
            let mut whole = Vec::new();
            for order in ORDERS {
                whole.push(query(&mut audit, request(order)).await);
            }
            whole
        });
        let check = |server: &Server| {
            block_on(async {
                let mut audit = server.audit().await;
                for (order, whole) in ORDERS.into_iter().zip(&whole) {
                    let positions = whole.positions();
                    assert_eq!(positions.len(), 60);
                    for (at, token) in whole.tokens.iter().enumerate() {
                        let rest = query(&mut audit, resumed(&request(order), token, 0)).await;
                        assert_eq!(rest.positions(), positions[at + 1..], "{kind:?} {order:?} after {at}");
                    }
                    let nothing = query(&mut audit, resumed(&request(order), &whole.last_token, 0)).await;
                    assert!(nothing.events.is_empty(), "{order:?}");
                    // Seven at a time, by the token of each summary.
                    let (mut read, mut token) = (Vec::new(), String::new());
                    loop {
                        let part = query(&mut audit, resumed(&request(order), &token, 7)).await;
                        read.extend(part.positions());
                        token.clone_from(&part.last_token);
                        if part.summary.end_reason() == EndReason::Complete {
                            break;
                        }
                    }
                    assert_eq!(read, positions, "{kind:?} {order:?}");
                }
            });
        };
        check(&server);
        drop(server);
        check(&Server::start(&store));
    }
}

#[test]
fn ascending_goes_on_to_new_events_and_descending_stays_below_its_head() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            fill(&mut audit, 0..30).await;
            let mut halves = Vec::new();
            for order in ORDERS {
                let before = query(&mut audit, ordered(order)).await;
                let half = query(&mut audit, QueryRequest { limit: 15, ..ordered(order) }).await;
                halves.push((order, before, half));
            }
            fill(&mut audit, 30..45).await;
            for (order, before, half) in halves {
                let mut positions = before.positions();
                if order == Order::PositionAsc {
                    positions.extend(30..45);
                }
                let rest = query(&mut audit, resumed(&ordered(order), &half.last_token, 0)).await;
                assert_eq!([half.positions(), rest.positions()].concat(), positions, "{kind:?} {order:?}");
                let later = query(&mut audit, resumed(&ordered(order), &before.last_token, 0)).await;
                assert_eq!(later.positions(), positions[30..], "{kind:?} {order:?}");
            }
        });
    }
}

#[test]
fn a_token_is_refused_for_another_query_and_when_damaged() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            fill(&mut audit, 0..10).await;
            let filter = |text: &str| Some(EventFilter { text: text.to_owned(), ..EventFilter::default() });
            for order in ORDERS {
                let request = QueryRequest { filter: filter("consent"), limit: 2, ..ordered(order) };
                let token = query(&mut audit, request.clone()).await.last_token;
                let other_order = ORDERS[(order as usize) % 3];
                for other in [
                    QueryRequest { filter: filter("Consent!"), ..request.clone() },
                    QueryRequest { filter: None, ..request.clone() },
                    QueryRequest { log: "other".to_owned(), ..request.clone() },
                    QueryRequest { order: other_order as i32, ..request.clone() },
                ] {
                    let status =
                        try_query(&mut audit, resumed(&other, &token, 0)).await.expect_err("refused");
                    let refusal = Refusal::of(&status);
                    assert_eq!(refusal.code, Code::InvalidArgument);
                    assert_eq!(refusal.reason, "RESUME_TOKEN_OF_ANOTHER_QUERY", "{other:?}");
                    assert_eq!(refusal.fields(), ["resume_token"]);
                }
                let mut damaged: Vec<String> = (0..token.len())
                    .map(|at| {
                        let each = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
                        format!("{}{each}{}", &token[..at], &token[at + 1..])
                    })
                    .collect();
                damaged.extend([
                    format!("{token}A"),
                    token[..token.len() - 1].to_owned(),
                    "x".to_owned(),
                    "é\n".to_owned(),
                ]);
                for damaged in damaged {
                    let status =
                        try_query(&mut audit, resumed(&request, &damaged, 0)).await.expect_err(&damaged);
                    let refusal = Refusal::of(&status);
                    assert_eq!(refusal.code, Code::InvalidArgument);
                    assert_eq!(refusal.reason, "INVALID_RESUME_TOKEN", "{damaged}");
                }
            }
            let status = try_query(&mut audit, QueryRequest { order: 9, ..QueryRequest::default() }).await;
            assert_eq!(Refusal::of(&status.expect_err("an unknown order")).reason, "INVALID_ORDER");
        });
    }
}
