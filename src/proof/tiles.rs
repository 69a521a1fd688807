//! Writes the full tiles of every log, behind the appends: those of leaf hashes first, then the levels above.
//! Every step is one statement that leaves what is there, so it can end at any moment and go on later, here or
//! on another replica, or on both at once. Called by: `app`, which owns the task, and whoever signs checkpoints.
use std::{collections::HashMap, mem, ops::Range, sync::Arc, time::Duration};

use tlog_tiles::tile::Tile;
use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    nodes::{TILE_HEIGHT, TILE_WIDTH},
    recent::Recent,
};
use crate::{
    event::LogName,
    store::{NewTile, Store, StoreError},
    tree::Hash,
};

/// How long nothing is looked for after a look...
const INTERVAL: Duration = Duration::from_millis(250);
/// ...which with very many logs takes a while: it may take a twentieth of the time.
const REST: u32 = 20;
/// How long after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// Tiles of one statement: 16,384 leaf hashes, half a MiB. SQLite's one writer is held for some milliseconds.
const STEP: u64 = 64;
/// Steps of one log before the next log has its turn.
const TURN: usize = 16;

/// The writer of tiles.
pub struct Tiler {
    store: Arc<dyn Store>,
    recent: Arc<Recent>,
    /// Per log and level the tiles that are known to be there, some 150 bytes a log. Held for a step: two of
    /// them at once would do the same.
    known: Mutex<HashMap<LogName, Vec<u64>>>,
    /// Logs of which no tile could be written, and when they are tried again.
    damaged: Mutex<HashMap<LogName, Instant>>,
}

impl Tiler {
    /// For every log of a store.
    pub fn new(store: Arc<dyn Store>, recent: Arc<Recent>) -> Self {
        Self { store, recent, known: Mutex::default(), damaged: Mutex::default() }
    }

    /// Writes tiles until it is stopped, which takes as long as one step.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let pause = match self.pass(&stop).await {
                Ok(left) => {
                    if mem::take(&mut failing) {
                        tracing::info!("writing tiles goes on");
                    }
                    if left { Duration::ZERO } else { INTERVAL.max(began.elapsed() * REST) }
                }
                Err(error) => {
                    if !mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "writing tiles has stopped, proofs of new events become slower");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// A turn of every log that lacks a tile. Whether there is more to do. A log that is damaged holds up no other.
    ///
    /// # Errors
    /// The store failed for all logs; what was written until then stays.
    pub async fn pass(&self, stop: &CancellationToken) -> Result<bool, StoreError> {
        let mut left = false;
        let mut damaged = self.damaged.lock().await;
        for (log, size) in self.store.logs().await? {
            if damaged.get(&log).is_some_and(|until| *until > Instant::now()) {
                continue;
            }
            match self.turn(&log, size, stop).await {
                Ok(more) => {
                    left |= more;
                    if damaged.remove(&log).is_some() {
                        tracing::info!(%log, "tiles of this log are written again");
                    }
                }
                Err(error @ (StoreError::Unavailable(_) | StoreError::StateUnknown(_))) => return Err(error),
                Err(error) => {
                    if damaged.insert(log.clone(), Instant::now() + RETRY).is_none() {
                        tracing::error!(%log, %error, "no tiles of this log can be written, and no proofs of new events made");
                    }
                }
            }
        }
        Ok(left)
    }

    /// Some steps of one log. Whether there is more to do.
    async fn turn(&self, log: &LogName, size: u64, stop: &CancellationToken) -> Result<bool, StoreError> {
        for _ in 0..TURN {
            if stop.is_cancelled() || !self.step(log, size).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes sure that every full tile of the tree of the first `size` events is there.
    ///
    /// # Errors
    /// The store failed; what was written until then stays.
    pub async fn complete(&self, log: &LogName, size: u64) -> Result<(), StoreError> {
        while self.step(log, size).await? {}
        Ok(())
    }

    /// Writes the next tiles of one level. Whether there may be more to do.
    async fn step(&self, log: &LogName, size: u64) -> Result<bool, StoreError> {
        if size < TILE_WIDTH {
            return Ok(false);
        }
        let mut all = self.known.lock().await;
        if !all.contains_key(log) {
            all.insert(log.clone(), Vec::new());
        }
        let Some(known) = all.get_mut(log) else { return Ok(false) };
        for level in 0_u8..8 {
            let full = size.checked_shr(u32::from(TILE_HEIGHT * (level + 1))).unwrap_or(0);
            if full == 0 {
                break;
            }
            if known.len() <= usize::from(level) {
                known.push(0);
            }
            let Some(known) = known.get_mut(usize::from(level)) else { break };
            if *known == full {
                continue;
            }
            // Another replica may have been here, or a backup have come back.
            *known = self.store.full_tiles(log, level).await?;
            if *known >= full {
                continue;
            }
            let tiles = *known..full.min(*known + STEP);
            let hashes = self.hashes(log, level, tiles.start * TILE_WIDTH..tiles.end * TILE_WIDTH).await?;
            let first = tiles.start;
            let made = spawn_blocking(move || made(level, first, &hashes));
            let made = made.await.map_err(|error| StoreError::Broken(error.into()))?;
            self.store.add_tiles(log, &made).await?;
            *known = tiles.end;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether leaves that this replica has committed are those of the store still: a failover can lose commits,
    /// and another replica commits other events in their place. It loses the last ones, so the last one tells: those
    /// before it are of the same tree, as `recent` knows from the roots.
    async fn are_stored(
        &self,
        log: &LogName,
        positions: &Range<u64>,
        leaves: &[Hash],
    ) -> Result<bool, StoreError> {
        let last = positions.end.saturating_sub(1);
        let stored = self.store.leaf_hashes(log, last..positions.end).await?;
        Ok(stored.last() == leaves.last())
    }

    /// The hashes that the tiles of a level hold.
    async fn hashes(&self, log: &LogName, level: u8, hashes: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let wanted = hashes.end - hashes.start;
        let found = match level.checked_sub(1) {
            None => match self.recent.leaves(log, &hashes) {
                Some(leaves) if self.are_stored(log, &hashes, &leaves).await? => leaves,
                _ => self.store.leaf_hashes(log, hashes).await?,
            },
            Some(below) => self.store.tile_roots(log, below, hashes).await?,
        };
        match found.len() as u64 == wanted {
            true => Ok(found),
            false => Err(StoreError::Broken(format!("log {log}: tiles below level {level} are gone").into())),
        }
    }
}

/// Tiles of a level, from this number on.
fn made(level: u8, first: u64, hashes: &[Hash]) -> Vec<NewTile> {
    let tiles = hashes.chunks_exact(1 << TILE_HEIGHT).map(<[Hash]>::concat);
    let tile =
        |(tile, hashes): (u64, Vec<u8>)| NewTile { level, tile, root: Tile::subtree_hash(&hashes).0, hashes };
    (first..).zip(tiles).map(tile).collect()
}
