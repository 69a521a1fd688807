//! Which positions are exported, and the signed checkpoint that covers them.
//!
//! Called by: `export::run`.
use std::ops::Range;

use clap::Args;
use tonic::Status;

use crate::{
    cli::{ambient, connect::Connection, failure::Failure, proofs, records, time},
    proto::v1::{EventFilter, Order, QueryRequest, TimeRange, query_response::Payload},
    verify::{Believed, Policy, Trust, bundle::MOST_EVENTS},
};

/// Which events. Without flags: all that are signed.
#[derive(Args, Clone, Debug)]
pub struct RangeArgs {
    /// From the first event that the server received at or after: RFC 3339, a date, today, or a span back like
    /// 30m, 2h, 7d. All in UTC.
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    since: Option<String>,
    /// To the last event that the server received before.
    #[arg(long, value_name = "TIME", conflicts_with = "to")]
    until: Option<String>,
    /// First position.
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Position after the last one. Default: the size of the newest checkpoint.
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
}

/// Finds both.
pub async fn find(
    connection: &Connection,
    log: &str,
    range: &RangeArgs,
    policy: &Policy,
) -> Result<(Believed, Range<u64>), Failure> {
    let received = received(range)?;
    let start = match (&range.since, range.from) {
        (Some(_), _) => Some(first(connection, log, &received, Order::PositionAsc).await?),
        (None, from) => from,
    };
    let end = match (&range.until, range.to) {
        (Some(_), _) => Some(first(connection, log, &received, Order::PositionDesc).await? + 1),
        (None, to) => to,
    };
    let empty =
        |start: u64| Failure::Usage(format!("the range ends before position {start}, where it begins"));
    if end.is_some_and(|end| end <= start.unwrap_or(0)) {
        return Err(empty(start.unwrap_or(0)));
    }
    let trust = Trust::new(policy.clone()).ok();
    let believe = |note: &str| match &trust {
        Some(trust) => trust.believe(note),
        None => Believed::unsigned(note),
    };
    let checkpoint = proofs::checkpoint(connection, log, end.unwrap_or(0), believe).await?;
    let size = checkpoint.head.size;
    let oldest = records::oldest(connection, log, "export").await?;
    if let Some(start) = start.filter(|start| *start < oldest) {
        return Err(Failure::Usage(format!(
            "--from: retention has removed position {start}; the oldest that is left is {oldest}"
        )));
    }
    let start = start.unwrap_or(oldest);
    if end.is_some_and(|end| end <= start) {
        return Err(empty(start));
    }
    let end = end.unwrap_or(size);
    if start >= size || end > size {
        let text =
            format!("the newest checkpoint has {size} events, and none is signed from position {start} on");
        return Err(Status::not_found(text).into());
    }
    let count = end - start;
    if count > MOST_EVENTS {
        return Err(Failure::Usage(format!(
            "{count} events from position {start} on; a bundle has at most {MOST_EVENTS}: export them in parts, \
             beginning with --from {start} --to {}",
            start + MOST_EVENTS
        )));
    }
    Ok((checkpoint, start..end))
}

fn received(range: &RangeArgs) -> Result<TimeRange, Failure> {
    let now = ambient::now();
    let parse = |flag: &str, text: &Option<String>| {
        let instant = text.as_deref().map(|text| time::instant(text, now)).transpose();
        instant.map_err(|error| Failure::Usage(format!("--{flag}: {error}")))
    };
    let (start, end) = (parse("since", &range.since)?, parse("until", &range.until)?);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        return Err(Failure::Usage(format!("--until {end} is not after --since {start}")));
    }
    Ok(TimeRange { start: start.map(time::proto), end: end.map(time::proto) })
}

/// The first position in this order of those that were received in a range of time.
async fn first(
    connection: &Connection,
    log: &str,
    received: &TimeRange,
    order: Order,
) -> Result<u64, Failure> {
    let request = QueryRequest {
        log: log.to_owned(),
        filter: Some(EventFilter { received: Some(*received), ..EventFilter::default() }),
        order: order as i32,
        limit: 1,
        purpose: "export".to_owned(),
        ..QueryRequest::default()
    };
    let (mut stream, mut found) = (connection.audit().query(request).await?.into_inner(), None);
    // To its end: the server takes it for broken off otherwise.
    while let Some(message) = stream.message().await? {
        if let Some(Payload::Event(event)) = message.payload {
            found = Some(event.position.unwrap_or_default());
        }
    }
    found.ok_or_else(|| Status::not_found("no event was received in this time").into())
}
