//! Takes the personal values out of an event, each into a fragment: see [`super::personal`].
//!
//! Fragments are written by hand, field by field: there are one to four in every event, and going through whole
//! messages takes several times as long as hashing them.
use std::mem;

use prost::{Message as _, encoding::string};

use super::{
    personal::{self, SALT},
    source_field::{put_message, put_source},
};
use crate::{
    catalog::{
        model::Role,
        reading::{Origin, Personal},
    },
    clock::Clock,
    proto::v1,
};

/// Numbers of the fields of `Event`.
mod number {
    pub const ACTOR: u32 = 13;
    pub const SUBJECT: u32 = 14;
    pub const DEVICE: u32 = 15;
    pub const ATTRIBUTES: u32 = 17;
    pub const OPENINGS: u32 = 29;
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
