//! Metrics of ingest: what arrives, what becomes of it, how long that takes, and what waits. Called by: `grpc`,
//! `server::intake` and `ingest`.
use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        exemplar::HistogramWithExemplars,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{
    asked::Asked,
    closed::{Counters, Label, closed},
    register::{asked, counter, seconds},
};

closed! {
    /// What became of a submitted event. Received = the sum over all of them.
    Outcome {
        accepted,
        duplicate,
        quarantined,
        rejected,
        conflict,
        not_attempted,
        /// The caller went away first; what it sent may be stored.
        unanswered,
    }
}

closed! {
    /// Why an event was rejected, conflicts, or is in quarantine: the contract's reasons.
    RefusedFor {
        unknown_event_code,
        catalog_violation,
        malformed_event,
        event_too_large,
        family_not_allowed,
        batch_too_large,
        event_id_reused,
    }
}

closed! {
    /// Why an event was not attempted.
    NotAttempted {
        /// No room for events.
        overloaded,
        /// The producer has its share of that room.
        over_share,
        /// The server is going away.
        draining,
        /// This replica appends to as many logs as it can.
        too_many_logs,
        /// The store cannot be written now.
        store_unavailable,
        /// No synchronous standby confirms commits.
        no_sync_replica,
        /// The store failed during the commit: the event may be stored.
        commit_outcome_unknown,
        /// The store's disk is full, or nearly so.
        storage_full,
        /// The store refused the event.
        store_broken,
        /// The producer sends faster than it may.
        rate_limited,
        /// Another event of its atomic batch was refused.
        batch_refused,
        /// It was to be replayed, and is in quarantine no more.
        not_quarantined,
    }
}

closed! {
    /// Which clock a far-off time speaks of.
    Skew {
        /// The event has yet to occur.
        ahead,
        /// It occurred long ago.
        behind,
    }
}

/// An event that is to occur this long after it was received comes from a clock that is ahead.
const AHEAD: i64 = 5_000_000;
/// One that occurred this long before comes from a clock that is behind, or from a spool that nobody emptied.
const BEHIND: i64 = 86_400_000_000;

/// Every metric of ingest.
pub struct IngestMetrics {
    received: Counter,
    results: Counters<Outcome>,
    refused: Counters<RefusedFor>,
    not_attempted: Counters<NotAttempted>,
    bytes: Counter,
    batch: Histogram,
    ack: HistogramWithExemplars<Label<String>>,
    age: Histogram,
    skew: Counters<Skew>,
    group: Histogram,
    write: Histogram,
    sync: Histogram,
    /// Memory that admitted events take, as it is accounted for.
    pub inflight_bytes: Asked,
    /// How much they may take.
    pub inflight_bytes_limit: Asked,
    /// Events that were queued and are not answered yet.
    pub queue_events: Asked,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_seconds: Asked,
}

