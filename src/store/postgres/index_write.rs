//! Building the index in PostgreSQL: a connection of its own, one short transaction at a time.
use std::ops::Range;

use async_trait::async_trait;
use sqlx::{
    PgConnection, Row as _,
    postgres::{PgArguments, PgRow},
};

use super::{
    super::{
        Behind, IndexWriter, LogName, StoreError, broken, from_sql, index::small, index_steps::RunWrites,
        to_sql,
    },
    failed,
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

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// A connection that builds indexes.
pub struct PostgresIndexWriter {
    pub(super) connection: PgConnection,
}

impl PostgresIndexWriter {
    /// Takes a connection for itself.
    pub const fn new(connection: PgConnection) -> Self {
        Self { connection }
    }

    async fn execute(&mut self, query: Query<'_>) -> Result<(), StoreError> {
        query.execute(&mut self.connection).await.map_err(failed)?;
        Ok(())
    }

    async fn logs(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, StoreError> {
        query.fetch_all(&mut self.connection).await.map_err(failed)
    }

    async fn add_counts(&mut self, log: &LogName, counts: &[(CountKey, u64)]) -> Result<(), StoreError> {
        let texts = |text: fn(&CountKey) -> &String| -> Vec<&str> {
            counts.iter().map(|(key, _)| text(key).as_str()).collect()
        };
        let numbers = |number: fn(&CountKey) -> i32| -> Result<Vec<i16>, StoreError> {
            counts.iter().map(|(key, _)| i16::try_from(number(key)).map_err(broken)).collect()
        };
        let query = sqlx::query(include_str!("index_counts_add.sql"))
            .bind(log.as_str())
            .bind(counts.iter().map(|(key, _)| key.hour).collect::<Vec<_>>())
            .bind(numbers(|key| key.family)?)
            .bind(texts(|key| &key.code))
            .bind(texts(|key| &key.name))
            .bind(texts(|key| &key.category))
            .bind(numbers(|key| key.outcome)?)
            .bind(texts(|key| &key.producer))
            .bind(counts.iter().map(|(_, count)| to_sql(*count)).collect::<Vec<_>>());
        self.execute(query).await
    }

    async fn add_in_transaction(&mut self, log: &LogName, segment: &Segment) -> Result<(), StoreError> {
        // The claim holds the head: nobody else has moved it.
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
        self.execute(head).await
    }
}

#[async_trait]
impl RunWrites for PostgresIndexWriter {
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
        self.execute(query.bind(state as i16).bind(to_sql(progress))).await
    }

    async fn make(&mut self, log: &LogName, run: RunId, state: State) -> Result<(), StoreError> {
        let query = of_run(include_str!("index_run_add.sql"), log, run);
        self.execute(query.bind(state as i16).bind(0_i64).bind(small(FORMAT))).await
    }

    async fn add_rows(&mut self, log: &LogName, run: RunId, rows: &[Row]) -> Result<(), StoreError> {
        let query = of_run(include_str!("index_rows_add.sql"), log, run)
            .bind(rows.iter().map(|row| row.key.kind as i16).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| to_sql(row.key.key)).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.data.as_slice()).collect::<Vec<_>>());
        self.execute(query).await
    }

    async fn clear(
        &mut self,
        log: &LogName,
        run: RunId,
        kind: Kind,
        (first, last): (u64, u64),
    ) -> Result<(), StoreError> {
        let query = of_run(include_str!("index_clear.sql"), log, run);
        self.execute(query.bind(kind as i16).bind(to_sql(first)).bind(to_sql(last))).await
    }

    async fn remove(&mut self, log: &LogName, run: RunId) -> Result<(), StoreError> {
        self.execute(of_run(include_str!("index_run_delete.sql"), log, run)).await
    }
}

fn of_run<'q>(text: &'static str, log: &'q LogName, run: RunId) -> Query<'q> {
    sqlx::query(text).bind(log.as_str()).bind(small(run.level)).bind(to_sql(run.first))
}

