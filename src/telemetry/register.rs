//! Short forms of what every group of metrics does for each of them: make it, and register it under a name with a help
//! text.
use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::asked::{Asked, Told};

/// A gauge that is not a whole number.
pub(super) type Real = Gauge<f64, AtomicU64>;

pub(super) fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

pub(super) fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

pub(super) fn asked(registry: &mut Registry, name: &str, help: &str) -> Asked {
    let gauge = Asked::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// A time, of which the name says everything but the unit.
pub(super) fn timestamp(registry: &mut Registry, name: &str, help: &str) -> Real {
    let gauge = Real::default();
    registry.register_with_unit(name, help, Unit::Seconds, gauge.clone());
    gauge
}

/// Durations, of which the name says everything but the unit.
pub(super) fn seconds(
    registry: &mut Registry,
    name: &str,
    help: &str,
    buckets: impl IntoIterator<Item = f64>,
) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

/// A number as a gauge holds it.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn told(registry: &mut Registry, name: &str, help: &str) -> Told {
    let gauge = Told::default();
    registry.register(name, help, gauge.clone());
    gauge
}
