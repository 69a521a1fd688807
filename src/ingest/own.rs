//! Chancery's own events: what was done to a log, told in the log itself.
//!
//! They go the way of every other event, through parse, catalog, seal and sequencer, under the producer name that
//! no caller may use. Callers: `grpc::admin`, retention.
use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use uuid::Uuid;

use super::{
    Ingest, SubmitError,
    sequencer::{Entry, Mode, Submission, Verdict},
};
use crate::{
    catalog::{Catalog, Suggestions},
    clock::Clock,
    event::{LogName, ParsedEvent, Producer, Receipt, admit, seal, timestamp},
    proto::v1::{ChanceryEvent, NewEvent, new_event::Family},
};

/// What is told.
pub struct OwnEvent {
    /// Chosen by the caller, the same at every try: an event is told once.
    pub event_id: Uuid,
    /// A type of the catalog's family `chancery`, for example `SUBJECT_ERASED`.
    pub r#type: &'static str,
    /// By the keys that the catalog lists for the type.
    pub details: BTreeMap<String, String>,
}

/// Why an own event is not in the log.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// As for any event.
    #[error("not committed: {0:?}")]
    NotCommitted(SubmitError),
    /// It is none that the catalog accepts: a text over its limit, or a defect of the caller.
    #[error("{0}")]
    Refused(String),
}

/// Appends an event of the server's own and returns its position. One that is there already, under the same id, is
/// not appended again: its position is returned, whatever it says.
///
/// # Errors
/// Why it is not in the log. It can be tried again.
pub async fn append(
    ingest: &Ingest,
    catalog: &Catalog,
    clock: &dyn Clock,
    log: &LogName,
    event: OwnEvent,
) -> Result<u64, OwnError> {
    let now = clock.now_micros();
    let new = NewEvent {
        event_id: event.event_id.to_string(),
        occurred_at: Some(timestamp(now)),
        family: Some(Family::Chancery(ChanceryEvent {
            r#type: event.r#type.to_owned(),
            details: event.details,
        })),
        ..NewEvent::default()
    };
    let bytes = new.encoded_len();
    let parsed = ParsedEvent::own(new, clock).map_err(|refused| OwnError::Refused(refused.message()))?;
    let valid = admit(catalog, parsed, &mut Suggestions::default())
        .map_err(|refused| OwnError::Refused(refused.rejection.message()))?;
    let producer = Producer::own();
    let sealed = seal(valid, &Receipt { log, producer: &producer, received_at: now, clock });
    let admission = ingest.flight.admit(None, bytes, 1).await.map_err(OwnError::NotCommitted)?;
    let entries = vec![Entry::Event(Arc::new(sealed))];
    let submission = Arc::new(Submission { producer, mode: Mode::PerEvent, entries });
    let committed = ingest.submit(log, submission, &admission).await.map_err(OwnError::NotCommitted)?;
    match committed.verdicts.first() {
        // Another try was made at another time, which is other content; the id says that it is the same event.
        Some(
            Verdict::Accepted { position }
            | Verdict::Duplicate { position, .. }
            | Verdict::Conflict { position: Some(position) },
        ) => Ok(*position),
        _ => Err(OwnError::NotCommitted(SubmitError::Unknown)),
    }
}
