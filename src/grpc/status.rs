//! Errors on the wire: the only place that makes a `tonic::Status`.
//!
//! Every error carries `ErrorInfo` (domain `chancery.v1`, a stable reason), bad input also `BadRequest`
//! with field paths, `UNAVAILABLE` and `RESOURCE_EXHAUSTED` always `RetryInfo`. Causes of databases and libraries go to the log.
//!
//! Details travel in one HTTP/2 header in base64, the message in another and once more in the details,
//! and clients refuse headers above 8 KiB (grpc-java, the C core) to 16 KiB. So the violations, the
//! message and each of their parts are bounded.
mod access;

use std::{collections::HashMap, time::Duration};

pub use access::{
    CREDENTIAL_REFUSED, FAMILY_NOT_ALLOWED, NO_CREDENTIAL, access_changed, all_logs_not_allowed,
    credential_expired, denial, log_not_allowed, log_reserved, personal, query_failure, role_required,
    unauthenticated, unknown_method,
};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use super::query::TooManyQueries;
use crate::{
    catalog::rejection::{Reason, Rejection},
    event::Producer,
    ingest::{
        SubmitError,
        own::OwnError,
        rate::Throttled,
        streams::{MAX_PRODUCER_STREAMS, MAX_STREAMS, TooMany},
    },
    proto::google::rpc,
    store::StoreError,
};

const DOMAIN: &str = "chancery.v1";
/// Violations of one status.
const MOST_VIOLATIONS: usize = 20;
/// Bytes of all violations of one status. With 450 for the reason and its metadata and 480 for the
/// message, base64 makes 6 KiB of them; the message's own header takes 1,440 where every byte of it
/// must be escaped.
const MOST_VIOLATION_BYTES: usize = 3_600;
/// Bytes of a status's message.
const MOST_MESSAGE: usize = 480;
const MOST_DESCRIPTION: usize = 240;
const MOST_FIELD: usize = 96;
/// What a client is told to wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A refused request: the reason, the field and what would be accepted.
pub fn invalid(reason: &str, field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    let message = if field.is_empty() { description.clone() } else { format!("{field}: {description}") };
    let mut details = info(reason, HashMap::new());
    details.add_bad_request_violation(field, short(&description, MOST_DESCRIPTION));
    Status::with_error_details(Code::InvalidArgument, short(&message, MOST_MESSAGE), details)
}

/// A refused expression: the byte at fault, counted from 0, and what was expected there.
pub fn invalid_where(offset: usize, description: &str) -> Status {
    let description = format!("at byte {offset}: {description}");
    let metadata = HashMap::from([("offset".to_owned(), offset.to_string())]);
    let mut details = info("INVALID_WHERE", metadata);
    details.add_bad_request_violation("where", short(&description, MOST_DESCRIPTION));
    Status::with_error_details(
        Code::InvalidArgument,
        short(&format!("where: {description}"), MOST_MESSAGE),
        details,
    )
}

/// One refused event, as the error of its result. `path` is the event's own path or empty.
pub fn rejected(index: usize, rejection: &Rejection) -> Status {
    rejected_batch(&[(index, rejection)])
}

/// A batch refused because of these events.
pub fn rejected_batch(rejections: &[(usize, &Rejection)]) -> Status {
    let Some((_, first)) = rejections.first() else {
        return internal();
    };
    let mut metadata = HashMap::from([
        ("refused_events".to_owned(), rejections.len().to_string()),
        ("first_index".to_owned(), rejections[0].0.to_string()),
    ]);
    if !first.nearest.is_empty() {
        metadata.insert("nearest".to_owned(), short(&first.nearest.join(", "), MOST_DESCRIPTION));
    }
    let violations = rejections.iter().flat_map(|(index, rejection)| {
        rejection.violations.iter().map(|violation| {
            let field = short(&path(*index, &violation.field), MOST_FIELD);
            (field, short(&violation.description, MOST_DESCRIPTION))
        })
    });
    let mut shown = Vec::new();
    let (mut bytes, mut omitted) = (0, 0);
    for (field, description) in violations {
        // 8 bytes of tags and lengths.
        bytes += field.len() + description.len() + 8;
        if shown.len() < MOST_VIOLATIONS && bytes <= MOST_VIOLATION_BYTES {
            shown.push((field, description));
        } else {
            omitted += 1;
        }
    }
    if omitted > 0 {
        metadata.insert("violations_omitted".to_owned(), omitted.to_string());
    }
    let message = match shown.first() {
        Some((field, description)) => format!("{field}: {description}"),
        None => first.reason.as_str().to_owned(),
    };
    let mut details = info(first.reason.as_str(), metadata);
    for (field, description) in shown {
        details.add_bad_request_violation(field, description);
    }
    let code = match first.reason {
        Reason::FamilyNotAllowed => Code::PermissionDenied,
        _ => Code::InvalidArgument,
    };
    Status::with_error_details(code, short(&message, MOST_MESSAGE), details)
}

