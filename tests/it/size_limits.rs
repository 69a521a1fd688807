//! An event, a batch or a message above its limit is refused for good, with a status that any client
//! can read; at the limit it is accepted.
use chancery::proto::v1::{
    self, AppendResult, CmsNotificationEvent, NewEvent, TokenServerEvent, new_event::Family,
};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, per_event, refuse},
    database::assert_empty,
    events,
    metrics::conserved,
    server::Server,
};

/// An event of `size` encoded bytes, no field of it above 8 KiB.
fn sized(size: usize) -> NewEvent {
    let notes = |last: usize| {
        let note = |number: usize| (format!("note {number}"), "x".repeat(7000));
        let last = ("last note".to_owned(), "x".repeat(last));
        let details = (0..size / 7000).map(note).chain([last]).collect();
        let token =
            TokenServerEvent { r#type: "CONSENT_GIVEN".to_owned(), details, ..TokenServerEvent::default() };
        NewEvent { event_id: String::new(), ..events::event(Family::TokenServer(token)) }
    };
    // A length of 1000 takes two bytes, as every length up to 16,383 does.
    let event = notes(1000 + size - notes(1000).encoded_len());
    assert_eq!(event.encoded_len(), size);
    event
}

#[test]
fn an_event_above_64_kib_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for size in [64 * 1024 + 1, 70 * 1024] {
                let batch = vec![events::hold("good"), sized(size)];
                let refusal = refuse(&mut audit, atomic(batch)).await;
                assert_eq!(refusal.code, Code::InvalidArgument);
                assert_eq!(
                    (refusal.reason.as_str(), refusal.fields()),
                    ("EVENT_TOO_LARGE", vec!["events[1]"])
                );
                assert!(refusal.message.contains("65536"), "{}", refusal.message);
                let answer = append(&mut audit, per_event(vec![sized(size)])).await;
                assert_eq!(answer.results[0].result(), AppendResult::Rejected);
                assert_eq!(Refusal::of_event(&answer.results[0]).reason, "EVENT_TOO_LARGE");
            }
            assert_empty(&store).await;
            assert_eq!(accept(&mut audit, atomic(vec![sized(64 * 1024)])).await, [0]);
            conserved(&server).await;
        });
    }
}

#[test]
fn a_batch_above_1000_events_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let batch = |count: usize| (0..count).map(|_| events::hold("device-1")).collect::<Vec<_>>();
            for request in [atomic(batch(1001)), per_event(batch(1001))] {
                let refusal = refuse(&mut audit, request).await;
                assert_eq!(refusal.code, Code::InvalidArgument);
                assert_eq!((refusal.reason.as_str(), refusal.fields()), ("BATCH_TOO_LARGE", vec!["events"]));
            }
            assert_empty(&store).await;
            assert_eq!(accept(&mut audit, atomic(batch(1000))).await.len(), 1000);
            conserved(&server).await;
        });
    }
}

