//! What goes in by Append comes back by Query, on both stores.
use chancery::proto::v1::{self, AppendResult, query_response::Payload};

use crate::harness::{KINDS, TestStore, block_on, events, server::Server};

#[test]
fn every_example_is_accepted_and_read_back() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut sent = Vec::new();
            for family in ["cms_audit", "cms_notification", "as_audit", "token_server"] {
                let batch = events::examples(family);
                sent.extend(batch.iter().map(|event| event.event_id.clone()));
                let request = v1::AppendRequest { events: batch, ..v1::AppendRequest::default() };
                let answer = audit.append(request).await.expect("every example is valid").into_inner();
                assert!(answer.results.iter().all(|result| result.result() == AppendResult::Accepted));
                assert_eq!(answer.tree_size, sent.len() as u64);
            }
            let mut stream = audit.query(v1::QueryRequest::default()).await.expect("a query").into_inner();
            let mut read = Vec::new();
            let mut summary = None;
            while let Some(message) = stream.message().await.expect("a message") {
                match message.payload.expect("a payload") {
                    Payload::Event(event) => {
                        assert_eq!(event.position, Some(read.len() as u64), "positions are dense");
                        read.push(event.event_id);
                    }
                    Payload::Summary(end) => summary = Some(end),
                    Payload::Checkpoint(_) => {}
                    live => panic!("{live:?} without follow"),
                }
            }
            assert_eq!(read, sent, "{kind:?}");
            let summary = summary.expect("a summary");
            assert_eq!(summary.returned, sent.len() as u64);
            assert_eq!(summary.head_position, sent.len() as u64);
        });
    }
}
