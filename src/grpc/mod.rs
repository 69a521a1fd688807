//! The gRPC surface: one file per service, and nothing but parsing, calling and converting in it.
//! `append` and `append_stream` are RPCs
//! large enough for files of their own; `status` makes every error.
mod append;
mod append_stream;
pub mod audit;
pub mod catalog;
mod convert;
pub mod status;
