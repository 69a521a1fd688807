//! `chancery bench follow`: how soon followers see what was acked, and what they cost.
//!
//! Does: single events at a steady rate with a following query open, and the time from the ack of each to
//! its arrival; then rounds of appends as fast as they are answered, in turn without followers and with many,
//! each of which asks for something that never comes. Does not: print events.
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::Args;
use hdrhistogram::Histogram;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tonic::Status;

use super::{
    ceiling::{median, per_second},
    generate::Generator,
    load::{self, Plan, Seen, Way},
    report::{Report, ReportArgs},
};
use crate::{
    cli::{
        ambient,
        connect::{ConnectArgs, Connection},
        exit::Exit,
        failure::Failure,
        output::say,
        time,
    },
    proto::v1::{AppendRequest, EventFilter, QueryRequest, TimeRange, query_response::Payload},
};

/// Flags of `chancery bench follow`.
#[derive(Args, Clone, Debug)]
pub struct BenchFollowArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Server to follow on, where it is not the one that is appended to [default: the same].
    #[arg(long, value_name = "URL")]
    follow_server: Option<String>,
    /// Log to use.
    #[arg(long, default_value = "bench-follow")]
    log: String,
    /// Events to send one by one for the latency.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events: u64,
    /// Of them per second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Followers whose cost is measured; 0 for none.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=250))]
    followers: u16,
    /// Rounds of that.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Events of each half of a round.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=400_000))]
    round_events: u64,
}

/// How long an event may take to arrive before it counts as lost.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);
/// Queries on one connection; a server takes 128 calls on one.
const QUERIES_PER_CONNECTION: usize = 50;

/// Runs the command.
pub async fn run(args: BenchFollowArgs) -> Result<Exit, Failure> {
    let appending = args.connect.open().await?;
    let follow_server = args.follow_server.clone().unwrap_or_else(|| args.connect.server.clone());
    let followed = ConnectArgs { server: follow_server, ..args.connect.clone() };
    let mut report = Report::default();
    let latencies = latency(&args, &appending, &followed.open().await?).await?;
    report.set("events", args.events);
    report.set("events_per_second", args.rate);
    report.latencies(&latencies);
    if args.followers > 0 {
        cost(&args, &appending, &followed, &mut report).await?;
    }
    report.print(args.report)?;
    Ok(Exit::Done)
}

/// Microseconds from ack to arrival.
async fn latency(
    args: &BenchFollowArgs,
    appending: &Connection,
    followed: &Connection,
) -> Result<Histogram<u64>, Failure> {
    let filter = EventFilter::default();
    let (caught_up, mut arrived) = follow(followed, &args.log, filter).await?;
    caught_up.await.map_err(|_| Failure::BrokenOff("the following query ended".to_owned()))?;
    let acked = Arc::new(Mutex::new(HashMap::new()));
    let mut generator = Generator::new()?;
    let mut due = interval(Duration::from_secs(1) / args.rate);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    for _ in 0..args.events {
        due.tick().await;
        let (connection, acked) = (appending.clone(), Arc::clone(&acked));
        let events = generator.events(1, ambient::now());
        let request = AppendRequest { log: args.log.clone(), events, ..AppendRequest::default() };
        calls.spawn(async move {
            let answer = connection.unary(connection.audit().append(request)).await?;
            let at = ambient::start();
            let position = answer.results.first().and_then(|result| result.position);
            acked.lock().unwrap_or_else(PoisonError::into_inner).extend(position.map(|it| (it, at)));
            Ok::<_, Box<Status>>(())
        });
    }
    for ended in calls.join_all().await {
        ended?;
    }
    let mut latencies = Seen::new().latencies;
    let acked = std::mem::take(&mut *acked.lock().unwrap_or_else(PoisonError::into_inner));
    for _ in 0..args.events {
        let lost = || Failure::BrokenOff("an acked event did not arrive".to_owned());
        let (position, at) = timeout(ARRIVAL_LIMIT, arrived.recv()).await.ok().flatten().ok_or_else(lost)?;
        // An event can arrive before the answer to its call.
        let micros = acked.get(&position).map_or(0, |ack| at.saturating_duration_since(*ack).as_micros());
        // It grows with its values, so nothing is out of range.
        let _ = latencies.record(u64::try_from(micros).unwrap_or(u64::MAX));
    }
    Ok(latencies)
}

