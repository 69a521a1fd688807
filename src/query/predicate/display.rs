//! The tree in the filter language, with parentheses wherever two kinds of joints meet, so that nobody has to
//! know what binds tighter. Parsed again it is the same condition, as long as it stays within the limits of an
//! expression.
use std::fmt;

use super::{NumberColumn, Predicate, enum_name};
use crate::event::rfc3339;

/// Positions begin at 0.
const EVERY_EVENT: &str = "position >= 0";
const NO_EVENT: &str = "position < 0";

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The empty expression.
            Self::All(all) if all.is_empty() => Ok(()),
            Self::All(all) => f.write_str(&terms(all).join(" AND ")),
            other => f.write_str(&term(other)),
        }
    }
}

/// The terms of a conjunction. Two bounds around one number are one term.
fn terms(all: &[Predicate]) -> Vec<String> {
    let (mut terms, mut rest) = (Vec::new(), all);
    while let [first, after @ ..] = rest {
        rest = after;
        if let (Predicate::From(column, number), [Predicate::Before(same, end), after @ ..]) = (first, after)
            && column == same
            && number.checked_add(1) == Some(*end)
        {
            terms.push(format!("{} = {}", column.name(), numeral(*column, *number)));
            rest = after;
        } else {
            terms.push(term(first));
        }
    }
    terms
}

/// A condition that can stand beside any joint.
fn term(predicate: &Predicate) -> String {
    match predicate {
        Predicate::All(all) => match terms(all).as_slice() {
            [] => EVERY_EVENT.to_owned(),
            [one] => one.clone(),
            several => format!("({})", several.join(" AND ")),
        },
        Predicate::Any(any) => match any.as_slice() {
            [] => NO_EVENT.to_owned(),
            several => one_of(several.iter().map(term)),
        },
        Predicate::Not(inner) => match inner.as_ref() {
            Predicate::Text(column, values) if values.len() == 1 => {
                format!("{} != {}", column.name(), quoted(&values[0]))
            }
            Predicate::TextPrefix(column, prefix) if !prefix.is_empty() => {
                format!("{} != {}", column.name(), beginning(prefix))
            }
            Predicate::Enum(column, values) if values.len() == 1 => {
                format!("{} != {}", column.name(), enum_name(*column, values[0]))
            }
            Predicate::Attribute { name, value } => format!("{} != {}", attribute(name), quoted(value)),
            Predicate::AttributePrefix { name, prefix } if !prefix.is_empty() => {
                format!("{} != {}", attribute(name), beginning(prefix))
            }
            other => negated(&term(other)),
        },
        Predicate::Text(column, values) => {
            one_of(values.iter().map(|value| format!("{} = {}", column.name(), quoted(value))))
        }
        Predicate::TextPrefix(_, prefix) if prefix.is_empty() => EVERY_EVENT.to_owned(),
        Predicate::TextPrefix(column, prefix) => format!("{} = {}", column.name(), beginning(prefix)),
        Predicate::TextContains(column, text) => format!("{}:{}", column.name(), quoted(text)),
        Predicate::Enum(column, values) => {
            one_of(values.iter().map(|value| format!("{} = {}", column.name(), enum_name(*column, *value))))
        }
        Predicate::From(column, number) => format!("{} >= {}", column.name(), numeral(*column, *number)),
        Predicate::Before(column, number) => format!("{} < {}", column.name(), numeral(*column, *number)),
        Predicate::Attribute { name, value } => format!("{} = {}", attribute(name), quoted(value)),
        Predicate::AttributePrefix { name, prefix } if !prefix.is_empty() => {
            format!("{} = {}", attribute(name), beginning(prefix))
        }
        Predicate::AttributePresent { name } | Predicate::AttributePrefix { name, .. } => {
            format!("{}:*", attribute(name))
        }
        Predicate::AttributeContains { name, text } => format!("{}:{}", attribute(name), quoted(text)),
        Predicate::Contains(text) => quoted(text),
    }
}

fn one_of(terms: impl Iterator<Item = String>) -> String {
    let terms: Vec<_> = terms.collect();
    match terms.as_slice() {
        [] => NO_EVENT.to_owned(),
        [one] => one.clone(),
        several => format!("({})", several.join(" OR ")),
    }
}

/// `NOT NOT` is no expression.
fn negated(term: &str) -> String {
    match term.starts_with("NOT ") {
        true => format!("NOT ({term})"),
        false => format!("NOT {term}"),
    }
}

fn attribute(name: &str) -> String {
    let plain = |each: char| each.is_ascii_alphanumeric() || each == '_';
    match !name.is_empty() && name.chars().all(plain) {
        true => format!("attributes.{name}"),
        false => format!("attributes.{}", quoted(name)),
    }
}

/// A text between quotation marks. An asterisk is escaped, because a bare one is a wildcard.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn beginning(prefix: &str) -> String {
    format!("\"{}*\"", escaped(prefix))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for each in text.chars() {
        match each {
            '\\' | '"' | '*' => escaped.extend(['\\', each]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            each => escaped.push(each),
        }
    }
    escaped
}

fn numeral(column: NumberColumn, number: i64) -> String {
    if !column.is_time() {
        return number.to_string();
    }
    format!("\"{}\"", rfc3339(number))
}
