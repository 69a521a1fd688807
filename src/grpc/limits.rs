//! Limits of producers, as calls meet them: the rate that a call pays before anything else is done with it.
use prost::Message as _;
use tokio::time::Instant;
use tonic::Status;

use super::{audit::Audit, status, tally::Tally};
use crate::{
    event::Producer,
    ingest::{
        SubmitError,
        rate::{Load, Throttled, Unit},
    },
    proto::v1,
    telemetry::{LoadShed, Metrics, NotAttempted},
};

/// Pays for a call, whatever will become of its events: what is refused later has cost the server the
/// same.
pub fn pay(audit: &Audit, producer: &Producer, request: &v1::AppendRequest) -> Result<(), Status> {
    let load = Load { events: request.events.len(), bytes: request.encoded_len() };
    audit.producers.pay(producer, load, Instant::now()).map_err(|throttled| {
        audit.metrics.calls.shed(cause(&throttled));
        let tally = Tally::received(&audit.metrics, load.events, load.bytes, request.validate_only);
        tally.not_attempted(NotAttempted::rate_limited, load.events);
        status::rate_limited(producer, &throttled)
    })
}

/// What a rate limit counts as.
pub const fn cause(throttled: &Throttled) -> LoadShed {
    match throttled.unit {
        Unit::Events => LoadShed::events_per_second,
        Unit::Bytes => LoadShed::bytes_per_second,
    }
}

/// Counts a submission that was refused for want of room.
pub fn count(metrics: &Metrics, error: SubmitError) {
    match error {
        SubmitError::Overloaded => metrics.calls.shed(LoadShed::overloaded),
        SubmitError::OverShare => metrics.calls.shed(LoadShed::producer_share),
        SubmitError::Draining
        | SubmitError::TooManyLogs
        | SubmitError::StoreUnavailable
        | SubmitError::StorageFull
        | SubmitError::NoSyncReplica
        | SubmitError::Unknown
        | SubmitError::StoreBroken => {}
    }
}
