//! `AuditService.Query`: from a request to a stream of messages.
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{Stream, StreamExt as _};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tonic::Status;

use super::{
    audit::Audit,
    may,
    spliced::{self, QueryMessage},
    status, told,
};
use crate::{
    auth::{Caller, Credential, Scope},
    event::{LogName, timestamp},
    ingest::shares::{Share, Shares},
    journal::Entry,
    proto::v1::{self, query_response::Payload},
    query::{
        self, End, Letter, Letters, Order, Part, Query, Summary,
        token::{Bound, Cursor, TokenFault, Tokens},
    },
    store::{PageStart, StoredEvent},
    telemetry::{Canceller, LoadShed, Metrics},
};

/// Queries that one replica runs at a time. Each has three pages in memory at most, which all of them share 96 MiB
/// for (`query::reader`); mostly a follower has nothing.
pub const MAX_QUERIES: usize = 256;
/// Of them those of one caller with a credential, so that a single one cannot take all.
pub const MAX_CALLER_QUERIES: usize = MAX_QUERIES / 4;
/// Trailer of a query that failed on the way: where to continue.
const RESUME_TOKEN: &str = "chancery-resume-token";

/// The queries that run, and the counts.
#[derive(Debug)]
pub struct Queries {
    room: Arc<Semaphore>,
    shares: Shares,
}

impl Default for Queries {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_QUERIES)), shares: Shares::new(MAX_CALLER_QUERIES) }
    }
}

/// Which limit was reached, and how many it allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooManyQueries {
    All(usize),
    OfCaller(usize),
}

impl Queries {
    fn take(&self, caller: &Caller) -> Result<(OwnedSemaphorePermit, Option<Share>), TooManyQueries> {
        let share = match caller.identity.credential {
            // Anybody may give themselves the name.
            Credential::Claim => None,
            _ => {
                let share = self.shares.take(caller.name());
                Some(share.ok_or(TooManyQueries::OfCaller(MAX_CALLER_QUERIES))?)
            }
        };
        let permit = Arc::clone(&self.room).try_acquire_owned();
        Ok((permit.map_err(|_| TooManyQueries::All(MAX_QUERIES))?, share))
    }
}

type Message = Result<QueryMessage, Status>;

/// The place of a query among those that run. Its reader has it: a client that is cut off and never reads on keeps
/// none.
pub struct Place {
    metrics: Arc<Metrics>,
    _taken: (OwnedSemaphorePermit, Option<Share>),
}

impl Place {
    /// A place for a query or a count of this caller.
    ///
    /// # Errors
    /// As many run as may.
    pub fn take(audit: &Audit, caller: &Caller) -> Result<Self, Status> {
        let taken = audit.queries.take(caller).map_err(|limit| {
            audit.metrics.calls.shed(LoadShed::queries);
            status::too_many_queries(limit)
        })?;
        audit.metrics.query.active(1);
        Ok(Self { metrics: Arc::clone(&audit.metrics), _taken: taken })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.query.active(-1);
    }
}

/// Begins a query.
///
/// # Errors
/// What is wrong with the request, or that there are too many queries.
pub fn query(audit: &Audit, caller: &Arc<Caller>, request: &v1::QueryRequest) -> Result<Messages, Status> {
    let (log, scope) = may::read(caller, &request.log)?;
    begin(audit, caller, request, log.clone(), scope).inspect_err(|error| {
        audit.journal.record(told::read_failed(caller, &log, error));
    })
}

