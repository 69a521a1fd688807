//! Proof: that a log only ever grows, and that an event is in it.
//!
//! The edge of a log's tree grows in the transaction of every append (`crate::tree`). All else is made here,
//! behind the appends: `tiles` writes full tiles, `prover` makes proofs of them, `signer` signs checkpoints that
//! extend the last ones (`advance`, `heads`), and `witness` has them cosigned. No Merkle maths is written
//! here: it is `tlog_tiles`'. Callers: `grpc`, `app`; `ingest` hands leaf hashes to `recent`.
mod advance;
pub mod heads;
mod nodes;
pub mod prover;
mod questions;
pub mod recent;
pub mod signer;
pub mod tiles;
pub mod witness;

#[cfg(test)]
mod prover_tests;
#[cfg(test)]
mod trees_tests;
#[cfg(test)]
mod uniform_tests;
