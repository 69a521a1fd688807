//! SQL lives in files that say what they are, every statement prepares on its database, and the two
//! schemas are one.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqlSafeStr as _, SqliteConnection,
};

use crate::harness::{KINDS, Kind, TestStore, block_on, root};

/// Name and text of the `.sql` files of a folder, in order.
fn sql_files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            files.insert(name, fs::read_to_string(&path).expect("SQL"));
        }
    }
    assert!(!files.is_empty(), "{} holds no SQL", folder.display());
    files
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => "sqlite",
        Kind::Postgres => "postgres",
    }
}

fn statements(kind: Kind) -> BTreeMap<String, String> {
    sql_files(&root().join("src/store").join(name(kind)))
}

fn migrations(kind: Kind) -> BTreeMap<String, String> {
    sql_files(&root().join("migrations").join(name(kind)))
}

#[test]
fn a_statement_file_begins_with_its_name_and_purpose() {
    for kind in KINDS {
        for (name, text) in statements(kind) {
            let purpose = text.strip_prefix(&format!("-- {name}: "));
            let purpose = purpose.unwrap_or_else(|| panic!("{kind:?} {name}.sql begins with something else"));
            assert!(purpose.lines().next().is_some_and(|line| line.len() > 10), "{kind:?} {name}.sql");
        }
        for (name, text) in migrations(kind) {
            assert!(text.starts_with("-- "), "{kind:?} migration {name} does not say what it is");
        }
    }
}

/// A file that no source includes is not run by anyone, and a statement inside a source is not prepared
/// here.
#[test]
fn every_statement_file_is_used() {
    for kind in KINDS {
        let folder = root().join("src/store").join(name(kind));
        let mut source = String::new();
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                source.push_str(&fs::read_to_string(path).expect("a source"));
            }
        }
        for name in statements(kind).keys() {
            assert!(
                source.contains(&format!("include_str!(\"{name}.sql\")")),
                "{kind:?} {name}.sql is unused"
            );
        }
    }
}

#[test]
fn every_statement_prepares_on_its_database() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            for (name, text) in statements(kind) {
                let sql = AssertSqlSafe(text).into_sql_str();
                let prepared = match kind {
                    Kind::Sqlite => sqlite(&store).await.prepare(sql).await.map(drop),
                    Kind::Postgres => postgres(&store).await.prepare(sql).await.map(drop),
                };
                prepared.unwrap_or_else(|error| panic!("{kind:?} {name}.sql: {error}"));
            }
        });
    }
}

/// What the test above relies on.
#[test]
fn a_statement_of_another_schema_does_not_prepare() {
    block_on(async {
        let sql = || AssertSqlSafe("SELECT nothing FROM log_head".to_owned()).into_sql_str();
        let (one, other) = (TestStore::new(Kind::Sqlite), TestStore::new(Kind::Postgres));
        assert!(sqlite(&one).await.prepare(sql()).await.is_err());
        assert!(postgres(&other).await.prepare(sql()).await.is_err());
    });
}

#[test]
fn migrations_come_in_pairs_without_gaps() {
    let [sqlite, postgres] = KINDS.map(|kind| migrations(kind).into_keys().collect::<Vec<_>>());
    assert_eq!(sqlite, postgres);
    for (at, name) in sqlite.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", at + 1)), "{name} is migration {}", at + 1);
    }
}

/// A column: its place, its name, its kind of value, whether it may be NULL, its place in the primary
/// key.
type Column = (i64, String, &'static str, bool, i64);

#[test]
fn both_schemas_have_the_same_tables_and_columns() {
    let stores = KINDS.map(TestStore::new);
    let [sqlite, postgres] =
        block_on(async { [sqlite_tables(&stores[0]).await, postgres_tables(&stores[1]).await] });
    let tables: BTreeSet<_> = sqlite.keys().map(String::as_str).collect();
    assert!(
        tables.is_superset(&BTreeSet::from(["events", "event_keys", "log_head", "quarantine"])),
        "{tables:?}"
    );
    assert_eq!(sqlite, postgres);
}

async fn sqlite(store: &TestStore) -> SqliteConnection {
    SqliteConnection::connect(&store.url).await.expect("the database")
}

async fn postgres(store: &TestStore) -> PgConnection {
    PgConnection::connect(&store.url).await.expect("the database")
}

/// The kind of value that a column type holds. Ids are UUID or its 16 bytes; whole numbers have the size
/// that they need.
fn value_kind(column_type: &str) -> &'static str {
    match column_type.to_lowercase().as_str() {
        "text" => "text",
        "integer" | "bigint" | "smallint" => "number",
        "blob" | "bytea" | "uuid" => "bytes",
        other => panic!("a column of type {other}"),
    }
}

async fn sqlite_tables(store: &TestStore) -> BTreeMap<String, Vec<Column>> {
    let mut connection = sqlite(store).await;
    let rows = sqlx::query(
        "SELECT m.name, c.cid, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_schema m, pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY m.name, c.cid",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the schema");
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in rows {
        let (key, place) = (row.get::<i64, _>(5), row.get::<i64, _>(1));
        // STRICT tables WITHOUT ROWID take no NULL in a key, whatever the column says.
        let null = row.get::<i64, _>(4) == 0 && key == 0;
        let column = (place, row.get(2), value_kind(row.get::<&str, _>(3)), null, key);
        tables.entry(row.get(0)).or_default().push(column);
    }
    tables
}

async fn postgres_tables(store: &TestStore) -> BTreeMap<String, Vec<Column>> {
    let mut connection = postgres(store).await;
    let rows = sqlx::query(
        "SELECT c.relname::text, a.attnum::bigint - 1, a.attname::text, format_type(a.atttypid, a.atttypmod), \
                a.attnotnull, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint \
         FROM pg_class c \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
           AND c.relname NOT LIKE '\\_sqlx%' \
         ORDER BY 1, 2",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the schema");
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in rows {
        let kind = value_kind(&row.get::<String, _>(3));
        let column = (row.get(1), row.get(2), kind, !row.get::<bool, _>(4), row.get(5));
        tables.entry(row.get(0)).or_default().push(column);
    }
    tables
}
