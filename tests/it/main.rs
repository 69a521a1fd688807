//! The integration tests: one binary, one file per rule, everything through the front door (a real
//! server process and a real client) on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod as_parameters;
mod catalog_complete;
mod catalog_rules;
mod catalog_shapes;
mod harness;
mod notification_aliases;
mod round_trip;
mod seeds;
mod token_server_spellings;
mod vendor_documents;
