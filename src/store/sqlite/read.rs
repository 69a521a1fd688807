//! Reading from SQLite: pages and counts.
use std::fmt::Write as _;

use futures::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Row as _, SqlitePool,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{
        CountRequest, Counted, GroupColumn, PageRequest, Rows, StoreError, StoredEvent, broken, from_sql,
        sql::{self, Bind, Statement},
    },
    DIALECT, failed, within,
};

/// One page of events.
pub async fn page(pool: &SqlitePool, request: &PageRequest<'_>) -> Result<Rows, StoreError> {
    let reading = async {
        let mut rows = bound(sql::page(DIALECT, request)).fetch(pool);
        let (mut page, mut bytes) = (Rows::default(), 0);
        while let Some(row) = rows.try_next().await? {
            match stored_event(&row).map(|event| page.add(&mut bytes, event)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(page))
    };
    within(reading).await?
}

/// Counts by group.
pub async fn count(pool: &SqlitePool, request: &CountRequest<'_>) -> Result<Vec<Counted>, StoreError> {
    let rows = fetch(pool, sql::count(DIALECT, request)).await?;
    rows.iter().map(|row| counted(row, 0, request)).collect()
}

pub async fn fetch(pool: &SqlitePool, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
    within(bound(statement).fetch_all(pool)).await
}

/// A statement with its values.
fn bound(statement: Statement) -> Query<'static, sqlx::Sqlite, SqliteArguments> {
    // The text is made of fixed pieces; every value is a bind parameter.
    let mut query = sqlx::query(AssertSqlSafe(statement.text));
    for bind in statement.binds {
        query = match bind {
            Bind::Text(text) => query.bind(text),
            Bind::Number(number) => query.bind(number),
            Bind::Numbers(numbers) => query.bind(json(&numbers)),
            Bind::Id(id) => query.bind(id.as_bytes().to_vec()),
            Bind::Bytes(bytes) => query.bind(bytes),
        };
    }
    query
}

/// A list of numbers as one bind parameter.
pub fn json(numbers: &[i64]) -> String {
    let mut text = String::with_capacity(2 + 12 * numbers.len());
    for number in numbers {
        text.push(if text.is_empty() { '[' } else { ',' });
        // Writing to a String cannot fail.
        let _ = write!(text, "{number}");
    }
    text.push_str(if numbers.is_empty() { "[]" } else { "]" });
    text
}

/// An event row.
pub fn stored_event(row: &SqliteRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        position: from_sql(row.try_get(0).map_err(failed)?)?,
        occurred_at: row.try_get(1).map_err(failed)?,
        record: row.try_get(2).map_err(failed)?,
        leaf_hash: row.try_get::<&[u8], _>(3).map_err(failed)?.try_into().map_err(broken)?,
        personal: row.try_get(4).map_err(failed)?,
    })
}

/// A row of counts, from a column on.
pub fn counted(row: &SqliteRow, mut at: usize, request: &CountRequest<'_>) -> Result<Counted, StoreError> {
    let mut bucket = None;
    if request.bucket.is_some() {
        bucket = Some(row.try_get(at).map_err(failed)?);
        at += 1;
    }
    let mut group = Vec::with_capacity(request.group_by.len());
    for column in request.group_by {
        group.push(match column {
            GroupColumn::Family | GroupColumn::Outcome => {
                row.try_get::<i64, _>(at).map_err(failed)?.to_string()
            }
            _ => row.try_get(at).map_err(failed)?,
        });
        at += 1;
    }
    Ok(Counted { group, bucket, count: from_sql(row.try_get(at).map_err(failed)?)? })
}
