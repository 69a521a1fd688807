//! `ReplayQuarantined`: rows of the quarantine through the catalog as it is loaded now, and to the
//! sequencer, page by page. A page is one group of submissions, one per producer; each row leaves the
//! quarantine in the transaction that appends its event.
use std::{collections::HashMap, sync::Arc};

use futures::future::join_all;
use tonic::Status;
use uuid::Uuid;

use super::{
    append::{self, Checked, Fate},
    audit::Audit,
    quarantine::{self, MAX_ROWS, PAGE, PAGE_BYTES},
    status,
    tally::{Tally, not_attempted_for},
};
use crate::{
    catalog::{Suggestions, rejection::Reason},
    clock::{Clock, Salt},
    event::{LogName, ParsedEvent, Producer, Receipt, admit, seal},
    ingest::{
        Admission, SubmitError,
        sequencer::{Entry, Mode, Replayed, Submission, Verdict},
    },
    proto::v1::{self, AppendResult},
    store::{QuarantineCursor, QuarantineFilter, QuarantineKey, QuarantinePage, QuarantinedRow},
    telemetry::NotAttempted,
};

/// Answers one call.
pub async fn replay(
    audit: &Audit,
    log: &LogName,
    request: v1::ReplayQuarantinedRequest,
) -> Result<v1::ReplayQuarantinedResponse, Status> {
    let run = Run { audit, log, results: Vec::new() };
    match (request.all, request.ids.is_empty()) {
        (true, true) => {
            let filter = quarantine::filter(request.filter.as_ref())?;
            let after = match request.after.as_str() {
                "" => None,
                id => Some(quarantine::parse_id(id, "after")?),
            };
            run.all(&filter, after, &admission(audit).await?).await
        }
        (false, _) if request.filter.is_some() || !request.after.is_empty() => {
            Err(status::invalid("INVALID_IDS", "all", "is not set, as filter and after need it"))
        }
        (false, _) => {
            let rows = quarantine::ids(&request.ids)?;
            run.ids(&rows, &admission(audit).await?).await
        }
        (true, false) => Err(status::invalid("INVALID_IDS", "ids", "holds ids although all is set")),
    }
}

/// Room for one page, held for the whole call.
async fn admission(audit: &Audit) -> Result<Admission, Status> {
    audit.ingest.flight.admit(None, PAGE_BYTES, PAGE).await.map_err(status::not_committed)
}

/// One call.
struct Run<'a> {
    audit: &'a Audit,
    log: &'a LogName,
    results: Vec<v1::ReplayResult>,
}

