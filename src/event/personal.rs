//! Personal values beside the record, so that they can be erased and every proof stays valid.
//!
//! The record holds a salted commitment to each. The value lies beside it as a *fragment*: bytes of an `Event` that
//! hold it at every place where it stands, so that record and fragments, read one after the other, are the whole
//! event (fields of a message may come in pieces). Behind the fragments lie their openings: a salt and a length, or
//! that the value was erased. Nothing is ever serialised again: a fragment is hashed as it lies there. The
//! layout is described at `Event` in `event.proto`.
//!
//! Pure. Callers: [`super::seal`], which makes it; `store`, which reads events; erasure; verification.
use std::ops::Range;

use prost::{DecodeError, Message as _, bytes::Bytes};
use sha2::{Digest as _, Sha256};

use crate::proto::v1;

/// Bytes of a salt: 128 bits cannot be guessed, so neither can a value of which nothing but its commitment is left.
pub const SALT: usize = 16;
/// Stands before salt and fragment, so that a commitment is never taken for a leaf (0) or a node (1) of the tree.
const DOMAIN: u8 = 2;
/// The version of records that commit to their personal values.
pub const RECORD_VERSION: u32 = 2;

/// What the record holds of a fragment: SHA-256 of the byte 2, the salt and the fragment.
pub fn commitment(salt: &[u8], fragment: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([DOMAIN]);
    hash.update(salt);
    hash.update(fragment);
    hash.finalize().into()
}

/// The whole event: what its record says and what lies beside it.
///
/// # Errors
/// The bytes are no event.
pub fn decode(record: &[u8], personal: &[u8]) -> Result<v1::Event, DecodeError> {
    let mut event = v1::Event::decode(record)?;
    event.merge(personal)?;
    Ok(event)
}

/// What became of the value that a commitment stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// It is the one that the record commits to.
    Valid,
    /// It was erased. Nothing of it is there.
    Erased,
    /// It is not the one that the record commits to.
    Altered,
    /// The reader may not see it.
    Withheld,
}

/// One commitment, opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    pub value: Value,
    /// Names of the attributes whose values these are, as far as the fragment tells.
    pub attributes: Vec<String>,
}

/// An event as it came over the wire, taken apart.
#[derive(Clone, PartialEq, Debug)]
pub struct Parts<'a> {
    /// What is hashed.
    pub record: &'a [u8],
    /// One per commitment of the record, in their order.
    pub values: Vec<Opened>,
    /// The whole event.
    pub event: v1::Event,
}

/// Why bytes are not an event as this server sends it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAnEvent {
    #[error("it is no event: {0}")]
    Undecodable(DecodeError),
    /// There is no `record_size`, or it is larger than the event.
    #[error("it does not say where its record ends")]
    NoRecord,
    /// The record commits to another number of values than lie beside it.
    #[error("the record has {commitments} commitments, and {openings} values lie beside it")]
    Openings { commitments: usize, openings: usize },
    /// Something stands outside of the record that it does not commit to.
    #[error("something stands beside the record that it does not commit to")]
    Uncommitted,
}

impl From<DecodeError> for NotAnEvent {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable(error)
    }
}

/// Takes an event apart as it came over the wire (the bytes of an `Event`), and checks every value against its
/// commitment. Whether the record itself is the one in the tree is for its leaf hash to tell.
///
/// # Errors
/// The bytes cannot be told apart, or hold what the record does not commit to.
pub fn open(wire: &[u8]) -> Result<Parts<'_>, NotAnEvent> {
    let event = v1::Event::decode(wire)?;
    let size = usize::try_from(event.record_size).map_err(|_| NotAnEvent::NoRecord)?;
    if size == 0 {
        return Err(NotAnEvent::NoRecord);
    }
    let (record, beside) = wire.split_at_checked(size).ok_or(NotAnEvent::NoRecord)?;
    // Of the bytes before the mark alone: what stands behind must not add to it.
    let committed = v1::Event::decode(record)?;
    let outside = committed.position.is_some()
        || !committed.leaf_hash.is_empty()
        || !committed.openings.is_empty()
        || committed.personal_withheld;
    if outside || committed.record_size != 0 {
        return Err(NotAnEvent::Uncommitted);
    }
    let allowed = |openings: &[v1::Opening]| v1::Event {
        openings: openings.to_vec(),
        position: event.position,
        leaf_hash: event.leaf_hash.clone(),
        record_size: event.record_size,
        personal_withheld: event.personal_withheld,
        ..v1::Event::default()
    };
    if event.personal_withheld {
        let values =
            vec![Opened { value: Value::Withheld, attributes: Vec::new() }; committed.commitments.len()];
        return match allowed(&[]).encode_to_vec() == beside {
            true => Ok(Parts { record, values, event }),
            false => Err(NotAnEvent::Uncommitted),
        };
    }
    let fragments =
        cut(&event.openings, beside).filter(|_| event.openings.len() == committed.commitments.len()).ok_or(
            NotAnEvent::Openings { commitments: committed.commitments.len(), openings: event.openings.len() },
        )?;
    let end = fragments.last().map_or(0, |range| range.end);
    // Behind the fragments lie the openings and what the server adds, to the byte: a text that is there and empty reads
    // like one that is not, and yet takes the place of the one before it.
    if allowed(&event.openings).encode_to_vec() != beside[end..] {
        return Err(NotAnEvent::Uncommitted);
    }
    let mut values = Vec::with_capacity(fragments.len());
    for ((opening, range), commitment) in event.openings.iter().zip(fragments).zip(&committed.commitments) {
        values.push(opened(opening, &beside[range], commitment)?);
    }
    Ok(Parts { record, values, event })
}

