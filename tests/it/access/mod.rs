//! Who may do what: every call with every kind of caller, what readers see, and how callers show who they are.
mod bad_input;
mod command;
mod documents;
mod jwt;
mod keys;
mod matrix;
mod names;
mod reload;
mod scope;
mod shares;
mod withheld;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use chancery::proto::v1::{QueryRequest, audit_service_client::AuditServiceClient};
use tonic::{Code, Request, Status, transport::Endpoint};

use crate::harness::{
    calls::{Audit, Refusal, try_query},
    server::Server,
};

/// A request with this authorization.
fn bearing<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a header value");
    request.metadata_mut().insert("authorization", value);
    request
}

/// An address of this machine that no other call comes from: refusals of one address are counted together.
fn fresh_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low).into()
}

/// What a caller with this token gets to hear when it reads the log main: nothing, or why it may not. It calls from an
/// address of its own.
async fn heard(server: &Server, token: &str) -> Result<(), Status> {
    let endpoint = Endpoint::from_shared(server.url()).expect("a URL").local_address(Some(fresh_address()));
    let mut audit: Audit = AuditServiceClient::new(endpoint.connect().await.expect("a connection"));
    try_query(&mut audit, bearing(token, QueryRequest::default())).await.map(drop)
}

/// A token was refused, with nothing that says why.
fn refused(status: &Status) {
    let refusal = Refusal::of(status);
    assert_eq!(
        (refusal.code, refusal.reason.as_str(), refusal.message.as_str()),
        (Code::Unauthenticated, "CREDENTIAL_REFUSED", "the credential is not accepted")
    );
    assert!(refusal.metadata.is_empty() && refusal.violations.is_empty(), "{refusal:?}");
}

/// Where calls came from whose callers are nobody, and why, from the server's log, once there are so many.
fn refusals(server: &Server, count: usize) -> Vec<(String, String)> {
    let began = Instant::now();
    loop {
        let log = server.log();
        let entries = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let entries = entries.filter(|entry| entry["message"] == "a call was denied");
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let found: Vec<_> = entries
            .filter_map(|entry| Some((text(&entry["address"]).unwrap_or_default(), text(&entry["cause"])?)))
            .collect();
        if found.len() >= count {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{count} causes, and not these: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The causes alone.
fn causes(server: &Server, count: usize) -> Vec<String> {
    refusals(server, count).into_iter().map(|(_, cause)| cause).collect()
}
