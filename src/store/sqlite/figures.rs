//! What a SQLite file says of itself.
use std::path::Path;

use async_trait::async_trait;
use sqlx::SqlitePool;

use super::{
    super::{
        StoreError,
        figures::{Connections, Figures, Measures},
        from_sql,
    },
    SqliteStore, within,
};

#[async_trait]
impl Measures for SqliteStore {
    async fn figures(&self) -> Result<Figures, StoreError> {
        let query = sqlx::query_scalar(include_str!("schema_version.sql"));
        let schema: Option<i64> = within(query.fetch_one(&self.readers)).await?;
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        Ok(Figures {
            bytes: length(&self.path) + length(Path::new(&log)),
            schema: from_sql(schema.unwrap_or_default())?,
            positions_left: None,
        })
    }

    fn connections(&self) -> Connections {
        let of = |pool: &SqlitePool| {
            Connections::of(pool.size(), pool.num_idle(), pool.options().get_max_connections())
        };
        [&self.readers, &self.scanners, &self.sentinel, &self.deriver].into_iter().map(of).sum()
    }
}

/// Bytes of a file; none of one that there is not.
fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map(|about| about.len()).unwrap_or_default()
}
