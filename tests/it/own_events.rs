//! Events of the server's own: it appends them once, and nobody else can.
use std::{collections::BTreeMap, sync::Arc};

use chancery::{
    catalog::Catalog,
    clock::SystemClock,
    event::LogName,
    ingest::{
        Ingest,
        own::{self, OwnError, OwnEvent},
    },
    proto::v1::{
        AppendResult, ChanceryEvent, Event, EventFamily, EventFilter, NewEvent, Outcome, QueryRequest,
        new_event::Family,
    },
    query::live::Live,
    store::{self, StoreUrl},
    telemetry::Metrics,
};
use tonic::Code;
use uuid::Uuid;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Refusal, append, atomic, everything, from_producer, per_event, query, refuse},
    database::{Database, assert_empty},
    events,
    server::Server,
    types,
};

fn offered() -> NewEvent {
    let details = [("reason".to_owned(), "a lie".to_owned())].into();
    events::event(Family::Chancery(ChanceryEvent { r#type: "SUBJECT_ERASED".to_owned(), details }))
}

#[test]
fn a_client_cannot_append_one() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let check = |refusal: &Refusal, index: usize| {
                assert_eq!(refusal.reason, "FAMILY_NOT_ALLOWED", "{refusal:?}");
                assert_eq!(refusal.code, Code::PermissionDenied, "{refusal:?}");
                assert_eq!(refusal.fields(), [format!("events[{index}].chancery")]);
            };
            check(&refuse(&mut audit, atomic(vec![events::hold("good"), offered()])).await, 1);
            assert_empty(&store).await;
            let answer = append(&mut audit, per_event(vec![offered(), events::hold("good")])).await;
            assert_eq!(answer.results[0].result(), AppendResult::Rejected);
            assert!(!answer.results[0].retryable);
            check(&Refusal::of_event(&answer.results[0]), 0);
            assert_eq!(everything(&mut audit, "").await.len(), 1);
        });
    }
}

#[test]
fn nobody_else_is_called_as_the_server_is() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        let call = from_producer("chancery", atomic(vec![events::hold("good")]));
        let refusal = refuse(&mut audit, call).await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::PermissionDenied, "PRODUCER_RESERVED"));
        let (batches, queue) = tokio::sync::mpsc::channel(1);
        drop(batches);
        let stream = tokio_stream::wrappers::ReceiverStream::new(queue);
        let refused = audit.append_stream(from_producer("chancery", stream)).await.expect_err("refused");
        assert_eq!(Refusal::of(&refused).reason, "PRODUCER_RESERVED");
    });
    block_on(assert_empty(&store));
}

