//! The auditor's side: what is believed of a log, and why not.
//!
//! Does: the bundle format, checkpoints under the auditor's own keys, proofs, the tree over records that were
//! hashed here. All of it is pure: bytes in, a [`Finding`] or none out. Does not: know a server, a store, a file
//! or the clock; hash anything but the bytes as they came; take a server's word for a hash.
//! Called by: `chancery export` and `chancery verify`.
//!
//! Proofs are built by `tlog_tiles` (through [`crate::tree`]) and checked by `ct-merkle`: two libraries that know
//! nothing of each other.
pub mod bundle;
mod findings;
mod policy;
mod proofs;
mod rehash;
mod told;
mod trust;
mod values;
mod wire;

use std::{fmt, ops::Range};

pub use findings::Findings;
pub use policy::Policy;
pub use proofs::{included, left_edge};
pub use rehash::{BLOCK, Rehash, Search};
pub use told::{Positions, Told};
pub use trust::{Believed, Trust};
pub use values::Values;
pub use wire::{Arrived, Message, UNSEEN};

pub use crate::{
    event::leaf_hash,
    note::VerifierKey,
    tree::{Branch, Frontier, HASH_BYTES, Hash, TreeHead, check_extension},
};

/// What a check comes to. Ordered by weight: the verdict of several findings is the largest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Every record is what was signed.
    Valid,
    /// An older state of the log than the auditor has seen.
    Stale,
    /// Positions below the signed size are not there.
    Missing,
    /// Something is not what was signed.
    Tampered,
    /// Nobody whom the auditor trusts has signed this, or too few have.
    Untrusted,
    /// Two signed states of one log of which neither continues the other.
    Forked,
}

impl Verdict {
    /// Every verdict, with the one that is good first.
    pub const ALL: [Self; 6] =
        [Self::Valid, Self::Tampered, Self::Missing, Self::Forked, Self::Stale, Self::Untrusted];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::Tampered => "tampered",
            Self::Untrusted => "untrusted",
            Self::Forked => "forked",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that is wrong, and how that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub verdict: Verdict,
    /// The positions concerned; none when it is about the checkpoint or the file.
    pub positions: Option<Range<u64>>,
    /// What does not fit: `record`, `personal`, `leaf_hash`, `root_hash`, `checkpoint`, `signature`, `cosignatures`, `proof`,
    /// `position`, `line 12`...
    pub field: String,
    /// One sentence in English.
    pub evidence: String,
}

impl Finding {
    /// A finding that is about no position.
    pub fn new(verdict: Verdict, field: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { verdict, positions: None, field: field.into(), evidence: evidence.into() }
    }

    /// One about some positions.
    #[must_use]
    pub fn at(self, positions: Range<u64>) -> Self {
        Self { positions: Some(positions), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        match &self.positions {
            Some(range) if range.end - range.start == 1 => write!(f, " at position {}", range.start)?,
            Some(range) => write!(f, " at positions {} to {}", range.start, range.end - 1)?,
            None => {}
        }
        write!(f, " ({}): {}", self.field, self.evidence)
    }
}

/// Base64 as signed notes have it.
pub fn base64(bytes: &[u8]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(bytes)
}

/// Reads base64; none unless it is written in the one way in which [`base64`] writes it.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    // The engine refuses missing padding and stray bits behind the last byte.
    BASE64_STANDARD.decode(text).ok()
}

/// Reads a number; none unless it is written in the one way in which a number is.
fn from_decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}
