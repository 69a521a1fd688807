//! `QuarantineService`: parse, call, convert. `replay` is the RPC with a file of its own; rows leave the
//! quarantine in `ingest::sequencer` only.
use std::{collections::HashSet, pin::Pin, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{audit::Audit, may, replay, status, told};
use crate::{
    auth::{Caller, Scope},
    catalog::{model::Family, rejection::Reason},
    event::{LogName, Producer, limits::MAX_EVENT_BYTES, timestamp},
    journal::Entry,
    proto::{servers::quarantine_service_server::QuarantineService, v1},
    query::scoped::Personal,
    store::{
        Discard, Key, QuarantineCursor, QuarantineFilter, QuarantineKey, QuarantinePage, QuarantinedRow,
    },
};

/// Events that one call replays or discards.
pub(super) const MAX_ROWS: usize = 1000;
/// Rows read at a time: of the largest events, as many bytes as one message may have.
pub(super) const PAGE: usize = 64;
/// Bytes of a page.
pub(super) const PAGE_BYTES: usize = PAGE * MAX_EVENT_BYTES;
/// Producers of a filter.
const MAX_PRODUCERS: usize = 100;
/// Bytes of a reason for discarding.
const MAX_REASON_BYTES: usize = 1000;

/// The service.
pub struct QuarantineRpc(pub Arc<Audit>);

#[tonic::async_trait]
impl QuarantineService for QuarantineRpc {
    type ListQuarantinedStream =
        Pin<Box<dyn Stream<Item = Result<v1::ListQuarantinedResponse, Status>> + Send>>;

    async fn list_quarantined(
        &self,
        request: Request<v1::ListQuarantinedRequest>,
    ) -> Result<Response<Self::ListQuarantinedStream>, Status> {
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let (log, scope) = may::read(&caller, &request.log)?;
        if !scope.personal() {
            // What was not understood cannot be shown in part.
            return Err(status::personal(&Personal("what is in quarantine".to_owned())));
        }
        let filter =
            QuarantineFilter { discarded: request.include_discarded, ..filter(request.filter.as_ref())? };
        let told = Told { caller, audit: Arc::clone(&self.0), log: log.clone(), returned: 0 };
        let listing = Listing {
            told,
            audit: Arc::clone(&self.0),
            log,
            scope,
            filter,
            after: None,
            left: if request.limit == 0 { u64::MAX } else { request.limit },
        };
        // Nothing is read before the client asks for it, so a slow client costs one page.
        let pages = stream::try_unfold(listing, Listing::next);
        let messages = pages.map_ok(|page| stream::iter(page).map(Ok)).try_flatten();
        Ok(Response::new(Box::pin(messages)))
    }

    async fn replay_quarantined(
        &self,
        request: Request<v1::ReplayQuarantinedRequest>,
    ) -> Result<Response<v1::ReplayQuarantinedResponse>, Status> {
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::administer(&caller, &request.log)?;
        let (audit, running) = (Arc::clone(&self.0), self.0.calls.token());
        let replayed = may::to_the_end(async move {
            let _running = running;
            let answer = replay::replay(&audit, &log, request).await?;
            let count = answer.results.len() as u64;
            audit.journal.record(Entry::quarantine_replayed(&told::who(&caller), caller.method, &log, count));
            Ok(answer)
        });
        replayed.await.map(Response::new)
    }

    async fn discard_quarantined(
        &self,
        request: Request<v1::DiscardQuarantinedRequest>,
    ) -> Result<Response<v1::DiscardQuarantinedResponse>, Status> {
        let by = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::administer(&by, &request.log)?;
        let (this, running) = (Self(Arc::clone(&self.0)), self.0.calls.token());
        let discarded = may::to_the_end(async move {
            let _running = running;
            this.discard(&by, &log, request).await
        });
        discarded.await.map(Response::new)
    }
}

impl QuarantineRpc {
    async fn discard(
        &self,
        by: &Caller,
        log: &LogName,
        request: v1::DiscardQuarantinedRequest,
    ) -> Result<v1::DiscardQuarantinedResponse, Status> {
        let rows: Vec<_> = ids(&request.ids)?.into_iter().map(|cursor| cursor.row).collect();
        let reason = request.reason;
        if reason.trim().is_empty() || reason.len() > MAX_REASON_BYTES || reason.contains('\0') {
            let description = format!("is not 1 to {MAX_REASON_BYTES} bytes of text without NUL");
            return Err(status::invalid("INVALID_DISCARD_REASON", "reason", description));
        }
        // Refused before anything is marked.
        self.records(log, &rows).await?;
        let discard = Discard { at: self.0.clock.now_micros(), by: by.name().as_str().to_owned(), reason };
        self.0.store.discard(log, &rows, &discard).await.map_err(|error| status::store(&error))?;
        let (who, count) = (told::who(by), rows.len() as u64);
        self.0.journal.record(Entry::quarantine_discarded(&who, by.method, log, count, &discard.reason));
        let mut records = Vec::with_capacity(rows.len());
        for (at, (id, record)) in request.ids.into_iter().zip(self.records(log, &rows).await?).enumerate() {
            // Without a record it was replayed just now, and its successor was quarantined.
            let discard = record.ok_or_else(|| status::not_quarantined(&format!("ids[{at}]")))?;
            records.push(v1::DiscardRecord {
                id,
                discarded_at: Some(timestamp(discard.at)),
                discarded_by: discard.by,
                discard_reason: discard.reason,
            });
        }
        Ok(v1::DiscardQuarantinedResponse { records })
    }

    /// Per row, whether and how it was discarded. An error when a row is not there.
    async fn records(&self, log: &LogName, rows: &[QuarantineKey]) -> Result<Vec<Option<Discard>>, Status> {
        let mut records = Vec::with_capacity(rows.len());
        for page in rows.chunks(PAGE) {
            let read = self.0.store.quarantined_rows(log, page).await;
            let mut read = read.map_err(|error| status::store(&error))?;
            for row in page {
                let row = read.remove(row);
                let row = row.ok_or_else(|| status::not_quarantined(&format!("ids[{}]", records.len())))?;
                records.push(row.discard);
            }
        }
        Ok(records)
    }
}

/// A list that is being streamed.
struct Listing {
    told: Told,
    audit: Arc<Audit>,
    log: LogName,
    scope: Scope,
    filter: QuarantineFilter,
    after: Option<QuarantineCursor>,
    left: u64,
}

impl Listing {
    async fn next(mut self) -> Result<Option<(Vec<v1::ListQuarantinedResponse>, Self)>, Status> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.audit.drain.is_cancelled() {
            return Err(status::draining());
        }
        // At most PAGE, which is small.
        let limit = u32::try_from(self.left.min(PAGE as u64)).unwrap_or(1);
        let page = QuarantinePage { log: &self.log, filter: &self.filter, after: self.after.as_ref(), limit };
        let rows = self.audit.store.quarantined(&page).await.map_err(|error| status::store(&error))?;
        let Some(last) = rows.last() else { return Ok(None) };
        self.after = Some(last.cursor.clone());
        let full = rows.len() == limit as usize;
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            let event = message(&self.log, row)?;
            let submitted = event.submitted.as_ref().and_then(|submitted| submitted.family.as_ref());
            if self.scope.sees(submitted.map(Family::of)) {
                messages.push(v1::ListQuarantinedResponse { event: Some(event) });
            }
        }
        self.told.returned += messages.len() as u64;
        self.left = if full { self.left.saturating_sub(messages.len() as u64) } else { 0 };
        Ok(Some((messages, self)))
    }
}

