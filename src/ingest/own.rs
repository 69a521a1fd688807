//! Chancery's own events: what was done to a log, told in the log itself.
//!
//! They go the way of every other event, through parse, catalog, seal and sequencer, under the producer name that
//! no caller may use. Callers: `grpc::admin`, retention, `journal`.
use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Ingest, SubmitError,
    room::Need,
    sequencer::{Entry, Mode, Submission, Verdict},
};
use crate::{
    catalog::{Catalog, Suggestions},
    clock::Clock,
    event::{LogName, ParsedEvent, Producer, Receipt, admit, seal, timestamp},
    proto::v1::{ChanceryEvent, Event, EventFamily, NewEvent, new_event::Family},
    store::StoreError,
};

/// What is told.
pub struct OwnEvent {
    /// Chosen by the caller, the same at every try: an event is told once. The id that it has in the log is made of
    /// this, of its type and of the log, so that no id of one kind of request takes that of another kind.
    pub event_id: Uuid,
    /// A type of the catalog's family `chancery`, for example `SUBJECT_ERASED`.
    pub r#type: &'static str,
    /// By the keys that the catalog lists for the type.
    pub details: BTreeMap<String, String>,
}

/// An event, and when what it tells of was.
pub struct Timed {
    pub event: OwnEvent,
    /// Microseconds since 1970.
    pub at: i64,
    /// What it has in common with other events, as their correlation id.
    pub call: Option<Uuid>,
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
    /// It was told before, at this position, where there is another event now or none.
    #[error("the event at position {0} is not the one that was told there")]
    NotThere(u64),
    /// Whether it was told before cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Appends an event of the server's own and returns its position. One that is there already, under the same id, is
/// not appended again: its position is returned, whatever its details say.
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
    let code = event.r#type;
    let timed = Timed { event, at: clock.now_micros(), call: None };
    let (sealed, bytes) = sealed(catalog, clock, log, &timed).map_err(OwnError::Refused)?;
    let verdicts = submit(ingest, Need::Must, log, vec![sealed], bytes).await?;
    match verdicts.first() {
        Some(Verdict::Accepted { position }) => Ok(*position),
        // Another try was made at another time, which is other content; the id says that it is the same event.
        Some(Verdict::Duplicate { position, .. } | Verdict::Conflict { position: Some(position) }) => {
            told(ingest, log, *position, code).await
        }
        _ => Err(OwnError::NotCommitted(SubmitError::Unknown)),
    }
}

/// Appends events of the server's own in their order, and returns which of them the catalog refuses, by number and with
/// the reason: those are left out. Those that are there already are not appended again.
///
/// # Errors
/// Why none of them is known to be in the log. It can be tried again.
pub async fn append_all(
    ingest: &Ingest,
    catalog: &Catalog,
    clock: &dyn Clock,
    log: &LogName,
    events: &[Timed],
) -> Result<Vec<(usize, String)>, OwnError> {
    let (mut entries, mut bytes, mut refused) = (Vec::with_capacity(events.len()), 0, Vec::new());
    for (at, event) in events.iter().enumerate() {
        match sealed(catalog, clock, log, event) {
            Ok((event, size)) => {
                entries.push(event);
                bytes += size;
            }
            Err(reason) => refused.push((at, reason)),
        }
    }
    if !entries.is_empty() {
        submit(ingest, Need::SelfAudit, log, entries, bytes).await?;
    }
    Ok(refused)
}

/// An event, ready to be appended, and its size; or why it is none.
fn sealed(
    catalog: &Catalog,
    clock: &dyn Clock,
    log: &LogName,
    Timed { event, at, call }: &Timed,
) -> Result<(Entry, usize), String> {
    let new = NewEvent {
        event_id: id(log, event).to_string(),
        occurred_at: Some(timestamp(*at)),
        correlation_id: call.map(|call| call.to_string()).unwrap_or_default(),
        family: Some(Family::Chancery(ChanceryEvent {
            r#type: event.r#type.to_owned(),
            details: event.details.clone(),
        })),
        ..NewEvent::default()
    };
    let bytes = new.encoded_len();
    let parsed = ParsedEvent::own(new, clock).map_err(|refused| refused.message())?;
    let valid =
        admit(catalog, parsed, &mut Suggestions::default()).map_err(|refused| refused.rejection.message())?;
    let receipt = Receipt { log, producer: &Producer::own(), received_at: clock.now_micros(), clock };
    Ok((Entry::Event(Arc::new(seal(valid, &receipt))), bytes))
}

async fn submit(
    ingest: &Ingest,
    need: Need,
    log: &LogName,
    entries: Vec<Entry>,
    bytes: usize,
) -> Result<Vec<Verdict>, OwnError> {
    let admission = ingest.flight.admit(None, bytes, entries.len()).await.map_err(OwnError::NotCommitted)?;
    let submission = Arc::new(Submission { producer: Producer::own(), mode: Mode::PerEvent, entries });
    let committed =
        ingest.submit_for(need, log, submission, &admission).await.map_err(OwnError::NotCommitted)?;
    Ok(committed.verdicts)
}

/// The position of an event that was told before, if that is what stands there. What is done because of an event must
/// not be done because of another one.
async fn told(ingest: &Ingest, log: &LogName, position: u64, code: &str) -> Result<u64, OwnError> {
    let stored = ingest.store.event_at(log, position).await?;
    let event = stored.and_then(|stored| Event::decode(stored.record.as_slice()).ok());
    match event {
        Some(event) if event.family() == EventFamily::Chancery && event.code == code => Ok(position),
        _ => Err(OwnError::NotThere(position)),
    }
}

/// The id of an event in the log.
fn id(log: &LogName, event: &OwnEvent) -> Uuid {
    let mut hash = Sha256::new();
    // Neither a type nor a log's name holds a NUL, so no two of these are the same bytes.
    for part in [event.r#type.as_bytes(), log.as_str().as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(event.event_id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