impl Run<'_> {
    /// Replays rows by name.
    async fn ids(
        mut self,
        rows: &[QuarantineCursor],
        admission: &Admission,
    ) -> Result<v1::ReplayQuarantinedResponse, Status> {
        // All of them first: an id that cannot be replayed refuses the call before anything is done.
        for (at, page) in rows.chunks(PAGE).enumerate() {
            let read = self.read(page).await?;
            let stored = self.stored(page, &read).await?;
            for (offset, cursor) in page.iter().enumerate() {
                let field = || format!("ids[{}]", at * PAGE + offset);
                match read.get(&cursor.row) {
                    Some(row) if row.discard.is_some() => return Err(status::discarded(&field())),
                    None if !stored.contains_key(&cursor.row) => {
                        return Err(status::not_quarantined(&field()));
                    }
                    Some(_) | None => {}
                }
            }
        }
        let mut failed = None;
        for page in rows.chunks(PAGE) {
            let tally = Tally::received(&self.audit.metrics, page.len(), 0, false);
            if let Some(error) = failed {
                for cursor in page {
                    let why = (None, not_attempted_for(error));
                    self.put(&tally, cursor, why, |index, id| not_committed(index, id, error));
                }
                continue;
            }
            let read = self.read(page).await;
            let stored = match &read {
                Ok(read) => self.stored(page, read).await,
                Err(_) => Ok(HashMap::new()),
            };
            let (Ok(mut read), Ok(mut stored)) = (read, stored) else {
                let error = SubmitError::StoreUnavailable;
                failed = Some(error);
                for cursor in page {
                    let why = (None, not_attempted_for(error));
                    self.put(&tally, cursor, why, |index, id| not_committed(index, id, error));
                }
                continue;
            };
            let found: Vec<_> = page.iter().filter_map(|cursor| read.remove(&cursor.row)).collect();
            let mut judged = self.submit(&found, admission).await?.into_iter();
            for cursor in page {
                let judged = match found.iter().any(|row| row.cursor.row == cursor.row) {
                    true => judged.next(),
                    false => None,
                };
                if let Some((_, Some(Err(error)))) = &judged
                    && *error != SubmitError::StoreBroken
                {
                    failed = Some(*error);
                }
                let stored = stored.remove(&cursor.row);
                let reason = judged.as_ref().and_then(|(checked, _)| checked.fate.reason());
                let otherwise = otherwise(judged.as_ref().and_then(|(_, verdict)| verdict.as_ref()));
                self.put(&tally, cursor, (reason, otherwise), |index, id| match (judged, stored) {
                    (Some((checked, verdict)), _) => judgement(index, checked, verdict),
                    (None, Some((position, leaf_hash))) => v1::EventResult {
                        index: append::index_of(index),
                        event_id: id,
                        result: AppendResult::Duplicate as i32,
                        position: Some(position),
                        leaf_hash: leaf_hash.into(),
                        ..v1::EventResult::default()
                    },
                    (None, None) => gone(index, id),
                });
            }
            self.fail_when_nothing_was_done(failed)?;
        }
        Ok(v1::ReplayQuarantinedResponse { results: self.results, left: 0, next: String::new() })
    }

    /// Replays what matches, behind a row.
    async fn all(
        mut self,
        filter: &QuarantineFilter,
        mut after: Option<QuarantineCursor>,
        admission: &Admission,
    ) -> Result<v1::ReplayQuarantinedResponse, Status> {
        let store = &self.audit.store;
        while self.results.len() < MAX_ROWS {
            // At most PAGE, which is small.
            let limit = u32::try_from((MAX_ROWS - self.results.len()).min(PAGE)).unwrap_or(1);
            let page = QuarantinePage { log: self.log, filter, after: after.as_ref(), limit };
            let rows = match store.quarantined(&page).await {
                Ok(rows) => rows,
                Err(error) if self.results.is_empty() => return Err(status::store(&error)),
                // What was done is told; the next call finds out how the store is.
                Err(_) => break,
            };
            let tally = Tally::received(&self.audit.metrics, rows.len(), 0, false);
            let mut failed = None;
            for (row, (checked, verdict)) in rows.iter().zip(self.submit(&rows, admission).await?) {
                if let Some(Err(error)) = &verdict
                    && *error != SubmitError::StoreBroken
                {
                    failed = Some(*error);
                }
                let why = (checked.fate.reason(), otherwise(verdict.as_ref()));
                self.put(&tally, &row.cursor, why, |index, _| judgement(index, checked, verdict));
            }
            self.fail_when_nothing_was_done(failed)?;
            if failed.is_some() {
                // Not beyond this page: its rest is to be replayed.
                break;
            }
            let complete = rows.len() < limit as usize;
            after = rows.into_iter().next_back().map(|row| row.cursor).or(after);
            if complete {
                return Ok(v1::ReplayQuarantinedResponse {
                    results: self.results,
                    left: 0,
                    next: String::new(),
                });
            }
        }
        // What was replayed must be told even if what is left cannot be counted: at least one, then.
        let left = store.count_quarantined(self.log, filter, after.as_ref()).await.unwrap_or(1);
        let next = after.as_ref().filter(|_| left > 0).map(quarantine::id).unwrap_or_default();
        Ok(v1::ReplayQuarantinedResponse { results: self.results, left, next })
    }

    /// A failure before anything was done is the call's own, so that the caller knows when to come back.
    fn fail_when_nothing_was_done(&self, failed: Option<SubmitError>) -> Result<(), Status> {
        let done = |each: &v1::ReplayResult| {
            each.result.as_ref().is_some_and(|result| result.result() != AppendResult::NotAttempted)
        };
        match failed {
            Some(error) if !self.results.iter().any(done) => Err(status::not_committed(error)),
            _ => Ok(()),
        }
    }

    /// Adds and counts a result. `why` is why the event is refused, and why it is not attempted, if it is so.
    fn put(
        &mut self,
        tally: &Tally,
        cursor: &QuarantineCursor,
        why: (Option<Reason>, NotAttempted),
        result: impl FnOnce(usize, String) -> v1::EventResult,
    ) {
        let key = &cursor.row.key;
        let result = result(self.results.len(), key.event_id.to_string());
        tally.count(result.result(), why.0, why.1);
        self.results.push(v1::ReplayResult {
            id: quarantine::id(cursor),
            producer: key.producer.as_str().to_owned(),
            result: Some(result),
        });
    }

    async fn read(
        &self,
        page: &[QuarantineCursor],
    ) -> Result<HashMap<QuarantineKey, QuarantinedRow>, Status> {
        let keys: Vec<_> = page.iter().map(|cursor| cursor.row.clone()).collect();
        self.audit.store.quarantined_rows(self.log, &keys).await.map_err(|error| status::store(&error))
    }

    /// Position and leaf hash of those rows that are not in quarantine because their events are in the
    /// log: an earlier replay whose answer was not heard.
    async fn stored(
        &self,
        page: &[QuarantineCursor],
        read: &HashMap<QuarantineKey, QuarantinedRow>,
    ) -> Result<HashMap<QuarantineKey, (u64, Vec<u8>)>, Status> {
        let missing: Vec<_> =
            page.iter().map(|cursor| &cursor.row).filter(|row| !read.contains_key(row)).collect();
        if missing.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<_> = missing.iter().map(|row| row.key.clone()).collect();
        let known = self.audit.store.known(self.log, &keys).await.map_err(|error| status::store(&error))?;
        let stored = missing.into_iter().filter_map(|row| {
            let known = known.get(&row.key).filter(|known| known.is(&row.content_hash))?;
            Some((row.clone(), (known.position, known.leaf_hash.clone())))
        });
        Ok(stored.collect())
    }

    /// Judges rows and has the accepted ones appended. Per row what the catalog says, and what the
    /// sequencer; `None` when it was not asked.
    async fn submit(
        &self,
        rows: &[QuarantinedRow],
        admission: &Admission,
    ) -> Result<Vec<(Checked, Option<Result<Verdict, SubmitError>>)>, Status> {
        let mut suggestions = Suggestions::default();
        let mut judged = Vec::with_capacity(rows.len());
        // Per producer the places of its rows; a page has few producers.
        let mut producers: Vec<(Producer, Vec<usize>, Vec<Entry>)> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let (checked, entry) = judge(self.audit, self.log, row, &mut suggestions)?;
            judged.push((checked, None));
            let Some(entry) = entry else { continue };
            let producer = &row.cursor.row.key.producer;
            match producers.iter_mut().find(|(each, ..)| each == producer) {
                Some((_, places, entries)) => {
                    places.push(at);
                    entries.push(entry);
                }
                None => producers.push((producer.clone(), vec![at], vec![entry])),
            }
        }
        let submissions = producers.into_iter().map(|(producer, places, entries)| async move {
            let submission = Arc::new(Submission { producer, mode: Mode::PerEvent, entries });
            (places, self.audit.ingest.submit(self.log, submission, admission).await)
        });
        for (places, committed) in join_all(submissions).await {
            match committed {
                Ok(committed) => {
                    for (at, verdict) in places.into_iter().zip(committed.verdicts) {
                        judged[at].1 = Some(Ok(verdict));
                    }
                }
                Err(error) => {
                    for at in places {
                        judged[at].1 = Some(Err(error));
                    }
                }
            }
        }
        Ok(judged)
    }
}

