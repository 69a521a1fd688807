//! The partitions of `events`, made ahead of the appends that need them.
//!
//! A log that retention removes something of has a table of its own below `events`; every other log lies in
//! `events_shared`. Both are partitioned by runs of positions: 2^24 of them in the shared one, about 12 GB at some
//! 700 bytes an event, small enough to be indexed in one go; what the log was given in a table of its own. A
//! partition is made outside any append's transaction and attached, which unlike `CREATE TABLE ... PARTITION OF`
//! stops neither readers nor writers.
use std::{borrow::Cow, collections::BTreeSet, ops::Range};

use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{
    super::{LogName, StoreError},
    failed,
};

/// Positions of a shared partition, as a power of two.
pub const SHARED_BITS: u32 = 24;
/// How far ahead of the head partitions are made, so that whatever keeps them from being made is told of in time.
const AHEAD: u64 = 1 << 20;
/// How far ahead of the head there must be some: an append places a few thousand events at most.
const ROOM: u64 = 1 << 16;
/// Partitions of fewer positions than this power of two are made only as far as they must be: there could be many.
pub const COARSE_BITS: u32 = 20;
/// How long one that must be there waits for the locks that it takes.
const WAIT: &str = "10s";
/// The same of one that is made ahead: appends wait with it.
const WAIT_AHEAD: &str = "200ms";

/// The table that a log's events lie in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    name: Cow<'static, str>,
    bits: u32,
}

impl Table {
    /// That of a log, given what it says of its own partitions.
    pub fn of(log: &LogName, own_bits: Option<u32>) -> Self {
        match own_bits {
            None => Self { name: "events_shared".into(), bits: SHARED_BITS },
            Some(bits) => Self { name: own_name(log).into(), bits },
        }
    }

