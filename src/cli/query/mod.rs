//! `chancery query`: streams the events that match a filter to standard output.
//!
//! Does: one Query call, printed as it arrives; the summary on standard error; how to continue when the
//! stream broke off or was ended. Does not: buffer the answer, or continue by itself: whoever pipes the output
//! decides whether a part is worth keeping.
mod again;
mod explain;
mod stream;

use std::time::Duration;

use clap::{Args, ValueEnum};

use self::stream::{Ended, Progress};
use super::{
    ambient,
    connect::ConnectArgs,
    exit::Exit,
    explain::Explained,
    failure::Failure,
    filter::FilterArgs,
    interrupt::Interrupt,
    output::{Format, Sink, escape::visible, event, say, stdout_is_terminal},
    time,
};
use crate::proto::v1::{EndReason, EventFilter, Order, QueryRequest, QuerySummary};

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
    /// Go on with events as they are committed, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// End after this long, like 30s or 5m.
    #[arg(long = "for", value_name = "SPAN", value_parser = lasting)]
    lasting: Option<Duration>,
    /// Continue where an earlier query with the same log, filter and order stopped.
    #[arg(long, value_name = "TOKEN")]
    resume_token: Option<String>,
    /// Run nothing: print how the server reads the filter, and how it would find the events.
    #[arg(long)]
    explain: bool,
    /// Output format. Default: table on a terminal, ndjson elsewhere.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

/// Runs the command.
pub async fn run(args: QueryArgs) -> Result<Exit, Failure> {
    if args.follow && args.order != OrderFlag::PositionAsc {
        return Err(Failure::Usage("--follow goes with --order position-asc only".to_owned()));
    }
    let filter = args.filter.filter(ambient::now())?;
    let request = request(&args, &filter)?;
    let connection = args.connect.open().await?;
    let stream = connection.audit().query(request).await?.into_inner();
    if args.explain {
        return explain::run(stream, args.output).await;
    }
    // Only a query that does not end by itself needs a way to be ended well.
    let interrupt = if args.follow { Interrupt::watch()? } else { Interrupt::never() };
    let format = args.output.unwrap_or(if stdout_is_terminal() { Format::Table } else { Format::Ndjson });
    let mut sink = Sink::stdout(format, event::layout())?;
    let mut progress = Progress::default();
    let cause = match (stream::print(stream, &interrupt, &mut sink, &mut progress).await?, &progress.summary)
    {
        (Ended::Interrupted, _) => {
            sink.finish()?;
            stopped(&args, &filter, &progress);
            return Ok(Exit::Done);
        }
        (Ended::Failed(status), _) if progress.token.is_empty() => return Err(Failure::Call(status)),
        (Ended::Failed(status), _) => Explained::of_call(&status).to_string(),
        (Ended::ByServer, None) => "the server ended it without a summary".to_owned(),
        (Ended::ByServer, Some(summary)) if summary.end_reason() == EndReason::Drain => {
            "the server is shutting down".to_owned()
        }
        (Ended::ByServer, Some(summary)) => {
            sink.finish()?;
            report(&args, &filter, &progress, summary);
            return Ok(Exit::Done);
        }
    };
    sink.cut_off()?;
    Err(broken_off(&args, &filter, &progress, &cause))
}

fn request(args: &QueryArgs, filter: &EventFilter) -> Result<QueryRequest, Failure> {
    Ok(QueryRequest {
        log: args.filter.log.clone(),
        filter: Some(filter.clone()),
        r#where: args.filter.expression()?,
        order: args.order.proto() as i32,
        limit: args.limit,
        follow: args.follow,
        resume_token: args.resume_token.clone().unwrap_or_default(),
        max_duration: args.lasting.map(time::proto_span),
        explain: args.explain,
        ..QueryRequest::default()
    })
}

fn report(args: &QueryArgs, filter: &EventFilter, progress: &Progress, summary: &QuerySummary) {
    let (how, more) = match summary.end_reason() {
        EndReason::Limit => ("the limit; there may be more", Some(args.limit)),
        EndReason::MaxDuration => ("the time is up; there may be more", Some(left(args, progress))),
        _ => ("complete", None),
    };
    say(&format!(
        "{} events, {how}; looked at {} of the {} positions of the log",
        summary.returned, summary.scanned, summary.head_position,
    ));
    if !summary.filter.is_empty() {
        say(&format!("filter: {}", visible(&summary.filter)));
    }
    if progress.token.is_empty() {
        return;
    }
    // Whoever reads part by part needs the place after the last part too: the next one begins there.
    let in_parts = args.limit > 0 || args.resume_token.is_some();
    if let Some(limit) = more {
        say(&format!("more: {}", again::command(args, filter, &progress.token, limit)));
    } else if in_parts && args.order == OrderFlag::PositionAsc {
        say(&format!("later: {}", again::command(args, filter, &progress.token, args.limit)));
    }
}

fn stopped(args: &QueryArgs, filter: &EventFilter, progress: &Progress) {
    say(&format!("{} events, ended by a signal; there may be more", progress.returned));
    if !progress.token.is_empty() {
        say(&format!("more: {}", again::command(args, filter, &progress.token, left(args, progress))));
    }
}

fn broken_off(args: &QueryArgs, filter: &EventFilter, progress: &Progress, cause: &str) -> Failure {
    Failure::BrokenOff(format!(
        "the stream broke off after {} events: {cause}\nlast resume token: {}\ncontinue with: {}",
        progress.returned,
        visible(&progress.token),
        again::command(args, filter, &progress.token, left(args, progress)),
    ))
}

/// What is left of the limit. One that was reached exactly as the stream ended must not turn into 0, which means
/// all.
fn left(args: &QueryArgs, progress: &Progress) -> u64 {
    if args.limit == 0 { 0 } else { args.limit.saturating_sub(progress.returned).max(1) }
}

fn lasting(text: &str) -> Result<Duration, String> {
    let span = time::span(text)?;
    if span.is_zero() { Err("a query lasts longer than that".to_owned()) } else { Ok(span) }
}
