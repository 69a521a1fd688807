//! Looking a store over without changing it: for `chancery doctor`, and nobody else. Each database has a file of its own.
use std::time::Duration;

use super::{StoreUrl, postgres, sqlite};
use crate::clock::Clock;

/// How good what was found is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    Good,
    /// It works, and there is something to know or to do.
    Doubtful,
    /// It does not work, or an ack means less than it should.
    Bad,
}

/// What was found of one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub check: &'static str,
    pub standing: Standing,
    pub found: String,
    /// What to do, unless it is good.
    pub remedy: Option<String>,
}

/// A store that was looked over.
pub struct Examined {
    pub findings: Vec<Finding>,
    /// Bytes of a database file that nothing uses.
    pub reusable: u64,
}

impl From<Finding> for Examined {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], reusable: 0 }
    }
}

impl Finding {
    /// All is well.
    pub fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, standing: Standing::Good, found: found.into(), remedy: None }
    }

    /// Something to look after.
    pub fn doubtful(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { standing: Standing::Doubtful, remedy: Some(remedy.into()), ..Self::good(check, found) }
    }

    /// Something to repair.
    pub fn bad(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { standing: Standing::Bad, remedy: Some(remedy.into()), ..Self::good(check, found) }
    }

    /// What a number of writes took that were each waited for until they were on the disk.
    pub fn of_writes(check: &'static str, what: &str, took: &mut [Duration]) -> Self {
        took.sort_unstable();
        let (Some(median), Some(most)) = (took.get(took.len() / 2), took.last()) else {
            return Self::bad(check, "nothing was measured", "run it again");
        };
        let found = format!("{what}: {median:.1?} in the middle, {most:.1?} at most, of {}", took.len());
        if *median > SLOW {
            let remedy = "a commit waits for it, whoever appends: use a disk that answers within 20 ms";
            Self::doubtful(check, found, remedy)
        } else if *median < UNLIKELY {
            let remedy = "no disk is that fast: a file system in memory, or one that does not write through, loses acked events \
                          with the machine";
            Self::doubtful(check, found, remedy)
        } else {
            Self::good(check, found)
        }
    }
}

/// Above this a log takes some tens of commits a second.
const SLOW: Duration = Duration::from_millis(20);
/// Below this nothing has gone to a disk: the fastest answer in some 10 us.
const UNLIKELY: Duration = Duration::from_micros(8);

/// Looks a store over. Nothing is stored in it: of PostgreSQL, commits are measured by messages in its WAL that stand for
/// nothing.
pub async fn examine(url: &StoreUrl, require_sync_replica: bool, clock: &dyn Clock) -> Examined {
    match url {
        StoreUrl::Sqlite(path) => sqlite::examine(path).await,
        StoreUrl::Postgres(url) => {
            Examined { findings: postgres::examine(url, require_sync_replica, clock).await, reusable: 0 }
        }
    }
}
