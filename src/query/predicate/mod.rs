//! What a query asks for, as a tree: made from an `EventFilter`, compiled to bind parameters by
//! `store::sql`, printed in the words of the filter language for the summary.
use std::fmt;

use crate::{
    event::timestamp,
    proto::v1::{EventFamily, EventFilter, Outcome, TimeRange},
};

/// Values over all fields of one filter. Each becomes a bind parameter, and PostgreSQL has 65,535.
pub const MAX_FILTER_VALUES: usize = 1000;
/// Bytes of one value of a filter.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// A column that holds text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextColumn {
    Code,
    Category,
    Producer,
    Actor,
    Subject,
    Device,
    CorrelationId,
}

impl TextColumn {
    /// Name in SQL and in the filter language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Category => "category",
            Self::Producer => "producer",
            Self::Actor => "actor",
            Self::Subject => "subject",
            Self::Device => "device",
            Self::CorrelationId => "correlation_id",
        }
    }
}

/// A column that holds one of an enum's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnumColumn {
    Family,
    Outcome,
}

impl EnumColumn {
    /// Name in SQL and in the filter language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Outcome => "outcome",
        }
    }
}

/// A column that holds microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeColumn {
    OccurredAt,
    ReceivedAt,
}

impl TimeColumn {
    /// Name in SQL and in the filter language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OccurredAt => "occurred_at",
            Self::ReceivedAt => "received_at",
        }
    }
}

/// A condition on an event.
#[derive(Clone, PartialEq, Debug)]
pub enum Predicate {
    /// Every one of these; none: every event.
    All(Vec<Self>),
    /// The column is one of these texts.
    Text(TextColumn, Vec<String>),
    /// The column is one of these numbers.
    Enum(EnumColumn, Vec<i32>),
    /// The time is this or later.
    From(TimeColumn, i64),
    /// The time is before this.
    Before(TimeColumn, i64),
    /// An attribute of this name has this value.
    Attribute { name: String, value: String },
    /// The text occurs somewhere in the event, ASCII letters without case.
    Contains(String),
}

/// Why a filter is refused: the field inside `filter`, and what would be accepted.
pub type FilterFault = (String, String);

impl Predicate {
    /// The condition of a filter.
    ///
    /// # Errors
    /// The first field that holds something no event can have.
    pub fn of(filter: Option<&EventFilter>) -> Result<Self, FilterFault> {
        let Some(filter) = filter else { return Ok(Self::All(Vec::new())) };
        check_sizes(filter)?;
        let mut all = Vec::new();
        if !filter.families.is_empty() {
            let known = |value: &i32| EventFamily::try_from(*value).is_ok_and(|value| value as i32 != 0);
            if !filter.families.iter().all(known) {
                return Err((
                    "families".to_owned(),
                    "holds a family that is not set or not known".to_owned(),
                ));
            }
            all.push(Self::Enum(EnumColumn::Family, filter.families.clone()));
        }
        if !filter.outcomes.is_empty() {
            let known = |value: &i32| Outcome::try_from(*value).is_ok_and(|value| value as i32 != 0);
            if !filter.outcomes.iter().all(known) {
                return Err((
                    "outcomes".to_owned(),
                    "holds an outcome that is not set or not known".to_owned(),
                ));
            }
            all.push(Self::Enum(EnumColumn::Outcome, filter.outcomes.clone()));
        }
        for (column, values) in [
            (TextColumn::Code, &filter.codes),
            (TextColumn::Category, &filter.categories),
            (TextColumn::Producer, &filter.producers),
        ] {
            if !values.is_empty() {
                all.push(Self::Text(column, values.clone()));
            }
        }
        for (column, value) in [
            (TextColumn::Actor, &filter.actor),
            (TextColumn::Subject, &filter.subject),
            (TextColumn::Device, &filter.device),
            (TextColumn::CorrelationId, &filter.correlation_id),
        ] {
            if !value.is_empty() {
                all.push(Self::Text(column, vec![value.clone()]));
            }
        }
        for (column, field, range) in [
            (TimeColumn::OccurredAt, "occurred", &filter.occurred),
            (TimeColumn::ReceivedAt, "received", &filter.received),
        ] {
            time_range(column, field, range.as_ref(), &mut all)?;
        }
        for attribute in &filter.attributes {
            if attribute.name.is_empty() {
                return Err(("attributes".to_owned(), "holds an attribute without a name".to_owned()));
            }
            all.push(Self::Attribute { name: attribute.name.clone(), value: attribute.value.clone() });
        }
        if !filter.text.is_empty() {
            all.push(Self::Contains(filter.text.clone()));
        }
        Ok(Self::All(all))
    }
}

