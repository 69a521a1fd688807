//! Writing to a log and reading it back.
use chancery::proto::v1::{
    self, AppendMode, AppendResponse, AppendResult, Event, NewEvent,
    audit_service_client::AuditServiceClient, query_response::Payload,
};
use tonic::transport::Channel;

use super::{TestStore, block_on, events::examples, server::Server};

/// Appends events to the default log, all of which must be accepted; returns them as stored.
pub async fn stored(client: &mut AuditServiceClient<Channel>, events: Vec<NewEvent>) -> Vec<Event> {
    let answer = append(client, events).await;
    let first = answer.results.first().and_then(|result| result.position).expect("a position");
    let read = read_all(client).await;
    let from = usize::try_from(first).expect("a position");
    read[from..from + answer.results.len()].to_vec()
}

/// Appends events to the default log, all of which must be accepted.
pub async fn append(client: &mut AuditServiceClient<Channel>, events: Vec<NewEvent>) -> AppendResponse {
    let request = v1::AppendRequest { events, ..v1::AppendRequest::default() };
    let answer = client.append(request).await.unwrap_or_else(|status| panic!("refused: {status:?}"));
    let answer = answer.into_inner();
    assert!(answer.results.iter().all(|result| result.result() == AppendResult::Accepted), "{answer:?}");
    answer
}

/// Offers one event in PER_EVENT mode without storing it; returns the result.
pub async fn judged(client: &mut AuditServiceClient<Channel>, event: NewEvent) -> v1::EventResult {
    let request = v1::AppendRequest {
        events: vec![event],
        mode: AppendMode::PerEvent as i32,
        validate_only: true,
        ..v1::AppendRequest::default()
    };
    let answer = client.append(request).await.expect("an answer").into_inner();
    answer.results.into_iter().next().expect("a result")
}

/// Every event of the default log, in order.
pub async fn read_all(client: &mut AuditServiceClient<Channel>) -> Vec<Event> {
    let mut stream = client.query(v1::QueryRequest::default()).await.expect("a query").into_inner();
    let mut read = Vec::new();
    while let Some(message) = stream.message().await.expect("a message") {
        if let Payload::Event(event) = message.payload.expect("a payload") {
            read.push(event);
        }
    }
    read
}

/// Values of an attribute of an event, in order.
pub fn values<'e>(event: &'e Event, name: &str) -> Vec<&'e str> {
    let named = event.attributes.iter().filter(|attribute| attribute.name == name);
    named.map(|attribute| attribute.value.as_str()).collect()
}

/// Reasons of an event's warnings, in order.
pub fn warned(event: &Event) -> Vec<&str> {
    event.warnings.iter().map(|warning| warning.reason.as_str()).collect()
}

/// A server with the examples of all families, and the events as stored.
pub fn filled(store: &TestStore) -> (Server, Vec<Event>) {
    let server = Server::start(store);
    let read = block_on(async {
        let mut audit = server.audit().await;
        for family in ["cms_audit", "cms_notification", "as_audit", "token_server"] {
            append(&mut audit, examples(family)).await;
        }
        read_all(&mut audit).await
    });
    (server, read)
}
