//! `chancery quarantine list`, `replay` and `discard`: the events that the catalog refused.
//!
//! Does: print the list as it arrives; replay page after page; discard with a reason.
//! Does not: judge an event: the server does, by its catalog.
mod discard;
mod list;
mod replay;

use clap::{Args, Subcommand, ValueEnum};

use super::{exit::Exit, failure::Failure};
use crate::proto::v1;

/// The commands below `chancery quarantine`.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List quarantined events, oldest first.
    List(Box<list::ListArgs>),
    /// Check quarantined events against the catalog again, and append what it accepts now.
    Replay(Box<replay::ReplayArgs>),
    /// Mark quarantined events as not to be replayed. They are kept.
    Discard(Box<discard::DiscardArgs>),
}

/// Runs the command.
pub async fn run(command: QuarantineCommand) -> Result<Exit, Failure> {
    match command {
        QuarantineCommand::List(args) => list::run(*args).await,
        QuarantineCommand::Replay(args) => replay::run(*args).await,
        QuarantineCommand::Discard(args) => discard::run(*args).await,
    }
}

/// Why an event was quarantined, as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReasonFlag {
    /// The catalog has no such code.
    UnknownEventCode,
    /// A value is not one that the catalog allows.
    CatalogViolation,
}

/// Flags that select quarantined events.
#[derive(Args, Clone, Debug)]
struct SelectArgs {
    /// Producer of the events; repeatable.
    #[arg(long, value_name = "PRODUCER", value_delimiter = ',')]
    producer: Vec<String>,
    /// Why they were quarantined; repeatable.
    #[arg(long, value_enum, value_delimiter = ',')]
    reason: Vec<ReasonFlag>,
}

impl SelectArgs {
    fn is_empty(&self) -> bool {
        self.producer.is_empty() && self.reason.is_empty()
    }

    fn filter(&self) -> v1::QuarantineFilter {
        let reasons = self.reason.iter().map(|reason| match reason {
            ReasonFlag::UnknownEventCode => "UNKNOWN_EVENT_CODE".to_owned(),
            ReasonFlag::CatalogViolation => "CATALOG_VIOLATION".to_owned(),
        });
        v1::QuarantineFilter { producers: self.producer.clone(), reasons: reasons.collect() }
    }
}
