//! Every field of `EventFilter`, alone and combined, returns exactly the events that match it.
//! What matches is computed here, from what an unfiltered query returns.
use chancery::proto::v1::{
    AttributeMatch, CountEventsRequest, Event, EventFamily, EventFilter, NewEvent, Outcome, QueryRequest,
    TimeRange, TokenServerEvent, new_event::Family,
};
use pbjson_types::Timestamp;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, accept, atomic, everything, from_producer, query},
    events,
    server::Server,
};

/// Values that a careless filter gets wrong: line feeds, backslashes, equals signs, wildcards, quotes.
const ODD: [&str; 14] = [
    "a\nb",
    "a\\nb",
    "a\\\nb",
    "ab",
    "anb",
    "x=y",
    "x",
    "100%",
    "100",
    "a_b",
    "aXb",
    "it's \"so\"",
    "ÜBER",
    "$1",
];

fn odd(value: &str) -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        details: [("scope".to_owned(), value.to_owned())].into(),
        ..TokenServerEvent::default()
    }))
}

/// Every example, each family by a producer of its own, and the odd values.
async fn fill(audit: &mut Audit) -> Vec<Event> {
    for family in ["cms_audit", "cms_notification", "as_audit", "token_server"] {
        accept(audit, from_producer(family, atomic(events::examples(family)))).await;
    }
    accept(audit, atomic(ODD.map(odd).to_vec())).await;
    everything(audit, "").await
}

type Rule = Box<dyn Fn(&Event) -> bool>;

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn attribute(name: &str, value: &str) -> AttributeMatch {
    AttributeMatch { name: name.to_owned(), value: value.to_owned() }
}

fn has(event: &Event, name: &str, value: &str) -> bool {
    event.attributes.iter().any(|each| each.name == name && each.value == value)
}

fn contains(event: &Event, text: &str) -> bool {
    let columns = [
        &event.code,
        &event.name,
        &event.category,
        &event.actor,
        &event.subject,
        &event.device,
        &event.correlation_id,
    ];
    let attributes = event.attributes.iter().flat_map(|each| [&each.name, &each.value]);
    let text = text.to_ascii_lowercase();
    columns.into_iter().chain(attributes).any(|value| value.to_ascii_lowercase().contains(&text))
}

fn fields() -> Vec<(EventFilter, Rule)> {
    let empty = EventFilter::default;
    let mut table: Vec<(EventFilter, Rule)> = vec![
        (
            EventFilter { families: vec![EventFamily::AsAudit as i32], ..empty() },
            Box::new(|event| event.family() == EventFamily::AsAudit),
        ),
        (
            EventFilter { families: vec![1, 4], ..empty() },
            Box::new(|event| event.family == 1 || event.family == 4),
        ),
        (
            EventFilter { codes: texts(&["20010", "CONSENT_GIVEN", "no such code"]), ..empty() },
            Box::new(|event| event.code == "20010" || event.code == "CONSENT_GIVEN"),
        ),
        (
            EventFilter { categories: texts(&["Credential", "Consent"]), ..empty() },
            Box::new(|event| event.category == "Credential" || event.category == "Consent"),
        ),
        (
            EventFilter { outcomes: vec![Outcome::Failure as i32, Outcome::Denied as i32], ..empty() },
            Box::new(|event| matches!(event.outcome(), Outcome::Failure | Outcome::Denied)),
        ),
        (
            EventFilter { producers: texts(&["as_audit", "anonymous"]), ..empty() },
            Box::new(|event| event.producer == "as_audit" || event.producer == "anonymous"),
        ),
        (
            EventFilter { actor: "anna.visser".to_owned(), ..empty() },
            Box::new(|event| event.actor == "anna.visser"),
        ),
        (
            EventFilter { subject: "j.larsen@example.com".to_owned(), ..empty() },
            Box::new(|event| event.subject == "j.larsen@example.com"),
        ),
        (
            EventFilter { device: "5000000000148213".to_owned(), ..empty() },
            Box::new(|event| event.device == "5000000000148213"),
        ),
        (
            EventFilter { correlation_id: "request-4521".to_owned(), ..empty() },
            Box::new(|event| event.correlation_id == "request-4521"),
        ),
        (
            EventFilter {
                families: vec![EventFamily::CmsNotification as i32],
                outcomes: vec![Outcome::Success as i32],
                device: "5000000000148213".to_owned(),
                text: "LARSEN".to_owned(),
                ..empty()
            },
            Box::new(|event| {
                event.family() == EventFamily::CmsNotification
                    && event.outcome() == Outcome::Success
                    && event.device == "5000000000148213"
                    && contains(event, "larsen")
            }),
        ),
        (
            EventFilter { attributes: vec![attribute("scope", "x"), attribute("scope", "y")], ..empty() },
            Box::new(|_| false),
        ),
    ];
    for value in ODD {
        let filter = EventFilter { attributes: vec![attribute("scope", value)], ..empty() };
        table.push((filter, Box::new(move |event| has(event, "scope", value))));
    }
    let needles = [
        "consent",
        "CONSENT_GIVEN",
        "20010",
        "Credential",
        "anna",
        "Visser",
        "scope",
        "request-45",
        "5000000000148213",
        "%",
        "_",
        "100%",
        "a_b",
        "ax",
        "it's",
        "\"so\"",
        "ÜBER",
        "über",
        "a\\nb",
        "\\",
        "$1",
        "nothing at all",
        // What separates and escapes values in the store is no part of them.
        "=",
        "scope=",
        "scope=x",
        "\n",
        "\nb",
        "nb",
        "\\n",
    ];
    for text in needles.into_iter().chain(ODD) {
        let filter = EventFilter { text: text.to_owned(), ..empty() };
        table.push((filter, Box::new(move |event| contains(event, text))));
    }
    table
}

