//! `NewEvent` to [`ParsedEvent`]: the checks that need no catalog. What fails here could never be
//! accepted, so it is rejected and stored nowhere.
use uuid::Uuid;

use super::limits::{
    MAX_AHEAD_MICROS, MAX_CODE_BYTES, MAX_CORRELATION_BYTES, MAX_ENTRIES, MAX_EVENT_BYTES,
    MAX_RAW_PARAMETER_BYTES, MAX_TEXT_BYTES,
};
use crate::{
    catalog::rejection::{Reason, Rejection},
    clock::Clock,
    proto::v1::{NewEvent, new_event},
};
use prost::Message as _;

/// A submitted event whose envelope is sound: ids, times, sizes, text.
pub struct ParsedEvent {
    event_id: Uuid,
    occurred_at: i64,
    event: NewEvent,
}

impl ParsedEvent {
    /// Checks an event as it came from the wire.
    ///
    /// # Errors
    /// Why it is rejected. The event is given back for its id.
    pub fn parse(event: NewEvent, clock: &dyn Clock) -> Result<Self, Rejection> {
        if let Some(new_event::Family::Chancery(_)) = &event.family {
            let description = "events of this family are made by the server itself";
            return Err(Rejection::at(Reason::FamilyNotAllowed, "chancery", description));
        }
        Self::own(event, clock)
    }

    /// Checks an event that the server makes itself.
    ///
    /// # Errors
    /// Why it is rejected.
    pub fn own(mut event: NewEvent, clock: &dyn Clock) -> Result<Self, Rejection> {
        let size = event.encoded_len();
        if size > MAX_EVENT_BYTES {
            let description = format!("the event has {size} bytes; at most {MAX_EVENT_BYTES}");
            return Err(Rejection::at(Reason::EventTooLarge, "", description));
        }
        let event_id = if event.event_id.is_empty() {
            clock.new_id()
        } else {
            Uuid::try_parse(&event.event_id)
                .map_err(|_| Rejection::malformed("event_id", "is not a UUID in its text form"))?
        };
        let occurred_at = occurred_at(&event, clock.now_micros())?;
        for (field, number) in
            [("producer_sequence", event.producer_sequence), ("producer_epoch", event.producer_epoch)]
        {
            if number.is_some_and(|number| i64::try_from(number).is_err()) {
                return Err(Rejection::malformed(field, format!("is above {}", i64::MAX)));
            }
        }
        texts(&event)?;
        if !event.event_id.is_empty() {
            // One spelling, so that the same event is the same content however its id is written.
            event.event_id = event_id.to_string();
        }
        Ok(Self { event_id, occurred_at, event })
    }

    /// Event id, time of the event in microseconds since 1970, and the event.
    pub(super) fn into_parts(self) -> (Uuid, i64, NewEvent) {
        (self.event_id, self.occurred_at, self.event)
    }
}

fn occurred_at(event: &NewEvent, now: i64) -> Result<i64, Rejection> {
    const FIELD: &str = "occurred_at";
    let Some(time) = &event.occurred_at else {
        return Err(Rejection::malformed(FIELD, "is not set; the time of the event by the product's clock"));
    };
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(Rejection::malformed(FIELD, "nanos are not within 0 to 999,999,999"));
    }
    if time.seconds < 0 {
        return Err(Rejection::malformed(FIELD, "is before 1970-01-01T00:00:00Z"));
    }
    let micros = time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1_000);
    if micros > now.saturating_add(MAX_AHEAD_MICROS) {
        return Err(Rejection::malformed(FIELD, "is more than 366 days ahead of the server's clock"));
    }
    Ok(micros)
}