/// The kind with this number.
pub fn kind(number: i64) -> Result<Kind, StoreError> {
    match number {
        0 => Ok(Kind::Bucket),
        1 => Ok(Kind::Term),
        other => Err(broken(format!("an index row of kind {other}"))),
    }
}

fn state(number: i16) -> Result<State, StoreError> {
    State::of(number.into()).ok_or_else(|| broken(format!("a run in state {number}")))
}

#[async_trait]
impl IndexWriter for PostgresIndexWriter {
    async fn most_behind(&mut self) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar(include_str!("index_most_behind.sql"));
        from_sql(query.fetch_one(&mut self.connection).await.map_err(failed)?)
    }

    async fn behind(&mut self, positions: u64, most: u32) -> Result<Vec<Behind>, StoreError> {
        let query =
            sqlx::query(include_str!("index_behind.sql")).bind(to_sql(positions)).bind(i64::from(most));
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
        let query = sqlx::query(include_str!("index_untidy.sql")).bind(to_sql(runs)).bind(i64::from(most));
        self.logs(query).await?.iter().map(log).collect()
    }

    async fn claim(&mut self, log: &LogName) -> Result<Option<u64>, StoreError> {
        self.run("BEGIN").await?;
        let head = || sqlx::query_scalar(include_str!("index_head_lock.sql")).bind(log.as_str());
        let mut locked: Result<Option<i64>, _> = head().fetch_optional(&mut self.connection).await;
        if matches!(locked, Ok(None)) {
            self.execute(sqlx::query(include_str!("index_head_make.sql")).bind(log.as_str())).await?;
            locked = head().fetch_optional(&mut self.connection).await;
        }
        match locked {
            Ok(Some(indexed)) => from_sql(indexed).map(Some),
            Ok(None) => Err(broken("the head of an index that was just made is gone")),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
                self.release().await?;
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK").await
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
            .bind(i64::from(most));
        let rows = query.fetch_all(&mut self.connection).await.map_err(failed)?;
        rows.iter().map(|row| indexed_event(row).map_err(failed)).collect()
    }

    async fn add(&mut self, log: &LogName, segment: &Segment) -> Result<bool, StoreError> {
        self.add_in_transaction(log, segment).await?;
        self.end(Ok(true)).await
    }

    async fn runs(&mut self, log: &LogName) -> Result<Vec<Run>, StoreError> {
        let query = sqlx::query(include_str!("index_runs.sql")).bind(log.as_str()).bind(small(FORMAT));
        let rows = self.logs(query).await?;
        rows.iter()
            .map(|row| {
                let level: i16 = row.try_get(0).map_err(failed)?;
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
            .bind(small(level))
            .bind(runs.iter().copied().map(to_sql).collect::<Vec<_>>())
            .bind(to_sql(buckets.start))
            .bind(to_sql(buckets.end))
            .bind(to_sql(low))
            .bind(to_sql(high));
        let rows = self.logs(query).await?;
        rows.iter()
            .map(|row| {
                let key = Key {
                    kind: kind(row.try_get::<i16, _>(1).map_err(failed)?.into())?,
                    key: from_sql(row.try_get(2).map_err(failed)?)?,
                };
                let first = from_sql(row.try_get(0).map_err(failed)?)?;
                Ok((first, Row { key, data: row.try_get(3).map_err(failed)? }))
            })
            .collect()
    }

    async fn tidy(&mut self, log: &LogName, chore: &Chore, rows: &[Row]) -> Result<bool, StoreError> {
        let done = self.step(log, chore, rows).await;
        self.end(done).await
    }
}

fn log(row: &PgRow) -> Result<LogName, StoreError> {
    LogName::parse(row.try_get(0).map_err(failed)?).map_err(broken)
}

/// A row as it is indexed.
pub fn indexed_event(row: &PgRow) -> Result<(u64, Columns), sqlx::Error> {
    let position: i64 = row.try_get(0)?;
    let columns = Columns {
        family: row.try_get::<i16, _>(1)?.into(),
        outcome: row.try_get::<i16, _>(2)?.into(),
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
