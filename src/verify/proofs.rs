//! Proofs of inclusion, checked by the library that did not make them.
use ct_merkle::{InclusionProof, RootHash, indices_for_inclusion_proof};
use sha2::Sha256;

use super::{Frontier, Hash, TreeHead};

/// Checks that a tree has this record at this position.
///
/// # Errors
/// Why the path does not show it.
pub fn included(record: &[u8], position: u64, path: &[Hash], head: &TreeHead) -> Result<(), String> {
    let proof = InclusionProof::<Sha256>::try_from_bytes(path.concat()).map_err(|error| error.to_string())?;
    let root = RootHash::new(head.root.into(), head.size);
    root.verify_inclusion(&record, position, &proof).map_err(|error| error.to_string())
}

/// The tree of everything before a position, from that position's audit path in a tree of `size` leaves: the
/// siblings on the left of the path are the complete subtrees of what lies before it. Nothing is checked: whoever
/// goes on from here must arrive at a root that is signed.
///
/// # Errors
/// The path is not one of this position.
pub fn left_edge(position: u64, size: u64, path: &[Hash]) -> Result<Frontier, String> {
    if position >= size || position > u64::MAX / 4 || size > u64::MAX / 4 {
        return Err(format!("position {position} is not in a tree of {size} leaves"));
    }
    let nodes = indices_for_inclusion_proof(size, position);
    if nodes.len() != path.len() {
        return Err(format!("a path of {} hashes where {} are needed", path.len(), nodes.len()));
    }
    // The library numbers nodes from left to right, leaves twice their position. Paths go upwards, from the
    // smallest subtree to the largest.
    let left = nodes.iter().zip(path).rev().filter(|(node, _)| **node < 2 * position);
    let hashes: Vec<u8> = left.flat_map(|(_, hash)| *hash).collect();
    Frontier::restore(position, &hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::leaf_hash, tree::Branch};

    fn record(position: u64) -> Vec<u8> {
        format!("record {position}").into_bytes()
    }

    /// Prover and verifier are two libraries. Every size up to 300, of every third position; the edge before a
    /// position proves all that is behind it.
    #[test]
    fn what_one_library_proves_the_other_accepts() {
        for size in 1..=300_u64 {
            let mut whole = Branch::of(&Frontier::default());
            (0..size).for_each(|position| whole.push(&leaf_hash(&record(position))));
            let head = whole.head();
            for first in (size % 3..size).step_by(3) {
                let path = whole.path(first).expect("a leaf");
                assert_eq!(included(&record(first), first, &path, &head), Ok(()), "{first} of {size}");
                assert!(included(&record(first + 1), first, &path, &head).is_err());
                if size % 10 != 0 && first % 7 != 0 {
                    continue;
                }
                let edge = left_edge(first, size, &path).expect("an edge");
                let mut part = Branch::of(&edge);
                (first..size).for_each(|position| part.push(&leaf_hash(&record(position))));
                assert_eq!(part.head(), head, "{first} of {size}");
                for position in first..size {
                    assert_eq!(part.path(position), whole.path(position), "{position} of {size}");
                }
                assert_eq!(
                    (first.checked_sub(1).and_then(|before| part.path(before)), part.path(size)),
                    (None, None)
                );
            }
        }
    }

    #[test]
    fn a_path_of_another_position_gives_no_edge() {
        let path = vec![[1; 32]; 3];
        assert!(left_edge(5, 8, &path).is_ok());
        for (position, size, path) in [(5, 8, &path[..2]), (8, 8, &path[..]), (u64::MAX, u64::MAX, &path[..])]
        {
            assert!(left_edge(position, size, path).is_err(), "{position} of {size}");
        }
    }
}
