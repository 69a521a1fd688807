//! The quarantine in PostgreSQL. Whole arrays as bind parameters.
use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    super::{
        Discard, LogName, Producer, QuarantineCursor, QuarantineFilter, QuarantineKey, QuarantinePage,
        Quarantined, QuarantinedRow, StoreError, broken, from_sql, quarantine, sql,
    },
    DIALECT, failed,
    read::fetch,
    within,
};

/// The columns of keys, as arrays.
fn arrays(keys: &[QuarantineKey]) -> (Vec<&str>, Vec<Uuid>, Vec<&[u8]>) {
    let producers = keys.iter().map(|row| row.key.producer.as_str()).collect();
    let ids = keys.iter().map(|row| row.key.event_id).collect();
    (producers, ids, keys.iter().map(|row| row.content_hash.as_slice()).collect())
}

/// One page of the list.
pub async fn page(pool: &PgPool, page: &QuarantinePage<'_>) -> Result<Vec<QuarantinedRow>, StoreError> {
    fetch(pool, sql::quarantine_page(DIALECT, page)).await?.iter().map(quarantined_row).collect()
}

/// Number of rows of the list.
pub async fn count(
    pool: &PgPool,
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
    pool: &PgPool,
    log: &LogName,
    keys: &[QuarantineKey],
) -> Result<HashMap<QuarantineKey, QuarantinedRow>, StoreError> {
    let (producers, ids, hashes) = arrays(keys);
    let query = sqlx::query(include_str!("quarantine_rows.sql"))
        .bind(log.as_str())
        .bind(producers)
        .bind(ids)
        .bind(hashes);
    let rows = within(query.fetch_all(pool)).await?;
    let rows = rows.iter().map(|row| {
        let row = quarantined_row(row)?;
        Ok((row.cursor.row.clone(), row))
    });
    rows.collect()
}

/// Keeps events, and returns those that were not kept before.
pub async fn keep(
    connection: &mut PgConnection,
    log: &LogName,
    events: &[(&Producer, &Quarantined)],
) -> Result<HashSet<QuarantineKey>, StoreError> {
    let rows = sqlx::query(include_str!("quarantine.sql"))
        .bind(log.as_str())
        .bind(events.iter().map(|(producer, _)| producer.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.event_id).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.content_hash.as_slice()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.received_at).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.reason).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.description.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.submitted.as_slice()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter().map(quarantine_key).collect()
}

/// Those rows that are in quarantine and not discarded, locked until the end of the transaction.
pub async fn live(
    connection: &mut PgConnection,
    log: &LogName,
    keys: &[QuarantineKey],
) -> Result<HashSet<QuarantineKey>, StoreError> {
    let (producers, ids, hashes) = arrays(keys);
    let rows = sqlx::query(include_str!("quarantine_live.sql"))
        .bind(log.as_str())
        .bind(producers)
        .bind(ids)
        .bind(hashes)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter().map(quarantine_key).collect()
}

/// The key of a row that begins with its columns.
fn quarantine_key(row: &PgRow) -> Result<QuarantineKey, StoreError> {
    let producer: String = row.try_get(0).map_err(failed)?;
    quarantine::key(&producer, row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?)
}

/// Takes rows out.
pub async fn release(
    connection: &mut PgConnection,
    log: &LogName,
    keys: &[QuarantineKey],
) -> Result<(), StoreError> {
    let (producers, ids, hashes) = arrays(keys);
    sqlx::query(include_str!("quarantine_release.sql"))
        .bind(log.as_str())
        .bind(producers)
        .bind(ids)
        .bind(hashes)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Marks rows as discarded, in one statement and so in one transaction.
pub async fn discard(
    pool: &PgPool,
    log: &LogName,
    keys: &[QuarantineKey],
    discard: &Discard,
) -> Result<(), StoreError> {
    let (producers, ids, hashes) = arrays(keys);
    let query = sqlx::query(include_str!("quarantine_discard.sql"))
        .bind(log.as_str())
        .bind(producers)
        .bind(ids)
        .bind(hashes)
        .bind(discard.at)
        .bind(&discard.by)
        .bind(&discard.reason);
    within(query.execute(pool)).await.map(drop)
}

fn quarantined_row(row: &PgRow) -> Result<QuarantinedRow, StoreError> {
    let producer: String = row.try_get(1).map_err(failed)?;
    let (event_id, hash) = (row.try_get(2).map_err(failed)?, row.try_get(3).map_err(failed)?);
    Ok(QuarantinedRow {
        cursor: QuarantineCursor {
            received_at: row.try_get(0).map_err(failed)?,
            row: quarantine::key(&producer, event_id, hash)?,
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
