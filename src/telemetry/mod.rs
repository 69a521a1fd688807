//! What the process tells of itself: the log on stderr, the metrics that the admin port serves, and both of them with
//! spans to a receiver of OTLP where there is one.
mod asked;
mod backlog;
mod calls;
mod checkpoints;
mod chores;
mod closed;
mod connections;
mod ingest;
mod metrics;
mod otlp;
mod process;
mod producers;
mod pulse;
mod query;
mod register;
mod self_audit;
mod spans;
mod storage;
mod text;

use std::{io::IsTerminal as _, str::FromStr};

pub use backlog::{Backlog, Waiting};
pub use calls::LoadShed;
pub use checkpoints::WitnessFailure;
pub use connections::{ConnectionMetrics, Expires, Refused};
pub use ingest::{IngestMetrics, NotAttempted, Outcome, RefusedFor};
pub use metrics::Metrics;
pub use otlp::{ExportSettings, Exporter, FLUSH};
pub use process::Signal;
pub use producers::MOST_LABELS;
pub use pulse::{Pulse, Work};
pub use query::Canceller;
pub use self_audit::LostTo;
pub use spans::{Call, CallSpan, Link, Span, carried, failed, group, statement, trace_id, within};
pub use storage::WritesRefused;
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("a log format is text or json".to_owned()),
        }
    }
}

/// Sends log lines to stderr, and to who exports them.
///
/// # Errors
/// The level is not a filter such as `info` or `chancery=debug`.
pub fn init(level: &str, format: LogFormat, exporter: Option<&Exporter>) -> Result<(), String> {
    // EnvFilter takes a mistyped level for the name of a module, and nothing would be logged.
    let is_level = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if !level.contains('[') && !level.split(',').all(is_level) {
        return Err(format!(
            "{level:?} is no level (error, warn, info, debug) nor a filter (chancery=debug)"
        ));
    }
    let filter = EnvFilter::try_new(level).map_err(|error| format!("log level {level:?}: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter).with(exporter.map(Exporter::layer));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second call (several servers in one test process) leaves the first subscriber in place.
    let _ = match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    Ok(())
}
