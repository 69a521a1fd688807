//! `chancery export`: a range of a log with proofs, in one file that is checked without a server.
//!
//! Does: find the range and a signed checkpoint that covers it, read the records twice (for their hashes, then to
//! write them), build the proofs here and check each. Does not: finish a bundle that does not lead to the signed
//! root.
//!
//! `range` finds the range; `tree` reads the hashes.
mod range;
mod tree;

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Args;

use super::{
    bar,
    connect::{ConnectArgs, Connection},
    exit::Exit,
    failure::Failure,
    output::{escape::visible, say},
    proofs,
    records::Records,
    trust::TrustArgs,
    whole::Whole,
};
use crate::verify::{
    Arrived, Believed, Branch, Finding, Hash, TreeHead, Verdict,
    bundle::{Header, Writer},
    check_extension, included,
};

/// Flags of `chancery export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Log to export.
    #[arg(long, default_value = "main")]
    log: String,
    #[command(flatten)]
    range: range::RangeArgs,
    #[command(flatten)]
    trust: TrustArgs,
    /// Also prove that the log continues its tree of this size: that of the auditor's last checkpoint.
    #[arg(long, value_name = "SIZE", value_parser = clap::value_parser!(u64).range(1..))]
    joins: Option<u64>,
    /// File to write, whole or not at all. Default: standard output, where a bundle that broke off lacks its end.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: ExportArgs) -> Result<Exit, Failure> {
    let policy = args.trust.policy()?;
    let connection = args.connect.open().await?;
    let (checkpoint, positions) = range::find(&connection, &args.log, &args.range, &policy).await?;
    let extends = match args.joins.filter(|size| *size != checkpoint.head.size) {
        Some(size) => Some((size, joined(&connection, &checkpoint, size).await?)),
        None => None,
    };
    let tree = tree::read(&connection, &checkpoint, positions.start).await?;
    let header = Header { log: args.log, positions, policy, checkpoint: checkpoint.note.clone(), extends };
    match &args.output {
        Some(path) => {
            let file = BufWriter::new(Whole::create(path)?);
            let file = write(&connection, &checkpoint, &header, &tree, file).await?;
            file.into_inner().map_err(|error| unwritable(error.into_error()))?.keep()?;
        }
        None => drop(write(&connection, &checkpoint, &header, &tree, BufWriter::new(io::stdout())).await?),
    }
    let (start, end) = (header.positions.start, header.positions.end - 1);
    let (origin, size) = (visible(&checkpoint.origin), checkpoint.head.size);
    say(&format!(
        "exported positions {start} to {end} of {origin}, with proofs in its tree of {size} events"
    ));
    Ok(Exit::Done)
}

/// The proof that the log continues a smaller tree.
async fn joined(connection: &Connection, checkpoint: &Believed, size: u64) -> Result<Vec<Hash>, Failure> {
    if size > checkpoint.head.size {
        let events = checkpoint.head.size;
        return Err(Failure::Usage(format!("--joins: the bundle's checkpoint has {events} events only")));
    }
    let (first, proof) = proofs::consistency(connection, checkpoint, size).await?;
    let wrong = |evidence: String| Finding::new(Verdict::Tampered, "proof", evidence);
    let root =
        Hash::try_from(&first.root_hash[..]).map_err(|_| wrong("the server sent no root".to_owned()))?;
    check_extension(&TreeHead { size, root }, &checkpoint.head, &proof).map_err(wrong)?;
    Ok(proof)
}

/// Writes the bundle; gives the writer back.
async fn write<W: Write>(
    connection: &Connection,
    checkpoint: &Believed,
    header: &Header,
    tree: &Branch,
    out: W,
) -> Result<W, Failure> {
    let positions = header.positions.clone();
    let bar = bar::events(positions.end - positions.start);
    let mut records = Records::new(connection, &checkpoint.log, positions.clone());
    let mut writer = Writer::begin(out, header).map_err(unwritable)?;
    for position in positions {
        let event = records.next().await?;
        let record = event.as_deref().and_then(Arrived::split).filter(|event| event.position == position);
        let proven = record.zip(tree.path(position)).and_then(|(event, path)| {
            included(event.record, position, &path, &checkpoint.head).ok().map(|()| (event.record, path))
        });
        let Some((record, path)) = proven else {
            // It was in the tree when it was read a moment ago.
            let evidence = "the server has sent two different records for this position";
            return Err(Finding::new(Verdict::Tampered, "record", evidence)
                .at(position..position + 1)
                .into());
        };
        writer.event(position, record, &path).map_err(unwritable)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    writer.end().map_err(unwritable)
}

/// Half a bundle is not what was asked for, even when the reader of a pipe went away.
fn unwritable(error: io::Error) -> Failure {
    Failure::Files(format!("stopped: cannot write the bundle: {error}"))
}
