//! `chancery bench`: what a running server does, measured from the outside.
//!
//! Does: generated events in, events out, with as little client work as possible inside the measured
//! time. Does not: measure the client's own JSON or tables.
mod append;
mod ceiling;
mod connect;
mod follow;
mod generate;
mod load;
mod proof;
mod query;
mod raw;
mod report;
mod sink;

use clap::Subcommand;

use super::{exit::Exit, failure::Failure};

/// The commands below `chancery bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Send generated events and measure batches. They stay in the log: use one of its own.
    Append(Box<append::BenchAppendArgs>),
    /// Measure a server against what its database allows.
    Ceiling(Box<ceiling::BenchCeilingArgs>),
    /// Connect again and again, and measure how long it takes.
    Connect(Box<connect::BenchConnectArgs>),
    /// Measure how soon followers see events, and what they cost.
    Follow(Box<follow::BenchFollowArgs>),
    /// Ask for inclusion proofs all over a log and measure the answers.
    Proof(Box<proof::BenchProofArgs>),
    /// Stream events, count them and print none.
    Query(Box<query::BenchQueryArgs>),
    /// Take telemetry and drop it, to measure what sending it costs a server.
    Sink(sink::BenchSinkArgs),
}

/// Runs the command.
pub async fn run(command: BenchCommand) -> Result<Exit, Failure> {
    match command {
        BenchCommand::Append(args) => append::run(*args).await,
        BenchCommand::Ceiling(args) => ceiling::run(*args).await,
        BenchCommand::Connect(args) => connect::run(*args).await,
        BenchCommand::Follow(args) => follow::run(*args).await,
        BenchCommand::Proof(args) => proof::run(*args).await,
        BenchCommand::Query(args) => query::run(*args).await,
        BenchCommand::Sink(args) => sink::run(args).await,
    }
}
