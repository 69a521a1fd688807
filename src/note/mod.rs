//! Checkpoints as signed notes, and the keys that sign them (C2SP signed-note, tlog-checkpoint,
//! tlog-cosignature v1): pure functions over text.
//!
//! Does: keys in their text form, signing and cosigning of tree heads, opening of notes by the keys that are
//! trusted. Strict: what is read renders back to the same bytes, and nothing that is read makes it panic.
//! Does not: know a store, a file, the clock or randomness; decide which head may be signed. The only place
//! that names `signed_note` and `ed25519_dalek`. Called by: `proof`, the witness, `verify`, the command line.
//!
//! A log's origin is `<key name>/<log>`. One [`Key`] signs for all logs of a server; its verifier key is one per
//! log, because a note's key name is its origin, and an id is computed over the name.
mod checkpoint;
mod keys;
mod submission;

pub use checkpoint::{Checkpoint, MOST_BYTES, NoteError, Opened, Signed, joined, open, read};
pub use keys::{Cosigner, Key, KeyError, Kind, VerifierKey, log_of};
pub use submission::{SIZE_TYPE, Submission};

#[cfg(test)]
#[path = "notes_tests.rs"]
mod tests;
