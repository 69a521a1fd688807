//! Retention in PostgreSQL: partitions of a log's own, dropped whole.
use std::ops::Range;

use async_trait::async_trait;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::{
    super::{
        Extent, Hold, LogName, Marked, Retention, StoreError, broken, from_sql, retention::HoldColumns,
        to_sql,
    },
    PostgresStore, append, failed, partitions, within,
};
use crate::index::segment::HOUR;

impl PostgresStore {
    /// Makes a log's own partitions and moves there what it has, in one transaction.
    async fn moved(
        &self,
        connection: &mut PgConnection,
        log: &LogName,
        bits: u32,
    ) -> Result<u32, StoreError> {
        let mut transaction = connection.begin().await.map_err(failed)?;
        let head = sqlx::query(include_str!("lock_partitions.sql"))
            .bind(log.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let has: Option<i16> = head.try_get(0).map_err(failed)?;
        if let Some(has) = has {
            return u32::try_from(has).map_err(broken);
        }
        let size = from_sql(head.try_get(1).map_err(failed)?)?;
        if size > 0 && self.others(&mut transaction).await? > 0 {
            let why = "servers are connected: a query that runs while the events of a log are moved would not \
                see them. Stop every server first";
            return Err(broken(why));
        }
        let table = partitions::Table::of(log, Some(bits));
        partitions::own(&mut transaction, log, &table, size).await?;
        sqlx::query(include_str!("set_partition_bits.sql"))
            .bind(log.as_str())
            .bind(i16::try_from(bits).map_err(broken)?)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(bits)
    }

    /// Connections of other processes of this program to the database.
    async fn others(&self, connection: &mut PgConnection) -> Result<i64, StoreError> {
        let own: u32 = self.pools().iter().map(|pool| pool.size()).sum();
        let all: i64 = sqlx::query_scalar(include_str!("connections.sql"))
            .fetch_one(connection)
            .await
            .map_err(failed)?;
        // And the one that asks.
        Ok(all - i64::from(own + 1))
    }

    /// A connection for statements that take as long as they take.
    async fn patient(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.target.with(&[("statement_timeout", "0")]).connect().await?;
        append::insist_on_durability(&mut connection, self.replica.is_required()).await?;
        Ok(connection)
    }
}

#[async_trait]
impl Retention for PostgresStore {
    async fn extent(&self, log: &LogName) -> Result<Extent, StoreError> {
        let query = sqlx::query_as(include_str!("extent.sql")).bind(log.as_str());
        Extent::of(within(query.fetch_optional(&self.readers)).await?)
    }

    async fn partition_bits(&self, log: &LogName) -> Result<Option<u32>, StoreError> {
        let query = sqlx::query_scalar(include_str!("partition_bits.sql")).bind(log.as_str());
        let bits: Option<Option<i16>> = within(query.fetch_optional(&self.readers)).await?;
        bits.flatten().map(|bits| u32::try_from(bits).map_err(broken)).transpose()
    }

    async fn partition(&self, log: &LogName, bits: u32) -> Result<u32, StoreError> {
        let mut connection = self.patient().await?;
        sqlx::query(include_str!("make_head.sql"))
            .bind(log.as_str())
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        // Without it, the new table would be made to wait until all events of all other logs are looked through,
        // and everybody with it. While it stands, nobody can append to the log; what fails is tried again.
        let empty = self.extent(log).await?.size == 0 && self.partition_bits(log).await?.is_none();
        if empty {
            partitions::exclude(&mut connection, log).await?;
        }
        let moved = self.moved(&mut connection, log, bits).await;
        if empty {
            partitions::include(&mut connection, log).await?;
        }
        moved
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
        let rows: Vec<(i16, i64)> = within(query.fetch_all(&self.scanners)).await?;
        Ok(rows.into_iter().map(|(family, at)| (i32::from(family), at)).collect())
    }

    async fn begin_at(&self, log: &LogName, oldest: u64) -> Result<Marked, StoreError> {
        let mut connection = self.patient().await?;
        let mut transaction = connection.begin().await.map_err(failed)?;
        // Whoever works on the index waits, and finds its runs gone.
        let indexed: Option<i64> = sqlx::query_scalar(include_str!("index_head_locked.sql"))
            .bind(log.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if indexed.is_none_or(|indexed| indexed < to_sql(oldest)) {
            return Ok(Marked::NotIndexed);
        }
        let (from, _): (i64, i64) = sqlx::query_as(include_str!("extent.sql"))
            .bind(log.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(include_str!("retention_counts.sql"))
            .bind(log.as_str())
            .bind(from)
            .bind(to_sql(oldest))
            .bind(HOUR)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        for text in [include_str!("retention_zones.sql"), include_str!("retention_runs.sql")] {
            let query = sqlx::query(text).bind(log.as_str()).bind(to_sql(oldest));
            query.execute(&mut *transaction).await.map_err(failed)?;
        }
        let empty = sqlx::query(include_str!("retention_counts_empty.sql")).bind(log.as_str());
        empty.execute(&mut *transaction).await.map_err(failed)?;
        // Last, so that appends wait for the commit only. Holds are placed under the same lock.
        let mark = sqlx::query(include_str!("set_oldest.sql")).bind(log.as_str()).bind(to_sql(oldest));
        mark.execute(&mut *transaction).await.map_err(failed)?;
        let held: bool = sqlx::query_scalar(include_str!("held.sql"))
            .bind(log.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if held {
            return Ok(Marked::Held);
        }
        transaction.commit().await.map_err(failed)?;
        Ok(Marked::Yes)
    }

    async fn drop_removed(&self, log: &LogName, oldest: u64) -> Result<(), StoreError> {
        let Some(bits) = self.partition_bits(log).await? else { return Ok(()) };
        let mut connection = self.patient().await?;
        partitions::drop_below(&mut connection, &partitions::Table::of(log, Some(bits)), oldest).await
    }

    async fn holds(&self, log: &LogName) -> Result<Vec<Hold>, StoreError> {
        let query = sqlx::query_as(include_str!("holds.sql")).bind(log.as_str());
        let rows: Vec<HoldColumns> = within(query.fetch_all(&self.readers)).await?;
        Ok(rows.into_iter().map(Hold::of).collect())
    }

    async fn place_hold(&self, log: &LogName, hold: &Hold) -> Result<(), StoreError> {
        within(async {
            let mut transaction = self.writers.begin().await?;
            let head = sqlx::query(include_str!("lock_partitions.sql")).bind(log.as_str());
            head.fetch_optional(&mut *transaction).await?;
            sqlx::query(include_str!("hold_place.sql"))
                .bind(log.as_str())
                .bind(hold.id)
                .bind(&hold.reason)
                .bind(hold.placed_at)
                .bind(&hold.placed_by)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        })
        .await
    }

    async fn release_hold(&self, log: &LogName, id: Uuid, (at, by): (i64, &str)) -> Result<bool, StoreError> {
        let query =
            sqlx::query(include_str!("hold_release.sql")).bind(log.as_str()).bind(id).bind(at).bind(by);
        Ok(within(query.execute(&self.writers)).await?.rows_affected() > 0)
    }
}
