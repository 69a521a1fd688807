//! Watches the disk of a SQLite database. Below a watermark nothing of callers is written, so that what is stored stays
//! readable, and retention and the rest of the machine keep some room; when there is room again everything goes on.
//!
//! A database that fills its disk between two looks is refused by the disk itself, with the same reason (`ingest::task`).
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::statvfs;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use crate::{
    ingest::{Ingest, room::Level},
    server::checks::{Check, Readiness},
    store::{Store, StoreUrl},
    telemetry::{Metrics, WritesRefused},
};

/// How often the disk is looked at. At 100 MB/s of everything that is written on it, a watermark of 256 MiB is passed through
/// in more than two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Of the watermark, what the disk itself must have: pages that the database file has to spare cannot hold its WAL, which is
/// some 8 MiB between two checkpoints and 32 MiB after the longest reads.
const OWN: u64 = 8;
/// Above the watermark by this part of it before anything is written again, so that it does not go on and off.
const BACK: u64 = 8;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// Bytes that the disk has free for the process.
    pub(super) free: u64,
    /// Bytes of the database file that retention and erasure have freed.
    pub(super) reusable: u64,
}

impl Found {
    /// Bytes until there is no room, with as much of them on the disk itself as there must be.
    pub(super) const fn room(self) -> u64 {
        let most = self.free.saturating_mul(OWN);
        let room = self.free.saturating_add(self.reusable);
        if room < most { room } else { most }
    }

    /// How that stands to the watermark, after this.
    const fn level(self, least: u64, before: Level) -> Level {
        let room = self.room();
        let back = match before {
            Level::Enough => 0,
            Level::Low | Level::Reserve => least / BACK,
        };
        if room >= least.saturating_add(back) {
            Level::Enough
        } else if room >= least / 2 {
            Level::Low
        } else {
            Level::Reserve
        }
    }
}

/// What is watched, and who is told.
pub(super) struct Disk {
    pub(super) store: Arc<dyn Store>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) metrics: Arc<Metrics>,
    folder: PathBuf,
    /// The watermark; 0 for none.
    least: u64,
    level: Level,
}

/// Bytes that are free for this process on the disk of a folder.
///
/// # Errors
/// The system does not tell.
pub(super) fn free(folder: &Path) -> std::io::Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The folder of a SQLite database, whose disk it is.
pub(super) fn folder(url: &StoreUrl) -> Option<PathBuf> {
    let StoreUrl::Sqlite(path) = url else { return None };
    // A link may lead to another disk, and a name alone lies in the working folder.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    Some(path.parent().filter(|parent| *parent != Path::new("")).unwrap_or_else(|| Path::new(".")).to_owned())
}

impl Disk {
    /// The disk of a store, looked at once. None for PostgreSQL, whose disk is another machine's.
    pub(super) async fn of(
        url: &StoreUrl,
        least: u64,
        store: &Arc<dyn Store>,
        ingest: &Arc<Ingest>,
        readiness: &watch::Sender<Readiness>,
        metrics: &Arc<Metrics>,
    ) -> Option<Self> {
        let mut disk = Self {
            store: Arc::clone(store),
            ingest: Arc::clone(ingest),
            readiness: readiness.clone(),
            metrics: Arc::clone(metrics),
            folder: folder(url)?,
            least,
            level: Level::Enough,
        };
        metrics.storage.min_free_bytes.set(least);
        disk.look().await;
        Some(disk)
    }

    /// Looks again and again.
    pub(super) async fn watch(mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let folder = self.folder.clone();
        // It may take a while where the disk is another machine's.
        let free = match spawn_blocking(move || free(&folder)).await {
            Ok(Ok(free)) => free,
            Ok(Err(error)) => {
                tracing::warn!(folder = %self.folder.display(), %error, "the disk of the store cannot be looked at");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "the disk of the store cannot be looked at");
                return;
            }
        };
        // A store that does not answer is told of elsewhere.
        let found = Found { free, reusable: self.store.reusable_bytes().await.unwrap_or_default() };
        self.metrics.storage.free_bytes.set(free);
        self.metrics.storage.room_bytes.set(found.room());
        self.found(found);
    }

    fn found(&mut self, found: Found) {
        let level = found.level(self.least, self.level);
        let (folder, least) = (self.folder.display(), self.least);
        let Found { free, reusable } = found;
        let fault = (level != Level::Enough).then(|| {
            format!(
                "{free} bytes are free in {folder} and {reusable} in the database, less than {least} (min_free_disk): \
                 make room there, or have retention remove events; appends are refused, reads go on"
            )
        });
        let changed = level != self.level;
        self.level = level;
        self.ingest.room.set(level);
        Readiness::tell(&self.readiness, Check::Disk, fault);
        if changed {
            self.metrics.storage.writes_refused(WritesRefused::disk, level != Level::Enough);
            match level {
                Level::Enough => tracing::info!(free, reusable, "the disk has room again: appends go on"),
                Level::Low => {
                    tracing::error!(free, reusable, least, "the disk is nearly full: appends are refused")
                }
                Level::Reserve => {
                    tracing::error!(
                        free,
                        reusable,
                        least,
                        "the disk is nearly full: the self-audit waits too"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_watermark_is_passed_downwards_and_a_little_more_upwards() {
        let level = |free: u64, before| Found { free: free * MIB, reusable: 0 }.level(256 * MIB, before);
        assert_eq!(level(256, Level::Enough), Level::Enough);
        assert_eq!(level(255, Level::Enough), Level::Low);
        assert_eq!(level(256, Level::Low), Level::Low, "not yet");
        assert_eq!(level(288, Level::Low), Level::Enough);
        assert_eq!(level(127, Level::Low), Level::Reserve);
        assert_eq!(level(0, Level::Enough), Level::Reserve);
    }

    #[test]
    fn what_retention_frees_counts_as_long_as_the_disk_has_room_for_the_wal() {
        let level = |free: u64, reusable: u64| {
            Found { free: free * MIB, reusable: reusable * MIB }.level(256 * MIB, Level::Low)
        };
        assert_eq!(level(40, 248), Level::Enough);
        assert_eq!(level(20, 1000), Level::Low, "20 MiB times 8 is less than the watermark");
        assert_eq!(level(0, 100_000), Level::Reserve);
    }

    #[test]
    fn a_watermark_of_nothing_is_none() {
        assert_eq!(Found { free: 0, reusable: 0 }.level(0, Level::Enough), Level::Enough);
    }

    #[test]
    fn a_disk_is_that_of_the_database_wherever_a_link_leads() {
        let folder_ = tempfile::tempdir().expect("a folder");
        let real = folder_.path().join("real");
        std::fs::create_dir(&real).expect("a folder");
        std::fs::write(real.join("chancery.db"), "").expect("a file");
        let link = folder_.path().join("link.db");
        std::os::unix::fs::symlink(real.join("chancery.db"), &link).expect("a link");
        let real = std::fs::canonicalize(&real).expect("a folder");
        assert_eq!(folder(&StoreUrl::Sqlite(link)), Some(real.clone()));
        assert_eq!(folder(&StoreUrl::Sqlite("new.db".into())), Some(PathBuf::from(".")));
        assert_eq!(folder(&StoreUrl::Postgres("postgres://db/audit".to_owned())), None);
        assert!(free(&real).expect("a disk") > 0);
    }
}
