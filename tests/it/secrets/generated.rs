//! An event with a secret in it for every field, key and parameter that the catalog calls secret.
use chancery::{
    catalog::{
        Catalog,
        model::{Attribute, Class, EventType, Family, Field, Row},
    },
    proto::v1::{CmsAuditEvent, CmsNotificationEvent, NewEvent, new_event},
};

use super::{CANARY, places};
use crate::harness::events;

/// An event and the attribute whose value is a secret.
pub struct Generated {
    pub attribute: String,
    pub event: NewEvent,
}

fn canary() -> Option<String> {
    Some(format!("{CANARY}-generated"))
}

/// A row with the secret in a field.
fn cms(event_type: &EventType, row: &Row, field: Field) -> Vec<NewEvent> {
    let code = event_type.code.clone();
    if event_type.family == Family::CmsAudit {
        let severity = row.severity.expect("a severity");
        let mut event = CmsAuditEvent { code, severity, ..CmsAuditEvent::default() };
        let place = match field {
            Field::ClientId => &mut event.client_id,
            Field::OperatorId => &mut event.operator_id,
            Field::Char1 => &mut event.char1,
            Field::Char2 => &mut event.char2,
            Field::ErrorMessage => &mut event.error_message,
            number => panic!("{number:?} is secret: search for a number too"),
        };
        *place = canary();
        return vec![events::event(new_event::Family::CmsAudit(event))];
    }
    let of_status = |status: &u32| {
        let mut event = CmsNotificationEvent { code: code.clone(), ..CmsNotificationEvent::default() };
        event.status = *status;
        let place = match field {
            Field::ClientId => &mut event.client_id,
            Field::OperatorId => &mut event.operator_id,
            Field::Char1 => &mut event.char1,
            Field::Char2 => &mut event.char2,
            Field::Char3 => &mut event.char3,
            number => panic!("{number:?} is secret: search for a number too"),
        };
        *place = canary();
        events::event(new_event::Family::CmsNotification(event))
    };
    row.statuses.iter().map(of_status).collect()
}

/// All of them.
pub fn all() -> Vec<Generated> {
    let catalog = Catalog::load([], Default::default()).expect("the embedded catalog");
    let mut all = Vec::new();
    let mut add = |attribute: &Attribute, event| {
        assert_eq!(attribute.class, Class::Secret);
        all.push(Generated { attribute: attribute.name.clone(), event });
    };
    for event_type in catalog.types() {
        for (field, attribute) in &event_type.secret_fields {
            for row in &event_type.rows {
                cms(event_type, row, *field).into_iter().for_each(|event| add(attribute, event));
            }
        }
    }
    let is_secret = |attribute: &Attribute| attribute.class == Class::Secret;
    for (code, attribute) in &catalog.family(Family::AsAudit).parameters {
        if is_secret(attribute) {
            let value = format!("{CANARY}-{code}");
            add(attribute, places::listed("createUser", &[(code, &value)]));
            add(attribute, places::raw(&format!("{code}=\"{value}\" Action=createUser")));
            add(attribute, places::raw(&format!(r#"{{"{code}":"{value}","Action":"createUser"}}"#)));
        }
    }
    for (key, value) in &catalog.family(Family::CmsNotification).credential_values {
        if is_secret(&value.attribute) {
            add(&value.attribute, places::credentials("10012", &[key]));
        }
    }
    for (key, attribute) in &catalog.family(Family::TokenServer).details {
        if is_secret(attribute) {
            add(attribute, places::details("CONSENT_GIVEN", key));
        }
    }
    all
}
