//! `chancery producers show NAME`: one producer, laid out for reading.
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::super::{
    ambient,
    connect::ConnectArgs,
    exit::Exit,
    failure::Failure,
    output::{self, escape::visible, json, table},
    time,
};
use crate::proto::v1::{GetProducerRequest, GetProducerResponse, Producer, ProducerLimits};

/// Flags of `chancery producers show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Log.
    #[arg(long, default_value = "main")]
    log: String,
    /// Name of the producer.
    #[arg(value_name = "NAME")]
    name: String,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: ShowFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShowFormat {
    Table,
    Json,
}

/// Runs the command.
pub async fn run(args: ShowArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let request = GetProducerRequest { log: args.log, producer: args.name };
    let answer = connection.unary(connection.producers().get_producer(request)).await?;
    let mut out = output::stdout();
    match args.output {
        ShowFormat::Table => page(&mut out, &answer, ambient::now())?,
        ShowFormat::Json => {
            json::write(&mut out, &answer)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn page(out: &mut dyn Write, answer: &GetProducerResponse, now: Timestamp) -> io::Result<()> {
    let none = Producer::default();
    let it = answer.producer.as_ref().unwrap_or(&none);
    writeln!(out, "{} in log {}", visible(&it.producer), visible(&it.log))?;
    writeln!(out, "first seen: {}", time::column(it.first_seen.as_ref()))?;
    let silence = time::ago(it.last_seen.as_ref(), now);
    writeln!(out, "last seen: {}, {silence} ago", time::column(it.last_seen.as_ref()))?;
    let last = it.last_position.map_or_else(String::new, |at| format!(", the newest at position {at}"));
    writeln!(out, "events: {}{last}", it.events)?;
    writeln!(out, "in quarantine: {}", it.quarantined_events)?;
    writeln!(out, "missing numbers: {}, in {} gaps", it.missing_sequences, it.gap_count)?;
    if let Some(limits) = &answer.limits {
        limits_of(out, limits)?;
    }
    if !answer.epochs.is_empty() {
        writeln!(out)?;
        let mut epochs = table::plain();
        epochs.set_header([
            "epoch",
            "first",
            "last",
            "seen",
            "repeated",
            "missing",
            "gaps",
            "last seen (UTC)",
        ]);
        for each in &answer.epochs {
            let numbers = [
                each.epoch,
                each.first_sequence,
                each.last_sequence,
                each.seen_sequences,
                each.repeated_events,
                each.missing_sequences,
                each.gap_count,
            ];
            let last_seen = time::column(each.last_seen.as_ref());
            epochs.add_row(numbers.iter().map(u64::to_string).chain([last_seen]));
        }
        table::print(out, epochs)?;
    }
    if !answer.gaps.is_empty() {
        writeln!(out)?;
        let mut gaps = table::plain();
        gaps.set_header(["gap in epoch", "from", "to", "missing", "noticed (UTC)"]);
        for each in &answer.gaps {
            let missing = each.to_sequence.saturating_sub(each.from_sequence).saturating_add(1);
            let numbers = [each.epoch, each.from_sequence, each.to_sequence, missing];
            gaps.add_row(numbers.iter().map(u64::to_string).chain([time::column(each.seen_at.as_ref())]));
        }
        table::print(out, gaps)?;
        if it.gap_count > answer.gaps.len() as u64 {
            writeln!(out, "and {} older gaps", it.gap_count - answer.gaps.len() as u64)?;
        }
    }
    Ok(())
}

/// Only those that there are.
fn limits_of(out: &mut dyn Write, limits: &ProducerLimits) -> io::Result<()> {
    for (what, rate, burst) in [
        ("events", limits.events_per_second, limits.burst_events),
        ("bytes", limits.bytes_per_second, limits.burst_bytes),
    ] {
        if rate > 0 {
            writeln!(out, "limit: {rate} {what} per second, {burst} at once")?;
        }
    }
    if limits.no_logs || !limits.logs.is_empty() {
        let logs: Vec<_> = limits.logs.iter().map(|log| visible(log)).collect();
        writeln!(
            out,
            "may append to: {}",
            if limits.no_logs { "no log".to_owned() } else { logs.join(", ") }
        )?;
    }
    Ok(())
}
