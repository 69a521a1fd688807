//! Metrics of the store's room. Called by: `app::disk`.
use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// Why nothing is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum WritesRefused {
    /// The disk is nearly full.
    disk,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByCause {
    cause: WritesRefused,
}

/// Every metric of the store.
pub struct StorageMetrics {
    /// Bytes that are free where it lies; of SQLite only.
    pub free_bytes: Gauge<u64, AtomicU64>,
    refused: Family<ByCause, Gauge>,
}

impl StorageMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let free_bytes = Gauge::default();
        registry.register(
            "storage_free_bytes",
            "Bytes that are free where the store lies",
            free_bytes.clone(),
        );
        let refused = Family::<ByCause, Gauge>::default();
        registry.register("writes_refused", "Whether writes are refused, by cause", refused.clone());
        let metrics = Self { free_bytes, refused };
        metrics.writes_refused(WritesRefused::disk, false);
        metrics
    }

    /// Whether writes are refused for this cause, from now on.
    pub fn writes_refused(&self, cause: WritesRefused, refused: bool) {
        self.refused.get_or_create(&ByCause { cause }).set(i64::from(refused));
    }
}
