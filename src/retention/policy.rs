//! What a site says of how long a log's events are kept, and what follows for a partition. Pure.
use std::{collections::BTreeMap, fmt};

use crate::catalog::model::Family;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// How long the events of one log are kept, counted from when they were received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Days, of families that are not named. `None`: for ever.
    pub keep_days: Option<u32>,
    /// Days, by family.
    pub families: BTreeMap<Family, u32>,
    /// Positions of the log's partitions, as a power of two.
    pub partition_bits: u32,
}

/// When a partition may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    Now,
    /// Not before this time, in microseconds since 1970.
    At(i64),
    /// It has events of a family that is kept for ever.
    Never,
}

impl Policy {
    /// When a partition may go, given when its newest event of each family was received: it goes as a whole, so
    /// when the last of them may.
    pub fn due(&self, newest: &[(Family, i64)], now: i64) -> Due {
        let mut at = i64::MIN;
        for (family, received_at) in newest {
            match self.days(*family) {
                None => return Due::Never,
                Some(days) => at = at.max(received_at.saturating_add(i64::from(days) * DAY)),
            }
        }
        if at <= now { Due::Now } else { Due::At(at) }
    }

    /// Days that a family is kept.
    fn days(&self, family: Family) -> Option<u32> {
        match self.families.get(&family) {
            Some(days) => Some(*days),
            // What Chancery tells of a log is worth as much as the log: it goes with the last of the others.
            // Were it kept for ever unasked, the events about retention would end retention.
            None if family == Family::Chancery && self.keep_days.is_none() => {
                self.families.values().max().copied()
            }
            None => self.keep_days,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (family, days) in &self.families {
            write!(f, "{family} {days} days, ")?;
        }
        match self.keep_days {
            Some(days) => {
                write!(f, "{} {days} days", if self.families.is_empty() { "all" } else { "others" })
            }
            None => f.write_str("others for ever"),
        }?;
        write!(f, ", in partitions of {}", 1_u64 << self.partition_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_goes_when_the_last_of_its_families_may() {
        let policy = |keep_days, families: &[(Family, u32)]| Policy {
            keep_days,
            families: families.iter().copied().collect(),
            partition_bits: 20,
        };
        let both = [(Family::CmsAudit, 5 * DAY), (Family::TokenServer, 7 * DAY)];
        let named = policy(None, &[(Family::CmsAudit, 100), (Family::TokenServer, 10)]);
        assert_eq!(named.due(&both, 104 * DAY), Due::At(105 * DAY));
        assert_eq!(named.due(&both, 105 * DAY), Due::Now);
        assert_eq!(named.due(&both[1..], 17 * DAY), Due::Now);
        assert_eq!(named.due(&[(Family::AsAudit, 0)], i64::MAX), Due::Never);
        assert_eq!(named.due(&[(Family::Chancery, DAY)], 50 * DAY), Due::At(101 * DAY));
        let others = policy(Some(30), &[(Family::CmsAudit, 100)]);
        assert_eq!(others.due(&both, 50 * DAY), Due::At(105 * DAY));
        assert_eq!(others.due(&[(Family::Chancery, DAY)], 31 * DAY), Due::Now);
        assert_eq!(others.due(&[], 0), Due::Now);
        assert_eq!(policy(None, &[]).due(&[(Family::Chancery, 0)], i64::MAX), Due::Never);
        assert_eq!(others.to_string(), "cms_audit 100 days, others 30 days, in partitions of 1048576");
    }
}
