//! What PostgreSQL says of itself.
use async_trait::async_trait;
use sqlx::PgPool;

use super::{
    super::{
        StoreError,
        figures::{Connections, Figures, Measures},
        from_sql,
    },
    PostgresStore,
    partitions::SHARED_BITS,
    within,
};

#[async_trait]
impl Measures for PostgresStore {
    async fn figures(&self) -> Result<Figures, StoreError> {
        // Two digits.
        let bits = i16::try_from(SHARED_BITS).unwrap_or(i16::MAX);
        let query = sqlx::query_as(include_str!("figures.sql")).bind(bits);
        let (bytes, schema, left): (i64, Option<i64>, Option<i64>) =
            within(query.fetch_one(&self.readers)).await?;
        Ok(Figures {
            bytes: from_sql(bytes)?,
            schema: from_sql(schema.unwrap_or_default())?,
            // None when appends are ahead of their partitions, which is for them to mend.
            positions_left: left.map(|left| u64::try_from(left).unwrap_or_default()),
        })
    }

    fn connections(&self) -> Connections {
        let of = |pool: &PgPool| {
            Connections::of(pool.size(), pool.num_idle(), pool.options().get_max_connections())
        };
        [&self.readers, &self.scanners, &self.sentinel].into_iter().map(of).sum()
    }
}
