//! What the self-audit records of one call: who made it, and what they asked for or were given.
//!
//! One function per type of entry, so that each has the details that the catalog lists for it; what only some calls
//! have is added by [`Entry::with`]. Nothing here is a secret: texts of a caller that may hold one come in as
//! `query::predicate::Predicate::told` wrote them.
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use uuid::Uuid;

use crate::event::LogName;

/// Bytes of one detail, of the 8 KiB that the catalog allows: a filter may be larger than what is worth keeping of it.
const MOST_TEXT: usize = 4 << 10;
/// Stands at the end of a text that was cut.
const CUT: char = '\u{2026}';

/// Who makes a call, as far as it is known.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Who {
    /// Empty: nobody, because no name was accepted.
    pub name: String,
    /// How the caller showed who it is: `certificate`, `jwt`, `token` or `none`.
    pub credential: &'static str,
    pub address: Option<SocketAddr>,
}

/// What a query has sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sent {
    /// Events.
    pub returned: u64,
    /// Positions that were looked through.
    pub scanned: u64,
    /// Positions of the first and the last event.
    pub between: Option<(u64, u64)>,
}

/// Refused calls that have all of this in common are counted instead of told one by one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Alike {
    /// Name and address. `None` for all those that are too many to be told apart.
    pub caller: Option<(String, Option<IpAddr>)>,
    pub method: &'static str,
    pub reason: &'static str,
}

/// An address as one who calls is counted: of IPv6 the network, of which one machine has every address.
const fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// The name of a gRPC status code.
pub const fn code_name(code: i32) -> &'static str {
    match code {
        1 => "CANCELLED",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        11 => "OUT_OF_RANGE",
        14 => "UNAVAILABLE",
        16 => "UNAUTHENTICATED",
        _ => "INTERNAL",
    }
}

/// Why a query has ended before its end when its client is gone. No error says so, because nobody would hear it.
pub const CLIENT_GONE: &str = "CLIENT_GONE";

/// One entry of the self-audit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub(super) r#type: &'static str,
    /// What the entries of one call have in common.
    pub(super) call: Option<Uuid>,
    /// By the keys that the catalog lists for the type. No value is empty.
    pub(super) details: Vec<(&'static str, String)>,
    /// Of a refused call.
    pub(super) alike: Option<Alike>,
}

