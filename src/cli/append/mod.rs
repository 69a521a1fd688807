//! `chancery append`: sends events from NDJSON files or standard input.
//!
//! Does: read lines, batch, send in order, retry what may be retried, say what became of each event.
//! Does not: judge events; the server does. Memory holds a few batches, whatever the size of the input.
//!
//! `reader` (own thread) -> channel of batches -> `send` (one call at a time, so that positions follow
//! the order of the lines) -> `report`.
mod reader;
mod report;
mod send;

use std::{io, path::PathBuf};

use clap::{Args, ValueEnum};

use self::{
    reader::{Batch, Input},
    report::{Notes, Report},
    send::{Sender, Sent},
};
use super::{
    connect::{ConnectArgs, ProducerArgs},
    exit::Exit,
    failure::Failure,
    output::Format,
};
use crate::proto::v1::AppendMode;

/// Flags of `chancery append`.
#[derive(Args, Clone, Debug)]
pub struct AppendArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    producer: ProducerArgs,
    /// Files with one NewEvent a line in protobuf JSON; - is standard input, and so is no file.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Log to append to.
    #[arg(long, default_value = "main")]
    log: String,
    /// Events per call, at most.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// What a bad event does: per-event goes on without it; atomic stores nothing of its batch and stops.
    #[arg(long, value_enum, default_value = "per-event")]
    mode: Mode,
    /// Check every event and store none.
    #[arg(long)]
    validate_only: bool,
    /// How often a batch is sent again when the server is unavailable or asks to wait.
    #[arg(long, default_value_t = 5, value_name = "N")]
    max_retries: u32,
    /// Output format: a summary (table), or one row per event.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Atomic,
    PerEvent,
}

/// Runs the command.
pub async fn run(args: AppendArgs) -> Result<Exit, Failure> {
    let inputs = Input::of(&args.files).map_err(Failure::Files)?;
    let connection = args.producer.applied(&args.connect).open().await?;
    let notes = Notes::new(reader::total_bytes(&inputs));
    let sender = Sender {
        connection: &connection,
        log: &args.log,
        mode: if args.mode == Mode::Atomic { AppendMode::Atomic } else { AppendMode::PerEvent },
        validate_only: args.validate_only,
        max_retries: args.max_retries,
        notes: &notes,
    };
    let mut report = Report::new(args.output, &notes).map_err(unwritable)?;

    let sent = send_all(&args, inputs, &sender, &mut report).await;
    // The summary is printed after a failure too: it says what is stored.
    let exit = report.finish().map_err(unwritable)?;
    sent.map(|()| exit)
}

/// Sends batch after batch until the input ends or the rest must not be sent.
async fn send_all(
    args: &AppendArgs,
    inputs: Vec<Input>,
    sender: &Sender<'_>,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let mut batches = reader::spawn(inputs, usize::from(args.batch));
    while let Some(batch) = batches.recv().await {
        let batch = batch.map_err(Failure::Files)?;
        report.unreadable(&batch).map_err(unwritable)?;
        if args.mode == Mode::Atomic && !batch.unreadable.is_empty() {
            report.stopped_before(&batch);
            return Ok(());
        }
        if batch.events.is_empty() {
            continue;
        }
        match sender.send(&batch.events).await {
            Ok(Sent::Judged(results)) => report.judged(&batch, &results).map_err(unwritable)?,
            Ok(Sent::Refused(status)) => {
                report.refused(&batch, &status).map_err(unwritable)?;
                return Ok(());
            }
            Err(status) => {
                report.failed(&batch);
                return Err(status.into());
            }
        }
    }
    Ok(())
}

/// Unlike a query, an append whose output cannot be written has not done what was asked, even when the
/// reader of a pipe went away.
fn unwritable(error: io::Error) -> Failure {
    Failure::Files(format!("stopped: cannot write results: {error}"))
}

impl Batch {
    /// `FILE:LINE` of one event.
    fn place(&self, index: usize) -> String {
        let line = self.lines.get(index).copied().unwrap_or_default();
        format!("{}:{line}", self.source)
    }
}
