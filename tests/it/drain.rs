//! SIGTERM during writes: the server ends by itself with exit code 0; every acked event is there after
//! a restart, and what was not acked can be sent again without being doubled.
use std::{collections::HashMap, time::Duration};

use chancery::proto::v1::{NewEvent, QueryRequest, TokenServerEvent, new_event::Family};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, append, atomic, everything},
    events,
    metrics::conserved,
    server::Server,
    writers::{OnError, Writers},
};

#[test]
fn sigterm_during_writes_loses_and_doubles_nothing() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        block_on(async {
            let mut writers = Writers::start(&server, 8, OnError::End).await;
            writers.acked(200).await;
            server.signal("TERM");
            let status = server.wait(Duration::from_secs(30));
            assert_eq!(status.code(), Some(0), "{}", server.log());
            assert!(server.log().contains("\"drained\""), "{}", server.log());
            let written = writers.finish().await;
            let server = Server::start(&store);
            let mut audit = server.audit().await;
            let mut places: HashMap<String, u64> = HashMap::new();
            for writer in &written {
                places.extend(writer.acked.iter().cloned());
                let error = writer.error.as_ref().expect("the server went away");
                // The server's own refusal tells when to come back; a closed connection cannot.
                if !error.details().is_empty() {
                    let refusal = Refusal::of(error);
                    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "DRAINING"));
                    assert!(refusal.retry_after.is_some());
                }
                for result in append(&mut audit, atomic(writer.unacked.clone())).await.results {
                    places.insert(result.event_id, result.position.expect("a position"));
                }
            }
            let stored = everything(&mut audit, "").await;
            assert_eq!(stored.len(), places.len(), "{kind:?}");
            for event in stored {
                assert_eq!(places.get(&event.event_id).copied(), event.position, "{kind:?}");
            }
            conserved(&server).await;
        });
    }
}

#[test]
fn an_idle_server_ends_at_once_with_open_connections() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        for signal in ["TERM", "INT"] {
            let mut server = Server::start(&store);
            block_on(async {
                let mut audit = server.audit().await;
                everything(&mut audit, "").await;
                server.signal(signal);
                // Well below the 20 seconds after which the server would end by force, with code 1.
                assert_eq!(server.wait(Duration::from_secs(10)).code(), Some(0), "{}", server.log());
            });
        }
    }
}

/// Somebody who has stopped reading a long query gets half of the time that a drain may take.
#[test]
fn a_reader_that_has_stalled_does_not_delay_the_end() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start_with(&store, &["--drain-seconds", "6"]);
        block_on(async {
            let mut audit = server.audit().await;
            // 20 MiB and more: above what the windows of the connection and the pages in between hold.
            let long = || NewEvent { family: Some(Family::TokenServer(long_token())), ..events::hold("") };
            for _ in 0..4 {
                append(&mut audit, atomic((0..400).map(|_| long()).collect())).await;
            }
            let mut stream = audit.query(QueryRequest::default()).await.expect("a query").into_inner();
            stream.message().await.expect("a message");
            server.signal("TERM");
            assert_eq!(server.wait(Duration::from_secs(10)).code(), Some(0), "{}", server.log());
        });
    }
}

fn long_token() -> TokenServerEvent {
    TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        details: [("scope".to_owned(), "x".repeat(8000))].into(),
        ..TokenServerEvent::default()
    }
}
