//! An `EventFilter` as it comes off the wire. It is refused by the name of a field, or it holds for exactly the
//! events that its contract says, alone and joined to an expression, and prints as an expression.
use chancery::{
    proto::v1::{Event, EventFilter, TimeRange},
    query::predicate::{FilterFault, Predicate},
};
use pbjson_types::Timestamp;
use prost::Message as _;

use super::common::{EVENTS, printed};

/// What the filter is joined to.
const EXPRESSION: &str = "severity > 5 OR attributes.scope:*";
/// Fields by which a filter is refused; none: for the whole of it.
const REFUSED: [&str; 14] = [
    "",
    "families",
    "codes",
    "categories",
    "outcomes",
    "producers",
    "actor",
    "subject",
    "device",
    "correlation_id",
    "occurred",
    "received",
    "attributes",
    "text",
];

/// One encoded message.
pub fn run(data: &[u8]) {
    let Ok(filter) = EventFilter::decode(data) else { return };
    let predicate = match Predicate::of(Some(&filter), "") {
        Ok(predicate) => predicate,
        Err(FilterFault::Filter { field, description }) => {
            assert!(REFUSED.contains(&field.as_str()), "{field:?}: {description}");
            assert!(!description.is_empty(), "nothing said about {field:?}");
            return;
        }
        Err(fault) => panic!("{filter:?}: {fault:?}"),
    };
    printed(&predicate);
    let expression = Predicate::of(None, EXPRESSION).expect("an expression");
    let joined = Predicate::of(Some(&filter), EXPRESSION);
    for stored in EVENTS.iter() {
        let allowed = allows(&filter, &stored.event);
        assert_eq!(stored.matches(&predicate), allowed, "{filter:?} on {:?}", stored.event);
        // Joined to an expression it may have too many values.
        if let Ok(joined) = &joined {
            let both = allowed && stored.matches(&expression);
            assert_eq!(stored.matches(joined), both, "{filter:?} joined, on {:?}", stored.event);
        }
    }
}

/// What the comments of the contract say.
fn allows(filter: &EventFilter, event: &Event) -> bool {
    fn any<T: PartialEq>(wanted: &[T], found: &T) -> bool {
        wanted.is_empty() || wanted.contains(found)
    }
    let same = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    any(&filter.families, &event.family)
        && any(&filter.codes, &event.code)
        && any(&filter.categories, &event.category)
        && any(&filter.outcomes, &event.outcome)
        && any(&filter.producers, &event.producer)
        && same(&filter.actor, &event.actor)
        && same(&filter.subject, &event.subject)
        && same(&filter.device, &event.device)
        && same(&filter.correlation_id, &event.correlation_id)
        && within(filter.occurred.as_ref(), event.occurred_at.as_ref())
        && within(filter.received.as_ref(), event.received_at.as_ref())
        && filter.attributes.iter().all(|wanted| {
            event.attributes.iter().any(|each| each.name == wanted.name && each.value == wanted.value)
        })
        && (filter.text.is_empty() || says(event, &filter.text.to_ascii_lowercase()))
}

fn within(range: Option<&TimeRange>, time: Option<&Timestamp>) -> bool {
    let nanos = |time: &Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let time = time.map(nanos).unwrap_or_default();
    range.is_none_or(|range| {
        range.start.as_ref().is_none_or(|start| nanos(start) <= time)
            && range.end.as_ref().is_none_or(|end| time < nanos(end))
    })
}

fn says(event: &Event, text: &str) -> bool {
    let Event { code, name, category, actor, subject, device, correlation_id, .. } = event;
    let columns = [code, name, category, actor, subject, device, correlation_id];
    let attributes = event.attributes.iter().flat_map(|each| [&each.name, &each.value]);
    columns.into_iter().chain(attributes).any(|each| each.to_ascii_lowercase().contains(text))
}
