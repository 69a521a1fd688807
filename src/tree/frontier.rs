//! The right edge of a tree: all that is needed to append to it and to know its root.
use tlog_tiles::tlog::{
    Error, Hash as Node, HashReader, stored_hash_count, stored_hashes_for_record_hash, sub_tree_index,
    tree_hash,
};

use super::{HASH_BYTES, Hash, TreeHead};

/// The tree of a log's first `size` leaves, by the roots of its complete subtrees: one per bit that is set in the
/// size, the largest first. 64 of them at most, so 2 KiB.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// Reads what [`Frontier::bytes`] wrote for a tree of this size.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn restore(size: u64, bytes: &[u8]) -> Result<Self, String> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.len() != size.count_ones() as usize {
            return Err(format!("the edge of a tree of {size} leaves cannot have {} bytes", bytes.len()));
        }
        Ok(Self { size, hashes: hashes.to_vec() })
    }

    /// Its hashes, one after the other.
    pub fn bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        known(tree_hash(self.size, &Edge::of(self))).0
    }

    /// Its size and root.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }

    /// The tree with these leaves behind its own.
    #[must_use]
    pub fn extended<'a>(&self, leaves: impl IntoIterator<Item = &'a Hash>) -> Self {
        let mut edge = Edge::of(self);
        let mut size = self.size;
        for leaf in leaves {
            edge.new.extend(known(stored_hashes_for_record_hash(size, Node(*leaf), &edge)));
            size += 1;
        }
        let hashes = known(edge.read_hashes(&sub_tree_index(0, size, Vec::new())));
        Self { size, hashes: hashes.into_iter().map(|hash| hash.0).collect() }
    }
}

/// The nodes that can be asked for while a tree grows: those of its former edge, and all that came since, which
/// are numbered without gaps.
pub(super) struct Edge {
    /// By number, ascending.
    old: Vec<(u64, Node)>,
    /// Number of the first new one.
    first: u64,
    pub(super) new: Vec<Node>,
}

impl Edge {
    pub(super) fn of(tree: &Frontier) -> Self {
        let mut old: Vec<_> = sub_tree_index(0, tree.size, Vec::new())
            .into_iter()
            .zip(tree.hashes.iter().map(|hash| Node(*hash)))
            .collect();
        old.sort_unstable_by_key(|(number, _)| *number);
        Self { old, first: stored_hash_count(tree.size), new: Vec::new() }
    }

    fn node(&self, number: u64) -> Option<Node> {
        if let Some(at) = number.checked_sub(self.first) {
            return self.new.get(usize::try_from(at).ok()?).copied();
        }
        let at = self.old.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.old.get(at).map(|(_, node)| *node)
    }
}

impl HashReader for Edge {
    fn read_hashes(&self, numbers: &[u64]) -> Result<Vec<Node>, Error> {
        let nodes = numbers.iter().map(|number| self.node(*number));
        nodes.collect::<Option<_>>().ok_or_else(|| Error::InvalidInput("not at the edge of the tree".into()))
    }
}

/// The edge holds every node that an append or the root asks for: `restore` has checked that there is one per
/// bit of the size, and the library names no others.
#[expect(clippy::expect_used, reason = "a tree whose edge lacks a node must not be written on")]
pub(super) fn known<T>(nodes: Result<T, Error>) -> T {
    // Unwrap safety: see above.
    nodes.expect("the edge of a tree holds what it takes to extend it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(number: u32) -> Hash {
        crate::event::leaf_hash(&number.to_be_bytes())
    }

    #[test]
    fn the_root_of_nothing_is_the_published_one() {
        // SHA-256 of the empty string: RFC 6962, section 2.1.
        assert_eq!(Frontier::default().root()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }

    #[test]
    fn it_is_the_tree_that_an_independent_library_builds_however_the_leaves_come() {
        let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
        let mut one_by_one = Frontier::default();
        for number in 0..600_u32 {
            other.push(number.to_be_bytes().to_vec());
            one_by_one = one_by_one.extended([&leaf(number)]);
            assert_eq!(one_by_one.root()[..], other.root().as_bytes()[..], "{number}");
            let restored = Frontier::restore(one_by_one.size(), &one_by_one.bytes());
            assert_eq!(restored.as_ref(), Ok(&one_by_one));
            let cut = number * 7 % (number + 1);
            let (head, tail): (Vec<_>, Vec<_>) =
                ((0..cut).map(leaf).collect(), (cut..=number).map(leaf).collect());
            assert_eq!(Frontier::default().extended(&head).extended(&tail), one_by_one, "{cut} {number}");
        }
    }

    #[test]
    fn an_edge_of_another_size_is_refused() {
        let three = Frontier::default().extended(&[leaf(0), leaf(1), leaf(2)]).bytes();
        assert!(Frontier::restore(3, &three).is_ok());
        for (size, bytes) in [(4, &three[..]), (3, &three[..63]), (0, &three[..]), (7, &three[..])] {
            assert!(Frontier::restore(size, bytes).is_err(), "{size}");
        }
    }
}