/// Begins a query of a log that its caller reads.
fn begin(
    audit: &Audit,
    caller: &Arc<Caller>,
    request: &v1::QueryRequest,
    log: LogName,
    scope: Scope,
) -> Result<Messages, Status> {
    let order = match v1::Order::try_from(request.order) {
        Ok(v1::Order::Unspecified | v1::Order::PositionAsc) => Order::PositionAsc,
        Ok(v1::Order::PositionDesc) => Order::PositionDesc,
        Ok(v1::Order::OccurredDesc) => Order::OccurredDesc,
        Err(_) => return Err(status::invalid("INVALID_ORDER", "order", "is not a known order")),
    };
    if request.follow && order != Order::PositionAsc {
        return Err(status::invalid("INVALID_FOLLOW", "follow", "needs order ORDER_POSITION_ASC"));
    }
    let purpose = told::purpose(&request.purpose)?;
    let max_duration = request.max_duration.as_ref().map(max_duration).transpose()?;
    let (asked, predicate) = may::ask(&audit.catalog, &scope, request.filter.as_ref(), &request.r#where)?;
    let bound = Bound::of(&log, &asked);
    let resume = match request.resume_token.as_str() {
        "" => None,
        token => Some(audit.tokens.open(bound, order, token).map_err(token_refused)?),
    };
    let place = Place::take(audit, caller)?;
    let filter = predicate.predicate().to_string();
    let (limit, follow, explain) = (request.limit, request.follow, request.explain);
    let started = |entry: Entry| {
        let entry = entry.with("order", order.name()).with("purpose", purpose);
        let entry = if limit > 0 { entry.with_number("limit", limit) } else { entry };
        if follow { entry.with("follow", "true") } else { entry }
    };
    let told = told::Query::begin(
        &audit.journal,
        caller,
        &log,
        started,
        &told::filter(&asked, &audit.catalog),
        follow,
    );
    let query = Query { log, predicate, order, limit, resume, follow, max_duration, explain };
    Ok(Messages {
        letters: audit.engine.run(query, place),
        last: resume,
        tokens: audit.tokens.clone(),
        bound,
        scope,
        told,
        order,
        filter,
        metrics: Arc::clone(&audit.metrics),
        caller: Arc::clone(caller),
        began: Some(Instant::now()),
        ended: false,
    })
}

fn max_duration(limit: &pbjson_types::Duration) -> Result<Duration, Status> {
    let limit = u64::try_from(limit.seconds).ok().zip(u32::try_from(limit.nanos).ok());
    limit
        .filter(|(_, nanos)| *nanos < 1_000_000_000)
        .map(|(seconds, nanos)| Duration::new(seconds, nanos))
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| status::invalid("INVALID_MAX_DURATION", "max_duration", "is not above 0"))
}

fn token_refused(fault: TokenFault) -> Status {
    match fault {
        TokenFault::Invalid => {
            status::invalid("INVALID_RESUME_TOKEN", "resume_token", "is not a token of this service")
        }
        TokenFault::OtherQuery => status::invalid(
            "RESUME_TOKEN_OF_ANOTHER_QUERY",
            "resume_token",
            "belongs to another log, filter, where or order",
        ),
    }
}

/// The messages of one query.
pub struct Messages {
    letters: Letters,
    /// Where to continue after the last message; absent before the first.
    last: Option<Cursor>,
    tokens: Tokens,
    bound: Bound,
    scope: Scope,
    told: told::Query,
    order: Order,
    filter: String,
    metrics: Arc<Metrics>,
    caller: Arc<Caller>,
    /// When the query began, until its first event.
    began: Option<Instant>,
    ended: bool,
}

impl Drop for Messages {
    fn drop(&mut self) {
        if !self.ended {
            // Whose access has ended is cut off, and does not go.
            let by = self.caller.cut_off.get().map_or(Canceller::client, |_| Canceller::server);
            self.metrics.query.cancelled(by);
        }
    }
}

impl Messages {
    fn event(&mut self, event: StoredEvent, head: u64) -> Message {
        let cursor = query::after(self.order, &event, head);
        let resume_token = self.token(cursor);
        // The condition is within the scope; a row that is not contradicts its record.
        let position = event.position;
        let seen = spliced::seen(event, &self.scope).and_then(|seen| seen.ok_or_else(status::internal));
        let seen = seen.map_err(|error| self.with_token(error))?;
        self.told.event(position);
        Ok(QueryMessage::Event { resume_token, event: seen })
    }

