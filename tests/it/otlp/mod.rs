//! Telemetry over OTLP: what a receiver gets, and that nothing waits for one that is not well.
mod away;
mod calls;
mod exports;
mod secrets;

use chancery::proto::v1::{AppendRequest, NewEvent};
use tonic::{Request, metadata::MetadataValue};

use crate::harness::{TestStore, calls::atomic, receiver::Receiver, server::Server};

/// A server that sends to a receiver.
fn server(store: &TestStore, receiver: &Receiver, flags: &[&str]) -> Server {
    Server::start_with(store, &[&["--otlp-endpoint", &receiver.url()], flags].concat())
}

/// A server that sends to a receiver, with variables as `NAME=VALUE`.
fn server_in(store: &TestStore, variables: &[&str], flags: &[&str]) -> Server {
    Server::start_under(store, &[&["env"], variables].concat(), flags)
}

/// A call in a trace of this number, whose span has the number 7.
fn traced<T>(trace: u8, sampled: bool, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent =
        format!("00-{}-{:016x}-{:02x}", "ab".repeat(15) + &format!("{trace:02x}"), 7, u8::from(sampled));
    let parent: MetadataValue<_> = parent.parse().expect("a header");
    request.metadata_mut().insert("traceparent", parent);
    request
}

/// The trace of this number.
fn trace_id(trace: u8) -> Vec<u8> {
    [[0xab; 15].as_slice(), &[trace]].concat()
}

fn batch(events: Vec<NewEvent>) -> AppendRequest {
    atomic(events)
}
