//! `chancery producers`, `producers list` and `producers show`: when producers were last heard of, and the
//! gaps in their numbering.
//!
//! Does: page through the list; lay one producer out for reading. Does not: decide who is silent for too
//! long: `--silent-for` is the operator's word.
mod list;
mod show;

use clap::{Args, Subcommand};

use super::{exit::Exit, failure::Failure};

/// `chancery producers`, with or without a command below it.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProducersArgs {
    #[command(subcommand)]
    command: Option<ProducersCommand>,
    #[command(flatten)]
    list: list::ListArgs,
}

/// The commands below `chancery producers`.
#[derive(Debug, Subcommand)]
enum ProducersCommand {
    /// List producers by log and name; the same as no command.
    List(Box<list::ListArgs>),
    /// Show one producer with the epochs and gaps of its numbering.
    Show(Box<show::ShowArgs>),
}

/// Runs the command.
pub async fn run(args: ProducersArgs) -> Result<Exit, Failure> {
    match args.command {
        None => list::run(args.list).await,
        Some(ProducersCommand::List(args)) => list::run(*args).await,
        Some(ProducersCommand::Show(args)) => show::run(*args).await,
    }
}
