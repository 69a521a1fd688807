//! Proofs, made of the stored tiles. What lies in a tile that is not full comes from the roots of the tiles
//! below it, and of the last leaves from their events: five statements for 50 million leaves, each by key.
//!
//! Tiles are written behind the appends (`tiles`). Those that are not there yet are made for the one proof,
//! within bounds. Leaf hashes are only taken from events that no stored tile covers: old events may be gone.
use std::{collections::HashMap, ops::Range, sync::Arc};

use futures::future::BoxFuture;
use tlog_tiles::{
    tile::Tile,
    tlog::{EMPTY_HASH, Error},
};

use super::{
    nodes::{Place, TILE_HEIGHT, TILE_WIDTH, Tiles, wanted},
    questions::{Anchored, OfConsistency, OfInclusion, OfRoot, Question},
};
use crate::{
    event::LogName,
    store::{Store, StoreError, TILE_BYTES, TreeReads},
    tree::{HASH_BYTES, Hash, TreeHead},
};

/// Hashes that are read for one proof to make up for missing tiles: 2 MiB. Some may be read for two of its nodes.
/// Tiles are written four times a second, so even 80,000 events a second leave 20,000 leaves without; there are
/// more after an upgrade of a large log.
const MOST_HASHES: u64 = 1 << 16;

/// Proof that a leaf is in a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inclusion {
    /// The leaf as the tree has it.
    pub leaf_hash: Hash,
    /// The audit path, from the leaf's sibling upwards (RFC 6962, section 2.1.1).
    pub hashes: Vec<Hash>,
    /// Root of the tree.
    pub root: Hash,
}

/// Proof that a tree begins with another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consistency {
    /// The proof (RFC 6962, section 2.1.2).
    pub hashes: Vec<Hash>,
    pub first_root: Hash,
    pub second_root: Hash,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More tiles are missing than are made for a proof. They are being written.
    #[error("the tiles of the log are not written yet")]
    Behind,
    /// There is no such proof: the position is not below the size, or the sizes are not in order.
    #[error("no such tree: {0}")]
    Invalid(String),
    /// What is stored of the tree contradicts itself.
    #[error("the stored tree is damaged: {0}")]
    Damaged(String),
}

/// Makes proofs. No size may be above that of the log; the caller knows it.
#[derive(Clone)]
pub struct Prover {
    pub store: Arc<dyn Store>,
}

impl Prover {
    /// That the event at a position is in the tree of the first `size` events.
    ///
    /// # Errors
    /// Why there is no proof.
    pub async fn inclusion(&self, log: &LogName, position: u64, size: u64) -> Result<Inclusion, ProofError> {
        self.anchored_inclusion(log, position, size, None).await
    }

    /// The same, and that the tree goes together with another one of the log, which was signed.
    ///
    /// # Errors
    /// Why there is no proof.
    pub async fn anchored_inclusion(
        &self,
        log: &LogName,
        position: u64,
        size: u64,
        anchor: Option<TreeHead>,
    ) -> Result<Inclusion, ProofError> {
        if position >= size {
            return Err(ProofError::Invalid(format!("position {position} of {size}")));
        }
        self.ask(log, OfInclusion { position, size }, anchor).await
    }

    /// That the tree of the first `second` events begins with that of the first `first`, at least one.
    ///
    /// # Errors
    /// Why there is no proof.
    pub async fn consistency(
        &self,
        log: &LogName,
        first: u64,
        second: u64,
    ) -> Result<Consistency, ProofError> {
        self.anchored_consistency(log, first, second, None).await
    }

    /// The same, and that the larger tree goes together with another one of the log, which was signed.
    ///
    /// # Errors
    /// Why there is no proof.
    pub async fn anchored_consistency(
        &self,
        log: &LogName,
        first: u64,
        second: u64,
        anchor: Option<TreeHead>,
    ) -> Result<Consistency, ProofError> {
        if first == 0 || first > second {
            return Err(ProofError::Invalid(format!("from {first} to {second} events")));
        }
        self.ask(log, OfConsistency { first, second }, anchor).await
    }

    /// The root of the tree of the first `size` events.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn root(&self, log: &LogName, size: u64) -> Result<Hash, ProofError> {
        if size == 0 {
            return Ok(EMPTY_HASH.0);
        }
        self.ask(log, OfRoot { size }, None).await
    }

    async fn ask<Q: Question + Sync>(
        &self,
        log: &LogName,
        question: Q,
        anchor: Option<TreeHead>,
    ) -> Result<Q::Answer, ProofError> {
        match anchor.filter(|anchor| anchor.size > 0) {
            Some(anchor) => Ok(answer(&*self.store, log, &Anchored { question, anchor }).await?.0),
            None => answer(&*self.store, log, &question).await,
        }
    }
}

/// Answers a question from what is stored. An answer whose parts do not go together is an error: a damaged
/// tile must not make a wrong proof.
pub(super) async fn answer<Q: Question + Sync>(
    trees: &dyn TreeReads,
    log: &LogName,
    question: &Q,
) -> Result<Q::Answer, ProofError> {
    let damaged = |error: Error| ProofError::Damaged(error.to_string());
    let wanted = wanted(question).map_err(damaged)?;
    let places: Vec<Place> = wanted.keys().copied().collect();
    let mut tiles = HashMap::with_capacity(places.len());
    let mut room = MOST_HASHES;
    for (((level, tile), width), stored) in wanted.into_iter().zip(trees.tiles(log, &places).await?) {
        let hashes = match stored {
            Some(hashes) if hashes.len() == TILE_BYTES => hashes,
            Some(hashes) => {
                let what = format!("tile {tile} of level {level} has {} bytes", hashes.len());
                return Err(ProofError::Damaged(what));
            }
            None => {
                let first = tile * TILE_WIDTH;
                run(trees, log, level, first..first + u64::from(width), &mut room).await?.concat()
            }
        };
        tiles.insert((level, tile), hashes);
    }
    let answer = question.answer(&Tiles::new(tiles)).map_err(damaged)?;
    question.check(&answer).map_err(damaged)?;
    Ok(answer)
}

/// Hashes that follow each other in the tiles of a level, of which none is in a stored tile. `room` is for those
/// that are read in the place of tiles.
fn run<'a>(
    trees: &'a dyn TreeReads,
    log: &'a LogName,
    level: u8,
    hashes: Range<u64>,
    room: &'a mut u64,
) -> BoxFuture<'a, Result<Vec<Hash>, ProofError>> {
    Box::pin(async move {
        let Some(below) = level.checked_sub(1) else {
            return Ok(trees.leaf_hashes(log, hashes).await?);
        };
        let mut roots = trees.tile_roots(log, below, hashes.clone()).await?;
        let missing = hashes.start + roots.len() as u64..hashes.end;
        if !missing.is_empty() {
            let inside = missing.start * TILE_WIDTH..missing.end * TILE_WIDTH;
            *room = room.checked_sub(inside.end - inside.start).ok_or(ProofError::Behind)?;
            let missing = run(trees, log, below, inside, room).await?;
            let tiles = missing.concat();
            roots
                .extend(tiles.chunks_exact(HASH_BYTES << TILE_HEIGHT).map(|tile| Tile::subtree_hash(tile).0));
        }
        Ok(roots)
    })
}
