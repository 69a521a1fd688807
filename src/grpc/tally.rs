//! Counts what becomes of the events of one batch: of a call, of a stream's message, of a page of a replay. Every event
//! that was received is counted once more, by its fate, whatever happens to the batch.
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::time::Instant;

use crate::{
    catalog::rejection::Reason,
    ingest::{SubmitError, sequencer::Entry},
    proto::v1::AppendResult,
    telemetry::{self, Metrics, NotAttempted, Outcome, RefusedFor},
};

/// The events of one batch; nothing is counted of a dry run, which becomes nothing. Those of a caller that went away
/// before it was answered are counted as such when the tally is dropped.
pub(super) struct Tally {
    metrics: Option<Arc<Metrics>>,
    received: Instant,
    open: AtomicUsize,
}

impl Tally {
    /// Counts `events` received events in a message of so many bytes, unless this is a dry run.
    pub(super) fn received(metrics: &Arc<Metrics>, events: usize, bytes: usize, dry_run: bool) -> Self {
        let metrics = (!dry_run).then(|| Arc::clone(metrics));
        if let Some(metrics) = &metrics {
            metrics.ingest.received(events, bytes);
        }
        Self { metrics, received: Instant::now(), open: AtomicUsize::new(events) }
    }

    /// The outcome of what was queued of it is durable.
    pub(super) fn acked(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.ingest.acked(self.received.elapsed(), telemetry::trace_id());
        }
    }

    /// The age of those that the catalog accepts.
    pub(super) fn ages(&self, entries: &[Entry]) {
        let Some(metrics) = &self.metrics else { return };
        for entry in entries {
            if let Entry::Event(event) = entry {
                let columns = event.columns();
                metrics.ingest.age(columns.occurred_at, columns.received_at);
            }
        }
    }

    /// So many met this fate, which is none that has a reason.
    pub(super) fn result(&self, result: Outcome, events: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.ingest.result(result, events);
        }
        self.open.fetch_sub(events, Ordering::Relaxed);
    }

    /// So many were refused for this reason.
    pub(super) fn refused(&self, result: Outcome, reason: RefusedFor, events: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.ingest.refused(reason, events);
        }
        self.result(result, events);
    }

    /// So many were not attempted, for this reason.
    pub(super) fn not_attempted(&self, reason: NotAttempted, events: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.ingest.not_attempted(reason, events);
        }
        self.result(Outcome::not_attempted, events);
    }

    /// One has this result. `reason` is why it was refused, and `otherwise` why it was not attempted, if it was so.
    pub(super) fn count(&self, result: AppendResult, reason: Option<Reason>, otherwise: NotAttempted) {
        // Nothing is rejected or quarantined without a reason.
        let reason = reason.map_or(RefusedFor::malformed_event, refused_for);
        match result {
            AppendResult::Accepted => self.result(Outcome::accepted, 1),
            AppendResult::Duplicate => self.result(Outcome::duplicate, 1),
            AppendResult::Quarantined => self.refused(Outcome::quarantined, reason, 1),
            AppendResult::Rejected => self.refused(Outcome::rejected, reason, 1),
            AppendResult::Conflict => self.refused(Outcome::conflict, RefusedFor::event_id_reused, 1),
            AppendResult::Unspecified | AppendResult::NotAttempted => {
                self.not_attempted(otherwise, 1);
            }
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.result(Outcome::unanswered, self.open.load(Ordering::Relaxed));
    }
}

/// What a submission that was not committed counts as.
pub(super) const fn not_attempted_for(error: SubmitError) -> NotAttempted {
    match error {
        SubmitError::Overloaded => NotAttempted::overloaded,
        SubmitError::OverShare => NotAttempted::over_share,
        SubmitError::Draining => NotAttempted::draining,
        SubmitError::TooManyLogs => NotAttempted::too_many_logs,
        SubmitError::StoreUnavailable => NotAttempted::store_unavailable,
        SubmitError::NoSyncReplica => NotAttempted::no_sync_replica,
        SubmitError::Unknown => NotAttempted::commit_outcome_unknown,
        SubmitError::StorageFull => NotAttempted::storage_full,
        SubmitError::StoreBroken => NotAttempted::store_broken,
    }
}

/// What a reason counts as.
pub(super) const fn refused_for(reason: Reason) -> RefusedFor {
    match reason {
        Reason::UnknownEventCode => RefusedFor::unknown_event_code,
        Reason::CatalogViolation => RefusedFor::catalog_violation,
        Reason::MalformedEvent => RefusedFor::malformed_event,
        Reason::EventTooLarge => RefusedFor::event_too_large,
        Reason::FamilyNotAllowed => RefusedFor::family_not_allowed,
    }
}
