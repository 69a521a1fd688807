//! The gRPC surface: one file per service, and nothing but parsing, calling and converting in it.
//! `append` is the one RPC large enough for a file of its own; `status` makes every error.
mod append;
pub mod audit;
pub mod catalog;
mod convert;
pub mod status;
