//! `AuditService`: parse, call, convert. The rules are in `event`, `catalog`, `ingest` and `query`.
use std::{pin::Pin, sync::Arc};

use futures::Stream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{
    append, append_stream, convert,
    query::{self, Queries},
    spliced::{GetEventMessage, QueryMessage},
    status,
};
use crate::{
    catalog::Catalog,
    clock::Clock,
    event::{LogName, Producer},
    ingest::{Ingest, admission::Received, allowance::Allowances, streams::Streams},
    proto::{servers::audit_service_server::AuditService, v1},
    query::{
        Engine,
        count::{Count, CountError},
        predicate::{FilterFault, Predicate},
        token::Tokens,
    },
    store::{GroupColumn, Key, Store},
    telemetry::Metrics,
};

/// Rows that a count may have.
const MAX_COUNT_ROWS: u32 = 10_000;

/// What the service needs.
pub struct Audit {
    pub catalog: Arc<Catalog>,
    pub ingest: Arc<Ingest>,
    pub producers: Allowances,
    /// Open append streams.
    pub streams: Streams,
    pub store: Arc<dyn Store>,
    /// What queries run on.
    pub engine: Engine,
    /// The queries that run.
    pub queries: Queries,
    pub tokens: Tokens,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server begins to go away.
    pub drain: CancellationToken,
    /// Tasks of open streams.
    pub readers: TaskTracker,
    /// Running unary calls: the server does not end before they are answered.
    pub calls: TaskTracker,
}

/// The service, shared with the tasks of its streams.
pub struct AuditRpc(pub Arc<Audit>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AuditService for AuditRpc {
    async fn append(
        &self,
        request: Request<v1::AppendRequest>,
    ) -> Result<Response<v1::AppendResponse>, Status> {
        let _running = self.0.calls.token();
        let producer = producer(&request)?;
        let received = received(&request);
        append::append(&self.0, producer, &received, request.into_inner()).await.map(Response::new)
    }

    type AppendStreamStream = Answers<v1::AppendStreamResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let producer = producer(&request)?;
        let received = received(&request);
        let answers = append_stream::run(Arc::clone(&self.0), producer, received, request.into_inner())?;
        Ok(Response::new(Box::pin(answers)))
    }

    type QueryStream = Answers<QueryMessage>;

    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<Self::QueryStream>, Status> {
        let messages = query::query(&self.0, request.get_ref())?;
        Ok(Response::new(Box::pin(messages)))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetEventRequest>,
    ) -> Result<Response<GetEventMessage>, Status> {
        let _running = self.0.calls.token();
        let request = request.into_inner();
        let log = log_name(&request.log)?;
        let by_key = !request.producer.is_empty() || !request.event_id.is_empty();
        let position = match (request.position, by_key) {
            (Some(position), false) => position,
            (None, true) => {
                let producer = Producer::parse(&request.producer)
                    .map_err(|what| status::invalid("INVALID_PRODUCER", "producer", what))?;
                let event_id = uuid::Uuid::try_parse(&request.event_id).map_err(|_| {
                    status::invalid("INVALID_EVENT_ID", "event_id", "is not a UUID in its text form")
                })?;
                let key = Key { producer, event_id };
                let mut known = self
                    .0
                    .store
                    .known(&log, std::slice::from_ref(&key))
                    .await
                    .map_err(|e| status::store(&e))?;
                known
                    .remove(&key)
                    .ok_or_else(|| no_event(&log, &format!("event id {event_id} of this producer")))?
                    .position
            }
            _ => {
                let description = "set either position, or both producer and event_id";
                return Err(status::invalid("INVALID_EVENT_REFERENCE", "position", description));
            }
        };
        let event = self.0.store.event_at(&log, position).await.map_err(|e| status::store(&e))?;
        let Some(event) = event else {
            let extent = self.0.store.extent(&log).await.map_err(|e| status::store(&e))?;
            return Err(match position < extent.oldest {
                true => status::position_pruned(extent.oldest),
                false => no_event(&log, &format!("position {position}")),
            });
        };
        Ok(Response::new(GetEventMessage(event)))
    }

    async fn count_events(
        &self,
        request: Request<v1::CountEventsRequest>,
    ) -> Result<Response<v1::CountEventsResponse>, Status> {
        let _running = self.0.calls.token();
        let request = request.into_inner();
        let log = log_name(&request.log)?;
        let predicate = predicate(request.filter.as_ref(), &request.r#where)?;
        let group_by = convert::group_by(&request.group_by)?;
        let bucket = convert::bucket(request.bucket.as_ref())?;
        let count =
            Count { log: &log, predicate: &predicate, group_by: &group_by, bucket, most: MAX_COUNT_ROWS };
        let (counted, oldest_position) = count.run(&self.0.store).await.map_err(|error| match error {
            CountError::Store(error) => status::store(&error),
            CountError::Removed(removed) => status::position_pruned(removed.oldest),
            CountError::TooMany => {
                let description = format!(
                    "the count has more than {MAX_COUNT_ROWS} rows; narrow the filter, group by less or widen the bucket"
                );
                status::invalid("TOO_MANY_GROUPS", "group_by", description)
            }
        })?;
        let rows: Vec<_> = counted.into_iter().map(|row| convert::count_row(row, &group_by)).collect();
        let total = rows.iter().map(|row| row.count).sum();
        Ok(Response::new(v1::CountEventsResponse {
            rows,
            total,
            filter: predicate.to_string(),
            oldest_position,
        }))
    }
}

fn no_event(log: &LogName, what: &str) -> Status {
    status::not_found("EVENT_NOT_FOUND", format!("log {log} has no event with {what}"), &[])
}

pub(super) fn log_name(name: &str) -> Result<LogName, Status> {
    LogName::parse(name).map_err(|what| status::invalid("INVALID_LOG", "log", what))
}

pub(super) fn predicate(filter: Option<&v1::EventFilter>, expression: &str) -> Result<Predicate, Status> {
    Predicate::of(filter, expression).map_err(|fault| match fault {
        FilterFault::Filter { field, description } => {
            let field = if field.is_empty() { "filter".to_owned() } else { format!("filter.{field}") };
            status::invalid("INVALID_FILTER", &field, description)
        }
        FilterFault::Where { offset, description } => status::invalid_where(offset, &description),
    })
}

pub(super) fn producer<T>(request: &Request<T>) -> Result<Producer, Status> {
    caller(request.metadata().as_ref())
}

/// Who is calling. Until callers authenticate, what they say in `x-chancery-producer`. The server's own name is
/// nobody else's.
pub fn caller(headers: &http::HeaderMap) -> Result<Producer, Status> {
    let caller = named(headers)?;
    if caller.as_str() == Producer::OWN {
        return Err(status::producer_reserved(&caller));
    }
    Ok(caller)
}

fn named(headers: &http::HeaderMap) -> Result<Producer, Status> {
    match headers.get("x-chancery-producer") {
        None => Ok(Producer::anonymous()),
        Some(name) => name
            .to_str()
            .map_err(|_| "the name is not ASCII")
            .and_then(Producer::parse)
            .map_err(|what| status::invalid("INVALID_PRODUCER", "x-chancery-producer", what)),
    }
}

/// The room that the messages of a call have taken while they were received.
fn received<T>(request: &Request<T>) -> Received {
    request.extensions().get().cloned().unwrap_or_default()
}

/// The columns a count can be grouped by, by name.
pub(super) fn group_column(name: &str) -> Option<GroupColumn> {
    GroupColumn::ALL.into_iter().find(|column| column.name() == name)
}
