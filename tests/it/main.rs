//! The integration tests: one binary, one file per rule, everything through the front door (a real
//! server process and a real client) on SQLite and on PostgreSQL.
mod harness;
mod round_trip;
