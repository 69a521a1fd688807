//! GetEvent returns one event, by position or by producer and event id, as Query does.
use chancery::proto::v1::{Event, GetEventRequest};
use tonic::{Code, Status};

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, Refusal, accept, atomic, everything, from_producer},
    events,
    server::Server,
};

async fn get(audit: &mut Audit, request: GetEventRequest) -> Result<Event, Status> {
    audit.get_event(request).await.map(|answer| answer.into_inner().event.expect("an event"))
}

fn at(position: u64) -> GetEventRequest {
    GetEventRequest { position: Some(position), ..GetEventRequest::default() }
}

fn by(producer: &str, event_id: &str) -> GetEventRequest {
    let (producer, event_id) = (producer.to_owned(), event_id.to_owned());
    GetEventRequest { producer, event_id, ..GetEventRequest::default() }
}

#[test]
fn by_position_and_by_key() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for family in ["cms_audit", "cms_notification", "as_audit", "token_server"] {
                accept(&mut audit, from_producer(family, atomic(events::examples(family)))).await;
            }
            let same = events::hold("device-1");
            accept(&mut audit, from_producer("one", atomic(vec![same.clone()]))).await;
            accept(&mut audit, from_producer("two", atomic(vec![same.clone()]))).await;
            let stored = everything(&mut audit, "").await;
            for event in &stored {
                let position = event.position.expect("a position");
                assert_eq!(get(&mut audit, at(position)).await.as_ref().ok(), Some(event));
                let by_key = get(&mut audit, by(&event.producer, &event.event_id.to_uppercase())).await;
                assert_eq!(by_key.as_ref().ok(), Some(event));
            }
            assert_eq!(stored[stored.len() - 2].event_id, stored[stored.len() - 1].event_id);
        });
    }
}

#[test]
fn what_is_not_there_and_what_is_no_reference() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let event = events::hold("device-1");
            accept(&mut audit, atomic(vec![event.clone()])).await;
            for request in [
                at(1),
                at(u64::MAX),
                by("anonymous", &events::fresh_id()),
                by("other", &event.event_id),
                GetEventRequest { log: "other".to_owned(), ..at(0) },
            ] {
                let refusal = Refusal::of(&get(&mut audit, request.clone()).await.expect_err("no event"));
                assert_eq!(
                    (refusal.code, refusal.reason.as_str()),
                    (Code::NotFound, "EVENT_NOT_FOUND"),
                    "{request:?}"
                );
            }
            let (id, both) = (event.event_id.as_str(), "INVALID_EVENT_REFERENCE");
            for (request, reason, field) in [
                (GetEventRequest::default(), both, "position"),
                (GetEventRequest { position: Some(0), ..by("anonymous", id) }, both, "position"),
                (GetEventRequest { position: Some(0), ..by("", id) }, both, "position"),
                (by("", id), "INVALID_PRODUCER", "producer"),
                (by("two words", id), "INVALID_PRODUCER", "producer"),
                (by("anonymous", ""), "INVALID_EVENT_ID", "event_id"),
                (by("anonymous", "not-a-uuid"), "INVALID_EVENT_ID", "event_id"),
                (GetEventRequest { log: "No Log".to_owned(), ..at(0) }, "INVALID_LOG", "log"),
            ] {
                let refusal = Refusal::of(&get(&mut audit, request.clone()).await.expect_err("no reference"));
                assert_eq!(refusal.code, Code::InvalidArgument, "{request:?}");
                assert_eq!((refusal.reason.as_str(), refusal.fields()), (reason, vec![field]), "{request:?}");
            }
        });
    }
}
