//! `chancery keys`: makes signing keys, and shows what verifies them.
//!
//! Does: a new key in a file that only its owner may read, and the verifier keys of a key. Does not: need a
//! server; print a private key. Called by: `cli::run`.
use std::{io::Write as _, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Exit, failure::Failure};
use crate::{
    app,
    event::{DEFAULT_LOG, LogName},
    files,
    note::{Cosigner, Key, KeyError},
};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key that signs checkpoints, and print what verifies those of the log main.
    Generate(GenerateArgs),
    /// Print what verifies the checkpoints that a key signs.
    Show(ShowArgs),
}

/// `chancery keys generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Name of the key, which the origins of all logs begin with: a URL without scheme, such as
    /// audit.example.com/chancery. It stays for as long as the logs do.
    name: String,
    /// File to write the private key to, which only its owner may read (mode 0600). Never overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Make the key of a witness instead, for `chancery witness`.
    #[arg(long)]
    witness: bool,
}

/// `chancery keys show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// File with the private key.
    file: PathBuf,
    /// A log; may be repeated [default: main]. A witness has one key for all logs.
    #[arg(long, value_name = "LOG")]
    log: Vec<String>,
}

/// Runs one of the commands.
pub fn run(command: KeysCommand) -> Result<Exit, Failure> {
    match command {
        KeysCommand::Generate(args) => generate(&args),
        KeysCommand::Show(args) => show(&args),
    }
}

fn generate(args: &GenerateArgs) -> Result<Exit, Failure> {
    let refused = |error: KeyError| Failure::Usage(error.to_string());
    let seed = app::seed().map_err(|error| Failure::Files(format!("no randomness: {error}")))?;
    let (private, verifier) = if args.witness {
        let key = Cosigner::new(&args.name, &seed).map_err(refused)?;
        (key.private_text(), key.verifier())
    } else {
        let key = Key::new(&args.name, &seed).map_err(refused)?;
        (key.private_text(), key.verifier(&log(DEFAULT_LOG)?))
    };
    files::write_private(&args.out, &format!("{private}\n")).map_err(Failure::Files)?;
    print(&[verifier.to_string()])
}

fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let text = files::read_private(&args.file).map_err(Failure::Files)?;
    let refused = |error: KeyError| Failure::Usage(format!("{}: {error}", args.file.display()));
    let text = text.trim_end();
    let key = match Key::parse(text) {
        Err(KeyError::NotALog) if !args.log.is_empty() => {
            let name = args.file.display();
            return Err(Failure::Usage(format!(
                "{name} is the key of a witness, which is the same for every log"
            )));
        }
        Err(KeyError::NotALog) => {
            return print(&[Cosigner::parse(text).map_err(refused)?.verifier().to_string()]);
        }
        key => key.map_err(refused)?,
    };
    let named = if args.log.is_empty() { &[DEFAULT_LOG.to_owned()][..] } else { &args.log };
    let mut verifiers = Vec::new();
    for name in named {
        verifiers.push(key.verifier(&log(name)?).to_string());
    }
    print(&verifiers)
}

fn log(name: &str) -> Result<LogName, Failure> {
    LogName::parse(name).map_err(|error| Failure::Usage(format!("{name:?}: {error}")))
}

fn print(lines: &[String]) -> Result<Exit, Failure> {
    let mut text = lines.join("\n");
    text.push('\n');
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}
