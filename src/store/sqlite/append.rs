//! Appending to SQLite: one connection, one `BEGIN IMMEDIATE` transaction at a time.
//!
//! Every statement crosses to sqlx's worker thread and back, which costs some 100 microseconds, so rows
//! go in by multi-row inserts. Their sizes are powers of two: few texts, all of them prepared once.
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Row as _, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    super::{
        Appender, EpochKey, HashMap, HashSet, Key, Known, LogName, Placed, QuarantineKey, Quarantined, Run,
        StoreError, StoredEpoch, from_sql, leaf_hashes_from_sql, to_sql, tree_from_sql,
    },
    failed, is_full, producers, quarantine,
};
use crate::{
    event::Producer,
    ingest::sequencer::{Head, Plan},
    tree::{Frontier, Hash},
};

/// Rows of the largest multi-row statement. 256 rows of 19 columns stay below SQLite's 32,766 binds.
pub const MOST_ROWS: usize = 256;

/// The writing connection of one sequencer.
pub struct SqliteAppender {
    connection: SqliteConnection,
    writer: Arc<Mutex<()>>,
    /// Held from `begin` to the end of the transaction, however it ends.
    turn: Option<OwnedMutexGuard<()>>,
}

impl SqliteAppender {
    /// Takes a connection for itself.
    pub const fn new(connection: SqliteConnection, writer: Arc<Mutex<()>>) -> Self {
        Self { connection, writer, turn: None }
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::query(statement).execute(&mut self.connection).await.map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl Appender for SqliteAppender {
    async fn begin(&mut self, log: &LogName) -> Result<Head, StoreError> {
        self.turn = Some(Arc::clone(&self.writer).lock_owned().await);
        self.run("BEGIN IMMEDIATE").await?;
        let row = sqlx::query(include_str!("head_tree.sql"))
            .bind(log.as_str())
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(Head { size: 0, tree: Frontier::default() }) };
        let size = from_sql(row.try_get(0).map_err(failed)?)?;
        Ok(Head { size, tree: tree(&row, 1)? })
    }

    async fn known(&mut self, log: &LogName, keys: &[Key]) -> Result<HashMap<Key, Known>, StoreError> {
        known(&mut self.connection, log, keys).await
    }

    async fn live(
        &mut self,
        log: &LogName,
        rows: &[QuarantineKey],
    ) -> Result<HashSet<QuarantineKey>, StoreError> {
        quarantine::live(&mut self.connection, log, rows).await
    }

    async fn keep(
        &mut self,
        log: &LogName,
        events: &[(&Producer, &Quarantined)],
    ) -> Result<HashSet<QuarantineKey>, StoreError> {
        quarantine::keep(&mut self.connection, log, events).await
    }

    async fn epochs(
        &mut self,
        log: &LogName,
        runs: &[Run],
    ) -> Result<HashMap<EpochKey, StoredEpoch>, StoreError> {
        producers::epochs(&mut self.connection, log, runs).await
    }

    async fn leaf_hashes(&mut self, log: &LogName, positions: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        leaf_hashes(&mut self.connection, log.as_str(), positions).await
    }

    async fn write(&mut self, log: &LogName, plan: &Plan<'_>, tree: &Frontier) -> Result<(), StoreError> {
        // Keys first: what is stored already is noticed before the rest is written.
        insert(
            &mut self.connection,
            "event_keys (log, producer, event_id, position, content_hash)",
            5,
            &plan.placed,
            |query, placed: &Placed<'_>| {
                query
                    .bind(log.as_str())
                    .bind(placed.producer.as_str())
                    .bind(placed.event.event_id().as_bytes().to_vec())
                    .bind(to_sql(placed.position))
                    .bind(placed.event.content_hash().as_slice())
            },
        )
        .await
        .map_err(key_taken)?;
        insert(&mut self.connection, "events (log, position, record, leaf_hash, family, code, name, category, outcome, producer, actor, subject, device, correlation_id, occurred_at, received_at, attributes, severity, personal)", 19, &plan.placed, |query, placed| {
            let columns = placed.event.columns();
            query
                .bind(log.as_str())
                .bind(to_sql(placed.position))
                .bind(placed.event.record())
                .bind(placed.event.leaf_hash().as_slice())
                .bind(columns.family)
                .bind(&columns.code)
                .bind(&columns.name)
                .bind(&columns.category)
                .bind(columns.outcome)
                .bind(&columns.producer)
                .bind(&columns.actor)
                .bind(&columns.subject)
                .bind(&columns.device)
                .bind(&columns.correlation_id)
                .bind(columns.occurred_at)
                .bind(columns.received_at)
                .bind(&columns.attributes)
                .bind(columns.severity)
                .bind(placed.event.personal())
        })
        .await
        .map_err(failed)?;
        quarantine::release(&mut self.connection, log, &plan.released).await?;
        producers::write(&mut self.connection, log, &plan.producers).await?;
        sqlx::query(include_str!("set_head.sql"))
            .bind(log.as_str())
            .bind(to_sql(plan.size))
            .bind(tree.bytes())
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn bulk_load(
        &mut self,
        log: &LogName,
        plans: &[(Plan<'_>, Frontier)],
    ) -> Result<Duration, StoreError> {
        // SQLite has nothing faster than the multi-row inserts that appends are made of.
        let start = Instant::now();
        for (plan, tree) in plans {
            self.begin(log).await?;
            self.write(log, plan, tree).await?;
            self.commit().await?;
        }
        Ok(start.elapsed())
    }

    async fn bulk_read(&mut self, log: &LogName) -> Result<u64, StoreError> {
        let mut rows =
            sqlx::query(include_str!("bulk_read.sql")).bind(log.as_str()).fetch(&mut self.connection);
        let mut records = 0;
        while rows.try_next().await.map_err(failed)?.is_some() {
            records += 1;
        }
        Ok(records)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        // A failed COMMIT of SQLite may still have reached the disk (an I/O error after the write), so
        // the outcome counts as unknown; but not when there was no room for its last frame.
        let done = sqlx::query("COMMIT").execute(&mut self.connection).await;
        done.map_err(|error| match is_full(&error) {
            true => failed(error),
            false => StoreError::StateUnknown(error.into()),
        })?;
        self.turn = None;
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK").await?;
        self.turn = None;
        Ok(())
    }
}

/// The leaf hashes of these positions, in their order.
pub async fn leaf_hashes(
    connection: &mut SqliteConnection,
    log: &str,
    positions: Range<u64>,
) -> Result<Vec<Hash>, StoreError> {
    let found: Vec<Vec<u8>> = sqlx::query_scalar(include_str!("leaf_hashes.sql"))
        .bind(log)
        .bind(to_sql(positions.start))
        .bind(to_sql(positions.end))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    leaf_hashes_from_sql(&positions, &found)
}

/// The tree of a head, from two columns.
pub fn tree(row: &SqliteRow, at: usize) -> Result<Frontier, StoreError> {
    let (size, frontier): (i64, Vec<u8>) =
        (row.try_get(at).map_err(failed)?, row.try_get(at + 1).map_err(failed)?);
    tree_from_sql(size, &frontier)
}

/// Classes an error of inserting keys.
fn key_taken(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => StoreError::KeyTaken,
        _ => failed(error),
    }
}

pub type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

/// Inserts rows by statements of 256, 128, ... 1 rows.
pub async fn insert<'r, T>(
    connection: &mut SqliteConnection,
    into: &str,
    columns: usize,
    mut rows: &'r [T],
    bind: impl for<'q> Fn(Query<'q>, &'r T) -> Query<'q>,
) -> Result<(), sqlx::Error> {
    while !rows.is_empty() {
        let (now, rest) = rows.split_at(chunk(rows.len()));
        let mut text = format!("INSERT INTO {into} VALUES ");
        tuples(&mut text, now.len(), columns);
        let mut query = sqlx::query(AssertSqlSafe(text));
        for row in now {
            query = bind(query, row);
        }
        query.execute(&mut *connection).await?;
        rows = rest;
    }
    Ok(())
}

/// The largest power of two that is at most `rows` and `MOST_ROWS`.
fn chunk(rows: usize) -> usize {
    let rows = rows.min(MOST_ROWS);
    if rows.is_power_of_two() { rows } else { rows.next_power_of_two() / 2 }
}

/// `(?, ?), (?, ?)`. Anonymous parameters on purpose: SQLite finds the name of a numbered one by walking
/// a list, and sqlx asks for every name at every execution, which makes 4,608 of them quadratic.
pub fn tuples(text: &mut String, rows: usize, columns: usize) {
    let tuple = format!("({})", vec!["?"; columns].join(", "));
    for row in 0..rows {
        text.push_str(if row > 0 { ", " } else { "" });
        text.push_str(&tuple);
    }
}

/// The key rows of those keys that are stored.
pub async fn known(
    connection: &mut SqliteConnection,
    log: &LogName,
    mut keys: &[Key],
) -> Result<HashMap<Key, Known>, StoreError> {
    let mut found = HashMap::new();
    while !keys.is_empty() {
        let (now, rest) = keys.split_at(chunk(keys.len()));
        let mut text = String::from(
            "-- known: key rows of submitted events\nWITH wanted (at, producer, event_id) AS (VALUES ",
        );
        tuples(&mut text, now.len(), 3);
        // CROSS JOIN keeps the wanted keys outermost, so that each costs one look-up by primary key.
        text.push_str(
            ") SELECT wanted.at, found.position, found.content_hash, events.leaf_hash
            FROM wanted CROSS JOIN event_keys AS found
                ON found.log = ? AND found.producer = wanted.producer AND found.event_id = wanted.event_id
            LEFT JOIN events ON events.log = ? AND events.position = found.position",
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (at, key) in now.iter().enumerate() {
            query = query
                .bind(i64::try_from(at).unwrap_or(i64::MAX))
                .bind(key.producer.as_str())
                .bind(key.event_id.as_bytes().as_slice());
        }
        query = query.bind(log.as_str()).bind(log.as_str());
        for row in query.fetch_all(&mut *connection).await.map_err(failed)? {
            let at: i64 = row.try_get(0).map_err(failed)?;
            let Some(key) = usize::try_from(at).ok().and_then(|at| now.get(at)) else { continue };
            let known = Known {
                position: from_sql(row.try_get(1).map_err(failed)?)?,
                content_hash: row.try_get(2).map_err(failed)?,
                leaf_hash: row.try_get::<Option<Vec<u8>>, _>(3).map_err(failed)?.unwrap_or_default(),
            };
            found.insert(key.clone(), known);
        }
        keys = rest;
    }
    Ok(found)
}
