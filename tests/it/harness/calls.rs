//! Calls of `AuditService` and their answers, in the words of a test.
use std::{collections::HashMap, time::Duration};

use chancery::proto::v1::{
    self, AppendRequest, AppendResponse, AppendResult, Event, EventResult, NewEvent, QueryRequest,
    QuerySummary, audit_service_client::AuditServiceClient, query_response::Payload,
};
use prost::Message as _;
use tonic::{Code, IntoRequest, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

/// A client of `AuditService`.
pub type Audit = AuditServiceClient<Channel>;

/// An ATOMIC batch for the default log.
pub fn atomic(events: Vec<NewEvent>) -> AppendRequest {
    AppendRequest { events, ..AppendRequest::default() }
}

/// A PER_EVENT batch for the default log.
pub fn per_event(events: Vec<NewEvent>) -> AppendRequest {
    AppendRequest { events, mode: v1::AppendMode::PerEvent as i32, ..AppendRequest::default() }
}

/// A request in the name of a producer.
pub fn from_producer<T>(producer: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-chancery-producer", producer.parse().expect("a header value"));
    request
}

/// An append that succeeds.
pub async fn append(audit: &mut Audit, request: impl IntoRequest<AppendRequest>) -> AppendResponse {
    audit.append(request).await.expect("an answered append").into_inner()
}

/// An append of which every event is new; their positions.
pub async fn accept(audit: &mut Audit, request: impl IntoRequest<AppendRequest>) -> Vec<u64> {
    let answer = append(audit, request).await;
    let position = |result: &EventResult| {
        assert_eq!(result.result(), AppendResult::Accepted, "{result:?}");
        result.position.expect("a position")
    };
    answer.results.iter().map(position).collect()
}

/// An append that the server refuses.
pub async fn refuse(audit: &mut Audit, request: impl IntoRequest<AppendRequest>) -> Refusal {
    Refusal::of(&audit.append(request).await.expect_err("a refused append"))
}

/// What became of each event of an answer.
pub fn results(answer: &AppendResponse) -> Vec<AppendResult> {
    answer.results.iter().map(EventResult::result).collect()
}

/// A refused call or event, taken apart.
#[derive(Debug)]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    pub reason: String,
    pub metadata: HashMap<String, String>,
    /// Field path and description of every violation.
    pub violations: Vec<(String, String)>,
    pub retry_after: Option<Duration>,
    /// Subjects of `QuotaFailure`.
    pub quotas: Vec<String>,
}

impl Refusal {
    /// Of a call. Every error names a reason in the domain of the contract.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
        assert_eq!(info.domain, "chancery.v1");
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let quotas = details.quota_failure().map(|quota| quota.violations.clone()).unwrap_or_default();
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: info.reason.clone(),
            metadata: info.metadata.clone(),
            violations: violations.into_iter().map(|each| (each.field, each.description)).collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            quotas: quotas.into_iter().map(|each| each.subject).collect(),
        }
    }

    /// Of one event.
    pub fn of_event(result: &EventResult) -> Self {
        let error = result.error.as_ref().unwrap_or_else(|| panic!("no error: {result:?}"));
        let status = Status::with_details(
            Code::from_i32(error.code),
            error.message.clone(),
            error.encode_to_vec().into(),
        );
        Self::of(&status)
    }

    /// Field paths of the violations.
    pub fn fields(&self) -> Vec<&str> {
        self.violations.iter().map(|(field, _)| field.as_str()).collect()
    }
}

/// Everything a finished query brought.
#[derive(Debug)]
pub struct Answer {
    pub events: Vec<Event>,
    /// The resume token of every event's message.
    pub tokens: Vec<String>,
    pub summary: QuerySummary,
    /// The resume token of the summary.
    pub last_token: String,
}

impl Answer {
    /// Positions of the events, as they came.
    pub fn positions(&self) -> Vec<u64> {
        self.events.iter().map(|event| event.position.expect("a position")).collect()
    }
}

/// Runs a query to its end.
///
/// # Errors
/// The call or its stream failed.
pub async fn try_query(audit: &mut Audit, request: impl IntoRequest<QueryRequest>) -> Result<Answer, Status> {
    let mut stream = audit.query(request).await?.into_inner();
    let (mut events, mut tokens) = (Vec::new(), Vec::new());
    while let Some(message) = stream.message().await? {
        match message.payload.expect("a payload") {
            Payload::Event(event) => {
                events.push(event);
                tokens.push(message.resume_token);
            }
            Payload::Summary(summary) => {
                assert_eq!(summary.returned, events.len() as u64);
                assert!(stream.message().await?.is_none(), "the summary is the last message");
                return Ok(Answer { events, tokens, summary, last_token: message.resume_token });
            }
            Payload::Checkpoint(_) => {}
            live => panic!("{live:?} without follow"),
        }
    }
    panic!("the stream ended without a summary")
}

/// Runs a query to its end.
pub async fn query(audit: &mut Audit, request: impl IntoRequest<QueryRequest>) -> Answer {
    try_query(audit, request).await.expect("a finished query")
}

/// Every event of a log, by position.
pub async fn everything(audit: &mut Audit, log: &str) -> Vec<Event> {
    let request = QueryRequest { log: log.to_owned(), ..QueryRequest::default() };
    let answer = query(audit, request).await;
    let dense: Vec<u64> = (0..answer.summary.head_position).collect();
    assert_eq!(answer.positions(), dense, "positions are dense, from 0");
    answer.events
}
