//! Requests that are whole HTTP/2 and no gRPC, or gRPC that lies: each gets a status that says what is wrong with it.
use std::sync::Arc;

use bytes::Bytes;
use chancery::proto::v1::{AppendRequest, NewEvent, QueryRequest};
use http::{HeaderMap, Method, Request, StatusCode};
use prost::Message as _;
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::{attacked, raw::APPEND};
use crate::harness::{calls::Refusal, events, server::Server};

/// What a request is made of besides its path.
struct Asked {
    method: Method,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    trailers: bool,
}

impl Default for Asked {
    fn default() -> Self {
        let headers = vec![("content-type", "application/grpc"), ("te", "trailers")];
        Self { method: Method::POST, headers, body: Vec::new(), trailers: false }
    }
}

/// Asks over a connection of its own; the answer's status, of HTTP and of gRPC.
async fn ask(server: &Server, path: &str, asked: Asked) -> (StatusCode, Status) {
    let stream = TcpStream::connect(&server.address).await.expect("a connection");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(asked.method).uri(format!("http://x{path}"));
    for (name, value) in asked.headers {
        request = request.header(name, value);
    }
    let mut sender = sender.ready().await.expect("ready");
    let last = asked.body.is_empty() && !asked.trailers;
    let (answer, mut body) =
        sender.send_request(request.body(()).expect("a request"), last).expect("a request");
    if !asked.body.is_empty() {
        body.send_data(Bytes::from(asked.body), !asked.trailers).expect("data");
    }
    if asked.trailers {
        body.send_trailers(HeaderMap::from_iter([(
            http::HeaderName::from_static("a"),
            http::HeaderValue::from_static("b"),
        )]))
        .expect("trailers");
    }
    let (head, mut body) = answer.await.expect("an answer").into_parts();
    while let Some(data) = body.data().await {
        drop(data);
    }
    let trailers = body.trailers().await.ok().flatten().unwrap_or_default();
    let status = Status::from_header_map(&head.headers).or_else(|| Status::from_header_map(&trailers));
    connection.abort();
    (head.status, status.expect("a status of gRPC"))
}

/// A message as gRPC frames it, which may lie about its length and about being packed.
fn framed(flag: u8, length: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("four bytes").to_be_bytes();
    [&[flag], &length[..], message].concat()
}

fn whole(message: &[u8]) -> Vec<u8> {
    framed(0, message.len(), message)
}

async fn refusal(server: &Arc<Server>, path: &str, body: Vec<u8>) -> Refusal {
    let (http, status) = ask(server, path, Asked { body, ..Asked::default() }).await;
    assert_eq!(http, StatusCode::OK);
    Refusal::of(&status)
}

#[test]
fn a_message_that_is_not_what_it_says_is_refused_for_it() {
    attacked(|server| async move {
        let batch = AppendRequest { events: vec![events::hold("1")], ..AppendRequest::default() };
        let batch = batch.encode_to_vec();
        for (what, body) in [
            ("half of it", framed(0, batch.len(), &batch[..batch.len() / 2])),
            ("half of its prefix", vec![0, 0, 0]),
            ("its prefix alone", framed(0, 100, &[])),
            ("shorter than it is", framed(0, batch.len() - 3, &batch)),
            ("longer than it is", framed(0, batch.len() + 3, &batch)),
            ("no message", whole(b"\xff\xff\xff\xff")),
            ("a text that is none", whole(&[0x0a, 2, 0xc3, 0x28])),
        ] {
            let refusal = refusal(&server, APPEND, body).await;
            let found = (refusal.code, refusal.reason.as_str());
            assert_eq!(found, (Code::InvalidArgument, "MALFORMED_MESSAGE"), "{what}: {refusal:?}");
        }
        // Its length alone says enough.
        for length in [4 * 1024 * 1024 + 1, u32::MAX as usize] {
            let refusal = refusal(&server, APPEND, framed(0, length, &[1; 10])).await;
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::InvalidArgument, "MESSAGE_TOO_LARGE"));
        }
    });
}