    /// The name of a partition.
    pub fn part(&self, number: u64) -> String {
        // The shared table's partitions are older than it is.
        let prefix = if self.name == "events_shared" { "events" } else { &self.name };
        format!("{prefix}_p{number}")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far ahead of the head its partitions are made.
    const fn ahead(&self) -> u64 {
        if self.bits < COARSE_BITS { ROOM } else { AHEAD }
    }

    /// The numbers of the partitions for appends at `head`, up to so far ahead.
    fn numbers(&self, head: u64, ahead: u64) -> Range<u64> {
        head >> self.bits..((head + ahead) >> self.bits) + 1
    }
}

/// Log names are longer than the names of tables may be, and have other characters.
fn own_name(log: &LogName) -> String {
    let hash = Sha256::digest(log.as_str());
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("events_log_{hex}")
}

/// Partitions that are known to exist. Not all below the highest: a connection serves many logs, one of which may
/// be far ahead of another, and retention drops the oldest.
pub type Made = BTreeSet<String>;

/// Whether there are partitions for one append more behind `head`.
pub fn suffice(made: &Made, table: &Table, head: u64) -> bool {
    table.numbers(head, ROOM).all(|number| made.contains(&table.part(number)))
}

/// Whether there are as many as there should be.
pub fn are_ahead(made: &Made, table: &Table, head: u64) -> bool {
    table.numbers(head, table.ahead()).all(|number| made.contains(&table.part(number)))
}

/// Makes sure that there are partitions for the positions from `head` on, well ahead, those first that must be. No
/// transaction may be open.
pub async fn ahead(
    connection: &mut PgConnection,
    made: &mut Made,
    table: &Table,
    head: u64,
) -> Result<(), StoreError> {
    let must = table.numbers(head, ROOM);
    for number in table.numbers(head, table.ahead()) {
        let name = table.part(number);
        let wait = if must.contains(&number) { WAIT } else { WAIT_AHEAD };
        if !made.contains(&name)
            && !attached(connection, table.name(), &name).await?
            && let Err(error) = attach(connection, table, number, wait).await
        {
            // Another appender may have been faster. If not, the next try will tell.
            tracing::debug!(name, %error, "making a partition");
            if !attached(connection, table.name(), &name).await? {
                return Err(error);
            }
        }
        made.insert(name);
    }
    Ok(())
}

/// Whether a table of this name is a partition of another.
async fn attached(connection: &mut PgConnection, parent: &str, name: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar(include_str!("partition_attached.sql"))
        .bind(parent)
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(failed)
}

/// Makes a partition, in a transaction of its own unless there is one.
async fn attach(
    connection: &mut PgConnection,
    table: &Table,
    number: u64,
    wait: &str,
) -> Result<(), StoreError> {
    let (parent, name) = (table.name(), table.part(number));
    let (from, to) = (number << table.bits, (number + 1) << table.bits);
    // Only names and numbers computed above go into the text; DDL takes no bind parameters.
    let text = format!(
        "SET LOCAL lock_timeout = '{wait}'; \
         CREATE TABLE IF NOT EXISTS {name} (LIKE {parent} INCLUDING ALL); \
         ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
    );
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Gives a log a table of its own, with partitions for what it has, and moves that there; inside a transaction
/// that has locked its head.
pub async fn own(
    connection: &mut PgConnection,
    log: &LogName,
    table: &Table,
    size: u64,
) -> Result<(), StoreError> {
    let name = table.name();
    run(
        connection,
        format!("CREATE TABLE {name} (LIKE events_shared INCLUDING ALL) PARTITION BY RANGE (position)"),
    )
    .await?;
    // What `exclude` has said of the shared table is not true of this one.
    run(connection, format!("ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {}", excluded(log))).await?;
    run(connection, format!("COMMENT ON TABLE {name} IS 'events of the log {log}'")).await?;
    for number in table.numbers(0, size + table.ahead()) {
        attach(connection, table, number, WAIT).await?;
    }
    for text in [
        format!("INSERT INTO {name} SELECT * FROM events_shared WHERE log = '{log}'"),
        format!("DELETE FROM events_shared WHERE log = '{log}'"),
        format!("ALTER TABLE events ATTACH PARTITION {name} FOR VALUES IN ('{log}')"),
    ] {
        run(connection, text).await?;
    }
    Ok(())
}

/// Makes sure, without holding up other logs, that the shared table has nothing of a log.
pub async fn exclude(connection: &mut PgConnection, log: &LogName) -> Result<(), StoreError> {
    include(connection, log).await?;
    let name = excluded(log);
    run(
        connection,
        format!("ALTER TABLE events_shared ADD CONSTRAINT {name} CHECK (log <> '{log}') NOT VALID"),
    )
    .await?;
    run(connection, format!("ALTER TABLE events_shared VALIDATE CONSTRAINT {name}")).await
}

/// Ends that.
pub async fn include(connection: &mut PgConnection, log: &LogName) -> Result<(), StoreError> {
    run(connection, format!("ALTER TABLE events_shared DROP CONSTRAINT IF EXISTS {}", excluded(log))).await
}

fn excluded(log: &LogName) -> String {
    format!("{}_not_here", own_name(log))
}

/// Drops the partitions of a log's own table that lie below a position. No transaction may be open.
///
/// They are detached first in the way that stops neither readers nor writers of the others. That can be cut off
/// half-way, and is then finished here.
pub async fn drop_below(connection: &mut PgConnection, table: &Table, oldest: u64) -> Result<(), StoreError> {
    let below: Vec<(String, bool)> = sqlx::query_as(include_str!("partitions_below.sql"))
        .bind(table.name())
        .bind(super::super::to_sql(oldest >> table.bits))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    for (name, pending) in below {
        let parent = table.name();
        let how = if pending { "FINALIZE" } else { "CONCURRENTLY" };
        run(connection, format!("ALTER TABLE {parent} DETACH PARTITION {name} {how}")).await?;
        run(connection, format!("DROP TABLE {name}")).await?;
    }
    let detached: Vec<String> = sqlx::query_scalar(include_str!("partitions_detached.sql"))
        .bind(table.name())
        .bind(super::super::to_sql(oldest >> table.bits))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    for name in detached {
        run(connection, format!("DROP TABLE {name}")).await?;
    }
    Ok(())
}

async fn run(connection: &mut PgConnection, text: String) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(text)).persistent(false).execute(connection).await.map_err(failed)?;
    Ok(())
}
