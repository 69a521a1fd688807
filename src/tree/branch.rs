//! The end of a tree with all its nodes: proves its leaves without a store.
use tlog_tiles::tlog::{Hash as Node, prove_record, stored_hashes_for_record_hash, tree_hash};

use super::{
    Frontier, Hash, TreeHead,
    frontier::{Edge, known},
};

/// A tree that keeps every node from some leaf on. That is two hashes a leaf, so 64 bytes: whoever pushes bounds
/// how many.
pub struct Branch {
    edge: Edge,
    from: u64,
    size: u64,
}

impl Branch {
    /// What grows on a tree of which only the edge is known.
    pub fn of(tree: &Frontier) -> Self {
        Self { edge: Edge::of(tree), from: tree.size(), size: tree.size() }
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: &Hash) {
        let nodes = known(stored_hashes_for_record_hash(self.size, Node(*leaf), &self.edge));
        self.edge.new.extend(nodes);
        self.size += 1;
    }

    /// Size and root of the whole tree.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: known(tree_hash(self.size, &self.edge)).0 }
    }

    /// The audit path of a leaf, from its sibling upwards. None for leaves before the first that was pushed, and
    /// for those that are still to come.
    pub fn path(&self, position: u64) -> Option<Vec<Hash>> {
        if !(self.from..self.size).contains(&position) {
            return None;
        }
        let path = known(prove_record(self.size, position, &self.edge));
        Some(path.into_iter().map(|node| node.0).collect())
    }
}