#[test]
fn a_request_without_a_message_is_refused() {
    attacked(|server| async move {
        for trailers in [false, true] {
            for path in [APPEND, "/chancery.v1.CatalogService/GetEventType", "/grpc.health.v1.Health/Check"] {
                let (_, status) = ask(&server, path, Asked { trailers, ..Asked::default() }).await;
                let refusal = Refusal::of(&status);
                let found = (refusal.code, refusal.reason.as_str());
                assert_eq!(found, (Code::InvalidArgument, "MALFORMED_MESSAGE"), "{path}");
            }
        }
    });
}

/// 1 GB of zeroes, packed and packed again, would be 4 MiB; what is packed at all is not unpacked.
#[test]
fn a_packed_message_is_not_unpacked() {
    attacked(|server| async move {
        let packed = vec![0x1f; 1024 * 1024];
        for encoding in ["gzip", "deflate", "zstd", "br"] {
            let mut asked = Asked { body: framed(1, packed.len(), &packed), ..Asked::default() };
            asked.headers.push(("grpc-encoding", encoding));
            let (_, status) = ask(&server, APPEND, asked).await;
            assert_eq!(status.code(), Code::Unimplemented, "{encoding}: {status:?}");
            assert!(status.message().contains(encoding), "{status:?}");
        }
        let asked = Asked { body: framed(1, packed.len(), &packed), ..Asked::default() };
        let (_, status) = ask(&server, APPEND, asked).await;
        assert_eq!(
            status.code(),
            Code::Internal,
            "gRPC's own answer to a flag without an encoding: {status:?}"
        );
    });
}

/// 10,000 groups, one in the other, which nobody knows; 10,000 messages, and 10,000 parentheses.
#[test]
fn what_nests_too_deep_is_refused() {
    attacked(|server| async move {
        let groups = [[0x7b].repeat(10_000), [0x7c].repeat(10_000)].concat();
        let events = [&[0x12, 0xa0, 0x9c, 1][..], &groups].concat();
        for body in [&groups, &events] {
            for path in [APPEND, super::raw::QUERY] {
                let refusal = refusal(&server, path, whole(body)).await;
                let found = (refusal.code, refusal.reason.as_str());
                assert_eq!(found, (Code::InvalidArgument, "MALFORMED_MESSAGE"), "{path}");
            }
        }
        // Messages that nobody knows are bytes: they are skipped, whatever is in them.
        let mut nested = Vec::new();
        for _ in 0..1_000 {
            let mut outer = vec![0x7a];
            prost::encoding::encode_varint(nested.len() as u64, &mut outer);
            outer.extend(&nested);
            nested = outer;
        }
        let batch = AppendRequest { events: vec![NewEvent::default()], ..AppendRequest::default() };
        let refused = refusal(&server, APPEND, whole(&[batch.encode_to_vec(), nested].concat())).await;
        assert_eq!(refused.reason, "MALFORMED_EVENT", "only the event is wrong: {refused:?}");
        for expression in ["(".repeat(4_000) + &")".repeat(4_000), "(".repeat(10_000), "NOT ".repeat(2_000)] {
            let query = QueryRequest { r#where: expression, ..QueryRequest::default() };
            let refused = refusal(&server, super::raw::QUERY, whole(&query.encode_to_vec())).await;
            assert_eq!((refused.code, refused.reason.as_str()), (Code::InvalidArgument, "INVALID_WHERE"));
        }
    });
}

#[test]
fn what_is_no_call_of_a_service_is_not_implemented() {
    attacked(|server| async move {
        let long = format!("/{}", "a".repeat(15_000));
        for path in ["/chancery.v1.AuditService/Nothing", "/x.Y/Z", "/", "//", &long] {
            let (http, status) = ask(&server, path, Asked::default()).await;
            assert_eq!((http, status.code()), (StatusCode::OK, Code::Unimplemented), "{path}");
        }
    });
}

/// Whatever method or type of content a client names, it is the message that counts.
#[test]
fn another_method_or_content_type_changes_nothing() {
    attacked(|server| async move {
        for (method, headers) in [
            (Method::GET, vec![("content-type", "application/grpc")]),
            (Method::POST, vec![("content-type", "text/html")]),
            (Method::POST, Vec::new()),
        ] {
            let asked = Asked { method, headers, body: whole(&[]), trailers: false };
            let (http, status) = ask(&server, APPEND, asked).await;
            let refusal = Refusal::of(&status);
            assert_eq!((http, refusal.reason.as_str()), (StatusCode::OK, "EMPTY_BATCH"));
        }
    });
}
