//! Proof: that a log only ever grows, and that an event is in it.
//!
//! The edge of a log's tree grows in the transaction of every append (`crate::tree`). All else is made here,
//! behind the appends: `tiles` writes full tiles, `prover` makes proofs of them. No Merkle maths is written
//! here: it is `tlog_tiles`'. Callers: `grpc`, `app`; `ingest` hands leaf hashes to `recent`.
mod nodes;
pub mod prover;
mod questions;
pub mod recent;
pub mod tiles;

#[cfg(test)]
mod prover_tests;
#[cfg(test)]
mod trees_tests;
#[cfg(test)]
mod uniform_tests;