/// tonic's own answer is `OUT_OF_RANGE`, which exporters retry for ever.
#[test]
fn a_message_above_the_limit_of_its_call_is_refused() {
    fn check(call: &str, answer: Result<(), Status>, most: usize) {
        let refusal = Refusal::of(&answer.expect_err(call));
        assert_eq!(refusal.code, Code::InvalidArgument, "{call}");
        assert_eq!(refusal.reason, "MESSAGE_TOO_LARGE", "{call}");
        assert!(refusal.message.contains(&most.to_string()), "{call}: {}", refusal.message);
    }
    const APPEND: usize = 4 * 1024 * 1024;
    const OTHER: usize = 512 * 1024;
    const PROBE: usize = 4 * 1024;
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let batch: Vec<_> = (0..80).map(|_| sized(64 * 1024)).collect();
            for request in [atomic(batch.clone()), per_event(batch)] {
                check("Append", audit.append(request).await.map(drop), APPEND);
            }
            let long = "x".repeat(OTHER);
            let filter = v1::EventFilter { text: long.clone(), ..v1::EventFilter::default() };
            let query = v1::QueryRequest { filter: Some(filter.clone()), ..v1::QueryRequest::default() };
            check("Query", audit.query(query).await.map(drop), OTHER);
            let count = v1::CountEventsRequest { filter: Some(filter), ..v1::CountEventsRequest::default() };
            check("CountEvents", audit.count_events(count).await.map(drop), OTHER);
            let get = v1::GetEventRequest { event_id: long.clone(), ..v1::GetEventRequest::default() };
            check("GetEvent", audit.get_event(get).await.map(drop), OTHER);
            let mut catalog = server.catalog().await.max_encoding_message_size(usize::MAX);
            let list = v1::ListEventTypesRequest { text: long, ..v1::ListEventTypesRequest::default() };
            check("ListEventTypes", catalog.list_event_types(list).await.map(drop), OTHER);
            let mut health = HealthClient::new(server.channel().await);
            let probe = HealthCheckRequest { service: "x".repeat(PROBE) };
            check("Check", health.check(probe).await.map(drop), PROBE);
            // A thousand values fit.
            let values = (0..1000).map(|number| format!("{number:0>400}")).collect();
            let filter = v1::EventFilter { codes: values, ..v1::EventFilter::default() };
            let count = v1::CountEventsRequest { filter: Some(filter), ..v1::CountEventsRequest::default() };
            let counted =
                audit.count_events(count).await.map(drop).map_err(|status| Refusal::of(&status).reason);
            assert_ne!(counted, Err("MESSAGE_TOO_LARGE".to_owned()));
            assert_empty(&store).await;
            // The connection still works.
            assert_eq!(accept(&mut audit, atomic(vec![events::hold("device-1")])).await, [0]);
            conserved(&server).await;
        });
    }
}

/// A status travels in one header, and the strictest clients (grpc-java, the C core) refuse more than
/// 8 KiB of headers.
#[test]
fn the_status_of_a_thousand_bad_events_fits_into_8_kib_of_headers() {
    // A closed list of texts: the refusal shows the value.
    let event = |value: String| {
        events::event(Family::CmsNotification(CmsNotificationEvent {
            code: "10012".to_owned(),
            char3: Some(value),
            ..CmsNotificationEvent::default()
        }))
    };
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for value in ["x", "\u{e4}", "\u{1F600}", "%\"\u{1}"] {
                let batch = (0..1000).map(|_| event(value.repeat(700))).collect();
                let status = audit.append(atomic(batch)).await.expect_err("a refused append");
                let refusal = Refusal::of(&status);
                assert_eq!(
                    (refusal.code, refusal.reason.as_str()),
                    (Code::InvalidArgument, "CATALOG_VIOLATION")
                );
                assert_eq!(refusal.metadata["refused_events"], "1000");
                assert!(!refusal.violations.is_empty());
                let shown = refusal.violations.len();
                assert_eq!(refusal.metadata["violations_omitted"], (1000 - shown).to_string());
                // Details as base64; of the message, what is not printable ASCII takes three bytes.
                let plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'%';
                let message: usize =
                    status.message().bytes().map(|byte| if plain(&byte) { 1 } else { 3 }).sum();
                let headers = status.details().len().div_ceil(3) * 4 + message;
                assert!(headers < 8000, "{headers} bytes of headers, {shown} violations shown");
            }
            assert_empty(&store).await;
            conserved(&server).await;
        });
    }
}

/// A batch as any protobuf message with the same field would be: two bytes an event.
#[derive(Clone, PartialEq, prost::Message)]
struct Hollow {
    #[prost(bytes = "vec", repeated, tag = "2")]
    events: Vec<Vec<u8>>,
}

/// Decoded, each empty event takes some 500 bytes: these would take a gigabyte.
#[test]
fn two_million_empty_events_are_refused_before_they_take_memory() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let mut client = tonic::client::Grpc::new(server.channel().await);
        let path = http::uri::PathAndQuery::from_static("/chancery.v1.AuditService/Append");
        let batch = Hollow { events: vec![Vec::new(); 2_097_000] };
        assert!(batch.encoded_len() < 4 * 1024 * 1024);
        client.ready().await.expect("a connection");
        let codec = tonic_prost::ProstCodec::<Hollow, v1::AppendResponse>::default();
        let answer = client.unary(tonic::Request::new(batch), path, codec).await;
        let refusal = Refusal::of(&answer.expect_err("two million events"));
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::InvalidArgument, "BATCH_TOO_LARGE"));
        assert!(server.peak_memory() < 256 * 1024, "{} KiB", server.peak_memory());
        assert_empty(&store).await;
        conserved(&server).await;
    });
}
