//! `chancery verify`: a bundle, or every record of a server, against what was signed.
//!
//! Does: bytes from a file or a server to [`crate::verify`]; findings to standard output; the verdict as exit
//! code; the auditor's last checkpoint. Does not: judge, or believe any key but those of its flags.
//!
//! `offline` reads a bundle, `server` a log; `search` finds the first position where a log is not what was signed.
mod offline;
mod report;
mod search;
mod server;

use std::path::PathBuf;

use clap::Args;

use self::report::Report;
use super::{
    connect::ConnectArgs,
    exit::Exit,
    failure::Failure,
    output::{Format, escape::visible, say},
    trust::{LastFile, TrustArgs},
};
use crate::verify::{Believed, Verdict};

/// Flags of `chancery verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Bundle, as `chancery export` wrote it; - is standard input. No server is asked. Without a bundle every
    /// record of --server is read and hashed.
    #[arg(value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Log to check on a server.
    #[arg(long, default_value = "main", conflicts_with = "bundle")]
    log: String,
    /// First position to read from a server; what lies before it is taken from a proof. Default: the oldest that
    /// retention has left, and then the log must tell of the removal.
    #[arg(long, value_name = "POSITION", conflicts_with = "bundle")]
    from: Option<u64>,
    /// File with the newest checkpoint that was found valid before: what is checked must continue it. Made when
    /// it is not there; replaced after a valid run.
    #[arg(long, value_name = "FILE")]
    last: Option<PathBuf>,
    /// Write the record of this position and its proof with the checkpoint, as a C2SP tlog-proof, to
    /// POSITION.record and POSITION.tlog-proof; personal values beside the record to POSITION.personal.
    #[arg(long, value_name = "POSITION", requires = "bundle")]
    extract: Option<u64>,
    /// Folder to write them to.
    #[arg(long, value_name = "FOLDER", default_value = ".", requires = "extract")]
    into: PathBuf,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
pub async fn run(args: VerifyArgs) -> Result<Exit, Failure> {
    let trust = args.trust.trust()?;
    let file = args.last.as_deref().map(LastFile);
    let last = match &file {
        Some(file) => file.read(&trust)?,
        None => None,
    };
    let mut report = match &args.bundle {
        Some(bundle) => offline::check(&args, bundle, &trust, last.as_ref())?,
        None => match server::check(&args, &trust, last.as_ref()).await {
            Err(Failure::Found(finding)) => Report::of(*finding),
            ended => ended?,
        },
    };
    let verdict = report.verdict();
    if let (Some(file), Some(checkpoint)) = (&file, &report.checkpoint) {
        match verdict {
            Verdict::Valid => file.replace(checkpoint)?,
            Verdict::Forked => {
                let path = file.keep_beside(checkpoint)?;
                report.both_kept(file.0, &path);
            }
            _ => {}
        }
    }
    report.print(args.output)?;
    say(&report.summary());
    Ok(verdict.into())
}

/// What is said of a checkpoint.
fn described(checkpoint: &Believed) -> String {
    let Believed { origin, head, cosigned, .. } = checkpoint;
    let by =
        if cosigned.is_empty() { String::new() } else { format!(", cosigned by {}", cosigned.join(", ")) };
    visible(&format!("{origin}, a tree of {} events, signed{by}", head.size)).into_owned()
}