    fn token(&mut self, cursor: Cursor) -> String {
        self.last = Some(cursor);
        self.tokens.issue(self.bound, cursor)
    }

    fn other(&mut self, cursor: Cursor, payload: Payload) -> Message {
        let resume_token = self.token(cursor);
        Ok(QueryMessage::Other(Box::new(v1::QueryResponse { resume_token, payload: Some(payload) })))
    }

    /// What a part other than a page says.
    fn notice(&mut self, part: Part) -> Message {
        match part {
            Part::Page { .. } => Err(status::internal()),
            Part::Checkpoint { cursor, at } => {
                self.other(cursor, Payload::Checkpoint(checkpoint(cursor, at)))
            }
            Part::CaughtUp { cursor, head } => {
                self.other(cursor, Payload::CaughtUp(v1::CaughtUp { head_position: head }))
            }
            Part::FellBehind { cursor, head } => {
                let position = position(cursor).unwrap_or_default();
                self.other(cursor, Payload::FellBehind(v1::FellBehind { position, head_position: head }))
            }
            Part::Summary(summary) => {
                self.told.summary(summary.scanned);
                self.ended = true;
                let cursor = summary.cursor;
                let filter = std::mem::take(&mut self.filter);
                self.other(cursor, Payload::Summary(summary_message(summary, filter)))
            }
            Part::Failed(error) => Err(self.with_token(status::store(&error))),
            Part::Removed(removed) => Err(self.with_token(status::position_pruned(removed.oldest))),
            Part::Draining => Err(self.with_token(status::draining())),
            Part::Slow => {
                self.metrics.calls.shed(LoadShed::slow_query_reader);
                Err(self.with_token(status::slow_query(query::SLOW)))
            }
        }
    }

    /// How the query is cut off: it says where to continue, in the trailers.
    fn with_token(&mut self, mut status: Status) -> Status {
        self.told.failed(&status);
        if !std::mem::replace(&mut self.ended, true) {
            self.metrics.query.cancelled(Canceller::server);
        }
        if let Some(token) = self.last.and_then(|last| self.tokens.issue(self.bound, last).parse().ok()) {
            status.metadata_mut().insert(RESUME_TOKEN, token);
        }
        status
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        Poll::Ready(ready!(self.letters.poll_next_unpin(context)).map(|letter| match letter {
            Letter::Event { event, head } => {
                self.metrics.query.rows(1);
                if let Some(began) = self.began.take() {
                    self.metrics.query.first_row(began.elapsed());
                }
                self.event(event, head)
            }
            Letter::Notice(part) => self.notice(part),
        }))
    }
}

fn position(cursor: Cursor) -> Option<u64> {
    match cursor.start {
        PageStart::From(position) | PageStart::Below(position) => Some(position),
        PageStart::Earlier { .. } => None,
    }
}

fn checkpoint(cursor: Cursor, at: i64) -> v1::QueryCheckpoint {
    let occurred_at = match cursor.start {
        // Nothing has been looked at yet, or everything has: no time says that.
        PageStart::Earlier { occurred_at: i64::MIN | i64::MAX, .. } => None,
        PageStart::Earlier { occurred_at, .. } => Some(timestamp(occurred_at)),
        PageStart::From(_) | PageStart::Below(_) => None,
    };
    v1::QueryCheckpoint { position: position(cursor), time: Some(timestamp(at)), occurred_at }
}

fn summary_message(summary: Summary, filter: String) -> v1::QuerySummary {
    v1::QuerySummary {
        returned: summary.returned,
        scanned: summary.scanned,
        head_position: summary.head,
        oldest_position: summary.oldest,
        end_reason: match summary.end {
            End::Complete => v1::EndReason::Complete,
            End::Limit => v1::EndReason::Limit,
            End::MaxDuration => v1::EndReason::MaxDuration,
            End::Drain => v1::EndReason::Drain,
        } as i32,
        filter,
        plan: summary.plan,
    }
}
