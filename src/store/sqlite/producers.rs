//! What is known of producers, in SQLite. Multi-row statements, their sizes powers of two: see `append`.
use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::{
    super::{EpochKey, LogName, ProducerWrites, Run, StoreError, StoredEpoch, producer_columns, to_sql},
    append::{MOST_ROWS, Query, tuples},
    failed,
    producer_list::numbers,
};

/// A statement of as many rows as a power of two: few texts, all of them prepared once. The last row is
/// repeated to fill it, so that any number of rows up to [`MOST_ROWS`] is one statement.
struct Rows {
    before: &'static str,
    /// The text of one row, and what joins two.
    row: &'static str,
    joint: &'static str,
    after: &'static str,
}

impl Rows {
    /// Runs it for all rows. `bind` is told whether it binds a row again, which must change nothing.
    async fn run<'r, T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &'r [T],
        bind: impl for<'q> Fn(Query<'q>, &'r T, bool) -> Query<'q>,
    ) -> Result<(), StoreError> {
        for rows in rows.chunks(MOST_ROWS) {
            let filled = rows.len().next_power_of_two();
            let text = [self.before, &vec![self.row; filled].join(self.joint), self.after].concat();
            let mut query = sqlx::query(AssertSqlSafe(text));
            for at in 0..filled {
                query = bind(query, &rows[at.min(rows.len() - 1)], at >= rows.len());
            }
            query.execute(&mut *connection).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// The epochs of runs of numbers, with the gaps that overlap the runs.
pub async fn epochs(
    connection: &mut SqliteConnection,
    log: &LogName,
    runs: &[Run],
) -> Result<HashMap<EpochKey, StoredEpoch>, StoreError> {
    let mut found = HashMap::new();
    for runs in runs.chunks(MOST_ROWS) {
        let mut text = String::from(
            "-- producer_touched: the epochs of runs of numbers, and the gaps that each overlaps
            WITH run (at, producer, epoch, low, high) AS (VALUES ",
        );
        // The last run again and again finds the same again: see `Rows`.
        let rows = runs.len().next_power_of_two();
        tuples(&mut text, rows, 5);
        // CROSS JOIN keeps the runs outermost. Gaps are disjoint, so those that overlap a run begin with the
        // last one that starts at or before it.
        text.push_str(
            ") SELECT run.at, epoch.first_sequence, epoch.last_sequence, epoch.seen, epoch.repeated,
                epoch.gaps, epoch.first_seen, epoch.last_seen, gap.from_sequence, gap.to_sequence, gap.seen_at
            FROM run CROSS JOIN producer_epochs AS epoch
                ON epoch.log = ? AND epoch.producer = run.producer AND epoch.epoch = run.epoch
            LEFT JOIN producer_gaps AS gap
                ON gap.log = epoch.log AND gap.producer = run.producer AND gap.epoch = run.epoch
                AND gap.from_sequence <= run.high AND gap.to_sequence >= run.low
                AND gap.from_sequence >= coalesce((
                    SELECT before.from_sequence FROM producer_gaps AS before
                    WHERE before.log = epoch.log AND before.producer = run.producer
                        AND before.epoch = run.epoch AND before.from_sequence <= run.low
                    ORDER BY before.from_sequence DESC LIMIT 1
                ), run.low)",
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for at in (0..rows).map(|row| row.min(runs.len() - 1)) {
            let run = &runs[at];
            query = query
                .bind(i64::try_from(at).unwrap_or(i64::MAX))
                .bind(run.epoch.producer.as_str())
                .bind(to_sql(run.epoch.epoch))
                .bind(to_sql(run.from))
                .bind(to_sql(run.to));
        }
        for row in query.bind(log.as_str()).fetch_all(&mut *connection).await.map_err(failed)? {
            let at: i64 = row.try_get(0).map_err(failed)?;
            let Some(run) = usize::try_from(at).ok().and_then(|at| runs.get(at)) else { continue };
            producer_columns::add(&mut found, run, numbers(&row, 1)?)?;
        }
    }
    Ok(found)
}

/// Writes what an append says about producers.
pub async fn write(
    connection: &mut SqliteConnection,
    log: &LogName,
    writes: &ProducerWrites,
) -> Result<(), StoreError> {
    let ProducerWrites { producers, epochs, closed, gaps } = writes;
    let log = log.as_str();
    let counted = Rows {
        before: "-- producers: adds what one append stored and kept of each producer
            INSERT INTO producers
                (log, producer, first_seen, last_seen, last_position, events, quarantined) VALUES ",
        row: "(?, ?, ?, ?, ?, ?, ?)",
        joint: ", ",
        after: " ON CONFLICT (log, producer) DO UPDATE SET
                last_seen = max(last_seen, excluded.last_seen),
                last_position = coalesce(excluded.last_position, last_position),
                events = events + excluded.events,
                quarantined = quarantined + excluded.quarantined",
    };
    counted
        .run(connection, producers, |query, it, again| {
            query
                .bind(log)
                .bind(it.producer.as_str())
                .bind(it.first_seen)
                .bind(it.last_seen)
                .bind(it.last_position.map(to_sql))
                // Once.
                .bind(if again { 0 } else { it.events })
                .bind(if again { 0 } else { it.quarantined })
        })
        .await?;
    let set = Rows {
        before: "-- producer_epochs_set: epochs as they are after an append
            INSERT OR REPLACE INTO producer_epochs (log, producer, epoch, first_sequence, last_sequence,
                seen, repeated, gaps, first_seen, last_seen) VALUES ",
        row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        joint: ", ",
        after: "",
    };
    set.run(connection, epochs, |query, (key, epoch), _| {
        let query = query.bind(log).bind(key.producer.as_str());
        [key.epoch, epoch.first_sequence, epoch.last_sequence, epoch.seen, epoch.repeated, epoch.gaps]
            .into_iter()
            .fold(query, |query, number| query.bind(to_sql(number)))
            .bind(epoch.first_seen)
            .bind(epoch.last_seen)
    })
    .await?;
    let delete = Rows {
        before: "-- producer_gaps_delete: takes out gaps that numbers arrived for
            DELETE FROM producer_gaps WHERE ",
        // Not `IN (VALUES ...)`, for which SQLite reads the whole table.
        row: "(log = ? AND producer = ? AND epoch = ? AND from_sequence = ?)",
        joint: " OR ",
        after: "",
    };
    delete
        .run(connection, closed, |query, (key, from), _| {
            query.bind(log).bind(key.producer.as_str()).bind(to_sql(key.epoch)).bind(to_sql(*from))
        })
        .await?;
    let insert = Rows {
        before: "-- producer_gaps_insert: new gaps, and what is left of older ones
            INSERT OR REPLACE INTO producer_gaps (log, producer, epoch, from_sequence, to_sequence, seen_at) VALUES ",
        row: "(?, ?, ?, ?, ?, ?)",
        joint: ", ",
        after: "",
    };
    insert
        .run(connection, gaps, |query, (key, gap), _| {
            let query = query.bind(log).bind(key.producer.as_str()).bind(to_sql(key.epoch));
            query.bind(to_sql(gap.from)).bind(to_sql(gap.to)).bind(gap.seen_at)
        })
        .await
}
