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
    proto::v1::{AppendMode, AppendRequest, AppendStreamRequest, NewEvent, new_event::Family},
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
        let mut event = NewEvent {
            event_id: ambient::event_id(),
            correlation_id: format!("bench-{:x}", self.made / EVENTS_PER_ACTION),
            // Repeated numbers would be reported as losses of the producer.
            producer_sequence: None,
            producer_epoch: None,
            ..example.clone()
        };
        vary(&mut event, self.made);
        event
    }
}

/// Events of one business action.
const EVENTS_PER_ACTION: usize = 3;
/// Devices and users that the events are about.
const DEVICES: usize = 50_000;
const USERS: usize = 20_000;

/// Gives an event a device, a user and a transaction out of many, as a site has them: an index over a few
/// values would cost next to nothing.
fn vary(event: &mut NewEvent, number: usize) {
    let device = || Some(format!("5{:015}", number * 104_729 % DEVICES));
    match &mut event.family {
        Some(Family::CmsAudit(event)) if event.client_id.is_some() => event.client_id = device(),
        // Of credential providers it has a type in front.
        Some(Family::CmsNotification(event))
            if event.client_id.as_ref().is_some_and(|it| !it.contains(':')) =>
        {
            event.client_id = device();
        }
        Some(Family::TokenServer(event)) => {
            if event.user_id.is_some() {
                event.user_id = Some(format!("user-{}", number * 7_919 % USERS));
            }
            if event.transaction_id.is_some() {
                event.transaction_id = Some(format!("ONEGINI_{:032x}", number / EVENTS_PER_ACTION));
            }
        }
        _ => {}
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
