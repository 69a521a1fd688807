//! Building the index in SQLite: a connection of its own, one short transaction at a time.
use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, sqlite::SqliteRow};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    super::{Behind, IndexWriter, LogName, StoreError, broken, from_sql, index_steps::RunWrites, to_sql},
    append::{MOST_ROWS, Query, insert, tuples},
    failed,
    read::json,
};
use crate::{
    event::Columns,
    index::{
        FORMAT, Key, Kind, Row,
        chores::{Chore, Run, RunId, State},
        run,
        segment::{CountKey, Segment},
    },
};

/// A connection that builds indexes.
pub struct SqliteIndexWriter {
    pub(super) connection: SqliteConnection,
    pub(super) writer: Arc<Mutex<()>>,
    indexing: Arc<Mutex<()>>,
    /// Held from `claim` to the end of the work.
    claimed: Option<OwnedMutexGuard<()>>,
}

impl SqliteIndexWriter {
    /// Takes a connection for itself.
    pub const fn new(connection: SqliteConnection, writer: Arc<Mutex<()>>, indexing: Arc<Mutex<()>>) -> Self {
        Self { connection, writer, indexing, claimed: None }
    }

    async fn execute(&mut self, query: Query<'_>) -> Result<(), StoreError> {
        query.execute(&mut self.connection).await.map_err(failed)?;
        Ok(())
    }

    async fn logs(&mut self, query: Query<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        query.fetch_all(&mut self.connection).await.map_err(failed)
    }

    async fn indexed(&mut self, log: &LogName) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar(include_str!("index_head.sql")).bind(log.as_str());
        let indexed: Option<i64> = query.fetch_optional(&mut self.connection).await.map_err(failed)?;
        from_sql(indexed.unwrap_or(0))
    }

    async fn add_counts(&mut self, log: &LogName, counts: &[(CountKey, u64)]) -> Result<(), StoreError> {
        for counts in counts.chunks(MOST_ROWS) {
            let mut text = String::from(
                "-- index_counts_add: adds the counts of a segment to the rollup\nINSERT INTO event_counts (log, hour, family, code, name, category, outcome, producer, count) VALUES ",
            );
            tuples(&mut text, counts.len(), 9);
            text.push_str(" ON CONFLICT DO UPDATE SET count = count + excluded.count");
            let mut query = sqlx::query(AssertSqlSafe(text)).persistent(counts.len() == MOST_ROWS);
            for (key, count) in counts {
                query = query
                    .bind(log.as_str())
                    .bind(key.hour)
                    .bind(key.family)
                    .bind(&key.code)
                    .bind(&key.name)
                    .bind(&key.category)
                    .bind(key.outcome)
                    .bind(&key.producer)
                    .bind(to_sql(*count));
            }
            self.execute(query).await?;
        }
        Ok(())
    }

    async fn add_in_transaction(&mut self, log: &LogName, segment: &Segment) -> Result<bool, StoreError> {
        self.execute(sqlx::query(include_str!("index_head_make.sql")).bind(log.as_str())).await?;
        if self.indexed(log).await? != segment.first {
            return Ok(false);
        }
        let run = RunId { level: segment.level, first: segment.first };
        self.make(log, run, State::Live).await?;
        self.add_rows(log, run, &segment.rows).await?;
        self.add_counts(log, &segment.counts).await?;
        let next = run.positions().end;
        let zone = sqlx::query(include_str!("index_zone_add.sql"))
            .bind(log.as_str())
            .bind(to_sql(segment.first))
            .bind(to_sql(next))
            .bind(segment.zone.min_occurred)
            .bind(segment.zone.max_occurred)
            .bind(segment.zone.min_received)
            .bind(segment.zone.max_received);
        self.execute(zone).await?;
        let head = sqlx::query(include_str!("index_head_set.sql")).bind(log.as_str()).bind(to_sql(next));
        self.execute(head).await?;
        Ok(true)
    }
}

