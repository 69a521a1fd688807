//! What the store keeps of the trees of logs (`crate::tree`) behind the appends: full tiles and signed
//! checkpoints. Both are derived: tiles from leaf hashes, checkpoints from tiles and a key. Neither ever
//! changes, so whoever comes second leaves what is there, but for the cosignatures of a checkpoint, and a new
//! key that signs at a size where another one has signed.
use std::ops::Range;

use async_trait::async_trait;

use super::{StoreError, broken, from_sql, hash_from_sql};
use crate::{
    event::LogName,
    tree::{Hash, TreeHead},
};

/// Bytes of a full tile: 256 hashes.
pub const TILE_BYTES: usize = 8192;

/// A full tile, to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTile {
    /// 0: of leaf hashes; then of the roots of 256 tiles below.
    pub level: u8,
    /// Number within the level.
    pub tile: u64,
    /// Root of its hashes: its entry in the level above.
    pub root: Hash,
    /// 256 hashes, one after the other.
    pub hashes: Vec<u8>,
}

/// A signed checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCheckpoint {
    pub tree: TreeHead,
    /// C2SP tlog-checkpoint, with the cosignatures that came in.
    pub signed_note: String,
    /// Microseconds since 1970.
    pub signed_at: i64,
}

/// Which checkpoint of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WantedCheckpoint {
    /// The largest.
    Newest,
    /// The largest with fewer leaves.
    Below(u64),
    /// The smallest with at least so many leaves.
    AtLeast(u64),
    /// The one with so many leaves.
    Exactly(u64),
}

/// What proofs are made of.
#[async_trait]
pub trait TreeReads: Send + Sync {
    /// The leaf hashes of these positions, in their order, of which none may be missing.
    async fn leaf_hashes(&self, log: &LogName, positions: Range<u64>) -> Result<Vec<Hash>, StoreError>;
    /// The hashes of tiles, by level and number; `None` for those that are not there.
    async fn tiles(&self, log: &LogName, wanted: &[(u8, u64)]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;
    /// The roots of tiles, in their order: fewer where the last ones are not written yet. Reads none of their
    /// hashes.
    async fn tile_roots(&self, log: &LogName, level: u8, tiles: Range<u64>) -> Result<Vec<Hash>, StoreError>;
}

/// Tiles and checkpoints. Every write is one statement, and as durable as an append.
#[async_trait]
pub trait Trees: TreeReads {
    /// Every log with events, and the size of its tree.
    async fn logs(&self) -> Result<Vec<(LogName, u64)>, StoreError>;
    /// Number of full tiles of a level, which are written in order.
    async fn full_tiles(&self, log: &LogName, level: u8) -> Result<u64, StoreError>;
    /// Keeps tiles. Those that are there already stay as they are.
    async fn add_tiles(&self, log: &LogName, tiles: &[NewTile]) -> Result<(), StoreError>;
    /// A checkpoint, when there is one.
    async fn checkpoint(
        &self,
        log: &LogName,
        wanted: WantedCheckpoint,
    ) -> Result<Option<StoredCheckpoint>, StoreError>;
    /// Keeps a checkpoint, and says so. One of the same size that is there already stays as it is.
    async fn add_checkpoint(&self, log: &LogName, checkpoint: &StoredCheckpoint) -> Result<bool, StoreError>;
    /// Replaces the checkpoint of the same size, and says so: when its note is another one by now it stays.
    async fn replace_checkpoint(
        &self,
        log: &LogName,
        checkpoint: &StoredCheckpoint,
        former_note: &str,
    ) -> Result<bool, StoreError>;
}

impl NewTile {
    /// Its hashes, which must be those of a full tile.
    pub(super) fn full(&self) -> Result<&[u8], StoreError> {
        match self.hashes.len() {
            TILE_BYTES => Ok(&self.hashes),
            other => Err(broken(format!("a tile of {other} bytes"))),
        }
    }
}

/// Found tiles in the order of the wanted ones, of which the first has this number.
pub(super) fn hashes_of(
    wanted: usize,
    first: i64,
    found: Vec<(i64, Vec<u8>)>,
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let mut tiles = vec![None; wanted];
    for (number, hashes) in found {
        let tile = usize::try_from(number - first).ok().and_then(|at| tiles.get_mut(at));
        *tile.ok_or_else(|| broken(format!("tile {number} was not asked for")))? = Some(hashes);
    }
    Ok(tiles)
}

/// The roots of a run of tiles, from the first on and without a gap.
pub(super) fn hashes_of_run(
    level: u8,
    tiles: &Range<u64>,
    found: &[(i64, Vec<u8>)],
) -> Result<Vec<Hash>, StoreError> {
    let hash = |(wanted, (tile, hash)): (u64, &(i64, Vec<u8>))| match from_sql(*tile)? == wanted {
        true => hash_from_sql(hash),
        false => Err(broken(format!("tile {wanted} of level {level} is gone"))),
    };
    tiles.clone().zip(found).map(hash).collect()
}
