//! How an event looks in a table and in CSV. Its JSON is the contract's own.
//!
//! Called by: `query`.
use serde::{Serialize, Serializer};

use super::{Column, Layout, Record, csv::Cell};
use crate::{
    cli::{names, time},
    proto::v1::{Attribute, Event},
};

/// The columns of events.
pub fn layout() -> Layout {
    const CSV: [&str; 17] = [
        "position",
        "occurred_at",
        "received_at",
        "family",
        "code",
        "name",
        "category",
        "variant",
        "severity",
        "outcome",
        "producer",
        "actor",
        "subject",
        "device",
        "correlation_id",
        "event_id",
        "attributes",
    ];
    Layout {
        table: vec![
            Column::fixed("time (UTC)"),
            Column::number("position"),
            Column::fixed("family").leaves(5),
            Column::text("code"),
            Column::text("name").leaves(1),
            Column::outcome("outcome"),
            Column::text("actor").leaves(2),
            Column::text("subject").leaves(3),
            Column::text("device").leaves(4),
            Column::text("attributes").leaves(6),
        ],
        csv: CSV.map(str::to_owned).to_vec(),
    }
}

/// An event to be printed.
pub struct EventRecord<'a>(pub &'a Event);

impl Serialize for EventRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Record for EventRecord<'_> {
    fn table(&self) -> Vec<String> {
        let event = self.0;
        vec![
            time::column(event.occurred_at.as_ref()),
            event.position.map_or_else(String::new, |it| it.to_string()),
            names::family(event.family).to_owned(),
            event.code.clone(),
            event.name.clone(),
            names::outcome(event.outcome).to_owned(),
            event.actor.clone(),
            event.subject.clone(),
            event.device.clone(),
            joined(&event.attributes),
        ]
    }

    fn csv(&self) -> Vec<Cell> {
        let event = self.0;
        let text = |text: &str| Cell::Text(text.to_owned());
        vec![
            Cell::number(event.position),
            Cell::Own(time::rfc3339(event.occurred_at.as_ref())),
            Cell::Own(time::rfc3339(event.received_at.as_ref())),
            text(names::family(event.family)),
            text(&event.code),
            text(&event.name),
            text(&event.category),
            text(&event.variant),
            Cell::number(event.severity),
            text(names::outcome(event.outcome)),
            text(&event.producer),
            text(&event.actor),
            text(&event.subject),
            text(&event.device),
            text(&event.correlation_id),
            text(&event.event_id),
            text(&joined(&event.attributes)),
        ]
    }
}

/// In the product's order: the personal ones, which come last, say where they belong.
fn in_order(attributes: &[Attribute]) -> Vec<&Attribute> {
    let (placed, mut all): (Vec<_>, Vec<_>) = attributes.iter().partition(|each| each.place.is_some());
    for each in placed {
        let place = each.place.and_then(|place| usize::try_from(place).ok()).unwrap_or(usize::MAX);
        all.insert(place.min(all.len()), each);
    }
    all
}

/// `name=value; name=value`; a dropped secret shows that it was there, and so does an erased value.
fn joined(attributes: &[Attribute]) -> String {
    let mut line = String::new();
    for attribute in in_order(attributes) {
        if !line.is_empty() {
            line.push_str("; ");
        }
        line.push_str(&attribute.name);
        line.push('=');
        line.push_str(match (attribute.dropped, attribute.erased) {
            (true, _) => "(dropped)",
            (_, true) => "(erased)",
            (false, false) => &attribute.value,
        });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_cells_agree() {
        let event = Event::default();
        assert_eq!(EventRecord(&event).csv().len(), layout().csv.len());
        assert_eq!(EventRecord(&event).table().len(), layout().table.len());
    }

    #[test]
    fn attributes_are_one_line() {
        let attribute = |name: &str, value: &str, dropped| Attribute {
            name: name.to_owned(),
            value: value.to_owned(),
            dropped,
            ..Attribute::default()
        };
        let gone = Attribute { erased: true, place: Some(1), ..attribute("user_id", "", false) };
        let all = [attribute("request_type", "1", false), attribute("ski_key", "", true), gone];
        assert_eq!(joined(&all), "request_type=1; user_id=(erased); ski_key=(dropped)");
    }
}
