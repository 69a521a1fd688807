//! `chancery bench query`: how fast a server streams.
//!
//! Does: count bytes as they arrive, undecoded but for the first event and the summary; and what the database
//! itself can read, in turn with that.
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::{Request, Status, client::Grpc};

use super::{
    ceiling::{median, per_second},
    raw::{Frame, RawCodec},
    report::{Report, ReportArgs},
};
use crate::{
    app::ceiling::Ceiling,
    cli::{
        ambient,
        connect::{ConnectArgs, Connection, DECODE_LIMIT},
        exit::Exit,
        failure::Failure,
        filter::FilterArgs,
        output::say,
    },
    config::store_of_text,
    proto::v1::{QueryRequest, QueryResponse, query_response::Payload},
};

/// Flags of `chancery bench query`.
#[derive(Args, Clone, Debug)]
pub struct BenchQueryArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// At most this many events; 0 for all.
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit: u64,
    /// The server's database, to measure what it can read at most in the same run (COPY on PostgreSQL): all
    /// records of the log. On PostgreSQL best over its Unix socket.
    #[arg(long, value_name = "STORE")]
    ceiling: Option<String>,
    /// Rounds; the figures are medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

/// What one query brought.
struct Seen {
    events: u64,
    scanned: u64,
    bytes: u64,
    first_event: Duration,
    took: Duration,
}

/// Runs the command.
pub async fn run(args: BenchQueryArgs) -> Result<Exit, Failure> {
    let request = QueryRequest {
        log: args.filter.log.clone(),
        filter: Some(args.filter.filter(ambient::now())?),
        r#where: args.filter.expression()?,
        limit: args.limit,
        ..QueryRequest::default()
    };
    let request = Bytes::from(request.encode_to_vec());
    let connection = args.connect.open().await?;
    let ceiling = match &args.ceiling {
        Some(url) => {
            let url = store_of_text(url).map_err(|error| Failure::Usage(error.to_string()))?;
            Some(Ceiling::open(url).await.map_err(super::ceiling::in_store)?)
        }
        None => None,
    };
    let (mut rounds, mut rates, mut bulk) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        if let Some(ceiling) = &ceiling {
            let (events, took) =
                ceiling.bulk_read(&args.filter.log).await.map_err(super::ceiling::in_store)?;
            bulk.push(per_second(events, took));
        }
        let seen = stream(&connection, request.clone()).await?;
        rates.push(per_second(seen.events, seen.took));
        if args.rounds > 1 {
            let last = |rates: &[f64]| rates.last().map_or_else(String::new, |rate| format!("{rate:.0}/s"));
            let bulk = if bulk.is_empty() { String::new() } else { format!("bulk {}, ", last(&bulk)) };
            say(&format!("round {round}: {bulk}query {}", last(&rates)));
        }
        rounds.push(seen);
    }
    let of = |figure: fn(&Seen) -> f64| median(rounds.iter().map(figure).collect());
    let mut report = Report::default();
    report.number("events_per_second", median(rates.clone()), 0);
    if !bulk.is_empty() {
        // Pair by pair, so that a machine whose speed drifts does not move the ratio.
        let ratio = median(rates.iter().zip(&bulk).map(|(rate, bulk)| rate / bulk).collect());
        report.number("bulk_events_per_second", median(bulk), 0);
        report.number("query_to_bulk", ratio, 3);
    }
    report.number("mb_per_second", of(|seen| seen.bytes as f64 / 1e6 / seen.took.as_secs_f64()), 1);
    report.number("first_event_ms", of(|seen| seen.first_event.as_secs_f64() * 1e3), 2);
    if let Some(seen) = rounds.last() {
        report.set("events", seen.events);
        report.set("scanned", seen.scanned);
    }
    report.number("seconds", of(|seen| seen.took.as_secs_f64()), 3);
    report.print(args.report)?;
    Ok(Exit::Done)
}

/// Runs a query and counts what comes.
async fn stream(connection: &Connection, request: Bytes) -> Result<Seen, Failure> {
    let mut client = Grpc::new(connection.service()).max_decoding_message_size(DECODE_LIMIT);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let start = ambient::start();
    let path = PathAndQuery::from_static("/chancery.v1.AuditService/Query");
    let request = Request::new(Frame::from(request));
    let mut stream = client.server_streaming(request, path, RawCodec).await?.into_inner();
    let (mut bytes, mut last, mut first_event) = (0, Bytes::new(), None);
    let decoded = |bytes: &Bytes| {
        QueryResponse::decode(bytes.clone()).map_err(|error| Status::internal(error.to_string()))
    };
    while let Some(message) = stream.message().await? {
        // Checkpoints may come first.
        if first_event.is_none() && matches!(decoded(&message)?.payload, Some(Payload::Event(_))) {
            first_event = Some(start.elapsed());
        }
        bytes += message.len() as u64;
        last = message;
    }
    let took = start.elapsed();
    let Some(Payload::Summary(summary)) = decoded(&last)?.payload else {
        return Err(Failure::BrokenOff("the stream ended without a summary".to_owned()));
    };
    let (events, scanned) = (summary.returned, summary.scanned);
    Ok(Seen { events, scanned, bytes, first_event: first_event.unwrap_or(took), took })
}
