//! `Append`: events through catalog and seal, the good ones to the sequencer, one result per event.
use std::{collections::HashSet, sync::Arc};

use prost::Message as _;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    audit::Audit,
    limits, may, status,
    tally::{Tally, not_attempted_for, refused_for},
    told,
};
use crate::{
    auth::Caller,
    catalog::{
        Suggestions,
        model::Family,
        rejection::{Reason, Rejection},
    },
    event::{LogName, ParsedEvent, Producer, Receipt, SealedEvent, admit, limits::MAX_BATCH_EVENTS, seal},
    ingest::{
        SubmitError,
        admission::Received,
        sequencer::{self, Entry, Mode, Submission, Verdict},
    },
    journal,
    proto::{
        google::rpc,
        v1::{self, AppendResult},
    },
    store::{Key, Quarantined},
    telemetry::{NotAttempted, Outcome, RefusedFor},
    tree::TreeHead,
};

/// An event after the catalog: its id, and what is to be done with it.
pub(super) struct Checked {
    pub(super) event_id: String,
    pub(super) fate: Fate,
}

impl Checked {
    /// Whether it is refused because of who sent it.
    fn is_denied(&self) -> bool {
        matches!(&self.fate, Fate::Rejected(rejection) if rejection.reason == Reason::FamilyNotAllowed)
    }
}

pub(super) enum Fate {
    /// Goes to the sequencer. The rejection is that of a quarantined event.
    Submitted { warnings: Vec<v1::Warning>, leaf_hash: Vec<u8>, rejection: Option<Rejection> },
    /// Stored nowhere.
    Rejected(Rejection),
}

impl Fate {
    /// Of an event that the catalog accepts.
    pub(super) fn accepted(sealed: &mut SealedEvent) -> Self {
        let (warnings, leaf_hash) = (sealed.take_warnings(), sealed.leaf_hash().to_vec());
        Self::Submitted { warnings, leaf_hash, rejection: None }
    }

    /// Of an event that the catalog refuses, and that is in quarantine or goes there.
    pub(super) const fn quarantined(rejection: Rejection) -> Self {
        Self::Submitted { warnings: Vec::new(), leaf_hash: Vec::new(), rejection: Some(rejection) }
    }

    /// Why it is refused, if it is.
    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Rejected(rejection) => Some(rejection.reason),
            Self::Submitted { rejection, .. } => rejection.as_ref().map(|rejection| rejection.reason),
        }
    }
}

/// A tree as the contract has it: size and root.
pub(super) fn tree_fields(tree: Option<TreeHead>) -> (u64, bytes::Bytes) {
    tree.map_or_else(Default::default, |tree| (tree.size, bytes::Bytes::copy_from_slice(&tree.root)))
}

