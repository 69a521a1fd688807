//! The flags that say whom to believe, and the file with the newest checkpoint that was believed.
//!
//! Does: keys from flags; read that file and put a newer checkpoint in its place, whole or not at all. Does not:
//! judge; [`crate::verify`] does. Called by: `export`, `verify`.
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    failure::Failure,
    whole::{Whole, beside, failed},
};
use crate::verify::{Believed, Policy, Trust, VerifierKey};

/// Whom to believe.
#[derive(Args, Clone, Debug, Default)]
pub struct TrustArgs {
    /// Verifier key of the log, NAME+ID+KEY; repeatable: a signature by one of them is enough.
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
    /// Verifier key of a witness, NAME+ID+KEY; repeatable.
    #[arg(long = "witness", value_name = "VKEY")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have cosigned. Default: all of them.
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
}

impl TrustArgs {
    /// The keys.
    pub fn policy(&self) -> Result<Policy, Failure> {
        let parse = |flag: &str, texts: &[String]| {
            let keys = texts.iter().map(|text| VerifierKey::parse(text));
            keys.collect::<Result<Vec<_>, _>>().map_err(|error| Failure::Usage(format!("--{flag}: {error}")))
        };
        let (logs, witnesses) = (parse("key", &self.keys)?, parse("witness", &self.witnesses)?);
        Policy::new(logs, witnesses, self.quorum).map_err(Failure::Usage)
    }

    /// The keys as trust, for a command that cannot do without.
    pub fn trust(&self) -> Result<Trust, Failure> {
        Trust::new(self.policy()?).map_err(|error| Failure::Usage(format!("--key: {error}")))
    }
}

/// The file of `--last`.
pub struct LastFile<'a>(pub &'a Path);

impl LastFile<'_> {
    /// The checkpoint in it; none when there is no such file yet. A key of the log is enough: it was found valid
    /// when it was put there, by the witnesses of that day.
    pub fn read(&self, trust: &Trust) -> Result<Option<Believed>, Failure> {
        let note = match fs::read_to_string(self.0) {
            Ok(note) => note,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(self.0, &error)),
        };
        let wrong = |evidence| Failure::Files(format!("{}: {evidence}", self.0.display()));
        trust.without_witnesses().believe(&note).map(Some).map_err(|finding| wrong(finding.evidence))
    }

    /// Puts a checkpoint in its place.
    pub fn replace(&self, checkpoint: &Believed) -> Result<(), Failure> {
        write(self.0, checkpoint)
    }

    /// Keeps a checkpoint that does not belong to the same history beside it, and says where.
    pub fn keep_beside(&self, checkpoint: &Believed) -> Result<PathBuf, Failure> {
        let root: String = checkpoint.head.root[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let path = beside(self.0, &format!(".fork-{}-{root}", checkpoint.head.size));
        write(&path, checkpoint)?;
        Ok(path)
    }
}

fn write(path: &Path, checkpoint: &Believed) -> Result<(), Failure> {
    let mut file = Whole::create(path)?;
    file.write_all(checkpoint.note.as_bytes()).map_err(|error| failed(path, &error))?;
    file.keep()
}
