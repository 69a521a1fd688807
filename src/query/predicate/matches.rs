//! A predicate over one event in memory: what `store::sql` makes of it, without a database. Followers evaluate
//! it for every event that is committed, so the equality cases allocate nothing.
use super::{EnumColumn, NumberColumn, Predicate, TextColumn};
use crate::event::{Columns, attribute_escaped, attribute_pairs};

/// An event as a predicate sees it.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub position: u64,
    pub columns: &'a Columns,
}

impl Row<'_> {
    fn text(&self, column: TextColumn) -> &str {
        match column {
            TextColumn::Code => &self.columns.code,
            TextColumn::Name => &self.columns.name,
            TextColumn::Category => &self.columns.category,
            TextColumn::Producer => &self.columns.producer,
            TextColumn::Actor => &self.columns.actor,
            TextColumn::Subject => &self.columns.subject,
            TextColumn::Device => &self.columns.device,
            TextColumn::CorrelationId => &self.columns.correlation_id,
        }
    }

    fn number(&self, column: NumberColumn) -> i64 {
        match column {
            NumberColumn::Position => i64::try_from(self.position).unwrap_or(i64::MAX),
            NumberColumn::Severity => self.columns.severity,
            NumberColumn::OccurredAt => self.columns.occurred_at,
            NumberColumn::ReceivedAt => self.columns.received_at,
        }
    }

    const fn value(&self, column: EnumColumn) -> i32 {
        match column {
            EnumColumn::Family => self.columns.family,
            EnumColumn::Outcome => self.columns.outcome,
        }
    }

    fn attribute(&self, name: &str, holds: impl Fn(&str) -> bool) -> bool {
        with_escaped(name, |name| {
            attribute_pairs(&self.columns.attributes).any(|(each, value)| each == name && holds(value))
        })
    }
}

/// Columns whose texts [`Predicate::Contains`] looks at, apart from the attributes.
pub const SEARCHED: [TextColumn; 7] = [
    TextColumn::Code,
    TextColumn::Name,
    TextColumn::Category,
    TextColumn::Actor,
    TextColumn::Subject,
    TextColumn::Device,
    TextColumn::CorrelationId,
];

impl Predicate {
    /// Whether the condition holds for an event.
    pub fn matches(&self, event: &Row<'_>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|each| each.matches(event)),
            Self::Any(any) => any.iter().any(|each| each.matches(event)),
            Self::Not(inner) => !inner.matches(event),
            Self::Text(column, values) => {
                let text = event.text(*column);
                values.iter().any(|value| value == text)
            }
            Self::TextPrefix(column, prefix) => event.text(*column).starts_with(prefix),
            Self::TextContains(column, text) => contains(event.text(*column), text),
            Self::Enum(column, values) => values.contains(&event.value(*column)),
            Self::From(column, number) => event.number(*column) >= *number,
            Self::Before(column, number) => event.number(*column) < *number,
            Self::Attribute { name, value } => {
                with_escaped(value, |value| event.attribute(name, |each| each == value))
            }
            Self::AttributePrefix { name, prefix } => {
                with_escaped(prefix, |prefix| event.attribute(name, |each| each.starts_with(prefix)))
            }
            Self::AttributeContains { name, text } => {
                with_escaped(text, |text| event.attribute(name, |each| contains(each, text)))
            }
            Self::AttributePresent { name } => event.attribute(name, |_| true),
            Self::Contains(text) => {
                SEARCHED.iter().any(|column| contains(event.text(*column), text))
                    || with_escaped(text, |text| {
                        attribute_pairs(&event.columns.attributes)
                            .any(|(name, value)| contains(name, text) || contains(value, text))
                    })
            }
        }
    }
}

/// Hands on a text as it stands inside the attributes, which is nearly always the text itself.
fn with_escaped<T>(text: &str, then: impl FnOnce(&str) -> T) -> T {
    then(&attribute_escaped(text))
}

/// Whether a text occurs in another, ASCII letters without case.
fn contains(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some(first) = wanted.first() else { return true };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, text)
        .any(|at| text.get(at..at + wanted.len()).is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
}
