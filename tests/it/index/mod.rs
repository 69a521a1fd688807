//! The index, its builder and the rollup against the plain truth: every event, compared one by one.
//!
//! Runs are small here, so that a few thousand events are cut, merged and merged again as millions are. The
//! builder and the pages are called directly for that, on a store that a server has filled.
mod answers;
mod counts;
mod kept;
mod plans;

use std::sync::Arc;

use chancery::{
    event::LogName,
    index::Shape,
    ingest::indexer::Indexer,
    proto::v1::{
        AttributeMatch, Event, EventFilter, NewEvent, Outcome, TimeRange, TokenServerEvent, new_event::Family,
    },
    query::predicate::Predicate,
    store::{self, Store, StoreUrl},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    TestStore,
    calls::{accept, atomic, everything, from_producer},
    events,
    server::Server,
};

/// Segments of 128, merged by 4 to 512 and 2,048.
const SHAPE: Shape = Shape { segment: 7, fan_out: 2, top: 11 };
/// Seconds since 1970 of the first event.
const BEGIN: i64 = 1_780_000_000;

/// A small generator of numbers, so that every run of a test is the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Event number `number`: some values are rare, some common, some common only for a while; some times are
/// late, some early, many equal.
fn numbered(number: u64, dice: &mut Dice) -> NewEvent {
    let mut event = match dice.roll(3) {
        0 => events::hold(&format!("device-{}", dice.roll(700))),
        1 if (3000..3300).contains(&number) => events::hold("device-burst"),
        _ => events::event(Family::TokenServer(TokenServerEvent {
            r#type: ["CONSENT_GIVEN", "CONSENT_GIVEN", "CONSENT_CSRF_INVALID"][dice.roll(3) as usize]
                .to_owned(),
            user_id: Some(format!("user-{}", dice.roll(40))),
            details: [("scope".to_owned(), format!("s{}", dice.roll(300)))].into(),
            ..TokenServerEvent::default()
        })),
    };
    event.correlation_id = format!("request-{}", number / 3);
    let late = match dice.roll(50) {
        0 => -200_000,
        1 => 90_000,
        _ => 0,
    };
    event.occurred_at = Some(events::at(BEGIN + i64::try_from(number * 2 / 5 * 5).expect("small") + late));
    event
}

/// A log with its events, as they are told by a query without a filter.
struct Log {
    name: LogName,
    store: Arc<dyn Store>,
    all: Vec<Event>,
    dice: Dice,
}

impl Log {
    /// A log of this many events, by two producers.
    async fn fill(test: &TestStore, events: u64) -> Self {
        let server = Server::start(test);
        let mut audit = server.audit().await;
        let mut dice = Dice(events);
        for batch in 0..events / 1000 {
            let events =
                (batch * 1000..(batch + 1) * 1000).map(|number| numbered(number, &mut dice)).collect();
            let producer = if batch % 4 == 3 { "second" } else { "first" };
            accept(&mut audit, from_producer(producer, atomic(events))).await;
        }
        let all = everything(&mut audit, "").await;
        assert_eq!(all.len() as u64, events);
        let url: StoreUrl = test.url.parse().expect("a store URL");
        let store = store::connect(&url).await.expect("the store");
        Self { name: LogName::parse("main").expect("a log"), store, all, dice }
    }

    fn indexer(&self) -> Indexer {
        Indexer::new(Arc::clone(&self.store), Arc::new(Metrics::default()), SHAPE)
    }

    /// Indexes what there is.
    async fn index(&self) {
        let mut indexer = self.indexer();
        while indexer.pass(&CancellationToken::new()).await.expect("a pass") {}
    }
}

fn micros(time: Option<&pbjson_types::Timestamp>) -> i64 {
    let time = time.expect("a time");
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}

type Rule = Box<dyn Fn(&Event) -> bool + Send + Sync>;

fn range(start: Option<i64>, end: Option<i64>) -> Option<TimeRange> {
    let at = |micros: i64| pbjson_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000)).expect("below a million") * 1_000,
    };
    Some(TimeRange { start: start.map(at), end: end.map(at) })
}

