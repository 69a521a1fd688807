//! The partitions of `events`: runs of 2^24 positions, made ahead of the appends that need them.
//!
//! 16,777,216 events of some 700 bytes are about 12 GB: small enough to be indexed or dropped in one go,
//! and large enough that a log of 10^10 events has 600 of them. A partition is made outside any append's
//! transaction and attached, which unlike `CREATE TABLE ... PARTITION OF` stops neither readers nor
//! writers.
use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgConnection};

use super::{super::StoreError, failed};

/// Positions of one partition, as a power of two.
const BITS: u32 = 24;
/// How far ahead of the head partitions are made.
const AHEAD: u64 = 1 << 20;
/// How far ahead of the head there must be some: an append places a few thousand events at most.
const ROOM: u64 = 1 << 16;

/// Numbers of partitions that are known to exist. Not all below the highest: a connection serves many logs,
/// one of which may be far ahead of another, and retention drops the oldest.
pub type Made = BTreeSet<u64>;

/// Whether there are partitions for one append more behind `head`.
pub fn suffice(made: &Made, head: u64) -> bool {
    (head >> BITS..=(head + ROOM) >> BITS).all(|number| made.contains(&number))
}

/// Makes sure that there are partitions for the positions from `head` on, well ahead. No transaction may be
/// open.
pub async fn ahead(connection: &mut PgConnection, made: &mut Made, head: u64) -> Result<(), StoreError> {
    for number in head >> BITS..=(head + AHEAD) >> BITS {
        if !made.contains(&number)
            && !attached(connection, number).await?
            && let Err(error) = attach(connection, number).await
        {
            // Another appender may have been faster. If not, the next try will tell.
            tracing::debug!(number, %error, "making a partition");
            if !attached(connection, number).await? {
                return Err(error);
            }
        }
        made.insert(number);
    }
    Ok(())
}

async fn attached(connection: &mut PgConnection, number: u64) -> Result<bool, StoreError> {
    sqlx::query_scalar(include_str!("partition_attached.sql"))
        .bind(name(number))
        .fetch_one(connection)
        .await
        .map_err(failed)
}

async fn attach(connection: &mut PgConnection, number: u64) -> Result<(), StoreError> {
    let (name, from, to) = (name(number), number << BITS, (number + 1) << BITS);
    // Only numbers computed above go into the texts; DDL takes no bind parameters.
    for text in [
        format!("CREATE TABLE IF NOT EXISTS {name} (LIKE events INCLUDING ALL)"),
        format!("ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"),
    ] {
        sqlx::query(AssertSqlSafe(text)).persistent(false).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

fn name(number: u64) -> String {
    format!("events_p{number}")
}
