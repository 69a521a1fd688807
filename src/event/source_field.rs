//! Takes one value out of the source of an event, as bytes of an `Event` that put it back: see [`super::fragments`].
use std::mem;

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, int32, key_len, string},
};

use crate::{
    catalog::{model::Field, reading::Origin},
    proto::v1::{self, new_event::Family},
};

/// Numbers of the source in `Event`, of the families in `NewEvent`, of maps in them, and of a map's entry.
mod number {
    pub const SOURCE: u32 = 20;
    pub const CMS_AUDIT: u32 = 10;
    pub const CMS_NOTIFICATION: u32 = 11;
    pub const AS_AUDIT: u32 = 12;
    pub const TOKEN_SERVER: u32 = 13;
    pub const CHANCERY: u32 = 14;
    pub const CREDENTIAL_VALUES: u32 = 12;
    pub const DETAILS: u32 = 7;
    pub const OWN_DETAILS: u32 = 2;
    pub const KEY: u32 = 1;
    pub const VALUE: u32 = 2;
}

/// What the source holds at an origin.
enum Taken {
    Text(u32, String),
    Number(u32, i32),
    Entry(u32, String, String),
    Parameters(Box<v1::AsAuditEvent>),
}

/// Takes the value at an origin out of the source, and writes it. Whether there was one.
pub fn put_source(event: &mut v1::Event, origin: &Origin, bytes: &mut Vec<u8>) -> bool {
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
            string::encode(number::KEY, &key, bytes);
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
                Origin::Parameters => Some(Taken::Parameters(Box::new(v1::AsAuditEvent {
                    parameters: mem::take(&mut event.parameters),
                    raw_parameters: mem::take(&mut event.raw_parameters),
                    ..v1::AsAuditEvent::default()
                }))),
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
        Family::Chancery(event) => {
            let taken = match origin {
                Origin::Key(key) => event
                    .details
                    .get_mut(key)
                    .map(|value| Taken::Entry(number::OWN_DETAILS, key.clone(), mem::take(value))),
                _ => None,
            };
            Some((number::CHANCERY, taken?))
        }
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
    text_len(number::KEY, key) + text_len(number::VALUE, value)
}

fn text_len(field: u32, text: &str) -> usize {
    key_len(field) + encoded_len_varint(text.len() as u64) + text.len()
}

/// Bytes of a field that holds a message of so many.
fn message_len(field: u32, inner: usize) -> usize {
    key_len(field) + encoded_len_varint(inner as u64) + inner
}

/// Begins a field that holds a message of so many bytes.
pub fn put_message(field: u32, inner: usize, bytes: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, bytes);
    encode_varint(inner as u64, bytes);
}
