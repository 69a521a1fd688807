//! Events that must be refused: each with its reason, its field, and what the refusal must say.
use chancery::proto::v1::{self, NewEvent, new_event::Family};

use crate::harness::events;

/// One bad event.
pub struct Case {
    pub name: &'static str,
    pub event: NewEvent,
    pub reason: &'static str,
    /// Path of the first violation inside the event; empty for the event itself.
    pub field: &'static str,
    /// What the description of the first violation must contain.
    pub says: &'static str,
    /// Whether a newer catalog could accept it, so that PER_EVENT keeps it in quarantine.
    pub kept: bool,
}

impl Case {
    fn unknown(name: &'static str, event: NewEvent, field: &'static str, says: &'static str) -> Self {
        Self { name, event, reason: "UNKNOWN_EVENT_CODE", field, says, kept: true }
    }

    fn violation(name: &'static str, event: NewEvent, field: &'static str, says: &'static str) -> Self {
        Self { name, event, reason: "CATALOG_VIOLATION", field, says, kept: true }
    }

    fn malformed(name: &'static str, event: NewEvent, field: &'static str, says: &'static str) -> Self {
        Self { name, event, reason: "MALFORMED_EVENT", field, says, kept: false }
    }
}

fn cms(code: &str, severity: u32, change: impl FnOnce(&mut v1::CmsAuditEvent)) -> NewEvent {
    let mut event = v1::CmsAuditEvent { code: code.to_owned(), severity, ..v1::CmsAuditEvent::default() };
    change(&mut event);
    events::event(Family::CmsAudit(event))
}

fn notification(code: &str, status: u32) -> NewEvent {
    let code = code.to_owned();
    let event = v1::CmsNotificationEvent { code, status, ..v1::CmsNotificationEvent::default() };
    events::event(Family::CmsNotification(event))
}

fn audit(action: &str, raw: &str, listed: &[(&str, &str)]) -> NewEvent {
    let parameter = |(code, value): &(&str, &str)| v1::AsParameter {
        code: (*code).to_owned(),
        value: (*value).to_owned(),
    };
    events::event(Family::AsAudit(v1::AsAuditEvent {
        action: action.to_owned(),
        raw_parameters: raw.to_owned(),
        parameters: listed.iter().map(parameter).collect(),
        ..v1::AsAuditEvent::default()
    }))
}

fn changed(change: impl FnOnce(&mut NewEvent)) -> NewEvent {
    let mut event = events::hold("device-1");
    change(&mut event);
    event
}

fn detail(key: &str, value: &str) -> NewEvent {
    events::event(Family::TokenServer(v1::TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        details: [(key.to_owned(), value.to_owned())].into(),
        ..v1::TokenServerEvent::default()
    }))
}

fn time(seconds: i64, nanos: i32) -> NewEvent {
    changed(|event| event.occurred_at = Some(pbjson_types::Timestamp { seconds, nanos }))
}

/// Codes and values that the catalog does not allow.
pub fn refused_by_the_catalog() -> Vec<Case> {
    vec![
        Case::unknown("unknown CMS code", cms("20181", 100, |_| {}), "cms_audit.code", "nearest: "),
        Case::unknown(
            "unknown notification code",
            notification("99999", 0),
            "cms_notification.code",
            "99999",
        ),
        Case::unknown("misspelt action", audit("creatUser", "", &[]), "as_audit.action", "createUser"),
        Case::unknown("misspelt type", events::token("CONSENT_GIVN"), "token_server.type", "CONSENT_GIVEN"),
        Case::unknown(
            "CMS audit id under the notification family",
            notification("20151", 0),
            "cms_notification.code",
            "cms_audit (Synchronize)",
        ),
        Case::unknown(
            "CMS notification id under the audit family",
            cms("10012", 100, |_| {}),
            "cms_audit.code",
            "cms_notification (SynchronizeDevice)",
        ),
        Case::violation("wrong severity", cms("20018", 500, |_| {}), "cms_audit.severity", "100, 301"),
        Case::violation("reserved id", cms("20512", 100, |_| {}), "cms_audit.code", "reserved"),
        Case::violation(
            "request type outside the closed list",
            cms("20151", 100, |event| event.num2 = Some(7)),
            "cms_audit.num2",
            "1, 2, 3, 4, 8, 32, 64, 66, 128, 256",
        ),
        Case::violation(
            "flag outside the closed list",
            cms("20003", 100, |event| event.num1 = Some(2)),
            "cms_audit.num1",
            "0, 1",
        ),
        Case::violation(
            "REST error number outside the closed list",
            cms("20500", 601, |event| event.error_number = Some(112)),
            "cms_audit.error_number",
            "112",
        ),
        Case::violation("status 2", notification("10012", 2), "cms_notification.status", "1 (failure)"),
    ]
}

