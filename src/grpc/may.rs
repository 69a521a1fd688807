//! What the caller of a handler may do. `server::gate` has found out who it is and that it has one of the method's
//! roles; here it is asked for the log. No handler gets the name of a log in any other way.
use std::sync::Arc;

use tonic::{Request, Status};

use super::status;
use crate::{
    auth::{Caller, Role, Scope, rules},
    catalog::Catalog,
    event::LogName,
    proto::v1::EventFilter,
    query::{
        predicate::{FilterFault, Predicate},
        scoped::Scoped,
    },
    telemetry,
};

/// Who makes a call.
///
/// # Errors
/// The gate did not say, which is a fault of the server.
pub fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
    request.extensions().get::<Arc<Caller>>().cloned().ok_or_else(|| {
        tracing::error!("a call has no caller");
        status::internal()
    })
}

/// Work that goes on when its caller is gone: what is done is told, whatever becomes of the call.
pub async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    // A panic is logged where it happens.
    tokio::spawn(telemetry::carried(work)).await.map_err(|_| status::internal())?
}

/// A log that the caller may append to.
pub fn append(caller: &Caller, log: &str) -> Result<LogName, Status> {
    let log = has(caller, log, &[Role::Producer])?;
    // What the server was asked is not for others to tell.
    if log.is_audit() { Err(status::log_reserved(&log)) } else { Ok(log) }
}

/// A log that the caller reads, and what of it.
pub fn read(caller: &Caller, log: &str) -> Result<(LogName, Scope), Status> {
    let log = name(log)?;
    let scope = caller.scope(&log);
    scope.map(|scope| (log.clone(), scope)).ok_or_else(|| status::log_not_allowed(&[Role::Reader], &log))
}

/// A log whose proofs the caller may see.
pub fn prove(caller: &Caller, log: &str) -> Result<LogName, Status> {
    has(caller, log, rules::PROOF_ROLES)
}

/// A log that the caller may know about.
pub fn know(caller: &Caller, log: &str) -> Result<LogName, Status> {
    has(caller, log, rules::ABOUT_ROLES)
}

/// A log that the caller may change.
pub fn administer(caller: &Caller, log: &str) -> Result<LogName, Status> {
    has(caller, log, &[Role::Admin])
}

/// A log for which the caller has one of these roles.
pub fn has(caller: &Caller, log: &str, roles: &[Role]) -> Result<LogName, Status> {
    let log = name(log)?;
    match roles.iter().any(|role| caller.is_for(*role, &log)) {
        true => Ok(log),
        false => Err(status::log_not_allowed(roles, &log)),
    }
}

/// The condition of a request, as its caller gave it, and narrowed to what it sees.
pub fn ask(
    catalog: &Catalog,
    scope: &Scope,
    filter: Option<&EventFilter>,
    expression: &str,
) -> Result<(Predicate, Scoped), Status> {
    let asked = Predicate::of(filter, expression).map_err(|fault| match fault {
        FilterFault::Filter { field, description } => {
            let field = if field.is_empty() { "filter".to_owned() } else { format!("filter.{field}") };
            status::invalid("INVALID_FILTER", &field, description)
        }
        FilterFault::Where { offset, description } => status::invalid_where(offset, &description),
    })?;
    let scoped =
        Scoped::new(asked.clone(), scope, catalog).map_err(|personal| status::personal(&personal))?;
    Ok((asked, scoped))
}

fn name(log: &str) -> Result<LogName, Status> {
    LogName::parse(log).map_err(|what| status::invalid("INVALID_LOG", "log", what))
}
