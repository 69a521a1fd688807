//! The events of a range of a log as they came, without a byte changed.
//!
//! Does: one query by position; goes on where a stream broke off; where a log begins, and where one of Chancery's own
//! events stands. Does not: decode or judge a record.
//! Called by: `export`, `verify`.
use std::{ops::Range, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::{Code, Request, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use super::{
    connect::{Connection, DECODE_LIMIT},
    explain::Explained,
    failure::{Failure, connection_lost},
    output::say,
};
use crate::{
    proto::v1::{QueryRequest, query_response::Payload},
    verify::{Arrived, Message},
};

/// How often a stream is begun again without a single event in between.
const MOST_FAILURES: u32 = 5;
/// The wait before that, doubled each time: 7.5 s in all.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The reason with which a server says that retention has removed what was asked for.
const PRUNED: &str = "POSITION_PRUNED";

/// Reads a range of positions.
pub struct Records<'a> {
    connection: &'a Connection,
    log: &'a str,
    /// Told to the server, which records it.
    purpose: &'static str,
    left: Range<u64>,
    stream: Option<Streaming<Message>>,
    last: Option<Bytes>,
    failures: u32,
}

impl<'a> Records<'a> {
    /// Nothing is read yet.
    pub const fn new(
        connection: &'a Connection,
        log: &'a str,
        purpose: &'static str,
        positions: Range<u64>,
    ) -> Self {
        Self { connection, log, purpose, left: positions, stream: None, last: None, failures: 0 }
    }

    /// The next event that is there; none at the end of the range or of the log.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let status = match self.message().await {
                Ok(Some(Message { event: Some(event), .. })) => {
                    self.failures = 0;
                    self.last = Some(event.clone());
                    return Ok(Some(event));
                }
                Ok(Some(Message { summary: Some(_), .. })) => return Ok(None),
                // How far the server has looked.
                Ok(Some(_)) => continue,
                Ok(None) => Status::unavailable("the stream ended without a summary"),
                Err(status) => *status,
            };
            self.stream = None;
            let again = status.code() == Code::Unavailable || connection_lost(&status);
            if !again || self.failures == MOST_FAILURES {
                let why = Explained::of_call(&status);
                return Err(match why.reason.as_str() {
                    PRUNED => Failure::Files(format!("{why}; begin at what is left, with --from")),
                    _ => status.into(),
                });
            }
            let wait = FIRST_WAIT * 2_u32.pow(self.failures);
            self.failures += 1;
            if let Some(last) = self.last.take().as_deref().and_then(Arrived::split) {
                self.left.start = self.left.start.max(last.position.saturating_add(1));
            }
            say(&format!("the stream broke off; going on at position {} in {wait:?}", self.left.start));
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads what is behind the last event. Without it the server takes the query for one that was broken off.
    pub async fn end(&mut self) -> Result<(), Failure> {
        self.next().await.map(drop)
    }

    async fn message(&mut self) -> Result<Option<Message>, Box<Status>> {
        if self.stream.is_none() {
            self.stream = Some(self.begin().await?);
        }
        match &mut self.stream {
            Some(stream) => stream.message().await.map_err(Box::new),
            None => Ok(None),
        }
    }

    async fn begin(&self) -> Result<Streaming<Message>, Box<Status>> {
        let Range { start, end } = self.left;
        let request = QueryRequest {
            log: self.log.to_owned(),
            r#where: format!("position >= {start} AND position < {end}"),
            purpose: self.purpose.to_owned(),
            ..QueryRequest::default()
        };
        let mut client = Grpc::new(self.connection.service()).max_decoding_message_size(DECODE_LIMIT);
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static("/chancery.v1.AuditService/Query");
        let codec = ProstCodec::<QueryRequest, Message>::default();
        let stream = client.server_streaming(Request::new(request), path, codec).await;
        Ok(stream.map_err(Box::new)?.into_inner())
    }
}

/// The first position of a log that is there, by the server's word.
pub async fn oldest(connection: &Connection, log: &str, purpose: &str) -> Result<u64, Failure> {
    let (log, purpose) = (log.to_owned(), purpose.to_owned());
    let request = QueryRequest { log, purpose, limit: 1, ..QueryRequest::default() };
    let mut stream = connection.audit().query(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if let Some(Payload::Summary(summary)) = message.payload {
            return Ok(summary.oldest_position);
        }
    }
    Err(Status::unavailable("the stream ended without a summary").into())
}

/// The first event of this code from a position on, by the server's word: whether it is one is seen when it is read.
pub async fn coded(
    connection: &Connection,
    log: &str,
    code: &str,
    from: u64,
    purpose: &str,
) -> Result<Option<u64>, Failure> {
    let request = QueryRequest {
        log: log.to_owned(),
        r#where: format!("family = chancery AND code = {code} AND position >= {from}"),
        limit: 1,
        purpose: purpose.to_owned(),
        ..QueryRequest::default()
    };
    let (mut stream, mut found) = (connection.audit().query(request).await?.into_inner(), None);
    // To its end: the server takes it for broken off otherwise.
    while let Some(message) = stream.message().await? {
        if let Some(Payload::Event(event)) = message.payload {
            found = event.position;
        }
    }
    Ok(found)
}
