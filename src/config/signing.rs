//! The settings by which checkpoints are signed.
use std::{collections::HashSet, path::PathBuf};

use super::{ConfigError, error, redact::redacted, store::secret};
use crate::{
    note::{Key, Kind, VerifierKey},
    proof::witness::Target,
};

/// The key itself. A variable and no flag, because every user of a machine can read the flags of its processes.
pub(super) const VARIABLE: &str = "CHANCERY_SIGNING_KEY";
/// How every key begins.
pub(super) const KEY_BEGINS: &str = "PRIVATE+KEY+";
/// Each takes a task, and a line of some 140 bytes in every checkpoint.
const MOST_WITNESSES: usize = 16;

/// How checkpoints are signed.
#[derive(Debug)]
pub struct Signing {
    pub key: Key,
    /// Folder of the last signed heads.
    pub state: PathBuf,
    pub witnesses: Vec<Target>,
}

/// Reads the key and checks the rest. Without a key nothing is signed.
pub(super) fn read(
    file: Option<PathBuf>,
    state: PathBuf,
    witnesses: &[String],
) -> Result<Option<Signing>, ConfigError> {
    let given = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let key = match (file, given) {
        (Some(_), Some(_)) => {
            return Err(error("signing_key_file", format!("the key is in {VARIABLE} too: give one of them")));
        }
        (None, None) if !witnesses.is_empty() => {
            return Err(error("witness", "without a signing key there is nothing to cosign"));
        }
        (None, None) => return Ok(None),
        (None, Some(text)) => {
            Key::parse(text.trim()).map_err(|reason| error("signing_key", format!("{VARIABLE}: {reason}")))?
        }
        (Some(path), None) => {
            if path.to_string_lossy().contains(KEY_BEGINS) {
                let reason = format!("is a key and not the path of a file: give it in {VARIABLE}");
                return Err(error("signing_key_file", reason));
            }
            let text = secret(&path).map_err(|reason| error("signing_key_file", reason))?;
            Key::parse(&text)
                .map_err(|reason| error("signing_key_file", format!("{}: {reason}", path.display())))?
        }
    };
    if witnesses.len() > MOST_WITNESSES {
        return Err(error("witness", format!("more than {MOST_WITNESSES} witnesses")));
    }
    let witnesses = witnesses.iter().map(|text| witness(text)).collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    if let Some(twice) = witnesses.iter().find(|target| !names.insert(target.key.name().to_owned())) {
        return Err(error("witness", format!("{:?} is given twice", twice.key.name())));
    }
    Ok(Some(Signing { key, state, witnesses }))
}

fn witness(text: &str) -> Result<Target, ConfigError> {
    let wrong = |reason: &str| error("witness", format!("{:?}: {reason}", redacted(text)));
    let (url, key) = text.split_once('=').ok_or_else(|| wrong("is not URL=KEY"))?;
    let parsed: http::Uri = url.parse().map_err(|_| wrong("does not begin with a URL"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.query().is_some() {
        return Err(wrong("does not begin with a URL such as https://witness.example.com"));
    }
    let key = VerifierKey::parse(key).map_err(|reason| wrong(&reason.to_string()))?;
    if key.kind() != Kind::Witness {
        return Err(wrong("the key is that of a log, not that of a witness"));
    }
    Ok(Target { url: url.trim_end_matches('/').to_owned(), key })
}
