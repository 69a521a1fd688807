//! Retention: the oldest partitions of a log go, as the site's policy says, and the log tells so itself.
//!
//! A log begins later in three steps. One transaction of the store moves its beginning, unless a hold is on the log;
//! after that nobody reads below it. Then an event says what is gone, and which signed checkpoint vouches for it.
//! Then, when everybody who was reading there has noticed, the partitions are dropped. Tiles stay, so that every
//! proof of what is left can be made, and of what is gone as well. A step that is undone is done by whoever comes
//! next: no event tells of what was not removed, and nothing is dropped that no event tells of.
//!
//! `policy` says how long events are kept. Callers: `app`, which owns the task, and `grpc::retention`.
pub mod policy;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use policy::{Due, Policy};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    catalog::{Catalog, model::Family},
    clock::Clock,
    event::LogName,
    ingest::{
        Ingest,
        own::{self, OwnError, OwnEvent},
    },
    store::{Extent, Hold, Marked, Store, StoreError, WantedCheckpoint},
    telemetry::Metrics,
};

/// How often policies are applied.
const APPLY: Duration = Duration::from_secs(3600);
/// How often it is looked for partitions that are to be dropped.
const LOOK: Duration = Duration::from_secs(5);
/// Between the move of a log's beginning and the drop. Queries look every second whether what they still want is
/// there (`query::reader`), and a statement that runs keeps what it reads.
const GRACE: Duration = Duration::from_secs(10);
/// Positions that one statement looks through: some 200 ms.
const WINDOW: usize = 1 << 18;

/// Why something failed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event that tells of it is not in the log.
    #[error("the event about it: {0}")]
    Event(#[from] OwnError),
}

/// What becomes of the oldest partition of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The log has no policy.
    NoPolicy,
    /// The partition is not full.
    Incomplete,
    /// Its events are kept until then.
    NotBefore(i64),
    /// It has events of a family that is kept for ever, or that this program does not know.
    ForEver,
    /// A hold is on the log.
    Held,
    /// No signed checkpoint covers it.
    NotSigned,
    /// Its tiles or its part of the index are not finished.
    Behind,
    /// It can go.
    Due,
}

/// A log in the eyes of retention.
pub struct Report {
    pub policy: Option<Policy>,
    pub extent: Extent,
    pub holds: Vec<Hold>,
    /// First position behind the partitions that can go now; the log's oldest position when none can.
    pub boundary: u64,
    /// The first partition that stays, or why it does.
    pub standing: Standing,
}

/// What was done.
pub struct Applied {
    pub report: Report,
    /// Position of the event that tells of it.
    pub position: Option<u64>,
}

/// Who asked.
pub struct Asked<'a> {
    pub by: &'a str,
    pub reason: &'a str,
}

impl Asked<'_> {
    /// Nobody did.
    const BY_ITSELF: Asked<'static> = Asked { by: "chancery", reason: "as configured" };
}

/// What [`Keeper::run`] knows of the beginning of a log.
#[derive(Default)]
struct Beginning {
    oldest: u64,
    /// When it was made sure that the log tells of it.
    told: Option<Instant>,
    /// What is below is gone.
    dropped: bool,
}

/// When the newest event of each family of a partition was received. `None`: it has a family that is not known.
type Newest = Option<Vec<(Family, i64)>>;
/// By log and first position.
type Seen = HashMap<(LogName, u64), Newest>;

/// Applies the policies.
pub struct Keeper {
    pub store: Arc<dyn Store>,
    pub ingest: Arc<Ingest>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub policies: BTreeMap<LogName, Policy>,
    /// Full partitions, in which nothing changes any more. Looking through one takes seconds, so it is done once, and
    /// by one at a time.
    pub seen: Mutex<Seen>,
}

