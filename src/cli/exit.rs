//! The exit codes of every client command, and the help text that documents them.
//!
//! Does: name each code once. Does not: decide which one applies; `failure.rs` and the commands do.
//! Called by: `cli::run` and `chancery --help`.
use std::{fmt::Write as _, process::ExitCode};

use crate::verify::Verdict;

/// What the exit code of the process says. Scripts depend on the numbers: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0
    Done,
    /// 1
    Error,
    /// 2, which is also clap's own code for bad flags.
    Usage,
    /// 3
    Refused,
    /// 4
    Unreachable,
    /// 5
    BrokenOff,
    /// 6
    NotFound,
    /// 7, and so on to 11: verdicts of `verify`.
    Tampered,
    /// 8
    Missing,
    /// 9
    Forked,
    /// 10
    Stale,
    /// 11
    Untrusted,
}

impl Exit {
    /// Every code, in the order of the numbers.
    pub const ALL: [Self; 12] = [
        Self::Done,
        Self::Error,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::BrokenOff,
        Self::NotFound,
        Self::Tampered,
        Self::Missing,
        Self::Forked,
        Self::Stale,
        Self::Untrusted,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unreachable => 4,
            Self::BrokenOff => 5,
            Self::NotFound => 6,
            Self::Tampered => 7,
            Self::Missing => 8,
            Self::Forked => 9,
            Self::Stale => 10,
            Self::Untrusted => 11,
        }
    }

    /// The line of `--help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Error => "the server or the call failed",
            Self::Usage => "bad flags or bad configuration",
            Self::Refused => "some events were refused (quarantined, rejected, conflict, unreadable line)",
            Self::Unreachable => "the server cannot be reached",
            Self::BrokenOff => "the stream broke off; standard error says how to continue",
            Self::NotFound => "not found",
            Self::Tampered => "tampered: something is not what was signed",
            Self::Missing => "missing: events that were signed are not there",
            Self::Forked => "forked: two signed histories of one log",
            Self::Stale => "stale: an older state of the log than was seen before",
            Self::Untrusted => "untrusted: not signed by a given key, or by too few witnesses",
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Valid => Self::Done,
            Verdict::Tampered => Self::Tampered,
            Verdict::Missing => Self::Missing,
            Verdict::Forked => Self::Forked,
            Verdict::Stale => Self::Stale,
            Verdict::Untrusted => Self::Untrusted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The text below `chancery --help`.
pub fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}  {}", exit.code(), exit.meaning());
    }
    text
}
