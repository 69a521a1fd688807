//! The metrics, by name and meaning. Labels come from closed sets only.
use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{
    checkpoints::CheckpointMetrics, connections::ConnectionMetrics, producers::ProducerMetrics,
    self_audit::SelfAuditMetrics, storage::StorageMetrics,
};

/// What became of a submitted event. Received = the sum over all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are the contract's words in lower case")]
pub enum Outcome {
    accepted,
    duplicate,
    quarantined,
    rejected,
    conflict,
    not_attempted,
    /// The caller went away first; what it sent may be stored.
    unanswered,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByOutcome {
    result: Outcome,
}

/// Why a call was refused, or a stream told to wait, for the sake of others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum Throttle {
    /// The producer's events per second.
    events_per_second,
    /// The producer's bytes per second.
    bytes_per_second,
    /// The server has no room.
    overloaded,
    /// The producer has its share of the room.
    producer_share,
    /// Open append streams.
    streams,
    /// A client that does not read its acks.
    slow_reader,
}

impl Throttle {
    const ALL: [Self; 6] = [
        Self::events_per_second,
        Self::bytes_per_second,
        Self::overloaded,
        Self::producer_share,
        Self::streams,
        Self::slow_reader,
    ];
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByThrottle {
    cause: Throttle,
}

/// Why a query was refused or cut off for the sake of others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum QueryThrottle {
    /// As many run as may.
    too_many,
    /// Its client does not read.
    slow_reader,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByQueryThrottle {
    cause: QueryThrottle,
}

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    received: Counter,
    results: Family<ByOutcome, Counter>,
    throttled: Family<ByThrottle, Counter>,
    commit_seconds: Histogram,
    commit_events: Histogram,
    queried: Counter,
    open_queries: Gauge,
    query_throttled: Family<ByQueryThrottle, Counter>,
    open_calls: Gauge,
    refused_calls: Counter,
    unindexed: Gauge,
    segments: Counter,
    removed: Counter,
    /// Of connections for gRPC.
    pub connections: ConnectionMetrics,
    /// Of signed checkpoints.
    pub checkpoints: CheckpointMetrics,
    /// Of single producers.
    pub producers: ProducerMetrics,
    /// Of the journal.
    pub self_audit: SelfAuditMetrics,
    /// Of the store.
    pub storage: StorageMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("chancery");
        let received = Counter::default();
        registry.register("append_received_events", "Events received by Append", received.clone());
        let results = Family::<ByOutcome, Counter>::default();
        registry.register("append_events", "Events by what became of them", results.clone());
        let throttled = Family::<ByThrottle, Counter>::default();
        registry.register(
            "append_throttled",
            "Calls refused, streams refused, ended or told to wait, by cause",
            throttled.clone(),
        );
        // From the first on, so that an alert on an increase sees it.
        for cause in Throttle::ALL {
            drop(throttled.get_or_create(&ByThrottle { cause }));
        }
        // 0.5 ms to 16 s: from an idle SSD to a store that had to be waited for.
        let commit_seconds =
            Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.0005, 2.0, 16));
        registry.register_with_unit(
            "commit_duration",
            "Time from taking a group of events to its commit, retries included",
            Unit::Seconds,
            commit_seconds.clone(),
        );
        let commit_events =
            Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(1.0, 2.0, 13));
        registry.register("commit_group_events", "Events of one committed group", commit_events.clone());
        let queried = Counter::default();
        registry.register("query_returned_events", "Events returned by Query", queried.clone());
        let open_queries = Gauge::default();
        registry.register(
            "open_queries",
            "Queries and counts that run, following ones too",
            open_queries.clone(),
        );
        let query_throttled = Family::<ByQueryThrottle, Counter>::default();
        registry.register("query_throttled", "Queries refused or cut off, by cause", query_throttled.clone());
        for cause in [QueryThrottle::too_many, QueryThrottle::slow_reader] {
            drop(query_throttled.get_or_create(&ByQueryThrottle { cause }));
        }
        let open_calls = Gauge::default();
        registry.register("open_calls", "Calls of any service that have not ended", open_calls.clone());
        let refused_calls = Counter::default();
        let help = "Calls of any service refused because as many run as may";
        registry.register("refused_calls", help, refused_calls.clone());
        let unindexed = Gauge::default();
        registry.register(
            "index_unindexed_positions",
            "Positions that are not indexed, of the log with most of them",
            unindexed.clone(),
        );
        let segments = Counter::default();
        registry.register("index_segments", "Segments indexed by this replica", segments.clone());
        let removed = Counter::default();
        registry.register(
            "retention_removed_positions",
            "Positions that retention of this replica has removed",
            removed.clone(),
        );
        let connections = ConnectionMetrics::new(&mut registry);
        let checkpoints = CheckpointMetrics::new(&mut registry);
        let producers = ProducerMetrics::new(&mut registry);
        let self_audit = SelfAuditMetrics::new(&mut registry);
        let storage = StorageMetrics::new(&mut registry);
        Self {
            registry,
            received,
            results,
            throttled,
            commit_seconds,
            commit_events,
            queried,
            open_queries,
            query_throttled,
            open_calls,
            refused_calls,
            unindexed,
            segments,
            removed,
            connections,
            checkpoints,
            producers,
            self_audit,
            storage,
        }
    }
}

impl Metrics {
    /// Events arrived in an Append call.
    pub fn received(&self, events: usize) {
        self.received.inc_by(events as u64);
    }

    /// Events met their fate.
    pub fn result(&self, result: Outcome, events: usize) {
        if events > 0 {
            self.results.get_or_create(&ByOutcome { result }).inc_by(events as u64);
        }
    }

    /// A call or a stream was held back.
    pub fn throttled(&self, cause: Throttle) {
        self.throttled.get_or_create(&ByThrottle { cause }).inc();
    }

    /// A group was committed.
    pub fn commit(&self, took: Duration, events: usize) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_events.observe(events as f64);
    }

    /// Events were returned by a query.
    pub fn queried(&self, events: usize) {
        self.queried.inc_by(events as u64);
    }

    /// A query begins or ends.
    pub fn open_queries(&self, more: i64) {
        self.open_queries.inc_by(more);
    }

    /// A query was refused or cut off.
    pub fn query_throttled(&self, cause: QueryThrottle) {
        self.query_throttled.get_or_create(&ByQueryThrottle { cause }).inc();
    }

    /// A call of any service begins or ends.
    pub fn open_calls(&self, more: i64) {
        self.open_calls.inc_by(more);
    }

    /// A call of any service was refused.
    pub fn call_refused(&self) {
        self.refused_calls.inc();
    }

    /// So many positions of some log are not indexed.
    pub fn unindexed(&self, positions: u64) {
        self.unindexed.set(i64::try_from(positions).unwrap_or(i64::MAX));
    }

    /// A segment was indexed.
    pub fn segment_indexed(&self) {
        self.segments.inc();
    }

    /// Retention has removed so many positions.
    pub fn removed(&self, positions: u64) {
        self.removed.inc_by(positions);
    }

    /// The exposition text.
    pub fn text(&self) -> String {
        self.checkpoints.read();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
