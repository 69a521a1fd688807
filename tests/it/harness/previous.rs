//! The program of the last release, and schemas of releases that are still to come.
use std::path::{Path, PathBuf};

use super::{Kind, TestStore, database::Database, root};

/// The schema of both programs.
pub const SCHEMA: i64 = 9;

/// The binary that `./test.sh` has built, or that `CHANCERY_TEST_PREVIOUS` names.
pub fn program() -> PathBuf {
    if let Ok(path) = std::env::var("CHANCERY_TEST_PREVIOUS") {
        return path.into();
    }
    // target/debug/chancery, beside which lies target/previous.
    let target = Path::new(env!("CARGO_BIN_EXE_chancery")).ancestors().nth(2).expect("the target folder");
    let folder = target.join("previous");
    let recorded = std::fs::read_to_string(root().join("tests/previous-release")).expect("the last release");
    let wanted = recorded.split_whitespace().nth(1).expect("a commit");
    let built = std::fs::read_to_string(folder.join("commit")).unwrap_or_default();
    assert_eq!(
        built.trim(),
        wanted,
        "the program of the last release is not in {}: ./test.sh builds it, or set CHANCERY_TEST_PREVIOUS",
        folder.display()
    );
    folder.join("chancery")
}

/// What `Server::start_under` is to run the last release's program under.
pub fn wrapper() -> [String; 4] {
    let run = format!("shift; exec '{}' \"$@\"", program().display());
    ["sh".to_owned(), "-c".to_owned(), run, "previous".to_owned()]
}

/// Applies a migration that only adds, as a release to come may, and that neither program knows.
pub async fn expand(store: &TestStore) {
    let mut database = Database::open(store).await;
    database.run("BEGIN").await;
    database
        .run(
            "ALTER TABLE log_head ADD COLUMN of_later BIGINT NOT NULL DEFAULT 7"
                .replace("BIGINT", number(store))
                .as_str(),
        )
        .await;
    database.run("ALTER TABLE producers ADD COLUMN of_later TEXT").await;
    database.run("CREATE TABLE of_later (log TEXT PRIMARY KEY)").await;
    applied(&mut database, store, SCHEMA + 1).await;
    database.run("COMMIT").await;
}

/// Applies a migration that takes something away from every program made for an older schema.
pub async fn contract(store: &TestStore) {
    let mut database = Database::open(store).await;
    database.run("BEGIN").await;
    if store.kind == Kind::Postgres {
        database.run("LOCK TABLE log_head IN ACCESS EXCLUSIVE MODE").await;
    }
    database.run(&format!("UPDATE schema_floor SET oldest = {}", SCHEMA + 2)).await;
    applied(&mut database, store, SCHEMA + 2).await;
    database.run("COMMIT").await;
}

fn number(store: &TestStore) -> &'static str {
    if store.kind == Kind::Sqlite { "INTEGER" } else { "BIGINT" }
}

async fn applied(database: &mut Database, store: &TestStore, version: i64) {
    let checksum = if store.kind == Kind::Sqlite { "x'00'" } else { "'\\x00'" };
    database
        .run(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES ({version}, 'of later', TRUE, {checksum}, 0)"
        ))
        .await;
}
