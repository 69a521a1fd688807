//! What a query sends for an event is the stored record, byte for byte, and behind it what is not part of it.
use chancery::{
    event::personal::{Value, open},
    proto::v1::{Event, QueryRequest},
};
use prost::Message as _;
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic},
    database::Database,
    events,
    server::Server,
};

const FAMILIES: [&str; 4] = ["cms_audit", "cms_notification", "as_audit", "token_server"];

/// A `QueryResponse` whose event is not taken apart: on the wire a message is its bytes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct RawResponse {
    #[prost(string, tag = "1")]
    resume_token: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    event: Option<Vec<u8>>,
}

/// The first events of a query as they came.
async fn raw(server: &Server, request: QueryRequest, count: usize) -> Vec<Vec<u8>> {
    let mut client = Grpc::new(server.channel().await);
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static("/chancery.v1.AuditService/Query");
    let codec = ProstCodec::<QueryRequest, RawResponse>::default();
    let stream = client.server_streaming(Request::new(request), path, codec).await;
    let mut stream = stream.expect("a query").into_inner();
    let mut events = Vec::new();
    while events.len() < count {
        let message = stream.message().await.expect("a message").expect("more events");
        events.extend(message.event);
    }
    events
}

#[test]
fn the_wire_holds_the_stored_bytes() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let all: usize = FAMILIES.iter().map(|family| events::examples(family).len()).sum();
            // What is followed comes from memory, and must be the same.
            let follow = QueryRequest { follow: true, ..QueryRequest::default() };
            let appending = async {
                for family in FAMILIES {
                    accept(&mut audit, atomic(events::examples(family))).await;
                }
            };
            let (followed, ()) = tokio::join!(raw(&server, follow, all), appending);
            let read = raw(&server, QueryRequest::default(), all).await;
            assert_eq!(followed, read, "{kind:?}");
            let mut database = Database::open(&store).await;
            let records =
                database.bytes("SELECT record FROM events WHERE log = 'main' ORDER BY position").await;
            let personal =
                database.bytes("SELECT personal FROM events WHERE log = 'main' ORDER BY position").await;
            let hashes =
                database.bytes("SELECT leaf_hash FROM events WHERE log = 'main' ORDER BY position").await;
            assert_eq!(records.len(), all);
            assert!(personal.iter().filter(|each| !each.is_empty()).count() > all / 2, "{kind:?}");
            let stored = records.iter().zip(personal).zip(hashes);
            for ((position, sent), ((record, personal), leaf_hash)) in (0_u64..).zip(&read).zip(stored) {
                let (head, tail) = sent.split_at(record.len());
                assert_eq!(head, record, "{kind:?}, position {position}");
                let (beside, tail) = tail.split_at(personal.len());
                assert_eq!(beside, personal, "{kind:?}, position {position}");
                let outside = Event {
                    position: Some(position),
                    leaf_hash: leaf_hash.into(),
                    record_size: u32::try_from(record.len()).expect("a record"),
                    ..Event::default()
                };
                assert_eq!(tail, outside.encode_to_vec(), "{kind:?}, position {position}");
                let parts = open(sent).expect("an event");
                assert_eq!(parts.record, record);
                assert!(parts.values.iter().all(|each| each.value == Value::Valid), "{:?}", parts.values);
            }
        });
    }
}
