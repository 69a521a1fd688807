//! What a call keeps while it runs, and what happens to its answer.
use std::convert::Infallible;

use http_body::Body as _;
use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt as _;

use super::*;
use crate::{
    auth::{Logs, ProducerGrant, Table, TokenGrant},
    clock::SystemClock,
    event::Producer,
};

const APPEND: &str = "/chancery.v1.AuditService/Append";
const QUERY: &str = "/chancery.v1.AuditService/Query";

fn layer(access: Access) -> GateLayer {
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::default()));
    let authenticator = Authenticator::new(access, None, clock.clone());
    let journal = Journal::new(clock, Arc::clone(&metrics));
    GateLayer::new(Arc::new(authenticator), Arc::new(journal), metrics)
}

fn call(path: &str, name: &str) -> Request<Body> {
    let request = Request::builder().uri(path).header("authorization", format!("Bearer {name}"));
    request.body(Body::empty()).expect("a request")
}

/// Producers whose tokens are their names.
fn table(names: &[&str]) -> Access {
    let mut table = Table::default();
    for name in names {
        let producer = Producer::parse(name).expect("a name");
        let grant = ProducerGrant { logs: Logs::All, families: None };
        table.producers.insert(producer.clone(), Arc::new(grant));
        let digest: [u8; 32] = Sha256::digest(name).into();
        table.tokens.insert(digest, TokenGrant { name: producer, expires_at: None });
    }
    Access::Table(table)
}

#[tokio::test]
async fn a_caller_has_its_share_of_all_calls_and_no_more() {
    let ready =
        || tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(Body::new("x".to_owned()))) });
    let mut gate = layer(table(&["one", "other"])).layer(ready());
    let mut open = Vec::new();
    for _ in 0..1_920 {
        let answer = gate.call(call(APPEND, "one")).await.expect("an answer");
        assert!(!answer.headers().contains_key("grpc-status"));
        open.push(answer);
    }
    let status = |answer: &Response<Body>| answer.headers().get("grpc-status").cloned();
    let refused = gate.call(call(APPEND, "one")).await.expect("an answer");
    assert_eq!(status(&refused).expect("a status"), "14", "UNAVAILABLE");
    let message = refused.headers()["grpc-message"].to_str().expect("a text");
    assert!(message.contains("1920"), "{message}");
    let other = gate.call(call(APPEND, "other")).await.expect("an answer");
    assert_eq!(status(&other), None, "another's share");
    // The place is there for as long as the answer is.
    drop(open.pop());
    let answer = gate.call(call(APPEND, "one")).await.expect("an answer");
    assert_eq!(status(&answer), None);
}

#[tokio::test]
async fn where_names_are_only_claimed_nobody_has_a_share() {
    let ready =
        || tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(Body::new("x".to_owned()))) });
    let mut gate = layer(Access::Open).layer(ready());
    let mut open = Vec::new();
    for _ in 0..1_921 {
        let request = Request::builder().uri(APPEND).body(Body::empty()).expect("a request");
        let answer = gate.call(request).await.expect("an answer");
        assert!(!answer.headers().contains_key("grpc-status"));
        open.push(answer);
    }
}

/// What was committed is told, though its caller may do something else by now.
#[tokio::test]
async fn a_single_answer_goes_out_and_a_stream_ends_when_access_changed_meanwhile() {
    for (path, ends) in [(APPEND, false), (QUERY, true)] {
        let layer = layer(Access::Open);
        let authenticator = Arc::clone(&layer.authenticator);
        let answered = tower::service_fn(move |_| {
            let authenticator = Arc::clone(&authenticator);
            async move {
                authenticator.replace(table(&[]));
                Ok::<_, Infallible>(Response::new(Body::new("done".to_owned())))
            }
        });
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        let answer = layer.layer(answered).call(request).await.expect("an answer");
        let mut body = std::pin::pin!(answer.into_body());
        let frames = futures::stream::poll_fn(|context| body.as_mut().poll_frame(context));
        let frames: Vec<_> = frames.map(|frame| frame.expect("a frame")).collect().await;
        assert_eq!(frames.len(), 1, "{path}");
        assert_eq!(frames[0].is_trailers(), ends, "{path}");
    }
}
