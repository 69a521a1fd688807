//! The clock and fresh ids for the command line, in its own types. Everything that computes with them
//! takes them as parameters and is tested without them.
//!
//! Does not: ask the operating system; [`crate::clock`] does. Called by: the commands' `run` functions
//! and whatever makes events.
use std::time::Instant;

use jiff::Timestamp;

use crate::clock::{Clock as _, SystemClock};

/// The current instant, in microseconds.
pub fn now() -> Timestamp {
    // A clock beyond the year 9999 is broken; 1970 is then as good an answer as any.
    Timestamp::from_microsecond(SystemClock.now_micros()).unwrap_or_default()
}

/// A start mark for measuring a duration.
pub fn start() -> Instant {
    Instant::now()
}

/// A fresh UUIDv7 in text form, for an event or a hold that came without an id.
pub fn event_id() -> String {
    SystemClock.new_id().to_string()
}
