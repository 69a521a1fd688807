//! The spans of calls and of what they commit.
use std::collections::BTreeMap;

use chancery::proto::v1::GetEventRequest;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use tonic::{Code, Request, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{batch, server, trace_id, traced};
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, append},
    database::Database,
    events,
    receiver::{Mood, Received, Receiver, attributes},
    stream::Stream,
};

const APPEND: &str = "chancery.v1.AuditService/Append";

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The span of the call of this trace.
fn of_call(received: &Received, trace: u8) -> Option<Span> {
    let spans = received.of_trace(&trace_id(trace));
    spans.into_iter().find(|span| span.kind() == SpanKind::Server).cloned()
}

/// The span of the commit that links to another.
fn linking(received: &Received, span: &Span) -> Option<Span> {
    let links = |commit: &&&Span| commit.links.iter().any(|link| link.span_id == span.span_id);
    received.named("commit group").iter().find(links).map(|found| (*found).clone())
}

fn status(span: &Span) -> StatusCode {
    span.status.as_ref().map(|status| status.code()).expect("a status")
}

#[test]
fn an_append_is_a_span_of_its_callers_trace_and_its_commit_links_to_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let receiver = Receiver::start(Mood::Well).await;
            let server = server(&store, &receiver, &[]);
            let mut audit = server.audit().await;
            let mut request = traced(1, true, batch((0..3).map(|_| events::hold("device-1")).collect()));
            request.metadata_mut().insert("tracestate", "vendor=opaque".parse().expect("a header"));
            accept(&mut audit, request).await;
            let call = receiver.until("the call", |received| of_call(received, 1)).await;
            assert_eq!(
                (call.name.as_str(), call.parent_span_id.as_slice()),
                (APPEND, [0, 0, 0, 0, 0, 0, 0, 7].as_slice())
            );
            assert_eq!((status(&call), call.trace_state.as_str()), (StatusCode::Unset, "vendor=opaque"));
            let (host, port) = server.address.split_once(':').expect("an address");
            let expected = [
                ("rpc.system.name", "grpc"),
                ("rpc.method", APPEND),
                ("rpc.status_code", "OK"),
                ("server.address", host),
                ("server.port", port),
                ("client.address", "127.0.0.1"),
            ];
            assert_eq!(attributes(&call.attributes), pairs(&expected));
            assert!(call.start_time_unix_nano < call.end_time_unix_nano, "{call:?}");
            assert!(call.events.is_empty() && call.links.is_empty(), "{call:?}");

            let commit = receiver.until("the commit", |received| linking(received, &call)).await;
            assert_eq!((commit.kind(), commit.links.len()), (SpanKind::Internal, 1));
            assert_eq!(commit.links[0].trace_id, call.trace_id);
            assert!(commit.trace_id != call.trace_id && commit.parent_span_id.is_empty(), "{commit:?}");
            let expected = [
                ("chancery.log", "main"),
                ("chancery.group.batches", "1"),
                ("chancery.group.events", "3"),
                ("chancery.group.links_left_out", "0"),
            ];
            assert_eq!(attributes(&commit.attributes), pairs(&expected));

            let system = if kind == Kind::Sqlite { "sqlite" } else { "postgresql" };
            let done = receiver
                .until("the statements", |received| {
                    let done: Vec<_> = received.of_trace(&commit.trace_id).into_iter().cloned().collect();
                    done.iter().any(|span| span.name == "append_commit").then_some(done)
                })
                .await;
            for span in done.iter().filter(|span| span.span_id != commit.span_id) {
                let expected = [("db.system.name", system), ("db.operation.name", &span.name)];
                assert_eq!(attributes(&span.attributes), pairs(&expected));
                assert_eq!((span.kind(), &span.parent_span_id), (SpanKind::Client, &commit.span_id));
            }

            // What a caller may have the server carry has an end.
            let mut request = traced(2, true, batch(vec![events::hold("device-1")]));
            let long = format!("vendor={}", "x".repeat(600)).parse().expect("a header");
            request.metadata_mut().insert("tracestate", long);
            accept(&mut audit, request).await;
            let call = receiver.until("the second call", |received| of_call(received, 2)).await;
            assert_eq!(call.trace_state, "");
        });
    }
}

