//! The command line: one file or folder per command.
//!
//! Does: flags, calls to a running server, output for people and for programs, exit codes.
//! Does not: open a store, judge an event or know the catalog. Only `serve`, `migrate`, `config check` and
//! `witness` run inside this process, and they are handed to `crate::app` untouched.
//! Called by: `main.rs`, with the parsed [`Cli`].
mod access;
mod ambient;
mod append;
mod arguments;
mod bar;
mod bench;
mod catalog;
mod config;
mod connect;
mod count;
mod erase;
mod exit;
mod explain;
mod export;
mod failure;
mod filter;
mod greet;
mod health;
mod interrupt;
mod keys;
mod names;
mod output;
mod producers;
mod proofs;
mod quarantine;
mod query;
mod records;
mod retention;
mod time;
mod tls;
mod token;
mod trust;
mod verify;
mod whole;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand};

pub use self::{arguments::read, exit::Exit};
use self::{config::ConfigCommand, failure::Failure, output::say};

/// Audit events of identity products: checked, put in one order, stored, streamed back.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, after_help = exit::help())]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Box<crate::config::ServeArgs>),
    /// Bring the store's tables up to date, then stop.
    Migrate(Box<crate::config::MigrateArgs>),
    /// Look over what a server stands on, with its settings, and say what to do.
    Doctor(Box<crate::config::DoctorArgs>),
    /// Ask a server how it is: exit code 0 when it is well, else 1.
    Health(health::HealthArgs),
    /// Give a log partitions of its own, which retention can drop.
    Partition(Box<crate::config::PartitionArgs>),
    /// Send events from NDJSON files or standard input.
    Append(Box<append::AppendArgs>),
    /// Stream the events that match a filter.
    Query(Box<query::QueryArgs>),
    /// Count the events that match a filter.
    Count(Box<count::CountArgs>),
    /// Look up what an event code and its fields mean.
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// See when producers were last heard of, and what they have lost.
    Producers(Box<producers::ProducersArgs>),
    /// Look after the events that the catalog refused.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// See how long a log's events are kept, remove what may go, and hold it.
    #[command(subcommand)]
    Retention(retention::RetentionCommand),
    /// Write a range of a log, with proofs, to a file that is checked without a server.
    Export(Box<export::ExportArgs>),
    /// Check a bundle, or every record of a server, against what was signed.
    Verify(Box<verify::VerifyArgs>),
    /// Make and show the keys that sign checkpoints.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Make a token for a caller, and the lines that let an access file know it.
    Token(token::TokenArgs),
    /// Check an access file, and show who may do what.
    Access(access::AccessArgs),
    /// Show the settings that a server would have, and explain them.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Cosign the checkpoints of logs that only ever grow.
    Witness(Box<crate::config::WitnessArgs>),
    /// Erase the personal values of one person.
    Erase(Box<erase::EraseArgs>),
    /// Measure a running server.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print a completion script for a shell.
    Completions {
        /// Shell to write for.
        shell: clap_complete::Shell,
    },
}

/// Runs one command to its end and returns the exit code of the process: [`Exit`], or for `serve`,
/// `migrate`, `partition`, `config check` and `witness` that of their own error.
pub async fn run(cli: Cli) -> ExitCode {
    let ended = match cli.command {
        Command::Serve(args) => return of_app(crate::app::serve(*args).await),
        Command::Migrate(args) => return of_app(crate::app::migrate(*args).await),
        Command::Partition(args) => return of_app(crate::app::partition(*args).await),
        Command::Witness(args) => return of_app(crate::app::witness(*args).await),
        Command::Health(args) => health::run(args).await,
        Command::Doctor(args) => {
            return match crate::app::doctor(*args).await {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => of_app(Err(error)),
            };
        }
        Command::Config(ConfigCommand::Check(args)) => return of_app(crate::app::check(*args).await),
        Command::Append(args) => append::run(*args).await,
        Command::Query(args) => query::run(*args).await,
        Command::Count(args) => count::run(*args).await,
        Command::Catalog(command) => catalog::run(command).await,
        Command::Producers(args) => producers::run(*args).await,
        Command::Quarantine(command) => quarantine::run(command).await,
        Command::Retention(command) => retention::run(command).await,
        Command::Export(args) => export::run(*args).await,
        Command::Verify(args) => verify::run(*args).await,
        Command::Keys(command) => keys::run(command),
        Command::Token(args) => token::run(&args),
        Command::Access(args) => access::run(&args),
        Command::Config(ConfigCommand::Show(args)) => config::show(*args),
        Command::Config(ConfigCommand::Reference) => config::print_reference(),
        Command::Erase(args) => erase::run(*args).await,
        Command::Bench(command) => bench::run(command).await,
        Command::Completions { shell } => completions(shell),
    };
    let exit = match ended {
        Ok(exit) => exit,
        Err(failure) if failure.is_closed_pipe() => Exit::Done,
        Err(failure) => {
            let failure = connect::explained(failure).await;
            say(&format!("chancery: {failure}"));
            failure.exit()
        }
    };
    exit.into()
}

fn of_app(ended: Result<(), crate::app::AppError>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("chancery: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    // clap_complete panics when its writer fails, so it writes to memory and we to the pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chancery", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_unique_in_its_command() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_exit_code() {
        let help = Cli::command().render_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(&format!("{}  {}", exit.code(), exit.meaning())), "{exit:?} is missing");
        }
    }
}
