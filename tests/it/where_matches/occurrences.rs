//! Random events of every family that the catalog accepts, with values that careless code trips over.
use chancery::proto::v1::{
    AsAuditEvent, AsParameter, CmsAuditEvent, CmsNotificationEvent, NewEvent, TokenServerEvent,
    new_event::Family,
};
use pbjson_types::Timestamp;
use proptest::{option, prelude::*, sample::select};

use crate::harness::events;

/// Quotes, comments, wildcards, escapes, parameters, line feeds, the characters between which the store keeps
/// attributes, and the ends of what UTF-8 can hold.
pub const VALUES: [&str; 36] = [
    "a",
    "A",
    "ab",
    "aB",
    "abc",
    "0",
    "100%",
    "100",
    "a_b",
    "*",
    "a*",
    "it's",
    "\"so\"",
    "'; DROP TABLE events; --",
    "') OR 1=1 --",
    "/* a */",
    "\\",
    "\\'",
    "a\\nb",
    "a\nb",
    "\t",
    "$1",
    "?1",
    "{}",
    "a b",
    "\u{1}",
    "\u{7f}",
    "ÜBER",
    "über",
    "\u{fdd0}",
    "a\u{fdd1}b",
    "\u{fdd2}0",
    "\u{fdd3}\u{fdd4}",
    "\u{d7ff}",
    "\u{ffff}",
    "\u{10ffff}",
];

/// A value, or two behind each other.
pub fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        // Often the same few, so that conditions find something.
        4 => select(&VALUES[..5]).prop_map(str::to_owned),
        3 => select(&VALUES[..]).prop_map(str::to_owned),
        1 => (select(&VALUES[..]), select(&VALUES[..])).prop_map(|(one, other)| format!("{one}{other}")),
    ]
}

/// A time within a few microseconds, so that events often have the same.
pub fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_i64, 0..3_i32, 0..3_i32).prop_map(|(seconds, micros, nanos)| Timestamp {
        seconds: 1_780_000_000 + seconds,
        nanos: micros * 1_000 + nanos * 333,
    })
}

fn family() -> impl Strategy<Value = Family> {
    let value = || option::of(value());
    let cms =
        (select(vec![100_u32, 301, 500, 601]), value(), value(), option::of(Just("ON_HOLD".to_owned())));
    let cms = cms.prop_map(|(severity, client_id, operator_id, char2)| {
        Family::CmsAudit(CmsAuditEvent {
            code: "20018".to_owned(),
            severity,
            client_id,
            operator_id,
            char1: Some("OP_2.0".to_owned()),
            char2,
            ..CmsAuditEvent::default()
        })
    });
    let notification = (0..2_u32, value(), value(), value());
    let notification = notification.prop_map(|(status, operator_id, char1, description)| {
        Family::CmsNotification(CmsNotificationEvent {
            code: "40001".to_owned(),
            status,
            status_description: description.filter(|_| status == 1),
            operator_id,
            char1,
            ..CmsNotificationEvent::default()
        })
    });
    let parameters =
        prop::collection::vec((select(vec!["GRC", "ATC", "ROC"]), super::occurrences::value()), 0..4);
    let audit = (parameters, value(), value()).prop_map(|(parameters, user, message)| {
        let parameters = parameters.into_iter();
        Family::AsAudit(AsAuditEvent {
            action: "addRoleToUser".to_owned(),
            parameters: parameters
                .map(|(code, value)| AsParameter { code: code.to_owned(), value })
                .collect(),
            direct_external_reference: user,
            message,
            ..AsAuditEvent::default()
        })
    });
    let details = prop::collection::btree_map(
        select(vec!["scope", "Odd key", "a.b"]),
        super::occurrences::value(),
        0..3,
    );
    let token = (details, value(), value()).prop_map(|(details, user_id, user_agent)| {
        Family::TokenServer(TokenServerEvent {
            r#type: "CONSENT_GIVEN".to_owned(),
            user_id,
            user_agent,
            details: details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            ..TokenServerEvent::default()
        })
    });
    prop_oneof![3 => cms, 1 => notification, 2 => audit, 3 => token]
}

/// An event.
pub fn event() -> impl Strategy<Value = NewEvent> {
    (family(), time(), option::of(value())).prop_map(|(family, time, correlation_id)| NewEvent {
        occurred_at: Some(time),
        correlation_id: correlation_id.unwrap_or_default(),
        ..events::event(family)
    })
}

/// Events that hold every value in several fields.
pub fn of_every_value() -> Vec<NewEvent> {
    let event = |value: &str| {
        let value = value.to_owned();
        let token = Family::TokenServer(TokenServerEvent {
            r#type: "CONSENT_GIVEN".to_owned(),
            user_id: Some(value.clone()),
            details: [("scope".to_owned(), value.clone())].into(),
            ..TokenServerEvent::default()
        });
        let hold = events::hold(&value);
        [NewEvent { correlation_id: value, ..events::event(token) }, hold]
    };
    VALUES.into_iter().flat_map(event).collect()
}
