//! Takes the personal values out of an event, each into a fragment: see [`super::personal`].
//!
//! Fragments are written by hand, field by field: there are one to four in every event, and going through whole
//! messages takes several times as long as hashing them.
use std::mem;

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, int32, key_len, string},
};

use super::personal::{self, SALT};
use crate::{
    catalog::{
        model::{Field, Role},
        reading::{Origin, Personal},
    },
    clock::Clock,
    proto::v1::{self, new_event::Family},
};

/// Numbers of the fields of `Event`, of `Attribute`, of `NewEvent` and of a map's entry.
mod number {
    pub const ACTOR: u32 = 13;
    pub const SUBJECT: u32 = 14;
    pub const DEVICE: u32 = 15;
    pub const ATTRIBUTES: u32 = 17;
    pub const SOURCE: u32 = 20;
    pub const OPENINGS: u32 = 29;
    pub const NAME: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const CMS_AUDIT: u32 = 10;
    pub const CMS_NOTIFICATION: u32 = 11;
    pub const AS_AUDIT: u32 = 12;
    pub const TOKEN_SERVER: u32 = 13;
    pub const CREDENTIAL_VALUES: u32 = 12;
    pub const DETAILS: u32 = 7;
}

/// What the source holds at an origin.
enum Taken {
    Text(u32, String),
    Number(u32, i32),
    Entry(u32, String, String),
    Parameters(v1::AsAuditEvent),
}

/// Takes `personal` out of an event. What is left are its public values and a commitment to each of the others; what
/// is returned lies beside the record.
pub fn take(event: &mut v1::Event, personal: &[Personal], clock: &dyn Clock) -> Vec<u8> {
    if personal.is_empty() {
        return Vec::new();
    }
    let attributes = split(event, personal);
    let mut bytes = Vec::with_capacity(256);
    let mut openings = Vec::with_capacity(personal.len() + 1);
    let mut close = |bytes: &[u8], start: usize, event: &mut v1::Event| {
        let salt = clock.new_salt();
        let fragment = &bytes[start..];
        event.commitments.push(personal::commitment(&salt, fragment).to_vec().into());
        openings.push((salt, fragment.len()));
    };
    for (each, attribute) in personal.iter().zip(attributes) {
        let start = bytes.len();
        for role in &each.roles {
            let (number, column) = match role {
                Role::Actor => (number::ACTOR, &mut event.actor),
                Role::Subject => (number::SUBJECT, &mut event.subject),
                Role::Device => (number::DEVICE, &mut event.device),
            };
            string::encode(number, &mem::take(column), &mut bytes);
        }
        put_attribute(&attribute, &mut bytes);
        // A field that holds several values is a fragment of its own, below.
        if each.origin != Origin::Parameters && alone(personal, &each.origin) {
            put_source(event, &each.origin, &mut bytes);
        }
        close(&bytes, start, event);
    }
    for (at, each) in personal.iter().enumerate() {
        let first = personal.iter().position(|other| other.origin == each.origin) == Some(at);
        if first && (each.origin == Origin::Parameters || !alone(personal, &each.origin)) {
            let start = bytes.len();
            if put_source(event, &each.origin, &mut bytes) {
                close(&bytes, start, event);
            }
        }
    }
    for (salt, size) in openings {
        put_opening(&salt, size, &mut bytes);
    }
    bytes
}

/// Whether nothing else personal stands at this origin.
fn alone(personal: &[Personal], origin: &Origin) -> bool {
    personal.iter().filter(|other| other.origin == *origin).count() == 1
}

/// Leaves the public attributes in the event, and returns the others, in their order.
fn split(event: &mut v1::Event, personal: &[Personal]) -> Vec<v1::Attribute> {
    let mut taken = Vec::with_capacity(personal.len());
    let mut public = Vec::with_capacity(event.attributes.len());
    let mut next = personal.iter().map(|each| each.attribute).peekable();
    for (at, attribute) in mem::take(&mut event.attributes).into_iter().enumerate() {
        match next.next_if_eq(&at) {
            Some(_) => taken.push(v1::Attribute { place: u32::try_from(at).ok(), ..attribute }),
            None => public.push(attribute),
        }
    }
    event.attributes = public;
    taken
}

/// Takes the value at an origin out of the source, and writes it. Whether there was one.
fn put_source(event: &mut v1::Event, origin: &Origin, bytes: &mut Vec<u8>) -> bool {
    let family = event.source.as_mut().and_then(|source| source.family.as_mut());
    let Some((number, taken)) = family.and_then(|family| taken(family, origin)) else { return false };
    let inner = match &taken {
        Taken::Text(field, text) => string::encoded_len(*field, text),
        Taken::Number(field, value) => int32::encoded_len(*field, value),
        Taken::Entry(field, key, value) => message_len(*field, entry_len(key, value)),
        Taken::Parameters(list) => list.encoded_len(),
    };
    put_message(number::SOURCE, message_len(number, inner), bytes);
    put_message(number, inner, bytes);
    match taken {
        Taken::Text(field, text) => string::encode(field, &text, bytes),
        Taken::Number(field, value) => int32::encode(field, &value, bytes),
        Taken::Entry(field, key, value) => {
            put_message(field, entry_len(&key, &value), bytes);
            string::encode(number::NAME, &key, bytes);
            string::encode(number::VALUE, &value, bytes);
        }
        Taken::Parameters(list) => list.encode_raw(bytes),
    }
    true
}

