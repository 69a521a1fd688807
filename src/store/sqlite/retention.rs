//! Retention in SQLite: rows are deleted, in steps that hold up no append for long.
use std::ops::Range;

use async_trait::async_trait;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use uuid::Uuid;

use super::{
    super::{Extent, Hold, LogName, Marked, Retention, StoreError, broken, retention::HoldColumns, to_sql},
    SqliteStore, failed, options, within,
};
use crate::index::segment::HOUR;

/// Positions of which the events are deleted in one transaction: some 20 ms.
const STEP: i64 = 2048;
/// Positions that are taken out of the rollup in one transaction: some 100 ms.
const WINDOW: i64 = 1 << 16;

impl SqliteStore {
    /// A connection that writes. Whoever uses it holds `writer`.
    async fn writing(&self) -> Result<SqliteConnection, StoreError> {
        options(&self.path).connect().await.map_err(failed)
    }
}

/// Lets a log begin some positions later, and says when that was not to be.
async fn step(
    connection: &mut SqliteConnection,
    log: &LogName,
    oldest: u64,
) -> Result<Option<Marked>, StoreError> {
    let indexed: Option<i64> = sqlx::query_scalar(include_str!("index_head.sql"))
        .bind(log.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    if indexed.is_none_or(|indexed| indexed < to_sql(oldest)) {
        return Ok(Some(Marked::NotIndexed));
    }
    let held: bool = sqlx::query_scalar(include_str!("held.sql"))
        .bind(log.as_str())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if held {
        return Ok(Some(Marked::Held));
    }
    let (from, _): (i64, i64) = sqlx::query_as(include_str!("extent.sql"))
        .bind(log.as_str())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if from >= to_sql(oldest) {
        return Ok(Some(Marked::Yes));
    }
    let next = to_sql(oldest).min(from + WINDOW);
    sqlx::query(include_str!("retention_counts.sql"))
        .bind(log.as_str())
        .bind(from)
        .bind(next)
        .bind(HOUR)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    for text in [
        include_str!("retention_zones.sql"),
        include_str!("retention_runs.sql"),
        include_str!("set_oldest.sql"),
    ] {
        let query = sqlx::query(text).bind(log.as_str()).bind(next);
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    let empty = sqlx::query(include_str!("retention_counts_empty.sql")).bind(log.as_str());
    empty.execute(&mut *connection).await.map_err(failed)?;
    Ok(None)
}

#[async_trait]
impl Retention for SqliteStore {
    async fn extent(&self, log: &LogName) -> Result<Extent, StoreError> {
        let query = sqlx::query_as(include_str!("extent.sql")).bind(log.as_str());
        Extent::of(within(query.fetch_optional(&self.readers)).await?)
    }

    async fn partition_bits(&self, log: &LogName) -> Result<Option<u32>, StoreError> {
        let query = sqlx::query_scalar(include_str!("partition_bits.sql")).bind(log.as_str());
        let bits: Option<Option<i64>> = within(query.fetch_optional(&self.readers)).await?;
        bits.flatten().map(|bits| u32::try_from(bits).map_err(broken)).transpose()
    }

    async fn partition(&self, log: &LogName, bits: u32) -> Result<u32, StoreError> {
        let _turn = self.writer.lock().await;
        let mut connection = self.writing().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let make = sqlx::query(include_str!("make_head.sql")).bind(log.as_str());
        make.execute(&mut *transaction).await.map_err(failed)?;
        let has: Option<i64> = sqlx::query_scalar(include_str!("partition_bits.sql"))
            .bind(log.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(has) = has {
            return u32::try_from(has).map_err(broken);
        }
        let set =
            sqlx::query(include_str!("set_partition_bits.sql")).bind(log.as_str()).bind(i64::from(bits));
        set.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(bits)
    }

    async fn newest_received(
        &self,
        log: &LogName,
        positions: Range<u64>,
    ) -> Result<Vec<(i32, i64)>, StoreError> {
        let query = sqlx::query_as(include_str!("newest_received.sql"))
            .bind(log.as_str())
            .bind(to_sql(positions.start))
            .bind(to_sql(positions.end));
        within(query.fetch_all(&self.scanners)).await
    }

    async fn begin_at(&self, log: &LogName, oldest: u64) -> Result<Marked, StoreError> {
        let mut connection = self.writing().await?;
        loop {
            // Step by step, each of which is true: appends must not wait for all of a large partition.
            let _turn = self.writer.lock().await;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
            match step(&mut transaction, log, oldest).await? {
                None => {}
                Some(ended) => return Ok(ended),
            }
            transaction.commit().await.map_err(failed)?;
        }
    }

    async fn drop_removed(&self, log: &LogName, oldest: u64) -> Result<(), StoreError> {
        let mut connection = self.writing().await?;
        loop {
            let _turn = self.writer.lock().await;
            let done = sqlx::query(include_str!("remove_events.sql"))
                .bind(log.as_str())
                .bind(to_sql(oldest))
                .bind(STEP)
                .execute(&mut connection)
                .await
                .map_err(failed)?;
            if done.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    async fn holds(&self, log: &LogName) -> Result<Vec<Hold>, StoreError> {
        let query = sqlx::query_as(include_str!("holds.sql")).bind(log.as_str());
        let rows: Vec<HoldColumns> = within(query.fetch_all(&self.readers)).await?;
        Ok(rows.into_iter().map(Hold::of).collect())
    }

    async fn place_hold(&self, log: &LogName, hold: &Hold) -> Result<(), StoreError> {
        let _turn = self.writer.lock().await;
        sqlx::query(include_str!("hold_place.sql"))
            .bind(log.as_str())
            .bind(hold.id.as_bytes().as_slice())
            .bind(&hold.reason)
            .bind(hold.placed_at)
            .bind(&hold.placed_by)
            .execute(&mut self.writing().await?)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn release_hold(&self, log: &LogName, id: Uuid, (at, by): (i64, &str)) -> Result<bool, StoreError> {
        let _turn = self.writer.lock().await;
        let done = sqlx::query(include_str!("hold_release.sql"))
            .bind(log.as_str())
            .bind(id.as_bytes().as_slice())
            .bind(at)
            .bind(by)
            .execute(&mut self.writing().await?)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() > 0)
    }
}