#[async_trait]
impl RunWrites for SqliteIndexWriter {
    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::query(statement).execute(&mut self.connection).await.map_err(failed)?;
        Ok(())
    }

    async fn state(&mut self, log: &LogName, run: RunId) -> Result<Option<(State, u64)>, StoreError> {
        let query = of_run(include_str!("index_run_progress.sql"), log, run);
        let row = query.fetch_optional(&mut self.connection).await.map_err(failed)?;
        row.map(|row| {
            Ok((state(row.try_get(0).map_err(failed)?)?, from_sql(row.try_get(1).map_err(failed)?)?))
        })
        .transpose()
    }

    async fn set(
        &mut self,
        log: &LogName,
        run: RunId,
        state: State,
        progress: u64,
    ) -> Result<(), StoreError> {
        let query = of_run(include_str!("index_run_set.sql"), log, run);
        self.execute(query.bind(state as i64).bind(to_sql(progress))).await
    }

    async fn make(&mut self, log: &LogName, run: RunId, state: State) -> Result<(), StoreError> {
        let query = of_run(include_str!("index_run_add.sql"), log, run);
        self.execute(query.bind(state as i64).bind(0_i64).bind(i64::from(FORMAT))).await
    }

    async fn add_rows(&mut self, log: &LogName, run: RunId, rows: &[Row]) -> Result<(), StoreError> {
        let into = "index_postings (log, level, first, kind, key, data)";
        insert(&mut self.connection, into, 6, rows, |query, row| {
            query
                .bind(log.as_str())
                .bind(i64::from(run.level))
                .bind(to_sql(run.first))
                .bind(row.key.kind as i64)
                .bind(to_sql(row.key.key))
                .bind(row.data.as_slice())
        })
        .await
        .map_err(failed)
    }

    async fn clear(
        &mut self,
        log: &LogName,
        run: RunId,
        kind: Kind,
        (first, last): (u64, u64),
    ) -> Result<(), StoreError> {
        let query = of_run(include_str!("index_clear.sql"), log, run);
        self.execute(query.bind(kind as i64).bind(to_sql(first)).bind(to_sql(last))).await
    }

    async fn remove(&mut self, log: &LogName, run: RunId) -> Result<(), StoreError> {
        self.execute(of_run(include_str!("index_run_delete.sql"), log, run)).await
    }
}

fn of_run<'q>(text: &'static str, log: &'q LogName, run: RunId) -> Query<'q> {
    sqlx::query(text).bind(log.as_str()).bind(i64::from(run.level)).bind(to_sql(run.first))
}

/// The kind with this number.
pub fn kind(number: i64) -> Result<Kind, StoreError> {
    match number {
        0 => Ok(Kind::Bucket),
        1 => Ok(Kind::Term),
        other => Err(broken(format!("an index row of kind {other}"))),
    }
}

fn state(number: i64) -> Result<State, StoreError> {
    State::of(number).ok_or_else(|| broken(format!("a run in state {number}")))
}

