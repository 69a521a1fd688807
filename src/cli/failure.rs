//! Why a command could not finish, and which exit code that is.
//!
//! Does: one enum, its text for people, its exit code. Does not: events that were refused, which are
//! data (`append/report.rs`). Called by: every command; printed by `cli::run` only.
use std::{error::Error as _, fmt, io};

use super::{exit::Exit, explain::Explained, output::escape::visible, tls};
use crate::verify::Finding;

/// The end of a command that did not finish.
#[derive(Debug)]
pub enum Failure {
    /// Flags that clap could not check by itself.
    Usage(String),
    /// No connection to the server: its address and why.
    Unreachable(String, String),
    /// A call failed.
    Call(Box<tonic::Status>),
    /// A stream ended before its summary: what happened and how to continue.
    BrokenOff(String),
    /// A file or standard input could not be read, or results could not be written down.
    Files(String),
    /// Standard output could not be written.
    Output(io::Error),
    /// Something is not what was signed.
    Found(Box<Finding>),
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(..) => Exit::Unreachable,
            Self::BrokenOff(_) => Exit::BrokenOff,
            Self::Files(_) | Self::Output(_) => Exit::Error,
            Self::Found(finding) => finding.verdict.into(),
            Self::Call(status) if status.code() == tonic::Code::NotFound => Exit::NotFound,
            Self::Call(status) if connection_lost(status) => Exit::Unreachable,
            Self::Call(_) => Exit::Error,
        }
    }

    /// True when the reader of standard output went away (`| head`), which is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// True when the status was made on the way and not by Chancery: statuses that tonic makes of transport
/// errors have a source, and Chancery's own UNAVAILABLE always carries ErrorInfo.
pub fn connection_lost(status: &tonic::Status) -> bool {
    status.source().is_some()
        || (status.code() == tonic::Code::Unavailable && !Explained::of_call(status).from_chancery)
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::BrokenOff(text) | Self::Files(text) => out.write_str(text),
            Self::Unreachable(server, cause) => write!(out, "cannot reach {server}: {cause}"),
            Self::Call(status) => match status.source().and_then(tls::explained) {
                Some(why) => out.write_str(&why),
                None => write!(out, "{}", Explained::of_call(status)),
            },
            Self::Output(error) => write!(out, "cannot write to standard output: {error}"),
            Self::Found(finding) => out.write_str(&visible(&finding.to_string())),
        }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Call(Box::new(status))
    }
}

impl From<Box<tonic::Status>> for Failure {
    fn from(status: Box<tonic::Status>) -> Self {
        Self::Call(status)
    }
}

impl From<Finding> for Failure {
    fn from(finding: Finding) -> Self {
        Self::Found(Box::new(finding))
    }
}

/// Only standard output is written through `?`; files name themselves in [`Failure::Files`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_cause() {
        let call = |status: tonic::Status| Failure::from(status).exit();
        assert_eq!(call(tonic::Status::not_found("")), Exit::NotFound);
        assert_eq!(call(tonic::Status::unavailable("connection refused")), Exit::Unreachable);
        assert_eq!(call(tonic::Status::internal("")), Exit::Error);
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_closed_pipe());
    }
}
