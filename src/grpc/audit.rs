//! `AuditService`: parse, call, convert. The rules are in `event`, `catalog`, `ingest` and `query`.
use std::{pin::Pin, sync::Arc};

use futures::Stream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{
    append, append_stream, convert,
    leaving::unless_over,
    may,
    query::{self, Queries},
    spliced::{self, GetEventMessage, QueryMessage, Seen},
    status, told,
};
use crate::{
    auth::{Authenticator, Caller, Scope},
    catalog::Catalog,
    clock::Clock,
    event::{LogName, Producer},
    ingest::{Ingest, admission::Received, allowance::Allowances, streams::Streams},
    journal::{Entry, Journal},
    proto::{servers::audit_service_server::AuditService, v1},
    query::{
        Engine,
        count::{Count, CountError},
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
    /// What callers did.
    pub journal: Arc<Journal>,
    pub authenticator: Arc<Authenticator>,
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
        let caller = may::caller(&request)?;
        let received = received(&request);
        append::append(&self.0, &caller, &received, request.into_inner()).await.map(Response::new)
    }

    type AppendStreamStream = Answers<v1::AppendStreamResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let caller = may::caller(&request)?;
        let received = received(&request);
        let answers = append_stream::run(Arc::clone(&self.0), caller, received, request.into_inner())?;
        Ok(Response::new(Box::pin(answers)))
    }

    type QueryStream = Answers<QueryMessage>;

    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<Self::QueryStream>, Status> {
        let messages = query::query(&self.0, &may::caller(&request)?, request.get_ref())?;
        Ok(Response::new(Box::pin(messages)))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetEventRequest>,
    ) -> Result<Response<GetEventMessage>, Status> {
        let _running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let (log, scope) = may::read(&caller, &request.log)?;
        let entry = Entry::event_read(&told::who(&caller), caller.method, &log);
        let read = unless_over(&self.0.drain, self.0.read(&log, &scope, &request)).await;
        self.0.journal.record(match &read {
            Ok((position, _)) => entry.with_number("position", *position),
            Err(error) => {
                let entry = told::read_failed(&caller, &log, error);
                // Only what is an id: anything else, a name too, could be anything.
                let id = uuid::Uuid::try_parse(&request.event_id);
                let entry = entry.with("event_id", id.map_or_else(|_| String::new(), |id| id.to_string()));
                match request.position {
                    Some(position) => entry.with_number("position", position),
                    None => entry,
                }
            }
        });
        read.map(|(_, seen)| Response::new(GetEventMessage(seen)))
    }

    async fn count_events(
        &self,
        request: Request<v1::CountEventsRequest>,
    ) -> Result<Response<v1::CountEventsResponse>, Status> {
        let _running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let (log, scope) = may::read(&caller, &request.log)?;
        let counted = self.0.count(&caller, &log, &scope, &request);
        let counted = unless_over(&self.0.drain, counted).await;
        if let Err(error) = &counted {
            self.0.journal.record(told::read_failed(&caller, &log, error));
        }
        counted.map(Response::new)
    }
}

impl Audit {
    /// One event, and where it is.
    async fn read(
        &self,
        log: &LogName,
        scope: &Scope,
        request: &v1::GetEventRequest,
    ) -> Result<(u64, Seen), Status> {
        let by_key = !request.producer.is_empty() || !request.event_id.is_empty();
        let (position, what) = match (request.position, by_key) {
            (Some(position), false) => (position, format!("position {position}")),
            (None, true) => {
                let producer = Producer::parse(&request.producer)
                    .map_err(|what| status::invalid("INVALID_PRODUCER", "producer", what))?;
                let event_id = uuid::Uuid::try_parse(&request.event_id).map_err(|_| {
                    status::invalid("INVALID_EVENT_ID", "event_id", "is not a UUID in its text form")
                })?;
                let key = Key { producer, event_id };
                let known = self.store.known(log, std::slice::from_ref(&key)).await;
                let mut known = known.map_err(|error| status::store(&error))?;
                let what = format!("event id {event_id} of this producer");
                let Some(known) = known.remove(&key) else { return Err(no_event(log, &what)) };
                (known.position, what)
            }
            _ => {
                let description = "set either position, or both producer and event_id";
                return Err(status::invalid("INVALID_EVENT_REFERENCE", "position", description));
            }
        };
        let event = self.store.event_at(log, position).await.map_err(|e| status::store(&e))?;
        let Some(event) = event else {
            let extent = self.store.extent(log).await.map_err(|e| status::store(&e))?;
            // Of what is gone nobody can tell any more whether a caller with a narrower scope saw it.
            let tells = !by_key || scope.families().is_none();
            return Err(match tells && position < extent.oldest {
                true => status::position_pruned(extent.oldest),
                false => no_event(log, &what),
            });
        };
        // What the caller does not see is not there for it.
        let seen = spliced::seen(event, scope)?.ok_or_else(|| no_event(log, &what))?;
        Ok((position, seen))
    }

    /// Counts of events.
    async fn count(
        &self,
        caller: &Caller,
        log: &LogName,
        scope: &Scope,
        request: &v1::CountEventsRequest,
    ) -> Result<v1::CountEventsResponse, Status> {
        let (asked, predicate) = may::ask(&self.catalog, scope, request.filter.as_ref(), &request.r#where)?;
        let group_by = convert::group_by(&request.group_by)?;
        let bucket = convert::bucket(request.bucket.as_ref())?;
        let _place = query::Place::take(self, caller)?;
        let count = Count { log, predicate: &predicate, group_by: &group_by, bucket, most: MAX_COUNT_ROWS };
        let (counted, oldest_position) = count.run(&self.store).await.map_err(|error| match error {
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
        self.journal.record(Entry::events_counted(
            &told::who(caller),
            caller.method,
            log,
            &told::filter(&asked, &self.catalog),
            &request.group_by.join(" "),
            rows.len() as u64,
        ));
        Ok(v1::CountEventsResponse {
            rows,
            total,
            filter: predicate.predicate().to_string(),
            oldest_position,
        })
    }
}

fn no_event(log: &LogName, what: &str) -> Status {
    status::not_found("EVENT_NOT_FOUND", format!("log {log} has no event with {what}"), &[])
}

/// The room that the messages of a call have taken while they were received.
fn received<T>(request: &Request<T>) -> Received {
    request.extensions().get().cloned().unwrap_or_default()
}

/// The columns a count can be grouped by, by name.
pub(super) fn group_column(name: &str) -> Option<GroupColumn> {
    GroupColumn::ALL.into_iter().find(|column| column.name() == name)
}
