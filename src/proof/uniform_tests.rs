//! Trees of any size in memory: nothing of them is stored, because all their leaves are the same.
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

/// A log of any size whose leaves are all the same: so are all nodes of one height.
pub struct Uniform {
    /// The node of each height.
    pub nodes: Vec<Hash>,
    pub size: u64,
    pub statements: AtomicUsize,
}

impl Uniform {
    pub fn new(size: u64) -> Self {
        let mut nodes = vec![leaf_hash(b"the same")];
        while nodes.len() < 64 {
            let last = nodes[nodes.len() - 1];
            nodes.push(Tile::subtree_hash(&[last, last].concat()).0);
        }
        Self { nodes, size, statements: AtomicUsize::new(0) }
    }

    /// Nodes of a tile level that exist.
    fn run(&self, level: u8, hashes: &Range<u64>) -> Vec<Hash> {
        let end = hashes.end.min(self.size.checked_shr(8 * u32::from(level)).unwrap_or(0));
        vec![self.nodes[8 * usize::from(level)]; end.saturating_sub(hashes.start) as usize]
    }
}

#[async_trait]
impl TreeReads for Uniform {
    async fn leaf_hashes(&self, _log: &LogName, positions: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        assert!(positions.start >= self.size >> 8 << 8, "{positions:?} are in a tile");
        Ok(self.run(0, &positions))
    }

    async fn tiles(&self, _log: &LogName, wanted: &[Place]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let tile = |(level, tile): &Place| {
            let hashes = self.run(*level, &(tile * 256..tile * 256 + 256));
            (hashes.len() == 256).then(|| hashes.concat())
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
        Ok(self.run(level + 1, &tiles))
    }
}
