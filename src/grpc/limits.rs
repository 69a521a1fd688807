//! Limits of producers, as calls meet them: the rate that a call pays before anything else is done with it.
use prost::Message as _;
use tokio::time::Instant;
use tonic::Status;

use super::{append::Tally, audit::Audit, status};
use crate::{
    event::Producer,
    ingest::{
        SubmitError,
        rate::{Load, Throttled, Unit},
    },
    proto::v1,
    telemetry::{Metrics, Outcome, Throttle},
};

/// Pays for a call, whatever will become of its events: what is refused later has cost the server the
/// same.
pub fn pay(audit: &Audit, producer: &Producer, request: &v1::AppendRequest) -> Result<(), Status> {
    let load = Load { events: request.events.len(), bytes: request.encoded_len() };
    audit.producers.pay(producer, load, Instant::now()).map_err(|throttled| {
        audit.metrics.throttled(cause(&throttled));
        let tally = Tally::received(&audit.metrics, load.events, request.validate_only);
        tally.result(Outcome::not_attempted, load.events);
        status::rate_limited(producer, &throttled)
    })
}

/// What a rate limit counts as.
pub const fn cause(throttled: &Throttled) -> Throttle {
    match throttled.unit {
        Unit::Events => Throttle::events_per_second,
        Unit::Bytes => Throttle::bytes_per_second,
    }
}

/// Counts a submission that was refused for want of room.
pub fn count(metrics: &Metrics, error: SubmitError) {
    match error {
        SubmitError::Overloaded => metrics.throttled(Throttle::overloaded),
        SubmitError::OverShare => metrics.throttled(Throttle::producer_share),
        SubmitError::Draining
        | SubmitError::TooManyLogs
        | SubmitError::StoreUnavailable
        | SubmitError::StorageFull
        | SubmitError::Unknown
        | SubmitError::StoreBroken => {}
    }
}
