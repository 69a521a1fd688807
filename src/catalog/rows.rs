//! Reads the positional fields of the CMS families by the documented rows of a code.
//!
//! An event is valid when it matches any row of its severity or status. The row that matches with the
//! fewest warnings names the fields; the first of equals wins, so a row that is more exact stands
//! first in the catalog file. Called by `cms_audit` and `cms_notification`.
use std::borrow::Cow;

use super::{
    model::{Attribute, AttributeUse, EventType, Field, FieldSpec, Row, ValueKind},
    reading::{Origin, Reading, not_null, shown, unquoted, warning},
    rejection::Violation,
};

/// A field's value as the product sent it.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// Null, absent, or nothing but blanks.
    Absent,
    /// A Num field.
    Number(i32),
    /// A Char field or id.
    Text(&'a str),
}

impl<'a> Value<'a> {
    /// From an optional Char field.
    pub fn text(value: Option<&'a String>) -> Self {
        value.map_or(Self::Absent, |text| Self::Text(text))
    }

    /// From an optional Num field.
    pub fn number(value: Option<i32>) -> Self {
        value.map_or(Self::Absent, Self::Number)
    }

    fn to_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Absent => None,
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Text(text) => not_null(text).map(|text| Cow::Borrowed(unquoted(text))),
        }
    }
}

/// The outcome of reading one row.
struct RowReading {
    reading: Reading,
    /// How much the event had to be bent to fit, besides its warnings: composites without their
    /// separator, which a second row may explain better.
    bent: usize,
}

/// The best row of `rows` for an event, with its reading. When every row is violated, the reading of
/// the one violated least, so that its violations say what would have been accepted.
pub fn best<'t>(
    event_type: &'t EventType,
    rows: impl Iterator<Item = &'t Row>,
    get: impl Fn(Field) -> Value<'t>,
) -> Option<(&'t Row, Reading)> {
    rows.map(|row| (row, read(event_type, row, &get)))
        .min_by_key(|(_, read)| (read.reading.violations.len(), read.reading.warnings.len() + read.bent))
        .map(|(row, read)| (row, read.reading))
}

fn read<'t>(event_type: &EventType, row: &Row, get: &impl Fn(Field) -> Value<'t>) -> RowReading {
    let mut read = RowReading { reading: Reading::default(), bent: 0 };
    for (field, spec) in &row.fields {
        let path = || format!("{}.{}", event_type.family, field.name());
        let value = get(*field);
        if let Some((_, secret)) = event_type.secret_fields.iter().find(|(secret, _)| secret == field) {
            // The policy left an empty value where there was one.
            if !matches!(value, Value::Absent) {
                read.reading.dropped(&secret.name);
            }
            continue;
        }
        match spec {
            FieldSpec::Unused => unused(&mut read.reading, *field, value, path),
            FieldSpec::One(each) => one(&mut read, *field, each, value, path),
            FieldSpec::Composite { parts, separator, from_end } => {
                composite(&mut read, *field, parts, (*separator, *from_end), value, path);
            }
        }
    }
    read
}

/// 0, null, empty and absent are one thing in an unused field; anything else is flagged, because the
/// vendors' documents lag their products.
fn unused(reading: &mut Reading, field: Field, value: Value<'_>, path: impl Fn() -> String) {
    let Some(text) = value.to_text().filter(|text| text != "0") else { return };
    // The warning stays when the value is erased.
    let description = "the vendor documents this field as unused here, but it holds a value";
    reading.warn(warning::FIELD_NOT_DOCUMENTED, path(), description);
    reading.take_unlisted(field.name().to_owned(), &text, Origin::Field(field));
}

fn one(
    read: &mut RowReading,
    field: Field,
    each: &AttributeUse,
    value: Value<'_>,
    path: impl Fn() -> String,
) {
    let text = value.to_text();
    if let Some(constant) = &each.constant {
        let matches = match &text {
            Some(text) => text == constant,
            None => constant == "0",
        };
        if !matches {
            let got = text.map_or_else(|| "nothing".to_owned(), |text| format!("{:?}", shown(&text)));
            let description = format!("{got} is not the documented {} {constant:?}", each.attribute.name);
            read.reading.violations.push(Violation::new(path(), description));
            return;
        }
        read.reading.take(&each.attribute, constant, path, || Origin::Field(field));
        return;
    }
    if let Some(text) = text {
        named(&mut read.reading, field, &each.attribute, &text, path);
    }
}

fn composite(
    read: &mut RowReading,
    field: Field,
    parts: &[AttributeUse],
    (separator, from_end): (char, bool),
    value: Value<'_>,
    path: impl Fn() -> String + Copy,
) {
    let Some(text) = value.to_text() else { return };
    let mut pieces: Vec<&str> = if from_end {
        let mut pieces: Vec<_> = text.rsplitn(parts.len(), separator).collect();
        pieces.reverse();
        pieces
    } else {
        text.splitn(parts.len(), separator).collect()
    };
    // A distinguished name holds separators of its own.
    if pieces.len() == 1 || pieces[0].contains('=') {
        read.bent += 1;
    }
    if pieces.len() == 1 {
        let alone = parts.iter().position(|part| !part.attribute.roles.is_empty()).unwrap_or(0);
        pieces = std::iter::repeat_n("", alone).chain([pieces[0]]).collect();
    }
    // A tail that the documents lost may end in the separator itself: `PIV;profile;`.
    if let Some(last) = pieces.last_mut() {
        *last = last.trim().trim_end_matches(separator);
    }
    for (part, piece) in parts.iter().zip(pieces) {
        if let Some(piece) = not_null(piece) {
            named(&mut read.reading, field, &part.attribute, piece.trim(), path);
        }
    }
}

fn named(reading: &mut Reading, field: Field, attribute: &Attribute, text: &str, path: impl Fn() -> String) {
    if attribute.kind == ValueKind::Integer && text.parse::<i32>().is_err() {
        let description = format!("{:?} is not a 32-bit integer, which {} is", shown(text), attribute.name);
        reading.violations.push(Violation::new(path(), description));
        return;
    }
    reading.take(attribute, text, path, || Origin::Field(field));
}

/// Names fields by themselves, for an event of a code that the catalog does not know.
pub fn unexplained<'t>(
    reading: &mut Reading,
    family: super::model::Family,
    get: impl Fn(Field) -> Value<'t>,
) {
    for field in Field::of(family) {
        match get(*field).to_text() {
            Some(text) if text != "0" => {
                reading.take_unlisted(field.name().to_owned(), &text, Origin::Field(*field));
            }
            _ => {}
        }
    }
}
