//! Values beside a record, and what can be done to them.
use prost::{
    Message as _,
    encoding::{bytes, message},
};

use super::*;
use crate::proto::v1;

fn fragment(value: &str) -> Vec<u8> {
    let attribute =
        v1::Attribute { name: "user".to_owned(), value: value.to_owned(), ..v1::Attribute::default() };
    let event = v1::Event { actor: value.to_owned(), attributes: vec![attribute], ..v1::Event::default() };
    event.encode_to_vec()
}

fn erased() -> Vec<u8> {
    let attribute = ErasedAttribute { name: "user".to_owned(), erased: true, place: Some(1) };
    let mut fragment = Vec::new();
    message::encode(ATTRIBUTES, &attribute, &mut fragment);
    fragment
}

fn salt(number: u8) -> Vec<u8> {
    vec![number + 1; SALT]
}

/// A record that commits to these values.
fn record(values: &[&str]) -> Vec<u8> {
    let mut record =
        v1::Event { code: "20018".to_owned(), record_version: 2, ..v1::Event::default() }.encode_to_vec();
    for (number, value) in (0..).zip(values) {
        bytes::encode(COMMITMENTS, &commitment(&salt(number), &fragment(value)).to_vec(), &mut record);
    }
    record
}

/// The values as they lie beside it; none for one that was erased.
fn beside(values: &[Option<&str>]) -> Vec<u8> {
    let fragments: Vec<_> = values.iter().map(|value| value.map_or_else(erased, fragment)).collect();
    let mut beside = fragments.concat();
    for ((number, value), fragment) in (0..).zip(values).zip(&fragments) {
        let opening = Opening {
            salt: value.map_or_else(Vec::new, |_| salt(number)),
            size: u32::try_from(fragment.len()).expect("a size"),
            erased: value.is_none(),
        };
        message::encode(OPENINGS, &opening, &mut beside);
    }
    beside
}

/// A record that commits to one value, and what lies beside it: another value, or nothing but a name.
pub fn record_and_beside(committed: &str, value: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    (record(&[committed]), beside(&[value]))
}

#[test]
fn values_are_valid_erased_or_withheld() {
    let record = record(&["ann", "bob"]);
    let of = |beside: &[u8]| Values::of(&record, beside);
    let values = |valid, erased, withheld| {
        Ok(Values { valid, erased, withheld, records_with_erased: u64::from(erased > 0) })
    };
    assert_eq!(of(&beside(&[Some("ann"), Some("bob")])), values(2, 0, 0));
    assert_eq!(of(&beside(&[Some("ann"), None])), values(1, 1, 0));
    assert_eq!(of(&beside(&[None, None])), values(0, 2, 0));
    assert_eq!(of(&[]), values(0, 0, 2));
    assert!(Values::all_of(&record, &[]).is_err() && Values::all_of(&self::record(&[]), &[]).is_ok());
    // Most records have none, and what is no event has none either.
    assert_eq!(Values::of(&self::record(&[]), &[]), Ok(Values::default()));
    assert_eq!(Values::of(b"\xff\xff", &[]), Ok(Values::default()));
}

#[test]
fn a_server_that_withholds_values_has_to_say_so() {
    let (record, whole) = (record(&["ann", "bob"]), beside(&[Some("ann"), Some("bob")]));
    let sent = |beside, withheld| {
        Values::sent(&Arrived { record: &record, beside, withheld, position: 0, leaf_hash: [0; HASH_BYTES] })
    };
    assert_eq!(sent(&whole, false).map(|values| values.valid), Ok(2));
    assert_eq!(sent(&[], true).map(|values| (values.valid, values.withheld)), Ok((0, 2)));
    assert!(sent(&[], false).is_err(), "left out without a word");
    assert!(sent(&whole, true).is_err(), "sent, and said to be withheld: whoever reads it would believe it");
}

#[test]
fn every_bit_beside_a_record_counts_but_for_the_names_of_what_was_erased() {
    let record = record(&["ann", "bob"]);
    for whole in [&[Some("ann"), Some("bob")], &[Some("ann"), None]] {
        let beside = beside(whole);
        let name = beside.windows(4).rposition(|bytes| bytes == b"user").expect("a name");
        for at in 0..beside.len() * 8 {
            let mut altered = beside.clone();
            altered[at / 8] ^= 1 << (at % 8);
            let told = whole[1].is_none() && (name..name + 4).contains(&(at / 8));
            // The place of an erased attribute is the server's word too.
            let place = whole[1].is_none() && at / 8 == name + 4 + 3;
            assert!(Values::of(&record, &altered).is_err() || told || place, "bit {at} of {beside:?}");
        }
        for length in 1..beside.len() {
            assert!(Values::of(&record, &beside[..length]).is_err(), "{length}");
        }
    }
}

#[test]
fn what_the_record_does_not_commit_to_is_refused() {
    let two = record(&["ann", "bob"]);
    let ann = beside(&[Some("ann"), Some("bob")]);
    let actor = v1::Event { actor: "eve".to_owned(), ..v1::Event::default() }.encode_to_vec();
    let wrong = [
        beside(&[Some("bob"), Some("ann")]),
        beside(&[Some("ann")]),
        beside(&[Some("ann"), Some("bob"), None]),
        [&actor, &ann[..]].concat(),
        [&ann[..], &actor].concat(),
        actor.clone(),
        beside(&[]),
    ];
    for beside in wrong.iter().filter(|beside| !beside.is_empty()) {
        assert!(Values::of(&two, beside).is_err(), "{beside:?}");
    }
    assert!(Values::of(&record(&[]), &actor).is_err());
    // A forgery in the place of an erased value.
    let mut forged = actor;
    let opening =
        Opening { size: u32::try_from(forged.len()).expect("a size"), erased: true, salt: Vec::new() };
    message::encode(OPENINGS, &opening, &mut forged);
    assert!(Values::of(&record(&["ann"]), &forged).is_err());
}