/// Tells of a list when it has ended, however it has.
struct Told {
    caller: Arc<Caller>,
    audit: Arc<Audit>,
    log: LogName,
    returned: u64,
}

impl Drop for Told {
    fn drop(&mut self) {
        let who = told::who(&self.caller);
        let entry = Entry::quarantine_read(&who, self.caller.method, &self.log, self.returned);
        self.audit.journal.record(entry);
    }
}

fn message(log: &LogName, row: QuarantinedRow) -> Result<v1::QuarantinedEvent, Status> {
    let submitted = submitted(&row)?;
    let key = &row.cursor.row.key;
    let mut message = v1::QuarantinedEvent {
        id: id(&row.cursor),
        log: log.as_str().to_owned(),
        producer: key.producer.as_str().to_owned(),
        event_id: key.event_id.to_string(),
        received_at: Some(timestamp(row.cursor.received_at)),
        reason: row.reason,
        description: row.description,
        submitted: Some(submitted),
        ..v1::QuarantinedEvent::default()
    };
    if let Some(discard) = row.discard {
        message.discarded_at = Some(timestamp(discard.at));
        message.discarded_by = discard.by;
        message.discard_reason = discard.reason;
    }
    Ok(message)
}

/// The event of a row.
pub(super) fn submitted(row: &QuarantinedRow) -> Result<v1::NewEvent, Status> {
    v1::NewEvent::decode(row.submitted.as_slice()).map_err(|error| {
        tracing::error!(event_id = %row.cursor.row.key.event_id, %error, "a quarantined event cannot be read");
        status::internal()
    })
}

