//! A condition as a test thinks of it: spelled as an expression, and decided over a decoded event without any
//! of the server's code.
use std::fmt;

use chancery::proto::v1::{AttributeMatch, Event, EventFamily, EventFilter, Outcome, TimeRange};
use pbjson_types::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::occurrences::{time, value};

/// Texts of an event, by field.
const TEXTS: [&str; 8] =
    ["code", "name", "category", "producer", "actor", "subject", "device", "correlation_id"];
/// Attributes that the events have, and one that they have not.
const ATTRIBUTES: [&str; 8] =
    ["scope", "scope", "user_agent", "role_code", "group_code", "detail_odd_key", "device_status", "Odd key"];

#[derive(Clone, Debug)]
pub enum Wish {
    And(Vec<Self>),
    /// Joined by space alone.
    Sequence(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Minus(Box<Self>),
    /// A field, or an attribute's name behind `attributes.`.
    Text(Place, Test, String),
    Family(Side, EventFamily),
    Outcome(Side, Outcome),
    Severity(Order, i64),
    Position(Order, i64),
    Occurred(Order, Timestamp),
    Received(Order, Timestamp),
    Anywhere(String),
}

#[derive(Clone, Copy, Debug)]
pub enum Place {
    Field(&'static str),
    Attribute(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub enum Test {
    Is,
    IsNot,
    Begins,
    BeginsNot,
    Contains,
    Told,
}

#[derive(Clone, Copy, Debug)]
pub enum Side {
    Is,
    IsNot,
    Has,
}

#[derive(Clone, Copy, Debug)]
pub enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

impl Order {
    const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::More, Self::MoreOrEqual];

    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::More => left > right,
            Self::MoreOrEqual => left >= right,
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::More => ">",
            Self::MoreOrEqual => ">=",
        }
    }
}

fn field<'a>(event: &'a Event, name: &str) -> &'a str {
    match name {
        "code" => &event.code,
        "name" => &event.name,
        "category" => &event.category,
        "producer" => &event.producer,
        "actor" => &event.actor,
        "subject" => &event.subject,
        "device" => &event.device,
        "correlation_id" => &event.correlation_id,
        other => panic!("{other}"),
    }
}

fn fold(text: &str) -> String {
    text.to_ascii_lowercase()
}

fn found_anywhere(event: &Event, text: &str) -> bool {
    let fields = TEXTS.iter().filter(|name| **name != "producer").map(|name| field(event, name));
    let attributes = event.attributes.iter().flat_map(|each| [each.name.as_str(), each.value.as_str()]);
    fields.chain(attributes).any(|each| fold(each).contains(&fold(text)))
}

fn nanos(time: Option<&Timestamp>) -> i128 {
    let time = time.expect("a time");
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

impl Wish {
    /// Whether an event is as wished.
    pub fn holds(&self, event: &Event) -> bool {
        match self {
            Self::And(all) | Self::Sequence(all) => all.iter().all(|each| each.holds(event)),
            Self::Or(any) => any.iter().any(|each| each.holds(event)),
            Self::Not(inner) | Self::Minus(inner) => !inner.holds(event),
            Self::Text(place, test, wanted) => {
                let found: Vec<&str> = match place {
                    Place::Field(name) => vec![field(event, name)],
                    Place::Attribute(name) => {
                        let named = event.attributes.iter().filter(|each| each.name == *name);
                        named.map(|each| each.value.as_str()).collect()
                    }
                };
                match test {
                    Test::Is => found.contains(&wanted.as_str()),
                    Test::IsNot => !found.contains(&wanted.as_str()),
                    Test::Begins => found.iter().any(|each| each.starts_with(wanted)),
                    Test::BeginsNot => !found.iter().any(|each| each.starts_with(wanted)),
                    Test::Contains => found.iter().any(|each| fold(each).contains(&fold(wanted))),
                    Test::Told => match place {
                        Place::Field(_) => found.iter().any(|each| !each.is_empty()),
                        Place::Attribute(_) => !found.is_empty(),
                    },
                }
            }
            Self::Family(side, family) => (event.family() == *family) ^ matches!(side, Side::IsNot),
            Self::Outcome(side, outcome) => (event.outcome() == *outcome) ^ matches!(side, Side::IsNot),
            Self::Severity(order, number) => order.holds(i64::from(event.severity.unwrap_or(0)), *number),
            Self::Position(order, number) => {
                order.holds(i128::from(event.position.expect("a position")), i128::from(*number))
            }
            Self::Occurred(order, time) => order.holds(nanos(event.occurred_at.as_ref()), nanos(Some(time))),
            Self::Received(order, time) => order.holds(nanos(event.received_at.as_ref()), nanos(Some(time))),
            Self::Anywhere(text) => found_anywhere(event, text),
        }
    }
}

/// Whether a filter lets an event through.
pub fn allows(filter: &EventFilter, event: &Event) -> bool {
    let listed =
        |values: &[String], value: &str| values.is_empty() || values.iter().any(|each| each == value);
    let told = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    let within = |range: &Option<TimeRange>, time: &Option<Timestamp>| {
        range.as_ref().is_none_or(|range| {
            let time = nanos(time.as_ref());
            range.start.as_ref().is_none_or(|start| nanos(Some(start)) <= time)
                && range.end.as_ref().is_none_or(|end| time < nanos(Some(end)))
        })
    };
    (filter.families.is_empty() || filter.families.contains(&event.family))
        && (filter.outcomes.is_empty() || filter.outcomes.contains(&event.outcome))
        && listed(&filter.codes, &event.code)
        && listed(&filter.categories, &event.category)
        && listed(&filter.producers, &event.producer)
        && told(&filter.actor, &event.actor)
        && told(&filter.subject, &event.subject)
        && told(&filter.device, &event.device)
        && told(&filter.correlation_id, &event.correlation_id)
        && within(&filter.occurred, &event.occurred_at)
        && within(&filter.received, &event.received_at)
        && filter.attributes.iter().all(|wanted| {
            event.attributes.iter().any(|each| each.name == wanted.name && each.value == wanted.value)
        })
        && (filter.text.is_empty() || found_anywhere(event, &filter.text))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('*', "\\*"))
}

