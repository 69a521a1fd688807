//! Who may do what: every call with every kind of caller, what readers see, and how callers show who they are.
mod command;
mod documents;
mod jwt;
mod keys;
mod matrix;
mod names;
mod reload;
mod scope;
mod withheld;

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU8, Ordering},
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

/// What a caller with this token gets to hear when it reads the log main: nothing, or why it may not. Every time from
/// another address, because refusals that are alike are told once.
async fn heard(server: &Server, token: &str) -> Result<(), Status> {
    static CALLERS: AtomicU8 = AtomicU8::new(2);
    let from = Ipv4Addr::new(127, 0, 1, CALLERS.fetch_add(1, Ordering::Relaxed));
    let endpoint = Endpoint::from_shared(server.url()).expect("a URL").local_address(Some(from.into()));
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

/// The causes in a server's log of calls with credentials that show nothing.
fn causes(server: &Server) -> Vec<String> {
    let log = server.log();
    let entries = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let entries = entries
        .filter(|entry| entry["message"] == "a call was denied" && entry["reason"] == "CREDENTIAL_REFUSED");
    entries.map(|entry| entry["cause"].as_str().unwrap_or_default().to_owned()).collect()
}