/// Filters of every kind with what they mean: rare, common, both, none, and ranges of time.
fn filters(log: &Log) -> Vec<(EventFilter, Rule)> {
    let empty = EventFilter::default;
    let scope = |value: &str| AttributeMatch { name: "scope".to_owned(), value: value.to_owned() };
    let hour = |number: i64| (BEGIN + number) * 1_000_000;
    let received = micros(log.all[log.all.len() / 2].received_at.as_ref());
    let many: Vec<String> =
        (0..150).map(|number| format!("code-{number}")).chain(["20018".to_owned()]).collect();
    vec![
        (empty(), Box::new(|_| true)),
        (
            EventFilter { device: "device-7".to_owned(), ..empty() },
            Box::new(|event| event.device == "device-7"),
        ),
        (
            EventFilter { device: "device-burst".to_owned(), ..empty() },
            Box::new(|event| event.device == "device-burst"),
        ),
        (
            EventFilter { actor: "user-7".to_owned(), outcomes: vec![Outcome::Failure as i32], ..empty() },
            Box::new(|event| event.actor == "user-7" && event.outcome() == Outcome::Failure),
        ),
        (
            EventFilter { subject: "user-7".to_owned(), ..empty() },
            Box::new(|event| event.subject == "user-7"),
        ),
        (
            EventFilter { correlation_id: "request-2000".to_owned(), ..empty() },
            Box::new(|event| event.correlation_id == "request-2000"),
        ),
        (
            EventFilter { attributes: vec![scope("s17")], ..empty() },
            Box::new(|event| event.attributes.iter().any(|each| each.name == "scope" && each.value == "s17")),
        ),
        (EventFilter { codes: vec!["20018".to_owned()], ..empty() }, Box::new(|event| event.code == "20018")),
        (
            EventFilter { codes: many.clone(), device: "device-8".to_owned(), ..empty() },
            Box::new(|event| event.code == "20018" && event.device == "device-8"),
        ),
        (
            EventFilter { producers: vec!["second".to_owned()], families: vec![4], ..empty() },
            Box::new(|event| event.producer == "second" && event.family == 4),
        ),
        (EventFilter { device: "nobody's".to_owned(), ..empty() }, Box::new(|_| false)),
        (
            EventFilter { text: "VICE-12".to_owned(), ..empty() },
            Box::new(|event| event.device.contains("vice-12")),
        ),
        (EventFilter { text: "nowhere".to_owned(), ..empty() }, Box::new(|_| false)),
        (
            EventFilter { text: "burst".to_owned(), device: "device-burst".to_owned(), ..empty() },
            Box::new(|event| event.device == "device-burst"),
        ),
        (
            EventFilter { occurred: range(Some(hour(6000)), Some(hour(7000))), ..empty() },
            Box::new(move |event| (hour(6000)..hour(7000)).contains(&micros(event.occurred_at.as_ref()))),
        ),
        (
            EventFilter { occurred: range(None, Some(hour(-100_000))), ..empty() },
            Box::new(move |event| micros(event.occurred_at.as_ref()) < hour(-100_000)),
        ),
        (
            EventFilter {
                occurred: range(Some(hour(9000)), None),
                actor: "user-3".to_owned(),
                received: range(Some(received), None),
                ..empty()
            },
            Box::new(move |event| {
                micros(event.occurred_at.as_ref()) >= hour(9000)
                    && event.actor == "user-3"
                    && micros(event.received_at.as_ref()) >= received
            }),
        ),
        (
            EventFilter { received: range(None, Some(received)), ..empty() },
            Box::new(move |event| micros(event.received_at.as_ref()) < received),
        ),
        (EventFilter { occurred: range(Some(hour(100)), Some(hour(100))), ..empty() }, Box::new(|_| false)),
    ]
}

fn predicate(filter: &EventFilter) -> Predicate {
    Predicate::of(Some(filter), "").expect("a filter")
}

/// Those filters, and expressions of the filter language that the index answers wholly, in part or not at all.
fn predicates(log: &Log) -> Vec<(Predicate, Rule)> {
    let filters = filters(log).into_iter().map(|(filter, rule)| (predicate(&filter), rule));
    let expressions: Vec<(&str, Rule)> = vec![
        ("name = Hold AND device = \"device-9\"", Box::new(|event| event.device == "device-9")),
        ("severity = 100 device:burst", Box::new(|event| event.device == "device-burst")),
        ("severity = 601", Box::new(|_| false)),
        ("severity >= 100 AND device = device-1*", Box::new(|event| event.device.starts_with("device-1"))),
        (
            "device = device-5 OR actor = user-5 OR attributes.scope = s5",
            Box::new(|event| {
                let scope = event.attributes.iter().any(|each| each.name == "scope" && each.value == "s5");
                event.device == "device-5" || event.actor == "user-5" || scope
            }),
        ),
        (
            "(device = device-5 AND position >= 2000) OR (actor = user-5 AND position < 3000)",
            Box::new(|event| {
                let position = event.position.expect("a position");
                event.device == "device-5" && position >= 2000 || event.actor == "user-5" && position < 3000
            }),
        ),
        (
            "position >= 1500 AND position < 1510",
            Box::new(|event| (1500..1510).contains(&event.position.expect("a position"))),
        ),
        (
            "position > 4000 AND position <= 5500 AND correlation_id = request-1500",
            Box::new(|event| event.correlation_id == "request-1500"),
        ),
        ("position < 0 OR position >= 9000000", Box::new(|_| false)),
        (
            "NOT device:* AND actor = user-1",
            Box::new(|event| event.device.is_empty() && event.actor == "user-1"),
        ),
        (
            "NOT (device = device-3 OR family = TOKEN_SERVER)",
            Box::new(|event| event.device != "device-3" && event.family != 4),
        ),
        (
            "device = device-burst AND NOT position >= 3100",
            Box::new(|event| event.device == "device-burst" && event.position < Some(3100)),
        ),
    ];
    let expressions = expressions.into_iter().map(|(expression, rule)| {
        let predicate = Predicate::of(None, expression);
        (predicate.unwrap_or_else(|fault| panic!("{expression}: {fault:?}")), rule)
    });
    filters.chain(expressions).collect()
}
