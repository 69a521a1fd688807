//! Events for tests.
use chancery::proto::v1::{self, NewEvent, new_event::Family};
use uuid::Uuid;

/// An event with this family's fields, a fresh id, and a time in 2026.
pub fn event(family: Family) -> NewEvent {
    NewEvent {
        event_id: fresh_id(),
        occurred_at: Some(at(1_780_000_000)),
        family: Some(family),
        ..NewEvent::default()
    }
}

/// A fresh event id.
#[expect(clippy::disallowed_methods, reason = "tests need ids of their own")]
pub fn fresh_id() -> String {
    Uuid::new_v4().to_string()
}

/// Seconds since 1970 as a timestamp.
pub fn at(seconds: i64) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp { seconds, nanos: 0 }
}

/// A device that was put on hold: valid, severity 100, one row.
pub fn hold(device: &str) -> NewEvent {
    event(Family::CmsAudit(v1::CmsAuditEvent {
        code: "20018".to_owned(),
        severity: 100,
        client_id: Some(device.to_owned()),
        operator_id: Some("operator-1".to_owned()),
        char1: Some("OP_2.0".to_owned()),
        char2: Some("ON_HOLD".to_owned()),
        ..v1::CmsAuditEvent::default()
    }))
}

/// A Token Server event of a type.
pub fn token(r#type: &str) -> NewEvent {
    event(Family::TokenServer(v1::TokenServerEvent {
        r#type: r#type.to_owned(),
        user_id: Some("ann".to_owned()),
        ..v1::TokenServerEvent::default()
    }))
}

/// The attributes of an event as the product had them, by the places that the personal ones name.
pub fn in_order(event: &v1::Event) -> Vec<&v1::Attribute> {
    let (placed, mut all): (Vec<_>, Vec<_>) =
        event.attributes.iter().partition(|attribute| attribute.place.is_some());
    for attribute in placed {
        let place = attribute.place.expect("a place");
        all.insert(usize::try_from(place).expect("a place"), attribute);
    }
    all
}

/// The lines of an example file, as events.
pub fn examples(family: &str) -> Vec<NewEvent> {
    let path = super::root().join("examples").join(format!("{family}.ndjson"));
    let text = std::fs::read_to_string(&path).expect("an example file");
    text.lines().map(|line| serde_json::from_str(line).expect("a NewEvent as JSON")).collect()
}
