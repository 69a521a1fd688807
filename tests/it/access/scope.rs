//! A reader sees the rows of its line and no others, whichever way it asks.
use std::time::Duration;

use chancery::proto::v1::{
    CountEventsRequest, EventFamily, EventFilter, GetEventRequest, ListQuarantinedRequest, NewEvent, Order,
    QueryRequest, query_response::Payload,
};
use prost::Message as _;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::harness::{
    KINDS, TestStore,
    access::{self, by},
    block_on,
    calls::{Audit, Refusal, accept, append, atomic, per_event, query, try_query},
    database::Database,
    events,
    server::Server,
    until,
};

const ACCESS: &str = "
[producer.source]
logs = [\"*\"]
families = [\"*\"]
[reader.all]
logs = [\"*\"]
families = [\"*\"]
personal = true
[reader.cards]
logs = [\"main\"]
families = [\"cms_audit\"]
personal = true
[reader.blind]
logs = [\"main\"]
families = [\"*\"]
[reader.nothing]
logs = [\"main\"]
families = []
personal = true
";
const NAMES: [&str; 5] = ["source", "all", "cards", "blind", "nothing"];
/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(30);

/// Events of two families by turns: those of the cards are at even positions.
fn mixed(pairs: usize) -> Vec<NewEvent> {
    (0..pairs)
        .flat_map(|at| [events::hold(&format!("device-{at}")), events::token("CONSENT_GIVEN")])
        .collect()
}

async fn filled(server: &Server) -> Audit {
    let mut audit = server.audit().await;
    accept(&mut audit, by("source", atomic(mixed(6)))).await;
    audit
}

fn started(store: &TestStore) -> Server {
    access::server(store, &access::file(ACCESS, &NAMES), "")
}

#[test]
fn queries_show_the_families_of_the_reader_in_every_order() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        block_on(async {
            let mut audit = filled(&server).await;
            let even: Vec<u64> = (0..12).step_by(2).collect();
            for order in [Order::PositionAsc, Order::PositionDesc, Order::OccurredDesc] {
                let asked = QueryRequest { order: order as i32, ..QueryRequest::default() };
                let whole = query(&mut audit, by("all", asked.clone())).await;
                assert_eq!(whole.events.len(), 12, "{kind:?}");
                let answer = query(&mut audit, by("cards", asked.clone())).await;
                let mut positions = answer.positions();
                let expected: Vec<_> =
                    whole.positions().into_iter().filter(|position| even.contains(position)).collect();
                assert_eq!(positions, expected, "{kind:?} {order:?}");
                positions.sort_unstable();
                assert_eq!(positions, even);
                assert!(answer.events.iter().all(|event| event.family() == EventFamily::CmsAudit));
                assert!(
                    answer.summary.filter.contains("family"),
                    "the summary says so: {:?}",
                    answer.summary
                );
                // Whoever asks for what it does not see gets nothing, and is not told that there is something.
                let filter =
                    EventFilter { families: vec![EventFamily::TokenServer as i32], ..EventFilter::default() };
                let other = QueryRequest { filter: Some(filter), ..asked.clone() };
                assert_eq!(query(&mut audit, by("cards", other)).await.events.len(), 0);
                let other = QueryRequest {
                    r#where: "NOT family = cms_audit OR position >= 0".to_owned(),
                    ..asked.clone()
                };
                assert_eq!(query(&mut audit, by("cards", other)).await.events.len(), 6);
                assert_eq!(query(&mut audit, by("nothing", asked.clone())).await.events.len(), 0);
                // A token of somebody who sees everything shows no more than a call of one's own.
                let first = QueryRequest { limit: 3, ..asked.clone() };
                let token = query(&mut audit, by("all", first)).await.last_token;
                let rest = QueryRequest { resume_token: token, ..asked };
                let answer = query(&mut audit, by("cards", rest)).await;
                assert_eq!(answer.positions(), expected[expected.len() - answer.events.len()..], "{order:?}");
                assert!((4..=5).contains(&answer.events.len()), "{order:?} {:?}", answer.positions());
            }
        });
    }
}

#[test]
fn who_follows_sees_no_more_than_who_asks() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        block_on(async {
            let mut audit = filled(&server).await;
            let asked = QueryRequest { follow: true, ..QueryRequest::default() };
            let mut cards = audit.query(by("cards", asked.clone())).await.expect("a query").into_inner();
            let mut blind = audit.query(by("blind", asked)).await.expect("a query").into_inner();
            let mut sending = server.audit().await;
            let (mut seen, mut withheld) = (Vec::new(), 0);
            for round in 0..3 {
                // From the store at first, then live.
                while seen.len() < 6 * (round + 1) {
                    let message = timeout(LONG, cards.message()).await.expect("in time").expect("a query");
                    if let Some(Payload::Event(event)) = message.expect("a message").payload {
                        assert_eq!(event.family(), EventFamily::CmsAudit);
                        assert!(!event.personal_withheld && event.actor == "operator-1", "{event:?}");
                        seen.push(event.position.expect("a position"));
                    }
                }
                while withheld < 12 * (round + 1) {
                    let message = timeout(LONG, blind.message()).await.expect("in time").expect("a query");
                    if let Some(Payload::Event(event)) = message.expect("a message").payload {
                        assert!(event.personal_withheld && event.actor.is_empty(), "{event:?}");
                        assert!(event.subject.is_empty() && event.openings.is_empty(), "{event:?}");
                        withheld += 1;
                    }
                }
                accept(&mut sending, by("source", atomic(mixed(6)))).await;
            }
            assert_eq!(seen, (0..36).step_by(2).collect::<Vec<u64>>(), "{kind:?}");
        });
    }
}

/// A status as it came, the time left out.
fn whole(status: &Status) -> (Code, String, Vec<u8>, String) {
    let mut headers = status.metadata().clone().into_headers();
    headers.remove("date");
    (status.code(), status.message().to_owned(), status.details().to_vec(), format!("{headers:?}"))
}

#[test]
fn a_hidden_event_is_answered_like_a_missing_one() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let sent = mixed(2);
            let ids: Vec<_> = sent.iter().map(|event| event.event_id.clone()).collect();
            accept(&mut audit, by("source", atomic(sent))).await;
            let at = |position| GetEventRequest { position: Some(position), ..GetEventRequest::default() };
            let of = |id: &str| GetEventRequest {
                producer: "source".to_owned(),
                event_id: id.to_owned(),
                ..GetEventRequest::default()
            };
            for (hidden, shown) in [(at(1), at(0)), (of(&ids[1]), of(&ids[0]))] {
                audit.get_event(by("cards", shown.clone())).await.expect("its own");
                audit.get_event(by("all", hidden.clone())).await.expect("everything");
                let hidden = audit.get_event(by("cards", hidden)).await.expect_err("hidden");
                assert_eq!(Refusal::of(&hidden).reason, "EVENT_NOT_FOUND", "{kind:?}");
                // The same question where the answer is no.
                let empty = TestStore::new(kind);
                let other = started(&empty);
                let missing = if hidden.message().contains("position") { at(1) } else { of(&ids[1]) };
                let missing = other.audit().await.get_event(by("cards", missing)).await;
                assert_eq!(whole(&hidden), whole(&missing.expect_err("missing")), "{kind:?}");
            }
            let event = audit.get_event(by("blind", at(0))).await.expect("without persons").into_inner();
            let event = event.event.expect("an event");
            assert!(event.personal_withheld && event.actor.is_empty() && !event.commitments.is_empty());
            assert_eq!((event.code.as_str(), event.producer.as_str()), ("20018", "source"));
        });
    }
}

#[test]
fn counts_are_of_what_the_reader_sees_also_from_the_rollup() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        block_on(async {
            let mut audit = server.audit().await;
            // More than a segment of the index.
            for _ in 0..17 {
                accept(&mut audit, by("source", atomic(mixed(500)))).await;
            }
            until("an index", || async {
                let indexed = "SELECT CAST(coalesce(max(indexed), 0) AS BIGINT) FROM index_heads";
                Database::open(&store).await.number(indexed).await > 0
            })
            .await;
            let day = Some(pbjson_types::Duration { seconds: 86_400, nanos: 0 });
            for (group_by, bucket) in [(vec!["family"], None), (vec!["family", "code"], day), (vec![], None)]
            {
                let request = CountEventsRequest {
                    group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
                    bucket,
                    ..CountEventsRequest::default()
                };
                for (name, total) in [("all", 17_000), ("blind", 17_000), ("cards", 8_500), ("nothing", 0)] {
                    let counted =
                        audit.count_events(by(name, request.clone())).await.expect("a count").into_inner();
                    assert_eq!(counted.total, total, "{kind:?} {name} {group_by:?}");
                    if name == "cards" {
                        assert!(counted.rows.len() <= 1 || group_by.is_empty(), "{counted:?}");
                        assert!(!format!("{counted:?}").contains("TOKEN_SERVER"), "{counted:?}");
                    }
                }
                // What is scanned and not looked up.
                let slow = CountEventsRequest { r#where: "position >= 0".to_owned(), ..request };
                let counted = audit.count_events(by("cards", slow)).await.expect("a count").into_inner();
                assert_eq!(counted.total, 8_500, "{kind:?}");
            }
        });
    }
}

