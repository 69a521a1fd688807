//! `chancery bench connect`: how many connections a server takes in a second.
//!
//! Does: connect, shake hands by TLS from the beginning each time, and wait for the first words of HTTP/2, which a
//! server says to those only whom it has accepted; then hang up and begin again. Does not: call anything.
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::timeout};

use super::{
    load::Seen,
    report::{Report, ReportArgs},
};
use crate::cli::{ambient, connect::ConnectArgs, exit::Exit, failure::Failure, greet::Target, time, tls};

/// Flags of `chancery bench connect`.
#[derive(Args, Clone, Debug)]
pub struct BenchConnectArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Connections that are made at a time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,
    /// How long it goes on.
    #[arg(long = "for", value_name = "SPAN", default_value = "10s", value_parser = time::span)]
    lasting: Duration,
}

/// What one of those that connect has seen.
struct Made {
    latencies: Histogram<u64>,
    failed: u64,
    first_error: Option<String>,
}

/// Runs the command.
pub async fn run(args: BenchConnectArgs) -> Result<Exit, Failure> {
    let target = Arc::new(Target::of(&args.connect).await?);
    let patience = args.connect.timeout;
    let start = ambient::start();
    let until = start + args.lasting;
    let mut callers = JoinSet::new();
    for _ in 0..args.in_flight {
        let target = Arc::clone(&target);
        callers.spawn(async move { connect_until(&target, patience, until).await });
    }
    let mut all = Made { latencies: Seen::new().latencies, failed: 0, first_error: None };
    for made in callers.join_all().await {
        // It grows with its values, so nothing is out of range.
        let _ = all.latencies.add(made.latencies);
        all.failed += made.failed;
        all.first_error = all.first_error.or(made.first_error);
    }
    let took = start.elapsed();
    let mut report = Report::default();
    report.number("connections_per_second", all.latencies.len() as f64 / took.as_secs_f64(), 0);
    report.latencies(&all.latencies);
    report.set("connections", all.latencies.len());
    report.set("failed", all.failed);
    report.set("tls", target.is_secure());
    report.set("in_flight", args.in_flight);
    report.number("seconds", took.as_secs_f64(), 1);
    report.print(args.report)?;
    match all.first_error {
        Some(cause) if all.latencies.is_empty() => Err(Failure::Unreachable(args.connect.server, cause)),
        _ => Ok(Exit::Done),
    }
}

async fn connect_until(target: &Target, patience: Duration, until: Instant) -> Made {
    let mut made = Made { latencies: Seen::new().latencies, failed: 0, first_error: None };
    loop {
        let start = ambient::start();
        if start >= until {
            return made;
        }
        let connected = timeout(patience, target.greet()).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => {
                let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                // It grows with its values, so nothing is out of range.
                let _ = made.latencies.record(micros);
            }
            Err(error) => {
                made.failed += 1;
                made.first_error
                    .get_or_insert_with(|| tls::explained(&error).unwrap_or_else(|| error.to_string()));
            }
        }
    }
}
