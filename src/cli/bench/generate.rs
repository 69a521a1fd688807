//! Events to measure with: the example files, over and over, with fresh ids and the current time.
//!
//! Called by: `bench/append.rs`.
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;

use crate::{
    cli::{ambient, failure::Failure, time},
    proto::v1::{AppendMode, AppendRequest, NewEvent},
};

const EXAMPLES: [&str; 4] = [
    include_str!("../../../examples/cms_audit.ndjson"),
    include_str!("../../../examples/cms_notification.ndjson"),
    include_str!("../../../examples/as_audit.ndjson"),
    include_str!("../../../examples/token_server.ndjson"),
];

/// An encoded AppendRequest and the number of its events.
pub struct Prepared {
    /// The request.
    pub request: Bytes,
    /// Events in it.
    pub events: u64,
}

/// Makes requests without end.
pub struct Generator {
    log: String,
    families: Vec<Vec<NewEvent>>,
    made: usize,
}

impl Generator {
    /// Reads the examples.
    pub fn new(log: &str) -> Result<Self, Failure> {
        let families = EXAMPLES.map(examples).into_iter().collect::<Result<Vec<_>, _>>();
        let mut families = families.map_err(|error| Failure::Files(format!("embedded examples: {error}")))?;
        families.retain(|events| !events.is_empty());
        if families.is_empty() {
            return Err(Failure::Files("embedded examples: no events".to_owned()));
        }
        Ok(Self { log: log.to_owned(), families, made: 0 })
    }

    /// The next request; the families take turns.
    pub fn request(&mut self, events: u64, now: Timestamp) -> Prepared {
        let occurred_at = Some(time::proto(now));
        let request = AppendRequest {
            log: self.log.clone(),
            events: (0..events).map(|_| NewEvent { occurred_at, ..self.event() }).collect(),
            mode: AppendMode::Atomic as i32,
            validate_only: false,
        };
        Prepared { request: request.encode_to_vec().into(), events }
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
        let made = Generator::new("main").map(|mut it| {
            let ids = [it.event(), it.event()].map(|event| event.event_id);
            (it.families.len(), ids)
        });
        assert!(
            made.as_ref().is_ok_and(|(families, ids)| *families == EXAMPLES.len() && ids[0] != ids[1]),
            "{made:?}"
        );
    }
}
