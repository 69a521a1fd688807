//! What calls tell the self-audit (`journal`): who made them, what was asked for, and how many were given. Handlers tell
//! what they did; refusals of callers are told by [`Denials`], wherever they come from.
use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::status;
use crate::{
    auth::{Caller, Refused},
    catalog::Catalog,
    event::LogName,
    journal::{CLIENT_GONE, Entry, Journal, Sent, Who, code_name},
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

/// The refusals of the calls of one caller, who may be nobody.
pub struct Denials {
    pub journal: Arc<Journal>,
    /// None: nobody.
    pub caller: Option<Arc<Caller>>,
    pub address: Option<SocketAddr>,
    pub method: &'static str,
}

impl Denials {
    /// Tells of a call that was answered with this status, if it refuses the caller; `cause` is for the operator alone.
    pub fn status(&self, status: &Status, cause: Option<&Refused>) {
        let code = status.code();
        if !matches!(code, Code::PermissionDenied | Code::Unauthenticated) {
            return;
        }
        let reason = status::denial(&reason(status)).unwrap_or("INTERNAL");
        let nobody = || Who { address: self.address, ..Who::default() };
        let who = self.caller.as_deref().map_or_else(nobody, who);
        let entry = Entry::denied(&who, self.method, (code_name(code as i32), reason));
        // As seldom as the entries: whoever can reach the port could fill the log.
        if self.journal.record(entry) {
            let (address, cause) =
                (self.address.map(tracing::field::display), cause.map(tracing::field::display));
            tracing::info!(method = self.method, address, reason, cause, "a call was denied");
        }
    }

    /// The same, of the headers or trailers that hold the status.
    pub fn headers(&self, headers: &HeaderMap) {
        // Most say that all went well, and are not read any further.
        let refused = |code: &HeaderValue| ["7", "16"].iter().any(|refusal| code == refusal);
        if headers.get(Status::GRPC_STATUS).is_some_and(refused)
            && let Some(status) = Status::from_header_map(headers)
        {
            self.status(&status, None);
        }
    }

    /// The answer is cut off with this status.
    pub fn cut_off(&self, status: &Status) {
        if let Some(caller) = &self.caller {
            // The first one counts.
            let _ = caller.cut_off.set(failure(status));
        }
        self.status(status, None);
    }
}

/// The stable reason of an error.
fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Why an answer was cut off: the name of the code, and the stable reason.
fn failure(status: &Status) -> (&'static str, &'static str) {
    let reason = status::query_failure(&reason(status)).unwrap_or("INTERNAL");
    (code_name(status.code() as i32), reason)
}

/// A read that was refused or failed, once it was known which log it was of.
pub fn read_failed(caller: &Caller, log: &LogName, status: &Status) -> Entry {
    Entry::read_failed(&who(caller), caller.method, log, (code_name(status.code() as i32), &reason(status)))
}

/// One query, from its beginning to its end, however it ends.
pub struct Query {
    journal: Arc<Journal>,
    caller: Arc<Caller>,
    log: LogName,
    call: Uuid,
    sent: Sent,
    /// One that follows is ended by its client, which is as well as by itself.
    follows: bool,
    told: bool,
}

impl Query {
    /// It begins.
    pub fn begin(
        journal: &Arc<Journal>,
        caller: &Arc<Caller>,
        log: &LogName,
        started: impl FnOnce(Entry) -> Entry,
        filter: &str,
        follows: bool,
    ) -> Self {
        let call = journal.call();
        journal.record(started(Entry::query_started(&who(caller), caller.method, call, log, filter)));
        let (journal, caller, log) = (Arc::clone(journal), Arc::clone(caller), log.clone());
        Self { journal, caller, log, call, sent: Sent::default(), follows, told: false }
    }

    /// An event goes out.
    pub fn event(&mut self, position: u64) {
        self.sent.returned += 1;
        let first = self.sent.between.map_or(position, |(first, _)| first);
        self.sent.between = Some((first, position));
    }

    /// It has come to its end, and has looked at so much.
    pub fn summary(&mut self, scanned: u64) {
        self.sent.scanned = scanned;
        self.tell(None);
    }

    /// It is cut off.
    pub fn failed(&mut self, status: &Status) {
        self.tell(Some(failure(status)));
    }

    /// Tells of the end, once: with its last message, which is before the server may have ended.
    fn tell(&mut self, error: Option<(&'static str, &'static str)>) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let (who, method) = (who(&self.caller), self.caller.method);
        self.journal.record(match error {
            None => Entry::query_ended(&who, method, self.call, &self.log, self.sent),
            Some(error) => Entry::query_failed(&who, method, self.call, &self.log, self.sent, error),
        });
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        let gone = || (!self.follows).then(|| (code_name(Code::Cancelled as i32), CLIENT_GONE));
        let error = self.caller.cut_off.get().copied().or_else(gone);
        self.tell(error);
    }
}
