//! A store whose operations are measured, whatever database is behind it: `db_client_operation_duration_seconds`. Called
//! by: `app`, which puts it around the store that it has opened.
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Appender, Behind, Connections, CountRequest, Counted, Discard, EpochKey, ErasedEvent, Eraser,
    ErasureCounts, ErasureRequest, Erasures, Extent, Figures, Hold, IndexReads, IndexWriter, Key, Known,
    LastSeen, Live, Marked, Measures, Moment, NewTile, PageRequest, ProducerDetail, ProducerPage,
    ProducerRow, QuarantineCursor, QuarantineFilter, QuarantineKey, QuarantinePage, Quarantined,
    QuarantinedRow, Retention, RollupRequest, Rows, Run, Store, StoreError, StoreUrl, StoredCheckpoint,
    StoredEpoch, StoredEvent, Times, TreeReads, Trees, WantedCheckpoint,
};
use crate::{
    event::{Columns, LogName, Producer},
    index::{
        self, Row,
        chores::{self, Chore, RunId},
        segment::Segment,
    },
    ingest::sequencer::{Head, Plan},
    telemetry::{self, Metrics, WritesRefused},
    tree::{Frontier, Hash},
};

/// What shows that appends are taken again.
const COMMIT: &str = "append_commit";

/// A store, or a connection of it, with its meter.
pub struct Measured<T> {
    inner: T,
    meter: Meter,
}

impl Measured<Arc<dyn Store>> {
    /// Measures what is asked of a store of this kind.
    pub const fn new(store: Arc<dyn Store>, url: &StoreUrl, metrics: Arc<Metrics>) -> Self {
        Self { inner: store, meter: Meter { metrics, system: url.system() } }
    }
}

#[derive(Clone)]
struct Meter {
    metrics: Arc<Metrics>,
    /// What the conventions call the database.
    system: &'static str,
}

impl Meter {
    async fn time<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut running = Running { meter: self, operation, began: Instant::now(), error: Some("cancelled") };
        let statement = telemetry::statement(self.system, operation);
        let done = telemetry::within(statement.as_ref(), work).await;
        if operation == COMMIT && done.is_ok() {
            self.metrics.storage.writes_refused(WritesRefused::sync_replica, false);
        }
        running.error = done.as_ref().err().map(|error| running.meter.class(error));
        if let Some((statement, error)) = statement.as_ref().zip(running.error) {
            statement.fail(error);
        }
        done
    }

    fn class(&self, error: &StoreError) -> &'static str {
        match error {
            StoreError::Unavailable(cause) => {
                if let Some(sqlx::Error::PoolTimedOut) = cause.downcast_ref() {
                    self.metrics.storage.timed_out();
                }
                "unavailable"
            }
            StoreError::Locked(_) => "locked",
            StoreError::StateUnknown(_) => "state_unknown",
            StoreError::KeyTaken => "key_taken",
            StoreError::TooSlow(_) => "too_slow",
            StoreError::Broken(_) => "broken",
            StoreError::Schema(_) => "schema",
            StoreError::NoSyncReplica(_) => {
                self.metrics.storage.writes_refused(WritesRefused::sync_replica, true);
                "no_sync_replica"
            }
            StoreError::Pooled(_) => "pooled",
        }
    }
}

/// An operation that runs. One that nobody waits for any more is measured up to then.
struct Running<'a> {
    meter: &'a Meter,
    operation: &'static str,
    began: Instant,
    error: Option<&'static str>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Meter { metrics, system } = self.meter;
        metrics.storage.operation(system, self.operation, self.error, self.began.elapsed());
    }
}

