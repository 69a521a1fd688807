//! Rows that were written before there was a column for the severity get it from their records, once, however
//! often `migrate` is ended and begun again, and whoever appends meanwhile.
use chancery::proto::v1::{Event, NewEvent, QueryRequest, TokenServerEvent, new_event::Family};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, atomic, everything, query},
    database::Database,
    events,
    server::{Server, chancery},
};

/// A value that older programs escaped in another way.
const ODD: &str = "a\u{fdd0}b";

fn odd() -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        details: [("scope".to_owned(), ODD.to_owned())].into(),
        ..TokenServerEvent::default()
    }))
}

fn migrate(store: &TestStore) {
    let ran = chancery().args(["migrate", "--store", &store.url]).output().expect("chancery migrate");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// Makes the schema what it was before the fourth migration, with the rows that are in it.
async fn undo(store: &TestStore) {
    let mut database = Database::open(store).await;
    let old = format!("\u{fdd0}scope\u{fdd1}{}\u{fdd0}", ODD.replace('\u{fdd0}', "\u{fdd2}0"));
    for statement in [
        "ALTER TABLE events DROP COLUMN severity".to_owned(),
        "ALTER TABLE log_head DROP COLUMN filled".to_owned(),
        "DELETE FROM _sqlx_migrations WHERE version = 4".to_owned(),
        format!(
            "UPDATE events SET attributes = '{old}' WHERE code = 'CONSENT_GIVEN' AND position % 256 = 255"
        ),
    ] {
        database.run(&statement).await;
    }
}

/// Asserts that every condition on the severity finds what the records say.
async fn assert_filled(store: &TestStore, kind: Kind) {
    let server = Server::start(store);
    let mut audit = server.audit().await;
    let all = everything(&mut audit, "").await;
    let severity = |event: &Event| event.severity.unwrap_or(0);
    let mut seen = std::collections::BTreeSet::new();
    for number in [0, 100, 301, 500, 601] {
        let expected: Vec<_> =
            all.iter().filter(|event| severity(event) == number).filter_map(|event| event.position).collect();
        seen.extend((!expected.is_empty()).then_some(number));
        let request = QueryRequest { r#where: format!("severity = {number}"), ..QueryRequest::default() };
        assert_eq!(query(&mut audit, request).await.positions(), expected, "{kind:?} {number}");
    }
    assert!(seen.len() >= 4, "{seen:?}");
    let expected: Vec<_> = all
        .iter()
        .filter(|event| event.attributes.iter().any(|each| each.value == ODD))
        .filter_map(|event| event.position)
        .collect();
    let request =
        QueryRequest { r#where: format!("attributes.scope = \"{ODD}\""), ..QueryRequest::default() };
    assert_eq!(query(&mut audit, request).await.positions(), expected, "{kind:?}");
    let mut database = Database::open(store).await;
    assert_eq!(database.number("SELECT count(*) FROM log_head WHERE filled < size").await, 0, "{kind:?}");
}

#[test]
fn rows_of_an_older_schema_are_filled_from_their_records() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = Server::start(&store);
            let mut audit = server.audit().await;
            // More than two batches of 256, with the odd value at the end of one.
            for _ in 0..3 {
                let examples = events::examples("cms_audit")
                    .into_iter()
                    .map(|event| NewEvent { event_id: events::fresh_id(), ..event });
                let mut batch: Vec<_> = examples.cycle().take(255).collect();
                for event in &mut batch {
                    event.event_id = events::fresh_id();
                }
                batch.push(odd());
                accept(&mut audit, atomic(batch)).await;
            }
            drop(server);
            undo(&store).await;
            migrate(&store);
            assert_filled(&store, kind).await;

            // Ended half-way.
            let mut database = Database::open(&store).await;
            database.run("UPDATE events SET severity = 0 WHERE position >= 256").await;
            database.run("UPDATE log_head SET filled = 256").await;
            migrate(&store);
            assert_filled(&store, kind).await;

            // A program of the older schema has appended the last ten, and then a newer one some more.
            database.run("UPDATE events SET severity = 0 WHERE position >= 758").await;
            database.run("UPDATE log_head SET filled = 758").await;
            let server = Server::start(&store);
            let mut audit = server.audit().await;
            if kind == Kind::Postgres {
                let request = QueryRequest {
                    r#where: "position >= 758 severity:*".to_owned(),
                    ..QueryRequest::default()
                };
                assert!(query(&mut audit, request).await.events.is_empty(), "only migrate fills");
            }
            accept(&mut audit, atomic(vec![events::hold("5000")])).await;
            drop(server);
            migrate(&store);
            assert_filled(&store, kind).await;
        });
    }
}

/// What the new programs append needs no filling, in any log.
#[test]
fn an_append_leaves_nothing_to_fill() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for log in ["main", "other"] {
                for _ in 0..3 {
                    let request = chancery::proto::v1::AppendRequest {
                        log: log.to_owned(),
                        ..atomic(vec![events::hold("5000"), odd()])
                    };
                    accept(&mut audit, request).await;
                }
            }
            let mut database = Database::open(&store).await;
            let done =
                database.number("SELECT count(*) FROM log_head WHERE filled = size AND size = 6").await;
            assert_eq!(done, 2, "{kind:?}");
        });
    }
}
