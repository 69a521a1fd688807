//! What calls tell the self-audit (`journal`): who made them, what was asked for, and how many were given. Handlers tell
//! what they did; refusals of callers are told by [`Denials`], wherever they come from.
use std::sync::Arc;

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::status;
use crate::{
    auth::Caller,
    catalog::Catalog,
    event::LogName,
    journal::{Entry, Journal, Sent, Who, code_name},
    query::predicate::Predicate,
};

/// Bytes of a purpose.
const MOST_PURPOSE: usize = 200;

/// Who makes a call.
pub fn who(caller: &Caller) -> Who {
    Who {
        name: caller.name().as_str().to_owned(),
        credential: caller.identity.credential.name(),
        address: caller.address,
    }
}

/// A condition as it is told: without values that could be secrets.
pub fn filter(asked: &Predicate, catalog: &Catalog) -> String {
    asked.told(&|name| catalog.holds_no_secret(name))
}

/// A purpose, checked.
pub fn purpose(text: &str) -> Result<&str, Status> {
    if text.len() > MOST_PURPOSE || text.contains('\0') {
        let description = format!("is not a text of at most {MOST_PURPOSE} bytes without NUL");
        return Err(status::invalid("INVALID_PURPOSE", "purpose", description));
    }
    Ok(text)
}

/// The refusals of one caller's calls of one method. The caller may be nobody.
#[derive(Clone)]
pub struct Denials {
    pub journal: Arc<Journal>,
    pub who: Who,
    pub method: &'static str,
}

impl Denials {
    /// Tells of a call that was answered with this status, if it refuses the caller.
    pub fn status(&self, status: &Status) {
        let code = status.code();
        if !matches!(code, Code::PermissionDenied | Code::Unauthenticated) {
            return;
        }
        let details = status.get_error_details();
        let reason = details.error_info().and_then(|info| status::denial(&info.reason)).unwrap_or("INTERNAL");
        tracing::info!(
            method = self.method,
            caller = self.who.name,
            address = self.who.address.map(tracing::field::display),
            reason,
            "a call was denied"
        );
        self.journal.record(Entry::denied(&self.who, self.method, (code_name(code as i32), reason)));
    }

    /// The same, of the headers or trailers that hold the status.
    pub fn headers(&self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.status(&status);
        }
    }
}

/// One query, from its beginning to its end, however it ends.
pub struct Query {
    journal: Arc<Journal>,
    caller: Arc<Caller>,
    log: LogName,
    call: Uuid,
    sent: Sent,
    failed: Option<(&'static str, &'static str)>,
}

impl Query {
    /// It begins.
    pub fn begin(
        journal: &Arc<Journal>,
        caller: &Arc<Caller>,
        log: &LogName,
        started: impl FnOnce(Entry) -> Entry,
        filter: &str,
    ) -> Self {
        let call = journal.call();
        journal.record(started(Entry::query_started(&who(caller), caller.method, call, log, filter)));
        let (journal, caller, log) = (Arc::clone(journal), Arc::clone(caller), log.clone());
        Self { journal, caller, log, call, sent: Sent::default(), failed: None }
    }

    /// An event goes out.
    pub fn event(&mut self, position: u64) {
        self.sent.returned += 1;
        let first = self.sent.between.map_or(position, |(first, _)| first);
        self.sent.between = Some((first, position));
    }

    /// So much was looked at.
    pub const fn scanned(&mut self, scanned: u64) {
        self.sent.scanned = scanned;
    }

    /// It is cut off.
    pub fn failed(&mut self, status: &Status) {
        let details = status.get_error_details();
        let reason =
            details.error_info().and_then(|info| status::query_failure(&info.reason)).unwrap_or("INTERNAL");
        self.failed = Some((code_name(status.code() as i32), reason));
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        let (who, method) = (who(&self.caller), self.caller.method);
        self.journal.record(match self.failed {
            None => Entry::query_ended(&who, method, self.call, &self.log, self.sent),
            Some(error) => Entry::query_failed(&who, method, self.call, &self.log, self.sent, error),
        });
    }
}