#[test]
fn the_quarantine_shows_the_families_of_the_reader() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut unknown = events::hold("device-1");
            if let Some(chancery::proto::v1::new_event::Family::CmsAudit(event)) = &mut unknown.family {
                event.code = "99999".to_owned();
            }
            let refused = vec![unknown, events::token("NO_SUCH_TYPE"), events::token("NO_SUCH_TYPE")];
            append(&mut audit, by("source", per_event(refused))).await;
            let mut quarantine = server.quarantine().await;
            for (name, expected) in [("all", 3), ("cards", 1), ("nothing", 0)] {
                let listed = quarantine.list_quarantined(by(name, ListQuarantinedRequest::default())).await;
                let mut listed = listed.expect("a list").into_inner();
                let mut found = 0;
                while let Some(row) = listed.message().await.expect("a row") {
                    let source = row.event.and_then(|event| event.submitted).and_then(|event| event.family);
                    let cards = matches!(source, Some(chancery::proto::v1::new_event::Family::CmsAudit(_)));
                    assert!(cards || name == "all", "{name}");
                    found += 1;
                }
                assert_eq!(found, expected, "{kind:?} {name}");
            }
        });
    }
}

#[test]
fn who_sees_no_persons_cannot_look_for_them() {
    let store = TestStore::new(KINDS[0]);
    let server = started(&store);
    block_on(async {
        let mut audit = filled(&server).await;
        let filter = |filter: EventFilter| QueryRequest { filter: Some(filter), ..QueryRequest::default() };
        let asked = |text: &str| QueryRequest { r#where: text.to_owned(), ..QueryRequest::default() };
        let text = |text: &str| text.to_owned();
        let about = [
            (filter(EventFilter { actor: text("operator-1"), ..EventFilter::default() }), "actor"),
            (filter(EventFilter { subject: text("ann"), ..EventFilter::default() }), "subject"),
            (filter(EventFilter { device: text("device-1"), ..EventFilter::default() }), "device"),
            (filter(EventFilter { text: text("ann"), ..EventFilter::default() }), "text"),
            (asked("actor = \"operator-1\""), "actor"),
            (asked("code = \"20018\" AND NOT subject:\"a\""), "subject"),
            (asked("device = \"device-*\""), "device"),
            (asked("attributes.operator_id:*"), "attributes.operator_id"),
        ];
        for (request, field) in about {
            let status = try_query(&mut audit, by("blind", request.clone())).await.expect_err("refused");
            let refusal = Refusal::of(&status);
            let told = (refusal.code, refusal.reason.as_str(), refusal.metadata["field"].as_str());
            assert_eq!(told, (Code::PermissionDenied, "PERSONAL_NOT_ALLOWED", field));
            let count = CountEventsRequest {
                filter: request.filter.clone(),
                r#where: request.r#where.clone(),
                ..CountEventsRequest::default()
            };
            let status = audit.count_events(by("blind", count)).await.expect_err("refused");
            assert_eq!(Refusal::of(&status).reason, "PERSONAL_NOT_ALLOWED");
            // Whoever sees them may; the token of such a query is of another one.
            let answer = query(&mut audit, by("all", QueryRequest { limit: 1, ..request })).await;
            let stolen = QueryRequest { resume_token: answer.last_token, ..QueryRequest::default() };
            let status = try_query(&mut audit, by("blind", stolen)).await.expect_err("refused");
            assert_eq!(Refusal::of(&status).reason, "RESUME_TOKEN_OF_ANOTHER_QUERY");
        }
        let answer = query(&mut audit, by("blind", asked("code = \"20018\" AND outcome = SUCCESS"))).await;
        assert_eq!(answer.events.len(), 6);
        for event in &answer.events {
            // Nothing of a person anywhere.
            let bytes = event.encode_to_vec();
            let person = b"operator-1";
            assert!(!bytes.windows(person.len()).any(|part| part == person), "{event:?}");
        }
    });
}
