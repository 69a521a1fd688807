//! `Append`: events through catalog and seal, the good ones to the sequencer, one result per event.
use std::sync::Arc;

use prost::Message as _;
use tonic::Status;
use uuid::Uuid;

use super::{
    audit::{Audit, log_name},
    status,
};
use crate::{
    catalog::{Suggestions, rejection::Rejection},
    event::{LogName, ParsedEvent, Producer, Receipt, admit, limits::MAX_BATCH_EVENTS, seal},
    ingest::{
        SubmitError,
        sequencer::{self, Entry, Head, Mode, Submission, Verdict},
    },
    proto::v1::{self, AppendResult},
    store::Quarantined,
    telemetry::Outcome,
};

/// An event after the catalog: its id, and what is to be done with it.
pub(super) struct Checked {
    event_id: String,
    fate: Fate,
}

enum Fate {
    /// Goes to the sequencer. The rejection is that of a quarantined event.
    Submitted { warnings: Vec<v1::Warning>, leaf_hash: Vec<u8>, rejection: Option<Rejection> },
    /// Stored nowhere.
    Rejected(Rejection),
}

/// Answers one call.
pub async fn append(
    audit: &Audit,
    producer: Producer,
    request: v1::AppendRequest,
) -> Result<v1::AppendResponse, Status> {
    let bytes = request.encoded_len();
    let count = request.events.len();
    let log = log_name(&request.log)?;
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
    audit.metrics.received(count);
    let (checked, entries) = check(audit, &log, &producer, request.events);
    if mode == Mode::Atomic {
        let refused: Vec<_> =
            checked.iter().enumerate().filter_map(|(at, each)| Some((at, each.rejection()?))).collect();
        if !refused.is_empty() {
            audit.metrics.result(Outcome::rejected, refused.len());
            audit.metrics.result(Outcome::not_attempted, count - refused.len());
            return Err(status::rejected_batch(&refused));
        }
    }
    let submission = Arc::new(Submission { producer, mode, entries });
    let (verdicts, tree_size) = if request.validate_only {
        (dry_run(audit, &log, &submission).await?, None)
    } else if submission.entries.is_empty() {
        (Vec::new(), None)
    } else {
        match audit.ingest.submit(&log, submission, bytes).await {
            Ok(committed) => (committed.verdicts, Some(committed.tree_size)),
            Err(error) if mode == Mode::Atomic => {
                audit.metrics.result(Outcome::not_attempted, count);
                return Err(status::not_committed(error));
            }
            Err(error) => return Ok(not_committed(audit, checked, error)),
        }
    };
    let tree_size = match tree_size {
        None if !request.validate_only => {
            audit.store.head(&log).await.map_err(|error| status::store(&error))?
        }
        other => other.unwrap_or_default(),
    };
    if mode == Mode::Atomic {
        atomic_conflict(audit, &verdicts)?;
    }
    let results = results(audit, checked, verdicts, request.validate_only);
    Ok(v1::AppendResponse { results, tree_size })
}

/// One result per checked event, counted. `verdicts` are those of the submitted ones, in order.
pub(super) fn results(
    audit: &Audit,
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
        results.push(result(index, each, verdict, validate_only));
    }
    for each in &results {
        audit.metrics.result(outcome(each.result()), 1);
    }
    results
}

impl Checked {
    fn rejection(&self) -> Option<&Rejection> {
        match &self.fate {
            Fate::Rejected(rejection) => Some(rejection),
            Fate::Submitted { rejection, .. } => rejection.as_ref(),
        }
    }
}

