//! Who may do what: every call with every kind of caller, what readers see, and how callers show who they are.
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

use chancery::proto::v1::QueryRequest;
use tonic::{Code, Request, Status};

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

/// What a caller with this token gets to hear when it reads the log main: nothing, or why it may not.
async fn heard(server: &Server, token: &str) -> Result<(), Status> {
    let mut audit: Audit = server.audit().await;
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

/// The causes in a server's log of calls by nobody.
fn causes(server: &Server) -> Vec<String> {
    let log = server.log();
    let entries = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let entries = entries.filter(|entry| entry["message"] == "nobody is calling");
    entries.map(|entry| entry["refused"].as_str().unwrap_or_default().to_owned()).collect()
}
