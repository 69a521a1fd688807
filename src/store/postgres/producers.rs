//! What is known of producers, in PostgreSQL. Whole arrays as bind parameters.
use std::collections::HashMap;

use sqlx::{PgConnection, Row as _};

use super::{
    super::{
        Epoch, EpochKey, LogName, ProducerDelta, ProducerWrites, Run, StoreError, StoredEpoch,
        producer_columns, to_sql,
    },
    failed,
    producer_list::numbers,
};

/// The epochs of runs of numbers, with the gaps that overlap the runs.
pub async fn epochs(
    connection: &mut PgConnection,
    log: &LogName,
    runs: &[Run],
) -> Result<HashMap<EpochKey, StoredEpoch>, StoreError> {
    let rows = sqlx::query(include_str!("producer_touched.sql"))
        .bind(log.as_str())
        .bind(runs.iter().map(|run| run.epoch.producer.as_str()).collect::<Vec<_>>())
        .bind(runs.iter().map(|run| to_sql(run.epoch.epoch)).collect::<Vec<_>>())
        .bind(runs.iter().map(|run| to_sql(run.from)).collect::<Vec<_>>())
        .bind(runs.iter().map(|run| to_sql(run.to)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let mut found = HashMap::new();
    for row in rows {
        // WITH ORDINALITY counts from 1.
        let at: i64 = row.try_get(0).map_err(failed)?;
        let Some(run) = usize::try_from(at - 1).ok().and_then(|at| runs.get(at)) else { continue };
        producer_columns::add(&mut found, run, numbers(&row, 1)?)?;
    }
    Ok(found)
}

/// The columns of producers, to bind in this order: name, first and last seen, last position, events,
/// quarantined events.
type Columns<'a> = (Vec<&'a str>, Vec<i64>, Vec<i64>, Vec<Option<i64>>, Vec<i64>, Vec<i64>);

/// What an append adds to each producer, as columns.
pub fn columns(deltas: &[ProducerDelta]) -> Columns<'_> {
    (
        deltas.iter().map(|it| it.producer.as_str()).collect(),
        deltas.iter().map(|it| it.first_seen).collect(),
        deltas.iter().map(|it| it.last_seen).collect(),
        deltas.iter().map(|it| it.last_position.map(to_sql)).collect(),
        deltas.iter().map(|it| it.events).collect(),
        deltas.iter().map(|it| it.quarantined).collect(),
    )
}

/// Adds what an append kept of each producer. One that placed events does so in the statement of those.
pub async fn add(
    connection: &mut PgConnection,
    log: &LogName,
    deltas: &[ProducerDelta],
) -> Result<(), StoreError> {
    let (names, first_seen, last_seen, last_positions, events, quarantined) = columns(deltas);
    sqlx::query(include_str!("producers.sql"))
        .bind(log.as_str())
        .bind(names)
        .bind(first_seen)
        .bind(last_seen)
        .bind(last_positions)
        .bind(events)
        .bind(quarantined)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Writes what an append says about the numbers of producers.
pub async fn sequences(
    connection: &mut PgConnection,
    log: &LogName,
    writes: &ProducerWrites,
) -> Result<(), StoreError> {
    let ProducerWrites { producers: _, epochs, closed, gaps } = writes;
    if !epochs.is_empty() {
        let column = |of: fn(&Epoch) -> u64| -> Vec<i64> {
            epochs.iter().map(|(_, epoch)| to_sql(of(epoch))).collect()
        };
        sqlx::query(include_str!("producer_epochs_set.sql"))
            .bind(log.as_str())
            .bind(epochs.iter().map(|(key, _)| key.producer.as_str()).collect::<Vec<_>>())
            .bind(epochs.iter().map(|(key, _)| to_sql(key.epoch)).collect::<Vec<_>>())
            .bind(column(|epoch| epoch.first_sequence))
            .bind(column(|epoch| epoch.last_sequence))
            .bind(column(|epoch| epoch.seen))
            .bind(column(|epoch| epoch.repeated))
            .bind(column(|epoch| epoch.gaps))
            .bind(epochs.iter().map(|(_, epoch)| epoch.first_seen).collect::<Vec<_>>())
            .bind(epochs.iter().map(|(_, epoch)| epoch.last_seen).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    if !closed.is_empty() {
        sqlx::query(include_str!("producer_gaps_delete.sql"))
            .bind(log.as_str())
            .bind(closed.iter().map(|(key, _)| key.producer.as_str()).collect::<Vec<_>>())
            .bind(closed.iter().map(|(key, _)| to_sql(key.epoch)).collect::<Vec<_>>())
            .bind(closed.iter().map(|(_, from)| to_sql(*from)).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    if !gaps.is_empty() {
        sqlx::query(include_str!("producer_gaps_insert.sql"))
            .bind(log.as_str())
            .bind(gaps.iter().map(|(key, _)| key.producer.as_str()).collect::<Vec<_>>())
            .bind(gaps.iter().map(|(key, _)| to_sql(key.epoch)).collect::<Vec<_>>())
            .bind(gaps.iter().map(|(_, gap)| to_sql(gap.from)).collect::<Vec<_>>())
            .bind(gaps.iter().map(|(_, gap)| to_sql(gap.to)).collect::<Vec<_>>())
            .bind(gaps.iter().map(|(_, gap)| gap.seen_at).collect::<Vec<_>>())
            .execute(connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
