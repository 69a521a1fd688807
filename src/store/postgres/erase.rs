//! Erasing in PostgreSQL: see `store::erase`. The lock on the head of the index keeps its builders away, on whichever
//! replica.
use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    super::{
        ErasedEvent, Eraser, ErasureCounts, ErasureRequest, Erasures, IndexWriter, LogName, StoreError,
        from_sql, index::small, index_steps::RunWrites as _, to_sql,
    },
    BY_KEY, PostgresStore, append, failed,
    index_write::{PostgresIndexWriter, indexed_event, kind},
    within,
};
use crate::{
    event::Columns,
    index::{
        Key, Row,
        chores::{Run, RunId},
    },
};

#[async_trait]
impl Erasures for PostgresStore {
    async fn erasure(&self, proposed: &ErasureRequest) -> Result<ErasureRequest, StoreError> {
        let propose = sqlx::query(include_str!("erasure_propose.sql"))
            .bind(proposed.log.as_str())
            .bind(proposed.request_id)
            .bind(proposed.subject.as_deref())
            .bind(&proposed.reason);
        within(propose.execute(&self.writers)).await?;
        let query =
            sqlx::query(include_str!("erasure.sql")).bind(proposed.log.as_str()).bind(proposed.request_id);
        request(proposed, &within(query.fetch_one(&self.readers)).await?)
    }

    async fn erasure_told(&self, log: &LogName, request_id: Uuid, position: u64) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("erasure_told.sql"))
            .bind(log.as_str())
            .bind(request_id)
            .bind(to_sql(position));
        within(query.execute(&self.writers)).await.map(drop)
    }

    async fn erasure_done(&self, log: &LogName, request_id: Uuid) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("erasure_done.sql")).bind(log.as_str()).bind(request_id);
        within(query.execute(&self.writers)).await.map(drop)
    }

    async fn eraser(&self) -> Result<Box<dyn Eraser>, StoreError> {
        let mut connection = self.target.with(&BY_KEY).named("chancery-eraser").connect().await?;
        append::insist_on_durability(&mut connection, self.replica.is_required()).await?;
        Ok(Box::new(PostgresEraser(PostgresIndexWriter::new(connection))))
    }
}

fn request(proposed: &ErasureRequest, row: &PgRow) -> Result<ErasureRequest, StoreError> {
    let number = |at: usize| from_sql(row.try_get(at).map_err(failed)?);
    let position: Option<i64> = row.try_get(2).map_err(failed)?;
    Ok(ErasureRequest {
        log: proposed.log.clone(),
        request_id: proposed.request_id,
        subject: row.try_get(0).map_err(failed)?,
        reason: row.try_get(1).map_err(failed)?,
        position: position.map(from_sql).transpose()?,
        next: number(3)?,
        counts: ErasureCounts { events: number(4)?, values: number(5)?, not_erasable: number(6)? },
    })
}

/// A connection that erases. It does what the builder of the index does, and more.
struct PostgresEraser(PostgresIndexWriter);

#[async_trait]
impl Eraser for PostgresEraser {
    async fn begin(&mut self, log: &LogName) -> Result<bool, StoreError> {
        Ok(self.0.claim(log).await?.is_some())
    }

    async fn runs(&mut self, log: &LogName) -> Result<Vec<Run>, StoreError> {
        self.0.runs(log).await
    }

    async fn rows(&mut self, log: &LogName, run: RunId, keys: &[Key]) -> Result<Vec<Row>, StoreError> {
        let query = sqlx::query(include_str!("erase_index_rows.sql"))
            .bind(log.as_str())
            .bind(small(run.level))
            .bind(to_sql(run.first))
            .bind(keys.iter().map(|key| key.kind as i16).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| to_sql(key.key)).collect::<Vec<_>>());
        let rows = query.fetch_all(&mut self.0.connection).await.map_err(failed)?;
        let row = |row: &PgRow| {
            let kind = kind(row.try_get::<i16, _>(0).map_err(failed)?.into())?;
            let key = Key { kind, key: from_sql(row.try_get(1).map_err(failed)?)? };
            Ok(Row { key, data: row.try_get(2).map_err(failed)? })
        };
        rows.iter().map(row).collect()
    }

    async fn replace(
        &mut self,
        log: &LogName,
        run: RunId,
        gone: &[Key],
        rows: &[Row],
    ) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("erase_index_clear.sql"))
            .bind(log.as_str())
            .bind(small(run.level))
            .bind(to_sql(run.first))
            .bind(gone.iter().map(|key| key.kind as i16).collect::<Vec<_>>())
            .bind(gone.iter().map(|key| to_sql(key.key)).collect::<Vec<_>>());
        query.execute(&mut self.0.connection).await.map_err(failed)?;
        self.0.add_rows(log, run, rows).await
    }

    async fn columns(&mut self, log: &LogName, positions: &[u64]) -> Result<Vec<Columns>, StoreError> {
        let query = sqlx::query(include_str!("erase_columns.sql"))
            .bind(log.as_str())
            .bind(positions.iter().copied().map(to_sql).collect::<Vec<_>>());
        let rows = query.fetch_all(&mut self.0.connection).await.map_err(failed)?;
        rows.iter().map(|row| indexed_event(row).map(|(_, columns)| columns).map_err(failed)).collect()
    }

    async fn write(
        &mut self,
        request: &ErasureRequest,
        events: &[ErasedEvent],
        next: u64,
        counts: ErasureCounts,
    ) -> Result<bool, StoreError> {
        let moved = sqlx::query(include_str!("erasure_progress.sql"))
            .bind(request.log.as_str())
            .bind(request.request_id)
            .bind(to_sql(request.next))
            .bind(to_sql(next))
            .bind(to_sql(counts.events))
            .bind(to_sql(counts.values))
            .bind(to_sql(counts.not_erasable))
            .execute(&mut self.0.connection)
            .await
            .map_err(failed)?;
        let positions: Vec<_> = events.iter().map(|event| to_sql(event.position)).collect();
        let (Some(first), Some(last)) = (positions.iter().min(), positions.iter().max()) else {
            return Ok(moved.rows_affected() == 1);
        };
        let texts = |text: fn(&Columns) -> &String| -> Vec<&str> {
            events.iter().map(|event| text(&event.columns).as_str()).collect()
        };
        let changed = sqlx::query(include_str!("erase_events.sql"))
            .bind(request.log.as_str())
            .bind(&positions)
            .bind(events.iter().map(|event| event.before.as_slice()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.personal.as_slice()).collect::<Vec<_>>())
            .bind(texts(|columns| &columns.actor))
            .bind(texts(|columns| &columns.subject))
            .bind(texts(|columns| &columns.device))
            .bind(texts(|columns| &columns.attributes))
            .bind(first)
            .bind(last)
            .execute(&mut self.0.connection)
            .await
            .map_err(failed)?;
        sqlx::query(include_str!("erase_keys.sql"))
            .bind(request.log.as_str())
            .bind(events.iter().map(|event| event.producer.as_str()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.event_id).collect::<Vec<_>>())
            .execute(&mut self.0.connection)
            .await
            .map_err(failed)?;
        Ok(moved.rows_affected() == 1 && changed.rows_affected() == events.len() as u64)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.0.run("COMMIT").await
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        self.0.run("ROLLBACK").await
    }
}
