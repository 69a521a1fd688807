//! [`ValidEvent`] to [`SealedEvent`]: the record bytes, their leaf hash, and the columns that filters
//! use. Pure and outside any lock; only the position is still missing.
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{LogName, Producer, Sequence, timestamp, valid::ValidEvent};
use crate::proto::v1;

/// What the server asserts about the receipt of an event.
pub struct Receipt<'a> {
    /// The log it goes to.
    pub log: &'a LogName,
    /// Who sent it.
    pub producer: &'a Producer,
    /// When, in microseconds since 1970.
    pub received_at: i64,
}

/// An event ready to be numbered: its record will never be serialised again.
pub struct SealedEvent {
    record: Vec<u8>,
    leaf_hash: [u8; 32],
    event_id: Uuid,
    content_hash: [u8; 32],
    sequence: Option<Sequence>,
    columns: Columns,
    warnings: Vec<v1::Warning>,
}

/// The columns that filters, orders and counts use. Everything in them is also in the record.
pub struct Columns {
    pub family: i32,
    pub code: String,
    pub name: String,
    pub category: String,
    pub outcome: i32,
    pub producer: String,
    pub actor: String,
    pub subject: String,
    pub device: String,
    pub correlation_id: String,
    pub occurred_at: i64,
    pub received_at: i64,
    /// See [`attribute_text`].
    pub attributes: String,
}

/// Seals a valid event.
pub fn seal(valid: ValidEvent, receipt: &Receipt<'_>) -> SealedEvent {
    let ValidEvent { event_id, occurred_at, content_hash, mut event, family, outcome } = valid;
    receipt.log.as_str().clone_into(&mut event.log);
    receipt.producer.as_str().clone_into(&mut event.producer);
    event.received_at = Some(timestamp(receipt.received_at));
    let record = event.encode_to_vec();
    let sequence = event.source.as_ref().and_then(Sequence::of);
    let columns = Columns {
        family: family as i32,
        outcome: outcome as i32,
        attributes: attribute_text(&event.attributes),
        code: event.code,
        name: event.name,
        category: event.category,
        producer: event.producer,
        actor: event.actor,
        subject: event.subject,
        device: event.device,
        correlation_id: event.correlation_id,
        occurred_at,
        received_at: receipt.received_at,
    };
    SealedEvent {
        leaf_hash: leaf_hash(&record),
        record,
        event_id,
        content_hash,
        sequence,
        columns,
        warnings: event.warnings,
    }
}

impl SealedEvent {
    /// The exact bytes that are hashed and stored.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// RFC 6962 leaf hash of the record.
    pub const fn leaf_hash(&self) -> &[u8; 32] {
        &self.leaf_hash
    }

    /// The event's id.
    pub const fn event_id(&self) -> Uuid {
        self.event_id
    }

    /// What a second event with the same id is compared with.
    pub const fn content_hash(&self) -> &[u8; 32] {
        &self.content_hash
    }

    /// The producer's number of it.
    pub const fn sequence(&self) -> Option<Sequence> {
        self.sequence
    }

    /// The columns.
    pub const fn columns(&self) -> &Columns {
        &self.columns
    }

    /// What the vendor's documents do not say about the event.
    pub fn take_warnings(&mut self) -> Vec<v1::Warning> {
        std::mem::take(&mut self.warnings)
    }
}

/// SHA-256 of a zero byte and the record (RFC 6962, section 2.1). The zero byte keeps a record from
/// ever being taken for an inner node of the tree.
pub fn leaf_hash(record: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(record);
    hash.finalize().into()
}

/// Stands before and after every attribute of [`attribute_text`]. This and the next two are Unicode
/// noncharacters, which no text for interchange holds; where one does all the same, it is escaped.
pub const ATTRIBUTE_MARK: char = '\u{fdd0}';
/// Stands between an attribute's name and its value.
const VALUE_MARK: char = '\u{fdd1}';
/// Begins the escape of one of the three.
const ESCAPE_MARK: char = '\u{fdd2}';

/// The attributes as one searchable text: name and value each, between marks that neither can hold.
/// One attribute is then found by one substring, whatever its neighbours hold, in any database; and a
/// text found in it lies inside one name or one value.
pub fn attribute_text(attributes: &[v1::Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if text.is_empty() {
            text.push(ATTRIBUTE_MARK);
        }
        attribute_pair(&mut text, &attribute.name, &attribute.value);
    }
    text
}

/// The substring of [`attribute_text`] that says this attribute has this value.
pub fn attribute_needle(name: &str, value: &str) -> String {
    let mut text = String::from(ATTRIBUTE_MARK);
    attribute_pair(&mut text, name, value);
    text
}

/// A text as it stands inside a name or value of [`attribute_text`].
pub fn attribute_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for each in text.chars() {
        match each {
            ATTRIBUTE_MARK => escaped.extend([ESCAPE_MARK, '0']),
            VALUE_MARK => escaped.extend([ESCAPE_MARK, '1']),
            ESCAPE_MARK => escaped.extend([ESCAPE_MARK, '2']),
            each => escaped.push(each),
        }
    }
    escaped
}

fn attribute_pair(text: &mut String, name: &str, value: &str) {
    text.push_str(&attribute_escaped(name));
    text.push(VALUE_MARK);
    text.push_str(&attribute_escaped(value));
    text.push(ATTRIBUTE_MARK);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str, value: &str) -> v1::Attribute {
        v1::Attribute { name: name.to_owned(), value: value.to_owned(), dropped: false }
    }

    #[test]
    fn an_attribute_is_found_by_its_needle_and_nothing_else_is() {
        let hostile = "1\u{fdd0}b\u{fdd1}2\u{fdd0}";
        let text =
            attribute_text(&[attribute("a", hostile), attribute("c", "\u{fdd2}0"), attribute("d", "")]);
        for (name, value, found) in [
            ("a", hostile, true),
            ("c", "\u{fdd2}0", true),
            ("d", "", true),
            ("b", "2", false),
            ("a", "1", false),
            ("c", "\u{fdd0}", false),
        ] {
            assert_eq!(text.contains(&attribute_needle(name, value)), found, "{name}={value:?}");
        }
    }

    #[test]
    fn the_leaf_hash_of_nothing_is_the_published_one() {
        // RFC 6962 leaf hash of the empty entry, as every implementation's test vectors have it.
        let hex: String = leaf_hash(&[]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }
}
