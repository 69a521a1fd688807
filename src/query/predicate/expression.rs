//! `where` to a condition. The library parses (AIP-160); here its tree gets its meaning: which fields there
//! are, what may stand on either side of each operator, and what an asterisk says. Pure, and bounded by
//! `source::check` before anything recurses.
use std::iter;

use aip_160::{
    Arg, Comparable, Comparator, Expression, FilterError, Member, Restriction, Value,
    parse_filter_with_max_depth,
};

use super::{
    EnumColumn, FilterFault, MAX_WHERE_DEPTH, MAX_WHERE_TERMS, NumberColumn, Predicate, TextColumn,
    source::{self, Path, Source, fault},
    value::{Number, enum_value},
};

/// The condition of an expression.
pub struct Wanted {
    pub predicate: Predicate,
    /// Comparisons in it.
    pub terms: usize,
}

/// Reads an expression; the empty one is every event.
pub fn parse(text: &str) -> Result<Wanted, FilterFault> {
    source::check(text)?;
    let filter = parse_filter_with_max_depth(text, MAX_WHERE_DEPTH).map_err(|error| match error {
        FilterError::Syntax { offset, message } => fault(offset, advice(text, offset, &message)),
        // Only syntax and depth come from parsing, and depth is checked before.
        other => fault(0, other.to_string()),
    })?;
    let mut reader = Reader { source: Source::new(text), terms: 0 };
    let predicate = match &filter.expression {
        None => Predicate::All(Vec::new()),
        Some(expression) => reader.expression(expression, 1)?,
    };
    Ok(Wanted { predicate, terms: reader.terms })
}

/// The parser's message, and what most likely was meant.
fn advice(text: &str, offset: usize, message: &str) -> String {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let hint = match after.chars().next() {
        Some(':') => "; a value with a colon, such as a time, stands in quotes",
        Some(',' | '!' | '=' | '<' | '>') => "; a value with such a character stands in quotes",
        Some('"' | '\'') if message == "unterminated string" => "; the quote that ends it is missing",
        Some(')') if message == "unexpected input" => "; this parenthesis was never opened",
        None if before.trim_end().ends_with(['=', '<', '>', ':']) => "; expected a value",
        None => "; expected a condition",
        _ => "",
    };
    format!("{message}{hint}")
}

struct Reader<'a> {
    source: Source<'a>,
    terms: usize,
}

impl Reader<'_> {
    fn expression(&mut self, expression: &Expression, depth: usize) -> Result<Predicate, FilterFault> {
        if depth > MAX_WHERE_DEPTH {
            let offset = self.source.offset();
            return Err(fault(
                offset,
                format!("AND, OR and NOT inside each other, deeper than {MAX_WHERE_DEPTH} levels"),
            ));
        }
        match expression {
            Expression::And(children) | Expression::Sequence(children) => {
                self.children(children, depth).map(Predicate::all)
            }
            Expression::Or(children) => self.children(children, depth).map(Predicate::any),
            Expression::Not(inner) => {
                self.source.negation();
                Ok(Predicate::Not(Box::new(self.expression(inner, depth + 1)?)))
            }
            Expression::Restriction(restriction) => {
                self.count()?;
                self.restriction(restriction)
            }
            Expression::Global(comparable) => {
                self.count()?;
                self.anywhere(comparable)
            }
        }
    }

    fn children(&mut self, children: &[Expression], depth: usize) -> Result<Vec<Predicate>, FilterFault> {
        children.iter().map(|child| self.expression(child, depth + 1)).collect()
    }

    fn count(&mut self) -> Result<(), FilterFault> {
        self.terms += 1;
        if self.terms > MAX_WHERE_TERMS {
            let offset = self.source.offset();
            return Err(fault(
                offset,
                format!("more than {MAX_WHERE_TERMS} conditions; at most {MAX_WHERE_TERMS}"),
            ));
        }
        Ok(())
    }

    /// A text without a field.
    fn anywhere(&mut self, comparable: &Comparable) -> Result<Predicate, FilterFault> {
        let path = self.source.term();
        no_function(comparable, &path)?;
        let literal = self.literal(&path)?;
        if !literal.quoted && ["and", "or", "not"].iter().any(|word| literal.text.eq_ignore_ascii_case(word))
        {
            let description = format!(
                "{} is written in capitals; in quotes it is a text to look for",
                literal.text.to_uppercase()
            );
            return Err(fault(path.span.start, description));
        }
        if let Some(star) = literal.stars.first() {
            let description = "a text is found anywhere, without *; an asterisk itself is \"\\*\"";
            return Err(fault(*star, description));
        }
        match literal.text.is_empty() {
            true => Err(fault(path.span.start, "an empty text; expected one to look for")),
            false => Ok(Predicate::Contains(literal.text)),
        }
    }

    fn restriction(&mut self, restriction: &Restriction) -> Result<Predicate, FilterFault> {
        let path = self.source.term();
        no_function(&restriction.comparable, &path)?;
        let field = Field::of(&path)?;
        let operator = Operator { comparator: restriction.comparator, at: self.source.operator() };
        let Arg::Comparable(value) = &restriction.arg else {
            let description = format!(
                "expected one value; write each alternative with its field: ({0} {1} a OR {0} {1} b)",
                self.source.slice(&path.span),
                operator.comparator
            );
            return Err(fault(self.source.value_offset(), description));
        };
        let path = self.source.path();
        no_function(value, &path)?;
        let literal = self.literal(&path)?;
        match field {
            Field::Text(column) => text(&operator, literal, &Subject::Column(column)),
            Field::Attribute(name) => text(&operator, literal, &Subject::Attribute(name)),
            Field::Enum(column) => enumerated(&operator, &literal, column),
            Field::Number(column) => number(&operator, &literal, column),
        }
    }

    /// A value: one quoted text, or words with dots between them.
    fn literal(&self, path: &Path) -> Result<Literal, FilterFault> {
        if let Some(quoted) = path.segments.iter().find(|segment| segment.quoted)
            && path.segments.len() > 1
        {
            return Err(fault(quoted.span.start, "a value is quoted as a whole or not at all"));
        }
        let quoted = path.segments.iter().any(|segment| segment.quoted);
        Ok(Literal {
            at: path.span.start,
            end: path.span.end,
            quoted,
            text: match path.segments.as_slice() {
                [one] => one.text.clone(),
                _ => self.source.slice(&path.span).to_owned(),
            },
            stars: path.segments.iter().flat_map(|segment| segment.stars.iter().copied()).collect(),
        })
    }
}