/// A place in the event, for messages.
enum Place<'a> {
    Field(&'static str),
    Key(&'static str),
    Value(&'static str, &'a str),
    Parameter(usize, &'static str),
}

impl Place<'_> {
    fn path(&self) -> String {
        match self {
            Self::Field(field) | Self::Key(field) => (*field).to_owned(),
            Self::Value(field, key) => format!("{field}[{}]", crate::catalog::reading::shown(key)),
            Self::Parameter(at, field) => format!("as_audit.parameters[{at}].{field}"),
        }
    }
}

fn text(place: Place<'_>, text: &str, most: usize) -> Result<(), Rejection> {
    if text.len() > most {
        let description = format!("has {} bytes; at most {most}", text.len());
        return Err(Rejection::malformed(place.path(), description));
    }
    if text.as_bytes().contains(&0) {
        return Err(Rejection::malformed(place.path(), "holds a NUL character"));
    }
    Ok(())
}

fn entries(field: &'static str, count: usize) -> Result<(), Rejection> {
    if count > MAX_ENTRIES {
        return Err(Rejection::malformed(field, format!("has {count} entries; at most {MAX_ENTRIES}")));
    }
    Ok(())
}

/// Checks every text of the event. Values are never echoed: nothing is known of their class yet.
fn texts(event: &NewEvent) -> Result<(), Rejection> {
    use Place::Field;
    text(Field("correlation_id"), &event.correlation_id, MAX_CORRELATION_BYTES)?;
    let optional = |field, value: &Option<String>| match value {
        Some(value) => text(Field(field), value, MAX_TEXT_BYTES),
        None => Ok(()),
    };
    match &event.family {
        None => Ok(()),
        Some(new_event::Family::CmsAudit(event)) => {
            text(Field("cms_audit.code"), &event.code, MAX_CODE_BYTES)?;
            text(Field("cms_audit.description"), &event.description, MAX_TEXT_BYTES)?;
            text(Field("cms_audit.interface"), &event.interface, MAX_CODE_BYTES)?;
            optional("cms_audit.client_id", &event.client_id)?;
            optional("cms_audit.operator_id", &event.operator_id)?;
            optional("cms_audit.char1", &event.char1)?;
            optional("cms_audit.char2", &event.char2)?;
            optional("cms_audit.error_message", &event.error_message)
        }
        Some(new_event::Family::CmsNotification(event)) => {
            text(Field("cms_notification.code"), &event.code, MAX_CODE_BYTES)?;
            text(Field("cms_notification.description"), &event.description, MAX_TEXT_BYTES)?;
            optional("cms_notification.status_description", &event.status_description)?;
            optional("cms_notification.client_id", &event.client_id)?;
            optional("cms_notification.operator_id", &event.operator_id)?;
            optional("cms_notification.char1", &event.char1)?;
            optional("cms_notification.char2", &event.char2)?;
            optional("cms_notification.char3", &event.char3)?;
            map("cms_notification.credential_values", &event.credential_values)
        }
        Some(new_event::Family::AsAudit(event)) => {
            text(Field("as_audit.action"), &event.action, MAX_CODE_BYTES)?;
            text(Field("as_audit.raw_parameters"), &event.raw_parameters, MAX_RAW_PARAMETER_BYTES)?;
            entries("as_audit.parameters", event.parameters.len())?;
            for (at, parameter) in event.parameters.iter().enumerate() {
                text(Place::Parameter(at, "code"), &parameter.code, MAX_CODE_BYTES)?;
                text(Place::Parameter(at, "value"), &parameter.value, MAX_TEXT_BYTES)?;
            }
            optional("as_audit.domain", &event.domain)?;
            optional("as_audit.channel", &event.channel)?;
            optional("as_audit.user_id", &event.user_id)?;
            optional("as_audit.target_user_id", &event.target_user_id)?;
            optional("as_audit.direct_external_reference", &event.direct_external_reference)?;
            optional("as_audit.indirect_external_reference", &event.indirect_external_reference)?;
            optional("as_audit.host_address", &event.host_address)?;
            optional("as_audit.status", &event.status)?;
            optional("as_audit.response", &event.response)?;
            optional("as_audit.message", &event.message)?;
            optional("as_audit.authentication_type_code", &event.authentication_type_code)?;
            optional("as_audit.correlation_type", &event.correlation_type)?;
            optional("as_audit.entity_id", &event.entity_id)?;
            optional("as_audit.entity_type", &event.entity_type)?;
            optional("as_audit.event_type", &event.event_type)
        }
        Some(new_event::Family::TokenServer(event)) => {
            text(Field("token_server.type"), &event.r#type, MAX_CODE_BYTES)?;
            optional("token_server.client_id", &event.client_id)?;
            optional("token_server.user_id", &event.user_id)?;
            optional("token_server.client_ip", &event.client_ip)?;
            optional("token_server.user_agent", &event.user_agent)?;
            optional("token_server.transaction_id", &event.transaction_id)?;
            map("token_server.details", &event.details)
        }
        Some(new_event::Family::Chancery(event)) => {
            text(Field("chancery.type"), &event.r#type, MAX_CODE_BYTES)?;
            map("chancery.details", &event.details)
        }
    }
}

fn map(field: &'static str, map: &std::collections::BTreeMap<String, String>) -> Result<(), Rejection> {
    entries(field, map.len())?;
    for (key, value) in map {
        text(Place::Key(field), key, MAX_CODE_BYTES)?;
        text(Place::Value(field, key), value, MAX_TEXT_BYTES)?;
    }
    Ok(())
}
