//! The builder of a running server: it is killed and goes on, and two of them share a log.
use std::time::{Duration, Instant};

use chancery::proto::v1::{
    CountEventsRequest, Event, EventFilter, Order, QueryRequest, audit_service_client::AuditServiceClient,
};
use tonic::transport::Channel;

use super::{Dice, micros, numbered};
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, atomic, everything, query},
    database::Database,
    metrics::metrics,
    server::Server,
};

/// Two segments of a server and a tail.
const EVENTS: u64 = 34_000;
const INDEXED: i64 = 2 << 14;

async fn fill(audits: &mut [AuditServiceClient<Channel>]) {
    let mut dice = Dice(1);
    for batch in 0..EVENTS / 1000 {
        let events = (batch * 1000..(batch + 1) * 1000).map(|number| numbered(number, &mut dice)).collect();
        let at = usize::try_from(batch).expect("small") % audits.len();
        accept(&mut audits[at], atomic(events)).await;
    }
}

async fn indexed(test: &TestStore) {
    let mut database = Database::open(test).await;
    let begun = Instant::now();
    while database.number("SELECT coalesce(max(indexed), 0) FROM index_heads").await < INDEXED {
        assert!(begun.elapsed() < Duration::from_secs(120), "the log is not indexed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counted = "SELECT CAST(sum(count) AS BIGINT) FROM event_counts";
    assert_eq!(database.number(counted).await, INDEXED);
    let covered = "SELECT CAST(sum(1 << CAST(level AS INTEGER)) AS BIGINT) FROM index_runs WHERE state = 1";
    assert_eq!(database.number(covered).await, INDEXED);
    let zones = "SELECT CAST(sum(next - first) AS BIGINT) FROM index_zones";
    assert_eq!(database.number(zones).await, INDEXED);
}

/// Queries and counts by the index are those of the events themselves.
async fn check(server: &Server, all: &[Event]) {
    let mut audit = server.audit().await;
    let positions = |rule: &dyn Fn(&&Event) -> bool| -> Vec<u64> {
        all.iter().filter(rule).filter_map(|event| event.position).collect()
    };
    let empty = EventFilter::default;
    for (filter, mut expected) in [
        (
            EventFilter { device: "device-7".to_owned(), ..empty() },
            positions(&|event| event.device == "device-7"),
        ),
        (
            EventFilter { device: "device-burst".to_owned(), ..empty() },
            positions(&|event| event.device == "device-burst"),
        ),
        (
            EventFilter {
                codes: vec!["CONSENT_CSRF_INVALID".to_owned()],
                actor: "user-3".to_owned(),
                ..empty()
            },
            positions(&|event| event.code == "CONSENT_CSRF_INVALID" && event.actor == "user-3"),
        ),
        (
            EventFilter { correlation_id: "request-11000".to_owned(), ..empty() },
            positions(&|event| event.correlation_id == "request-11000"),
        ),
    ] {
        assert!(!expected.is_empty(), "{filter:?}");
        for order in [Order::PositionAsc, Order::PositionDesc, Order::OccurredDesc] {
            match order {
                Order::PositionAsc | Order::Unspecified => {}
                Order::PositionDesc => expected.reverse(),
                Order::OccurredDesc => expected.sort_by_key(|position| {
                    let event = &all[usize::try_from(*position).expect("small")];
                    std::cmp::Reverse((micros(event.occurred_at.as_ref()), *position))
                }),
            }
            let request =
                QueryRequest { filter: Some(filter.clone()), order: order as i32, ..QueryRequest::default() };
            assert_eq!(
                query(&mut audit, request.clone()).await.positions(),
                expected,
                "{order:?} {filter:?}"
            );
            // In pieces, each continued by its token.
            let (mut read, mut token) = (Vec::new(), String::new());
            while read.len() < expected.len() {
                let limit = expected.len() as u64 / 3 + 1;
                let part = QueryRequest { limit, resume_token: token, ..request.clone() };
                let answer = query(&mut audit, part).await;
                read.extend(answer.positions());
                token = answer.last_token;
            }
            assert_eq!(read, expected, "{order:?} {filter:?}");
        }
        let count = CountEventsRequest { filter: Some(filter), ..CountEventsRequest::default() };
        let counted = audit.count_events(count).await.expect("a count").into_inner();
        assert_eq!(counted.total, expected.len() as u64);
    }
    let count = CountEventsRequest { group_by: vec!["code".to_owned()], ..CountEventsRequest::default() };
    let counted = audit.count_events(count).await.expect("a count").into_inner();
    assert_eq!(counted.total, all.len() as u64);
}

#[test]
fn a_builder_that_is_killed_goes_on_where_it_was() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let server = Server::start(&test);
            fill(&mut [server.audit().await]).await;
            drop(server);
            // What the first server has built is taken back, as if the log came from an older program.
            let mut database = Database::open(&test).await;
            for table in ["index_heads", "index_runs", "index_postings", "index_zones", "event_counts"] {
                database.run(&format!("DELETE FROM {table}")).await;
            }
            for pause in [0, 50, 150, 400, 20] {
                let server = Server::start(&test);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                drop(server);
            }
            let server = Server::start(&test);
            let all = everything(&mut server.audit().await, "").await;
            check(&server, &all).await;
            indexed(&test).await;
            check(&server, &all).await;
            assert!(!server.log().contains("indexing has stopped"), "{}", server.log());
        });
    }
}

#[test]
fn two_servers_index_every_segment_once() {
    let test = TestStore::new(Kind::Postgres);
    block_on(async {
        let servers = [Server::start(&test), Server::start(&test)];
        let mut audits = Vec::new();
        for server in &servers {
            audits.push(server.audit().await);
        }
        fill(&mut audits).await;
        let all = everything(&mut audits[0], "").await;
        check(&servers[1], &all).await;
        indexed(&test).await;
        let mut segments = 0.0;
        for server in &servers {
            check(server, &all).await;
            segments += metrics(server).await["chancery_index_segments_total"];
            assert!(!server.log().contains("indexing has stopped"), "{}", server.log());
        }
        assert!((segments - 2.0).abs() < 0.1, "{segments} segments");
    });
}
