//! An event as it comes over the wire, taken apart without being decoded.
//!
//! The record is the first `record_size` bytes of an `Event`; what follows is not hashed: first what lies beside
//! the record, then position, leaf hash and record size, in this order and once each.
use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::{
    proto::v1,
    tree::{HASH_BYTES, Hash},
};

/// Numbers of the fields of `Event` that end it.
const POSITION: u32 = 30;
const LEAF_HASH: u32 = 31;
const RECORD_SIZE: u32 = 32;
/// The key of `record_size` on the wire: its number and that it is a varint.
const RECORD_SIZE_KEY: [u8; 2] = [0x80, 0x02];

/// A `QueryResponse` of which the event is left as it came: on the wire, a message is its bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub event: Option<Bytes>,
    #[prost(message, optional, tag = "3")]
    pub summary: Option<v1::QuerySummary>,
}

/// An event as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrived<'a> {
    /// The bytes that are hashed.
    pub record: &'a [u8],
    /// Fields that lie beside the record and are not hashed with it.
    pub beside: &'a [u8],
    pub position: u64,
    /// The leaf hash, as the server claims it.
    pub leaf_hash: Hash,
}

impl<'a> Arrived<'a> {
    /// Splits the bytes of an `Event`. The one place that knows where a record ends.
    ///
    /// None when they are not an event of a log.
    pub fn split(event: &'a [u8]) -> Option<Self> {
        let size = record_size(event)?;
        let (record, rest) = event.split_at_checked(size)?;
        let mut left = rest;
        let mut beside = rest.len();
        let (mut position, mut leaf_hash, mut fields) = (None, None, Vec::with_capacity(3));
        while !left.is_empty() {
            let at = rest.len() - left.len();
            let (number, kind) = decode_key(&mut left).ok()?;
            if !(POSITION..=RECORD_SIZE).contains(&number) && fields.is_empty() {
                skip_field(kind, number, &mut left, DecodeContext::default()).ok()?;
                continue;
            }
            beside = beside.min(at);
            fields.push(number);
            match (number, kind) {
                (POSITION, WireType::Varint) => position = Some(decode_varint(&mut left).ok()?),
                (LEAF_HASH, WireType::LengthDelimited) => {
                    let length = usize::try_from(decode_varint(&mut left).ok()?).ok()?;
                    let (hash, after) = left.split_at_checked(length)?;
                    leaf_hash = Some(<[u8; HASH_BYTES]>::try_from(hash).ok()?);
                    left = after;
                }
                (RECORD_SIZE, WireType::Varint) => drop(decode_varint(&mut left).ok()?),
                _ => return None,
            }
        }
        let whole = fields == [POSITION, LEAF_HASH, RECORD_SIZE];
        let (position, leaf_hash) = (position?, leaf_hash?);
        whole.then_some(Self { record, beside: &rest[..beside], position, leaf_hash })
    }
}

/// The last field. Of a varint only the last byte is below 128, so it is found from behind: its bytes are those
/// after the last byte of its key.
fn record_size(event: &[u8]) -> Option<usize> {
    let (last, before) = event.split_last()?;
    let further = before.iter().rev().take_while(|byte| **byte >= 0x80).count();
    let (key, size) = event.split_at_checked(before.len() - further)?;
    if *last >= 0x80 || !key.ends_with(&RECORD_SIZE_KEY) {
        return None;
    }
    usize::try_from(decode_varint(&mut &*size).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn sent(record: &[u8], beside: &[u8], position: u64) -> Vec<u8> {
        let after = v1::Event {
            position: Some(position),
            leaf_hash: vec![7; HASH_BYTES].into(),
            record_size: u32::try_from(record.len()).expect("a short record"),
            ..v1::Event::default()
        };
        [record, beside, &after.encode_to_vec()].concat()
    }

    #[test]
    fn an_event_is_split_where_its_record_ends() {
        for length in [1, 127, 128, 300, 20_000] {
            let actor = "a".repeat(length);
            let record = v1::Event { actor, record_version: 1, ..v1::Event::default() }.encode_to_vec();
            let beside = v1::Event { subject: "ann".to_owned(), ..v1::Event::default() }.encode_to_vec();
            for (position, beside) in [(0, &[][..]), (1 << 40, &[]), (7, &beside)] {
                let event = sent(&record, beside, position);
                let expected = Arrived { record: &record, beside, position, leaf_hash: [7; HASH_BYTES] };
                assert_eq!(Arrived::split(&event), Some(expected));
            }
        }
    }

    #[test]
    fn what_is_no_event_of_a_log_is_refused_and_never_panics() {
        let record = v1::Event { actor: "ann".to_owned(), ..v1::Event::default() }.encode_to_vec();
        let event = sent(&record, &[], 3);
        for length in 0..event.len() {
            assert_eq!(Arrived::split(&event[..length]), None, "{length}");
        }
        // Fields twice, in another order, or behind the last.
        let tail = &event[record.len()..];
        for wrong in [[&event, tail].concat(), [tail, &event].concat(), [&event, &record[..]].concat()] {
            let split = Arrived::split(&wrong);
            assert!(split.is_none_or(|split| split.record != record), "{wrong:?}");
        }
        // Any bit.
        for at in 0..event.len() * 8 {
            let mut altered = event.clone();
            altered[at / 8] ^= 1 << (at % 8);
            let _ = Arrived::split(&altered);
        }
    }
}
