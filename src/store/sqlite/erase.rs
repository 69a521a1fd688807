//! Erasing in SQLite: see `store::erase`. One process owns the file, so a lock of its own keeps the builder of the
//! index away.
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{ConnectOptions as _, Row as _, sqlite::SqliteRow};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::{
    super::{
        ErasedEvent, Eraser, ErasureCounts, ErasureRequest, Erasures, IndexWriter as _, LogName, StoreError,
        from_sql, index_steps::RunWrites as _, to_sql,
    },
    SqliteStore, failed,
    index_write::{SqliteIndexWriter, indexed_event, kind},
    options,
    read::json,
};
use crate::{
    event::Columns,
    index::{
        Key, Row,
        chores::{Run, RunId},
    },
};

#[async_trait]
impl Erasures for SqliteStore {
    async fn erasure(&self, proposed: &ErasureRequest) -> Result<ErasureRequest, StoreError> {
        let mut connection = options(&self.path).connect().await.map_err(failed)?;
        let turn = self.writer.lock().await;
        sqlx::query(include_str!("erasure_propose.sql"))
            .bind(proposed.log.as_str())
            .bind(proposed.request_id.as_bytes().as_slice())
            .bind(proposed.subject.as_deref())
            .bind(&proposed.reason)
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        drop(turn);
        let row = sqlx::query(include_str!("erasure.sql"))
            .bind(proposed.log.as_str())
            .bind(proposed.request_id.as_bytes().as_slice())
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        request(proposed, &row)
    }

    async fn erasure_told(&self, log: &LogName, request_id: Uuid, position: u64) -> Result<(), StoreError> {
        let mut connection = options(&self.path).connect().await.map_err(failed)?;
        let _turn = self.writer.lock().await;
        let query = sqlx::query(include_str!("erasure_told.sql"))
            .bind(log.as_str())
            .bind(request_id.as_bytes().as_slice())
            .bind(to_sql(position));
        query.execute(&mut connection).await.map_err(failed)?;
        Ok(())
    }

    /// Moves what is in the write-ahead log into the file, too: the log holds what was overwritten.
    async fn erasure_done(&self, log: &LogName, request_id: Uuid) -> Result<(), StoreError> {
        let mut connection = options(&self.path).connect().await.map_err(failed)?;
        let _turn = self.writer.lock().await;
        let query = sqlx::query(include_str!("erasure_done.sql"))
            .bind(log.as_str())
            .bind(request_id.as_bytes().as_slice());
        query.execute(&mut connection).await.map_err(failed)?;
        // A reader may hold it up; then the next checkpoints write over it.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.map_err(failed)?;
        Ok(())
    }

    async fn eraser(&self) -> Result<Box<dyn Eraser>, StoreError> {
        let connection = options(&self.path).connect().await.map_err(failed)?;
        let writer = SqliteIndexWriter::new(connection, Arc::clone(&self.writer), Arc::clone(&self.indexing));
        Ok(Box::new(SqliteEraser { writer, turn: None }))
    }
}

fn request(proposed: &ErasureRequest, row: &SqliteRow) -> Result<ErasureRequest, StoreError> {
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

/// Keys of rows as one bind parameter.
fn listed(keys: &[Key]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| json(&[key.kind as i64, to_sql(key.key)])).collect();
    format!("[{}]", keys.join(","))
}

/// A connection that erases. It does what the builder of the index does, and more.
struct SqliteEraser {
    writer: SqliteIndexWriter,
    /// Held from `begin` to the end of the transaction.
    turn: Option<OwnedMutexGuard<()>>,
}

#[async_trait]
impl Eraser for SqliteEraser {
    async fn begin(&mut self, log: &LogName) -> Result<bool, StoreError> {
        // The index first, then the file: as its builder does.
        self.writer.claim(log).await?;
        self.turn = Some(Arc::clone(&self.writer.writer).lock_owned().await);
        self.writer.run("BEGIN IMMEDIATE").await?;
        Ok(true)
    }

    async fn runs(&mut self, log: &LogName) -> Result<Vec<Run>, StoreError> {
        self.writer.runs(log).await
    }

    async fn rows(&mut self, log: &LogName, run: RunId, keys: &[Key]) -> Result<Vec<Row>, StoreError> {
        let query = sqlx::query(include_str!("erase_index_rows.sql"))
            .bind(log.as_str())
            .bind(i64::from(run.level))
            .bind(to_sql(run.first))
            .bind(listed(keys));
        let rows = query.fetch_all(&mut self.writer.connection).await.map_err(failed)?;
        let row = |row: &SqliteRow| {
            let kind = kind(row.try_get(0).map_err(failed)?)?;
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
            .bind(i64::from(run.level))
            .bind(to_sql(run.first))
            .bind(listed(gone));
        query.execute(&mut self.writer.connection).await.map_err(failed)?;
        self.writer.add_rows(log, run, rows).await
    }

    async fn columns(&mut self, log: &LogName, positions: &[u64]) -> Result<Vec<Columns>, StoreError> {
        let query = sqlx::query(include_str!("erase_columns.sql"))
            .bind(log.as_str())
            .bind(json(&positions.iter().copied().map(to_sql).collect::<Vec<_>>()));
        let rows = query.fetch_all(&mut self.writer.connection).await.map_err(failed)?;
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
            .bind(request.request_id.as_bytes().as_slice())
            .bind(to_sql(request.next))
            .bind(to_sql(next))
            .bind(to_sql(counts.events))
            .bind(to_sql(counts.values))
            .bind(to_sql(counts.not_erasable))
            .execute(&mut self.writer.connection)
            .await
            .map_err(failed)?;
        let mut changed = 0;
        for event in events {
            let query = sqlx::query(include_str!("erase_event.sql"))
                .bind(request.log.as_str())
                .bind(to_sql(event.position))
                .bind(event.before.as_slice())
                .bind(event.personal.as_slice())
                .bind(&event.columns.actor)
                .bind(&event.columns.subject)
                .bind(&event.columns.device)
                .bind(&event.columns.attributes);
            let done = query.execute(&mut self.writer.connection).await.map_err(failed)?;
            changed += done.rows_affected();
            let query = sqlx::query(include_str!("erase_key.sql"))
                .bind(request.log.as_str())
                .bind(&event.producer)
                .bind(event.event_id.as_bytes().as_slice());
            query.execute(&mut self.writer.connection).await.map_err(failed)?;
        }
        Ok(moved.rows_affected() == 1 && changed == events.len() as u64)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.writer.run("COMMIT").await?;
        self.turn = None;
        self.writer.release().await
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        self.writer.run("ROLLBACK").await?;
        self.turn = None;
        self.writer.release().await
    }
}
