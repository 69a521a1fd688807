//! After an erasure nothing of the person is found anywhere, and everything else is as it was.
use chancery::{
    event::{LogName, personal::Value},
    proto::v1::{
        AppendResult, AttributeMatch, CountEventsRequest, EventFilter, GetEventRequest, QueryRequest,
        QueryResponse, query_response::Payload,
    },
    tree::Frontier,
};

use tonic::Streaming;

use super::{
    ADDRESS, AGENT, OTHER, PERSON, THEIRS, TRACES, admin, behind, erase, mixed, request, stored, tells,
    values,
};
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, append, atomic, everything, per_event, query, results},
    database::Database,
    events,
    server::Server,
};

/// Every way to ask for the person.
fn questions() -> Vec<QueryRequest> {
    let filter = |filter| QueryRequest { filter: Some(filter), ..QueryRequest::default() };
    let attribute = |name: &str, value: &str| {
        let attributes = vec![AttributeMatch { name: name.to_owned(), value: value.to_owned() }];
        filter(EventFilter { attributes, ..EventFilter::default() })
    };
    let named = PERSON.to_owned();
    let mut asked = vec![
        filter(EventFilter { subject: named.clone(), ..EventFilter::default() }),
        filter(EventFilter { actor: named, ..EventFilter::default() }),
        attribute("user_id", PERSON),
        attribute("client_ip", ADDRESS),
        attribute("operator_id", PERSON),
    ];
    asked.extend(
        TRACES.map(|trace| filter(EventFilter { text: trace.to_lowercase(), ..EventFilter::default() })),
    );
    asked.extend(
        [
            format!("subject = \"{PERSON}\" OR actor = \"{PERSON}\""),
            format!("subject = \"{}*\"", &PERSON[..6]),
            format!("attributes.user_agent = \"{AGENT}\""),
            format!("attributes.user_agent:\"{}\"", &AGENT[..9]),
        ]
        .map(|text| QueryRequest { r#where: text, ..QueryRequest::default() }),
    );
    asked
}

async fn next(stream: &mut Streaming<QueryResponse>) -> Payload {
    stream.message().await.expect("a message").expect("more").payload.expect("a payload")
}

#[test]
fn nothing_finds_the_person_and_all_else_stays() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let sent = mixed();
            // Somebody follows, so that the events lie in memory as well.
            let follow = QueryRequest { follow: true, ..QueryRequest::default() };
            let mut followed = audit.query(follow.clone()).await.expect("a query").into_inner();
            while !matches!(next(&mut followed).await, Payload::CaughtUp(_)) {}
            accept(&mut audit, atomic(sent.clone())).await;
            for _ in &sent {
                while !matches!(next(&mut followed).await, Payload::Event(_)) {}
            }
            let (before, wire_before) = (everything(&mut audit, "").await, stored(&store).await);
            for question in questions() {
                assert!(!query(&mut audit, question.clone()).await.events.is_empty(), "{question:?}");
            }
            let id = events::fresh_id();
            let answer = erase(&server, &request(&id)).await;
            assert_eq!((answer.events_erased, answer.erasure_position), (5, Some(8)), "{kind:?}");
            assert_eq!((answer.not_erasable, answer.quarantined_mentions), (0, Some(0)));

            let after = everything(&mut audit, "").await;
            assert_eq!(after.len(), 9);
            assert!(!after.iter().any(tells), "{after:?}");
            for question in questions() {
                let found = query(&mut audit, question.clone()).await;
                assert!(found.events.is_empty(), "{question:?}");
                let count = CountEventsRequest {
                    filter: question.filter,
                    r#where: question.r#where,
                    ..CountEventsRequest::default()
                };
                assert_eq!(audit.count_events(count).await.expect("a count").into_inner().total, 0);
            }
            let mut history = audit.query(follow).await.expect("a query").into_inner();
            let mut read = 0;
            loop {
                match next(&mut history).await {
                    Payload::Event(event) => {
                        assert!(!tells(&event), "{event:?}");
                        read += 1;
                    }
                    Payload::CaughtUp(_) => break,
                    _ => {}
                }
            }
            assert_eq!(read, 9);

            // The event that tells of it names who asked, and nobody else.
            let told = &after[8];
            assert_eq!((told.code.as_str(), told.producer.as_str()), ("SUBJECT_ERASED", "chancery"));
            let value = |name: &str| {
                told.attributes.iter().find(|each| each.name == name).map(|each| each.value.as_str())
            };
            assert_eq!(value("request_id"), Some(id.as_str()));
            assert_eq!(value("reason"), Some("request 2026-17"));
            assert_eq!(value("requested_by"), Some("privacy-officer"));

            // Others' events are what they were, to the byte; and so is every record.
            let wire_after = stored(&store).await;
            for (position, (before, after)) in wire_before.iter().zip(&wire_after).enumerate() {
                assert_eq!(before.1, after.1, "the leaf hash of {position}");
                let erased = THEIRS.contains(&(position as u64));
                assert_eq!(before.0 != after.0, erased, "{kind:?} {position}");
                assert!(values(&before.0).iter().all(|value| *value == Value::Valid));
                let left = values(&after.0);
                assert_eq!(left.contains(&Value::Erased), erased);
                assert!(!left.contains(&Value::Altered));
            }
            // What names another person stays: who moved them, and whom they moved.
            assert_eq!((after[2].actor.as_str(), after[2].subject.as_str()), (OTHER, ""));
            assert_eq!((after[4].actor.as_str(), after[4].subject.as_str()), ("", OTHER));
            assert_eq!((after[5].actor.as_str(), after[5].device.as_str()), ("", "device-1"));
            let names: Vec<_> =
                after[1].attributes.iter().filter(|each| each.erased).map(|it| &it.name).collect();
            assert_eq!(names, ["user_id", "client_ip", "user_agent", "phone_number"], "{:?}", after[1]);
            let scope = after[1].attributes.iter().find(|each| each.name == "scope");
            assert_eq!(scope.map(|each| each.value.as_str()), Some("read"));

            // The tree is the one of before, with one leaf more.
            let tree = behind(&store).await.tree(&LogName::parse("").expect("a log")).await.expect("a tree");
            let leaves: Vec<[u8; 32]> =
                wire_after.iter().map(|(_, leaf)| leaf.as_slice().try_into().expect("a hash")).collect();
            assert_eq!(tree.head(), Frontier::default().extended(&leaves).head());
            // A retry is what it was, although nothing is left to compare it with.
            let retried = append(&mut audit, per_event(sent)).await;
            assert_eq!(results(&retried), [AppendResult::Duplicate; 8]);
            let positions: Vec<_> = retried.results.iter().map(|result| result.position).collect();
            assert_eq!(positions, (0..8).map(Some).collect::<Vec<_>>());
            assert_eq!(everything(&mut audit, "").await, after);

            // Again with the same id: the same answer, and nothing happens. With another: nothing is left to do.
            assert_eq!(erase(&server, &request(&id)).await, answer);
            let again = erase(&server, &request(&events::fresh_id())).await;
            assert_eq!((again.events_erased, again.values_erased), (0, 0));
            assert_eq!(again.erasure_position, Some(9));
            let got = GetEventRequest { position: Some(1), ..GetEventRequest::default() };
            let got = audit.get_event(got).await.expect("an event").into_inner().event.expect("an event");
            assert!(!tells(&got));
            assert_eq!(before[0], after[0]);
        });
    }
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(mixed())).await;
            let before = stored(&store).await;
            let mut dry = request("");
            dry.dry_run = true;
            dry.reason.clear();
            let counted = admin(&server).await.erase_subject(dry).await.expect("a count").into_inner();
            assert_eq!(stored(&store).await, before);
            assert_eq!((counted.erasure_position, counted.complete), (None, true));
            let done = erase(&server, &request(&events::fresh_id())).await;
            assert_eq!(
                (counted.events_erased, counted.values_erased),
                (done.events_erased, done.values_erased),
                "{kind:?}"
            );
            assert_eq!(counted.events_erased, 5);
        });
    }
}

