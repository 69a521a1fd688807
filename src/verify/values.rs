//! Personal values, which lie beside a record that commits to them: whether they are the ones that were committed to,
//! or were erased.
//!
//! Beside a record lie a fragment per commitment, in their order, and then an opening per fragment (docs/proof.md).
//! Read field by field and not as an event, because every record of a log is looked at.
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use sha2::{Digest as _, Sha256};

use super::{Arrived, HASH_BYTES, Hash};

/// Numbers of fields of `Event`.
const ATTRIBUTES: u32 = 17;
const COMMITMENTS: u32 = 22;
const OPENINGS: u32 = 29;
/// Bytes of a salt.
const SALT: usize = 16;
/// Stands before salt and fragment.
const DOMAIN: u8 = 2;

/// What became of the personal values of some records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Values {
    /// They are the ones that the records commit to.
    pub valid: u64,
    /// They were erased: nobody can tell any more what they were.
    pub erased: u64,
    /// They are not there, so they were not checked.
    pub withheld: u64,
    /// Records of which some values were erased.
    pub records_with_erased: u64,
}

impl Values {
    /// Adds those of further records.
    pub const fn add(&mut self, other: &Self) {
        self.valid += other.valid;
        self.erased += other.erased;
        self.withheld += other.withheld;
        self.records_with_erased += other.records_with_erased;
    }

    /// Checks what a server has sent with a record. What it withholds it has to say, and then there is nothing.
    ///
    /// # Errors
    /// Something there is not what the record commits to, or is not there.
    pub fn sent(event: &Arrived<'_>) -> Result<Self, &'static str> {
        if !event.withheld {
            return Self::all_of(event.record, event.beside);
        }
        if !event.beside.is_empty() {
            return Err("values lie beside the record, and the server says that it withholds them");
        }
        Self::of(event.record, &[])
    }

    /// Checks what lies beside a record when nothing is withheld.
    ///
    /// # Errors
    /// Something there is not what the record commits to, or is not there.
    pub fn all_of(record: &[u8], beside: &[u8]) -> Result<Self, &'static str> {
        match Self::of(record, beside)? {
            values if values.withheld > 0 => {
                Err("the values that the record commits to do not lie beside it")
            }
            values => Ok(values),
        }
    }

    /// Checks what lies beside a record. It may have been left out as a whole.
    ///
    /// # Errors
    /// Something there is not what the record commits to.
    pub fn of(record: &[u8], beside: &[u8]) -> Result<Self, &'static str> {
        let commitments = commitments(record);
        if beside.is_empty() {
            return Ok(Self { withheld: commitments.len() as u64, ..Self::default() });
        }
        let (fragments, openings) = parts(beside).ok_or("what lies beside the record cannot be read")?;
        if openings.len() != commitments.len() {
            return Err("the record commits to another number of values than lie beside it");
        }
        let mut values = Self::default();
        let mut rest = fragments;
        for (opening, committed) in openings.iter().zip(commitments) {
            let size = usize::try_from(opening.size).unwrap_or(usize::MAX);
            let (fragment, after) = rest.split_at_checked(size).ok_or("a value is cut off")?;
            rest = after;
            if opening.erased {
                if !opening.salt.is_empty() || !is_erased(fragment) {
                    return Err("something stands in the place of an erased value");
                }
                values.erased += 1;
            } else if opening.salt.len() == SALT && commitment(&opening.salt, fragment) == committed {
                values.valid += 1;
            } else {
                return Err("a value is not the one that the record commits to");
            }
        }
        if !rest.is_empty() {
            return Err("something lies beside the record that it does not commit to");
        }
        values.records_with_erased = u64::from(values.erased > 0);
        Ok(values)
    }
}

/// What a record holds of a fragment.
fn commitment(salt: &[u8], fragment: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([DOMAIN]);
    hash.update(salt);
    hash.update(fragment);
    hash.finalize().into()
}

/// An `Opening` of the contract.
#[derive(Clone, PartialEq, prost::Message)]
struct Opening {
    #[prost(bytes = "vec", tag = "1")]
    salt: Vec<u8>,
    #[prost(uint32, tag = "2")]
    size: u32,
    #[prost(bool, tag = "3")]
    erased: bool,
}

/// An `Attribute` of the contract of which nothing is left but its name and place.
#[derive(Clone, PartialEq, prost::Message)]
struct ErasedAttribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bool, tag = "4")]
    erased: bool,
    #[prost(uint32, optional, tag = "5")]
    place: Option<u32>,
}

/// Reads a message that is written in the one way in which this crate writes it: what is unknown would else pass.
fn exactly<M: prost::Message + Default>(bytes: &[u8]) -> Option<M> {
    M::decode(bytes).ok().filter(|message| message.encode_to_vec() == bytes)
}

/// A field that has a length, or the number of another one.
pub enum Field<'a> {
    Bytes(u32, &'a [u8]),
    Other(u32),
}

impl<'a> Field<'a> {
    /// The next field; none at the end, or where there is none.
    pub fn next(left: &mut &'a [u8]) -> Option<Self> {
        let (number, kind) = decode_key(left).ok()?;
        if kind != WireType::LengthDelimited {
            skip_field(kind, number, left, DecodeContext::default()).ok()?;
            return Some(Self::Other(number));
        }
        let length = usize::try_from(decode_varint(left).ok()?).ok()?;
        let (bytes, after) = left.split_at_checked(length)?;
        *left = after;
        Some(Self::Bytes(number, bytes))
    }
}

/// The commitments of a record. A record that is no event has none: it is in the tree as it is.
fn commitments(record: &[u8]) -> Vec<Hash> {
    let (mut left, mut found) = (record, Vec::new());
    while !left.is_empty() {
        match Field::next(&mut left) {
            Some(Field::Bytes(COMMITMENTS, bytes)) => found.extend(<[u8; HASH_BYTES]>::try_from(bytes)),
            Some(_) => {}
            None => return Vec::new(),
        }
    }
    found
}

/// The bytes of all fragments, and the openings behind them.
fn parts(beside: &[u8]) -> Option<(&[u8], Vec<Opening>)> {
    let mut left = beside;
    let (mut end, mut openings) = (None, Vec::new());
    while !left.is_empty() {
        let at = beside.len() - left.len();
        match Field::next(&mut left)? {
            Field::Bytes(OPENINGS, bytes) => {
                end.get_or_insert(at);
                openings.push(exactly(bytes)?);
            }
            Field::Bytes(number, _) | Field::Other(number) if end.is_some() || number > OPENINGS => {
                return None;
            }
            _ => {}
        }
    }
    Some((&beside[..end?], openings))
}

/// Whether nothing is left of a value but the names of its attributes.
fn is_erased(fragment: &[u8]) -> bool {
    let mut left = fragment;
    while !left.is_empty() {
        let Some(Field::Bytes(ATTRIBUTES, bytes)) = Field::next(&mut left) else { return false };
        if exactly::<ErasedAttribute>(bytes).is_none_or(|attribute| !attribute.erased) {
            return false;
        }
    }
    true
}

#[cfg(test)]
#[path = "values_tests.rs"]
pub mod testing;
