//! Trees in memory: what a store would hold, more or less of it, and damage to it.
use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use tlog_tiles::tile::Tile;

use super::nodes::Place;
use crate::{
    event::{LogName, leaf_hash},
    store::{StoreError, TreeReads},
    tree::Hash,
};

/// The content of a leaf.
pub fn content(position: u64) -> Vec<u8> {
    position.to_be_bytes().to_vec()
}

/// A log whose leaves are numbered.
pub struct Numbered {
    /// Leaves, then the roots of tiles of each level.
    levels: Vec<Vec<Hash>>,
    /// Tiles that are stored, by level.
    pub stored: [u64; 2],
    /// Leaves below this are not events any more.
    pub pruned: u64,
    /// A bit that is wrong, in a tile's hashes.
    pub damaged: Option<(Place, usize)>,
    /// A tile whose root is wrong.
    pub damaged_root: Option<Place>,
    /// Statements that were run.
    pub statements: AtomicUsize,
}

impl Numbered {
    /// A log of so many leaves, with every full tile.
    pub fn new(size: u64) -> Self {
        let mut levels: Vec<Vec<Hash>> = vec![(0..size).map(|number| leaf_hash(&content(number))).collect()];
        for below in 0..2 {
            let roots = levels[below].chunks_exact(256).map(|tile| Tile::subtree_hash(&tile.concat()).0);
            levels.push(roots.collect());
        }
        Self {
            levels,
            stored: [size >> 8, size >> 16],
            pruned: 0,
            damaged: None,
            damaged_root: None,
            statements: AtomicUsize::new(0),
        }
    }

    fn run(&self, level: usize, hashes: Range<u64>) -> Vec<Hash> {
        self.levels[level][hashes.start as usize..hashes.end as usize].to_vec()
    }
}

#[async_trait]
impl TreeReads for Numbered {
    async fn leaf_hashes(&self, _log: &LogName, positions: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        assert!(positions.start >= self.pruned, "{positions:?} are gone");
        Ok(self.run(0, positions))
    }

    async fn tiles(&self, _log: &LogName, wanted: &[Place]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let tile = |place: &Place| {
            let (level, tile) = *place;
            let stored = self.stored.get(usize::from(level)).is_some_and(|tiles| tile < *tiles);
            let mut hashes = stored.then(|| self.run(level.into(), tile * 256..tile * 256 + 256).concat())?;
            if let Some((damaged, bit)) = self.damaged
                && damaged == *place
            {
                hashes[bit / 8] ^= 1 << (bit % 8);
            }
            Some(hashes)
        };
        Ok(wanted.iter().map(tile).collect())
    }

    async fn tile_roots(
        &self,
        _log: &LogName,
        level: u8,
        tiles: Range<u64>,
    ) -> Result<Vec<Hash>, StoreError> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let stored = self.stored.get(usize::from(level)).copied().unwrap_or(0);
        let first = tiles.start.min(stored);
        let mut roots = self.run(usize::from(level) + 1, first..tiles.end.min(stored));
        if let Some((_, damaged)) = self.damaged_root.filter(|place| place.0 == level)
            && let Some(root) = damaged.checked_sub(first).and_then(|at| roots.get_mut(at as usize))
        {
            root[0] ^= 1;
        }
        Ok(roots)
    }
}
