//! Appending to PostgreSQL: a connection of its own, one transaction at a time, whole arrays as bind
//! parameters.
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::{
    Arguments as _, AssertSqlSafe, PgConnection, Row as _,
    postgres::{PgArguments, PgRow},
};
use uuid::Uuid;

use super::{
    super::{
        Appender, EpochKey, HashMap, HashSet, Key, Known, LogName, QuarantineKey, Quarantined, Run,
        StoreError, StoredEpoch, broken, from_sql, leaf_hashes_from_sql, to_sql, tree_from_sql,
    },
    copy::Copy,
    failed,
    partitions::{self, Table},
    pooler, producers, quarantine,
    replica::{self, Replica},
    schema,
};
use crate::{
    event::{Columns, Producer, SealedEvent},
    ingest::sequencer::{Head, Plan},
    tree::{Frontier, Hash},
};

/// How long a head is waited for at a time. Other replicas hold it for some 50 ms; one that has stopped in
/// the middle would hold up a connection that other logs wait for.
const LOCK_WAIT: &str = "1s";

/// How long after partitions could not be made ahead it is tried again.
const PARTITIONS_AGAIN: Duration = Duration::from_secs(10);

/// A connection that writes.
pub struct PostgresAppender {
    connection: PgConnection,
    partitioned: partitions::Made,
    /// When some could not be made ahead.
    partitions_tried: Option<Instant>,
    /// The database's number of the session, which stays the same.
    session: Option<i32>,
    replica: Arc<Replica>,
}

impl PostgresAppender {
    /// Takes a connection for itself.
    pub const fn new(connection: PgConnection, replica: Arc<Replica>) -> Self {
        Self {
            connection,
            partitioned: partitions::Made::new(),
            partitions_tried: None,
            session: None,
            replica,
        }
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::query(statement).execute(&mut self.connection).await.map_err(failed)?;
        Ok(())
    }

    /// Begins and locks, in one round trip, unless the schema has come to take newer programs only. A log name is of
    /// `a-z 0-9 - _ .` only, so it can stand in the text, which several statements at once must do without parameters.
    async fn lock(&mut self, log: &LogName) -> Result<Option<(Head, Table)>, StoreError> {
        let text = format!(
            "-- lock: begins, and locks the head of a log\n\
             BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{LOCK_WAIT}'; \
             SELECT size, tree_size, frontier, partition_bits, \
             (SELECT oldest FROM schema_floor WHERE id = 1), pg_backend_pid(), ({}) \
             FROM log_head WHERE log = '{log}' FOR UPDATE",
            replica::COMMITS_WAIT
        );
        let row = sqlx::raw_sql(AssertSqlSafe(text)).fetch_optional(&mut self.connection).await;
        let row = row.map_err(|error| match &error {
            sqlx::Error::Database(database) if database.code().as_deref() == Some("55P03") => {
                StoreError::Locked(error.into())
            }
            _ => failed(error),
        })?;
        match row {
            Some(row) => {
                schema::allows(row.try_get(4).map_err(failed)?)?;
                let session = row.try_get(5).map_err(failed)?;
                if *self.session.get_or_insert(session) != session {
                    return Err(failed(pooler::Pooled.into()));
                }
                if self.replica.is_required() && !row.try_get::<bool, _>(6).map_err(failed)? {
                    return Err(StoreError::NoSyncReplica(replica::TOLD.to_owned()));
                }
                let size = from_sql(row.try_get(0).map_err(failed)?)?;
                let bits: Option<i16> = row.try_get(3).map_err(failed)?;
                let bits = bits.map(u32::try_from).transpose().map_err(broken)?;
                Ok(Some((Head { size, tree: tree(&row, 1)? }, Table::of(log, bits))))
            }
            None => Ok(None),
        }
    }

    /// Has partitions made for what is about to be appended, and ahead of it. No transaction may be open.
    async fn prepare(&mut self, log: &LogName, table: &Table, head: u64) -> Result<(), StoreError> {
        let made = partitions::ahead(&mut self.connection, &mut self.partitioned, table, head).await;
        match made {
            Ok(()) => Ok(()),
            // As long as there is room nobody waits for what can be mended meanwhile.
            Err(error) if partitions::suffice(&self.partitioned, table, head) => {
                tracing::warn!(%log, %error, "no partition can be made ahead: when there is no room appends will fail");
                self.partitions_tried = Some(Instant::now());
                Ok(())
            }
            // Two appenders that make the same partition at once can meet in many ways (a name taken in the
            // system's catalog among them), none of which outlives the next try.
            Err(StoreError::Broken(source)) => Err(StoreError::Unavailable(source)),
            Err(error) => Err(error),
        }
    }

