//! Clients that read slowly, or not at all: the first get everything, the others are cut off, and none of
//! them takes the server's memory.
use std::time::Duration;

use chancery::proto::v1::{NewEvent, QueryRequest, TokenServerEvent, new_event::Family};
use tokio::time::sleep;
use tonic::{Code, transport::Endpoint};

use super::Follower;
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, Refusal, accept, atomic, query},
    events,
    metrics::metrics,
    server::Server,
};

/// An event whose record has some 16 KiB.
fn large() -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        details: [("scope".to_owned(), "x".repeat(8000))].into(),
        ..TokenServerEvent::default()
    }))
}

/// A client that takes little at a time.
async fn narrow(server: &Server) -> Audit {
    let endpoint = Endpoint::from_shared(server.url()).expect("a URL");
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    Audit::new(endpoint.connect().await.expect("a connection")).max_decoding_message_size(usize::MAX)
}

/// Appends this many large events.
async fn fill(server: &Server, count: usize) {
    let mut audit = server.audit().await;
    for _ in 0..count / 100 {
        accept(&mut audit, atomic((0..100).map(|_| large()).collect())).await;
    }
}

#[test]
fn a_slow_reader_falls_behind_and_gets_everything_all_the_same() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut follower = Follower::open(&mut narrow(&server).await, QueryRequest::default()).await;
            follower.until(|it| !it.caught_up.is_empty()).await;
            // More than the feed of a log holds: 32 MiB, some 1,000 of these with their columns.
            fill(&server, 1600).await;
            // A message now and then: it is slow, and not gone.
            follower.until(|it| it.fell_behind > 0).await;
            follower.until(|it| it.caught_up.len() > 1).await;
            assert_eq!(follower.positions, (0..1600).collect::<Vec<_>>(), "{kind:?}");
            assert_eq!(follower.fell_behind, 1, "{kind:?}");
            fill(&server, 100).await;
            follower.until(|it| it.positions.len() >= 1700).await;
            assert_eq!(follower.positions, (0..1700).collect::<Vec<_>>());
        });
    }
}

#[test]
fn clients_that_hang_are_cut_off_with_the_place_to_continue_and_take_bounded_memory() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            fill(&server, 600).await;
            let mut hanging = Vec::new();
            for follow in [false, true] {
                for _ in 0..20 {
                    let request = QueryRequest { follow, ..QueryRequest::default() };
                    let stream = narrow(&server).await.query(request).await.expect("a query").into_inner();
                    hanging.push(stream);
                }
            }
            let cut = "chancery_load_shed_total{cause=\"slow_query_reader\"}";
            sleep(Duration::from_secs(33)).await;
            let told = metrics(&server).await;
            assert_eq!(told[cut], 0.0, "they are told when they read on");
            assert_eq!(told["chancery_query_active_streams"], 0.0, "and take no place meanwhile");
            let memory = server.peak_memory() / 1024;
            assert!(memory < 256, "{kind:?}: {memory} MiB");
            for mut stream in hanging {
                let mut positions = Vec::new();
                let status = loop {
                    match stream.message().await {
                        Ok(Some(message)) => match message.payload {
                            Some(chancery::proto::v1::query_response::Payload::Event(event)) => {
                                positions.push(event.position.expect("a position"));
                            }
                            other => panic!("{other:?}"),
                        },
                        Ok(None) => panic!("{kind:?}: it was not cut off"),
                        Err(status) => break status,
                    }
                };
                let refusal = Refusal::of(&status);
                assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "SLOW_READER"));
                assert!(positions.len() < 100, "{} events were kept", positions.len());
                // What was delivered ends where the token begins.
                let token = status.metadata().get("chancery-resume-token").expect("the place to continue");
                let token = token.to_str().expect("ASCII").to_owned();
                let rest = QueryRequest { resume_token: token, ..QueryRequest::default() };
                let rest = query(&mut server.audit().await, rest).await;
                positions.extend(rest.positions());
                assert_eq!(positions, (0..600).collect::<Vec<_>>(), "{kind:?}");
            }
            assert_eq!(metrics(&server).await[cut], 40.0);
        });
    }
}

#[test]
fn more_queries_than_a_replica_runs_are_told_to_wait() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut followers = Vec::new();
            let mut audits = Vec::new();
            for _ in 0..3 {
                audits.push(server.audit().await);
            }
            for number in 0..256 {
                // A connection takes 128 calls.
                let request = QueryRequest::default();
                followers.push(Follower::open(&mut audits[number / 100], request).await);
            }
            for follower in &mut followers {
                follower.until(|it| !it.caught_up.is_empty()).await;
            }
            let refusal = audits[2].query(QueryRequest::default()).await.expect_err("a refusal");
            let refusal = Refusal::of(&refusal);
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::ResourceExhausted, "TOO_MANY_QUERIES")
            );
            assert!(refusal.retry_after.is_some());
            accept(&mut audits[0], atomic(vec![events::hold("0")])).await;
            for follower in &mut followers {
                follower.until(|it| !it.positions.is_empty()).await;
            }
            drop(followers.pop());
            // The server hears of it a moment later.
            for attempt in 0.. {
                match audits[2].query(QueryRequest::default()).await {
                    Ok(_) => break,
                    Err(status) => assert!(attempt < 500, "{status:?}"),
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
    }
}
