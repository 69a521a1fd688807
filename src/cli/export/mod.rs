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
    records::{self, Records},
    trust::TrustArgs,
    whole::Whole,
};
use crate::verify::{
    Arrived, Believed, Branch, Finding, Hash, Told, TreeHead, UNSEEN, Values, Verdict,
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
    /// Leave out personal values that lie beside their records: their proofs hold without them, and an erasure does
    /// not reach what was taken home.
    #[arg(long)]
    without_personal: bool,
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
        Some(size) => Some(joined(&connection, &checkpoint, size).await?),
        None => None,
    };
    let tree = tree::read(&connection, &checkpoint, positions.start).await?;
    let header = Header { log: args.log, positions, policy, checkpoint: checkpoint.note.clone(), extends };
    match &args.output {
        Some(path) => {
            let file = BufWriter::new(Whole::create(path)?);
            let file = write(&connection, &checkpoint, &header, &tree, args.without_personal, file).await?;
            file.into_inner().map_err(|error| unwritable(error.into_error()))?.keep()?;
        }
        None => {
            let out = BufWriter::new(io::stdout());
            drop(write(&connection, &checkpoint, &header, &tree, args.without_personal, out).await?);
        }
    }
    let (start, end) = (header.positions.start, header.positions.end - 1);
    let (origin, size) = (visible(&checkpoint.origin), checkpoint.head.size);
    say(&format!(
        "exported positions {start} to {end} of {origin}, with proofs in its tree of {size} events"
    ));
    Ok(Exit::Done)
}

/// A smaller tree, and the proof that the log continues it.
async fn joined(
    connection: &Connection,
    checkpoint: &Believed,
    size: u64,
) -> Result<(TreeHead, Vec<Hash>), Failure> {
    if size > checkpoint.head.size {
        let events = checkpoint.head.size;
        return Err(Failure::Usage(format!("--joins: the bundle's checkpoint has {events} events only")));
    }
    let (first, proof) = proofs::consistency(connection, checkpoint, size).await?;
    let wrong = |evidence: String| Finding::new(Verdict::Tampered, "proof", evidence);
    let root =
        Hash::try_from(&first.root_hash[..]).map_err(|_| wrong("the server sent no root".to_owned()))?;
    let first = TreeHead { size, root };
    check_extension(&first, &checkpoint.head, &proof).map_err(wrong)?;
    Ok((first, proof))
}

/// Writes the bundle; gives the writer back.
async fn write<W: Write>(
    connection: &Connection,
    checkpoint: &Believed,
    header: &Header,
    tree: &Branch,
    without_personal: bool,
    out: W,
) -> Result<W, Failure> {
    let positions = header.positions.clone();
    let (bar, mut told) = (bar::events(positions.end - positions.start), Told::default());
    let mut records = Records::new(connection, &checkpoint.log, "export", positions.clone());
    let mut writer = Writer::begin(out, header).map_err(unwritable)?;
    let mut withheld = 0;
    for position in positions {
        let event = records.next().await?;
        let record = event.as_deref().and_then(Arrived::split).filter(|event| event.position == position);
        if record.as_ref().is_some_and(Arrived::is_unseen) {
            return Err(Finding::new(Verdict::Missing, "record", UNSEEN).at(position..position + 1).into());
        }
        let proven = record.zip(tree.path(position)).and_then(|(event, path)| {
            included(event.record, position, &path, &checkpoint.head).ok().map(|()| (event, path))
        });
        let Some((event, path)) = proven else {
            // It was in the tree when it was read a moment ago.
            let evidence = "the server has sent two different records for this position";
            return Err(Finding::new(Verdict::Tampered, "record", evidence)
                .at(position..position + 1)
                .into());
        };
        match Values::sent(&event) {
            Ok(values) => {
                told.see(position, event.record, &values);
                withheld += values.withheld;
            }
            Err(why) => {
                return Err(Finding::new(Verdict::Tampered, "personal", why)
                    .at(position..position + 1)
                    .into());
            }
        }
        let beside = if without_personal { &[] } else { event.beside };
        writer.event(position, event.record, beside, &path).map_err(unwritable)?;
        bar.inc(1);
    }
    records.end().await?;
    bar.finish_and_clear();
    if withheld > 0 {
        say(&format!(
            "the server withholds {withheld} personal values from this caller: the bundle is without them"
        ));
    }
    if header.positions.end == checkpoint.head.size && !without_personal {
        accounted_for(connection, checkpoint, &told).await?;
    }
    writer.end().map_err(unwritable)
}

/// Whether the log tells of every erasure that shows, up to the checkpoint.
async fn accounted_for(connection: &Connection, checkpoint: &Believed, told: &Told) -> Result<(), Failure> {
    let Some(finding) = told.findings().into_iter().next() else { return Ok(()) };
    for code in told.wanted() {
        let size = checkpoint.head.size;
        if let Some(position) = records::coded(connection, &checkpoint.log, code, size, "export").await? {
            return Err(Failure::BrokenOff(format!(
                "stopped: values were erased meanwhile, which the event at position {position} tells, and the \
                 checkpoint has {size} events; export again when a newer one is signed"
            )));
        }
    }
    Err(finding.into())
}

/// Half a bundle is not what was asked for, even when the reader of a pipe went away.
fn unwritable(error: io::Error) -> Failure {
    Failure::Files(format!("stopped: cannot write the bundle: {error}"))
}
