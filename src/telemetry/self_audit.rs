//! Metrics of the self-audit. Called by: `journal`.
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Why an entry was lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum LostTo {
    /// As many wait as may, because the store is away or too slow.
    queue_full,
    /// It is none that the catalog accepts.
    refused,
    /// The server ended before it was written.
    shutdown,
}

impl LostTo {
    const ALL: [Self; 3] = [Self::queue_full, Self::refused, Self::shutdown];

    /// Its label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::queue_full => "queue_full",
            Self::refused => "refused",
            Self::shutdown => "shutdown",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByReason {
    reason: LostTo,
}

/// What became of the entries.
pub struct SelfAuditMetrics {
    written: Counter,
    lost: Family<ByReason, Counter>,
}

impl SelfAuditMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let written = Counter::default();
        registry.register(
            "self_audit_written",
            "Entries of the self-audit that this replica has written",
            written.clone(),
        );
        let lost = Family::<ByReason, Counter>::default();
        registry.register(
            "self_audit_lost",
            "Entries of the self-audit that were lost, by reason",
            lost.clone(),
        );
        for reason in LostTo::ALL {
            drop(lost.get_or_create(&ByReason { reason }));
        }
        Self { written, lost }
    }

    /// So many are in the log.
    pub fn written(&self, entries: usize) {
        self.written.inc_by(entries as u64);
    }

    /// So many are not, and will not be.
    pub fn lost(&self, reason: LostTo, entries: u64) {
        self.lost.get_or_create(&ByReason { reason }).inc_by(entries);
    }
}