/// Everything that the database holds, as text: texts as they are, bytes in hexadecimal digits.
async fn dump(store: &TestStore) -> String {
    let mut database = Database::open(store).await;
    let mut dump = String::new();
    for table in
        ["events", "event_keys", "producers", "producer_epochs", "log_head", "erasures", "shared_values"]
    {
        let rows = database.texts(&format!("SELECT row_to_json(t)::text FROM {table} AS t")).await;
        dump.push_str(&rows.join("\n"));
    }
    dump
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn no_table_and_no_file_holds_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(mixed())).await;
            erase(&server, &request(&events::fresh_id())).await;
        });
        drop(server);
        match kind {
            Kind::Sqlite => {
                for entry in std::fs::read_dir(store.folder.path()).expect("a folder") {
                    let path = entry.expect("an entry").path();
                    let bytes = std::fs::read(&path).expect("a file");
                    for trace in TRACES {
                        let found = bytes.windows(trace.len()).any(|window| window == trace.as_bytes());
                        assert!(!found, "{} holds {trace}", path.display());
                    }
                }
            }
            Kind::Postgres => {
                let dump = block_on(dump(&store));
                assert!(dump.contains(OTHER) && dump.contains(&hex(OTHER.as_bytes())), "a dump of both");
                for trace in TRACES {
                    assert!(!dump.contains(trace) && !dump.contains(&hex(trace.as_bytes())), "{trace}");
                }
            }
        }
        let content = "SELECT count(*) FROM event_keys WHERE log = 'main' AND length(content_hash) = 0";
        assert_eq!(block_on(async { Database::open(&store).await.number(content).await }), 5);
    }
}

