//! Looks a SQLite database over, by a connection that cannot write. Called by: `store::examine`.
use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::super::{Examined, Finding, StoreError};

/// Everything about a database file.
pub async fn examine(path: &Path) -> Examined {
    let shown = path.display();
    match path.try_exists() {
        Err(error) => {
            return Finding::bad("store", format!("{shown}: {error}"), "let the server's user use it").into();
        }
        Ok(false) => {
            let found = format!("{shown} is not there yet");
            return Finding::good("store", format!("{found}: `chancery serve` makes it")).into();
        }
        Ok(true) => {}
    }
    // Where there is no WAL, looking at the file would make one. Where there is, somebody has the file open, or had.
    let wal = path.with_file_name(match path.file_name() {
        Some(name) => format!("{}-wal", name.display()),
        None => String::new(),
    });
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(!wal.exists())
        .disable_statement_logging();
    let opened = options.connect().await;
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(error) => {
            let remedy = "name a SQLite database that the server's user may read and write";
            return Finding::bad("store", format!("{shown}: {error}"), remedy).into();
        }
    };
    let tables: Result<i64, _> =
        sqlx::query_scalar(include_str!("tables.sql")).fetch_one(&mut connection).await;
    if let Err(error) = tables {
        let remedy = "restore the last backup, or name another file";
        return Finding::bad("store", format!("{shown} is no database: {error}"), remedy).into();
    }
    let mut findings = vec![Finding::good("store", format!("{shown} can be read"))];
    findings.push(match schema(&mut connection).await {
        Ok(()) => Finding::good("schema", "as this program needs it"),
        Err(error) if super::super::may_come(&error) => Finding::doubtful(
            "schema",
            error.to_string(),
            "`chancery serve` brings the schema of its file up to date when it starts",
        ),
        Err(error) => {
            Finding::bad("schema", error.to_string(), "install the program that the database belongs to")
        }
    });
    let reusable: Result<i64, _> =
        sqlx::query_scalar(include_str!("reusable_bytes.sql")).fetch_one(&mut connection).await;
    // It has only read.
    let _ = connection.close().await;
    Examined {
        findings,
        reusable: reusable.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
    }
}

async fn schema(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    super::schema::ready(connection).await
}
