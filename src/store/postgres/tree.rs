//! Tiles and checkpoints in PostgreSQL.
use std::ops::Range;

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};

use super::{
    super::{
        LogName, NewTile, StoreError, StoredCheckpoint, TreeReads, Trees, WantedCheckpoint, broken, from_sql,
        hash_from_sql, to_sql,
        tree::{hashes_of, hashes_of_run},
    },
    PostgresStore, append, failed, within,
};
use crate::tree::{Hash, TreeHead};

#[async_trait]
impl TreeReads for PostgresStore {
    async fn leaf_hashes(&self, log: &LogName, positions: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let read = async {
            let mut connection = self.readers.acquire().await.map_err(failed)?;
            append::leaf_hashes(&mut connection, log.as_str(), positions).await
        };
        within(async { Ok(read.await) }).await?
    }

    async fn tiles(&self, log: &LogName, wanted: &[(u8, u64)]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let query = sqlx::query_as(include_str!("tiles.sql"))
            .bind(log.as_str())
            .bind(wanted.iter().map(|(level, _)| i16::from(*level)).collect::<Vec<_>>())
            .bind(wanted.iter().map(|(_, tile)| to_sql(*tile)).collect::<Vec<_>>());
        let rows: Vec<(i64, Vec<u8>)> = within(query.fetch_all(&self.readers)).await?;
        hashes_of(wanted.len(), 1, rows)
    }

    async fn tile_roots(&self, log: &LogName, level: u8, tiles: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let query = sqlx::query_as(include_str!("tile_roots.sql"))
            .bind(log.as_str())
            .bind(i16::from(level))
            .bind(to_sql(tiles.start))
            .bind(to_sql(tiles.end));
        let roots: Vec<(i64, Vec<u8>)> = within(query.fetch_all(&self.readers)).await?;
        hashes_of_run(level, &tiles, &roots)
    }
}

#[async_trait]
impl Trees for PostgresStore {
    async fn logs(&self) -> Result<Vec<(LogName, u64)>, StoreError> {
        let query = sqlx::query_as(include_str!("logs.sql"));
        let rows: Vec<(String, i64)> = within(query.fetch_all(&self.readers)).await?;
        rows.iter().map(|(log, size)| Ok((LogName::parse(log).map_err(broken)?, from_sql(*size)?))).collect()
    }

    async fn full_tiles(&self, log: &LogName, level: u8) -> Result<u64, StoreError> {
        let query =
            sqlx::query_scalar(include_str!("full_tiles.sql")).bind(log.as_str()).bind(i16::from(level));
        let tiles: Option<i64> = within(query.fetch_optional(&self.readers)).await?;
        from_sql(tiles.unwrap_or(0))
    }

    async fn add_tiles(&self, log: &LogName, tiles: &[NewTile]) -> Result<(), StoreError> {
        let hashes = tiles.iter().map(|tile| tile.full()).collect::<Result<Vec<_>, _>>()?;
        let query = sqlx::query(include_str!("tiles_add.sql"))
            .bind(log.as_str())
            .bind(tiles.iter().map(|tile| i16::from(tile.level)).collect::<Vec<_>>())
            .bind(tiles.iter().map(|tile| to_sql(tile.tile)).collect::<Vec<_>>())
            .bind(tiles.iter().map(|tile| tile.root.as_slice()).collect::<Vec<_>>())
            .bind(hashes);
        within(query.execute(&self.writers)).await?;
        Ok(())
    }

    async fn checkpoint(
        &self,
        log: &LogName,
        wanted: WantedCheckpoint,
    ) -> Result<Option<StoredCheckpoint>, StoreError> {
        let query = match wanted {
            WantedCheckpoint::Newest => sqlx::query(include_str!("checkpoint_newest.sql")).bind(log.as_str()),
            WantedCheckpoint::Below(size) => {
                sqlx::query(include_str!("checkpoint_below.sql")).bind(log.as_str()).bind(to_sql(size))
            }
            WantedCheckpoint::AtLeast(size) => {
                sqlx::query(include_str!("checkpoint_from.sql")).bind(log.as_str()).bind(to_sql(size))
            }
            WantedCheckpoint::Exactly(size) => {
                sqlx::query(include_str!("checkpoint_at.sql")).bind(log.as_str()).bind(to_sql(size))
            }
        };
        within(query.fetch_optional(&self.readers)).await?.as_ref().map(checkpoint).transpose()
    }

    async fn add_checkpoint(&self, log: &LogName, checkpoint: &StoredCheckpoint) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("checkpoint_add.sql"))
            .bind(log.as_str())
            .bind(to_sql(checkpoint.tree.size))
            .bind(checkpoint.tree.root.as_slice())
            .bind(&checkpoint.signed_note)
            .bind(checkpoint.signed_at);
        Ok(within(query.execute(&self.writers)).await?.rows_affected() > 0)
    }

    async fn replace_checkpoint(
        &self,
        log: &LogName,
        checkpoint: &StoredCheckpoint,
        former_note: &str,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("checkpoint_replace.sql"))
            .bind(log.as_str())
            .bind(to_sql(checkpoint.tree.size))
            .bind(checkpoint.tree.root.as_slice())
            .bind(&checkpoint.signed_note)
            .bind(checkpoint.signed_at)
            .bind(former_note);
        Ok(within(query.execute(&self.writers)).await?.rows_affected() > 0)
    }
}

fn checkpoint(row: &PgRow) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        tree: TreeHead {
            size: from_sql(row.try_get(0).map_err(failed)?)?,
            root: hash_from_sql(row.try_get(1).map_err(failed)?)?,
        },
        signed_note: row.try_get(2).map_err(failed)?,
        signed_at: row.try_get(3).map_err(failed)?,
    })
}