/// Who is at fault is seen from the outside: of refusals the caller, of the others the server.
#[test]
fn a_call_that_fails_says_so_and_whose_fault_it_is() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let receiver = Receiver::start(Mood::Well).await;
            let server = server(&store, &receiver, &[]);
            let mut audit = server.audit().await;
            let refused = audit.append(traced(1, true, batch(Vec::new()))).await.expect_err("an empty batch");
            assert_eq!(refused.code(), Code::InvalidArgument);
            let span = receiver.until("the refusal", |received| of_call(received, 1)).await;
            assert_eq!(status(&span), StatusCode::Unset);
            let said = attributes(&span.attributes);
            assert_eq!(said["rpc.status_code"], "INVALID_ARGUMENT");
            assert!(!said.contains_key("error.type"), "{said:?}");

            let mut client = Grpc::new(server.channel().await);
            client.ready().await.expect("ready");
            let path = PathAndQuery::from_static("/made.Up/ByACaller");
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            let unknown = client.unary(traced(2, true, ()), path, codec).await.expect_err("no method");
            assert_eq!(unknown.code(), Code::Unimplemented);
            let span = receiver.until("the unknown method", |received| of_call(received, 2)).await;
            assert_eq!((span.name.as_str(), status(&span)), ("grpc", StatusCode::Error));
            let said = attributes(&span.attributes);
            assert_eq!(said["rpc.method"], "_OTHER");
            assert_eq!(
                (said["rpc.status_code"].as_str(), said["error.type"].as_str()),
                ("UNIMPLEMENTED", "UNIMPLEMENTED")
            );

            // Nothing can be read any more, which the log says too, in the trace of the call.
            accept(&mut audit, batch(vec![events::hold("device-1")])).await;
            Database::open(&store).await.run("ALTER TABLE events RENAME TO elsewhere").await;
            let get = GetEventRequest { position: Some(0), ..GetEventRequest::default() };
            let failed = audit.get_event(traced(3, true, get)).await.expect_err("no table");
            let span = receiver.until("the failure", |received| of_call(received, 3)).await;
            assert_eq!(status(&span), StatusCode::Error, "{failed:?}");
            let trace = receiver
                .until("its line", |received| {
                    let line = *received.saying("a read failed").first()?;
                    Some((line.trace_id.clone(), line.span_id.clone()))
                })
                .await;
            assert_eq!(trace, (span.trace_id, span.span_id));
            let failed = audit.append(traced(4, true, batch(vec![events::hold("device-1")]))).await;
            assert!(failed.is_err(), "{failed:?}");
            let span = receiver.until("the failed append", |received| of_call(received, 4)).await;
            let commit = receiver.until("the failed commit", |received| linking(received, &span)).await;
            assert_eq!(status(&commit), StatusCode::Error, "{commit:?}");
            assert!(attributes(&commit.attributes).contains_key("error.type"), "{commit:?}");
        });
    }
}

/// The caller decides; where it has not, the ratio does. Probes are not traced.
#[test]
fn what_is_not_sampled_has_no_span() {
    let store = TestStore::new(Kind::Sqlite);
    block_on(async {
        let receiver = Receiver::start(Mood::Well).await;
        let one = server(&store, &receiver, &["--trace-ratio", "0"]);
        let mut audit = one.audit().await;
        let event = || batch(vec![events::hold("device-1")]);
        let mut health = HealthClient::new(one.channel().await);
        health.check(traced(3, true, HealthCheckRequest::default())).await.expect("health");
        append(&mut audit, event()).await;
        append(&mut audit, traced(1, false, event())).await;
        append(&mut audit, traced(2, true, event())).await;
        // What has ended earlier was sent earlier.
        let call = receiver.until("the sampled call", |received| of_call(received, 2)).await;
        receiver.until("its commit", |received| linking(received, &call)).await;
        let calls = |received: &Received| {
            let calls = received.spans.iter().filter(|span| span.kind() == SpanKind::Server);
            (calls.count(), received.named("commit group").len())
        };
        assert_eq!(calls(&receiver.received()), (1, 1));
        drop(one);

        let receiver = Receiver::start(Mood::Well).await;
        let all = server(&store, &receiver, &[]);
        let mut audit = all.audit().await;
        append(&mut audit, traced(1, false, event())).await;
        append(&mut audit, Request::new(event())).await;
        receiver.until("the call", |received| (calls(received) == (1, 1)).then_some(())).await;
        assert_eq!(of_call(&receiver.received(), 1), None);
    });
}

#[test]
fn every_batch_of_a_stream_is_linked_to_the_span_of_the_stream() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let receiver = Receiver::start(Mood::Well).await;
            let server = server(&store, &receiver, &[]);
            let opened = Stream::with(&mut server.audit().await, |batches| traced(1, true, batches)).await;
            let mut stream = opened.expect("a stream");
            for number in 1..=3 {
                stream.send(number, vec![events::hold("device-1"), events::hold("device-2")]).await;
            }
            while stream.next().await.expect("an answer").expect("an answer").acked_through < 3 {}
            let links = |received: &Received| -> Vec<_> {
                received.named("commit group").iter().flat_map(|commit| commit.links.clone()).collect()
            };
            let links = receiver
                .until("three links", |received| Some(links(received)).filter(|links| links.len() == 3))
                .await;
            // The stream goes on, and so does its span.
            assert_eq!(of_call(&receiver.received(), 1), None);
            drop(stream.batches);
            while let Ok(Some(_)) = stream.answers.message().await {}
            let call = receiver.until("the stream", |received| of_call(received, 1)).await;
            assert_eq!(attributes(&call.attributes)["rpc.status_code"], "OK");
            for link in links {
                assert_eq!((link.trace_id, link.span_id), (call.trace_id.clone(), call.span_id.clone()));
            }
            // One whose client goes away ends too: with its runtime, which says no goodbye.
            let leave = || {
                block_on(async {
                    Stream::with(&mut server.audit().await, |batches| traced(2, true, batches)).await
                })
            };
            let left = std::thread::scope(|scope| scope.spawn(leave).join().expect("a client"));
            let call = receiver.until("the one that was left", |received| of_call(received, 2)).await;
            drop(left);
            assert_eq!(attributes(&call.attributes)["rpc.status_code"], "CANCELLED");
        });
    }
}