impl Entry {
    pub(super) const fn new(r#type: &'static str) -> Self {
        Self { r#type, call: None, details: Vec::new(), alike: None }
    }

    fn of(who: &Who, method: &'static str, r#type: &'static str) -> Self {
        Self::new(r#type)
            .with("caller", &who.name)
            .with("credential", who.credential)
            .with("address", who.address.map(|address| address.ip().to_string()).unwrap_or_default())
            .with("method", method)
    }

    fn on(who: &Who, method: &'static str, r#type: &'static str, log: &LogName) -> Self {
        Self::of(who, method, r#type).with("log", log.as_str())
    }

    /// Adds a detail. An empty one is none.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        if !value.is_empty() {
            self.details.push((key, fit(value)));
        }
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn with_number(self, key: &'static str, value: u64) -> Self {
        self.with(key, value.to_string())
    }

    /// A query begins. `call` is a fresh id, by which its end is found.
    pub fn query_started(who: &Who, method: &'static str, call: Uuid, log: &LogName, filter: &str) -> Self {
        Self { call: Some(call), ..Self::on(who, method, "QUERY_STARTED", log).with("filter", filter) }
    }

    /// A query has ended well; one that follows, when its client has left.
    pub fn query_ended(who: &Who, method: &'static str, call: Uuid, log: &LogName, sent: Sent) -> Self {
        Self { call: Some(call), ..Self::on(who, method, "QUERY_ENDED", log).sent(sent) }
    }

    /// A query was refused or cut off: the gRPC status code and the stable reason of the error.
    pub fn query_failed(
        who: &Who,
        method: &'static str,
        call: Uuid,
        log: &LogName,
        sent: Sent,
        (code, reason): (&'static str, &'static str),
    ) -> Self {
        let entry = Self::on(who, method, "QUERY_FAILED", log).sent(sent);
        Self { call: Some(call), ..entry.with("status_code", code).with("error_reason", reason) }
    }

    fn sent(self, sent: Sent) -> Self {
        let entry = self.with_number("returned", sent.returned).with_number("scanned", sent.scanned);
        match sent.between {
            None => entry,
            Some((first, last)) => {
                entry.with_number("first_returned", first).with_number("last_returned", last)
            }
        }
    }

    /// One event was read. With `position`.
    pub fn event_read(who: &Who, method: &'static str, log: &LogName) -> Self {
        Self::on(who, method, "EVENT_READ", log)
    }

    /// A read was refused, or failed, before it could tell anything of the log: the gRPC status code and the reason.
    pub fn read_failed(
        who: &Who,
        method: &'static str,
        log: &LogName,
        (code, reason): (&'static str, &str),
    ) -> Self {
        let entry = Self::on(who, method, "READ_FAILED", log);
        entry.with("status_code", code).with("error_reason", reason)
    }

    /// Events were counted; so many rows were sent.
    pub fn events_counted(
        who: &Who,
        method: &'static str,
        log: &LogName,
        filter: &str,
        group_by: &str,
        returned: u64,
    ) -> Self {
        let entry = Self::on(who, method, "EVENTS_COUNTED", log).with("filter", filter);
        entry.with("group_by", group_by).with_number("returned", returned)
    }

    /// Rows of the quarantine were read.
    pub fn quarantine_read(who: &Who, method: &'static str, log: &LogName, returned: u64) -> Self {
        Self::on(who, method, "QUARANTINE_READ", log).with_number("returned", returned)
    }

    /// Rows of the quarantine were judged again.
    pub fn quarantine_replayed(who: &Who, method: &'static str, log: &LogName, count: u64) -> Self {
        Self::on(who, method, "QUARANTINE_REPLAYED", log).with_number("count", count)
    }

    /// Rows of the quarantine were discarded, for this reason in the caller's words.
    pub fn quarantine_discarded(
        who: &Who,
        method: &'static str,
        log: &LogName,
        count: u64,
        reason: &str,
    ) -> Self {
        Self::on(who, method, "QUARANTINE_DISCARDED", log).with_number("count", count).with("reason", reason)
    }

    /// What is known of producers was read.
    /// `log`: of this one; `None` of all.
    pub fn producers_read(who: &Who, method: &'static str, log: Option<&LogName>, returned: u64) -> Self {
        let log = log.map_or("", LogName::as_str);
        Self::of(who, method, "PRODUCERS_READ").with("log", log).with_number("returned", returned)
    }

    /// A call was refused because of who made it: the gRPC status code and the stable reason of the error. Those that
    /// follow it within ten seconds, of the same caller, address, method and reason, are one entry with their number.
    pub fn denied(who: &Who, method: &'static str, (code, reason): (&'static str, &'static str)) -> Self {
        let caller = Some((who.name.clone(), who.address.map(|address| network(address.ip()))));
        let entry =
            Self::of(who, method, "CALL_DENIED").with("status_code", code).with("error_reason", reason);
        Self { alike: Some(Alike { caller, method, reason }), ..entry }
    }

    /// A file of settings was read again and is in force.
    pub fn configuration_reloaded(file: &str) -> Self {
        Self::new("CONFIGURATION_RELOADED").with("file", file)
    }

    /// A file of settings was read again and cannot be used. `reason` must not hold what the file keeps secret.
    pub fn configuration_refused(file: &str, reason: &str) -> Self {
        Self::new("CONFIGURATION_REFUSED").with("file", file).with("error_reason", reason)
    }

    /// Somebody had the values of a person erased. Nothing tells of whom: the request has an id.
    pub fn erasure_requested(
        who: &Who,
        method: &'static str,
        log: &LogName,
        request_id: Uuid,
        reason: &str,
    ) -> Self {
        let entry = Self::on(who, method, "ERASURE_REQUESTED", log);
        entry.with("request_id", request_id.to_string()).with("reason", reason)
    }

    /// Somebody had it counted what an erasure would take. Nothing tells of whom.
    pub fn erasure_rehearsed(who: &Who, method: &'static str, log: &LogName) -> Self {
        Self::on(who, method, "ERASURE_REHEARSED", log)
    }

    /// Somebody had the policy of a log applied.
    pub fn retention_requested(who: &Who, method: &'static str, log: &LogName, reason: &str) -> Self {
        Self::on(who, method, "RETENTION_REQUESTED", log).with("reason", reason)
    }

    /// Somebody placed a legal hold.
    pub fn hold_placed(who: &Who, method: &'static str, log: &LogName, hold: Uuid, reason: &str) -> Self {
        let entry = Self::on(who, method, "LEGAL_HOLD_PLACED", log);
        entry.with("hold_id", hold.to_string()).with("reason", reason)
    }

    /// Somebody released a legal hold.
    pub fn hold_released(who: &Who, method: &'static str, log: &LogName, hold: Uuid) -> Self {
        Self::on(who, method, "LEGAL_HOLD_RELEASED", log).with("hold_id", hold.to_string())
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        // Its id, its time, and some 48 bytes for each detail.
        128 + self.details.iter().map(|(_, value)| 48 + value.len()).sum::<usize>()
    }
}

/// A text as the catalog takes it: short enough, and without NUL.
fn fit(text: &str) -> String {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut fitted = text[..end].replace('\0', "\u{fffd}");
    if end < text.len() {
        fitted.push(CUT);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, model::Family};

    #[test]
    fn the_catalog_lists_every_detail_of_every_type() {
        let catalog = Catalog::load([], Default::default()).expect("the embedded catalog");
        let (who, log, id) = (Who { name: "a".to_owned(), ..Who::default() }, LogName::audit(), Uuid::nil());
        let (who, log, m, error) = (&who, &log, "m", ("c", "r"));
        let sent = Sent { between: Some((1, 2)), ..Sent::default() };
        for entry in [
            Entry::query_started(who, m, id, log, "f"),
            Entry::query_ended(who, m, id, log, sent),
            Entry::query_failed(who, m, id, log, sent, error),
            Entry::event_read(who, m, log),
            Entry::read_failed(who, m, log, error),
            Entry::events_counted(who, m, log, "f", "g", 1),
            Entry::quarantine_read(who, m, log, 1),
            Entry::quarantine_replayed(who, m, log, 1),
            Entry::quarantine_discarded(who, m, log, 1, "r"),
            Entry::producers_read(who, m, Some(log), 1),
            Entry::denied(who, m, error).with_number("count", 1),
            Entry::configuration_reloaded("f"),
            Entry::configuration_refused("f", "r"),
            Entry::erasure_requested(who, m, log, id, "r"),
            Entry::erasure_rehearsed(who, m, log),
            Entry::retention_requested(who, m, log, "r"),
            Entry::hold_placed(who, m, log, id, "r"),
            Entry::hold_released(who, m, log, id),
        ] {
            let known = catalog.find(Family::Chancery, entry.r#type);
            let (known, _) = known.unwrap_or_else(|| panic!("{} is not in the catalog", entry.r#type));
            for (key, _) in &entry.details {
                assert!(known.parameter_codes.iter().any(|code| code == key), "{} {key}", entry.r#type);
            }
        }
    }

    #[test]
    fn a_text_that_no_event_may_hold_is_made_one_that_it_may() {
        let long = "é".repeat(MOST_TEXT);
        for (text, details) in [
            ("", None),
            ("a\0b", Some("a\u{fffd}b".to_owned())),
            ("é", Some("é".to_owned())),
            (long.as_str(), Some(format!("{}{CUT}", "é".repeat(MOST_TEXT / 2)))),
        ] {
            let entry = Entry::new("EVENT_READ").with("purpose", text);
            assert_eq!(entry.details.first().map(|(_, value)| value.clone()), details);
        }
    }
}