#[async_trait]
impl IndexWriter for SqliteIndexWriter {
    async fn most_behind(&mut self) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar(include_str!("index_most_behind.sql"));
        from_sql(query.fetch_one(&mut self.connection).await.map_err(failed)?)
    }

    async fn behind(&mut self, positions: u64, most: u32) -> Result<Vec<Behind>, StoreError> {
        let query = sqlx::query(include_str!("index_behind.sql")).bind(to_sql(positions)).bind(most);
        let rows = self.logs(query).await?;
        rows.iter()
            .map(|row| {
                Ok(Behind {
                    log: log(row)?,
                    head: from_sql(row.try_get(1).map_err(failed)?)?,
                    indexed: from_sql(row.try_get(2).map_err(failed)?)?,
                })
            })
            .collect()
    }

    async fn untidy(&mut self, runs: u64, most: u32) -> Result<Vec<LogName>, StoreError> {
        let query = sqlx::query(include_str!("index_untidy.sql")).bind(to_sql(runs)).bind(most);
        self.logs(query).await?.iter().map(log).collect()
    }

    /// Keeps the erasures of this process away. Other processes on the same file are rare, and every transaction
    /// looks again.
    async fn claim(&mut self, log: &LogName) -> Result<Option<u64>, StoreError> {
        // The last claim's first: a lock is not waited for by who holds it.
        self.claimed = None;
        self.claimed = Some(Arc::clone(&self.indexing).lock_owned().await);
        self.indexed(log).await.map(Some)
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        self.claimed = None;
        Ok(())
    }

    async fn events(
        &mut self,
        log: &LogName,
        positions: Range<u64>,
        most: u32,
    ) -> Result<Vec<(u64, Columns)>, StoreError> {
        let query = sqlx::query(include_str!("index_events.sql"))
            .bind(log.as_str())
            .bind(to_sql(positions.start))
            .bind(to_sql(positions.end))
            .bind(most);
        let rows = query.fetch_all(&mut self.connection).await.map_err(failed)?;
        rows.iter().map(|row| indexed_event(row).map_err(failed)).collect()
    }

    async fn add(&mut self, log: &LogName, segment: &Segment) -> Result<bool, StoreError> {
        let _claimed = self.claimed.take();
        let writer = Arc::clone(&self.writer);
        let _turn = writer.lock().await;
        self.run("BEGIN IMMEDIATE").await?;
        let done = self.add_in_transaction(log, segment).await;
        self.end(done).await
    }

    async fn runs(&mut self, log: &LogName) -> Result<Vec<Run>, StoreError> {
        let query = sqlx::query(include_str!("index_runs.sql")).bind(log.as_str()).bind(i64::from(FORMAT));
        let rows = self.logs(query).await?;
        rows.iter()
            .map(|row| {
                let level: i64 = row.try_get(0).map_err(failed)?;
                Ok(Run {
                    id: RunId {
                        level: u32::try_from(level).map_err(broken)?,
                        first: from_sql(row.try_get(1).map_err(failed)?)?,
                    },
                    state: state(row.try_get(2).map_err(failed)?)?,
                    progress: from_sql(row.try_get(3).map_err(failed)?)?,
                })
            })
            .collect()
    }

    async fn slice(
        &mut self,
        log: &LogName,
        level: u32,
        runs: &[u64],
        buckets: &Range<u64>,
    ) -> Result<Vec<(u64, Row)>, StoreError> {
        let (low, high) = run::terms(level, buckets);
        let query = sqlx::query(include_str!("index_slice.sql"))
            .bind(log.as_str())
            .bind(level)
            .bind(json(&runs.iter().copied().map(to_sql).collect::<Vec<_>>()))
            .bind(to_sql(buckets.start))
            .bind(to_sql(buckets.end))
            .bind(to_sql(low))
            .bind(to_sql(high));
        let rows = self.logs(query).await?;
        rows.iter()
            .map(|row| {
                let key = Key {
                    kind: kind(row.try_get(1).map_err(failed)?)?,
                    key: from_sql(row.try_get(2).map_err(failed)?)?,
                };
                let first = from_sql(row.try_get(0).map_err(failed)?)?;
                Ok((first, Row { key, data: row.try_get(3).map_err(failed)? }))
            })
            .collect()
    }

    async fn tidy(&mut self, log: &LogName, chore: &Chore, rows: &[Row]) -> Result<bool, StoreError> {
        let _claimed = self.claimed.take();
        let writer = Arc::clone(&self.writer);
        let _turn = writer.lock().await;
        self.run("BEGIN IMMEDIATE").await?;
        let done = self.step(log, chore, rows).await;
        self.end(done).await
    }
}

fn log(row: &SqliteRow) -> Result<LogName, StoreError> {
    LogName::parse(row.try_get(0).map_err(failed)?).map_err(broken)
}

/// A row as it is indexed.
pub fn indexed_event(row: &SqliteRow) -> Result<(u64, Columns), sqlx::Error> {
    let position: i64 = row.try_get(0)?;
    let columns = Columns {
        family: row.try_get(1)?,
        outcome: row.try_get(2)?,
        code: row.try_get(3)?,
        name: row.try_get(4)?,
        category: row.try_get(5)?,
        producer: row.try_get(6)?,
        actor: row.try_get(7)?,
        subject: row.try_get(8)?,
        device: row.try_get(9)?,
        correlation_id: row.try_get(10)?,
        occurred_at: row.try_get(11)?,
        received_at: row.try_get(12)?,
        attributes: row.try_get(13)?,
        severity: row.try_get(14)?,
    };
    Ok((u64::try_from(position).unwrap_or_default(), columns))
}
