//! The partitions of `events`: runs of 2^24 positions, made by the append that first needs one.
//!
//! 16,777,216 events of some 700 bytes are about 12 GB: small enough to be indexed or dropped in one go,
//! and large enough that a log of 10^10 events has 600 of them.
use sqlx::{AssertSqlSafe, PgConnection};

use super::{super::StoreError, failed};

/// Positions of one partition, as a power of two.
const BITS: u32 = 24;

/// Makes the partitions that hold positions below `end`, from `made` on, and returns up to which
/// position there are partitions now. Runs inside the append's transaction: either the partition and
/// its first events are there, or neither.
pub async fn make(connection: &mut PgConnection, made: u64, first: u64, end: u64) -> Result<u64, StoreError> {
    let mut made = made.max(first >> BITS << BITS);
    while made < end {
        let number = made >> BITS;
        let (from, to) = (number << BITS, (number + 1) << BITS);
        // Only numbers computed above go into the text; DDL takes no bind parameters.
        let text = format!(
            "CREATE TABLE IF NOT EXISTS events_p{number} PARTITION OF events FOR VALUES FROM ({from}) TO ({to})"
        );
        sqlx::query(AssertSqlSafe(text)).persistent(false).execute(&mut *connection).await.map_err(failed)?;
        made = to;
    }
    Ok(made)
}
