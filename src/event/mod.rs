//! An event's way from the wire to the sequencer, one type per thing that was checked:
//!
//! `NewEvent` --[`ParsedEvent::parse`]--> [`ParsedEvent`] --[`admit`]--> [`ValidEvent`]
//! --[`seal`]--> [`SealedEvent`]
//!
//! Each type has private fields and one function that makes it, in the same file: appending something
//! unchecked does not compile. All of it is pure. Callers: `ingest`, `grpc::audit`.
mod fragments;
pub mod limits;
mod new;
pub mod person;
pub mod personal;
mod sealed;
mod source_field;
mod valid;
mod words;

use std::{fmt, sync::Arc};

pub use new::ParsedEvent;
pub use sealed::{
    ATTRIBUTE_MARK, Columns, Receipt, SealedEvent, VALUE_MARK, attribute_beginning, attribute_escaped,
    attribute_pairs, attribute_text, leaf_hash, seal,
};
pub use valid::{RefusedEvent, ValidEvent, admit};

use crate::proto::v1::NewEvent;

/// The default log.
pub const DEFAULT_LOG: &str = "main";
/// Name of [`LogName::audit`].
pub const AUDIT_LOG: &str = "audit";

/// Name of a log: 1 to 64 of `a-z 0-9 - _ .`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LogName(Arc<str>);

impl LogName {
    /// Checks a name as submitted; the empty name is the default log.
    ///
    /// # Errors
    /// What a name may be.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        if name.is_empty() {
            return Ok(Self(DEFAULT_LOG.into()));
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let first =
            name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if name.len() > 64 || !first || !name.bytes().all(allowed) {
            return Err(
                "a log name has 1 to 64 characters of a-z, 0-9, \"-\", \"_\" and \".\", beginning with a letter or a digit",
            );
        }
        Ok(Self(name.into()))
    }

    /// The log that tells of calls (`crate::journal`). No caller appends to it.
    pub fn audit() -> Self {
        Self(AUDIT_LOG.into())
    }

    /// Whether it is the one that tells of calls.
    pub fn is_audit(&self) -> bool {
        &*self.0 == AUDIT_LOG
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who sent an event, as the server knows it. Cheap to clone: every event of a group does.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Producer(Arc<str>);

impl Producer {
    /// Name of [`Producer::own`].
    pub const OWN: &str = "chancery";

    /// Checks a producer's name.
    ///
    /// # Errors
    /// What a name may be.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
            return Err(
                "a producer name has 1 to 128 characters of A-Z, a-z, 0-9, \"-\", \"_\", \".\", \":\", \"/\" and \"@\"",
            );
        }
        Ok(Self(name.into()))
    }

    /// The producer of the events that the server makes itself. No caller may use its name.
    pub fn own() -> Self {
        Self(Self::OWN.into())
    }

    /// The producer of a caller that does not say who it is.
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event's place in its producer's own numbering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sequence {
    /// Which run of the numbering; 0 when the producer does not say.
    pub epoch: u64,
    /// At most 2^63 - 1, like the epoch.
    pub number: u64,
}

impl Sequence {
    /// That of a checked event, when it has a number.
    fn of(event: &NewEvent) -> Option<Self> {
        let epoch = event.producer_epoch.unwrap_or_default();
        event.producer_sequence.map(|number| Self { epoch, number })
    }
}

/// Microseconds since 1970 as a protobuf timestamp.
pub fn timestamp(micros: i64) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        // A remainder below 1,000,000 microseconds is below 1,000,000,000 nanoseconds.
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
    }
}

/// Microseconds since 1970 as RFC 3339 writes them.
pub fn rfc3339(micros: i64) -> String {
    // By seconds and the rest: the last second that there is has a rest as well.
    let time = timestamp(micros);
    let read = jiff::Timestamp::new(time.seconds, time.nanos);
    read.map_or_else(|_| micros.to_string(), |time| time.to_string())
}

/// A protobuf timestamp as microseconds since 1970; finer digits are cut.
pub fn micros(time: &pbjson_types::Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1_000)
}