/// Records of version 1 hold the values themselves: they stay readable, and are counted.
#[test]
fn old_records_are_read_counted_and_left() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(mixed())).await;
            let whole = &everything(&mut audit, "").await[1];
            let mut old = whole.clone();
            (old.record_version, old.position, old.record_size) = (1, None, 0);
            old.commitments.clear();
            old.openings.clear();
            old.leaf_hash = Default::default();
            let record = prost::Message::encode_to_vec(&old);
            let bytes = match kind {
                Kind::Sqlite => format!("x'{}'", hex(&record)),
                Kind::Postgres => format!("'\\x{}'::bytea", hex(&record)),
            };
            let none = if kind == Kind::Sqlite { "x''" } else { "''" };
            let mut database = Database::open(&store).await;
            database
                .run(&format!("UPDATE events SET record = {bytes}, personal = {none} WHERE position = 1"))
                .await;
            let answer = erase(&server, &request(&events::fresh_id())).await;
            assert_eq!((answer.events_erased, answer.not_erasable), (4, 1), "{kind:?}");
            let read = everything(&mut audit, "").await;
            assert_eq!(read[1].subject, PERSON);
            assert_eq!(read.iter().filter(|event| tells(event)).count(), 1);
        });
    }
}

/// The quarantine is not the log: it is left alone, and the answer says so.
#[test]
fn what_is_in_quarantine_is_counted() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut unknown = events::token("CONSENT_GIVVEN");
            if let Some(chancery::proto::v1::new_event::Family::TokenServer(event)) = &mut unknown.family {
                event.user_id = Some(PERSON.to_owned());
            }
            let kept = append(&mut audit, per_event(vec![unknown, events::token("CONSENT_GIVVEN")])).await;
            assert_eq!(results(&kept), [AppendResult::Quarantined; 2]);
            let answer = erase(&server, &request(&events::fresh_id())).await;
            assert_eq!((answer.events_erased, answer.quarantined_mentions), (0, Some(1)), "{kind:?}");
            assert_eq!(Database::open(&store).await.rows("quarantine").await, 2);
        });
    }
}
