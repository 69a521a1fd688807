//! Metrics of the store: what it is asked and how long that takes, its connections, its size, its room. Called by:
//! `store::Measured`, `app::figures`, and whoever stops writing.
use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{
    asked::{Asked, Told},
    closed::{Closed as _, Label, closed},
    register::{asked, counter, seconds, told},
};

closed! {
    /// Why nothing is written.
    WritesRefused {
        /// The disk is nearly full.
        disk,
        /// No synchronous standby confirms commits.
        sync_replica,
    }
}

/// From 0.1 ms, in which memory answers, to 10 s. The conventions begin at 1 ms, below which SQLite mostly is.
const SECONDS: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The labels of OpenTelemetry's conventions for databases.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Operation {
    db_system_name: &'static str,
    db_operation_name: &'static str,
    /// Only of one that failed; Prometheus knows no difference between an empty label and none.
    error_type: Option<&'static str>,
}

/// Every metric of the store.
pub struct StorageMetrics {
    operations: Family<Operation, Histogram, fn() -> Histogram>,
    waits: Histogram,
    timeouts: Counter,
    /// Connections that are open and do nothing.
    pub idle: Asked,
    /// Connections that do something.
    pub used: Asked,
    /// Connections that may be open.
    pub max: Asked,
    /// Bytes that the store takes.
    pub bytes: Told,
    /// Bytes that are free where it lies; of SQLite only.
    pub free_bytes: Told,
    /// Bytes that can be written there; of SQLite only.
    pub room_bytes: Told,
    /// Room below which nothing is written; of SQLite only.
    pub min_free_bytes: Told,
    /// Positions until the newest partition that there is of a log is full, of the log with fewest among those whose
    /// partitions are made well ahead; of PostgreSQL only.
    pub positions_left: Told,
    /// Version of the newest migration that the store has.
    pub schema: Told,
    refused: Vec<Gauge>,
}

impl StorageMetrics {
    /// `plain` is for names that all servers have, `own` for those that only Chancery has.
    pub(super) fn new(plain: &mut Registry, own: &mut Registry) -> Self {
        let constructor: fn() -> Histogram = || Histogram::new(SECONDS);
        let operations = Family::new_with_constructor(constructor);
        let help = "Time that one operation of the store took";
        plain.register_with_unit("db_client_operation_duration", help, Unit::Seconds, operations.clone());
        let connections = Family::<Label<&'static str>, Asked>::default();
        let help = "Connections to the database, by what they do";
        plain.register("db_client_connections", help, connections.clone());
        let [idle, used] = ["idle", "used"].map(|state| connections.get_or_create_owned(&[("state", state)]));
        let refused = Family::<Label<WritesRefused>, Gauge>::default();
        own.register("writes_refused", "Whether writes are refused, by cause", refused.clone());
        let each = WritesRefused::ALL.iter().map(|cause| refused.get_or_create_owned(&[("cause", *cause)]));
        let refused = each.collect();
        Self {
            operations,
            waits: seconds(
                plain,
                "db_client_connection_wait_time",
                "Time until a connection for writing was to be had",
                // 0.1 ms to 13 s.
                exponential_buckets(0.0001, 2.0, 18),
            ),
            timeouts: counter(
                plain,
                "db_client_connection_timeouts",
                "Times that no connection was to be had in time",
            ),
            idle,
            used,
            max: asked(plain, "db_client_connection_max", "Connections that may be open"),
            bytes: told(own, "storage_bytes", "Bytes that the store takes"),
            free_bytes: told(own, "storage_free_bytes", "Bytes that are free where the store lies"),
            room_bytes: told(
                own,
                "storage_room_bytes",
                "Bytes that can be written where the store lies, into its own pages too",
            ),
            min_free_bytes: told(
                own,
                "storage_min_free_bytes",
                "Room below which nothing of callers is written",
            ),
            positions_left: told(
                own,
                "partition_positions_left",
                "Positions until the newest partition of a log is full, of the log with fewest",
            ),
            schema: told(own, "schema_version", "Version of the newest migration that the store has"),
            refused,
        }
    }

    /// An operation of the store ended so.
    pub fn operation(
        &self,
        system: &'static str,
        operation: &'static str,
        error: Option<&'static str>,
        took: Duration,
    ) {
        let labels = Operation { db_system_name: system, db_operation_name: operation, error_type: error };
        self.operations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A connection was waited for so long.
    pub fn waited(&self, took: Duration) {
        self.waits.observe(took.as_secs_f64());
    }

    /// No connection was to be had in time.
    pub fn timed_out(&self) {
        self.timeouts.inc();
    }

    /// Whether writes are refused for this cause, from now on.
    pub fn writes_refused(&self, cause: WritesRefused, refused: bool) {
        self.refused[super::closed::Closed::place(cause)].set(i64::from(refused));
    }
}
