//! Messages that begin and do not go on: they keep room for a while, of their own producer.
use std::time::{Duration, Instant};

use bytes::Bytes;
use chancery::proto::v1::QueryRequest;
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status, body::Body};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Service as _, ServiceExt as _};

use super::{Honest, bounded_memory};
use crate::harness::{
    KINDS, TestStore, block_on, calls::Refusal, metrics::conserved, server::Server, stalled::Stalled,
};

#[test]
fn unfinished_messages_hold_room_for_a_while_and_nobody_elses() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let channel = server.channel().await;
        let mut calls = Vec::new();
        for _ in 0..50 {
            let mut channel = channel.clone();
            let request = http::Request::post(format!("{}/chancery.v1.AuditService/Append", server.url()))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("x-chancery-producer", "dribble")
                .body(Body::new(Stalled::after(Bytes::from_static(&[0, 0, 0x40, 0, 0, 10]))))
                .expect("a request");
            calls.push(tokio::spawn(async move {
                let answer = channel.ready().await.expect("a connection").call(request).await;
                let answer = answer.expect("an answer");
                Status::from_header_map(answer.headers()).expect("a status in the headers")
            }));
        }
        let honest = Honest::start(&server).await;
        let (mut slow, mut overloaded) = (0, 0);
        for call in calls {
            let refusal = Refusal::of(&call.await.expect("a call"));
            match refusal.reason.as_str() {
                "MESSAGE_TOO_SLOW" => {
                    assert_eq!(refusal.code, Code::DeadlineExceeded);
                    slow += 1;
                }
                "OVERLOADED" => {
                    assert_eq!(refusal.code, Code::Unavailable);
                    assert!(
                        refusal.retry_after.is_some() && refusal.message.contains("share"),
                        "{refusal:?}"
                    );
                    overloaded += 1;
                }
                _ => panic!("{refusal:?}"),
            }
        }
        honest.finish().await;
        // Half of the room for four such messages.
        assert_eq!((slow, overloaded), (2, 48));
        bounded_memory(&server);
        conserved(&server).await;
    });
}

#[test]
fn what_holds_no_events_does_not_wait_behind_unfinished_messages() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let channel = server.channel().await;
        let mut calls = JoinSet::new();
        // Four fill the room, by shares; the others wait for it in front of whatever comes.
        for (name, rpc) in ["a", "a", "b", "b", "c", "d"]
            .into_iter()
            .zip([["Append"; 4].as_slice(), &["AppendStream"; 2]].concat())
        {
            let mut channel = channel.clone();
            let request = http::Request::post(format!("{}/chancery.v1.AuditService/{rpc}", server.url()))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("x-chancery-producer", name)
                .body(Body::new(Stalled::after(Bytes::from_static(&[0, 0, 0x40, 0, 0, 10]))))
                .expect("a request");
            calls.spawn(async move {
                let answer = channel.ready().await.expect("a connection").call(request).await;
                std::future::pending::<()>().await;
                drop(answer);
            });
        }
        sleep(Duration::from_secs(1)).await;
        let mut health = HealthClient::new(server.channel().await);
        let mut audit = server.audit().await;
        for _ in 0..5 {
            let began = Instant::now();
            health.check(HealthCheckRequest::default()).await.expect("an answer");
            audit.query(QueryRequest::default()).await.expect("an answer");
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
        conserved(&server).await;
    });
}
