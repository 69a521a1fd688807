//! The bundle: a range of a log in one text file that is checked without a server. docs/proof.md has its grammar.
//!
//! Strict: every line has one possible form, so a bundle that reads well renders to the same bytes, and what is not
//! what an exporter writes is not taken. Read and written event by event, in constant memory.
mod check;
mod lines;
mod write;

#[cfg(test)]
mod bundle_tests;

use std::ops::Range;

pub use check::{Checked, Entry, Stop, check};
pub use write::{Writer, tlog_proof};

use super::{Hash, Policy, TreeHead};

/// First line.
const VERSION: &str = "chancery-bundle@v1";
/// First line of every proof: that of C2SP tlog-proof.
const PROOF: &str = "c2sp.org/tlog-proof@v1";
/// Begins the line of what lies beside a record.
const PERSONAL: &str = "personal";
/// Begins the last line.
const END: &str = "sha256 ";

/// Events of a bundle at most. A proof in a tree of a billion events has 30 hashes, so 1,350 bytes of text; with
/// records of 400 bytes that is 2 GB. The exporter keeps 64 bytes of each: 64 MB.
pub const MOST_EVENTS: u64 = 1_000_000;
/// Bytes of a line at most: a record stays below 200 KiB, which base64 makes 267 KiB of.
const MOST_LINE: u64 = 512 * 1024;
/// Lines of a policy, a checkpoint or a proof at most: a policy has one per key, 66 in all.
const MOST_LINES: usize = 100;

/// What a bundle begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub log: String,
    /// The positions of its events.
    pub positions: Range<u64>,
    /// The keys that the exporter knows of.
    pub policy: Policy,
    /// The signed note.
    pub checkpoint: String,
    /// A smaller tree, and the proof that the checkpoint's continues it.
    pub extends: Option<(TreeHead, Vec<Hash>)>,
}
