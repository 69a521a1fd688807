//! `AdminService`: what an operator asks for, checked. What it does is in `ingest::erasure`.
use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{audit::Audit, may, status, told};
use crate::{
    event::{LogName, Producer, limits::MAX_TEXT_BYTES},
    ingest::erasure::{self, EraseError, Erasing},
    journal::Entry,
    proto::{servers::admin_service_server::AdminService, v1},
};

/// Bytes of a reason, as of the quarantine's.
const MAX_REASON_BYTES: usize = 1000;

/// The service.
pub struct AdminRpc(pub Arc<Audit>);

#[tonic::async_trait]
impl AdminService for AdminRpc {
    async fn erase_subject(
        &self,
        request: Request<v1::EraseSubjectRequest>,
    ) -> Result<Response<v1::EraseSubjectResponse>, Status> {
        let running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::administer(&caller, &request.log)?;
        text("INVALID_SUBJECT", "subject", &request.subject, MAX_TEXT_BYTES)?;
        let audit = Arc::clone(&self.0);
        let who = told::who(&caller);
        let asked = match request.dry_run {
            true => None,
            false => Some(asked(&log, &request, caller.name().clone())?),
        };
        audit.journal.record(match &asked {
            Some(erasure::Request { request_id, reason, .. }) => {
                Entry::erasure_requested(&who, caller.method, &log, *request_id, reason)
            }
            // It tells whether there is anything of the person.
            None => Entry::erasure_rehearsed(&who, caller.method, &log),
        });
        // Not tied to the call: a caller that goes away leaves no transaction half done.
        let erased = may::to_the_end(async move {
            let _running = running;
            erase(&audit, &log, request.subject, asked).await
        });
        erased.await.map(Response::new)
    }
}

fn text(reason: &str, field: &str, text: &str, most: usize) -> Result<(), Status> {
    if text.trim().is_empty() || text.len() > most || text.contains('\0') {
        let description = format!("is not 1 to {most} bytes of text without NUL");
        return Err(status::invalid(reason, field, description));
    }
    Ok(())
}

fn asked(
    log: &LogName,
    request: &v1::EraseSubjectRequest,
    requested_by: Producer,
) -> Result<erasure::Request, Status> {
    text("INVALID_REASON", "reason", &request.reason, MAX_REASON_BYTES)?;
    if requested_by.as_str().to_lowercase() == request.subject.to_lowercase() {
        let description = "is the caller's own name, which would stay in the log as that of who asked; \
            another name must ask";
        return Err(status::invalid("INVALID_SUBJECT", "subject", description));
    }
    if request.reason.to_lowercase().contains(&request.subject.to_lowercase()) {
        let description = "names the person; it stays in the log for ever";
        return Err(status::invalid("INVALID_REASON", "reason", description));
    }
    let request_id = Uuid::try_parse(&request.request_id)
        .map_err(|_| status::invalid("INVALID_REQUEST_ID", "request_id", "is not a UUID in its text form"))?;
    Ok(erasure::Request {
        log: log.clone(),
        subject: request.subject.clone(),
        reason: request.reason.clone(),
        request_id,
        requested_by,
    })
}

async fn erase(
    audit: &Audit,
    log: &LogName,
    subject: String,
    asked: Option<erasure::Request>,
) -> Result<v1::EraseSubjectResponse, Status> {
    let erasing = Erasing {
        store: Arc::clone(&audit.store),
        ingest: Arc::clone(&audit.ingest),
        catalog: Arc::clone(&audit.catalog),
        clock: Arc::clone(&audit.clock),
    };
    let done = match asked {
        None => erasing.dry_run(log, &subject).await,
        Some(asked) => erasing.erase(asked).await,
    };
    let done = done.map_err(failed)?;
    let quarantined_mentions = match done.complete {
        true => mentions(audit, log, &subject).await,
        false => None,
    };
    Ok(v1::EraseSubjectResponse {
        events_erased: done.counts.events,
        values_erased: done.counts.values,
        not_erasable: done.counts.not_erasable,
        erasure_position: done.position,
        quarantined_mentions,
        complete: done.complete,
        next_position: done.next,
    })
}

/// What the quarantine holds of the person, if that can be told in time. What was erased is erased either way.
async fn mentions(audit: &Audit, log: &LogName, subject: &str) -> Option<u64> {
    match erasure::quarantine::mentions(audit.store.as_ref(), log, subject).await {
        Ok(count) => count,
        Err(error) => {
            tracing::warn!(%log, %error, "the quarantine was not searched after an erasure");
            None
        }
    }
}

fn failed(error: EraseError) -> Status {
    match error {
        EraseError::Store(error) => status::erasure(&error),
        EraseError::NotTold(error) => status::own_event(&error),
        EraseError::Held(holds) => status::legal_hold(&holds),
        EraseError::RequestIdReused => status::request_id_reused(),
    }
}