impl Keeper {
    /// Applies every policy now and then, until it is stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut applied: Option<Instant> = None;
        let mut begins: HashMap<LogName, Beginning> = HashMap::new();
        while !self.policies.is_empty() && !stop.is_cancelled() {
            let due = applied.is_none_or(|at| at.elapsed() >= APPLY);
            for log in self.policies.keys() {
                let done = async {
                    if due {
                        self.apply(log, &Asked::BY_ITSELF).await?;
                    }
                    self.settle(log, begins.entry(log.clone()).or_default()).await
                };
                if let Err(error) = done.await {
                    tracing::warn!(%log, %error, "retention is tried again");
                }
            }
            if due {
                applied = Some(Instant::now());
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Tells of what was removed and was not told of, and drops what has been below the beginning of a log for long
    /// enough.
    async fn settle(&self, log: &LogName, begins: &mut Beginning) -> Result<(), RetentionError> {
        let Extent { oldest, .. } = self.store.extent(log).await?;
        if oldest != begins.oldest {
            *begins = Beginning { oldest, ..Beginning::default() };
        }
        match begins.told {
            _ if oldest == 0 || begins.dropped => {}
            None => {
                self.tell(log, oldest, None, &Asked::BY_ITSELF).await?;
                begins.told = Some(Instant::now());
            }
            Some(at) if at.elapsed() >= GRACE => {
                self.store.drop_removed(log, oldest).await?;
                begins.dropped = true;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// How a log stands.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn report(&self, log: &LogName) -> Result<Report, StoreError> {
        let extent = self.store.extent(log).await?;
        let holds = self.store.holds(log).await?;
        let policy = self.policies.get(log).cloned();
        let mut report = Report {
            policy: policy.clone(),
            extent,
            holds,
            boundary: extent.oldest,
            standing: Standing::NoPolicy,
        };
        let Some(policy) = policy else { return Ok(report) };
        // What the log was given first, whatever the policy says by now.
        let bits = self.store.partition_bits(log).await?.unwrap_or(policy.partition_bits);
        loop {
            let first = report.boundary;
            let next = ((first >> bits) + 1) << bits;
            report.standing = self.standing(log, &policy, &report, first..next).await?;
            if report.standing != Standing::Due {
                return Ok(report);
            }
            report.boundary = next;
        }
    }

    async fn standing(
        &self,
        log: &LogName,
        policy: &Policy,
        report: &Report,
        positions: std::ops::Range<u64>,
    ) -> Result<Standing, StoreError> {
        if positions.end > report.extent.size {
            return Ok(Standing::Incomplete);
        }
        let Some(newest) = self.newest(log, positions.clone()).await? else { return Ok(Standing::ForEver) };
        match policy.due(&newest, self.clock.now_micros()) {
            Due::Never => return Ok(Standing::ForEver),
            Due::At(at) => return Ok(Standing::NotBefore(at)),
            Due::Now => {}
        }
        if report.holds.iter().any(|hold| hold.released.is_none()) {
            return Ok(Standing::Held);
        }
        let signed = self.store.checkpoint(log, WantedCheckpoint::AtLeast(positions.end)).await?;
        if signed.is_none() {
            return Ok(Standing::NotSigned);
        }
        // A leaf whose event is gone can only be proven from its tile.
        let tiled = self.store.full_tiles(log, 0).await? * 256;
        let indexed = self.store.live_runs(log, &(0..0)).await?.indexed;
        Ok(if tiled.min(indexed) < positions.end { Standing::Behind } else { Standing::Due })
    }

    /// What is known of a full partition.
    async fn newest(&self, log: &LogName, positions: std::ops::Range<u64>) -> Result<Newest, StoreError> {
        let mut seen = self.seen.lock().await;
        let key = (log.clone(), positions.start);
        if let Some(known) = seen.get(&key) {
            return Ok(known.clone());
        }
        let mut newest: BTreeMap<i32, i64> = BTreeMap::new();
        for first in positions.clone().step_by(WINDOW) {
            let window = first..positions.end.min(first + WINDOW as u64);
            for (family, received_at) in self.store.newest_received(log, window).await? {
                let at = newest.entry(family).or_insert(received_at);
                *at = received_at.max(*at);
            }
        }
        let families = newest.into_iter().map(|(family, at)| Some((Family::from_proto(family)?, at)));
        let newest: Newest = families.collect();
        seen.insert(key, newest.clone());
        Ok(newest)
    }

    /// Lets a log begin later, as far as its policy says.
    ///
    /// # Errors
    /// What failed. It can be tried again.
    pub async fn apply(&self, log: &LogName, asked: &Asked<'_>) -> Result<Applied, RetentionError> {
        let mut report = self.report(log).await?;
        let (first, boundary) = (report.extent.oldest, report.boundary);
        if boundary == first {
            return Ok(Applied { report, position: None });
        }
        match self.store.begin_at(log, boundary).await? {
            Marked::Yes => {}
            Marked::Held => report.standing = Standing::Held,
            Marked::NotIndexed => report.standing = Standing::Behind,
        }
        // Where it ended half-way, a part is removed all the same.
        report.extent = self.store.extent(log).await?;
        let oldest = report.extent.oldest;
        report.boundary = oldest.max(first);
        if oldest <= first {
            return Ok(Applied { report, position: None });
        }
        self.metrics.chores.removed(oldest - first);
        let position = self.tell(log, oldest, Some(first), asked).await?;
        tracing::info!(%log, first, oldest, position, "retention has removed events");
        Ok(Applied { report, position: Some(position) })
    }

    /// Has the log tell where it begins now, once.
    async fn tell(
        &self,
        log: &LogName,
        oldest: u64,
        first: Option<u64>,
        asked: &Asked<'_>,
    ) -> Result<u64, RetentionError> {
        let checkpoint = self.store.checkpoint(log, WantedCheckpoint::AtLeast(oldest)).await?;
        let details = [
            ("requested_by", Some(asked.by.to_owned())),
            ("reason", Some(asked.reason.to_owned())),
            ("policy", self.policies.get(log).map(Policy::to_string)),
            ("first_position", first.map(|first| first.to_string())),
            ("minimum_position", Some(oldest.to_string())),
            ("tree_size", checkpoint.as_ref().map(|checkpoint| checkpoint.tree.size.to_string())),
            ("root_hash", checkpoint.as_ref().map(|checkpoint| STANDARD.encode(checkpoint.tree.root))),
        ];
        let details = details.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        // Every try of every replica makes the same id of a boundary.
        let event = OwnEvent {
            event_id: Uuid::from_u128(oldest.into()),
            r#type: "RETENTION_APPLIED",
            details: details.collect(),
        };
        Ok(own::append(&self.ingest, &self.catalog, self.clock.as_ref(), log, event).await?)
    }
}
