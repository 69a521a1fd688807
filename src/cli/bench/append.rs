//! `chancery bench append`: events per second and latency of batches.
//!
//! Does: rounds of encoded requests, sent by `connections x in-flight` workers. The clock runs while a
//! round is sent and stands while the next one is encoded.
use std::{
    collections::VecDeque,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::{Request, Status, client::Grpc};

use super::{
    generate::{Generator, Prepared},
    raw::RawCodec,
};
use crate::{
    cli::{
        ambient,
        connect::{ConnectArgs, Connection, DECODE_LIMIT, ProducerArgs},
        exit::Exit,
        failure::{Failure, connection_lost},
        output::{self, say},
    },
    proto::v1::{AppendResponse, AppendResult},
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
    /// Log to append to.
    #[arg(long, default_value = "main")]
    log: String,
    /// Events per call.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    /// Events to send.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// TCP connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Calls under way at a time on each connection.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: u16,
}

/// What one worker, or all together, have seen.
#[derive(Default)]
struct Seen {
    /// Of answered batches.
    latencies: Vec<Duration>,
    accepted: u64,
    refused: u64,
    first_error: Option<Box<Status>>,
}

type Queue = Arc<Mutex<VecDeque<Prepared>>>;

/// Runs the command.
pub async fn run(args: BenchAppendArgs) -> Result<Exit, Failure> {
    let connect = args.producer.applied(&args.connect);
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(connect.open().await?);
    }
    let mut generator = Generator::new(&args.log)?;
    let mut seen = Seen::default();
    let mut elapsed = Duration::ZERO;
    let mut left = args.events;
    while left > 0 {
        let round = prepare(&mut generator, args.batch, &mut left);
        let start = ambient::start();
        let of_round = send(&connections, args.in_flight, Arc::new(Mutex::new(round))).await;
        elapsed += start.elapsed();
        seen.add(of_round);
        if seen.first_error.as_deref().is_some_and(connection_lost) {
            break;
        }
    }
    print(&args, &mut seen, elapsed)?;
    match seen.first_error {
        Some(status) if connection_lost(&status) => Err(status.into()),
        Some(status) => {
            say(&format!("chancery: first refusal: {}", Failure::from(status)));
            Ok(Exit::Refused)
        }
        None => Ok(Exit::Done),
    }
}

fn prepare(generator: &mut Generator, batch: u64, left: &mut u64) -> VecDeque<Prepared> {
    let now = ambient::now();
    let mut round = VecDeque::new();
    let mut bytes = 0;
    while *left > 0 && bytes < ROUND_BYTES {
        let prepared = generator.request(batch.min(*left), now);
        *left -= prepared.events;
        bytes += prepared.request.len();
        round.push_back(prepared);
    }
    round
}

async fn send(connections: &[Connection], in_flight: u16, queue: Queue) -> Seen {
    let mut workers = JoinSet::new();
    for connection in connections {
        for _ in 0..in_flight {
            workers.spawn(work(connection.clone(), queue.clone()));
        }
    }
    let mut all = Seen::default();
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(seen) => all.add(seen),
            Err(error) => all.first_error = Some(Box::new(Status::internal(error.to_string()))),
        }
    }
    all
}

/// Sends batches until the queue is empty or the connection is lost.
async fn work(connection: Connection, queue: Queue) -> Seen {
    let mut seen = Seen::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(prepared) = next else { return seen };
        let start = ambient::start();
        match call(&connection, &prepared).await {
            Ok(answer) => {
                seen.latencies.push(start.elapsed());
                let accepted = answer.results.iter().filter(|it| it.result == AppendResult::Accepted as i32);
                let accepted = accepted.count() as u64;
                seen.accepted += accepted;
                seen.refused += prepared.events - accepted.min(prepared.events);
            }
            Err(status) => {
                seen.refused += prepared.events;
                let lost = connection_lost(&status);
                seen.first_error.get_or_insert(status);
                if lost {
                    return seen;
                }
            }
        }
    }
}

async fn call(connection: &Connection, prepared: &Prepared) -> Result<AppendResponse, Box<Status>> {
    let mut client = Grpc::new(connection.service()).max_decoding_message_size(DECODE_LIMIT);
    let path = PathAndQuery::from_static("/chancery.v1.AuditService/Append");
    let request = Request::new(prepared.request.clone());
    let sent = async {
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        client.unary(request, path, RawCodec).await
    };
    let bytes = connection.unary(sent).await?;
    AppendResponse::decode(bytes).map_err(|error| Box::new(Status::internal(error.to_string())))
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

fn print(args: &BenchAppendArgs, seen: &mut Seen, elapsed: Duration) -> std::io::Result<()> {
    seen.latencies.sort_unstable();
    let per_second = |count: f64| count / elapsed.as_secs_f64().max(f64::EPSILON);
    let mut out = output::stdout();
    writeln!(
        out,
        "batches of {}, {} connection(s), {} in flight on each",
        args.batch, args.connections, args.in_flight
    )?;
    writeln!(out, "events/s          {:.0}", per_second(seen.accepted as f64))?;
    writeln!(out, "batches/s         {:.1}", per_second(seen.latencies.len() as f64))?;
    for (name, part) in [("p50", 50), ("p99", 99), ("max", 100)] {
        let millis = percentile(&seen.latencies, part).as_secs_f64() * 1e3;
        writeln!(out, "batch {name} ms      {millis:.2}")?;
    }
    writeln!(out, "accepted events   {}", seen.accepted)?;
    writeln!(out, "refused events    {}", seen.refused)?;
    writeln!(out, "seconds           {:.2}", elapsed.as_secs_f64())?;
    out.flush()
}

/// The smallest value that `part` percent of the sorted values do not exceed.
fn percentile(sorted: &[Duration], part: usize) -> Duration {
    let rank = (sorted.len() * part).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted, 100), Duration::from_millis(200));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
