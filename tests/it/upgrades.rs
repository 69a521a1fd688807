//! Schemas and programs of different releases, and `migrate` run twice, at once, and killed.
use std::{process::Command, time::Duration};

use chancery::proto::v1::AppendResult;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, append, atomic, everything},
    cli::{Ran, run_for},
    database::Database,
    events, postgres, previous,
    server::{Server, chancery},
};

/// A store that nobody has migrated.
fn empty(kind: Kind) -> TestStore {
    match kind {
        Kind::Postgres => TestStore::at(kind, &postgres::database()),
        Kind::Sqlite => {
            let mut store = TestStore::at(kind, "");
            store.url = format!("sqlite:{}", store.folder.path().join("chancery.db").display());
            store
        }
    }
}

fn program(previous: bool) -> Command {
    if previous { Command::new(previous::program()) } else { chancery() }
}

fn migrate(store: &TestStore, previous: bool) -> Ran {
    let mut command = program(previous);
    run_for(command.args(["migrate", "--store", &store.url]), "", Duration::from_secs(60)).expect("an end")
}

fn serve(store: &TestStore, previous: bool) -> Ran {
    let mut command = program(previous);
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    run_for(command.args(["--store", &store.url]), "", Duration::from_secs(30)).expect("an end")
}

/// Asserts that every migration was applied, once.
async fn assert_migrated(store: &TestStore) {
    let mut database = Database::open(store).await;
    for (query, number) in [
        ("SELECT count(*) FROM _sqlx_migrations WHERE success", previous::SCHEMA),
        ("SELECT max(version) FROM _sqlx_migrations", previous::SCHEMA),
        ("SELECT count(*) FROM schema_floor", 1),
    ] {
        assert_eq!(database.number(query).await, number, "{:?} {query}", store.kind);
    }
}

#[test]
fn migrate_runs_at_once_and_again() {
    for kind in KINDS {
        let store = empty(kind);
        let running: Vec<_> = (0..4)
            .map(|_| {
                let mut command = chancery();
                command.args(["migrate", "--store", &store.url]);
                std::thread::spawn(move || {
                    run_for(&mut command, "", Duration::from_secs(60)).expect("an end")
                })
            })
            .collect();
        for ran in running {
            let ran = ran.join().expect("a run");
            assert_eq!(ran.code, 0, "{kind:?} {ran:?}");
        }
        block_on(assert_migrated(&store));
        let again = migrate(&store, false);
        assert_eq!(again.code, 0, "{kind:?} {again:?}");
        block_on(assert_migrated(&store));
    }
}

#[test]
fn migrate_that_was_killed_runs_again() {
    for kind in KINDS {
        for delay in [1, 5, 10, 15, 20, 30] {
            let store = empty(kind);
            let mut child =
                chancery().args(["migrate", "--store", &store.url]).spawn().expect("chancery migrate");
            std::thread::sleep(Duration::from_millis(delay));
            child.kill().expect("SIGKILL");
            child.wait().expect("an end");
            let again = migrate(&store, false);
            assert_eq!(again.code, 0, "{kind:?} after {delay} ms: {again:?}");
            block_on(assert_migrated(&store));
        }
    }
}

/// Held up in the middle of a migration by somebody else's table, and killed there.
#[test]
fn migrate_that_was_killed_inside_a_migration_runs_again() {
    let store = empty(Kind::Postgres);
    block_on(async {
        let mut other = Database::open(&store).await;
        other.run("BEGIN").await;
        other.run("CREATE TABLE legal_holds (log TEXT)").await;
        let mut child =
            chancery().args(["migrate", "--store", &store.url]).spawn().expect("chancery migrate");
        let mut watch = Database::open(&store).await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND application_name = 'chancery' AND wait_event_type = 'Lock'";
        while watch.number(waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(watch.number("SELECT max(version) FROM _sqlx_migrations").await, 7);
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
        other.run("ROLLBACK").await;
    });
    let again = migrate(&store, false);
    assert_eq!(again.code, 0, "{again:?}");
    block_on(assert_migrated(&store));
}

#[test]
fn programs_of_two_releases_take_turns_on_a_sqlite_file() {
    let store = TestStore::new(Kind::Sqlite);
    let wrapper = previous::wrapper();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    block_on(async {
        let mut batches = Vec::new();
        for turn in 0..4 {
            if turn == 2 {
                previous::expand(&store).await;
            }
            let server = Server::start_under(&store, if turn % 2 == 0 { &[] } else { &wrapper }, &[]);
            let mut audit = server.audit().await;
            for (batch, positions) in &batches {
                let answer = append(&mut audit, atomic(Clone::clone(batch))).await;
                for (result, position) in answer.results.iter().zip(positions) {
                    assert_eq!(result.result(), AppendResult::Duplicate, "turn {turn}");
                    assert_eq!(result.position.as_ref(), Some(position), "turn {turn}");
                }
            }
            let batch = vec![events::hold("1"), events::hold("2")];
            let positions = accept(&mut audit, atomic(batch.clone())).await;
            batches.push((batch, positions));
            assert_eq!(everything(&mut audit, "").await.len(), 2 * batches.len(), "turn {turn}");
        }
    });
}

#[test]
fn a_schema_that_takes_newer_programs_only_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(previous::expand(&store));
        for previous in [false, true] {
            let ran = migrate(&store, previous);
            assert_eq!(ran.code, 0, "{kind:?}, the last release: {previous}: {ran:?}");
        }
        block_on(previous::contract(&store));
        for previous in [false, true] {
            for ran in [serve(&store, previous), migrate(&store, previous)] {
                assert_eq!(ran.code, 1, "{kind:?}, the last release: {previous}: {ran:?}");
                let told = "the schema is newer than this program: it takes programs made for schema 11 or newer, \
                            this one is made for 9; install the newer program";
                assert!(ran.err.contains(told), "{ran:?}");
            }
        }
    }
}

#[test]
fn a_schema_of_another_program_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let checksum = if kind == Kind::Sqlite { "x'00'" } else { "'\\x00'" };
            let other = format!("UPDATE _sqlx_migrations SET checksum = {checksum} WHERE version = 7");
            Database::open(&store).await.run(&other).await;
        });
        for ran in [serve(&store, false), migrate(&store, false)] {
            assert_eq!(ran.code, 1, "{kind:?} {ran:?}");
            assert!(ran.err.contains("its migration 7 is another one"), "{kind:?} {ran:?}");
        }
    }
}