fn prefix(text: &str) -> String {
    let quoted = quoted(text);
    format!("{}*\"", quoted.strip_suffix('"').expect("quotes"))
}

fn spelled(time: &Timestamp) -> String {
    format!("\"{}\"", jiff::Timestamp::new(time.seconds, time.nanos).expect("a time"))
}

/// A part of a larger expression.
struct Part<'a>(&'a Wish);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Wish::And(_) | Wish::Sequence(_) | Wish::Or(_) | Wish::Not(_) | Wish::Minus(_) => {
                write!(f, "({})", self.0)
            }
            leaf => write!(f, "{leaf}"),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: &[Self], joint: &str| {
            parts.iter().map(|part| Part(part).to_string()).collect::<Vec<_>>().join(joint)
        };
        match self {
            Self::And(all) => f.write_str(&joined(all, " AND ")),
            Self::Sequence(all) => f.write_str(&joined(all, " ")),
            Self::Or(any) => f.write_str(&joined(any, " OR ")),
            Self::Not(inner) => write!(f, "NOT {}", Part(inner)),
            Self::Minus(inner) => write!(f, "-{}", Part(inner)),
            Self::Text(place, test, value) => {
                match place {
                    Place::Field(name) => f.write_str(name)?,
                    Place::Attribute(name) if name.contains(['.', ' ']) => {
                        write!(f, "attributes.{}", quoted(name))?
                    }
                    Place::Attribute(name) => write!(f, "attributes.{name}")?,
                }
                match test {
                    Test::Is => write!(f, " = {}", quoted(value)),
                    Test::IsNot => write!(f, "!={}", quoted(value)),
                    Test::Begins => write!(f, "={}", prefix(value)),
                    Test::BeginsNot => write!(f, " != {}", prefix(value)),
                    Test::Contains => write!(f, ":{}", quoted(value)),
                    Test::Told => f.write_str(":*"),
                }
            }
            Self::Family(side, family) => write!(f, "family{}{}", sign(*side), family.as_str_name()),
            Self::Outcome(side, outcome) => {
                let name = outcome.as_str_name().trim_start_matches("OUTCOME_").to_lowercase();
                write!(f, "outcome{}{name}", sign(*side))
            }
            Self::Severity(order, number) => write!(f, "severity {} {number}", order.sign()),
            Self::Position(order, number) => write!(f, "position{}{number}", order.sign()),
            Self::Occurred(order, time) => write!(f, "occurred_at {} {}", order.sign(), spelled(time)),
            Self::Received(order, time) => write!(f, "received_at {} {}", order.sign(), spelled(time)),
            Self::Anywhere(text) => f.write_str(&quoted(text)),
        }
    }
}

const fn sign(side: Side) -> &'static str {
    match side {
        Side::Is => " = ",
        Side::IsNot => " != ",
        Side::Has => ":",
    }
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![select(&TEXTS[..]).prop_map(Place::Field), select(&ATTRIBUTES[..]).prop_map(Place::Attribute)]
}

/// A text to compare with: one that occurs, or the beginning of one.
fn wanted() -> impl Strategy<Value = String> {
    let known = ["20018", "40001", "CONSENT_GIVEN", "addRoleToUser", "cms-1", "CMS-1", "Consent", "ON_HOLD"];
    let known = (select(known.to_vec()), 1..5_usize)
        .prop_map(|(text, most)| if most == 4 { text.to_owned() } else { text[..most].to_owned() });
    prop_oneof![2 => value(), 1 => known]
}