/// What stands at an origin, with the number of its family. It is not in the event afterwards.
fn taken(family: &mut Family, origin: &Origin) -> Option<(u32, Taken)> {
    match family {
        Family::CmsAudit(event) => {
            let taken = match origin {
                Origin::Field(Field::ClientId) => text(5, &mut event.client_id),
                Origin::Field(Field::OperatorId) => text(6, &mut event.operator_id),
                Origin::Field(Field::Num1) => value(7, &mut event.num1),
                Origin::Field(Field::Num2) => value(8, &mut event.num2),
                Origin::Field(Field::Char1) => text(9, &mut event.char1),
                Origin::Field(Field::Char2) => text(10, &mut event.char2),
                Origin::Field(Field::ErrorNumber) => value(11, &mut event.error_number),
                Origin::Field(Field::ErrorMessage) => text(12, &mut event.error_message),
                _ => None,
            };
            Some((number::CMS_AUDIT, taken?))
        }
        Family::CmsNotification(event) => {
            let taken = match origin {
                Origin::Column("status_description") => text(4, &mut event.status_description),
                Origin::Field(Field::ClientId) => text(5, &mut event.client_id),
                Origin::Field(Field::OperatorId) => text(6, &mut event.operator_id),
                Origin::Field(Field::Num1) => value(7, &mut event.num1),
                Origin::Field(Field::Num2) => value(8, &mut event.num2),
                Origin::Field(Field::Char1) => text(9, &mut event.char1),
                Origin::Field(Field::Char2) => text(10, &mut event.char2),
                Origin::Field(Field::Char3) => text(11, &mut event.char3),
                Origin::Key(key) => event
                    .credential_values
                    .get_mut(key)
                    .map(|value| Taken::Entry(number::CREDENTIAL_VALUES, key.clone(), mem::take(value))),
                _ => None,
            };
            Some((number::CMS_NOTIFICATION, taken?))
        }
        Family::AsAudit(event) => {
            let taken = match origin {
                Origin::Parameters => Some(Taken::Parameters(v1::AsAuditEvent {
                    parameters: mem::take(&mut event.parameters),
                    raw_parameters: mem::take(&mut event.raw_parameters),
                    ..v1::AsAuditEvent::default()
                })),
                Origin::Column("domain") => text(4, &mut event.domain),
                Origin::Column("channel") => text(5, &mut event.channel),
                Origin::Column("user_id") => text(6, &mut event.user_id),
                Origin::Column("target_user_id") => text(7, &mut event.target_user_id),
                Origin::Column("direct_external_reference") => text(8, &mut event.direct_external_reference),
                Origin::Column("indirect_external_reference") => {
                    text(9, &mut event.indirect_external_reference)
                }
                Origin::Column("host_address") => text(10, &mut event.host_address),
                Origin::Column("status") => text(11, &mut event.status),
                Origin::Column("response") => text(12, &mut event.response),
                Origin::Column("message") => text(13, &mut event.message),
                Origin::Column("authentication_type_code") => text(14, &mut event.authentication_type_code),
                Origin::Column("correlation_type") => text(15, &mut event.correlation_type),
                Origin::Column("entity_id") => text(16, &mut event.entity_id),
                Origin::Column("entity_type") => text(17, &mut event.entity_type),
                Origin::Column("event_type") => text(18, &mut event.event_type),
                _ => None,
            };
            Some((number::AS_AUDIT, taken?))
        }
        Family::TokenServer(event) => {
            let taken = match origin {
                Origin::Column("client_id") => text(2, &mut event.client_id),
                Origin::Column("user_id") => text(3, &mut event.user_id),
                Origin::Column("client_ip") => text(4, &mut event.client_ip),
                Origin::Column("user_agent") => text(5, &mut event.user_agent),
                Origin::Column("transaction_id") => text(6, &mut event.transaction_id),
                Origin::Key(key) => event
                    .details
                    .get_mut(key)
                    .map(|value| Taken::Entry(number::DETAILS, key.clone(), mem::take(value))),
                _ => None,
            };
            Some((number::TOKEN_SERVER, taken?))
        }
        // The server writes no personal values of its own.
        Family::Chancery(_) => None,
    }
}

fn text(field: u32, value: &mut Option<String>) -> Option<Taken> {
    value.take().map(|text| Taken::Text(field, text))
}

fn value(field: u32, value: &mut Option<i32>) -> Option<Taken> {
    value.take().map(|number| Taken::Number(field, number))
}

/// Bytes of a map's entry.
fn entry_len(key: &str, value: &str) -> usize {
    text_len(number::NAME, key) + text_len(number::VALUE, value)
}

fn text_len(field: u32, text: &str) -> usize {
    key_len(field) + encoded_len_varint(text.len() as u64) + text.len()
}

/// Bytes of a field that holds a message of so many.
fn message_len(field: u32, inner: usize) -> usize {
    key_len(field) + encoded_len_varint(inner as u64) + inner
}

/// Begins a field that holds a message of so many bytes.
fn put_message(field: u32, inner: usize, bytes: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, bytes);
    encode_varint(inner as u64, bytes);
}

fn put_attribute(attribute: &v1::Attribute, bytes: &mut Vec<u8>) {
    put_message(number::ATTRIBUTES, attribute.encoded_len(), bytes);
    attribute.encode_raw(bytes);
}

fn put_opening(salt: &[u8; SALT], size: usize, bytes: &mut Vec<u8>) {
    let opening = v1::Opening {
        salt: salt.to_vec().into(),
        size: u32::try_from(size).unwrap_or(u32::MAX),
        erased: false,
    };
    let length = opening.encoded_len();
    put_message(number::OPENINGS, length, bytes);
    opening.encode_raw(bytes);
}