    /// Whether there are partitions enough for now: all that should be, or those that must be and it was just tried.
    fn is_prepared(&self, table: &Table, head: u64) -> bool {
        partitions::are_ahead(&self.partitioned, table, head)
            || self.partitions_tried.is_some_and(|at| at.elapsed() < PARTITIONS_AGAIN)
                && partitions::suffice(&self.partitioned, table, head)
    }
}

/// An ack means on the disk. A session that inherits a weaker `synchronous_commit` is raised to `on`
/// (`remote_apply` and the like are left alone), and a server without fsync is named in the log. Where a standby has to
/// confirm, that means on its disk, too.
pub async fn insist_on_durability(connection: &mut PgConnection, standby: bool) -> Result<(), StoreError> {
    let settings =
        sqlx::query(include_str!("durability.sql")).fetch_one(&mut *connection).await.map_err(failed)?;
    let read = |at: usize| settings.try_get::<String, _>(at).map_err(failed);
    let (synchronous_commit, fsync, full_page_writes) = (read(0)?, read(1)?, read(2)?);
    let weak = matches!(synchronous_commit.as_str(), "off" | "local");
    if weak || (standby && synchronous_commit == "remote_write") {
        sqlx::query("SET synchronous_commit = on").execute(&mut *connection).await.map_err(failed)?;
    }
    if fsync != "on" || full_page_writes != "on" {
        tracing::warn!(
            fsync,
            full_page_writes,
            "the PostgreSQL server runs without fsync or full_page_writes: a power cut can lose acked events"
        );
    }
    Ok(())
}

#[async_trait]
impl Appender for PostgresAppender {
    async fn begin(&mut self, log: &LogName) -> Result<Head, StoreError> {
        self.replica.check()?;
        loop {
            let (table, size) = match self.lock(log).await? {
                Some((head, table)) if self.is_prepared(&table, head.size) => return Ok(head),
                Some((head, table)) => (table, head.size),
                None => {
                    self.rollback().await?;
                    sqlx::query(include_str!("make_head.sql"))
                        .bind(log.as_str())
                        .execute(&mut self.connection)
                        .await
                        .map_err(failed)?;
                    continue;
                }
            };
            self.rollback().await?;
            self.prepare(log, &table, size).await?;
        }
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
        if !plan.placed.is_empty() {
            append(&mut self.connection, log, plan, tree).await?;
        }
        if !plan.released.is_empty() {
            quarantine::release(&mut self.connection, log, &plan.released).await?;
        }
        if plan.placed.is_empty() {
            producers::add(&mut self.connection, log, &plan.producers.producers).await?;
        }
        producers::sequences(&mut self.connection, log, &plan.producers).await
    }

    async fn bulk_load(
        &mut self,
        log: &LogName,
        plans: &[(Plan<'_>, Frontier)],
    ) -> Result<Duration, StoreError> {
        let copies = plans.iter().map(|(plan, tree)| Ok((Copy::of(log, plan)?, tree)));
        let copies = copies.collect::<Result<Vec<_>, StoreError>>()?;
        let start = Instant::now();
        for (copy, tree) in copies {
            self.begin(log).await?;
            copy.send(&mut self.connection).await?;
            sqlx::query(include_str!("set_head.sql"))
                .bind(log.as_str())
                .bind(to_sql(tree.size()))
                .bind(tree.bytes())
                .execute(&mut self.connection)
                .await
                .map_err(failed)?;
            self.commit().await?;
        }
        Ok(start.elapsed())
    }

    async fn bulk_read(&mut self, log: &LogName) -> Result<u64, StoreError> {
        super::copy::read(&mut self.connection, log).await
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        match sqlx::query("COMMIT").execute(&mut self.connection).await {
            Ok(_) if self.replica.is_required() => match replica::confirm(&mut self.connection).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(StoreError::StateUnknown(replica::TOLD.into())),
                Err(error) => Err(StoreError::StateUnknown(error.into())),
            },
            Ok(_) => Ok(()),
            // An answer of the server: it did not commit. Anything else leaves that open.
            Err(error @ sqlx::Error::Database(_)) => match failed(error) {
                StoreError::Unavailable(source) => Err(StoreError::StateUnknown(source)),
                other => Err(other),
            },
            Err(error) => Err(StoreError::StateUnknown(error.into())),
        }
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK").await
    }
}

/// The leaf hashes of these positions, in their order.
pub async fn leaf_hashes(
    connection: &mut PgConnection,
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
pub fn tree(row: &PgRow, at: usize) -> Result<Frontier, StoreError> {
    let (size, frontier): (i64, Vec<u8>) =
        (row.try_get(at).map_err(failed)?, row.try_get(at + 1).map_err(failed)?);
    tree_from_sql(size, &frontier)
}

/// Classes an error of an insert.
fn failed_insert(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) if database.constraint() == Some("event_keys_pkey") => {
            StoreError::KeyTaken
        }
        _ => failed(error),
    }
}