fn leaf() -> impl Strategy<Value = Wish> {
    let side = || select(vec![Side::Is, Side::IsNot, Side::Has]);
    let order = || select(Order::ALL.to_vec());
    let tests = vec![Test::Is, Test::IsNot, Test::Begins, Test::BeginsNot, Test::Contains, Test::Told];
    let families =
        [EventFamily::CmsAudit, EventFamily::CmsNotification, EventFamily::AsAudit, EventFamily::TokenServer];
    let outcomes = [Outcome::Started, Outcome::Success, Outcome::Failure, Outcome::Denied, Outcome::Unknown];
    prop_oneof![
        6 => (place(), select(tests), wanted()).prop_map(|(place, test, value)| Wish::Text(place, test, value)),
        1 => place().prop_map(|place| Wish::Text(place, Test::Is, String::new())),
        1 => (side(), select(families.to_vec())).prop_map(|(side, family)| Wish::Family(side, family)),
        1 => (side(), select(outcomes.to_vec())).prop_map(|(side, outcome)| Wish::Outcome(side, outcome)),
        1 => (order(), select(vec![0_i64, 100, 301, 400, 500, 601])).prop_map(|(order, number)| Wish::Severity(order, number)),
        1 => (order(), select(vec![-1_i64, 0, 3, 7, i64::MAX])).prop_map(|(order, number)| Wish::Position(order, number)),
        2 => (order(), time()).prop_map(|(order, time)| Wish::Occurred(order, time)),
        1 => (order(), time()).prop_map(|(order, time)| Wish::Received(order, time)),
        2 => wanted().prop_map(Wish::Anywhere),
    ]
}

/// A condition. The empty conjunction is the empty expression, and stands alone only.
pub fn wish() -> impl Strategy<Value = Wish> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Wish::And),
            vec(inner.clone(), 1..4).prop_map(Wish::Sequence),
            vec(inner.clone(), 1..4).prop_map(Wish::Or),
            inner.clone().prop_map(|inner| Wish::Not(Box::new(inner))),
            inner.prop_map(|inner| Wish::Minus(Box::new(inner))),
        ]
    })
}

/// A filter, mostly without anything.
pub fn filter() -> impl Strategy<Value = EventFilter> {
    let seldom = |strategy: BoxedStrategy<String>| option::weighted(0.02, strategy);
    let range = || {
        option::weighted(0.06, (option::of(time()), option::of(time()))).prop_map(|range| {
            let key = |time: &Option<Timestamp>| time.as_ref().map(|time| (time.seconds, time.nanos));
            range.map(|(start, end)| match (key(&start), key(&end)) {
                (Some(one), Some(other)) if one > other => TimeRange { start: end, end: start },
                _ => TimeRange { start, end },
            })
        })
    };
    let lists = (vec(1..5_i32, 0..2), vec(1..6_i32, 0..2), vec(select(vec!["20018", "CONSENT_GIVEN"]), 0..2));
    let texts =
        (seldom(value().boxed()), seldom(value().boxed()), seldom(value().boxed()), seldom(wanted().boxed()));
    let attribute = option::weighted(0.03, (select(&ATTRIBUTES[..]), value()));
    let rest = (attribute, range(), range());
    (option::weighted(0.12, lists), texts, rest).prop_map(
        |(lists, texts, (attribute, occurred, received))| {
            let (families, outcomes, codes) = lists.unwrap_or_default();
            let (actor, subject, device, text) = texts;
            let attributes = attribute.into_iter();
            EventFilter {
                families,
                outcomes,
                codes: codes.into_iter().map(str::to_owned).collect(),
                actor: actor.unwrap_or_default(),
                subject: subject.unwrap_or_default(),
                device: device.unwrap_or_default(),
                text: text.unwrap_or_default(),
                attributes: attributes
                    .map(|(name, value)| AttributeMatch { name: name.to_owned(), value })
                    .collect(),
                occurred,
                received,
                ..EventFilter::default()
            }
        },
    )
}

/// A value in every place of an expression.
pub fn everywhere(value: &str) -> Vec<Wish> {
    let tests = [Test::Is, Test::IsNot, Test::Begins, Test::Contains];
    let mut wishes: Vec<_> = ["actor", "subject", "device", "correlation_id", "code"]
        .into_iter()
        .map(Place::Field)
        .chain(["scope", "a.b"].map(Place::Attribute))
        .flat_map(|place| tests.map(|test| Wish::Text(place, test, value.to_owned())))
        .collect();
    wishes.push(Wish::Anywhere(value.to_owned()));
    wishes
}

/// A value in every text field of a filter.
pub fn filters(value: &str) -> Vec<EventFilter> {
    let (empty, value) = (EventFilter::default, || value.to_owned());
    let attribute = |name: &str, value: String| vec![AttributeMatch { name: name.to_owned(), value }];
    vec![
        EventFilter { codes: vec![value()], ..empty() },
        EventFilter { categories: vec![value()], ..empty() },
        EventFilter { producers: vec![value()], ..empty() },
        EventFilter { actor: value(), ..empty() },
        EventFilter { subject: value(), ..empty() },
        EventFilter { device: value(), ..empty() },
        EventFilter { correlation_id: value(), ..empty() },
        EventFilter { attributes: attribute("scope", value()), ..empty() },
        EventFilter { attributes: attribute(&value(), value()), ..empty() },
        EventFilter { text: value(), ..empty() },
    ]
}