#[test]
fn each_field_returns_what_matches_and_nothing_else() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let all = fill(&mut audit).await;
            let mut matched = 0;
            for (filter, rule) in fields() {
                let expected: Vec<u64> =
                    all.iter().filter(|event| rule(event)).filter_map(|event| event.position).collect();
                assert!(expected.len() < all.len(), "{filter:?} selects nothing");
                matched += usize::from(!expected.is_empty());
                let request = QueryRequest { filter: Some(filter.clone()), ..QueryRequest::default() };
                let answer = query(&mut audit, request).await;
                assert_eq!(answer.positions(), expected, "{kind:?} {filter:?}");
                let count =
                    CountEventsRequest { filter: Some(filter.clone()), ..CountEventsRequest::default() };
                let counted = audit.count_events(count).await.expect("a count").into_inner();
                assert_eq!(counted.total, expected.len() as u64, "{kind:?} {filter:?}");
            }
            assert!(matched > 40, "only {matched} filters match anything");
        });
    }
}

fn micros(time: Option<&Timestamp>) -> i64 {
    let time = time.expect("a time");
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}

#[test]
fn time_ranges_contain_their_start_and_not_their_end() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let all = fill(&mut audit).await;
            for received in [false, true] {
                let time = |event: &Event| {
                    micros(if received { event.received_at.as_ref() } else { event.occurred_at.as_ref() })
                };
                let mut times: Vec<i64> = all.iter().map(time).collect();
                times.sort_unstable();
                times.dedup();
                assert!(times.len() >= 3, "{times:?}");
                let (low, high) = (times[times.len() / 3], times[times.len() * 2 / 3]);
                let nanos = |micros: i64, more: i32| Timestamp {
                    seconds: micros.div_euclid(1_000_000),
                    nanos: i32::try_from(micros.rem_euclid(1_000_000)).expect("below a million") * 1_000
                        + more,
                };
                for (start, end, from, to) in [
                    (Some(nanos(low, 0)), Some(nanos(high, 0)), low, high),
                    (Some(nanos(low, 1)), Some(nanos(high, 1)), low + 1, high + 1),
                    (Some(nanos(low, 0)), None, low, i64::MAX),
                    (None, Some(nanos(high, 0)), i64::MIN, high),
                    (Some(nanos(low, 0)), Some(nanos(low, 0)), 0, 0),
                    (None, None, i64::MIN, i64::MAX),
                ] {
                    let range = Some(TimeRange { start, end });
                    let filter = match received {
                        false => EventFilter { occurred: range, ..EventFilter::default() },
                        true => EventFilter { received: range, ..EventFilter::default() },
                    };
                    let expected: Vec<u64> = all
                        .iter()
                        .filter(|event| (from..to).contains(&time(event)))
                        .filter_map(|event| event.position)
                        .collect();
                    let request = QueryRequest { filter: Some(filter.clone()), ..QueryRequest::default() };
                    assert_eq!(query(&mut audit, request).await.positions(), expected, "{kind:?} {filter:?}");
                }
            }
        });
    }
}