fn check_sizes(filter: &EventFilter) -> Result<(), FilterFault> {
    let count = filter.families.len()
        + filter.codes.len()
        + filter.categories.len()
        + filter.outcomes.len()
        + filter.producers.len()
        + filter.attributes.len();
    if count > MAX_FILTER_VALUES {
        return Err((String::new(), format!("the filter has {count} values; at most {MAX_FILTER_VALUES}")));
    }
    let lists =
        [("codes", &filter.codes), ("categories", &filter.categories), ("producers", &filter.producers)];
    let lists = lists.into_iter().flat_map(|(field, values)| values.iter().map(move |value| (field, value)));
    let single = [
        ("actor", &filter.actor),
        ("subject", &filter.subject),
        ("device", &filter.device),
        ("correlation_id", &filter.correlation_id),
        ("text", &filter.text),
    ];
    let attributes = filter
        .attributes
        .iter()
        .flat_map(|attribute| [("attributes", &attribute.name), ("attributes", &attribute.value)]);
    for (field, value) in lists.chain(single).chain(attributes) {
        if value.len() > MAX_VALUE_BYTES {
            return Err((
                field.to_owned(),
                format!("a value has {} bytes; at most {MAX_VALUE_BYTES}", value.len()),
            ));
        }
        if value.contains('\0') {
            return Err((field.to_owned(), "a value holds a NUL character, which no event has".to_owned()));
        }
    }
    Ok(())
}

fn time_range(
    column: TimeColumn,
    field: &str,
    range: Option<&TimeRange>,
    all: &mut Vec<Predicate>,
) -> Result<(), FilterFault> {
    let Some(range) = range else { return Ok(()) };
    let bounds = [&range.start, &range.end];
    if bounds.into_iter().flatten().any(|time| !(0..1_000_000_000).contains(&time.nanos)) {
        return Err((field.to_owned(), "nanos are not within 0 to 999,999,999".to_owned()));
    }
    let micros = |time: &pbjson_types::Timestamp| {
        // Events have whole microseconds, so the first event at or after a bound with nanoseconds is
        // the one of the next whole microsecond.
        time.seconds.saturating_mul(1_000_000).saturating_add((i64::from(time.nanos) + 999) / 1_000)
    };
    let start = range.start.as_ref().map(micros);
    let end = range.end.as_ref().map(micros);
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err((field.to_owned(), "starts after its end".to_owned()));
    }
    all.extend(start.map(|start| Predicate::From(column, start)));
    all.extend(end.map(|end| Predicate::Before(column, end)));
    Ok(())
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(all) => {
                for (at, each) in all.iter().enumerate() {
                    let and = if at > 0 { " AND " } else { "" };
                    write!(f, "{and}{each}")?;
                }
                Ok(())
            }
            Self::Text(column, values) => any(f, column.name(), values.iter().map(|value| quoted(value))),
            Self::Enum(column, values) => {
                any(f, column.name(), values.iter().map(|value| enum_name(*column, *value)))
            }
            Self::From(column, micros) => write!(f, "{} >= {}", column.name(), quoted(&time(*micros))),
            Self::Before(column, micros) => write!(f, "{} < {}", column.name(), quoted(&time(*micros))),
            Self::Attribute { name, value } => write!(f, "attributes.{name} = {}", quoted(value)),
            Self::Contains(text) => f.write_str(&quoted(text)),
        }
    }
}

fn any(f: &mut fmt::Formatter<'_>, name: &str, values: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let several = values.len() > 1;
    if several {
        f.write_str("(")?;
    }
    for (at, value) in values.enumerate() {
        let or = if at > 0 { " OR " } else { "" };
        write!(f, "{or}{name} = {value}")?;
    }
    if several { f.write_str(")") } else { Ok(()) }
}

/// The contract's name of an enum column's value.
pub fn enum_name(column: EnumColumn, value: i32) -> String {
    let name = match column {
        EnumColumn::Family => EventFamily::try_from(value).ok().map(|value| value.as_str_name()),
        EnumColumn::Outcome => Outcome::try_from(value).ok().map(|value| value.as_str_name()),
    };
    name.map_or_else(|| value.to_string(), str::to_owned)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn time(micros: i64) -> String {
    let time = timestamp(micros);
    jiff::Timestamp::new(time.seconds, time.nanos)
        .map_or_else(|_| micros.to_string(), |time| time.to_string())
}
