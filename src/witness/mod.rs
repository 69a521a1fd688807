//! A witness (C2SP tlog-witness): cosigns the checkpoints of the logs it knows, as long as each extends the one
//! before.
//!
//! Does: one head per log, in a file that is durable before the cosignature is given away. Does not: know a
//! store or a server; ask who is calling, because only a checkpoint's own signature counts. Called by: `app`,
//! for `chancery witness`, which runs where those who run the log have no say.
mod bounded;
mod http;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

pub use http::serve;
use sha2::{Digest as _, Sha256};

use crate::{
    clock::Clock,
    files::Folder,
    note::{self, Cosigner, NoteError, Submission, VerifierKey},
    tree::{Frontier, TreeHead, check_extension},
};

/// What becomes of a submission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Signature lines.
    Cosigned(String),
    /// Not a submission.
    Malformed,
    /// Signed by no key of the log.
    Unsigned,
    /// No log of this witness.
    UnknownLog,
    /// The witness knows this size, and the submission begins at another or ends in another root.
    Conflict(u64),
    /// The checkpoint is not proved to extend the last one.
    NotProved,
}

/// A witness.
pub struct Witness {
    key: Cosigner,
    clock: Arc<dyn Clock>,
    folder: Folder,
    logs: BTreeMap<String, Log>,
}

/// A log that is witnessed.
struct Log {
    /// Those of its keys that are trusted.
    keys: Vec<VerifierKey>,
    /// Name of its files.
    file: String,
    /// The last head that was cosigned. Locked from the check to the end of the write: two submissions that were
    /// checked against the same head would otherwise both be cosigned.
    head: Mutex<TreeHead>,
}

impl Witness {
    /// Takes up the heads in the folder.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn open(
        key: Cosigner,
        keys: Vec<VerifierKey>,
        folder: Folder,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let mut by_origin: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for key in keys {
            by_origin.entry(key.name().to_owned()).or_default().push(key);
        }
        let mut logs = BTreeMap::new();
        for (origin, keys) in by_origin {
            let file = file_of(&origin);
            let name = format!("{file}.checkpoint");
            let place = || format!("{}/{name}", folder.path().display());
            let head = match folder.read(&name).map_err(|error| format!("{}: {error}", place()))? {
                None => Frontier::default().head(),
                Some(text) => {
                    // A head that is lost would be a licence to fork, so it is not taken for none.
                    let opened = note::open(&text, &keys).map_err(|error| format!("{}: {error}", place()))?;
                    if opened.checkpoint.origin != origin {
                        return Err(format!("{} is of {:?}", place(), opened.checkpoint.origin));
                    }
                    opened.checkpoint.head
                }
            };
            logs.insert(origin, Log { keys, file, head: Mutex::new(head) });
        }
        Ok(Self { key, clock, folder, logs })
    }

    /// The verifier key of its cosignatures.
    pub fn verifier(&self) -> VerifierKey {
        self.key.verifier()
    }

    /// Judges a submission, and cosigns it. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The head could not be written; nothing was cosigned.
    pub fn add(&self, text: &str) -> std::io::Result<Verdict> {
        let Ok(submission) = Submission::parse(text) else { return Ok(Verdict::Malformed) };
        let Ok(checkpoint) = note::read(&submission.note) else { return Ok(Verdict::Malformed) };
        let Some(log) = self.logs.get(&checkpoint.origin) else { return Ok(Verdict::UnknownLog) };
        match note::open(&submission.note, &log.keys) {
            Ok(_) => {}
            Err(NoteError::Malformed) => return Ok(Verdict::Malformed),
            Err(_) => return Ok(Verdict::Unsigned),
        }
        let new = checkpoint.head;
        if submission.old > new.size {
            return Ok(Verdict::Malformed);
        }
        // What a panic leaves behind is the head of before.
        let mut head = log.head.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = &checkpoint.origin;
        if new.size == head.size && new.root != head.root {
            let (size, state) = (head.size, self.folder.path().display());
            tracing::error!(origin, size, %state, "the log has signed two different trees of one size: it is forked");
            // Both, because the head goes on. One such pair proves it for good.
            let cosigned = self.folder.read(&format!("{}.checkpoint", log.file))?.unwrap_or_default();
            self.folder
                .keep(&format!("{}.forked", log.file), &format!("{cosigned}\n\n{}", submission.note))?;
            return Ok(Verdict::Conflict(size));
        }
        if submission.old != head.size {
            return Ok(Verdict::Conflict(head.size));
        }
        if let Err(reason) = check_extension(&head, &new, &submission.proof) {
            let (from, to) = (head.size, new.size);
            tracing::warn!(origin, from, to, reason, "a checkpoint is not proved to extend the last one");
            // Signed by the log, so it may be a sign of a fork; or of nothing, since everybody can send a checkpoint
            // without a proof. So the last one is kept, and proves nothing alone.
            let name = format!("{}.refused", log.file);
            if self.folder.read(&name)?.as_ref() != Some(&submission.note) {
                self.folder.replace(&name, &submission.note)?;
            }
            return Ok(Verdict::NotProved);
        }
        let seconds = u64::try_from(self.clock.now_micros() / 1_000_000).unwrap_or_default();
        let line = self.key.cosign(&checkpoint, seconds);
        let kept = note::joined(&submission.note, [line.as_str()]).unwrap_or(submission.note);
        self.folder.replace(&format!("{}.checkpoint", log.file), &kept)?;
        tracing::debug!(origin, size = new.size, "cosigned");
        *head = new;
        Ok(Verdict::Cosigned(line))
    }
}

/// An origin may have any characters, a file name may not.
fn file_of(origin: &str) -> String {
    Sha256::digest(origin.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