/// Implements a trait by what is inside, with methods that share the store or have the connection to themselves. The
/// operations are called by the names of the methods, behind a prefix. What is not measured, or makes something that is
/// to be, is written out at the end.
macro_rules! measured {
    (
        $trait:ident for $inner:ty, $prefix:literal, shared $self:ident,
        { $($name:ident($($given:ident: $kind:ty),*) -> $answer:ty;)* }
        $($written_out:tt)*
    ) => {
        #[async_trait]
        impl $trait for Measured<$inner> {
            $(async fn $name(&$self, $($given: $kind),*) -> Result<$answer, StoreError> {
                $self.meter.time(concat!($prefix, stringify!($name)), $self.inner.$name($($given),*)).await
            })*
            $($written_out)*
        }
    };
    (
        $trait:ident for $inner:ty, $prefix:literal, alone $self:ident,
        { $($name:ident($($given:ident: $kind:ty),*) -> $answer:ty;)* }
    ) => {
        #[async_trait]
        impl $trait for Measured<$inner> {
            $(async fn $name(&mut $self, $($given: $kind),*) -> Result<$answer, StoreError> {
                $self.meter.time(concat!($prefix, stringify!($name)), $self.inner.$name($($given),*)).await
            })*
        }
    };
}

measured! {
    Store for Arc<dyn Store>, "", shared self,
    {
        migrate() -> ();
        ready() -> ();
        confirm_by_replica() -> ();
        tree(log: &LogName) -> Frontier;
        heads(logs: &[LogName]) -> HashMap<LogName, u64>;
        page(request: &PageRequest<'_>) -> Rows;
        event_at(log: &LogName, position: u64) -> Option<StoredEvent>;
        known(log: &LogName, keys: &[Key]) -> HashMap<Key, Known>;
        count(request: &CountRequest<'_>) -> Vec<Counted>;
        quarantined(page: &QuarantinePage<'_>) -> Vec<QuarantinedRow>;
        count_quarantined(log: &LogName, filter: &QuarantineFilter, after: Option<&QuarantineCursor>) -> u64;
        quarantined_rows(log: &LogName, rows: &[QuarantineKey]) -> HashMap<QuarantineKey, QuarantinedRow>;
        discard(log: &LogName, rows: &[QuarantineKey], discard: &Discard) -> ();
        producers(page: &ProducerPage<'_>) -> Vec<ProducerRow>;
        producer(log: &LogName, producer: &Producer) -> Option<ProducerDetail>;
        last_seen(most: u32, since: i64) -> LastSeen;
        shared_value(name: &'static str, proposed: &[u8]) -> Vec<u8>;
        reusable_bytes() -> u64;
    }

    async fn appender(&self) -> Result<Box<dyn Appender>, StoreError> {
        let inner = self.meter.time("appender", self.inner.appender()).await?;
        Ok(Box::new(Measured { inner, meter: self.meter.clone() }))
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

measured! {
    TreeReads for Arc<dyn Store>, "", shared self,
    {
        leaf_hashes(log: &LogName, positions: Range<u64>) -> Vec<Hash>;
        tiles(log: &LogName, wanted: &[(u8, u64)]) -> Vec<Option<Vec<u8>>>;
        tile_roots(log: &LogName, level: u8, tiles: Range<u64>) -> Vec<Hash>;
    }
}

measured! {
    Trees for Arc<dyn Store>, "", shared self,
    {
        logs() -> Vec<(LogName, u64)>;
        full_tiles(log: &LogName, level: u8) -> u64;
        add_tiles(log: &LogName, tiles: &[NewTile]) -> ();
        checkpoint(log: &LogName, wanted: WantedCheckpoint) -> Option<StoredCheckpoint>;
        add_checkpoint(log: &LogName, checkpoint: &StoredCheckpoint) -> bool;
        replace_checkpoint(log: &LogName, checkpoint: &StoredCheckpoint, former_note: &str) -> bool;
    }
}

measured! {
    Retention for Arc<dyn Store>, "", shared self,
    {
        extent(log: &LogName) -> Extent;
        partition_bits(log: &LogName) -> Option<u32>;
        partition(log: &LogName, bits: u32) -> u32;
        newest_received(log: &LogName, positions: Range<u64>) -> Vec<(i32, i64)>;
        begin_at(log: &LogName, oldest: u64) -> Marked;
        drop_removed(log: &LogName, oldest: u64) -> ();
        holds(log: &LogName) -> Vec<Hold>;
        place_hold(log: &LogName, hold: &Hold) -> ();
        release_hold(log: &LogName, id: Uuid, released: (i64, &str)) -> bool;
    }
}

measured! {
    IndexReads for Arc<dyn Store>, "", shared self,
    {
        live_runs(log: &LogName, positions: &Range<u64>) -> Live;
        index_rows(log: &LogName, wanted: &[(RunId, Vec<index::Key>)]) -> Vec<Option<Vec<Row>>>;
        segments(log: &LogName, positions: &Range<u64>, occurred: Times, received: Times) -> Vec<Range<u64>>;
        moments(page: &PageRequest<'_>) -> Vec<Moment>;
        down(log: &LogName, below: Moment, until: i64, events: u32) -> Option<Moment>;
        rollup(request: &RollupRequest<'_>) -> (u64, Vec<Counted>);
    }

    async fn index_writer(&self) -> Result<Box<dyn IndexWriter>, StoreError> {
        let inner = self.meter.time("index_writer", self.inner.index_writer()).await?;
        Ok(Box::new(Measured { inner, meter: self.meter.clone() }))
    }
}

measured! {
    Erasures for Arc<dyn Store>, "", shared self,
    {
        erasure(proposed: &ErasureRequest) -> ErasureRequest;
        erasure_told(log: &LogName, request_id: Uuid, position: u64) -> ();
        erasure_done(log: &LogName, request_id: Uuid) -> ();
    }

    async fn eraser(&self) -> Result<Box<dyn Eraser>, StoreError> {
        let inner = self.meter.time("eraser", self.inner.eraser()).await?;
        Ok(Box::new(Measured { inner, meter: self.meter.clone() }))
    }
}

measured! {
    Appender for Box<dyn Appender>, "append_", alone self,
    {
        begin(log: &LogName) -> Head;
        known(log: &LogName, keys: &[Key]) -> HashMap<Key, Known>;
        live(log: &LogName, rows: &[QuarantineKey]) -> HashSet<QuarantineKey>;
        keep(log: &LogName, events: &[(&Producer, &Quarantined)]) -> HashSet<QuarantineKey>;
        epochs(log: &LogName, runs: &[Run]) -> HashMap<EpochKey, StoredEpoch>;
        leaf_hashes(log: &LogName, positions: Range<u64>) -> Vec<Hash>;
        write(log: &LogName, plan: &Plan<'_>, tree: &Frontier) -> ();
        bulk_load(log: &LogName, plans: &[(Plan<'_>, Frontier)]) -> Duration;
        bulk_read(log: &LogName) -> u64;
        commit() -> ();
        rollback() -> ();
    }
}

measured! {
    IndexWriter for Box<dyn IndexWriter>, "index_", alone self,
    {
        most_behind() -> u64;
        behind(positions: u64, most: u32) -> Vec<Behind>;
        untidy(runs: u64, most: u32) -> Vec<LogName>;
        claim(log: &LogName) -> Option<u64>;
        release() -> ();
        events(log: &LogName, positions: Range<u64>, most: u32) -> Vec<(u64, Columns)>;
        add(log: &LogName, segment: &Segment) -> bool;
        runs(log: &LogName) -> Vec<chores::Run>;
        slice(log: &LogName, level: u32, runs: &[u64], buckets: &Range<u64>) -> Vec<(u64, Row)>;
        tidy(log: &LogName, chore: &Chore, rows: &[Row]) -> bool;
    }
}

measured! {
    Eraser for Box<dyn Eraser>, "erase_", alone self,
    {
        begin(log: &LogName) -> bool;
        runs(log: &LogName) -> Vec<chores::Run>;
        rows(log: &LogName, run: RunId, keys: &[index::Key]) -> Vec<Row>;
        replace(log: &LogName, run: RunId, gone: &[index::Key], rows: &[Row]) -> ();
        columns(log: &LogName, positions: &[u64]) -> Vec<Columns>;
        write(request: &ErasureRequest, events: &[ErasedEvent], next: u64, counts: ErasureCounts) -> bool;
        commit() -> ();
        rollback() -> ();
    }
}

measured! {
    Measures for Arc<dyn Store>, "", shared self,
    {
        figures() -> Figures;
    }

    fn connections(&self) -> Connections {
        self.inner.connections()
    }
}