/// As a request of an operator makes it, before there is a server that serves it.
#[test]
fn it_is_in_the_log_once_however_often_it_is_tried() {
    for kind in KINDS {
        let test_store = TestStore::new(kind);
        // The server makes the schema.
        drop(Server::start(&test_store));
        let event_id = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
        block_on(async {
            let url: StoreUrl = test_store.url.parse().expect("a store");
            let store = store::connect(&url).await.expect("a store");
            let clock = Arc::new(SystemClock);
            let live = Arc::new(Live::new(Arc::clone(&store), clock.clone()));
            let runtime = tokio::runtime::Handle::current();
            let ingest =
                Ingest::new(Arc::clone(&store), live, Arc::default(), Arc::new(Metrics::default()), runtime);
            let catalog = Catalog::load([], Default::default()).expect("a catalog");
            let log = LogName::parse("").expect("a log");
            for _ in 0..2 {
                let details = BTreeMap::from([
                    ("reason".to_owned(), "request 7".to_owned()),
                    ("request_id".to_owned(), event_id.to_string()),
                ]);
                let event = OwnEvent { event_id, r#type: "SUBJECT_ERASED", details };
                let position = own::append(&ingest, &catalog, clock.as_ref(), &log, event).await;
                assert_eq!(position.expect("appended"), 0);
            }
            // An id of one kind of request is not one of another kind's; nor is that of an event.
            let stored = |position| {
                let (store, log) = (Arc::clone(&store), log.clone());
                async move {
                    let stored = store.event_at(&log, position).await.expect("a store").expect("an event");
                    <Event as prost::Message>::decode(stored.record.as_slice()).expect("an event")
                }
            };
            let first: Uuid = stored(0).await.event_id.parse().expect("an id");
            for (event_id, at) in [(event_id, 1), (first, 2)] {
                let event = OwnEvent { event_id, r#type: "RETENTION_APPLIED", details: BTreeMap::new() };
                let position = own::append(&ingest, &catalog, clock.as_ref(), &log, event).await;
                assert_eq!(position.expect("appended"), at, "{kind:?}");
                assert_eq!(stored(at).await.code, "RETENTION_APPLIED");
            }
            // What was told is looked at again.
            let swap = "UPDATE events SET record = (SELECT record FROM events WHERE log = 'main' AND position = 1) WHERE log = 'main' AND position = 0";
            let mut database = Database::open(&test_store).await;
            let whole = database
                .bytes("SELECT record FROM events WHERE log = 'main' AND position = 0")
                .await
                .remove(0);
            database.run(swap).await;
            let event = OwnEvent { event_id, r#type: "SUBJECT_ERASED", details: BTreeMap::new() };
            let other = own::append(&ingest, &catalog, clock.as_ref(), &log, event).await;
            assert!(matches!(other, Err(OwnError::NotThere(0))), "{other:?}");
            let whole: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
            let whole = match kind {
                Kind::Sqlite => format!("x'{whole}'"),
                Kind::Postgres => format!("'\\x{whole}'::bytea"),
            };
            database.run(&format!("UPDATE events SET record = {whole} WHERE position = 0")).await;
            let unknown =
                OwnEvent { event_id: Uuid::nil(), r#type: "NO_SUCH_TYPE", details: BTreeMap::new() };
            let refused = own::append(&ingest, &catalog, clock.as_ref(), &log, unknown).await;
            assert!(matches!(refused, Err(OwnError::Refused(_))), "{refused:?}");
            ingest.drain().await;
            store.close().await;
        });
        let server = Server::start(&test_store);
        block_on(async {
            let mut audit = server.audit().await;
            let families = vec![EventFamily::Chancery as i32];
            let filter = Some(EventFilter { families, ..EventFilter::default() });
            let answer = query(&mut audit, QueryRequest { filter, ..QueryRequest::default() }).await;
            let [event, ..] = answer.events.as_slice() else { panic!("{:?}", answer.events) };
            assert_eq!((event.producer.as_str(), event.code.as_str()), ("chancery", "SUBJECT_ERASED"));
            assert_eq!((event.outcome(), event.name.as_str()), (Outcome::Success, "Subject erased"));
            let attributes: Vec<_> =
                event.attributes.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
            let id = event_id.to_string();
            assert_eq!(attributes, [("reason", "request 7"), ("request_id", id.as_str())]);
            assert!(event.warnings.is_empty(), "{:?}", event.warnings);
            assert_eq!(everything(&mut audit, "").await.len(), 3, "{kind:?}");
        });
    }
}

#[test]
fn the_catalog_shows_their_types_with_the_keys_of_their_details() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    let types =
        block_on(async { types::all(&mut server.catalog().await, &[EventFamily::Chancery], 100).await });
    let codes: Vec<_> = types.iter().map(|each| each.code.as_str()).collect();
    assert_eq!(codes[..2], ["SUBJECT_ERASED", "RETENTION_APPLIED"]);
    for each in &types {
        let [shape] = each.shapes.as_slice() else { panic!("{} has one shape", each.code) };
        let fields: Vec<_> = shape.fields.iter().map(|field| field.field.as_str()).collect();
        let key = match each.code.as_str() {
            "SUBJECT_ERASED" | "RETENTION_APPLIED" => "details[request_id]",
            "CONFIGURATION_RELOADED" | "CONFIGURATION_REFUSED" => "details[file]",
            "SELF_AUDIT_GAP" => "details[count]",
            _ => "details[caller]",
        };
        assert!(fields.contains(&key), "{}: {fields:?}", each.code);
        assert!(shape.fields.iter().all(|field| field.attributes.len() == 1));
    }
}
