//! What a query answers with: stored records go to the wire as they are.
//!
//! On the wire a field of message type is its length and its bytes, so the bytes of a record stand where an
//! `Event` is declared, followed by the two fields of an event that are not part of its record. Nothing is
//! decoded, and nothing can be encoded differently from what was hashed. Caller: `grpc::query`.
use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, string},
};

use crate::{proto::v1, store::StoredEvent};

/// Numbers of the fields of `QueryResponse`.
const RESUME_TOKEN: u32 = 1;
const EVENT: u32 = 2;

/// A `QueryResponse`.
#[derive(Debug)]
pub enum QueryMessage {
    /// One with an event.
    Event { resume_token: String, event: StoredEvent },
    /// Any other.
    Other(Box<v1::QueryResponse>),
}

/// What an `Event` has besides its record.
fn outside_of_record(event: &StoredEvent) -> v1::Event {
    v1::Event {
        position: Some(event.position),
        leaf_hash: bytes::Bytes::copy_from_slice(&event.leaf_hash),
        ..v1::Event::default()
    }
}

impl Message for QueryMessage {
    fn encode_raw(&self, out: &mut impl BufMut) {
        match self {
            Self::Event { resume_token, event } => {
                let outside = outside_of_record(event);
                string::encode(RESUME_TOKEN, resume_token, out);
                encode_key(EVENT, WireType::LengthDelimited, out);
                encode_varint((event.record.len() + outside.encoded_len()) as u64, out);
                out.put_slice(&event.record);
                outside.encode_raw(out);
            }
            Self::Other(message) => message.encode_raw(out),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Event { resume_token, event } => {
                let event = event.record.len() + outside_of_record(event).encoded_len();
                let key = encoded_len_varint(u64::from(EVENT << 3));
                string::encoded_len(RESUME_TOKEN, resume_token)
                    + key
                    + encoded_len_varint(event as u64)
                    + event
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
        for position in [0, 7, u64::MAX >> 1] {
            let event =
                StoredEvent { position, occurred_at: 0, record: record.clone(), leaf_hash: vec![9; 32] };
            let message = QueryMessage::Event { resume_token: "token".to_owned(), event };
            let wire = message.encode_to_vec();
            assert_eq!(wire.len(), message.encoded_len());
            assert!(wire.windows(record.len()).any(|bytes| bytes == record));
            let whole =
                v1::Event { position: Some(position), leaf_hash: vec![9; 32].into(), ..stored.clone() };
            let expected =
                v1::QueryResponse { resume_token: "token".to_owned(), payload: Some(Payload::Event(whole)) };
            assert_eq!(v1::QueryResponse::decode(wire.as_slice()), Ok(expected));
        }
    }
}
