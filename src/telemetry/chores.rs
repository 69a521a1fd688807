//! Metrics of what goes on behind the appends: the index, and retention. Called by: `ingest::indexer` and `retention`.
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::register::{counter, gauge, whole};

/// Every metric of chores.
pub struct ChoreMetrics {
    unindexed: Gauge,
    segments: Counter,
    removed: Counter,
}

impl ChoreMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            unindexed: gauge(
                registry,
                "index_unindexed_positions",
                "Positions that are not indexed, of the log with most of them",
            ),
            segments: counter(registry, "index_segments", "Segments indexed by this replica"),
            removed: counter(
                registry,
                "retention_removed_positions",
                "Positions that retention of this replica has removed",
            ),
        }
    }

    /// So many positions of some log are not indexed.
    pub fn unindexed(&self, positions: u64) {
        self.unindexed.set(whole(positions));
    }

    /// A segment was indexed.
    pub fn segment_indexed(&self) {
        self.segments.inc();
    }

    /// Retention has removed so many positions.
    pub fn removed(&self, positions: u64) {
        self.removed.inc_by(positions);
    }
}