fn no_function(comparable: &Comparable, path: &Path) -> Result<(), FilterFault> {
    match comparable {
        Comparable::Member(member) => {
            debug_assert!(is_read(member, path), "{member} is not what stands at {:?}", path.span);
            Ok(())
        }
        Comparable::Function(_) => {
            Err(fault(path.span.start, "there are no functions; expected a field or a text"))
        }
    }
}

/// Whether the source was read in step with the tree. A number with a dot is one word of the tree.
fn is_read(member: &Member, path: &Path) -> bool {
    let told: Vec<_> = iter::once(&member.value).chain(&member.fields).map(Value::as_str).collect();
    let read: Vec<_> = path.segments.iter().map(|segment| segment.text.as_str()).collect();
    told.join(".") == read.join(".")
}

struct Operator {
    comparator: Comparator,
    at: usize,
}

/// A value as written.
struct Literal {
    at: usize,
    end: usize,
    quoted: bool,
    text: String,
    /// Asterisks that are not escaped.
    stars: Vec<usize>,
}

/// What an asterisk of a value says.
enum Wildcard {
    None,
    /// The value is nothing but an asterisk.
    Alone,
    Trailing,
}

impl Literal {
    fn wildcard(&self) -> Result<Wildcard, FilterFault> {
        let last = self.end - usize::from(self.quoted) - 1;
        match self.stars.as_slice() {
            [] => Ok(Wildcard::None),
            [_] if self.text == "*" => Ok(Wildcard::Alone),
            [star] if *star == last => Ok(Wildcard::Trailing),
            [star, ..] => {
                Err(fault(*star, "a * stands at the end of a value only; an asterisk itself is \"\\*\""))
            }
        }
    }

    /// The value before its trailing asterisk.
    fn prefix(mut self) -> String {
        self.text.pop();
        self.text
    }
}

/// A field of the filter language.
enum Field {
    Text(TextColumn),
    Enum(EnumColumn),
    Number(NumberColumn),
    Attribute(String),
}

impl Field {
    fn of(path: &Path) -> Result<Self, FilterFault> {
        let [first, inner @ ..] = path.segments.as_slice() else {
            return Err(fault(path.span.start, "expected a field"));
        };
        if first.quoted {
            let description = format!("a field is not quoted; expected one of {}", names().join(", "));
            return Err(fault(first.span.start, description));
        }
        if first.text == "attributes" {
            return match inner {
                [name] if !name.text.is_empty() => Ok(Self::Attribute(name.text.clone())),
                [_, more, ..] => Err(fault(
                    more.span.start,
                    "an attribute has no fields; a name with dots stands in quotes: attributes.\"a.b\"",
                )),
                _ => Err(fault(path.span.end, "expected the name of an attribute: attributes.NAME")),
            };
        }
        let text = TextColumn::ALL.into_iter().find(|column| column.name() == first.text).map(Self::Text);
        let number = NumberColumn::ALL.into_iter().find(|column| column.name() == first.text);
        let named = EnumColumn::ALL.into_iter().find(|column| column.name() == first.text);
        let field = text.or(number.map(Self::Number)).or(named.map(Self::Enum));
        match (field, inner) {
            (Some(field), []) => Ok(field),
            (Some(_), [more, ..]) => Err(fault(more.span.start, format!("{} has no fields", first.text))),
            (None, _) => Err(fault(first.span.start, unknown(&first.text))),
        }
    }
}

fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = EnumColumn::ALL.iter().map(|column| column.name()).collect();
    names.extend(TextColumn::ALL.iter().map(|column| column.name()));
    names.extend(NumberColumn::ALL.iter().map(|column| column.name()));
    names.push("attributes.NAME");
    names
}