type Arrived = mpsc::UnboundedReceiver<(u64, Instant)>;

/// Opens a following query at the head of the log. The first channel tells when it has caught up, the second
/// what arrives from then on. It ends with the second one.
async fn follow(
    connection: &Connection,
    log: &str,
    filter: EventFilter,
) -> Result<(tokio::sync::oneshot::Receiver<()>, Arrived), Failure> {
    // What is there already is not measured.
    let received = Some(TimeRange { start: Some(time::proto(ambient::now())), end: None });
    let filter = Some(EventFilter { received, ..filter });
    let request = QueryRequest { log: log.to_owned(), filter, follow: true, ..QueryRequest::default() };
    let mut stream = connection.audit().query(request).await?.into_inner();
    let (ready, caught_up) = tokio::sync::oneshot::channel();
    let (sender, arrived) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut ready = Some(ready);
        while let Ok(Some(message)) = stream.message().await {
            let at = ambient::start();
            match message.payload {
                Some(Payload::CaughtUp(_)) => drop(ready.take().map(|ready| ready.send(()))),
                // The channel is looked at below.
                Some(Payload::Event(event)) if ready.is_none() => {
                    let _ = sender.send((event.position.unwrap_or_default(), at));
                }
                _ => {}
            }
            if sender.is_closed() {
                return;
            }
        }
    });
    Ok((caught_up, arrived))
}

/// Appends without followers and with, in turn.
async fn cost(
    args: &BenchFollowArgs,
    appending: &Connection,
    followed: &ConnectArgs,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut rates: [Vec<f64>; 2] = Default::default();
    let mut generator = Generator::new()?;
    for round in 1..=args.rounds {
        rates[0].push(append(args, appending, &mut generator).await?);
        let mut followers = Vec::new();
        let mut connections = Vec::new();
        for number in 0..usize::from(args.followers) {
            if number % QUERIES_PER_CONNECTION == 0 {
                connections.push(followed.open().await?);
            }
            let Some(connection) = connections.last() else { continue };
            let device = format!("bench-follower-{number}");
            let filter = EventFilter { device, ..EventFilter::default() };
            followers.push(follow(connection, &args.log, filter).await?);
        }
        let mut arriving = Vec::new();
        for (caught_up, arrived) in followers {
            caught_up.await.map_err(|_| Failure::BrokenOff("a following query ended".to_owned()))?;
            arriving.push(arrived);
        }
        rates[1].push(append(args, appending, &mut generator).await?);
        let [without, with] = rates.each_ref().map(|rates| rates.last().copied().unwrap_or(0.0));
        say(&format!("round {round}: without followers {without:.0}/s, with {} {with:.0}/s", args.followers));
    }
    let ratio = median(rates[1].iter().zip(&rates[0]).map(|(with, without)| with / without).collect());
    let [without, with] = rates.map(median);
    report.set("followers", args.followers);
    report.set("rounds", args.rounds);
    report.number("appended_per_second_without", without, 0);
    report.number("appended_per_second_with", with, 0);
    report.number("with_to_without", ratio, 3);
    Ok(())
}

/// Events per second that the server takes.
async fn append(
    args: &BenchFollowArgs,
    connection: &Connection,
    generator: &mut Generator,
) -> Result<f64, Failure> {
    const BATCH: u64 = 500;
    let mut batches = VecDeque::new();
    let mut left = args.round_events;
    while left > 0 {
        let now = left.min(BATCH);
        batches.push_back(generator.batch(&args.log, Way::Stream, now, ambient::now()));
        left -= now;
    }
    let plan = Plan { way: Way::Stream, in_flight: 16, interval: None };
    let start = ambient::start();
    let seen = load::send(std::slice::from_ref(connection), plan, batches).await;
    let took = start.elapsed();
    match seen.first_error {
        Some(status) => Err(status.into()),
        None => Ok(per_second(seen.accepted, took)),
    }
}