/// Answers one call.
pub async fn append(
    audit: &Audit,
    caller: &Caller,
    received: &Received,
    request: v1::AppendRequest,
) -> Result<v1::AppendResponse, Status> {
    let producer = caller.name();
    limits::pay(audit, producer, &request)?;
    let bytes = request.encoded_len();
    let count = request.events.len();
    let log = may::append(caller, &request.log)?;
    let mode = match v1::AppendMode::try_from(request.mode) {
        Ok(v1::AppendMode::Unspecified | v1::AppendMode::Atomic) => Mode::Atomic,
        Ok(v1::AppendMode::PerEvent) => Mode::PerEvent,
        Err(_) => return Err(status::invalid("INVALID_MODE", "mode", "is not a known mode")),
    };
    if count == 0 {
        return Err(status::empty_batch(MAX_BATCH_EVENTS));
    }
    if count > MAX_BATCH_EVENTS {
        return Err(status::batch_too_large(count, MAX_BATCH_EVENTS));
    }
    let tally = Tally::received(&audit.metrics, count, bytes, request.validate_only);
    let admission = match audit.ingest.flight.admit(Some(producer), bytes, count).await {
        Ok(admission) => {
            drop(received.take());
            admission
        }
        Err(error) if mode == Mode::Atomic => {
            limits::count(&audit.metrics, error);
            tally.not_attempted(not_attempted_for(error), count);
            return Err(status::not_committed(error));
        }
        Err(error) => {
            limits::count(&audit.metrics, error);
            let why = status::as_message(&status::not_committed(error));
            let ids = request.events.iter().map(|event| shown_id(&event.event_id));
            let results = ids.enumerate().map(|(index, id)| not_attempted(index, id, &why, true)).collect();
            tally.not_attempted(not_attempted_for(error), count);
            return Ok(v1::AppendResponse { results, ..Default::default() });
        }
    };
    let (checked, entries) = check(audit, &log, caller, request.events);
    tally.ages(&entries);
    if mode == Mode::Atomic {
        let stored = stored_before(audit, &log, producer, &entries).await;
        let refused: Vec<_> = refused(&checked, &entries, &stored).collect();
        if !refused.is_empty() {
            for (_, rejection) in &refused {
                tally.refused(Outcome::rejected, refused_for(rejection.reason), 1);
            }
            tally.not_attempted(NotAttempted::batch_refused, count - refused.len());
            let refusal = status::rejected_batch(&refused);
            // One that is about the caller is told where every refusal is.
            if refusal.code() != Code::PermissionDenied {
                tell_denied(audit, caller, &checked);
            }
            return Err(refusal);
        }
    }
    tell_denied(audit, caller, &checked);
    let submission = Arc::new(Submission { producer: producer.clone(), mode, entries });
    let (verdicts, tree) = if request.validate_only {
        (dry_run(audit, &log, &submission).await?, None)
    } else if submission.entries.is_empty() {
        // Everything was rejected; the tree of the log is a courtesy.
        (Vec::new(), audit.store.tree(&log).await.ok().map(|tree| tree.head()))
    } else {
        match audit.ingest.submit(&log, submission, &admission).await {
            Ok(committed) => {
                tally.acked();
                (committed.verdicts, Some(committed.tree))
            }
            Err(error) if mode == Mode::Atomic => {
                tally.not_attempted(not_attempted_for(error), count);
                return Err(status::not_committed(error));
            }
            Err(error) => return Ok(not_committed(&tally, checked, error)),
        }
    };
    if mode == Mode::Atomic {
        atomic_conflict(&tally, &verdicts)?;
    }
    let results = results(&tally, checked, verdicts, request.validate_only);
    let (tree_size, root_hash) = tree_fields(tree);
    Ok(v1::AppendResponse { results, tree_size, root_hash })
}

/// Ids of the refused events that are stored already with the same content: retries of events that were
/// accepted before the catalog changed.
async fn stored_before(
    audit: &Audit,
    log: &LogName,
    producer: &Producer,
    entries: &[Entry],
) -> HashSet<Uuid> {
    let refused: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Quarantined(event) => {
                Some((Key { producer: producer.clone(), event_id: event.event_id }, &event.content_hash))
            }
            Entry::Event(_) | Entry::Replayed(_) => None,
        })
        .collect();
    if refused.is_empty() {
        return HashSet::new();
    }
    let keys: Vec<_> = refused.iter().map(|(key, _)| key.clone()).collect();
    // Without an answer they are refused, which loses nothing: what was stored stays stored.
    let known = audit.store.known(log, &keys).await.unwrap_or_default();
    let stored = refused
        .into_iter()
        .filter(|(key, content_hash)| known.get(key).is_some_and(|known| known.is(content_hash.as_slice())));
    stored.map(|(key, _)| key.event_id).collect()
}

/// Index and reason of the events that refuse an atomic batch.
fn refused<'a>(
    checked: &'a [Checked],
    entries: &'a [Entry],
    stored: &'a HashSet<Uuid>,
) -> impl Iterator<Item = (usize, &'a Rejection)> {
    let mut entries = entries.iter();
    checked.iter().enumerate().filter_map(move |(index, each)| match &each.fate {
        Fate::Rejected(rejection) => Some((index, rejection)),
        Fate::Submitted { rejection, .. } => {
            let entry = entries.next();
            let rejection = rejection.as_ref()?;
            let known = match entry {
                Some(Entry::Quarantined(event)) => stored.contains(&event.event_id),
                _ => false,
            };
            (!known).then_some((index, rejection))
        }
    })
}

/// One result per checked event, counted. `verdicts` are those of the submitted ones, in order.
pub(super) fn results(
    tally: &Tally,
    checked: Vec<Checked>,
    verdicts: Vec<Verdict>,
    validate_only: bool,
) -> Vec<v1::EventResult> {
    let mut verdicts = verdicts.into_iter();
    let mut results = Vec::with_capacity(checked.len());
    for (index, each) in checked.into_iter().enumerate() {
        let verdict = match each.fate {
            Fate::Submitted { .. } => verdicts.next(),
            Fate::Rejected(_) => None,
        };
        let reason = each.fate.reason();
        let result = result(index, each, verdict, validate_only);
        tally.count(result.result(), reason, NotAttempted::batch_refused);
        results.push(result);
    }
    results
}

