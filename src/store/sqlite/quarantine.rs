//! The quarantine in SQLite. One statement per row: calls are bounded to 1,000 rows.
use std::collections::{HashMap, HashSet};

use sqlx::{Row as _, SqliteConnection, SqlitePool, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    super::{
        Discard, Key, LogName, Producer, QuarantineCursor, QuarantineFilter, QuarantineKey, QuarantinePage,
        Quarantined, QuarantinedRow, StoreError, broken, from_sql, quarantine, sql,
    },
    DIALECT, failed,
    read::fetch,
};

/// One page of the list.
pub async fn page(pool: &SqlitePool, page: &QuarantinePage<'_>) -> Result<Vec<QuarantinedRow>, StoreError> {
    fetch(pool, sql::quarantine_page(DIALECT, page)).await?.iter().map(quarantined_row).collect()
}

/// Number of rows of the list.
pub async fn count(
    pool: &SqlitePool,
    log: &LogName,
    filter: &QuarantineFilter,
    after: Option<&QuarantineCursor>,
) -> Result<u64, StoreError> {
    let rows = fetch(pool, sql::quarantine_count(DIALECT, log, filter, after)).await?;
    let row = rows.first().ok_or_else(|| broken("a count without a row"))?;
    from_sql(row.try_get(0).map_err(failed)?)
}

/// Rows by key.
pub async fn rows(
    connection: &mut SqliteConnection,
    log: &LogName,
    keys: &[QuarantineKey],
) -> Result<HashMap<QuarantineKey, QuarantinedRow>, StoreError> {
    let mut found = HashMap::with_capacity(keys.len());
    for row in keys {
        let fetched = sqlx::query(include_str!("quarantine_row.sql"))
            .bind(log.as_str())
            .bind(row.key.producer.as_str())
            .bind(row.key.event_id.as_bytes().as_slice())
            .bind(row.content_hash.as_slice())
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        if let Some(fetched) = fetched {
            found.insert(row.clone(), quarantined_row(&fetched)?);
        }
    }
    Ok(found)
}

/// Keeps events, and returns those that were not kept before.
pub async fn keep(
    connection: &mut SqliteConnection,
    log: &LogName,
    events: &[(&Producer, &Quarantined)],
) -> Result<HashSet<QuarantineKey>, StoreError> {
    let mut kept = HashSet::new();
    for (producer, event) in events {
        let done = sqlx::query(include_str!("quarantine.sql"))
            .bind(log.as_str())
            .bind(producer.as_str())
            .bind(event.event_id.as_bytes().as_slice())
            .bind(event.content_hash.as_slice())
            .bind(event.received_at)
            .bind(event.reason)
            .bind(&event.description)
            .bind(&event.submitted)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        if done.rows_affected() > 0 {
            let key = Key { producer: (*producer).clone(), event_id: event.event_id };
            kept.insert(QuarantineKey { key, content_hash: event.content_hash });
        }
    }
    Ok(kept)
}

/// Those rows that are in quarantine and not discarded. The transaction holds the one write lock.
pub async fn live(
    connection: &mut SqliteConnection,
    log: &LogName,
    keys: &[QuarantineKey],
) -> Result<HashSet<QuarantineKey>, StoreError> {
    let mut live = HashSet::with_capacity(keys.len());
    for row in keys {
        let exists: bool = sqlx::query_scalar(include_str!("quarantine_live.sql"))
            .bind(log.as_str())
            .bind(row.key.producer.as_str())
            .bind(row.key.event_id.as_bytes().as_slice())
            .bind(row.content_hash.as_slice())
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if exists {
            live.insert(row.clone());
        }
    }
    Ok(live)
}

/// Takes rows out.
pub async fn release(
    connection: &mut SqliteConnection,
    log: &LogName,
    keys: &[QuarantineKey],
) -> Result<(), StoreError> {
    for row in keys {
        sqlx::query(include_str!("quarantine_release.sql"))
            .bind(log.as_str())
            .bind(row.key.producer.as_str())
            .bind(row.key.event_id.as_bytes().as_slice())
            .bind(row.content_hash.as_slice())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Marks rows as discarded, in one transaction.
pub async fn discard(
    connection: &mut SqliteConnection,
    log: &LogName,
    keys: &[QuarantineKey],
    discard: &Discard,
) -> Result<(), StoreError> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(failed)?;
    for row in keys {
        sqlx::query(include_str!("quarantine_discard.sql"))
            .bind(log.as_str())
            .bind(row.key.producer.as_str())
            .bind(row.key.event_id.as_bytes().as_slice())
            .bind(row.content_hash.as_slice())
            .bind(discard.at)
            .bind(&discard.by)
            .bind(&discard.reason)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    sqlx::query("COMMIT").execute(&mut *connection).await.map_err(failed)?;
    Ok(())
}

fn quarantined_row(row: &SqliteRow) -> Result<QuarantinedRow, StoreError> {
    let event_id: Vec<u8> = row.try_get(2).map_err(failed)?;
    let event_id = Uuid::from_slice(&event_id).map_err(broken)?;
    let producer: String = row.try_get(1).map_err(failed)?;
    Ok(QuarantinedRow {
        cursor: QuarantineCursor {
            received_at: row.try_get(0).map_err(failed)?,
            row: quarantine::key(&producer, event_id, row.try_get(3).map_err(failed)?)?,
        },
        reason: row.try_get(4).map_err(failed)?,
        description: row.try_get(5).map_err(failed)?,
        submitted: row.try_get(6).map_err(failed)?,
        discard: quarantine::discard(
            row.try_get(7).map_err(failed)?,
            row.try_get(8).map_err(failed)?,
            row.try_get(9).map_err(failed)?,
        ),
    })
}
