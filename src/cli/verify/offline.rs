//! A bundle: read once, from front to end, in constant memory.
//!
//! Called by: `verify::run`.
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use indicatif::ProgressBar;

use super::{Report, VerifyArgs};
use crate::{
    cli::{bar, failure::Failure, whole},
    verify::{
        Believed, Trust,
        bundle::{self, Entry, Stop, tlog_proof},
    },
};

/// Checks a bundle.
pub fn check(
    args: &VerifyArgs,
    path: &Path,
    trust: &Trust,
    last: Option<&Believed>,
) -> Result<Report, Failure> {
    let failed = |error: io::Error| whole::failed(path, &error);
    let (input, bar) = input(path).map_err(failed)?;
    let mut extracted = false;
    let mut each = |entry: &Entry<'_>| {
        if args.extract == Some(entry.position) {
            extracted = true;
            return extract(&args.into, entry);
        }
        Ok(())
    };
    let ended = bundle::check(input, trust, last, &mut each);
    bar.finish_and_clear();
    let checked = match ended {
        Ok(checked) => checked,
        Err(Stop::Io(error)) => return Err(failed(error)),
        Err(Stop::Found(finding, checkpoint)) => {
            return Ok(Report { checkpoint: checkpoint.map(|it| *it), ..Report::of(finding) });
        }
        Err(Stop::Unjoined(size)) => {
            return Err(Failure::Usage(format!(
                "--last: that checkpoint has {size} events, and the bundle does not prove that it continues it; export \
                 it with --joins {size}"
            )));
        }
        // Nothing ends outside of a bundle's own findings.
        Err(Stop::End(line)) => {
            return Err(Failure::Files(format!("{}: it ends at line {line}", path.display())));
        }
    };
    if let Some(position) = args.extract.filter(|_| !extracted) {
        return Err(Failure::Usage(format!(
            "--extract: the bundle does not prove an event at position {position}"
        )));
    }
    Ok(Report {
        checkpoint: Some(checked.checkpoint),
        positions: checked.positions,
        events: checked.events,
        values: checked.values,
        told: checked.told,
        findings: checked.findings,
    })
}

fn input(path: &Path) -> io::Result<(Box<dyn BufRead>, ProgressBar)> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), ProgressBar::hidden()));
    }
    let file = File::open(path)?;
    let bar = bar::bytes(file.metadata()?.len());
    Ok((Box::new(BufReader::with_capacity(256 << 10, bar.wrap_read(file))), bar))
}

fn extract(folder: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let write = |end: &str, bytes: &[u8]| {
        let path = folder.join(format!("{}.{end}", entry.position));
        fs::write(&path, bytes).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    };
    write("record", entry.record)?;
    if !entry.beside.is_empty() {
        write("personal", entry.beside)?;
    }
    write("tlog-proof", tlog_proof(entry.position, entry.path, entry.checkpoint).as_bytes())
}