/// A clock whose new id is that of the row: an event that came without an id keeps the one it was given.
struct OfRow<'a> {
    clock: &'a dyn Clock,
    event_id: Uuid,
}

impl Clock for OfRow<'_> {
    fn now_micros(&self) -> i64 {
        self.clock.now_micros()
    }

    fn new_id(&self) -> Uuid {
        self.event_id
    }

    fn new_salt(&self) -> Salt {
        self.clock.new_salt()
    }
}

/// Takes one row through parse, secret policy, catalog and seal.
fn judge(
    audit: &Audit,
    log: &LogName,
    row: &QuarantinedRow,
    suggestions: &mut Suggestions,
) -> Result<(Checked, Option<Entry>), Status> {
    let QuarantineKey { key, content_hash } = &row.cursor.row;
    let clock = OfRow { clock: audit.clock.as_ref(), event_id: key.event_id };
    let event_id = key.event_id.to_string();
    let parsed = match ParsedEvent::parse(quarantine::submitted(row)?, &clock) {
        Ok(parsed) => parsed,
        Err(rejection) => return Ok((Checked { event_id, fate: Fate::Rejected(rejection) }, None)),
    };
    let receipt = Receipt { log, producer: &key.producer, received_at: clock.now_micros(), clock: &clock };
    let (judged, fate) = match admit(&audit.catalog, parsed, suggestions) {
        Ok(valid) => {
            let mut sealed = seal(valid, &receipt);
            let fate = Fate::accepted(&mut sealed);
            (Ok(sealed), fate)
        }
        Err(refused) if !refused.rejection.reason.is_quarantined() => {
            return Ok((Checked { event_id, fate: Fate::Rejected(refused.rejection) }, None));
        }
        Err(refused) => (Err(refused.content_hash), Fate::quarantined(refused.rejection)),
    };
    let entry = Entry::Replayed(Box::new(Replayed {
        event_id: key.event_id,
        row: *content_hash,
        judged: judged.map(Arc::new),
    }));
    Ok((Checked { event_id, fate }, Some(entry)))
}

/// The result of a judged row.
fn judgement(
    index: usize,
    checked: Checked,
    verdict: Option<Result<Verdict, SubmitError>>,
) -> v1::EventResult {
    match verdict {
        None => append::result(index, checked, None, false),
        Some(Ok(Verdict::NotAttempted)) => gone(index, checked.event_id),
        Some(Ok(verdict)) => append::result(index, checked, Some(verdict), false),
        Some(Err(error)) => not_committed(index, checked.event_id, error),
    }
}

/// Why a row was not attempted, if it was not.
fn otherwise(verdict: Option<&Result<Verdict, SubmitError>>) -> NotAttempted {
    match verdict {
        Some(Err(error)) => not_attempted_for(*error),
        Some(Ok(_)) | None => NotAttempted::not_quarantined,
    }
}

/// The result of a row that was discarded while the call ran.
fn gone(index: usize, event_id: String) -> v1::EventResult {
    let why = status::as_message(&status::not_quarantined(&format!("events[{index}]")));
    append::not_attempted(index, event_id, &why, false)
}

fn not_committed(index: usize, event_id: String, error: SubmitError) -> v1::EventResult {
    let why = status::as_message(&status::not_committed(error));
    append::not_attempted(index, event_id, &why, error != SubmitError::StoreBroken)
}
