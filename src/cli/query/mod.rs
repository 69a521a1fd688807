//! `chancery query`: streams the events that match a filter to standard output.
//!
//! Does: one Query call, printed as it arrives; the summary on standard error; how to continue when the
//! stream broke off. Does not: buffer the answer, or continue by itself: whoever pipes the output decides
//! whether a part is worth keeping.
mod again;

use std::time::Duration;

use clap::{Args, ValueEnum};
use futures::FutureExt as _;
use tonic::{Status, Streaming};

use super::{
    ambient,
    connect::ConnectArgs,
    exit::Exit,
    explain::Explained,
    failure::Failure,
    filter::FilterArgs,
    output::{Format, Sink, escape::visible, event, say, stdout_is_terminal},
};
use crate::proto::v1::{
    EndReason, EventFilter, Order, QueryRequest, QueryResponse, QuerySummary, query_response::Payload,
};

/// After this long without a message, what is buffered is shown.
const IDLE: Duration = Duration::from_millis(200);

/// Flags of `chancery query`.
#[derive(Args, Clone, Debug)]
pub struct QueryArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Order of the events.
    #[arg(long, value_enum, default_value = "position-asc")]
    order: OrderFlag,
    /// At most this many events; 0 for all.
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit: u64,
    /// Continue where an earlier query with the same log, filter and order stopped.
    #[arg(long, value_name = "TOKEN")]
    resume_token: Option<String>,
    /// Output format. Default: table on a terminal, ndjson elsewhere.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderFlag {
    PositionAsc,
    PositionDesc,
    OccurredDesc,
}

impl OrderFlag {
    const fn proto(self) -> Order {
        match self {
            Self::PositionAsc => Order::PositionAsc,
            Self::PositionDesc => Order::PositionDesc,
            Self::OccurredDesc => Order::OccurredDesc,
        }
    }
}

/// What has come of a stream so far.
#[derive(Debug, Default)]
struct Progress {
    token: String,
    returned: u64,
    summary: Option<QuerySummary>,
}

/// Runs the command.
pub async fn run(args: QueryArgs) -> Result<Exit, Failure> {
    let filter = args.filter.filter(ambient::now())?;
    let format = args.output.unwrap_or(if stdout_is_terminal() { Format::Table } else { Format::Ndjson });
    let connection = args.connect.open().await?;
    let request = QueryRequest {
        log: args.filter.log.clone(),
        filter: Some(filter.clone()),
        order: args.order.proto() as i32,
        limit: args.limit,
        resume_token: args.resume_token.clone().unwrap_or_default(),
        ..QueryRequest::default()
    };
    let stream = connection.audit().query(request).await?.into_inner();

    let mut sink = Sink::stdout(format, event::layout())?;
    let mut progress = Progress::default();
    match (pump(stream, &mut sink, &mut progress).await, &progress.summary) {
        (Ok(()), Some(summary)) => {
            sink.finish()?;
            report(&args, &filter, &progress.token, summary);
            Ok(Exit::Done)
        }
        (Err(Failure::Call(status)), _) if progress.token.is_empty() => Err(Failure::Call(status)),
        (Err(Failure::Call(status)), _) => {
            sink.cut_off()?;
            Err(broken_off(&args, &filter, &progress, &Explained::of_call(&status).to_string()))
        }
        (Err(failure), _) => Err(failure),
        (Ok(()), None) => {
            sink.cut_off()?;
            Err(broken_off(&args, &filter, &progress, "the server ended it without a summary"))
        }
    }
}

/// Prints events until the stream ends. Only the server's end is `Failure::Call`.
async fn pump(
    mut stream: Streaming<QueryResponse>,
    sink: &mut Sink,
    progress: &mut Progress,
) -> Result<(), Failure> {
    while let Some(message) = next(&mut stream, sink).await? {
        progress.token = message.resume_token;
        match message.payload {
            Some(Payload::Event(event)) => {
                sink.put(&event::EventRecord(&event))?;
                progress.returned += 1;
            }
            Some(Payload::Summary(summary)) => progress.summary = Some(summary),
            // A payload newer than this client; the token still moves on.
            _ => {}
        }
    }
    Ok(())
}

/// The next message. While messages are ready no timer is armed: at 100,000 events a second it would
/// show.
async fn next(
    stream: &mut Streaming<QueryResponse>,
    sink: &mut Sink,
) -> Result<Option<QueryResponse>, Failure> {
    let received: Result<_, Status> = match stream.message().now_or_never() {
        Some(received) => received,
        None => match tokio::time::timeout(IDLE, stream.message()).await {
            Ok(received) => received,
            Err(_) => {
                sink.flush()?;
                stream.message().await
            }
        },
    };
    Ok(received?)
}

fn report(args: &QueryArgs, filter: &EventFilter, token: &str, summary: &QuerySummary) {
    let limited = summary.end_reason == EndReason::Limit as i32;
    say(&format!(
        "{} events, {}; looked at {} of the {} positions of the log",
        summary.returned,
        if limited { "the limit; there may be more" } else { "complete" },
        summary.scanned,
        summary.head_position,
    ));
    if !summary.filter.is_empty() {
        say(&format!("filter: {}", visible(&summary.filter)));
    }
    if limited && !token.is_empty() {
        say(&format!("more: {}", again::command(args, filter, token, args.limit)));
    }
}

fn broken_off(args: &QueryArgs, filter: &EventFilter, progress: &Progress, cause: &str) -> Failure {
    // A limit that was reached exactly as the stream broke must not turn into 0, which means all.
    let left = if args.limit == 0 { 0 } else { args.limit.saturating_sub(progress.returned).max(1) };
    Failure::BrokenOff(format!(
        "the stream broke off after {} events: {cause}\nlast resume token: {}\ncontinue with: {}",
        progress.returned,
        visible(&progress.token),
        again::command(args, filter, &progress.token, left),
    ))
}