impl IngestMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        // 0.5 ms to 16 s: from an idle SSD to a store that had to be waited for.
        let times = || exponential_buckets(0.0005, 2.0, 16);
        let bytes = Counter::default();
        let help = "Bytes of the messages in which events were received";
        registry.register_with_unit("ingest", help, Unit::Bytes, bytes.clone());
        // 1 to 1,024: a batch has 1,000 at most.
        let batch = Histogram::new(exponential_buckets(1.0, 2.0, 11));
        registry.register("ingest_batch_events", "Events of one received batch", batch.clone());
        let ack = HistogramWithExemplars::new(times());
        let help = "Time from receiving a batch to its durable outcome";
        registry.register_with_unit("ingest_ack_duration", help, Unit::Seconds, ack.clone());
        let group = Histogram::new(exponential_buckets(1.0, 2.0, 13));
        registry.register("commit_group_events", "Events of one committed group", group.clone());
        let constructor: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let phases = Family::<Label<&'static str>, _, _>::new_with_constructor(constructor);
        let help = "Time of one committed transaction of events, by phase";
        registry.register_with_unit("commit_duration", help, Unit::Seconds, phases.clone());
        let [write, sync] = ["write", "sync"].map(|phase| phases.get_or_create_owned(&[("phase", phase)]));
        Self {
            received: counter(registry, "ingest_received_events", "Events received"),
            results: Counters::register(
                registry,
                "ingest_events",
                "Events received, by what became of them",
                "result",
            ),
            refused: Counters::register(
                registry,
                "ingest_rejected_events",
                "Events that were rejected, conflict or are in quarantine, by reason",
                "reason",
            ),
            not_attempted: Counters::register(
                registry,
                "ingest_not_attempted_events",
                "Events that were not attempted, by reason",
                "reason",
            ),
            age: seconds(
                registry,
                "ingest_event_age",
                "Time from the occurrence of an event to its receipt",
                // 10 ms to 30 days, each some 5 times the one before.
                [
                    0.01,
                    0.05,
                    0.25,
                    1.0,
                    5.0,
                    30.0,
                    120.0,
                    600.0,
                    3600.0,
                    21_600.0,
                    86_400.0,
                    604_800.0,
                    2_592_000.0,
                ],
            ),
            skew: Counters::register(
                registry,
                "ingest_clock_skew_events",
                "Events whose time is far from that of their receipt",
                "direction",
            ),
            inflight_bytes: asked(
                registry,
                "ingest_inflight_bytes",
                "Memory of admitted events, as it is accounted for",
            ),
            inflight_bytes_limit: asked(
                registry,
                "ingest_inflight_bytes_limit",
                "Memory that admitted events may take",
            ),
            queue_events: asked(
                registry,
                "commit_queue_events",
                "Events that were queued and are not answered yet",
            ),
            oldest_seconds: asked(
                registry,
                "commit_oldest_seconds",
                "How long the oldest of them has waited",
            ),
            bytes,
            batch,
            ack,
            group,
            write,
            sync,
        }
    }

    /// A batch of events arrived, in so many bytes.
    pub fn received(&self, events: usize, bytes: usize) {
        self.received.inc_by(events as u64);
        self.bytes.inc_by(bytes as u64);
        self.batch.observe(events as f64);
    }

    /// Events met their fate.
    pub fn result(&self, result: Outcome, events: usize) {
        self.results.add(result, events);
    }

    /// An event was rejected, conflicts or is in quarantine.
    pub fn refused(&self, reason: RefusedFor, events: usize) {
        self.refused.add(reason, events);
    }

    /// Events were not attempted.
    pub fn not_attempted(&self, reason: NotAttempted, events: usize) {
        self.not_attempted.add(reason, events);
    }

    /// A batch's outcome is durable. The trace of its call is an example of what takes so long.
    pub fn acked(&self, took: Duration, trace_id: Option<String>) {
        self.ack.observe(took.as_secs_f64(), trace_id.map(|id| [("trace_id", id)]), None);
    }

    /// An event that occurred and was received then, in microseconds since 1970.
    pub fn age(&self, occurred_at: i64, received_at: i64) {
        let age = received_at.saturating_sub(occurred_at);
        self.age.observe(age.max(0) as f64 / 1e6);
        if age < -AHEAD {
            self.skew.add(Skew::ahead, 1);
        } else if age > BEHIND {
            self.skew.add(Skew::behind, 1);
        }
    }

    /// A group was committed.
    pub fn group(&self, events: usize) {
        self.group.observe(events as f64);
    }

    /// A transaction was written up to its COMMIT, and that was made.
    pub fn commit(&self, write: Duration, sync: Duration) {
        self.write.observe(write.as_secs_f64());
        self.sync.observe(sync.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn an_ack_that_has_a_trace_is_an_example_of_its_bucket() {
        let metrics = Metrics::default();
        metrics.ingest.acked(Duration::from_micros(900), None);
        metrics.ingest.acked(Duration::from_millis(3), Some("0af7651916cd43dd8448eb211c80319c".to_owned()));
        let bucket = |text: &str, le: &str| {
            let name = format!("chancery_ingest_ack_duration_seconds_bucket{{le=\"{le}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name).map(ToOwned::to_owned))
        };
        let text = metrics.open_metrics();
        assert_eq!(bucket(&text, "0.001").as_deref(), Some("1"));
        let example = "2 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.003";
        assert_eq!(bucket(&text, "0.004").as_deref(), Some(example));
        assert_eq!(bucket(&metrics.text(), "0.004").as_deref(), Some("2"));
    }

    #[test]
    fn far_off_times_speak_of_a_clock() {
        let metrics = Metrics::default();
        let (second, day) = (1_000_000, 86_400_000_000);
        for (occurred, received) in [(0, 0), (5 * second, 0), (6 * second, 0), (0, day), (0, day + 1)] {
            metrics.ingest.age(occurred, received);
        }
        let text = metrics.open_metrics();
        for sample in [
            "chancery_ingest_clock_skew_events_total{direction=\"ahead\"} 1",
            "chancery_ingest_clock_skew_events_total{direction=\"behind\"} 1",
            "chancery_ingest_event_age_seconds_count 5",
            "chancery_ingest_event_age_seconds_sum 172800.000001",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} in\n{text}");
        }
    }
}