/// The filter of a request, without discarded rows.
pub(super) fn filter(filter: Option<&v1::QuarantineFilter>) -> Result<QuarantineFilter, Status> {
    let Some(filter) = filter else { return Ok(QuarantineFilter::default()) };
    let v1::QuarantineFilter { producers, reasons } = filter;
    if producers.len() > MAX_PRODUCERS {
        let description = format!("holds {} producers; at most {MAX_PRODUCERS}", producers.len());
        return Err(status::invalid("INVALID_FILTER", "filter.producers", description));
    }
    for (at, name) in producers.iter().enumerate() {
        Producer::parse(name)
            .map_err(|what| status::invalid("INVALID_PRODUCER", &format!("filter.producers[{at}]"), what))?;
    }
    let known = [Reason::UnknownEventCode, Reason::CatalogViolation].map(Reason::as_str);
    let mut chosen: Vec<String> = Vec::new();
    for (at, reason) in reasons.iter().enumerate() {
        if !known.contains(&reason.as_str()) {
            let description = format!("is none of {}", known.join(", "));
            return Err(status::invalid("INVALID_FILTER", &format!("filter.reasons[{at}]"), description));
        }
        // However often a reason is repeated, the statement stays small.
        if !chosen.contains(reason) {
            chosen.push(reason.clone());
        }
    }
    Ok(QuarantineFilter { producers: producers.clone(), reasons: chosen, discarded: false })
}

/// A row's name: its key, and its time of receipt, which makes the name a place in the list.
pub(super) fn id(cursor: &QuarantineCursor) -> String {
    let QuarantineCursor { received_at, row } = cursor;
    let time = received_at.to_be_bytes();
    let parts: [&[u8]; 4] =
        [&time, &row.content_hash, row.key.event_id.as_bytes(), row.key.producer.as_str().as_bytes()];
    URL_SAFE_NO_PAD.encode(parts.concat())
}

fn cursor(id: &str) -> Option<QuarantineCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
    let (time, rest) = bytes.split_first_chunk()?;
    let (content_hash, rest) = rest.split_first_chunk()?;
    let (event_id, producer) = rest.split_first_chunk()?;
    let producer = Producer::parse(str::from_utf8(producer).ok()?).ok()?;
    let key = Key { producer, event_id: Uuid::from_bytes(*event_id) };
    let row = QuarantineKey { key, content_hash: *content_hash };
    Some(QuarantineCursor { received_at: i64::from_be_bytes(*time), row })
}

/// The row that an id names.
pub(super) fn parse_id(id: &str, field: &str) -> Result<QuarantineCursor, Status> {
    cursor(id).ok_or_else(|| {
        status::invalid("INVALID_QUARANTINE_ID", field, "is not an id that ListQuarantined has given out")
    })
}

/// The rows that the ids of a request name: at least one, none twice.
pub(super) fn ids(ids: &[String]) -> Result<Vec<QuarantineCursor>, Status> {
    if ids.is_empty() || ids.len() > MAX_ROWS {
        let description = format!("holds {} ids; 1 to {MAX_ROWS}", ids.len());
        return Err(status::invalid("INVALID_IDS", "ids", description));
    }
    let mut seen = HashSet::with_capacity(ids.len());
    let mut rows = Vec::with_capacity(ids.len());
    for (at, id) in ids.iter().enumerate() {
        let field = format!("ids[{at}]");
        let row = parse_id(id, &field)?;
        if !seen.insert(row.row.clone()) {
            return Err(status::invalid("INVALID_IDS", &field, "stands there twice"));
        }
        rows.push(row);
    }
    Ok(rows)
}
