//! The table `[limits]` of the configuration file: how fast each producer may send that has no rates of its own in the
//! access file.
use serde::{Deserialize, Serialize};

use crate::{
    event::limits::{MAX_BATCH_EVENTS, MAX_MESSAGE_BYTES},
    ingest::rate::{Rate, Rates},
};

/// A rate fills its burst within a day, or the limit is no rate.
const MOST_SECONDS: u64 = 86_400;
/// Above any machine's reach; it keeps every product of two settings within 64 bits.
const MOST_PER_SECOND: u64 = 1_000_000_000_000;

/// Keys of `[limits]` and of a producer's line.
#[derive(clap::Args, Serialize, Deserialize, Default, PartialEq, Eq, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Table {
    /// Events per second that each producer may send; in the file a key of [limits].
    ///
    /// On average, over all of its calls and streams; see limits of producers.
    #[arg(long, value_name = "EVENTS", env = "CHANCERY_EVENTS_PER_SECOND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events_per_second: Option<u64>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) burst_events: Option<u64>,
    /// Bytes of append requests per second that each producer may send; in the file a key of [limits].
    ///
    /// At least 1024; see limits of producers.
    #[arg(long, value_name = "BYTES", env = "CHANCERY_BYTES_PER_SECOND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes_per_second: Option<u64>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) burst_bytes: Option<u64>,
}

/// A limit's keys, and what it must allow.
struct Kind {
    rate: &'static str,
    burst: &'static str,
    least_rate: u64,
    /// What the largest request takes: with a smaller burst it would never be accepted.
    least_burst: u64,
}

const EVENTS: Kind = Kind {
    rate: "events_per_second",
    burst: "burst_events",
    least_rate: 1,
    least_burst: MAX_BATCH_EVENTS as u64,
};
const BYTES: Kind = Kind {
    rate: "bytes_per_second",
    burst: "burst_bytes",
    least_rate: 1024,
    least_burst: MAX_MESSAGE_BYTES as u64,
};

impl Table {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This table, and what it does not say from another. A burst belongs to its rate: with a rate of its
    /// own a producer does not take the other's burst.
    pub(super) fn over(&self, other: &Self) -> Self {
        let pair = |rate: Option<u64>, burst: Option<u64>, other_rate, other_burst| match rate {
            Some(_) => (rate, burst),
            None => (other_rate, burst.or(other_burst)),
        };
        let (events_per_second, burst_events) =
            pair(self.events_per_second, self.burst_events, other.events_per_second, other.burst_events);
        let (bytes_per_second, burst_bytes) =
            pair(self.bytes_per_second, self.burst_bytes, other.bytes_per_second, other.burst_bytes);
        Self { events_per_second, burst_events, bytes_per_second, burst_bytes }
    }

    /// The rates, checked.
    pub(super) fn rates(&self) -> Result<Rates, String> {
        Ok(Rates {
            events: rate(&EVENTS, self.events_per_second, self.burst_events)?,
            bytes: rate(&BYTES, self.bytes_per_second, self.burst_bytes)?,
        })
    }
}

fn rate(kind: &Kind, per_second: Option<u64>, burst: Option<u64>) -> Result<Option<Rate>, String> {
    let Kind { rate, burst: burst_key, least_rate, least_burst } = kind;
    let Some(per_second) = per_second else {
        return match burst {
            None => Ok(None),
            Some(_) => Err(format!("{burst_key} needs {rate}")),
        };
    };
    if !(*least_rate..=MOST_PER_SECOND).contains(&per_second) {
        return Err(format!("{rate} is not between {least_rate} and {MOST_PER_SECOND}"));
    }
    let burst = burst.unwrap_or_else(|| per_second.max(*least_burst));
    if burst < *least_burst {
        return Err(format!(
            "{burst_key} is {burst}, and the largest request takes {least_burst}: it would never be accepted"
        ));
    }
    if burst / per_second > MOST_SECONDS {
        return Err(format!("{burst_key} is more than {rate} gives in a day"));
    }
    Ok(Some(Rate { per_second, burst }))
}