/// Names the nearest field: half of its letters must be right.
fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    let near = |field: &&str| strsim::normalized_damerau_levenshtein(&shown.to_lowercase(), field);
    let nearest = names()
        .into_iter()
        .map(|field| field.trim_end_matches(".NAME"))
        .max_by(|left, right| near(left).total_cmp(&near(right)))
        .filter(|field| near(field) >= 0.5);
    match nearest {
        Some(field) => format!("no field {shown:?}; did you mean {field}?"),
        None => format!("no field {shown:?}; expected one of {}", names().join(", ")),
    }
}

/// What holds a text.
enum Subject {
    Column(TextColumn),
    Attribute(String),
}

fn text(operator: &Operator, literal: Literal, subject: &Subject) -> Result<Predicate, FilterFault> {
    let wildcard = literal.wildcard()?;
    let found = match (operator.comparator, wildcard) {
        (Comparator::Equal | Comparator::NotEqual, Wildcard::Alone) => {
            return Err(fault(literal.at, "nothing before the *; whether a field is told asks :*"));
        }
        (Comparator::Equal | Comparator::NotEqual, Wildcard::None) => subject.equal(literal.text),
        (Comparator::Equal | Comparator::NotEqual, Wildcard::Trailing) => subject.prefix(literal.prefix()),
        (Comparator::Has, Wildcard::Alone) => subject.present(),
        (Comparator::Has, Wildcard::None) if literal.text.is_empty() => {
            return Err(fault(literal.at, "an empty text; expected one to look for, or *"));
        }
        (Comparator::Has, Wildcard::None) => subject.contains(literal.text),
        (Comparator::Has, Wildcard::Trailing) => {
            let star = literal.stars.first().copied().unwrap_or(literal.at);
            return Err(fault(
                star,
                "the operator : finds a text anywhere, without *; a beginning is = and *",
            ));
        }
        (comparator, _) => {
            let description = format!(
                "{comparator} needs an order, which texts do not have; expected =, != or :, or one of the fields severity, position, occurred_at, received_at"
            );
            return Err(fault(operator.at, description));
        }
    };
    Ok(match operator.comparator {
        Comparator::NotEqual => Predicate::Not(Box::new(found)),
        _ => found,
    })
}

impl Subject {
    fn equal(&self, value: String) -> Predicate {
        match self {
            Self::Column(column) => Predicate::Text(*column, vec![value]),
            Self::Attribute(name) => Predicate::Attribute { name: name.clone(), value },
        }
    }

    fn prefix(&self, prefix: String) -> Predicate {
        match self {
            Self::Column(column) => Predicate::TextPrefix(*column, prefix),
            Self::Attribute(name) => Predicate::AttributePrefix { name: name.clone(), prefix },
        }
    }

    fn contains(&self, text: String) -> Predicate {
        match self {
            Self::Column(column) => Predicate::TextContains(*column, text),
            Self::Attribute(name) => Predicate::AttributeContains { name: name.clone(), text },
        }
    }

    fn present(&self) -> Predicate {
        match self {
            Self::Column(column) => Predicate::Not(Box::new(Predicate::Text(*column, vec![String::new()]))),
            Self::Attribute(name) => Predicate::AttributePresent { name: name.clone() },
        }
    }
}

fn enumerated(operator: &Operator, literal: &Literal, column: EnumColumn) -> Result<Predicate, FilterFault> {
    let negated = match operator.comparator {
        Comparator::Equal => false,
        Comparator::NotEqual => true,
        Comparator::Has if literal.text == "*" => return Ok(Predicate::All(Vec::new())),
        Comparator::Has => false,
        comparator => {
            let description = format!(
                "{comparator} needs an order, which {} does not have; expected =, != or :",
                column.name()
            );
            return Err(fault(operator.at, description));
        }
    };
    let value = enum_value(column, &literal.text).map_err(|expected| fault(literal.at, expected))?;
    let found = Predicate::Enum(column, vec![value]);
    Ok(if negated { Predicate::Not(Box::new(found)) } else { found })
}

fn number(operator: &Operator, literal: &Literal, column: NumberColumn) -> Result<Predicate, FilterFault> {
    if operator.comparator == Comparator::Has {
        return match (literal.text.as_str(), column) {
            ("*", NumberColumn::Severity) => Ok(Predicate::From(column, 1)),
            ("*", _) => Ok(Predicate::All(Vec::new())),
            _ => {
                let description = format!("{} holds no text; expected =, !=, <, <=, > or >=", column.name());
                Err(fault(operator.at, description))
            }
        };
    }
    let number = Number::parse(column, &literal.text).map_err(|expected| fault(literal.at, expected))?;
    Ok(match operator.comparator {
        Comparator::Equal | Comparator::Has => number.equal(column),
        Comparator::NotEqual => Predicate::Not(Box::new(number.equal(column))),
        Comparator::LessThan => number.less(column),
        Comparator::LessThanOrEqual => number.or_less(column),
        Comparator::GreaterThan => number.more(column),
        Comparator::GreaterThanOrEqual => number.or_more(column),
    })
}
