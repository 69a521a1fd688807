//! An event as it comes over the wire, taken apart without being decoded.
//!
//! The record is the first `record_size` bytes of an `Event`; what follows is not hashed: first what lies beside
//! the record, then position, leaf hash and record size, in this order and once each. Behind them a server may say
//! that it withholds personal values from this caller.
use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::{
    event::leaf_hash,
    proto::v1,
    tree::{HASH_BYTES, Hash},
};

/// Numbers of the fields of `Event` that end it.
const POSITION: u32 = 30;
const LEAF_HASH: u32 = 31;
const RECORD_SIZE: u32 = 32;
/// `personal_withheld` on the wire, set. No number ends in it: of the bytes of a number only the last is below 128.
const WITHHELD: [u8; 3] = [0x88, 0x02, 1];
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
    /// Personal values, which lie beside the record and are not hashed with it: see [`super::Values`].
    pub beside: &'a [u8],
    /// The server says that this caller may not see personal values.
    pub withheld: bool,
    pub position: u64,
    /// The leaf hash, as the server claims it.
    pub leaf_hash: Hash,
}

/// Why a record was not shown.
pub const UNSEEN: &str = "cannot be verified by this caller: the record holds personal values, which the server withholds \
                          from it";

impl<'a> Arrived<'a> {
    /// Splits the bytes of an `Event`. The one place that knows where a record ends.
    ///
    /// None when they are not an event of a log.
    pub fn split(event: &'a [u8]) -> Option<Self> {
        let (event, withheld) = match event.strip_suffix(&WITHHELD) {
            Some(before) => (before, true),
            None => (event, false),
        };
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
        whole.then_some(Self { record, beside: &rest[..beside], withheld, position, leaf_hash })
    }

    /// Whether the record was not shown, because it holds personal values. What lies beside it then is what is left
    /// of it, which nobody can check.
    pub const fn is_unseen(&self) -> bool {
        self.withheld && self.record.is_empty()
    }

    /// The leaf hash of the record; of one that was not shown, the claimed one.
    pub fn leaf(&self) -> Hash {
        if self.is_unseen() { self.leaf_hash } else { leaf_hash(self.record) }
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
                let expected = Arrived {
                    record: &record,
                    beside,
                    withheld: false,
                    position,
                    leaf_hash: [7; HASH_BYTES],
                };
                assert_eq!(Arrived::split(&event), Some(expected.clone()));
                let withheld = [&event[..], &WITHHELD].concat();
                assert_eq!(Arrived::split(&withheld), Some(Arrived { withheld: true, ..expected }));
            }
        }
    }

    #[test]
    fn a_server_that_withholds_says_so_at_the_end_and_in_one_way() {
        let record = v1::Event { actor: "ann".to_owned(), ..v1::Event::default() }.encode_to_vec();
        let event = sent(&record, &[], 3);
        let said = v1::Event { personal_withheld: true, ..v1::Event::default() }.encode_to_vec();
        assert_eq!(said, WITHHELD);
        let whole = [&event[..], &said].concat();
        let seen = Arrived::split(&whole).expect("an event");
        assert!(seen.withheld && !seen.is_unseen() && seen.leaf() == leaf_hash(&record));
        // Sizes whose bytes could be taken for it.
        for size in [1, 0x82, 0x102, 0x108, 0x4002] {
            let record = vec![0; size];
            let event = sent(&record, &[], 3);
            assert_eq!(Arrived::split(&event).map(|it| it.withheld), Some(false), "{size}");
        }
        for wrong in [
            [&said[..], &event].concat(),
            [&event, &said[..], &said].concat(),
            [&event, &[0x88, 2, 0][..]].concat(),
        ] {
            assert!(Arrived::split(&wrong).is_none_or(|split| split.record != record), "{wrong:?}");
        }
        // Of a record that holds the values nothing but some fields is left.
        let left = v1::Event {
            code: "1".to_owned(),
            position: Some(3),
            leaf_hash: vec![7; HASH_BYTES].into(),
            record_size: 0,
            personal_withheld: true,
            ..v1::Event::default()
        };
        let mut left = left.encode_to_vec();
        // As the server writes it, with its zero.
        left.splice(left.len() - 3..left.len() - 3, [0x80, 0x02, 0]);
        let unseen = Arrived::split(&left).expect("an event");
        assert!(unseen.is_unseen() && unseen.leaf() == [7; HASH_BYTES] && !unseen.beside.is_empty());
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
