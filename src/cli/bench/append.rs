//! `chancery bench append`: events per second and latency of batches.
//!
//! Does: rounds of encoded batches. The clock runs while a round is sent and stands while the next one is
//! encoded.
use std::{collections::VecDeque, time::Duration};

use clap::Args;

use super::{
    generate::{Generator, Prepared},
    load::{self, Plan, Seen, Way},
    report::{Report, ReportArgs},
};
use crate::cli::{
    ambient,
    connect::{ConnectArgs, ProducerArgs},
    exit::Exit,
    failure::{Failure, connection_lost},
    output::say,
};

/// Encoded bytes of a round: memory is bounded by it however many events are asked for.
const ROUND_BYTES: usize = 128 << 20;

/// Flags of `chancery bench append`.
#[derive(Args, Clone, Debug)]
pub struct BenchAppendArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    producer: ProducerArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Log to append to.
    #[arg(long, default_value = "main")]
    log: String,
    /// RPC to send with.
    #[arg(long, value_enum, default_value = "unary")]
    way: Way,
    /// Events per batch.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    /// Events to send.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// TCP connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Batches under way at a time on each connection.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: u16,
    /// Events per second to send, by a timetable; latencies then count from the moment when a batch was
    /// due [default: as fast as batches are answered].
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
}

/// Runs the command.
pub async fn run(args: BenchAppendArgs) -> Result<Exit, Failure> {
    let connect = args.producer.applied(&args.connect);
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(connect.open().await?);
    }
    let interval = args.rate.map(|rate| Duration::from_secs_f64(args.batch as f64 / rate as f64));
    let plan = Plan { way: args.way, in_flight: args.in_flight, interval };
    let mut generator = Generator::new()?;
    let mut seen = Seen::new();
    let mut elapsed = Duration::ZERO;
    let mut left = args.events;
    while left > 0 {
        let round = prepare(&mut generator, &args, &mut left);
        let start = ambient::start();
        let of_round = load::send(&connections, plan, round).await;
        elapsed += start.elapsed();
        seen.add(of_round);
        if seen.first_error.as_deref().is_some_and(connection_lost) {
            break;
        }
    }
    report(&args, &seen, elapsed).print(args.report)?;
    match seen.first_error {
        Some(status) if connection_lost(&status) => Err(status.into()),
        Some(status) => {
            say(&format!("chancery: first refusal: {}", Failure::from(status)));
            Ok(Exit::Refused)
        }
        None if seen.refused > 0 => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

fn prepare(generator: &mut Generator, args: &BenchAppendArgs, left: &mut u64) -> VecDeque<Prepared> {
    let now = ambient::now();
    let mut round = VecDeque::new();
    let mut bytes = 0;
    while *left > 0 && bytes < ROUND_BYTES {
        let prepared = generator.batch(&args.log, args.way, args.batch.min(*left), now);
        *left -= prepared.events;
        bytes += prepared.request.len();
        round.push_back(prepared);
    }
    round
}

fn report(args: &BenchAppendArgs, seen: &Seen, elapsed: Duration) -> Report {
    let per_second = |count: f64| count / elapsed.as_secs_f64().max(f64::EPSILON);
    let mut report = Report::default();
    report.set("way", format!("{:?}", args.way).to_lowercase());
    report.set("batch", args.batch);
    report.set("connections", args.connections);
    report.set("in_flight", args.in_flight);
    if let Some(rate) = args.rate {
        report.set("asked_events_per_second", rate);
    }
    report.number("events_per_second", per_second(seen.accepted as f64), 0);
    report.number("batches_per_second", per_second(seen.latencies.len() as f64), 1);
    report.latencies(&seen.latencies);
    report.set("accepted_events", seen.accepted);
    report.set("refused_events", seen.refused);
    report.number("seconds", elapsed.as_secs_f64(), 2);
    report
}
