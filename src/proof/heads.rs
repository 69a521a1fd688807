//! The last head that was signed of each log, in a folder outside of the store: what a restored store cannot
//! take back. Called by: `signer`, and `app`, which opens it.
use std::{collections::BTreeMap, path::Path, sync::Arc};

use tokio::task::spawn_blocking;

use crate::{
    event::LogName,
    files::Folder,
    note::{self, Key},
    tree::TreeHead,
};

/// A signed head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedHead {
    pub head: TreeHead,
    /// The signed note.
    pub note: String,
}

/// What is known of a log when a server starts.
#[derive(Clone, Default, Debug)]
pub struct Known {
    pub last: Option<SignedHead>,
    /// Whether the log was found not to extend it.
    pub forked: bool,
}

/// The folder. A log has the file `<log>.checkpoint`, and when it is halted `<log>.fork`.
#[derive(Clone, Debug)]
pub struct Heads(Arc<Folder>);

impl Heads {
    /// Opens the folder of a key, with all that is in it.
    ///
    /// # Errors
    /// Why it cannot be used, for people.
    pub fn open(path: &Path, key: &Key) -> Result<(Self, BTreeMap<LogName, Known>), String> {
        let folder = Folder::open(path)?;
        let mut logs: BTreeMap<LogName, Known> = BTreeMap::new();
        let place = |name: &str, end: &str| format!("{}/{name}{end}", path.display());
        let names = |end: &str| folder.names(end).map_err(|error| format!("{}: {error}", path.display()));
        let log = |name: &str, end| {
            LogName::parse(name).map_err(|_| format!("{} is the file of no log", place(name, end)))
        };
        for name in names(CHECKPOINT)? {
            let (log, place) = (log(&name, CHECKPOINT)?, place(&name, CHECKPOINT));
            let text =
                folder.read(&format!("{name}{CHECKPOINT}")).map_err(|error| format!("{place}: {error}"))?;
            // A head that cannot be read is not taken for none: signing anew could be a fork.
            let last = signed(&text.unwrap_or_default(), key, &log).ok_or_else(|| {
                format!("{place} is not signed by the key {}: a key needs a folder of its own", key.name())
            })?;
            logs.entry(log).or_default().last = Some(last);
        }
        for name in names(FORK)? {
            logs.entry(log(&name, FORK)?).or_default().forked = true;
        }
        Ok((Self(Arc::new(folder)), logs))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Keeps the newest head of a log, durably.
    ///
    /// # Errors
    /// It could not be written; the file has the former one or this one.
    pub async fn keep(&self, log: &LogName, note: String) -> std::io::Result<()> {
        let (folder, name) = (Arc::clone(&self.0), format!("{log}{CHECKPOINT}"));
        spawn_blocking(move || folder.replace(&name, &note)).await.map_err(std::io::Error::other)?
    }

    /// Keeps the evidence that a log is not what was signed. The first stays.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn keep_fork(&self, log: &LogName, evidence: String) -> std::io::Result<()> {
        let (folder, name) = (Arc::clone(&self.0), format!("{log}{FORK}"));
        let kept = spawn_blocking(move || folder.keep(&name, &evidence)).await;
        kept.map_err(std::io::Error::other)?.map(drop)
    }
}

/// Ends of the names of files.
const CHECKPOINT: &str = ".checkpoint";
const FORK: &str = ".fork";

/// The head in a note, when this key has signed it for this log.
pub fn signed(text: &str, key: &Key, log: &LogName) -> Option<SignedHead> {
    let opened = note::open(text, &[key.verifier(log)]).ok()?;
    Some(SignedHead { head: opened.checkpoint.head, note: text.to_owned() })
}
