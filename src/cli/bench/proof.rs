//! `chancery bench proof`: how long inclusion proofs take.
//!
//! Does: ask for proofs at positions all over the log. Does not: check them; `chancery verify` does.
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use clap::Args;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::{
    load::Seen,
    report::{Report, ReportArgs},
};
use crate::{
    cli::{
        ambient,
        connect::{ConnectArgs, Connection},
        exit::Exit,
        failure::Failure,
    },
    proto::v1::{GetCheckpointRequest, GetInclusionProofRequest, QueryRequest, query_response::Payload},
};

/// Flags of `chancery bench proof`.
#[derive(Args, Clone, Debug)]
pub struct BenchProofArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Log to prove.
    #[arg(long, default_value = "main")]
    log: String,
    /// Proofs to ask for.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    proofs: u64,
    /// Calls under way at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=128))]
    in_flight: u16,
    /// Size of the tree to prove them in [default: that of the newest checkpoint, or of the log when it has
    /// none].
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    size: Option<u64>,
}

/// Runs the command.
pub async fn run(args: BenchProofArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let size = match args.size {
        Some(size) => size,
        None => size(&connection, &args.log).await?,
    };
    if size == 0 {
        return Err(Failure::Usage(format!("--log {}: the log is empty", args.log)));
    }
    let next = Arc::new(AtomicU64::new(0));
    let start = ambient::start();
    let mut callers = JoinSet::new();
    for _ in 0..args.in_flight {
        callers.spawn(caller(connection.clone(), args.clone(), size, Arc::clone(&next)));
    }
    let mut latencies = Seen::new().latencies;
    for of_caller in callers.join_all().await {
        // It grows with its values, so nothing is out of range.
        let _ = latencies.add(of_caller?);
    }
    let mut report = Report::default();
    report.number("proofs_per_second", args.proofs as f64 / start.elapsed().as_secs_f64(), 0);
    report.latencies(&latencies);
    report.set("proofs", args.proofs);
    report.set("tree_size", size);
    report.print(args.report)?;
    Ok(Exit::Done)
}

/// Asks for proofs until all are asked for. Microseconds of each.
async fn caller(
    connection: Connection,
    args: BenchProofArgs,
    size: u64,
    next: Arc<AtomicU64>,
) -> Result<Histogram<u64>, Box<Status>> {
    let mut latencies = Seen::new().latencies;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= args.proofs {
            return Ok(latencies);
        }
        let request = GetInclusionProofRequest {
            log: args.log.clone(),
            position: spread(number, size),
            tree_size: size,
        };
        let start = ambient::start();
        connection.unary(connection.proof().get_inclusion_proof(request)).await?;
        let _ = latencies.record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// Positions that follow each other without a pattern, the same in every run.
fn spread(number: u64, size: u64) -> u64 {
    // 2^64 over the golden ratio: the multiples fill the numbers evenly.
    let part = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u64::try_from((u128::from(part) * u128::from(size)) >> 64).unwrap_or_default()
}

/// Size of the newest checkpoint, or of the log.
async fn size(connection: &Connection, log: &str) -> Result<u64, Failure> {
    let request = GetCheckpointRequest { log: log.to_owned(), min_tree_size: 0 };
    match connection.unary(connection.proof().get_checkpoint(request)).await {
        Ok(answer) => return Ok(answer.checkpoint.map_or(0, |checkpoint| checkpoint.tree_size)),
        Err(status) if status.code() == Code::NotFound => {}
        Err(status) => return Err(status.into()),
    }
    let request = QueryRequest { log: log.to_owned(), explain: true, ..QueryRequest::default() };
    let mut stream = connection.audit().query(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if let Some(Payload::Summary(summary)) = message.payload {
            return Ok(summary.head_position);
        }
    }
    Err(Failure::BrokenOff("the stream ended without a summary".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn positions_are_all_over_the_log() {
        let positions: BTreeSet<_> = (0..1000).map(|number| spread(number, 1000)).collect();
        assert!(positions.len() > 600, "{}", positions.len());
        assert!(positions.iter().all(|position| *position < 1000));
        assert!((0..100).all(|number| spread(number, 1) == 0));
    }
}
