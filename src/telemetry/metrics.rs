//! Every metric of the process, a group a file. Labels come from closed sets only, but for producers, witnesses and the
//! hash of the settings, which are bounded where they are told.
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};

use super::{
    calls::CallMetrics, checkpoints::CheckpointMetrics, chores::ChoreMetrics, connections::ConnectionMetrics,
    ingest::IngestMetrics, process::ProcessMetrics, producers::ProducerMetrics, query::QueryMetrics,
    self_audit::SelfAuditMetrics, storage::StorageMetrics, text,
};

/// The groups.
pub struct Metrics {
    /// Names that all servers have: of calls, databases, processes and runtimes.
    plain: Registry,
    /// Names that only Chancery has.
    own: Registry,
    /// Of calls of any service.
    pub calls: CallMetrics,
    /// Of what arrives.
    pub ingest: IngestMetrics,
    /// Of the store.
    pub storage: StorageMetrics,
    /// Of queries.
    pub query: QueryMetrics,
    /// Of what goes on behind the appends.
    pub chores: ChoreMetrics,
    /// Of connections for gRPC.
    pub connections: ConnectionMetrics,
    /// Of signed checkpoints.
    pub checkpoints: CheckpointMetrics,
    /// Of single producers.
    pub producers: ProducerMetrics,
    /// Of the journal.
    pub self_audit: SelfAuditMetrics,
    /// Of the process.
    pub process: ProcessMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let (mut plain, mut own) = (Registry::default(), Registry::with_prefix("chancery"));
        Self {
            calls: CallMetrics::new(&mut plain, &mut own),
            ingest: IngestMetrics::new(&mut own),
            storage: StorageMetrics::new(&mut plain, &mut own),
            query: QueryMetrics::new(&mut own),
            chores: ChoreMetrics::new(&mut own),
            connections: ConnectionMetrics::new(&mut own),
            checkpoints: CheckpointMetrics::new(&mut own),
            producers: ProducerMetrics::new(&mut own),
            self_audit: SelfAuditMetrics::new(&mut own),
            process: ProcessMetrics::new(&mut plain, &mut own),
            plain,
            own,
        }
    }
}

impl Metrics {
    /// The exposition as OpenMetrics 1.0 text.
    pub fn open_metrics(&self) -> String {
        self.checkpoints.read();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode_registry(&mut text, &self.plain);
        let _ = encode_registry(&mut text, &self.own);
        let _ = encode_eof(&mut text);
        text
    }

    /// The same in Prometheus's older text format, which has no exemplars.
    pub fn text(&self) -> String {
        text::of_open_metrics(&self.open_metrics())
    }
}