/// Events, keys and head, in one round trip. As fast as COPY in both tables (measured), which takes five.
async fn append(
    connection: &mut PgConnection,
    log: &LogName,
    plan: &Plan<'_>,
    tree: &Frontier,
) -> Result<(), StoreError> {
    let placed = &plan.placed;
    let texts = |column: fn(&Columns) -> &String| -> Vec<&str> {
        placed.iter().map(|placed| column(placed.event.columns()).as_str()).collect()
    };
    let numbers = |column: fn(&Columns) -> i32| -> Result<Vec<i16>, StoreError> {
        placed.iter().map(|placed| i16::try_from(column(placed.event.columns())).map_err(broken)).collect()
    };
    let longs = |column: fn(&Columns) -> i64| -> Vec<i64> {
        placed.iter().map(|placed| column(placed.event.columns())).collect()
    };
    let (names, first_seen, last_seen, last_positions, stored, quarantined) =
        producers::columns(&plan.producers.producers);
    let mut arguments = PgArguments::default();
    // The columns repeat about as much as a record holds. Too little would be copied as it grows.
    let size = |event: &SealedEvent| 2 * event.record().len() + 2 * event.personal().len() + 512;
    arguments.reserve(29, placed.iter().map(|placed| size(placed.event)).sum());
    sqlx::query_with(include_str!("append.sql"), arguments)
        .bind(log.as_str())
        .bind(placed.iter().map(|placed| to_sql(placed.position)).collect::<Vec<_>>())
        .bind(placed.iter().map(|placed| placed.event.record()).collect::<Vec<_>>())
        .bind(placed.iter().map(|placed| placed.event.leaf_hash().as_slice()).collect::<Vec<_>>())
        .bind(numbers(|columns| columns.family)?)
        .bind(texts(|columns| &columns.code))
        .bind(texts(|columns| &columns.name))
        .bind(texts(|columns| &columns.category))
        .bind(numbers(|columns| columns.outcome)?)
        .bind(texts(|columns| &columns.producer))
        .bind(texts(|columns| &columns.actor))
        .bind(texts(|columns| &columns.subject))
        .bind(texts(|columns| &columns.device))
        .bind(texts(|columns| &columns.correlation_id))
        .bind(longs(|columns| columns.occurred_at))
        .bind(longs(|columns| columns.received_at))
        .bind(texts(|columns| &columns.attributes))
        .bind(to_sql(plan.size))
        .bind(placed.iter().map(|placed| placed.event.event_id()).collect::<Vec<_>>())
        .bind(placed.iter().map(|placed| placed.event.content_hash().as_slice()).collect::<Vec<_>>())
        .bind(names)
        .bind(first_seen)
        .bind(last_seen)
        .bind(last_positions)
        .bind(stored)
        .bind(quarantined)
        .bind(longs(|columns| columns.severity))
        .bind(tree.bytes())
        .bind(placed.iter().map(|placed| placed.event.personal()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map_err(failed_insert)?;
    Ok(())
}

/// The key rows of those keys that are stored.
pub async fn known(
    connection: &mut PgConnection,
    log: &LogName,
    keys: &[Key],
) -> Result<HashMap<Key, Known>, StoreError> {
    let producers: Vec<&str> = keys.iter().map(|key| key.producer.as_str()).collect();
    let ids: Vec<Uuid> = keys.iter().map(|key| key.event_id).collect();
    let rows = sqlx::query(include_str!("known.sql"))
        .bind(log.as_str())
        .bind(producers)
        .bind(ids)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        // WITH ORDINALITY counts from 1.
        let at: i64 = row.try_get(0).map_err(failed)?;
        let Some(key) = usize::try_from(at - 1).ok().and_then(|at| keys.get(at)) else { continue };
        let known = Known {
            position: from_sql(row.try_get(1).map_err(failed)?)?,
            content_hash: row.try_get(2).map_err(failed)?,
            leaf_hash: row.try_get::<Option<Vec<u8>>, _>(3).map_err(failed)?.unwrap_or_default(),
        };
        found.insert(key.clone(), known);
    }
    Ok(found)
}
