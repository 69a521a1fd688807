//! The tables `[retention."LOG"]` of the configuration file: how long the events of a log are kept.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConfigError, error};
use crate::{event::LogName, retention::policy::Policy};

/// Positions of a partition, as powers of two: a segment of the index at least, some 50 GB at most.
const BITS: std::ops::RangeInclusive<u32> = 14..=26;
/// What a log gets whose table does not say: some 3 GB, and as much as the largest part of its index.
const DEFAULT_PARTITION: u64 = 1 << 22;
/// A hundred years.
const MOST_DAYS: u32 = 36_600;

/// Keys of a log's table.
#[derive(Serialize, Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Table {
    keep_days: Option<u32>,
    families: BTreeMap<String, u32>,
    partition_events: Option<u64>,
}

/// The policies, by log.
pub(super) fn policies(tables: BTreeMap<String, Table>) -> Result<BTreeMap<LogName, Policy>, ConfigError> {
    let mut policies = BTreeMap::new();
    for (name, table) in tables {
        let at = |reason: &dyn std::fmt::Display| error("retention", format!("{name:?}: {reason}"));
        let log = match name.as_str() {
            "" => Err(at(&"the name of a log is empty")),
            name => LogName::parse(name).map_err(|reason| at(&reason)),
        }?;
        if table.keep_days.is_none() && table.families.is_empty() {
            return Err(at(&"neither keep_days nor families says how long anything is kept"));
        }
        for days in table.keep_days.iter().chain(table.families.values()) {
            if !(1..=MOST_DAYS).contains(days) {
                return Err(at(&format!("{days} days are not between 1 and {MOST_DAYS}")));
            }
        }
        let mut families = BTreeMap::new();
        for (family, days) in table.families {
            families.insert(family.parse().map_err(|reason: String| at(&reason))?, days);
        }
        policies.insert(
            log,
            Policy {
                keep_days: table.keep_days,
                families,
                partition_bits: bits(table.partition_events.unwrap_or(DEFAULT_PARTITION))
                    .map_err(|reason| at(&format!("partition_events: {reason}")))?,
            },
        );
    }
    Ok(policies)
}

/// The size of partitions as a power of two.
pub(super) fn bits(events: u64) -> Result<u32, String> {
    let bits = events.trailing_zeros();
    match events.is_power_of_two() && BITS.contains(&bits) {
        true => Ok(bits),
        false => Err(format!(
            "{events} is not a power of two between {} and {}",
            1_u64 << BITS.start(),
            1_u64 << BITS.end()
        )),
    }
}

/// What `chancery partition` takes when it is not told.
pub(super) const fn default_partition() -> u64 {
    DEFAULT_PARTITION
}
