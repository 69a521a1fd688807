//! Metrics of single producers: when each was seen, and the numbers that it lacks.
//!
//! A producer's name is what its caller says, so names that have a label are bounded: every label is a time
//! series that Prometheus and this process keep for ever. The first 100 producers have their own; later ones
//! share one counter. They have no gauge: one for many would hide that one of them is silent.
//! Called by: `ingest::task` after a commit, and `app`, which refreshes from the store.
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::event::Producer;

/// Producers with a label of their own.
pub const MOST_LABELS: u32 = 100;
/// The label of all others. No producer's name has brackets.
const OTHERS: &str = "(other)";

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByProducer {
    producer: String,
}

/// Every metric of single producers.
pub struct ProducerMetrics {
    /// Labelled producers, and when each was last seen, in microseconds since 1970.
    labelled: Mutex<BTreeMap<String, i64>>,
    last_seen: Family<ByProducer, Gauge<f64, AtomicU64>>,
    known: Gauge<i64, AtomicI64>,
    gaps: Family<ByProducer, Counter>,
    missing: Family<ByProducer, Counter>,
    late: Family<ByProducer, Counter>,
}

impl ProducerMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let last_seen = Family::<ByProducer, Gauge<f64, AtomicU64>>::default();
        registry.register_with_unit(
            "producer_last_seen_timestamp",
            "When an event of the producer was last stored or quarantined, in any log and by any replica",
            Unit::Seconds,
            last_seen.clone(),
        );
        let known = Gauge::<i64, AtomicI64>::default();
        registry.register("producers", "Producers that the store knows", known.clone());
        let mut family = |name: &str, help: &str| {
            let family = Family::<ByProducer, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let gaps =
            family("producer_gaps", "Gaps that opened in a producer's numbers, in commits of this replica");
        let missing = family(
            "producer_missing_sequences",
            "Numbers inside those gaps: events lost before they arrived, or late",
        );
        let late = family("producer_late_sequences", "Numbers of known gaps that arrived after all");
        let metrics = Self { labelled: Mutex::default(), last_seen, known, gaps, missing, late };
        metrics.begin_gaps(OTHERS);
        metrics
    }

    /// The counters of a label are there before its first gap: an alert on an increase does not see one that begins
    /// with it.
    fn begin_gaps(&self, producer: &str) {
        for family in [&self.gaps, &self.missing, &self.late] {
            drop(family.get_or_create(&label(producer)));
        }
    }

    /// Whether a producer has a label, giving it one while there are any.
    fn has_label(&self, labelled: &mut BTreeMap<String, i64>, producer: &str) -> bool {
        if labelled.contains_key(producer) {
            return true;
        }
        let room = labelled.len() < MOST_LABELS as usize;
        if room {
            labelled.insert(producer.to_owned(), 0);
            self.begin_gaps(producer);
        }
        room
    }

    /// A producer was seen; at 0 it was not. Never goes back, in whatever order commits and refreshes come. The
    /// server's own events are rare, and their absence is no silence.
    pub fn seen(&self, producer: &str, micros: i64) {
        if producer == Producer::OWN {
            return;
        }
        let mut labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        if micros > 0 && self.has_label(&mut labelled, producer) {
            let last = labelled.entry(producer.to_owned()).or_default();
            *last = micros.max(*last);
            // Exact to the microsecond until the year 2255.
            self.last_seen.get_or_create(&label(producer)).set(*last as f64 / 1e6);
        }
    }

    /// What became of a producer's numbers in one commit.
    pub fn sequences(&self, producer: &str, gaps: u64, missing: u64, late: u64) {
        if gaps + late == 0 {
            return;
        }
        let mut labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        let label = label(if self.has_label(&mut labelled, producer) { producer } else { OTHERS });
        for (family, count) in [(&self.gaps, gaps), (&self.missing, missing), (&self.late, late)] {
            family.get_or_create(&label).inc_by(count);
        }
    }

    /// Number of producers that the store knows.
    pub fn known(&self, producers: u64) {
        self.known.set(i64::try_from(producers).unwrap_or(i64::MAX));
    }
}

fn label(producer: &str) -> ByProducer {
    ByProducer { producer: producer.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn labels_are_bounded_and_the_rest_is_counted_together() {
        let metrics = ProducerMetrics::new(&mut Registry::default());
        for at in 0..150 {
            metrics.seen(&format!("p{at}"), 1_500_000);
            metrics.sequences(&format!("p{at}"), 1, 2, 0);
        }
        let value = |producer: &str| metrics.missing.get_or_create(&label(producer)).get();
        assert_eq!((value("p0"), value("p99"), value(OTHERS)), (2, 2, 100));
        assert_eq!(metrics.labelled.lock().expect("labels").len(), 100);
        assert!(metrics.last_seen.get(&label("p99")).is_some());
        assert!(metrics.last_seen.get(&label("p100")).is_none());
        assert!(metrics.last_seen.get(&label(OTHERS)).is_none());
    }

    #[test]
    fn counters_of_gaps_are_there_before_the_first_gap() {
        let metrics = Metrics::default();
        metrics.producers.seen("one", 1_500_000);
        let scrape = |producer: &str, value: u64| {
            let text = metrics.open_metrics();
            for name in ["gaps", "missing_sequences", "late_sequences"] {
                let sample = format!("chancery_producer_{name}_total{{producer=\"{producer}\"}} {value}");
                assert!(text.lines().any(|line| line == sample), "{sample} in\n{text}");
            }
        };
        scrape("one", 0);
        scrape(OTHERS, 0);
        metrics.producers.sequences("one", 3, 3, 3);
        scrape("one", 3);
    }

    #[test]
    fn last_seen_never_goes_back() {
        let metrics = ProducerMetrics::new(&mut Registry::default());
        let value = || metrics.last_seen.get_or_create(&label("one")).get();
        metrics.seen("one", 2_500_000);
        metrics.seen("one", 1_000_000);
        metrics.seen("one", 0);
        metrics.seen(Producer::OWN, 2_500_000);
        assert!(metrics.last_seen.get(&label(Producer::OWN)).is_none());
        assert_eq!(value().to_bits(), 2.5_f64.to_bits());
    }
}
