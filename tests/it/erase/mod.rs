//! Erasing a person's values: gone from answers, filters, columns, index and files, while every proof stays as it was.
mod cli;
mod cut_off;
mod gone;
mod held;
mod index;
mod reach;
mod refused;

use std::sync::Arc;

use chancery::{
    event::{self, personal},
    proto::v1::{
        AsAuditEvent, CmsAuditEvent, EraseSubjectRequest, EraseSubjectResponse, Event, NewEvent,
        TokenServerEvent, admin_service_client::AdminServiceClient, new_event::Family,
    },
    store::{self, Store, StoreUrl},
};
use prost::Message as _;
use tonic::transport::Channel;

use crate::harness::{TestStore, calls::from_producer, database::Database, events, server::Server};

/// Whom the tests erase, and what else is theirs. No other text of a store holds any of it.
const PERSON: &str = "Quillon.Zephyrine";
const ADDRESS: &str = "203.0.113.177";
const AGENT: &str = "Zephyrbrowser/7.7";
const PHONE: &str = "+31-555-0177123";
/// Theirs, and nothing else's.
const TRACES: [&str; 4] = [PERSON, ADDRESS, AGENT, PHONE];
/// Whom they dealt with.
const OTHER: &str = "Marta.Olsen";

/// A consent of a user.
fn consent(user: &str, address: &str, agent: &str, phone: &str) -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        user_id: Some(user.to_owned()),
        client_ip: Some(address.to_owned()),
        user_agent: Some(agent.to_owned()),
        client_id: Some("client-of-all".to_owned()),
        details: [("phone_number", phone), ("scope", "read")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..TokenServerEvent::default()
    }))
}

/// An action of the authentication server about a user, by somebody.
fn moved(user: &str, by: &str) -> NewEvent {
    events::event(Family::AsAudit(AsAuditEvent {
        raw_parameters: format!("GRC=\"USG_OLD\" USN=\"{user}\" GRC=\"USG_NEW\"Action=moveUserSubGroup"),
        direct_external_reference: Some(by.to_owned()),
        indirect_external_reference: Some(user.to_owned()),
        ..AsAuditEvent::default()
    }))
}

/// A device that somebody has put on hold.
fn hold(by: &str, device: &str) -> NewEvent {
    match events::hold(device) {
        NewEvent { family: Some(Family::CmsAudit(row)), event_id, occurred_at, .. } => NewEvent {
            event_id,
            occurred_at,
            family: Some(Family::CmsAudit(CmsAuditEvent { operator_id: Some(by.to_owned()), ..row })),
            ..NewEvent::default()
        },
        other => panic!("{other:?}"),
    }
}

/// Events of a person, about and by them, among those of others. Positions of the person's: 1, 2, 4, 5, 7.
fn mixed() -> Vec<NewEvent> {
    vec![
        consent(OTHER, "198.51.100.1", "agent/1", "+31-555-01"),
        consent(PERSON, ADDRESS, AGENT, PHONE),
        moved(PERSON, OTHER),
        moved(OTHER, "admin-3"),
        moved(OTHER, PERSON),
        hold(PERSON, "device-1"),
        hold(OTHER, "device-2"),
        // What they share with others stays where it is the others'.
        consent(PERSON, "198.51.100.1", "agent/1", PHONE),
    ]
}

const THEIRS: [u64; 5] = [1, 2, 4, 5, 7];

async fn admin(server: &Server) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(server.channel().await)
}

fn request(request_id: &str) -> EraseSubjectRequest {
    EraseSubjectRequest {
        subject: PERSON.to_owned(),
        reason: "request 2026-17".to_owned(),
        request_id: request_id.to_owned(),
        ..EraseSubjectRequest::default()
    }
}

/// An erasure, called until it is complete.
async fn erase(server: &Server, request: &EraseSubjectRequest) -> EraseSubjectResponse {
    let mut admin = admin(server).await;
    loop {
        let call = from_producer("privacy-officer", request.clone());
        let answer = admin.erase_subject(call).await.expect("an erasure").into_inner();
        if answer.complete {
            return answer;
        }
    }
}

/// The store behind a server's back.
async fn behind(store: &TestStore) -> Arc<dyn Store> {
    let url: StoreUrl = store.url.parse().expect("a store");
    store::connect(&url).await.expect("the store")
}

/// Every stored event as it goes over the wire, with its leaf hash.
async fn stored(store: &TestStore) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut database = Database::open(store).await;
    let mut columns = Vec::new();
    for column in ["record", "personal", "leaf_hash"] {
        columns.push(
            database
                .bytes(&format!("SELECT {column} FROM events WHERE log = 'main' ORDER BY position"))
                .await,
        );
    }
    let leaf_hashes = columns.pop().expect("leaf hashes");
    let (personal, records) = (columns.pop().expect("personal"), columns.pop().expect("records"));
    let events = records.iter().zip(personal).zip(leaf_hashes).map(|((record, personal), leaf_hash)| {
        assert_eq!(event::leaf_hash(record).as_slice(), leaf_hash, "the record is the one that was hashed");
        let tail = Event {
            leaf_hash: leaf_hash.clone().into(),
            record_size: u32::try_from(record.len()).expect("a record"),
            ..Event::default()
        };
        ([record.as_slice(), &personal, &tail.encode_to_vec()].concat(), leaf_hash)
    });
    events.collect()
}

/// What became of the values of an event.
fn values(wire: &[u8]) -> Vec<personal::Value> {
    personal::open(wire).expect("an event").values.into_iter().map(|each| each.value).collect()
}

/// Whether an event holds anything of the person, anywhere.
fn tells(event: &Event) -> bool {
    let text = format!("{event:?}");
    TRACES.iter().any(|trace| text.contains(trace))
}
