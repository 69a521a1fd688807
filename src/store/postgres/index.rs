//! Reading the index from PostgreSQL.
use std::{collections::BTreeMap, ops::Range};

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};

use super::{
    super::{
        Counted, IndexReads, IndexWriter, Live, LogName, Moment, PageRequest, RollupRequest, StoreError,
        Times, broken, from_sql, index::small, sql, to_sql,
    },
    BY_KEY, DIALECT, PostgresStore, failed, index_write,
    read::{counted, fetch},
    within,
};
use crate::index::{FORMAT, Key, Row, chores::RunId};

#[async_trait]
impl IndexReads for PostgresStore {
    async fn live_runs(&self, log: &LogName, positions: &Range<u64>) -> Result<Live, StoreError> {
        let query = sqlx::query(include_str!("index_live.sql"))
            .bind(log.as_str())
            .bind(i64::from(FORMAT))
            .bind(to_sql(positions.start))
            .bind(to_sql(positions.end));
        let mut live = Live::default();
        for row in within(query.fetch_all(&self.scanners)).await? {
            live.indexed = from_sql(row.try_get(0).map_err(failed)?)?;
            let level: Option<i16> = row.try_get(1).map_err(failed)?;
            let first: Option<i64> = row.try_get(2).map_err(failed)?;
            if let (Some(level), Some(first)) = (level, first) {
                live.runs.push(RunId { level: self::level(level)?, first: from_sql(first)? });
            }
        }
        Ok(live)
    }

    async fn index_rows(
        &self,
        log: &LogName,
        wanted: &[(RunId, Vec<Key>)],
    ) -> Result<Vec<Option<Vec<Row>>>, StoreError> {
        let keys = || {
            let wanted = (0_i64..).zip(wanted);
            wanted.flat_map(|(at, (run, keys))| keys.iter().map(move |key| (at, run, key)))
        };
        let query = sqlx::query(include_str!("index_lookup.sql"))
            .bind(log.as_str())
            .bind(keys().map(|(at, ..)| at).collect::<Vec<_>>())
            .bind(keys().map(|(_, run, _)| small(run.level)).collect::<Vec<_>>())
            .bind(keys().map(|(_, run, _)| to_sql(run.first)).collect::<Vec<_>>())
            .bind(keys().map(|(.., key)| key.kind as i16).collect::<Vec<_>>())
            .bind(keys().map(|(.., key)| to_sql(key.key)).collect::<Vec<_>>());
        let mut found: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
        for row in within(query.fetch_all(&self.scanners)).await? {
            let at: i64 = row.try_get(0).map_err(failed)?;
            let rows = found.entry(usize::try_from(at).map_err(broken)?).or_default();
            if let Some(data) = row.try_get(3).map_err(failed)? {
                let kind: i16 = row.try_get(1).map_err(failed)?;
                let key = from_sql(row.try_get(2).map_err(failed)?)?;
                rows.push(Row { key: Key { kind: index_write::kind(kind.into())?, key }, data });
            }
        }
        Ok((0..wanted.len()).map(|at| found.remove(&at)).collect())
    }

    async fn segments(
        &self,
        log: &LogName,
        positions: &Range<u64>,
        occurred: Times,
        received: Times,
    ) -> Result<Vec<Range<u64>>, StoreError> {
        let query = sqlx::query(include_str!("index_segments.sql"))
            .bind(log.as_str())
            .bind(to_sql(positions.start))
            .bind(to_sql(positions.end))
            .bind(occurred.from)
            .bind(occurred.to)
            .bind(received.from)
            .bind(received.to);
        let rows = within(query.fetch_all(&self.scanners)).await?;
        let number = |row: &PgRow, at: usize| from_sql(row.try_get(at).map_err(failed)?);
        rows.iter().map(|row| Ok(number(row, 0)?..number(row, 1)?)).collect()
    }

    async fn moments(&self, page: &PageRequest<'_>) -> Result<Vec<Moment>, StoreError> {
        fetch(&self.scanners, sql::moments(DIALECT, page)).await?.iter().map(moment).collect()
    }

    async fn down(
        &self,
        log: &LogName,
        below: Moment,
        until: i64,
        events: u32,
    ) -> Result<Option<Moment>, StoreError> {
        let query = sqlx::query(include_str!("down.sql"))
            .bind(log.as_str())
            .bind(below.0)
            .bind(to_sql(below.1))
            .bind(until)
            .bind(i64::from(events.saturating_sub(1)));
        within(query.fetch_optional(&self.scanners)).await?.as_ref().map(moment).transpose()
    }

    async fn rollup(&self, request: &RollupRequest<'_>) -> Result<(u64, Vec<Counted>), StoreError> {
        let _turn = self.counting.acquire().await.map_err(broken)?;
        let rows = fetch(&self.scanners, sql::rollup(DIALECT, request)).await?;
        let mut indexed = 0;
        let mut all = Vec::with_capacity(rows.len());
        let count = 1 + request.count.group_by.len() + usize::from(request.count.bucket.is_some());
        for row in rows {
            indexed = from_sql(row.try_get(0).map_err(failed)?)?;
            if row.try_get::<Option<i64>, _>(count).map_err(failed)?.is_some() {
                all.push(counted(&row, 1, &request.count)?);
            }
        }
        Ok((indexed, all))
    }

    async fn index_writer(&self) -> Result<Box<dyn IndexWriter>, StoreError> {
        let target = self.target.with(&BY_KEY).with(&[("synchronous_commit", "off")]);
        let connection = target.named("chancery-indexer").connect().await?;
        Ok(Box::new(index_write::PostgresIndexWriter::new(connection)))
    }
}

fn level(level: i16) -> Result<u32, StoreError> {
    u32::try_from(level).map_err(broken)
}

fn moment(row: &PgRow) -> Result<Moment, StoreError> {
    Ok((row.try_get(0).map_err(failed)?, from_sql(row.try_get(1).map_err(failed)?)?))
}
