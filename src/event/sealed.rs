//! [`ValidEvent`] to [`SealedEvent`]: the record bytes, their leaf hash, and the columns that filters
//! use. Pure and outside any lock; only the position is still missing.
use std::borrow::Cow;

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{LogName, Producer, Sequence, fragments, micros, timestamp, valid::ValidEvent};
use crate::{clock::Clock, proto::v1};

/// What the server asserts about the receipt of an event.
pub struct Receipt<'a> {
    /// The log it goes to.
    pub log: &'a LogName,
    /// Who sent it.
    pub producer: &'a Producer,
    /// When, in microseconds since 1970.
    pub received_at: i64,
    /// Where salts come from.
    pub clock: &'a dyn Clock,
}

/// An event ready to be numbered: its record will never be serialised again.
pub struct SealedEvent {
    record: Vec<u8>,
    personal: Vec<u8>,
    leaf_hash: [u8; 32],
    event_id: Uuid,
    content_hash: [u8; 32],
    sequence: Option<Sequence>,
    columns: Columns,
    warnings: Vec<v1::Warning>,
}

/// The columns that filters, orders and counts use. Everything in them is also in the event.
#[derive(Clone, Default, Debug)]
pub struct Columns {
    pub family: i32,
    pub code: String,
    pub name: String,
    pub category: String,
    pub outcome: i32,
    /// The CMS audit trail's; 0 where the family has none.
    pub severity: i64,
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

impl Columns {
    /// The columns of a whole event, as they were when it was sealed; without what was erased since.
    pub fn of(event: &v1::Event) -> Self {
        Self {
            family: event.family,
            code: event.code.clone(),
            name: event.name.clone(),
            category: event.category.clone(),
            outcome: event.outcome,
            severity: severity(event),
            producer: event.producer.clone(),
            actor: event.actor.clone(),
            subject: event.subject.clone(),
            device: event.device.clone(),
            correlation_id: event.correlation_id.clone(),
            occurred_at: event.occurred_at.as_ref().map(micros).unwrap_or_default(),
            received_at: event.received_at.as_ref().map(micros).unwrap_or_default(),
            attributes: attribute_text(&event.attributes),
        }
    }
}

fn severity(event: &v1::Event) -> i64 {
    i64::from(event.severity.unwrap_or_default())
}

/// Seals a valid event.
pub fn seal(valid: ValidEvent, receipt: &Receipt<'_>) -> SealedEvent {
    let ValidEvent { event_id, occurred_at, content_hash, mut event, family, outcome, personal } = valid;
    receipt.log.as_str().clone_into(&mut event.log);
    receipt.producer.as_str().clone_into(&mut event.producer);
    event.received_at = Some(timestamp(receipt.received_at));
    let sequence = event.source.as_ref().and_then(Sequence::of);
    // The whole event's, before its personal values leave it.
    let (actor, subject, device) = (event.actor.clone(), event.subject.clone(), event.device.clone());
    let mut in_order = personal.iter().map(|each| each.attribute).peekable();
    let (mut public, mut erasable) = (Vec::new(), Vec::new());
    for (at, attribute) in event.attributes.iter().enumerate() {
        if in_order.next_if_eq(&at).is_some() { erasable.push(attribute) } else { public.push(attribute) }
    }
    let attributes = attribute_text(public.into_iter().chain(erasable));
    let personal = fragments::take(&mut event, &personal, receipt.clock);
    let record = event.encode_to_vec();
    let columns = Columns {
        family: family as i32,
        outcome: outcome as i32,
        severity: severity(&event),
        attributes,
        code: event.code,
        name: event.name,
        category: event.category,
        producer: event.producer,
        actor,
        subject,
        device,
        correlation_id: event.correlation_id,
        occurred_at,
        received_at: receipt.received_at,
    };
    SealedEvent {
        leaf_hash: leaf_hash(&record),
        record,
        personal,
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

    /// What lies beside the record: personal values and their salts (see [`super::personal`]).
    pub fn personal(&self) -> &[u8] {
        &self.personal
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

/// Stands before and after every attribute of [`attribute_text`]. This and the next four are Unicode
/// noncharacters, which no text for interchange holds; where one does all the same, it is escaped.
pub const ATTRIBUTE_MARK: char = '\u{fdd0}';
/// Stands between an attribute's name and its value.
pub const VALUE_MARK: char = '\u{fdd1}';
/// Begins the escape of one of the five. It is followed by three digits, of which there are two: an escape has
/// no character that other texts have, and begins nowhere inside another, so that what is found in an escaped
/// text is in the text.
const ESCAPE_MARK: char = '\u{fdd2}';
const DIGITS: [char; 2] = ['\u{fdd3}', '\u{fdd4}'];

/// The attributes as one searchable text: name and value each, between marks that neither can hold.
/// One attribute is then found by one substring, whatever its neighbours hold, in any database; and a
/// text found in it lies inside one name or one value.
///
/// What was erased is left out: a filter must not tell of it.
pub fn attribute_text<'a>(attributes: impl IntoIterator<Item = &'a v1::Attribute>) -> String {
    let mut text = String::new();
    for attribute in attributes.into_iter().filter(|each| !each.erased) {
        if text.is_empty() {
            text.push(ATTRIBUTE_MARK);
        }
        text.push_str(&attribute_escaped(&attribute.name));
        text.push(VALUE_MARK);
        text.push_str(&attribute_escaped(&attribute.value));
        text.push(ATTRIBUTE_MARK);
    }
    text
}

/// Names and values of an [`attribute_text`], both escaped.
pub fn attribute_pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(ATTRIBUTE_MARK).filter_map(|pair| pair.split_once(VALUE_MARK))
}

/// The substring of [`attribute_text`] with which this attribute begins, up to its value.
pub fn attribute_beginning(name: &str) -> String {
    format!("{ATTRIBUTE_MARK}{}{VALUE_MARK}", attribute_escaped(name))
}

/// A text as it stands inside a name or value of [`attribute_text`]: nearly always itself.
pub fn attribute_escaped(text: &str) -> Cow<'_, str> {
    // All five begin with this byte, and hardly any other character in use does.
    if memchr::memchr(0xef, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for each in text.chars() {
        match u32::from(each).checked_sub(u32::from(ATTRIBUTE_MARK)) {
            Some(number @ 0..=4) => {
                escaped.push(ESCAPE_MARK);
                escaped.extend([4, 2, 1].map(|bit| DIGITS[usize::from(number & bit != 0)]));
            }
            _ => escaped.push(each),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str, value: &str) -> v1::Attribute {
        v1::Attribute { name: name.to_owned(), value: value.to_owned(), ..v1::Attribute::default() }
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
            let needle = format!("{}{}{ATTRIBUTE_MARK}", attribute_beginning(name), attribute_escaped(value));
            assert_eq!(text.contains(&needle), found, "{name}={value:?}");
            let pair = (&*attribute_escaped(name), &*attribute_escaped(value));
            assert_eq!(attribute_pairs(&text).any(|each| each == pair), found, "{name}={value:?}");
        }
    }

    /// What is found in an escaped text is in the text, and the other way round.
    #[test]
    fn a_text_is_found_in_its_escape_where_it_is_in_the_text() {
        let alphabet = ['a', '0', '\u{fdcf}', '\u{fdd0}', '\u{fdd1}', '\u{fdd2}', '\u{fdd3}', '\u{fdd4}'];
        let texts = |length: u32| {
            (0..8_usize.pow(length))
                .map(move |number| (0..length).map(|at| alphabet[number >> (3 * at) & 7]).collect::<String>())
        };
        let wanted: Vec<_> = texts(1).chain(texts(2)).collect();
        for text in texts(3) {
            for wanted in &wanted {
                let found = attribute_escaped(&text).contains(&*attribute_escaped(wanted));
                assert_eq!(found, text.contains(wanted), "{wanted:?} in {text:?}");
            }
        }
    }

    #[test]
    fn the_leaf_hash_of_nothing_is_the_published_one() {
        // RFC 6962 leaf hash of the empty entry, as every implementation's test vectors have it.
        let hex: String = leaf_hash(&[]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }
}