fn opened(opening: &v1::Opening, fragment: &[u8], committed: &Bytes) -> Result<Opened, NotAnEvent> {
    let Ok(read) = v1::Event::decode(fragment) else {
        return Ok(Opened { value: Value::Altered, attributes: Vec::new() });
    };
    let attributes: Vec<String> = read.attributes.iter().map(|each| each.name.clone()).collect();
    let value = if opening.erased {
        // A place that was erased tells names and nothing else, to the byte: whatever else stood there would be a
        // forgery.
        let names = read.attributes.iter().map(erased).collect();
        let left = v1::Event { attributes: names, ..v1::Event::default() }.encode_to_vec();
        let nothing = opening.salt.is_empty() && left == fragment;
        if nothing { Value::Erased } else { Value::Altered }
    } else if opening.salt.len() == SALT && commitment(&opening.salt, fragment) == committed.as_ref() {
        Value::Valid
    } else {
        Value::Altered
    };
    Ok(Opened { value, attributes })
}

/// The places of the fragments; `None` when there is not as much.
fn cut(openings: &[v1::Opening], beside: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut end = 0_usize;
    let mut ranges = Vec::with_capacity(openings.len());
    for opening in openings {
        let start = end;
        end = end.checked_add(usize::try_from(opening.size).ok()?)?;
        ranges.push(start..end);
    }
    (end <= beside.len()).then_some(ranges)
}

/// What is left of an attribute.
fn erased(attribute: &v1::Attribute) -> v1::Attribute {
    let v1::Attribute { name, place, .. } = attribute;
    v1::Attribute { name: name.clone(), place: *place, erased: true, ..v1::Attribute::default() }
}

/// What lies beside a record after some of its values were erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erasure {
    pub personal: Vec<u8>,
    /// Values that are gone now and were not before.
    pub values: u64,
}

/// The fragments that are still there, each read as an event of its own.
///
/// # Errors
/// What lies beside the record is no such thing.
pub fn fragments(personal: &[u8]) -> Result<Vec<v1::Event>, NotAnEvent> {
    let (openings, places) = places(personal)?;
    let there = openings.iter().zip(places).filter(|(opening, _)| !opening.erased);
    there.map(|(_, range)| Ok(v1::Event::decode(&personal[range])?)).collect()
}

/// The openings of what lies beside a record, and the places of their fragments.
fn places(personal: &[u8]) -> Result<(Vec<v1::Opening>, Vec<Range<usize>>), NotAnEvent> {
    let openings = v1::Event::decode(personal)?.openings;
    let places =
        cut(&openings, personal).ok_or(NotAnEvent::Openings { commitments: 0, openings: openings.len() })?;
    Ok((openings, places))
}

/// Erases those values whose fragments `goes` names, each read as an event of its own. `None` when there are none.
///
/// # Errors
/// What lies beside the record is no such thing.
pub fn erase(
    personal: &[u8],
    mut goes: impl FnMut(&v1::Event) -> bool,
) -> Result<Option<Erasure>, NotAnEvent> {
    let (openings, fragments) = places(personal)?;
    let (mut bytes, mut kept, mut values) = (Vec::with_capacity(personal.len()), Vec::new(), 0);
    for (opening, range) in openings.into_iter().zip(fragments) {
        let fragment = &personal[range];
        let read = v1::Event::decode(fragment)?;
        if opening.erased || !goes(&read) {
            bytes.extend_from_slice(fragment);
            kept.push(opening);
            continue;
        }
        let names = read.attributes.iter().map(erased).collect();
        let left = v1::Event { attributes: names, ..v1::Event::default() }.encode_to_vec();
        kept.push(v1::Opening {
            size: u32::try_from(left.len()).unwrap_or(u32::MAX),
            erased: true,
            ..v1::Opening::default()
        });
        bytes.extend(left);
        values += 1;
    }
    if values == 0 {
        return Ok(None);
    }
    bytes.extend(v1::Event { openings: kept, ..v1::Event::default() }.encode_to_vec());
    Ok(Some(Erasure { personal: bytes, values }))
}

#[cfg(test)]
#[path = "personal_tests.rs"]
mod tests;