/// Events whose ids are taken by events with other content: index, and the other's position when it is
/// stored.
pub fn event_id_reused(conflicts: &[(usize, Option<u64>)]) -> Status {
    let taken = |position: Option<u64>| match position {
        Some(position) => format!("is taken by the event at position {position}, which has other content"),
        None => "stands twice in this batch, with different content".to_owned(),
    };
    let (first, position) = conflicts.first().copied().unwrap_or_default();
    let mut metadata = HashMap::from([
        ("conflicting_events".to_owned(), conflicts.len().to_string()),
        ("first_index".to_owned(), first.to_string()),
    ]);
    if let Some(position) = position {
        metadata.insert("stored_position".to_owned(), position.to_string());
    }
    let message = format!("events[{first}].event_id {}", taken(position));
    let mut details = info("EVENT_ID_REUSED", metadata);
    for (index, position) in conflicts.iter().take(MOST_VIOLATIONS) {
        details.add_bad_request_violation(path(*index, "event_id"), taken(*position));
    }
    Status::with_error_details(Code::AlreadyExists, message, details)
}

/// Why a submission was not committed.
pub fn not_committed(error: SubmitError) -> Status {
    match error {
        SubmitError::Overloaded => {
            unavailable(reason(error), "more events are in flight than the server takes")
        }
        SubmitError::OverShare => unavailable(
            reason(error),
            "this producer has its share of the events in flight, half of them all",
        ),
        SubmitError::Draining => draining(),
        SubmitError::StoreUnavailable => unavailable(reason(error), "the store cannot be written now"),
        SubmitError::StorageFull => {
            unavailable(reason(error), "the store's disk is full, or nearly so; what is stored can be read")
        }
        SubmitError::NoSyncReplica => unavailable(
            reason(error),
            "no synchronous standby confirms what is appended; what is stored can be read",
        ),
        SubmitError::Unknown => unavailable(
            reason(error),
            "the store failed during the commit; send the same event ids again to learn the outcome",
        ),
        SubmitError::TooManyLogs => {
            let description =
                format!("this replica appends to at most {} logs", crate::ingest::MAX_OPEN_LOGS);
            exhausted(reason(error), "open logs", description, RETRY_AFTER, HashMap::new())
        }
        SubmitError::StoreBroken => internal(),
    }
}

/// The stable reason of a submission that was not committed; a stream names it while it waits.
pub const fn reason(error: SubmitError) -> &'static str {
    match error {
        SubmitError::Overloaded | SubmitError::OverShare => "OVERLOADED",
        SubmitError::Draining => "DRAINING",
        SubmitError::TooManyLogs => "TOO_MANY_LOGS",
        SubmitError::StoreUnavailable => "STORE_UNAVAILABLE",
        SubmitError::StorageFull => "STORAGE_FULL",
        SubmitError::NoSyncReplica => "NO_SYNC_REPLICA",
        SubmitError::Unknown => "COMMIT_OUTCOME_UNKNOWN",
        SubmitError::StoreBroken => "INTERNAL",
    }
}

/// The producer sends faster than it may.
pub fn rate_limited(producer: &Producer, throttled: &Throttled) -> Status {
    let (limit, rate) = (throttled.unit.limit(), throttled.rate);
    let metadata = HashMap::from([
        ("producer".to_owned(), producer.as_str().to_owned()),
        ("limit".to_owned(), limit.to_owned()),
        ("per_second".to_owned(), rate.per_second.to_string()),
        ("burst".to_owned(), rate.burst.to_string()),
    ]);
    let subject = format!("{limit} of producer {}", producer.as_str());
    let description = format!("{limit} is {}, at most {} at once", rate.per_second, rate.burst);
    exhausted(RATE_LIMITED, &subject, description, whole_millis(throttled.wait), metadata)
}

/// The reason of [`rate_limited`]; a stream names it while it waits.
pub const RATE_LIMITED: &str = "RATE_LIMITED";

/// There are as many append streams as there may be.
pub fn too_many_streams(producer: &Producer, limit: TooMany) -> Status {
    let (subject, description) = match limit {
        TooMany::Streams => {
            ("open append streams".to_owned(), format!("this replica has at most {MAX_STREAMS} open"))
        }
        TooMany::OfProducer => (
            format!("open append streams of producer {}", producer.as_str()),
            format!("one producer has at most {MAX_PRODUCER_STREAMS} open"),
        ),
    };
    exhausted("TOO_MANY_STREAMS", &subject, description, RETRY_AFTER, HashMap::new())
}