/// Takes every event through parse, secret policy, catalog and seal.
pub(super) fn check(
    audit: &Audit,
    log: &LogName,
    producer: &Producer,
    events: Vec<v1::NewEvent>,
) -> (Vec<Checked>, Vec<Entry>) {
    let mut suggestions = Suggestions::default();
    let receipt = Receipt { log, producer, received_at: audit.clock.now_micros() };
    let mut checked = Vec::with_capacity(events.len());
    let mut entries = Vec::with_capacity(events.len());
    for event in events {
        let submitted_id = event.event_id.clone();
        let parsed = match ParsedEvent::parse(event, audit.clock.as_ref()) {
            Ok(parsed) => parsed,
            Err(rejection) => {
                // Echoed only when it is an id: anything else could be anything.
                let event_id =
                    Uuid::try_parse(&submitted_id).map_or_else(|_| String::new(), |id| id.to_string());
                checked.push(Checked { event_id, fate: Fate::Rejected(rejection) });
                continue;
            }
        };
        match admit(&audit.catalog, parsed, &mut suggestions) {
            Ok(valid) => {
                let mut sealed = seal(valid, &receipt);
                checked.push(Checked {
                    event_id: sealed.event_id().to_string(),
                    fate: Fate::Submitted {
                        warnings: sealed.take_warnings(),
                        leaf_hash: sealed.leaf_hash().to_vec(),
                        rejection: None,
                    },
                });
                entries.push(Entry::Event(Box::new(sealed)));
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
                    reason: refused.rejection.reason.as_str(),
                    description: refused.rejection.message(),
                    submitted: refused.submitted,
                })));
                checked.push(Checked {
                    event_id,
                    fate: Fate::Submitted {
                        warnings: Vec::new(),
                        leaf_hash: Vec::new(),
                        rejection: Some(refused.rejection),
                    },
                });
            }
        }
    }
    (checked, entries)
}

/// What the sequencer would say now.
async fn dry_run(audit: &Audit, log: &LogName, submission: &Arc<Submission>) -> Result<Vec<Verdict>, Status> {
    let group = std::slice::from_ref(submission);
    let known =
        audit.store.known(log, &sequencer::keys(group)).await.map_err(|error| status::store(&error))?;
    let mut plan = sequencer::plan(Head { size: 0 }, &known, group);
    Ok(plan.verdicts.swap_remove(0))
}

fn atomic_conflict(audit: &Audit, verdicts: &[Verdict]) -> Result<(), Status> {
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
    audit.metrics.result(Outcome::conflict, conflicts.len());
    audit.metrics.result(Outcome::not_attempted, verdicts.len() - conflicts.len());
    Err(status::event_id_reused(&conflicts))
}

fn result(index: usize, checked: Checked, verdict: Option<Verdict>, validate_only: bool) -> v1::EventResult {
    let mut result = v1::EventResult {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        event_id: checked.event_id,
        ..v1::EventResult::default()
    };
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
/// refused, the rest is to be sent again.
fn not_committed(audit: &Audit, checked: Vec<Checked>, error: SubmitError) -> v1::AppendResponse {
    let why = status::as_message(&status::not_committed(error));
    let mut results = Vec::with_capacity(checked.len());
    for (index, each) in checked.into_iter().enumerate() {
        results.push(match each.fate {
            Fate::Rejected(_) => result(index, each, None, false),
            Fate::Submitted { .. } => v1::EventResult {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                event_id: each.event_id,
                result: AppendResult::NotAttempted as i32,
                error: Some(why.clone()),
                retryable: true,
                ..v1::EventResult::default()
            },
        });
    }
    for each in &results {
        audit.metrics.result(outcome(each.result()), 1);
    }
    v1::AppendResponse { results, tree_size: 0 }
}

/// Results that refuse every event of a batch for the same reason.
pub(super) fn refuse_all(audit: &Audit, count: usize, why: &Status) -> Vec<v1::EventResult> {
    audit.metrics.result(Outcome::rejected, count);
    let error = status::as_message(why);
    let refused = (0..count).map(|index| v1::EventResult {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        result: AppendResult::Rejected as i32,
        error: Some(error.clone()),
        ..v1::EventResult::default()
    });
    refused.collect()
}

const fn outcome(result: AppendResult) -> Outcome {
    match result {
        AppendResult::Accepted => Outcome::accepted,
        AppendResult::Duplicate => Outcome::duplicate,
        AppendResult::Quarantined => Outcome::quarantined,
        AppendResult::Rejected => Outcome::rejected,
        AppendResult::Conflict => Outcome::conflict,
        AppendResult::Unspecified | AppendResult::NotAttempted => Outcome::not_attempted,
    }
}
