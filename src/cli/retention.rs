//! `chancery retention show | apply | hold | release`: how long a log's events are kept, and what keeps them longer.
//!
//! Does: print how a log stands; ask the server to remove what may go; place and release legal holds. Does not:
//! decide what may go: that is the server's configuration.
use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    ambient,
    connect::ConnectArgs,
    exit::Exit,
    failure::Failure,
    output::{self, escape::visible, json, say},
    time,
};
use crate::proto::v1::{
    ApplyRetentionRequest, GetRetentionRequest, LegalHold, PlaceLegalHoldRequest, ReleaseLegalHoldRequest,
    Retention, RetentionState,
};

/// The commands below `chancery retention`.
#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// Show how long a log's events are kept, what is gone, and the legal holds on it.
    Show(Box<ShowArgs>),
    /// Remove now what may go; the server does so by itself every hour.
    Apply(Box<ApplyArgs>),
    /// Keep everything of a log, until the hold is released. Prints the hold's id.
    Hold(Box<HoldArgs>),
    /// Release a legal hold.
    Release(Box<ReleaseArgs>),
}

/// The server and the log.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Log.
    #[arg(long, default_value = "main")]
    log: String,
}

/// Flags of `chancery retention show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    of: LogArgs,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: ShowFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShowFormat {
    Table,
    Json,
}

/// Flags of `chancery retention apply`.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    #[command(flatten)]
    of: LogArgs,
    /// Why now; kept in the log, as is who asks (--as).
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Flags of `chancery retention hold`.
#[derive(Args, Clone, Debug)]
pub struct HoldArgs {
    #[command(flatten)]
    of: LogArgs,
    /// Why; kept with the hold, as is who places it (--as).
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Id of the hold, a UUID, for a retry that places no second one [default: a new one].
    #[arg(long, value_name = "UUID")]
    id: Option<String>,
}

/// Flags of `chancery retention release`.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    #[command(flatten)]
    of: LogArgs,
    /// Id of the hold.
    id: String,
}

/// Runs the command.
pub async fn run(command: RetentionCommand) -> Result<Exit, Failure> {
    match command {
        RetentionCommand::Show(args) => show(*args).await,
        RetentionCommand::Apply(args) => apply(*args).await,
        RetentionCommand::Hold(args) => hold(*args).await,
        RetentionCommand::Release(args) => release(*args).await,
    }
}

async fn show(args: ShowArgs) -> Result<Exit, Failure> {
    let connection = args.of.connect.open().await?;
    let request = GetRetentionRequest { log: args.of.log };
    let answer = connection.unary(connection.retention().get_retention(request)).await?;
    let retention = answer.retention.unwrap_or_default();
    let mut out = output::stdout();
    match args.output {
        ShowFormat::Table => page(&mut out, &retention)?,
        ShowFormat::Json => {
            json::write(&mut out, &retention)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

async fn apply(args: ApplyArgs) -> Result<Exit, Failure> {
    let connection = args.of.connect.open().await?;
    let request = ApplyRetentionRequest { log: args.of.log, reason: args.reason };
    let answer = connection.unary(connection.retention().apply_retention(request)).await?;
    let retention = answer.retention.unwrap_or_default();
    match answer.event_position {
        Some(position) => {
            let oldest = retention.oldest_position;
            say(&format!("events below position {oldest} are removed; event {position} tells of it"));
        }
        None => say("nothing is removed"),
    }
    let mut out = output::stdout();
    page(&mut out, &retention)?;
    out.flush()?;
    Ok(Exit::Done)
}

async fn hold(args: HoldArgs) -> Result<Exit, Failure> {
    let connection = args.of.connect.open().await?;
    let hold_id = args.id.unwrap_or_else(ambient::event_id);
    let request = PlaceLegalHoldRequest { log: args.of.log, hold_id, reason: args.reason };
    let answer = connection.unary(connection.retention().place_legal_hold(request)).await?;
    let hold = answer.hold.unwrap_or_default();
    let mut out = output::stdout();
    writeln!(out, "{}", visible(&hold.hold_id))?;
    out.flush()?;
    Ok(Exit::Done)
}

async fn release(args: ReleaseArgs) -> Result<Exit, Failure> {
    let connection = args.of.connect.open().await?;
    let request = ReleaseLegalHoldRequest { log: args.of.log, hold_id: args.id };
    let answer = connection.unary(connection.retention().release_legal_hold(request)).await?;
    say(&line(&answer.hold.unwrap_or_default()));
    Ok(Exit::Done)
}

fn page(out: &mut dyn Write, it: &Retention) -> io::Result<()> {
    let policy = if it.policy.is_empty() { "none, everything is kept" } else { &it.policy };
    writeln!(out, "log: {}", visible(&it.log))?;
    writeln!(out, "policy: {}", visible(policy))?;
    writeln!(out, "positions: {} to {}", it.oldest_position, it.tree_size)?;
    if it.removable_below > it.oldest_position {
        writeln!(out, "can go now: below {}", it.removable_below)?;
    }
    let why = match it.state() {
        RetentionState::Unspecified | RetentionState::NoPolicy => None,
        RetentionState::Incomplete => Some("it is not full yet".to_owned()),
        RetentionState::Kept => Some(format!("kept until {}", time::column(it.due_at.as_ref()))),
        RetentionState::KeptForEver => Some("it has events of a family that is kept for ever".to_owned()),
        RetentionState::Held => Some("a legal hold is on the log".to_owned()),
        RetentionState::NotSigned => Some("no signed checkpoint covers it".to_owned()),
        RetentionState::Behind => Some("its tiles or its index are not finished".to_owned()),
    };
    if let Some(why) = why {
        writeln!(out, "the next partition: {why}")?;
    }
    for hold in &it.holds {
        writeln!(out, "{}", line(hold))?;
    }
    Ok(())
}

fn line(hold: &LegalHold) -> String {
    let placed = time::column(hold.placed_at.as_ref());
    let released = hold.released_at.as_ref().map_or_else(String::new, |at| {
        format!(", released {} by {}", time::column(Some(at)), visible(&hold.released_by))
    });
    format!(
        "hold {} placed {placed} by {}: {}{released}",
        visible(&hold.hold_id),
        visible(&hold.placed_by),
        visible(&hold.reason)
    )
}
