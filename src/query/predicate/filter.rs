//! `EventFilter` to conditions, all of which must hold.
use std::{collections::HashSet, hash::Hash};

use super::{
    EnumColumn, FilterFault, MAX_FILTER_VALUES, MAX_VALUE_BYTES, NumberColumn, Predicate, TextColumn,
    value::within_reach,
};
use crate::proto::v1::{EventFamily, EventFilter, Outcome, TimeRange};

/// The conditions of a filter.
pub fn parts(filter: &EventFilter) -> Result<Vec<Predicate>, FilterFault> {
    check_sizes(filter)?;
    let mut all = Vec::new();
    let known = |value: &i32| EventFamily::try_from(*value).is_ok_and(|value| value as i32 != 0);
    if !filter.families.iter().all(known) {
        return Err(fault("families", "holds a family that is not set or not known"));
    }
    let known = |value: &i32| Outcome::try_from(*value).is_ok_and(|value| value as i32 != 0);
    if !filter.outcomes.iter().all(known) {
        return Err(fault("outcomes", "holds an outcome that is not set or not known"));
    }
    for (column, values) in [(EnumColumn::Family, &filter.families), (EnumColumn::Outcome, &filter.outcomes)]
    {
        if !values.is_empty() {
            all.push(Predicate::Enum(column, distinct(values)));
        }
    }
    for (column, values) in [
        (TextColumn::Code, &filter.codes),
        (TextColumn::Category, &filter.categories),
        (TextColumn::Producer, &filter.producers),
    ] {
        if !values.is_empty() {
            all.push(Predicate::Text(column, distinct(values)));
        }
    }
    for (column, value) in [
        (TextColumn::Actor, &filter.actor),
        (TextColumn::Subject, &filter.subject),
        (TextColumn::Device, &filter.device),
        (TextColumn::CorrelationId, &filter.correlation_id),
    ] {
        if !value.is_empty() {
            all.push(Predicate::Text(column, vec![value.clone()]));
        }
    }
    for (column, field, range) in [
        (NumberColumn::OccurredAt, "occurred", &filter.occurred),
        (NumberColumn::ReceivedAt, "received", &filter.received),
    ] {
        time_range(column, field, range.as_ref(), &mut all)?;
    }
    for attribute in &filter.attributes {
        if attribute.name.is_empty() {
            return Err(fault("attributes", "holds an attribute without a name"));
        }
        all.push(Predicate::Attribute { name: attribute.name.clone(), value: attribute.value.clone() });
    }
    if !filter.text.is_empty() {
        all.push(Predicate::Contains(filter.text.clone()));
    }
    Ok(all)
}

/// Each value once, as an expression has it: equal filters are then printed alike, and nothing is bound twice.
fn distinct<T: Clone + Eq + Hash>(values: &[T]) -> Vec<T> {
    let mut seen = HashSet::with_capacity(values.len());
    values.iter().filter(|value| seen.insert(*value)).cloned().collect()
}

/// How many values a filter has in its lists.
pub const fn values(filter: &EventFilter) -> usize {
    filter.families.len()
        + filter.codes.len()
        + filter.categories.len()
        + filter.outcomes.len()
        + filter.producers.len()
        + filter.attributes.len()
}

fn fault(field: &str, description: impl Into<String>) -> FilterFault {
    FilterFault::Filter { field: field.to_owned(), description: description.into() }
}

fn check_sizes(filter: &EventFilter) -> Result<(), FilterFault> {
    let count = values(filter);
    if count > MAX_FILTER_VALUES {
        return Err(fault("", format!("the filter has {count} values; at most {MAX_FILTER_VALUES}")));
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
            let description = format!("a value has {} bytes; at most {MAX_VALUE_BYTES}", value.len());
            return Err(fault(field, description));
        }
        if value.contains('\0') {
            return Err(fault(field, "a value holds a NUL character, which no event has"));
        }
    }
    Ok(())
}

fn time_range(
    column: NumberColumn,
    field: &str,
    range: Option<&TimeRange>,
    all: &mut Vec<Predicate>,
) -> Result<(), FilterFault> {
    let Some(range) = range else { return Ok(()) };
    let bounds = [&range.start, &range.end];
    if bounds.into_iter().flatten().any(|time| !(0..1_000_000_000).contains(&time.nanos)) {
        return Err(fault(field, "nanos are not within 0 to 999,999,999"));
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
        return Err(fault(field, "starts after its end"));
    }
    all.extend(start.map(|start| Predicate::From(column, within_reach(start))));
    all.extend(end.map(|end| Predicate::Before(column, within_reach(end))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_there_twice_counts_once() {
        let filter = EventFilter {
            categories: vec!["PIN".to_owned(), "Credential".to_owned(), "PIN".to_owned()],
            outcomes: vec![Outcome::Failure as i32; 2],
            ..EventFilter::default()
        };
        let predicate = Predicate::of(Some(&filter), "").expect("a filter");
        let printed = r#"outcome = OUTCOME_FAILURE AND (category = "PIN" OR category = "Credential")"#;
        assert_eq!(predicate.to_string(), printed);
        assert_eq!(Predicate::of(None, printed), Ok(predicate));
    }
}