/// Takes every event through parse, secret policy, catalog and seal.
pub(super) fn check(
    audit: &Audit,
    log: &LogName,
    caller: &Caller,
    events: Vec<v1::NewEvent>,
) -> (Vec<Checked>, Vec<Entry>) {
    let mut suggestions = Suggestions::default();
    let receipt = Receipt {
        log,
        producer: caller.name(),
        received_at: audit.clock.now_micros(),
        clock: audit.clock.as_ref(),
    };
    let mut checked = Vec::with_capacity(events.len());
    let mut entries = Vec::with_capacity(events.len());
    for event in events {
        let submitted_id = event.event_id.clone();
        let parsed = allowed(caller, &event).and_then(|()| ParsedEvent::parse(event, audit.clock.as_ref()));
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(rejection) => {
                let event_id = shown_id(&submitted_id);
                checked.push(Checked { event_id, fate: Fate::Rejected(rejection) });
                continue;
            }
        };
        match admit(&audit.catalog, parsed, &mut suggestions) {
            Ok(valid) => {
                let mut sealed = seal(valid, &receipt);
                checked.push(Checked {
                    event_id: sealed.event_id().to_string(),
                    fate: Fate::accepted(&mut sealed),
                });
                entries.push(Entry::Event(Arc::new(sealed)));
            }
            Err(refused) => {
                let refused = *refused;
                let event_id = refused.event_id.to_string();
                if !refused.rejection.reason.is_quarantined() {
                    checked.push(Checked { event_id, fate: Fate::Rejected(refused.rejection) });
                    continue;
                }
                entries.push(Entry::Quarantined(Box::new(Quarantined {
                    event_id: refused.event_id,
                    content_hash: refused.content_hash,
                    received_at: receipt.received_at,
                    sequence: refused.sequence,
                    reason: refused.rejection.reason.as_str(),
                    description: refused.rejection.message(),
                    submitted: refused.submitted,
                })));
                checked.push(Checked { event_id, fate: Fate::quarantined(refused.rejection) });
            }
        }
    }
    (checked, entries)
}

/// Tells the self-audit of events that are refused because of who sent them, in a call that is answered for another
/// reason or not refused.
pub(super) fn tell_denied(audit: &Audit, caller: &Caller, checked: &[Checked]) {
    if checked.iter().any(Checked::is_denied) {
        let denied = (journal::code_name(Code::PermissionDenied as i32), status::FAMILY_NOT_ALLOWED);
        audit.journal.record(journal::Entry::denied(&told::who(caller), caller.method, denied));
    }
}

/// Whether the caller may append events of this family. An event of none is malformed, which is found later.
fn allowed(caller: &Caller, event: &v1::NewEvent) -> Result<(), Rejection> {
    match event.family.as_ref().map(Family::of) {
        Some(family) if !caller.grants.may_append(family) => {
            let description = "this caller may not append events of this family";
            Err(Rejection::at(Reason::FamilyNotAllowed, family.name(), description))
        }
        Some(_) | None => Ok(()),
    }
}

/// An event id as it may be echoed: only when it is one, because anything else could be anything.
fn shown_id(text: &str) -> String {
    Uuid::try_parse(text).map_or_else(|_| String::new(), |id| id.to_string())
}

/// What the sequencer would say now.
async fn dry_run(audit: &Audit, log: &LogName, submission: &Arc<Submission>) -> Result<Vec<Verdict>, Status> {
    let group = std::slice::from_ref(submission);
    let size = audit.store.extent(log).await.map_err(|error| status::store(&error))?.size;
    let known =
        audit.store.known(log, &sequencer::keys(group)).await.map_err(|error| status::store(&error))?;
    let mut plan = sequencer::plan(size, &known, &HashSet::new(), group);
    let mut verdicts = plan.verdicts.swap_remove(0);
    for verdict in &mut verdicts {
        // Positions that nothing has taken are not to be spoken of.
        if let Verdict::Conflict { position } = verdict {
            *position = position.filter(|position| *position < size);
        }
    }
    Ok(verdicts)
}

