//! The gRPC surface: one file per service, and nothing but parsing, calling and converting in it.
//! `append`, `append_stream` and `replay` are RPCs large enough for files of their own; `status` makes every error.
pub mod admin;
mod append;
mod append_stream;
pub mod audit;
pub mod catalog;
mod convert;
pub mod leaving;
pub mod limits;
mod may;
mod outbox;
pub mod producer;
pub mod proof;
pub mod quarantine;
pub mod query;
mod replay;
pub mod retention;
pub mod spliced;
pub mod status;
mod tally;
pub mod told;
