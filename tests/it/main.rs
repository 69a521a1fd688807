//! The integration tests: one binary, one file per rule, everything through the front door (a real
//! server process and a real client) on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod harness;
mod round_trip;
