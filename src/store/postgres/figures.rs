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
    partitions::{COARSE_BITS, SHARED_BITS},
    within,
};

#[async_trait]
impl Measures for PostgresStore {
    async fn figures(&self) -> Result<Figures, StoreError> {
        // Two digits each.
        let [shared, coarse] = [SHARED_BITS, COARSE_BITS].map(|bits| i16::try_from(bits).unwrap_or(i16::MAX));
        let query = sqlx::query_as(include_str!("figures.sql")).bind(shared).bind(coarse);
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
        self.pools().into_iter().map(of).sum()
    }
}
