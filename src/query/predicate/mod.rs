//! What a query asks for, as a tree: made from an `EventFilter` and a `where` expression, compiled to bind
//! parameters by `store::sql`, evaluated over one event by [`Predicate::matches`], and printed in the filter
//! language for the summary. The three agree on every event.
//!
//! Reads nothing and knows no database. Callers: `grpc::audit` (makes it), `query` (evaluates it), `store`.
mod display;
mod expression;
mod filter;
mod matches;
mod source;
mod told;
mod value;

pub use matches::{Row, SEARCHED};

use crate::proto::v1::{EventFamily, EventFilter, Outcome};

/// Values over all fields of a filter and its expression. One of a filter becomes one bind parameter, one of an
/// expression at most eight: 1,800 together, of which SQLite has 32,766.
pub const MAX_FILTER_VALUES: usize = 1000;
/// Bytes of one value of a filter.
const MAX_VALUE_BYTES: usize = 8 * 1024;
/// Bytes of an expression: a hundred terms of 80 bytes.
pub const MAX_WHERE_BYTES: usize = 8 * 1024;
/// Comparisons of an expression. Each is a test on every row that the database looks at, so a hundred of them
/// on 200,000 rows are some seconds of work.
pub const MAX_WHERE_TERMS: usize = 100;
/// Levels of an expression: parentheses, and AND, OR and NOT inside each other. Parser, compiler and printer
/// recurse once per level; 32 levels are some 32 KiB of stack.
pub const MAX_WHERE_DEPTH: usize = 32;

/// A column that holds text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextColumn {
    Code,
    Name,
    Category,
    Producer,
    Actor,
    Subject,
    Device,
    CorrelationId,
}

impl TextColumn {
    /// Every column.
    pub const ALL: [Self; 8] = [
        Self::Code,
        Self::Name,
        Self::Category,
        Self::Producer,
        Self::Actor,
        Self::Subject,
        Self::Device,
        Self::CorrelationId,
    ];

    /// Name in SQL and in the filter language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Name => "name",
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
    /// Every column.
    pub const ALL: [Self; 2] = [Self::Family, Self::Outcome];

    /// Name in SQL and in the filter language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Outcome => "outcome",
        }
    }
}

/// A column that holds a number with an order. Times are microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberColumn {
    Position,
    /// 0 where the family has no severity.
    Severity,
    OccurredAt,
    ReceivedAt,
}

impl NumberColumn {
    /// Every column.
    pub const ALL: [Self; 4] = [Self::Position, Self::Severity, Self::OccurredAt, Self::ReceivedAt];

    /// Name in SQL and in the filter language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Position => "position",
            Self::Severity => "severity",
            Self::OccurredAt => "occurred_at",
            Self::ReceivedAt => "received_at",
        }
    }

    /// Whether it holds a time.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::OccurredAt | Self::ReceivedAt)
    }
}

/// A condition on an event.
#[derive(Clone, PartialEq, Debug)]
pub enum Predicate {
    /// Every one of these; none: every event.
    All(Vec<Self>),
    /// At least one of these; none: no event.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// The column is one of these texts, byte for byte.
    Text(TextColumn, Vec<String>),
    /// The column begins with this text, byte for byte.
    TextPrefix(TextColumn, String),
    /// The column contains this text, ASCII letters without case.
    TextContains(TextColumn, String),
    /// The column is one of these numbers.
    Enum(EnumColumn, Vec<i32>),
    /// The column is this or more.
    From(NumberColumn, i64),
    /// The column is less than this.
    Before(NumberColumn, i64),
    /// An attribute of this name has this value.
    Attribute { name: String, value: String },
    /// An attribute of this name has a value that begins with this.
    AttributePrefix { name: String, prefix: String },
    /// An attribute of this name has a value that contains this, ASCII letters without case.
    AttributeContains { name: String, text: String },
    /// There is an attribute of this name.
    AttributePresent { name: String },
    /// The text occurs somewhere in the event, ASCII letters without case.
    Contains(String),
}

/// Why a filter or an expression is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FilterFault {
    /// A field of `filter`, empty for the whole of it, and what would be accepted.
    Filter { field: String, description: String },
    /// A byte of `where`, and what was expected there.
    Where { offset: usize, description: String },
}

impl Predicate {
    /// The condition of a filter and an expression of the filter language, both of which must hold.
    ///
    /// # Errors
    /// The first thing that no event can have, or that is no expression.
    pub fn of(filter: Option<&EventFilter>, expression: &str) -> Result<Self, FilterFault> {
        let mut all = filter.map(filter::parts).transpose()?.unwrap_or_default();
        let wanted = expression::parse(expression)?;
        let values = filter.map(filter::values).unwrap_or_default() + wanted.terms;
        if values > MAX_FILTER_VALUES {
            return Err(FilterFault::Filter {
                field: String::new(),
                description: format!(
                    "filter and where have {values} values together; at most {MAX_FILTER_VALUES}"
                ),
            });
        }
        match wanted.predicate {
            Self::All(wanted) => all.extend(wanted),
            wanted => all.push(wanted),
        }
        Ok(Self::All(all))
    }

    /// All of these: conjunctions inside are dissolved.
    fn all(children: Vec<Self>) -> Self {
        let mut all = Vec::with_capacity(children.len());
        for child in children {
            match child {
                Self::All(children) => all.extend(children),
                child => all.push(child),
            }
        }
        if all.len() == 1 { all.remove(0) } else { Self::All(all) }
    }

    /// Any of these: disjunctions inside are dissolved, and values of one column are one list, which the
    /// databases look up in an index.
    fn any(children: Vec<Self>) -> Self {
        let mut any: Vec<Self> = Vec::with_capacity(children.len());
        let mut add = |child: Self| {
            for other in &mut any {
                match (other, &child) {
                    (Self::Text(column, values), Self::Text(same, more)) if column == same => {
                        join(values, more);
                        return;
                    }
                    (Self::Enum(column, values), Self::Enum(same, more)) if column == same => {
                        join(values, more);
                        return;
                    }
                    _ => {}
                }
            }
            any.push(child);
        };
        for child in children {
            match child {
                Self::Any(children) => children.into_iter().for_each(&mut add),
                child => add(child),
            }
        }
        if any.len() == 1 { any.remove(0) } else { Self::Any(any) }
    }
}

fn join<T: Clone + PartialEq>(values: &mut Vec<T>, more: &[T]) {
    for value in more {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
}

/// The contract's name of an enum column's value.
pub fn enum_name(column: EnumColumn, value: i32) -> String {
    let name = match column {
        EnumColumn::Family => EventFamily::try_from(value).ok().map(|value| value.as_str_name()),
        EnumColumn::Outcome => Outcome::try_from(value).ok().map(|value| value.as_str_name()),
    };
    name.map_or_else(|| value.to_string(), str::to_owned)
}
