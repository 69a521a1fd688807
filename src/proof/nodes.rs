//! Which tiles hold the nodes that a question asks for, and reading these nodes from tiles. Pure; `prover` reads
//! the tiles.
//!
//! The library asks for nodes through a reader. A question is put to it twice: first to a reader that only
//! notes what it is asked for, then to one that has the tiles.
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use tlog_tiles::{
    tile::Tile,
    tlog::{Error, Hash as Node, HashReader},
};

use super::questions::Question;

/// Levels of the tree that one tile spans.
pub const TILE_HEIGHT: u8 = 8;
/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// A tile by level and number.
pub type Place = (u8, u64);

/// The tiles that a question needs, and how many of their first hashes.
pub fn wanted<Q: Question>(question: &Q) -> Result<BTreeMap<Place, u32>, Error> {
    let asked = Asked::default();
    drop(question.answer(&asked)?);
    let mut wanted = BTreeMap::new();
    for index in asked.0.into_inner() {
        let tile = Tile::from_index(TILE_HEIGHT, index);
        let width: &mut u32 = wanted.entry((tile.level(), tile.level_index())).or_default();
        *width = (*width).max(tile.width());
    }
    Ok(wanted)
}

/// Notes what it is asked for.
#[derive(Default)]
struct Asked(RefCell<Vec<u64>>);

impl HashReader for Asked {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Node>, Error> {
        self.0.borrow_mut().extend(indexes);
        Ok(vec![Node::default(); indexes.len()])
    }
}

/// Tiles, or as many of their first hashes as are needed.
pub struct Tiles {
    tiles: HashMap<Place, Vec<u8>>,
    /// Nodes that were read: the larger ones take up to 255 hashes, and a proof and its root ask for many twice.
    known: RefCell<HashMap<u64, Node>>,
}

impl Tiles {
    pub fn new(tiles: HashMap<Place, Vec<u8>>) -> Self {
        Self { tiles, known: RefCell::default() }
    }
}

impl HashReader for Tiles {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Node>, Error> {
        let mut known = self.known.borrow_mut();
        let node = |index: &u64| {
            if let Some(node) = known.get(index) {
                return Ok(*node);
            }
            let tile = Tile::from_index(TILE_HEIGHT, *index);
            let hashes = self.tiles.get(&(tile.level(), tile.level_index()));
            let node = tile.hash_at_index(hashes.ok_or(Error::IndexesNotInTree)?, *index)?;
            known.insert(*index, node);
            Ok(node)
        };
        indexes.iter().map(node).collect()
    }
}