/// The client of a stream sends batches and reads no acks.
pub fn slow_reader(after: Duration) -> Status {
    let description = format!("no ack was read for {} s; what was not acked may be stored", after.as_secs());
    exhausted("SLOW_READER", "unread acks of a stream", description, RETRY_AFTER, HashMap::new())
}

/// The client of a query does not read its answers.
pub fn slow_query(after: Duration) -> Status {
    let description = format!("nothing of the answer was read for {} s", after.as_secs());
    exhausted("SLOW_READER", "unread answers of a query", description, RETRY_AFTER, HashMap::new())
}

/// There are as many queries as there may be.
pub fn too_many_queries(limit: TooManyQueries) -> Status {
    let description = match limit {
        TooManyQueries::All(most) => format!("this replica runs at most {most}"),
        TooManyQueries::OfCaller(most) => format!("this replica runs at most {most} of one caller"),
    };
    exhausted("TOO_MANY_QUERIES", "running queries", description, RETRY_AFTER, HashMap::new())
}

/// As many calls run as may, whatever they are.
pub fn too_many_calls(most: usize) -> Status {
    unavailable("OVERLOADED", &format!("this replica answers at most {most} calls at a time"))
}

/// As many calls of one caller run as may.
pub fn too_many_calls_of_caller(most: usize) -> Status {
    unavailable("OVERLOADED", &format!("this replica answers at most {most} calls of one caller at a time"))
}

/// Bytes that are no message of the type that the call takes.
pub fn malformed_message() -> Status {
    invalid("MALFORMED_MESSAGE", "", "the bytes are no message of this call's type")
}

/// A message that arrives too slowly for the room that is kept for it.
pub fn message_too_slow(after: Duration) -> Status {
    let message = format!("the message did not arrive within {} s", after.as_secs());
    let info = info("MESSAGE_TOO_SLOW", HashMap::new());
    Status::with_error_details(Code::DeadlineExceeded, message, info)
}

/// A store failure on a read. The cause is logged here, once.
pub fn store(error: &StoreError) -> Status {
    match error {
        StoreError::Unavailable(_)
        | StoreError::Locked(_)
        | StoreError::Pooled(_)
        | StoreError::NoSyncReplica(_)
        | StoreError::StateUnknown(_) => {
            tracing::warn!(%error, "a read failed");
            unavailable("STORE_UNAVAILABLE", "the store cannot be read now")
        }
        StoreError::TooSlow(_) => {
            let message = "the query took longer than it may; narrow its filter or its time range";
            Status::with_error_details(
                Code::DeadlineExceeded,
                message,
                info("QUERY_TOO_SLOW", HashMap::new()),
            )
        }
        // A read takes no key.
        StoreError::Broken(_) | StoreError::Schema(_) | StoreError::KeyTaken => {
            tracing::error!(%error, "a read failed");
            internal()
        }
    }
}

/// A store failure of an erasure. What was done stays done, and the same request goes on from there.
pub fn erasure(error: &StoreError) -> Status {
    match error {
        StoreError::Unavailable(_)
        | StoreError::Locked(_)
        | StoreError::Pooled(_)
        | StoreError::NoSyncReplica(_)
        | StoreError::StateUnknown(_) => {
            tracing::warn!(%error, "an erasure failed");
            unavailable("STORE_UNAVAILABLE", "the store cannot be written now; repeat the request")
        }
        StoreError::TooSlow(_) | StoreError::Broken(_) | StoreError::Schema(_) | StoreError::KeyTaken => {
            store(error)
        }
    }
}

/// The id of another request to erase.
pub fn request_id_reused() -> Status {
    let description = "is that of a request for another person or with another reason";
    let mut details = info("REQUEST_ID_REUSED", HashMap::new());
    details.add_bad_request_violation("request_id", description);
    Status::with_error_details(Code::AlreadyExists, format!("request_id: {description}"), details)
}

/// The server is going away; another replica, or this one in a moment, will answer.
pub fn draining() -> Status {
    unavailable(reason(SubmitError::Draining), "the server is shutting down")
}

/// The connection has been open for as long as one may be; what is asked for goes on over another one.
pub fn connection_aged() -> Status {
    unavailable(
        "CONNECTION_AGE",
        "the connection is too old: go on over a new one, a query with its last resume token",
    )
}

/// There is no such thing.
pub fn not_found(reason: &str, message: impl Into<String>, nearest: &[String]) -> Status {
    let mut metadata = HashMap::new();
    if !nearest.is_empty() {
        metadata.insert("nearest".to_owned(), short(&nearest.join(", "), MOST_DESCRIPTION));
    }
    Status::with_error_details(Code::NotFound, message, info(reason, metadata))
}

