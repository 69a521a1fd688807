//! An event as an auditor gets it, whatever a server sends: what is told of it is what the record commits to. Two
//! readers that know nothing of each other (one takes events apart as bytes, one decodes them) are compared with a
//! third, the protobuf library.
//!
//! The first byte chooses: bytes as they come; an event of the examples after some edits; a record, with values that
//! it does commit to, cut out of any bytes, and something behind.
use std::sync::LazyLock;

use chancery::{
    event::personal::{self, NotAnEvent, Opened, Parts, Value},
    proto::v1::{Event, Opening},
    verify::{Arrived, Values},
};
use prost::Message as _;

use super::common::{
    edits::edited,
    sealed::{Still, admitted, examples, wire},
};

const SALT: [u8; 16] = *b"no random number";

/// Some of the examples, sealed: record and what lies beside it.
static SEALED: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(|| {
    let clock = Still::new();
    let sealed = examples().step_by(23).filter_map(|event| admitted(event, &clock).ok()?.ok());
    sealed.map(|sealed| (sealed.record().to_vec(), sealed.personal().to_vec())).collect()
});

/// A choice and bytes.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 3 {
        0 => agree(rest),
        1 => {
            let (record, beside) = &SEALED[usize::from(choice / 3) % SEALED.len()];
            let sent = wire(record, beside, 7);
            let altered = edited(&sent, rest);
            agree(&altered);
            unaltered(record, &sent, &altered);
        }
        _ => agree(&committed(rest)),
    }
}

/// What the three readers say of the same bytes.
fn agree(bytes: &[u8]) {
    let whole = Event::decode(bytes);
    let opened = personal::open(bytes);
    let split = Arrived::split(bytes);
    if let Ok(parts) = &opened {
        let whole = whole.as_ref().expect("an event that was opened");
        assert_eq!(parts.event, *whole);
        shown_is_committed(bytes, parts);
        if let Some(split) = &split {
            assert_eq!((split.record, Some(split.position)), (parts.record, parts.event.position));
            assert_eq!(split.leaf_hash, parts.event.leaf_hash[..]);
        }
    }
    let Some(split) = split else { return };
    let Ok(values) = Values::all_of(split.record, split.beside) else { return };
    assert_eq!(values.withheld, 0);
    let Ok(whole) = whole else { return };
    // Of what lies behind the record only the openings may be more than the record and its values.
    let openings = Event::decode(split.beside).map(|beside| beside.openings).unwrap_or_default();
    assert_eq!(openings.len() as u64, values.valid + values.erased);
    let size: usize = openings.iter().map(|each| each.size as usize).sum();
    let hashed = [split.record, &split.beside[..size]].concat();
    if let Ok(committed) = Event::decode(&hashed[..]) {
        assert_eq!(bare(whole), bare(committed), "something that nothing commits to is in {bytes:?}");
    }
    match opened {
        Ok(Parts { values: opened, .. }) => {
            let altered = |each: &&Opened| each.value == Value::Altered;
            if opened.iter().any(|each| altered(&each)) {
                // A value that is no message by itself is altered to one reader; the other compares hashes alone.
                return;
            }
            let erased = opened.iter().filter(|each| each.value == Value::Erased).count() as u64;
            assert_eq!((opened.len() as u64 - erased, erased), (values.valid, values.erased));
        }
        // Records that are none of this server's; what they say of themselves is hashed.
        Err(NotAnEvent::Uncommitted | NotAnEvent::NoRecord | NotAnEvent::Undecodable(_)) => {}
        Err(error @ NotAnEvent::Openings { .. }) => {
            let record = Event::decode(split.record).map(|record| record.commitments).unwrap_or_default();
            // Commitments of another length than a hash count for one reader only.
            assert!(record.iter().any(|each| each.len() != 32) || record.is_empty(), "{error} in {bytes:?}");
        }
    }
}

/// When every value is the one that was committed to, then the event is its record and those values, and nothing else.
fn shown_is_committed(bytes: &[u8], parts: &Parts<'_>) {
    if parts.values.iter().any(|each| each.value != Value::Valid) {
        return;
    }
    let mut left = &bytes[parts.record.len()..];
    let mut event = Event::decode(parts.record).expect("a record");
    for (opening, committed) in parts.event.openings.iter().zip(event.commitments.clone()) {
        let (fragment, behind) = left.split_at(opening.size as usize);
        assert_eq!(personal::commitment(&opening.salt, fragment), committed[..]);
        event.merge(fragment).expect("a value");
        left = behind;
    }
    assert_eq!(bare(parts.event.clone()), bare(event), "{bytes:?}");
}

/// Without what the server adds behind the record and its values.
fn bare(event: Event) -> Event {
    Event { openings: Vec::new(), position: None, leaf_hash: Default::default(), record_size: 0, ..event }
}

/// Edits that leave the record as it is change no value, or that is seen.
fn unaltered(record: &[u8], sent: &[u8], altered: &[u8]) {
    let (Ok(parts), Ok(before)) = (personal::open(altered), personal::open(sent)) else { return };
    if parts.record == record && parts.values.iter().all(|each| each.value == Value::Valid) {
        assert_eq!(bare(parts.event), bare(before.event), "{altered:?}");
    }
}

/// A record, up to three values of it, and what comes behind, from one text of bytes: each part's length stands
/// before it. The record commits to the values as they are.
fn committed(mut bytes: &[u8]) -> Vec<u8> {
    let mut next = || {
        let (length, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let (part, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = rest;
        part
    };
    let mut record = next().to_vec();
    let (first, second, third) = (next(), next(), next());
    let values: Vec<_> = [first, second, third].into_iter().filter(|part| !part.is_empty()).collect();
    let (mut beside, mut openings) = (Vec::new(), Vec::new());
    for value in values {
        let commitment = personal::commitment(&SALT, value).to_vec().into();
        record.extend(Event { commitments: vec![commitment], ..Event::default() }.encode_to_vec());
        beside.extend_from_slice(value);
        let size = u32::try_from(value.len()).expect("a byte's worth");
        openings.push(Opening { salt: SALT.to_vec().into(), size, erased: false });
    }
    beside.extend(Event { openings, ..Event::default() }.encode_to_vec());
    beside.extend_from_slice(bytes);
    wire(&record, &beside, 7)
}
