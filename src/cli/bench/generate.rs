//! Events to measure with: the example files of all families, over and over, with fresh ids and the
//! current time.
//!
//! Called by: `bench/append.rs`, `bench/ceiling.rs`.
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;

use super::load::Way;
use crate::{
    cli::{ambient, failure::Failure, time},
    proto::v1::{AppendMode, AppendRequest, AppendStreamRequest, NewEvent},
};

const EXAMPLES: [&str; 4] = [
    include_str!("../../../examples/cms_audit.ndjson"),
    include_str!("../../../examples/cms_notification.ndjson"),
    include_str!("../../../examples/as_audit.ndjson"),
    include_str!("../../../examples/token_server.ndjson"),
];

/// An encoded batch.
pub struct Prepared {
    /// An AppendRequest, or an AppendStreamRequest without its number.
    pub request: Bytes,
    /// Events in it.
    pub events: u64,
}

/// Makes events without end.
pub struct Generator {
    families: Vec<Vec<NewEvent>>,
    made: usize,
}

impl Generator {
    /// Reads the examples.
    pub fn new() -> Result<Self, Failure> {
        let families = EXAMPLES.map(examples).into_iter().collect::<Result<Vec<_>, _>>();
        let mut families = families.map_err(|error| Failure::Files(format!("embedded examples: {error}")))?;
        families.retain(|events| !events.is_empty());
        if families.is_empty() {
            return Err(Failure::Files("embedded examples: no events".to_owned()));
        }
        Ok(Self { families, made: 0 })
    }

    /// The next events; the families take turns.
    pub fn events(&mut self, count: u64, now: Timestamp) -> Vec<NewEvent> {
        let occurred_at = Some(time::proto(now));
        (0..count).map(|_| NewEvent { occurred_at, ..self.event() }).collect()
    }

    /// The next batch, for a log and a way to send it.
    pub fn batch(&mut self, log: &str, way: Way, count: u64, now: Timestamp) -> Prepared {
        let (log, events) = (log.to_owned(), self.events(count, now));
        let request = match way {
            Way::Unary => {
                let mode = AppendMode::Atomic as i32;
                AppendRequest { log, events, mode, validate_only: false }.encode_to_vec()
            }
            Way::Stream => AppendStreamRequest { log, batch_number: 0, events }.encode_to_vec(),
        };
        Prepared { request: request.into(), events: count }
    }

    fn event(&mut self) -> NewEvent {
        let family = &self.families[self.made % self.families.len()];
        let example = &family[self.made / self.families.len() % family.len()];
        self.made += 1;
        NewEvent {
            event_id: ambient::event_id(),
            // Repeated numbers would be reported as losses of the producer.
            producer_sequence: None,
            producer_epoch: None,
            ..example.clone()
        }
    }
}

fn examples(text: &str) -> Result<Vec<NewEvent>, serde_json::Error> {
    text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_an_event_and_the_families_take_turns() {
        let made = Generator::new().map(|mut it| {
            let ids = [it.event(), it.event()].map(|event| event.event_id);
            (it.families.len(), ids)
        });
        assert!(
            made.as_ref().is_ok_and(|(families, ids)| *families == EXAMPLES.len() && ids[0] != ids[1]),
            "{made:?}"
        );
    }
}
