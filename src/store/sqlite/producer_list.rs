//! The producers that are listed and shown, from SQLite.
use sqlx::{Row as _, SqlitePool, sqlite::SqliteRow};

use super::{
    super::{
        EpochRow, LastSeen, LogName, Producer, ProducerDetail, ProducerPage, ProducerRow, StoreError,
        from_sql,
        producer_columns::{self as columns, Numbers},
        producers::{MOST_EPOCHS, MOST_GAPS, only},
        sql,
    },
    DIALECT, failed,
    read::fetch,
    within,
};

/// The numbers of a row, from a column on.
pub fn numbers<const N: usize>(row: &SqliteRow, from: usize) -> Result<Numbers<N>, StoreError> {
    let mut numbers = [None; N];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = row.try_get(from + at).map_err(failed)?;
    }
    Ok(numbers)
}

/// One page of producers.
pub async fn page(pool: &SqlitePool, page: &ProducerPage<'_>) -> Result<Vec<ProducerRow>, StoreError> {
    let rows = fetch(pool, sql::producer_page(DIALECT, page)).await?;
    let rows = rows.iter().map(|row| {
        let (log, producer) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        columns::producer(log, producer, numbers(row, 2)?)
    });
    rows.collect()
}

/// One producer with its highest epochs and gaps.
pub async fn detail(
    pool: &SqlitePool,
    log: &LogName,
    producer: &Producer,
) -> Result<Option<ProducerDetail>, StoreError> {
    let Some(row) = page(pool, &only(log, producer)).await?.pop() else { return Ok(None) };
    let query = |text, most| sqlx::query(text).bind(log.as_str()).bind(producer.as_str()).bind(most);
    let epochs = query(include_str!("producer_epochs.sql"), MOST_EPOCHS).fetch_all(pool);
    let epochs = within(epochs).await?.into_iter().map(|row| {
        Ok(EpochRow {
            number: from_sql(row.try_get(0).map_err(failed)?)?,
            epoch: columns::epoch(numbers(&row, 1)?)?,
        })
    });
    let epochs = epochs.collect::<Result<_, StoreError>>()?;
    let gaps = query(include_str!("producer_gaps.sql"), MOST_GAPS).fetch_all(pool);
    let gaps = within(gaps)
        .await?
        .into_iter()
        .map(|row| Ok((from_sql(row.try_get(0).map_err(failed)?)?, columns::gap(numbers(&row, 1)?)?)));
    Ok(Some(ProducerDetail { row, epochs, gaps: gaps.collect::<Result<_, StoreError>>()? }))
}

/// When producers were last seen.
pub async fn last_seen(pool: &SqlitePool, most: u32, since: i64) -> Result<LastSeen, StoreError> {
    let query = sqlx::query(include_str!("producers_last_seen.sql")).bind(i64::from(most)).bind(since);
    let mut found = LastSeen::default();
    for row in within(query.fetch_all(pool)).await? {
        found.producers = from_sql(row.try_get(2).map_err(failed)?)?;
        found.times.push((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?));
    }
    Ok(found)
}