fn atomic_conflict(tally: &Tally, verdicts: &[Verdict]) -> Result<(), Status> {
    let conflicts: Vec<_> = verdicts
        .iter()
        .enumerate()
        .filter_map(|(at, verdict)| match verdict {
            Verdict::Conflict { position } => Some((at, *position)),
            _ => None,
        })
        .collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    tally.refused(Outcome::conflict, RefusedFor::event_id_reused, conflicts.len());
    tally.not_attempted(NotAttempted::batch_refused, verdicts.len() - conflicts.len());
    Err(status::event_id_reused(&conflicts))
}

/// The result of one checked event.
pub(super) fn result(
    index: usize,
    checked: Checked,
    verdict: Option<Verdict>,
    validate_only: bool,
) -> v1::EventResult {
    let mut result =
        v1::EventResult { index: index_of(index), event_id: checked.event_id, ..v1::EventResult::default() };
    let (warnings, own_hash, rejection) = match checked.fate {
        Fate::Rejected(rejection) => (Vec::new(), Vec::new(), Some(rejection)),
        Fate::Submitted { warnings, leaf_hash, rejection } => (warnings, leaf_hash, rejection),
    };
    result.error =
        rejection.as_ref().map(|rejection| status::as_message(&status::rejected(index, rejection)));
    let stored = match verdict {
        None => {
            result.set_result(AppendResult::Rejected);
            None
        }
        Some(Verdict::Accepted { position }) => {
            result.set_result(AppendResult::Accepted);
            result.warnings = warnings;
            Some((position, own_hash))
        }
        Some(Verdict::Duplicate { position, leaf_hash }) => {
            result.set_result(AppendResult::Duplicate);
            result.error = None;
            Some((position, leaf_hash))
        }
        Some(Verdict::Conflict { position }) => {
            result.set_result(AppendResult::Conflict);
            result.error = Some(status::as_message(&status::event_id_reused(&[(index, position)])));
            None
        }
        Some(Verdict::Quarantined) => {
            result.set_result(AppendResult::Quarantined);
            None
        }
        Some(Verdict::NotAttempted) => {
            result.set_result(AppendResult::NotAttempted);
            result.retryable = true;
            None
        }
    };
    if let Some((position, leaf_hash)) = stored.filter(|_| !validate_only) {
        result.position = Some(position);
        result.leaf_hash = leaf_hash.into();
    }
    result
}

/// The results of a per-event call whose good events could not be committed: what was refused stays
/// refused, the rest is to be sent again, unless the store refuses it.
fn not_committed(tally: &Tally, checked: Vec<Checked>, error: SubmitError) -> v1::AppendResponse {
    let why = status::as_message(&status::not_committed(error));
    let retryable = error != SubmitError::StoreBroken;
    let mut results = Vec::with_capacity(checked.len());
    for (index, each) in checked.into_iter().enumerate() {
        let reason = each.fate.reason();
        let result = match each.fate {
            Fate::Rejected(_) => result(index, each, None, false),
            Fate::Submitted { .. } => not_attempted(index, each.event_id, &why, retryable),
        };
        tally.count(result.result(), reason, not_attempted_for(error));
        results.push(result);
    }
    v1::AppendResponse { results, ..Default::default() }
}

/// An index as it is sent: of at most 1000 or so.
pub(super) fn index_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The result of an event that is to be sent again, unless `retryable` is false.
pub(super) fn not_attempted(
    index: usize,
    event_id: String,
    why: &rpc::Status,
    retryable: bool,
) -> v1::EventResult {
    v1::EventResult {
        index: index_of(index),
        event_id,
        result: AppendResult::NotAttempted as i32,
        error: Some(why.clone()),
        retryable,
        ..v1::EventResult::default()
    }
}

/// Results that refuse every event of a batch for the same reason.
pub(super) fn refuse_all(tally: &Tally, count: usize, why: &Status) -> Vec<v1::EventResult> {
    tally.refused(Outcome::rejected, RefusedFor::batch_too_large, count);
    let error = status::as_message(why);
    let refused = (0..count).map(|index| v1::EventResult {
        index: index_of(index),
        result: AppendResult::Rejected as i32,
        error: Some(error.clone()),
        ..v1::EventResult::default()
    });
    refused.collect()
}
