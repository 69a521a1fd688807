//! Chancery's own events: the type decides the outcome, the details are named by their keys.
use super::{
    Draft, FamilyCatalog,
    model::EventType,
    reading::{Origin, Reading, unlisted_name, warning},
};
use crate::proto::v1::ChanceryEvent;

/// Reads an event whose type is `event_type`.
pub fn read(catalog: &FamilyCatalog, event_type: &EventType, event: &ChanceryEvent) -> Draft {
    let reading = read_any(catalog, event);
    Draft { reading, outcome: event_type.outcome, variant: String::new(), severity: None }
}

/// Names what an event of any type holds.
pub fn read_any(catalog: &FamilyCatalog, event: &ChanceryEvent) -> Reading {
    let mut reading = Reading::default();
    for (key, value) in &event.details {
        let path = || format!("chancery.details[{key}]");
        match catalog.details.get(key) {
            Some(attribute) => reading.take(attribute, value, path, || Origin::Key(key.clone())),
            None => {
                reading.warn(warning::UNKNOWN_KEY, path(), "the catalog does not know this key");
                reading.take_unlisted(unlisted_name("detail", key), value, Origin::Key(key.clone()));
            }
        }
    }
    reading
}
