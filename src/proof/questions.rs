//! What can be asked about a tree, as the library answers it from nodes. Pure.
use tlog_tiles::tlog::{
    Error, Hash as Node, HashReader, check_record, check_tree, prove_record, prove_tree, stored_hash_index,
    tree_hash,
};

use super::prover::{Consistency, Inclusion};
use crate::tree::{Hash, TreeHead};

/// Something that can be asked about a tree.
pub trait Question {
    type Answer;

    /// The answer, from these nodes. Which ones it asks for does not depend on their values.
    fn answer<R: HashReader>(&self, nodes: &R) -> Result<Self::Answer, Error>;

    /// Whether the parts of an answer go together, which they do unless a node is wrong.
    fn check(&self, answer: &Self::Answer) -> Result<(), Error>;

    /// The tree that it is asked of, which has at least one leaf.
    fn size(&self) -> u64;

    /// The root of that tree.
    fn root(answer: &Self::Answer) -> Hash;
}

/// A question whose answer must also go together with another tree of the log, the anchor, of at least one leaf.
/// A wrong root of a tile can be in a proof and in the root of its tree alike; not in the anchor, too.
pub struct Anchored<Q> {
    pub question: Q,
    pub anchor: TreeHead,
}

impl<Q: Question> Question for Anchored<Q> {
    /// With the consistency proof between the two trees.
    type Answer = (Q::Answer, Vec<Hash>);

    fn answer<R: HashReader>(&self, nodes: &R) -> Result<Self::Answer, Error> {
        let (size, anchor) = (self.question.size(), self.anchor.size);
        let answer = self.question.answer(nodes)?;
        Ok((answer, hashes(prove_tree(size.max(anchor), size.min(anchor), nodes)?)))
    }

    fn check(&self, (answer, link): &Self::Answer) -> Result<(), Error> {
        self.question.check(answer)?;
        let tree = TreeHead { size: self.size(), root: Q::root(answer) };
        let in_order = tree.size <= self.anchor.size;
        let (first, second) = if in_order { (tree, self.anchor) } else { (self.anchor, tree) };
        check_tree(&self::nodes(link), second.size, Node(second.root), first.size, Node(first.root))
    }

    fn size(&self) -> u64 {
        self.question.size()
    }

    fn root((answer, _): &Self::Answer) -> Hash {
        Q::root(answer)
    }
}

/// The root of the tree of the first `size` leaves, at least one.
pub struct OfRoot {
    pub size: u64,
}

/// That a leaf is in the tree of the first `size` leaves, which are more than its position.
pub struct OfInclusion {
    pub position: u64,
    pub size: u64,
}

/// That the tree of the first `second` leaves begins with that of the first `first`, of at least one leaf and
/// no more.
pub struct OfConsistency {
    pub first: u64,
    pub second: u64,
}

impl Question for OfRoot {
    type Answer = Hash;

    fn answer<R: HashReader>(&self, nodes: &R) -> Result<Hash, Error> {
        Ok(tree_hash(self.size, nodes)?.0)
    }

    fn check(&self, _root: &Hash) -> Result<(), Error> {
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn root(root: &Hash) -> Hash {
        *root
    }
}

impl Question for OfInclusion {
    type Answer = Inclusion;

    fn answer<R: HashReader>(&self, nodes: &R) -> Result<Inclusion, Error> {
        let leaf = nodes.read_hashes(&[stored_hash_index(0, self.position)])?;
        Ok(Inclusion {
            leaf_hash: leaf.first().ok_or(Error::IndexesNotInTree)?.0,
            hashes: hashes(prove_record(self.size, self.position, nodes)?),
            root: tree_hash(self.size, nodes)?.0,
        })
    }

    fn check(&self, inclusion: &Inclusion) -> Result<(), Error> {
        let (root, leaf) = (Node(inclusion.root), Node(inclusion.leaf_hash));
        check_record(&nodes(&inclusion.hashes), self.size, root, self.position, leaf)
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn root(inclusion: &Inclusion) -> Hash {
        inclusion.root
    }
}

impl Question for OfConsistency {
    type Answer = Consistency;

    fn answer<R: HashReader>(&self, nodes: &R) -> Result<Consistency, Error> {
        Ok(Consistency {
            hashes: hashes(prove_tree(self.second, self.first, nodes)?),
            first_root: tree_hash(self.first, nodes)?.0,
            second_root: tree_hash(self.second, nodes)?.0,
        })
    }

    fn check(&self, consistency: &Consistency) -> Result<(), Error> {
        let (first, second) = (Node(consistency.first_root), Node(consistency.second_root));
        check_tree(&nodes(&consistency.hashes), self.second, second, self.first, first)
    }

    fn size(&self) -> u64 {
        self.second
    }

    fn root(consistency: &Consistency) -> Hash {
        consistency.second_root
    }
}

fn hashes(nodes: Vec<Node>) -> Vec<Hash> {
    nodes.into_iter().map(|node| node.0).collect()
}

fn nodes(hashes: &[Hash]) -> Vec<Node> {
    hashes.iter().map(|hash| Node(*hash)).collect()
}
