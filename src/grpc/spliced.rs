//! What queries and `GetEvent` answer with: stored records go to the wire as they are.
//!
//! On the wire a field of message type is its length and its bytes, so the bytes of a record stand where an
//! `Event` is declared, followed by its personal values with their openings (`event::personal`) and by the fields of
//! an event that are not part of its record. Nothing is
//! decoded, and nothing can be encoded differently from what was hashed. Callers: `grpc::query`, `grpc::audit`.
use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message,
    encoding::{
        DecodeContext, WireType, bool, encode_key, encode_varint, encoded_len_varint, key_len, skip_field,
        string, uint64,
    },
};

use tonic::Status;

use super::status;
use crate::{auth::Scope, catalog::model::Family, proto::v1, store::StoredEvent};

/// Numbers of the fields of `QueryResponse`.
const RESUME_TOKEN: u32 = 1;
const EVENT: u32 = 2;
/// Number of the field of `GetEventResponse`.
const GOT_EVENT: u32 = 1;
/// Numbers of those fields of `Event` that are not in its record.
const POSITION: u32 = 30;
const LEAF_HASH: u32 = 31;
const RECORD_SIZE: u32 = 32;
const PERSONAL_WITHHELD: u32 = 33;

/// A `QueryResponse`.
#[derive(Debug)]
pub enum QueryMessage {
    /// One with an event.
    Event { resume_token: String, event: Seen },
    /// Any other.
    Other(Box<v1::QueryResponse>),
}

/// An event as somebody sees it.
#[derive(Debug)]
pub struct Seen {
    event: StoredEvent,
    view: View,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum View {
    Whole,
    /// Without what lies beside the record.
    Withheld,
    /// Without the record as well: the bytes in its place are what is left of it.
    Left,
}

/// What a scope shows of an event; `None` for nothing.
///
/// # Errors
/// The record cannot be read, which is logged.
pub fn seen(event: StoredEvent, scope: &Scope) -> Result<Option<Seen>, Status> {
    // Nothing is decoded for those who see everything.
    if scope.families().is_none() && scope.personal() {
        return Ok(Some(Seen { event, view: View::Whole }));
    }
    let record = v1::Event::decode(event.record.as_slice()).map_err(|error| {
        tracing::error!(position = event.position, %error, "a record cannot be read");
        status::internal()
    })?;
    if !scope.sees(Family::from_proto(record.family)) {
        return Ok(None);
    }
    if scope.personal() {
        return Ok(Some(Seen { event, view: View::Whole }));
    }
    let (record, view) = match record.record_version {
        0 | 1 => (public_part(record).encode_to_vec(), View::Left),
        _ => (event.record, View::Withheld),
    };
    Ok(Some(Seen { event: StoredEvent { record, personal: Vec::new(), ..event }, view }))
}

/// What has no person in it.
fn public_part(record: v1::Event) -> v1::Event {
    v1::Event {
        log: record.log,
        event_id: record.event_id,
        family: record.family,
        code: record.code,
        name: record.name,
        category: record.category,
        outcome: record.outcome,
        occurred_at: record.occurred_at,
        received_at: record.received_at,
        producer: record.producer,
        catalog_version: record.catalog_version,
        record_version: record.record_version,
        ..v1::Event::default()
    }
}

/// A number of 32 bits and one of 64 look alike on the wire.
const fn record_size(seen: &Seen) -> u64 {
    match seen.view {
        View::Whole | View::Withheld => seen.event.record.len() as u64,
        View::Left => 0,
    }
}

/// Bytes of an `Event`: its record, what lies beside it, and the fields besides.
fn event_len(seen: &Seen) -> usize {
    let event = &seen.event;
    // One more byte each for their lengths.
    let leaf_hash = key_len(LEAF_HASH) + 1 + event.leaf_hash.len();
    let position = uint64::encoded_len(POSITION, &event.position);
    let withheld = match seen.view {
        View::Whole => 0,
        View::Withheld | View::Left => bool::encoded_len(PERSONAL_WITHHELD, &true),
    };
    event.record.len()
        + event.personal.len()
        + position
        + leaf_hash
        + uint64::encoded_len(RECORD_SIZE, &record_size(seen))
        + withheld
}

/// Bytes of a field that holds an `Event`.
fn field_len(field: u32, event: &Seen) -> usize {
    let event = event_len(event);
    key_len(field) + encoded_len_varint(event as u64) + event
}

/// Writes a field that holds an `Event`.
fn encode_event(field: u32, seen: &Seen, out: &mut impl BufMut) {
    let event = &seen.event;
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(event_len(seen) as u64, out);
    out.put_slice(&event.record);
    out.put_slice(&event.personal);
    uint64::encode(POSITION, &event.position, out);
    encode_key(LEAF_HASH, WireType::LengthDelimited, out);
    encode_varint(event.leaf_hash.len() as u64, out);
    out.put_slice(&event.leaf_hash);
    uint64::encode(RECORD_SIZE, &record_size(seen), out);
    if seen.view != View::Whole {
        bool::encode(PERSONAL_WITHHELD, &true, out);
    }
}

/// A `GetEventResponse`.
#[derive(Debug)]
pub struct GetEventMessage(pub Seen);

impl Message for GetEventMessage {
    fn encode_raw(&self, out: &mut impl BufMut) {
        encode_event(GOT_EVENT, &self.0, out);
    }

