//! Counts telemetry that was lost. Called by: `telemetry::otlp`.
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum Signal {
    /// Counted in spans.
    traces,
    /// Counted in data points.
    metrics,
    /// Counted in lines.
    logs,
}

impl Signal {
    const ALL: [Self; 3] = [Self::traces, Self::metrics, Self::logs];

    /// Its label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::traces => "traces",
            Self::metrics => "metrics",
            Self::logs => "logs",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct BySignal {
    signal: Signal,
}

/// What was lost.
pub struct DroppedMetrics(Family<BySignal, Counter>);

impl DroppedMetrics {
    pub(in crate::telemetry) fn new(registry: &mut Registry) -> Self {
        let dropped = Family::<BySignal, Counter>::default();
        registry.register(
            "telemetry_dropped",
            "Spans, log lines and data points that were to be exported and were lost, by signal",
            dropped.clone(),
        );
        for signal in Signal::ALL {
            drop(dropped.get_or_create(&BySignal { signal }));
        }
        Self(dropped)
    }

    /// So many are lost.
    pub fn lost(&self, signal: Signal, items: u64) {
        self.0.get_or_create(&BySignal { signal }).inc_by(items);
    }
}
