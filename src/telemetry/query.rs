//! Metrics of queries. Called by: `grpc::query` and `query`.
use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{
    asked::Asked,
    closed::{Counters, closed},
    register::{counter, gauge, seconds},
};

closed! {
    /// Who ended a query before its end.
    Canceller {
        client,
        server,
    }
}

/// Every metric of queries.
pub struct QueryMetrics {
    active: Gauge,
    rows: Counter,
    scanned: Counter,
    first_row: Histogram,
    cancelled: Counters<Canceller>,
    /// How far the follower that is furthest behind is behind its log, in seconds.
    pub tail_lag: Asked,
}

impl QueryMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let tail_lag = Asked::default();
        let help = "How long the follower that is furthest behind has been behind its log";
        registry.register_with_unit("tail_lag", help, Unit::Seconds, tail_lag.clone());
        Self {
            active: gauge(
                registry,
                "query_active_streams",
                "Queries and counts that run, following ones too",
            ),
            rows: counter(registry, "query_rows", "Events returned by queries"),
            scanned: counter(registry, "query_scanned_rows", "Events looked at for queries"),
            first_row: seconds(
                registry,
                "query_first_row",
                "Time from the start of a query to its first event",
                // 1 ms to 65 s, which is as long as a read may take.
                exponential_buckets(0.001, 2.0, 17),
            ),
            cancelled: Counters::register(
                registry,
                "query_cancelled",
                "Queries that were ended before their end, by whom",
                "by",
            ),
            tail_lag,
        }
    }

    /// A query begins or ends.
    pub fn active(&self, more: i64) {
        self.active.inc_by(more);
    }

    /// Events were returned by a query.
    pub fn rows(&self, events: usize) {
        self.rows.inc_by(events as u64);
    }

    /// Events were read for a query.
    pub fn scanned(&self, events: u64) {
        self.scanned.inc_by(events);
    }

    /// The first event of a query was sent so long after its start.
    pub fn first_row(&self, took: Duration) {
        self.first_row.observe(took.as_secs_f64());
    }

    /// A query was ended before its end.
    pub fn cancelled(&self, by: Canceller) {
        self.cancelled.add(by, 1);
    }
}