/// Retention has removed positions that were asked for.
pub fn position_pruned(oldest: u64) -> Status {
    let metadata = HashMap::from([("oldest_position".to_owned(), oldest.to_string())]);
    let message = format!("retention has removed every event below position {oldest}");
    Status::with_error_details(Code::OutOfRange, message, info("POSITION_PRUNED", metadata))
}

/// The event that was to tell of something is not in the log, and so it was not done.
pub fn own_event(error: &OwnError) -> Status {
    match error {
        OwnError::NotCommitted(error) => not_committed(*error),
        OwnError::Refused(why) => invalid("INVALID_REASON", "reason", why.as_str()),
        OwnError::Store(error) => store(error),
        OwnError::NotThere(_) => {
            tracing::error!(%error, "an event of the server's own is not where it was");
            internal()
        }
    }
}

/// Legal holds are on the log, so nothing of it may go.
pub fn legal_hold(holds: &[Uuid]) -> Status {
    let ids = holds.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("{} legal holds keep everything of the log: {ids}", holds.len());
    let metadata = HashMap::from([("hold_ids".to_owned(), short(&ids, MOST_DESCRIPTION))]);
    let details = info("LEGAL_HOLD", metadata);
    Status::with_error_details(Code::FailedPrecondition, short(&message, MOST_MESSAGE), details)
}

/// A position or size that the log, or its newest checkpoint, has not reached; `size` is how far that is.
pub fn not_reached(reason: &str, field: &str, description: impl Into<String>, size: u64) -> Status {
    let description = description.into();
    let message = format!("{field}: {description}");
    let mut details = info(reason, HashMap::from([("tree_size".to_owned(), size.to_string())]));
    details.add_bad_request_violation(field, description);
    Status::with_error_details(Code::OutOfRange, message, details)
}

/// A proof needs tiles that are still being written.
pub fn tiles_behind() -> Status {
    unavailable("TILES_BEHIND", "the tiles of the log are still being written")
}

/// A row of the quarantine that is not there.
pub fn not_quarantined(field: &str) -> Status {
    let description = "the log's quarantine has no such event";
    let mut details = info("QUARANTINED_EVENT_NOT_FOUND", HashMap::new());
    details.add_bad_request_violation(field, description);
    Status::with_error_details(Code::NotFound, format!("{field}: {description}"), details)
}

/// A row of the quarantine that was discarded, and so cannot be replayed.
pub fn discarded(field: &str) -> Status {
    let description = "the event was discarded; discarded events are not replayed";
    let mut details = info("QUARANTINED_EVENT_DISCARDED", HashMap::new());
    details.add_bad_request_violation(field, description);
    Status::with_error_details(Code::FailedPrecondition, format!("{field}: {description}"), details)
}

/// Something that should not happen; the log says what.
pub fn internal() -> Status {
    Status::with_error_details(
        Code::Internal,
        "the server failed; its log says why",
        info(reason(SubmitError::StoreBroken), HashMap::new()),
    )
}

/// A batch with more events than the limit.
pub fn batch_too_large(count: usize, most: usize) -> Status {
    invalid("BATCH_TOO_LARGE", "events", format!("holds {count} events; at most {most}"))
}

/// A batch without events.
pub fn empty_batch(most: usize) -> Status {
    invalid("EMPTY_BATCH", "events", format!("holds no event; 1 to {most}"))
}

/// A status as data, for the result of one event.
pub fn as_message(status: &Status) -> rpc::Status {
    // The details of a status are an encoded google.rpc.Status themselves.
    rpc::Status::decode(status.details()).unwrap_or_else(|_| rpc::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

fn unavailable(reason: &str, message: &str) -> Status {
    let mut details = info(reason, HashMap::new());
    details.set_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::Unavailable, message, details)
}

fn exhausted(
    reason: &str,
    subject: &str,
    description: String,
    retry_after: Duration,
    metadata: HashMap<String, String>,
) -> Status {
    let mut details = info(reason, metadata);
    details.add_quota_failure_violation(subject, &description);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, description, details)
}

/// Rounded up: a client that waits as it is told must not come too early.
pub fn whole_millis(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

fn info(reason: &str, metadata: HashMap<String, String>) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, metadata);
    details
}

fn path(index: usize, field: &str) -> String {
    match field {
        "" => format!("events[{index}]"),
        field => format!("events[{index}].{field}"),
    }
}

fn short(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= most).last().unwrap_or(0);
    format!("{}...", &text[..end])
}

/// The reason of a message that is larger than the limit. tonic would answer `OUT_OF_RANGE`, which exporters
/// retry for ever; `server::intake` is there first.
pub fn message_too_large(limit: usize) -> Status {
    invalid(
        "MESSAGE_TOO_LARGE",
        "",
        format!("the message is larger than {limit} bytes, which is all that this call takes at a time"),
    )
}
