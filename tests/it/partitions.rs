//! PostgreSQL keeps the events in partitions of 2^24 positions, made by the append that needs one.
use chancery::proto::v1::{GetEventRequest, Order, QueryRequest};

use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, atomic, query},
    database::Database,
    events,
    metrics::metrics,
    server::Server,
    until,
};

const FIRST: u64 = (1 << 24) - 1;

#[test]
fn an_append_over_the_edge_of_a_partition_makes_the_next_one() {
    let store = TestStore::new(Kind::Postgres);
    block_on(async {
        let mut database = Database::open(&store).await;
        database.pretend("main", FIRST).await;
        let server = Server::start(&store);
        let mut audit = server.audit().await;
        let batch: Vec<_> = (0..3).map(|number| events::hold(&format!("device-{number}"))).collect();
        assert_eq!(accept(&mut audit, atomic(batch.clone())).await, [FIRST, FIRST + 1, FIRST + 2]);
        let parts = "SELECT tableoid::regclass::text FROM events WHERE log = 'main' ORDER BY position";
        assert_eq!(database.texts(parts).await, ["events_p0", "events_p1", "events_p1"]);
        for order in [Order::PositionAsc, Order::PositionDesc, Order::OccurredDesc] {
            let request = QueryRequest { order: order as i32, ..QueryRequest::default() };
            let mut expected = vec![FIRST, FIRST + 1, FIRST + 2];
            if order != Order::PositionAsc {
                expected.reverse();
            }
            let whole = query(&mut audit, request.clone()).await;
            assert_eq!(whole.positions(), expected);
            for (at, token) in whole.tokens.iter().enumerate() {
                let resumed = QueryRequest { resume_token: token.clone(), ..request.clone() };
                assert_eq!(query(&mut audit, resumed).await.positions(), expected[at + 1..]);
            }
        }
        // Keys are in one table: a duplicate is found whatever partition its event lies in.
        let get = GetEventRequest {
            producer: "anonymous".to_owned(),
            event_id: batch[2].event_id.clone(),
            ..GetEventRequest::default()
        };
        let found = audit.get_event(get).await.expect("the event").into_inner().event.expect("the event");
        assert_eq!(found.position, Some(FIRST + 2));
        // Another log's first event goes to the first partition, which is there.
        let other = chancery::proto::v1::AppendRequest { log: "other".to_owned(), ..atomic(batch) };
        assert_eq!(accept(&mut audit, other).await, [0, 1, 2]);
    });
}

#[test]
fn a_log_far_ahead_does_not_hide_that_another_ones_partition_is_missing() {
    let store = TestStore::new(Kind::Postgres);
    block_on(async {
        let mut database = Database::open(&store).await;
        database.pretend("main", 3 << 24).await;
        let server = Server::start(&store);
        let mut audit = server.audit().await;
        assert_eq!(accept(&mut audit, atomic(vec![events::hold("device-0")])).await, [3 << 24]);
        let connection = "SELECT pid::bigint FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'chancery' AND query = 'COMMIT'";
        let first = database.number(connection).await;
        let other = |device: &str| chancery::proto::v1::AppendRequest {
            log: "other".to_owned(),
            ..atomic(vec![events::hold(device)])
        };
        assert_eq!(accept(&mut audit, other("device-1")).await, [0]);
        // Nothing failed on the way: the same connection is still in use.
        assert_eq!(database.number(connection).await, first);
    });
}

/// Whatever keeps the next one from being made is told of long before there is no room.
#[test]
fn a_partition_that_cannot_be_made_ahead_stops_nobody_while_there_is_room() {
    let store = TestStore::new(Kind::Postgres);
    block_on(async {
        let mut database = Database::open(&store).await;
        let head = (1 << 24) - 200_000;
        database.pretend("main", head).await;
        let server = Server::start(&store);
        let mut audit = server.audit().await;
        // The first one is made by another log.
        let first = chancery::proto::v1::AppendRequest {
            log: "other".to_owned(),
            ..atomic(vec![events::hold("device-1")])
        };
        accept(&mut audit, first).await;
        let mut other = Database::open(&store).await;
        other.run("BEGIN").await;
        other.run("LOCK TABLE events_shared IN SHARE UPDATE EXCLUSIVE MODE").await;
        for at in 0..3 {
            assert_eq!(accept(&mut audit, atomic(vec![events::hold("device-1")])).await, [head + at]);
        }
        let told = |text: &str| server.log().matches(text).count();
        // Not with each append.
        assert!((1..3).contains(&told("no partition can be made ahead")), "{}", server.log());
        let metric = "chancery_partition_positions_left";
        until("told by a metric", async || {
            metrics(&server).await.get(metric).is_some_and(|left| *left < 200_001.0)
        })
        .await;
        other.run("ROLLBACK").await;
        until("made", async || {
            accept(&mut audit.clone(), atomic(vec![events::hold("device-1")])).await;
            let made = "SELECT count(*) FROM pg_inherits WHERE inhrelid = to_regclass('events_p1')";
            Database::open(&store).await.number(made).await == 1
        })
        .await;
    });
}