    fn encoded_len(&self) -> usize {
        field_len(GOT_EVENT, &self.0)
    }

    /// Part of the trait; a server does not read its own answers.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        from: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, from, context)
    }

    fn clear(&mut self) {}
}

impl Message for QueryMessage {
    fn encode_raw(&self, out: &mut impl BufMut) {
        match self {
            Self::Event { resume_token, event } => {
                string::encode(RESUME_TOKEN, resume_token, out);
                encode_event(EVENT, event, out);
            }
            Self::Other(message) => message.encode_raw(out),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Event { resume_token, event } => {
                string::encoded_len(RESUME_TOKEN, resume_token) + field_len(EVENT, event)
            }
            Self::Other(message) => message.encoded_len(),
        }
    }

    /// Part of the trait; a server does not read its own answers.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        from: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match self {
            Self::Event { .. } => {
                self.clear();
                self.merge_field(tag, wire_type, from, context)
            }
            Self::Other(message) => message.merge_field(tag, wire_type, from, context),
        }
    }

    fn clear(&mut self) {
        *self = Self::Other(Box::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::query_response::Payload;

    #[test]
    fn the_wire_holds_the_record_byte_for_byte_and_reads_as_a_response() {
        let stored = v1::Event { event_id: "id".to_owned(), record_version: 1, ..v1::Event::default() };
        let record = stored.encode_to_vec();
        let fragment = v1::Event { actor: "ann".to_owned(), ..v1::Event::default() };
        let personal = fragment.encode_to_vec();
        for position in [0, 7, u64::MAX >> 1] {
            let event = StoredEvent {
                position,
                occurred_at: 0,
                record: record.clone(),
                personal: personal.clone(),
                leaf_hash: [9; 32],
            };
            let event = seen(event, &Scope::everything()).expect("a record").expect("seen");
            let message = QueryMessage::Event { resume_token: "token".to_owned(), event };
            let wire = message.encode_to_vec();
            assert_eq!(wire.len(), message.encoded_len());
            let QueryMessage::Event { event, .. } = message else { unreachable!("made above") };
            let got = GetEventMessage(event);
            let got_wire = got.encode_to_vec();
            assert_eq!(got_wire.len(), got.encoded_len());
            let beside = [record.as_slice(), &personal].concat();
            assert!(wire.windows(beside.len()).any(|bytes| bytes == beside));
            let whole = v1::Event {
                position: Some(position),
                actor: "ann".to_owned(),
                leaf_hash: vec![9; 32].into(),
                record_size: u32::try_from(record.len()).expect("a short record"),
                ..stored.clone()
            };
            let expected = v1::GetEventResponse { event: Some(whole.clone()) };
            assert_eq!(v1::GetEventResponse::decode(got_wire.as_slice()), Ok(expected));
            let expected =
                v1::QueryResponse { resume_token: "token".to_owned(), payload: Some(Payload::Event(whole)) };
            assert_eq!(v1::QueryResponse::decode(wire.as_slice()), Ok(expected));
        }
    }
}
