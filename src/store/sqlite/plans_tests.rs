//! What SQLite says it does for every kind of read: by a key, within bounds, in its order.
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection};

use super::{DIALECT, SqliteStore, options};
use crate::{
    event::LogName,
    proto::v1::{AttributeMatch, EventFilter, TimeRange},
    query::predicate::Predicate,
    store::{
        CountRequest, GroupColumn, PageRequest, PageStart, RollupRequest, Store as _, Times,
        sql::{self, Statement},
    },
};

/// Filters of every kind.
fn predicates() -> Vec<Predicate> {
    let empty = EventFilter::default;
    let at = |seconds| Some(pbjson_types::Timestamp { seconds, nanos: 0 });
    let range = Some(TimeRange { start: at(5), end: at(9) });
    let filters = [
        empty(),
        EventFilter { families: vec![1], outcomes: vec![2, 3], ..empty() },
        EventFilter { codes: vec!["a".to_owned(), "b".to_owned()], ..empty() },
        EventFilter { device: "a".to_owned(), actor: "b".to_owned(), ..empty() },
        EventFilter {
            attributes: vec![AttributeMatch { name: "a".to_owned(), value: "b".to_owned() }],
            ..empty()
        },
        EventFilter { text: "a".to_owned(), ..empty() },
        EventFilter { occurred: range, ..empty() },
        EventFilter { received: range, occurred: range, device: "a".to_owned(), ..empty() },
    ];
    filters.iter().map(|filter| Predicate::of(Some(filter), "").expect("a filter")).collect()
}

/// Each step of a statement.
async fn plan(connection: &mut SqliteConnection, text: &str) -> Vec<String> {
    let explained = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
    let rows = explained.fetch_all(connection).await.expect("a plan");
    rows.iter().map(|row| row.get(3)).collect()
}

fn requests<'a>(log: &'a LogName, predicate: &'a Predicate) -> Vec<PageRequest<'a>> {
    let request = |start, until, positions| PageRequest {
        log,
        predicate,
        start,
        floor: 3,
        head: 9,
        until,
        positions,
        limit: 5,
    };
    let earlier = PageStart::Earlier { occurred_at: 7, position: 3 };
    vec![
        request(PageStart::From(3), None, None),
        request(PageStart::Below(9), None, None),
        request(PageStart::From(3), None, Some(&[4, 5])),
        request(PageStart::Below(9), None, Some(&[5, 4])),
        request(earlier, Some((1, 2)), None),
    ]
}

fn assert_keyed(statement: &Statement, steps: &[String], expected: &str) {
    let events: Vec<_> = steps.iter().filter(|step| step.contains(" events")).collect();
    assert!(!events.is_empty(), "{steps:?}\n{}", statement.text);
    for step in &events {
        assert!(step.contains(expected), "{steps:?}\n{}", statement.text);
    }
}

#[tokio::test]
async fn every_read_goes_by_a_key_within_its_bounds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plans.db");
    let store = SqliteStore::open(&path).await.expect("a store");
    store.migrate().await.expect("a schema");
    let mut connection = options(&path).connect().await.expect("a connection");
    let log = LogName::parse("main").expect("a log");
    const RANGE: &str = "USING PRIMARY KEY (log=? AND position>? AND position<?)";
    const SOME: &str = "USING PRIMARY KEY (log=? AND position=?)";
    const TIME: &str =
        "events_occurred (log=? AND (occurred_at,position)>(?,?) AND (occurred_at,position)<(?,?))";
    const TILE: &str = "sqlite_autoindex_tiles_1 (log=? AND level=? AND tile=?)";
    const CHECKPOINT: &str = "sqlite_autoindex_checkpoints_1 (log=? AND tree_size=?)";
    for predicate in predicates() {
        for request in requests(&log, &predicate) {
            let expected = match (request.until, request.positions) {
                (Some(_), _) => TIME,
                (None, Some(_)) => SOME,
                (None, None) => RANGE,
            };
            for statement in [sql::page(DIALECT, &request), sql::moments(DIALECT, &request)] {
                let steps = plan(&mut connection, &statement.text).await;
                assert_keyed(&statement, &steps, expected);
                let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
                assert_eq!(sorts, request.positions.is_some(), "{steps:?}");
            }
        }
        for positions in [None, Some([4, 5].as_slice())] {
            let count = CountRequest {
                log: &log,
                predicate: &predicate,
                group_by: &[GroupColumn::Code],
                bucket: Some(7),
                floor: 3,
                head: 9,
                positions,
                limit: 5,
            };
            let statement = sql::count(DIALECT, &count);
            let steps = plan(&mut connection, &statement.text).await;
            assert_keyed(&statement, &steps, if positions.is_some() { SOME } else { RANGE });
        }
    }
    let all = Predicate::All(Vec::new());
    let count = CountRequest {
        log: &log,
        predicate: &all,
        group_by: &[],
        bucket: None,
        floor: 0,
        head: 0,
        positions: None,
        limit: 5,
    };
    let request = RollupRequest { count, occurred: Times { from: 1, to: 9_000_000_000 } };
    let statement = sql::rollup(DIALECT, &request);
    let steps = plan(&mut connection, &statement.text).await;
    assert_keyed(&statement, &steps, "events_occurred (log=? AND occurred_at>? AND occurred_at<?)");
    let counts = steps
        .iter()
        .any(|step| step.contains("event_counts USING PRIMARY KEY (log=? AND hour>? AND hour<?)"));
    assert!(counts, "{steps:?}");
    for (text, expected) in [
        (include_str!("down.sql"), TIME),
        (include_str!("index_segments.sql"), "index_zones USING PRIMARY KEY (log=? AND first>? AND first<?)"),
        (
            include_str!("index_lookup.sql"),
            "rows USING PRIMARY KEY (log=? AND level=? AND first=? AND kind=? AND key=?)",
        ),
        (
            include_str!("index_slice.sql"),
            "rows USING PRIMARY KEY (log=? AND level=? AND first=? AND kind=? AND key>? AND key<?)",
        ),
        (include_str!("index_events.sql"), RANGE),
        (include_str!("leaf_hashes.sql"), RANGE),
        (
            include_str!("full_tiles.sql"),
            "tiles USING COVERING INDEX sqlite_autoindex_tiles_1 (log=? AND level=?)",
        ),
        (include_str!("tiles.sql"), TILE),
        (include_str!("tile_roots.sql"), "(log=? AND level=? AND tile>? AND tile<?)"),
        (include_str!("checkpoint_newest.sql"), "sqlite_autoindex_checkpoints_1 (log=?)"),
        (include_str!("checkpoint_below.sql"), "sqlite_autoindex_checkpoints_1 (log=? AND tree_size<?)"),
        (include_str!("checkpoint_from.sql"), "sqlite_autoindex_checkpoints_1 (log=? AND tree_size>?)"),
        (include_str!("checkpoint_at.sql"), CHECKPOINT),
        (include_str!("checkpoint_replace.sql"), CHECKPOINT),
    ] {
        let steps = plan(&mut connection, text).await;
        assert!(steps.iter().any(|step| step.contains(expected)), "{steps:?}\n{text}");
        let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorts, "{steps:?}\n{text}");
    }
}
