//! Whom the auditor believes, and what follows from it for a checkpoint.
use super::{Finding, Policy, TreeHead, Verdict};
use crate::note::{self, Kind, NoteError};

/// The auditor's own keys. They come from outside: never from a server or a bundle.
#[derive(Clone, Debug)]
pub struct Trust(Policy);

/// A checkpoint that somebody whom the auditor trusts has signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Believed {
    /// `<key name>/<log>`.
    pub origin: String,
    pub log: String,
    pub head: TreeHead,
    /// The signed note.
    pub note: String,
    /// Names of the witnesses that the auditor knows and that have cosigned.
    pub cosigned: Vec<String>,
}

impl Trust {
    /// Believes what these keys sign.
    ///
    /// # Errors
    /// There is no key of a log.
    pub fn new(policy: Policy) -> Result<Self, String> {
        if policy.logs().is_empty() {
            return Err("at least one key of a log is needed".to_owned());
        }
        Ok(Self(policy))
    }

    /// The same keys of logs, and no witness: for checkpoints that are older than their cosignatures.
    #[must_use]
    pub fn without_witnesses(&self) -> Self {
        Self(self.0.without_witnesses())
    }

    /// Opens a checkpoint.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn believe(&self, note: &str) -> Result<Believed, Finding> {
        let opened = note::open(note, &self.0.keys()).map_err(|error| {
            let (verdict, field) = match &error {
                NoteError::Malformed => (Verdict::Tampered, "checkpoint"),
                NoteError::Forged { .. } => (Verdict::Tampered, "signature"),
                NoteError::Unsigned { .. } | NoteError::Foreign { .. } => (Verdict::Untrusted, "signature"),
            };
            Finding::new(verdict, field, error.to_string())
        })?;
        let cosigned: Vec<_> = opened
            .signatures
            .iter()
            .filter(|signed| signed.key.kind() == Kind::Witness)
            .map(|signed| signed.key.name().to_owned())
            .collect();
        if cosigned.len() < self.0.quorum() {
            let evidence =
                format!("{} known witnesses have cosigned; {} must", cosigned.len(), self.0.quorum());
            return Err(Finding::new(Verdict::Untrusted, "cosignatures", evidence));
        }
        Believed::of(opened.checkpoint.origin, opened.checkpoint.head, note, cosigned)
    }
}

impl Believed {
    /// What a note says, whoever signed it: for one who exports and has no key. The auditor has one.
    ///
    /// # Errors
    /// It is no checkpoint of a log.
    pub fn unsigned(note: &str) -> Result<Self, Finding> {
        let read = note::read(note)
            .map_err(|error| Finding::new(Verdict::Tampered, "checkpoint", error.to_string()))?;
        Self::of(read.origin, read.head, note, Vec::new())
    }

    fn of(origin: String, head: TreeHead, note: &str, cosigned: Vec<String>) -> Result<Self, Finding> {
        let Some(log) = note::log_of(&origin) else {
            let evidence = format!("the origin {origin:?} does not end with the name of a log");
            return Err(Finding::new(Verdict::Tampered, "checkpoint", evidence));
        };
        let log = log.as_str().to_owned();
        Ok(Self { origin, log, head, note: note.to_owned(), cosigned })
    }

    /// Compares it with the auditor's last checkpoint as far as that takes no proof.
    ///
    /// # Errors
    /// It cannot continue that one.
    pub fn after(&self, last: &Self) -> Result<(), Finding> {
        let (size, before) = (self.head.size, last.head.size);
        if self.origin != last.origin {
            let evidence = format!("this is {:?}; the last checkpoint is of {:?}", self.origin, last.origin);
            return Err(Finding::new(Verdict::Untrusted, "checkpoint", evidence));
        }
        if size < before {
            let evidence =
                format!("its tree has {size} events; the auditor has seen a checkpoint of {before} events");
            return Err(Finding::new(Verdict::Stale, "checkpoint", evidence));
        }
        if size == before && self.head.root != last.head.root {
            return Err(self.forked(last));
        }
        Ok(())
    }

    /// The finding that it begins with another tree of the last checkpoint's size: shown by a proof, or by records
    /// that lead to this checkpoint's own root. A proof that shows nothing is no such thing.
    pub fn forked(&self, last: &Self) -> Finding {
        let evidence = format!(
            "two signed checkpoints, of {} and of {} events, belong to two different histories",
            last.head.size, self.head.size
        );
        Finding::new(Verdict::Forked, "root_hash", evidence)
    }
}
