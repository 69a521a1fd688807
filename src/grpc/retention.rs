//! `RetentionService`: what is removed of a log, and what keeps that from happening. What is decided is decided in
//! `retention`.
use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{audit::Audit, may, status, told};
use crate::{
    event::{LogName, timestamp},
    journal::Entry,
    proto::{
        servers::retention_service_server::RetentionService,
        v1::{self, RetentionState},
    },
    retention::{Applied, Asked, Keeper, Report, RetentionError, Standing},
    store::{Hold, StoreError},
};

/// Bytes of a reason.
const MOST_REASON: usize = 1000;

/// The service.
pub struct RetentionRpc {
    pub audit: Arc<Audit>,
    pub keeper: Arc<Keeper>,
}

#[tonic::async_trait]
impl RetentionService for RetentionRpc {
    async fn get_retention(
        &self,
        request: Request<v1::GetRetentionRequest>,
    ) -> Result<Response<v1::GetRetentionResponse>, Status> {
        let _running = self.audit.calls.token();
        let log = may::know(&*may::caller(&request)?, &request.get_ref().log)?;
        let report = self.keeper.report(&log).await.map_err(failed)?;
        Ok(Response::new(v1::GetRetentionResponse { retention: Some(message(&log, report)) }))
    }

    async fn apply_retention(
        &self,
        request: Request<v1::ApplyRetentionRequest>,
    ) -> Result<Response<v1::ApplyRetentionResponse>, Status> {
        let _running = self.audit.calls.token();
        let by = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::administer(&by, &request.log)?;
        reason(&request.reason, 0)?;
        let entry = Entry::retention_requested(&told::who(&by), by.method, &log, &request.reason);
        self.audit.journal.record(entry);
        let asked = Asked { by: by.name().as_str(), reason: &request.reason };
        let applied = self.keeper.apply(&log, &asked).await.map_err(|error| match error {
            RetentionError::Store(error) => failed(error),
            RetentionError::Event(error) => status::own_event(&error),
        })?;
        let Applied { report, position } = applied;
        let retention = Some(message(&log, report));
        Ok(Response::new(v1::ApplyRetentionResponse { retention, event_position: position }))
    }

    async fn place_legal_hold(
        &self,
        request: Request<v1::PlaceLegalHoldRequest>,
    ) -> Result<Response<v1::PlaceLegalHoldResponse>, Status> {
        let _running = self.audit.calls.token();
        let by = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::administer(&by, &request.log)?;
        let id = hold_id(&request.hold_id)?;
        reason(&request.reason, 1)?;
        let store = &self.audit.store;
        if store.extent(&log).await.map_err(failed)?.size == 0 {
            return Err(status::not_found("LOG_NOT_FOUND", format!("log {log} has no events"), &[]));
        }
        let hold = Hold {
            id,
            reason: request.reason,
            placed_at: self.audit.clock.now_micros(),
            placed_by: by.name().as_str().to_owned(),
            released: None,
        };
        let (audit, log_held, placing) = (Arc::clone(&self.audit), log.clone(), Arc::clone(&by));
        may::to_the_end(async move {
            audit.store.place_hold(&log_held, &hold).await.map_err(failed)?;
            let who = told::who(&placing);
            audit.journal.record(Entry::hold_placed(&who, placing.method, &log_held, id, &hold.reason));
            Ok(())
        })
        .await?;
        let hold = Some(self.hold(&log, id).await?);
        Ok(Response::new(v1::PlaceLegalHoldResponse { hold }))
    }

    async fn release_legal_hold(
        &self,
        request: Request<v1::ReleaseLegalHoldRequest>,
    ) -> Result<Response<v1::ReleaseLegalHoldResponse>, Status> {
        let _running = self.audit.calls.token();
        let by = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::administer(&by, &request.log)?;
        let id = hold_id(&request.hold_id)?;
        let (audit, log_held) = (Arc::clone(&self.audit), log.clone());
        may::to_the_end(async move {
            let released = (audit.clock.now_micros(), by.name().as_str());
            audit.store.release_hold(&log_held, id, released).await.map_err(failed)?;
            audit.journal.record(Entry::hold_released(&told::who(&by), by.method, &log_held, id));
            Ok(())
        })
        .await?;
        let hold = Some(self.hold(&log, id).await?);
        Ok(Response::new(v1::ReleaseLegalHoldResponse { hold }))
    }
}

impl RetentionRpc {
    async fn hold(&self, log: &LogName, id: Uuid) -> Result<v1::LegalHold, Status> {
        let holds = self.audit.store.holds(log).await.map_err(failed)?;
        let found = holds.into_iter().find(|hold| hold.id == id);
        let message = || format!("log {log} has no legal hold {id}");
        found.map(hold_message).ok_or_else(|| status::not_found("HOLD_NOT_FOUND", message(), &[]))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: StoreError) -> Status {
    status::store(&error)
}

fn hold_id(text: &str) -> Result<Uuid, Status> {
    Uuid::try_parse(text)
        .map_err(|_| status::invalid("INVALID_HOLD_ID", "hold_id", "is not a UUID in its text form"))
}

fn reason(text: &str, least: usize) -> Result<(), Status> {
    if (least..=MOST_REASON).contains(&text.len()) && !text.contains('\0') {
        return Ok(());
    }
    let description = format!("is not a text of {least} to {MOST_REASON} bytes without NUL");
    Err(status::invalid("INVALID_REASON", "reason", description))
}

fn hold_message(hold: Hold) -> v1::LegalHold {
    let (released_at, released_by) = hold.released.unzip();
    v1::LegalHold {
        hold_id: hold.id.to_string(),
        reason: hold.reason,
        placed_at: Some(timestamp(hold.placed_at)),
        placed_by: hold.placed_by,
        released_at: released_at.map(timestamp),
        released_by: released_by.unwrap_or_default(),
    }
}

fn message(log: &LogName, report: Report) -> v1::Retention {
    let (state, due_at) = match report.standing {
        Standing::NoPolicy => (RetentionState::NoPolicy, None),
        Standing::Incomplete | Standing::Due => (RetentionState::Incomplete, None),
        Standing::NotBefore(at) => (RetentionState::Kept, Some(timestamp(at))),
        Standing::ForEver => (RetentionState::KeptForEver, None),
        Standing::Held => (RetentionState::Held, None),
        Standing::NotSigned => (RetentionState::NotSigned, None),
        Standing::Behind => (RetentionState::Behind, None),
    };
    v1::Retention {
        log: log.as_str().to_owned(),
        policy: report.policy.map(|policy| policy.to_string()).unwrap_or_default(),
        oldest_position: report.extent.oldest,
        tree_size: report.extent.size,
        removable_below: report.boundary,
        state: state as i32,
        due_at,
        holds: report.holds.into_iter().map(hold_message).collect(),
    }
}
