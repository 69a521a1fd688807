//! Chancery.
pub mod app;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
pub mod grpc;
pub mod ingest;
pub mod proto;
pub mod query;
pub mod server;
pub mod store;
pub mod telemetry;
