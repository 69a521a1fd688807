//! tests
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod append_stream;
mod harness;
mod round_trip;