/// Events that no catalog could ever accept.
pub fn malformed() -> Vec<Case> {
    const LONG: &str = "has 257 bytes; at most 256";
    vec![
        Case::malformed("no family", changed(|event| event.family = None), "family", "token_server"),
        Case::malformed("empty code", cms(" ", 100, |_| {}), "cms_audit.code", "empty"),
        Case::malformed("no action", audit("", "ATC=\"x\"", &[]), "as_audit.action", "empty"),
        Case::malformed("empty type", events::token(""), "token_server.type", "empty"),
        Case::malformed(
            "NUL in a field",
            cms("20018", 100, |event| event.char1 = Some("OP\0".to_owned())),
            "cms_audit.char1",
            "NUL",
        ),
        Case::malformed("NUL in a key", detail("ke\0y", "value"), "token_server.details", "NUL"),
        Case::malformed("NUL in a value", detail("scope", "a\0b"), "token_server.details[scope]", "NUL"),
        Case::malformed(
            "NUL in a parameter",
            audit("createUser", "", &[("ATC", "x"), ("USN", "a\0")]),
            "as_audit.parameters[1].value",
            "NUL",
        ),
        Case::malformed(
            "NUL in the correlation id",
            changed(|event| event.correlation_id = "\0".to_owned()),
            "correlation_id",
            "NUL",
        ),
        Case::malformed(
            "long correlation id",
            changed(|event| event.correlation_id = "c".repeat(257)),
            "correlation_id",
            LONG,
        ),
        Case::malformed(
            "long code",
            events::token(&"T".repeat(129)),
            "token_server.type",
            "has 129 bytes; at most 128",
        ),
        Case::malformed(
            "long field",
            cms("20018", 100, |event| event.char2 = Some("x".repeat(8193))),
            "cms_audit.char2",
            "has 8193 bytes; at most 8192",
        ),
        Case::malformed(
            "event id that is no UUID",
            changed(|event| event.event_id = "not-a-uuid".to_owned()),
            "event_id",
            "UUID",
        ),
        Case::malformed("no time", changed(|event| event.occurred_at = None), "occurred_at", "not set"),
        Case::malformed("before 1970", time(-1, 999_999_999), "occurred_at", "before 1970"),
        // The year 2100.
        Case::malformed("far ahead", time(4_102_444_800, 0), "occurred_at", "366 days ahead"),
        Case::malformed("the end of time", time(i64::MAX, 0), "occurred_at", "366 days ahead"),
        Case::malformed("too many nanoseconds", time(1_780_000_000, 1_000_000_000), "occurred_at", "nanos"),
        Case::malformed("negative nanoseconds", time(1_780_000_000, -1), "occurred_at", "nanos"),
        Case::malformed(
            "sequence above 2^63",
            changed(|event| event.producer_sequence = Some(1 << 63)),
            "producer_sequence",
            "above",
        ),
        Case::malformed(
            "epoch above 2^63",
            changed(|event| event.producer_epoch = Some(u64::MAX)),
            "producer_epoch",
            "above",
        ),
        Case::malformed(
            "parameters that cannot be read",
            audit("createUser", "ATC=\"x", &[]),
            "as_audit.raw_parameters",
            "byte 4",
        ),
        Case::malformed(
            "two actions",
            audit("createUser", "ATC=\"x\" Action=deleteUser", &[]),
            "as_audit.action",
            "deleteUser",
        ),
        Case::malformed(
            "parameters twice",
            audit("createUser", "ATC=\"x\"", &[("ATC", "x")]),
            "as_audit.parameters",
            "raw_parameters",
        ),
    ]
}
