//! `chancery config`: the settings that a server would have.
//!
//! Does: show them, and print their documentation. Does not: read a file but the configuration, or check what a value
//! says: that is `config check`, which `cli::run` hands to `app`. Called by: `cli::run`.
use std::io::{self, Write as _};

use clap::{Args, Subcommand};

use super::{exit::Exit, failure::Failure};
use crate::config::{Secrets, ServeArgs, reference};

/// `chancery config ...`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings of `chancery serve`, as a file that says where each came from.
    Show(Box<ShowArgs>),
    /// Check what `chancery serve` checks before it opens its store, files included.
    Check(Box<ServeArgs>),
    /// Print the table of settings in docs/configuration.md.
    Reference,
}

/// Flags of `chancery config show`: those of `chancery serve`, and these.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Leave passwords and keys out, as happens by itself.
    #[arg(long, conflicts_with = "with_secrets")]
    redacted: bool,
    /// Print passwords of addresses too.
    #[arg(long)]
    with_secrets: bool,
    #[command(flatten)]
    settings: ServeArgs,
}

/// `chancery config show`.
pub fn show(args: ShowArgs) -> Result<Exit, Failure> {
    let secrets = if args.with_secrets { Secrets::Shown } else { Secrets::Hidden };
    let text = args.settings.show(secrets).map_err(|error| Failure::Usage(error.to_string()))?;
    print(&text)
}

/// `chancery config reference`.
pub fn print_reference() -> Result<Exit, Failure> {
    print(&reference())
}

fn print(text: &str) -> Result<Exit, Failure> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}
