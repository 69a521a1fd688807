//! `chancery bench ceiling`: a server against what the database under it allows.
//!
//! Does: rounds of three measures in turn, on one database: a bulk load (COPY on PostgreSQL) of finished
//! rows into the server's own tables; the same through the sequencer, without gRPC and checks; and the
//! whole service. Prints the medians and their ratios, which hold when the machine's speed drifts. Each
//! measure has a log of its own, so all three grow alike.
use std::{collections::VecDeque, time::Duration};

use clap::Args;

use super::{
    generate::Generator,
    load::{self, Plan, Way},
    report::{Report, ReportArgs},
};
use crate::{
    app::ceiling::Ceiling,
    cli::{ambient, connect::ConnectArgs, exit::Exit, failure::Failure, output::say},
    config::store_of_text,
};

/// Flags of `chancery bench ceiling`.
#[derive(Args, Clone, Debug)]
pub struct BenchCeilingArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// The server's database. On PostgreSQL best over its Unix socket (`?host=/run/postgresql`): over TCP,
    /// COPY of this driver waits for delayed acknowledgements, and the ceiling comes out too low.
    #[arg(
        long,
        value_name = "URL",
        env = "CHANCERY_STORE",
        hide_env_values = true,
        default_value = "sqlite:chancery.db"
    )]
    store: String,
    /// RPC to send with.
    #[arg(long, value_enum, default_value = "stream")]
    way: Way,
    /// Events per batch.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    /// Batches under way at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: u16,
    /// Rows of one transaction of the bulk load; the sequencer's are of 2048 at most.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    transaction: u64,
    /// Events of each measure in each round.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=400_000))]
    events: u64,
    /// Rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

/// Logs of the three measures.
const LOGS: [&str; 3] = ["bench-bulk", "bench-sequencer", "bench-server"];

/// Runs the command.
pub async fn run(args: BenchCeilingArgs) -> Result<Exit, Failure> {
    let url = store_of_text(&args.store).map_err(|error| Failure::Usage(error.to_string()))?;
    let connection = [args.connect.open().await?];
    let ceiling = Ceiling::open(url).await.map_err(in_store)?;
    let [bulk_log, sequencer_log, server_log] = LOGS;
    let plan = Plan { way: args.way, in_flight: args.in_flight, interval: None };
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let mut generator = Generator::new()?;
    let mut rates: [Vec<f64>; 3] = Default::default();
    for round in 1..=args.rounds {
        let finished = |log, generator: &mut Generator| {
            ceiling.finish(log, generator.events(args.events, ambient::now())).map_err(in_store)
        };
        let rows = finished(bulk_log, &mut generator)?;
        let bulk = ceiling.bulk_load(rows, size(args.transaction)).await.map_err(in_store)?;

        let rows = finished(sequencer_log, &mut generator)?;
        let callers = usize::from(args.in_flight);
        let sequenced = ceiling.sequence(rows, size(args.batch), callers).await.map_err(in_store)?;

        let mut batches = VecDeque::new();
        let mut left = args.events;
        while left > 0 {
            let now = left.min(args.batch);
            batches.push_back(generator.batch(server_log, args.way, now, ambient::now()));
            left -= now;
        }
        let start = ambient::start();
        let seen = load::send(&connection, plan, batches).await;
        let served = start.elapsed();
        if let Some(status) = seen.first_error {
            return Err(status.into());
        }
        if seen.accepted != args.events {
            return Err(Failure::Usage(format!("the server refused {} events", seen.refused)));
        }
        for (rates, took) in rates.iter_mut().zip([bulk, sequenced, served]) {
            rates.push(per_second(args.events, took));
        }
        let [bulk, sequenced, served] = rates.each_ref().map(|rates| rates.last().copied().unwrap_or(0.0));
        say(&format!("round {round}: bulk {bulk:.0}/s, sequencer {sequenced:.0}/s, server {served:.0}/s"));
    }
    report(&args, rates).print(args.report)?;
    Ok(Exit::Done)
}

/// A failure of the database.
pub(super) fn in_store(error: crate::app::AppError) -> Failure {
    Failure::Files(error.to_string())
}

/// A rate.
pub(super) fn per_second(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64().max(f64::EPSILON)
}

fn report(args: &BenchCeilingArgs, rates: [Vec<f64>; 3]) -> Report {
    // Pair by pair, so that a machine whose speed drifts does not move the ratio.
    let ratio = |of: usize, to: usize| {
        median(rates[of].iter().zip(&rates[to]).map(|(of, to)| of / to).collect::<Vec<_>>())
    };
    let (server_to_bulk, sequencer_to_bulk, server_to_sequencer) = (ratio(2, 0), ratio(1, 0), ratio(2, 1));
    let [bulk, sequencer, server] = rates.clone().map(median);
    let mut report = Report::default();
    report.set("way", format!("{:?}", args.way).to_lowercase());
    report.set("batch", args.batch);
    report.set("in_flight", args.in_flight);
    report.set("rounds", args.rounds);
    report.set("events_per_round", args.events);
    report.number("bulk_events_per_second", bulk, 0);
    report.number("sequencer_events_per_second", sequencer, 0);
    report.number("server_events_per_second", server, 0);
    report.number("sequencer_to_bulk", sequencer_to_bulk, 3);
    report.number("server_to_sequencer", server_to_sequencer, 3);
    report.number("server_to_bulk", server_to_bulk, 3);
    report
}

/// The value in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(Vec::new()).to_bits(), 0.0_f64.to_bits());
    }
}
