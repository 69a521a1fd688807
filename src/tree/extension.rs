//! Whether one tree extends another, by the library that did not make the proof.
use ct_merkle::{ConsistencyProof, RootHash};
use sha2::Sha256;

use super::{Frontier, Hash, TreeHead};

/// Checks that `second` is the tree of `first` with leaves behind it, or the same tree.
///
/// Every tree extends the empty one, and needs no proof for that.
///
/// # Errors
/// Why it is not.
pub fn check_extension(first: &TreeHead, second: &TreeHead, proof: &[Hash]) -> Result<(), String> {
    if first.size > second.size {
        return Err(format!("a tree of {} leaves does not extend one of {}", second.size, first.size));
    }
    let empty = Frontier::default().head();
    if [first, second].iter().any(|head| head.size == 0 && **head != empty) {
        return Err("an empty tree has another root".to_owned());
    }
    if first.size == 0 || first.size == second.size {
        if !proof.is_empty() {
            return Err(format!("a proof of {} hashes where none is needed", proof.len()));
        }
        return if first.size == 0 || first.root == second.root {
            Ok(())
        } else {
            Err(format!("two trees of {} leaves have different roots", first.size))
        };
    }
    let proof =
        ConsistencyProof::<Sha256>::try_from_bytes(proof.concat()).map_err(|error| error.to_string())?;
    of(second).verify_consistency(&of(first), &proof).map_err(|error| error.to_string())
}

fn of(head: &TreeHead) -> RootHash<Sha256> {
    RootHash::new(head.root.into(), head.size)
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

    fn tree(leaves: u8) -> MemoryBackedTree<Sha256, [u8; 1]> {
        let mut tree = MemoryBackedTree::new();
        (0..leaves).for_each(|leaf| tree.push([leaf]));
        tree
    }

    fn head(leaves: u8) -> TreeHead {
        TreeHead { size: u64::from(leaves), root: (*tree(leaves).root().as_bytes()).into() }
    }

    #[test]
    fn what_is_proved_is_taken_and_nothing_else() {
        for second in 1..20_u8 {
            for first in 0..=second {
                let (old, new) = (head(first), head(second));
                let proof = match first {
                    0 => Vec::new(),
                    _ => tree(second).prove_consistency(usize::from(second - first)).as_bytes().to_vec(),
                };
                let proof: Vec<Hash> = proof.as_chunks().0.to_vec();
                assert_eq!(check_extension(&old, &new, &proof), Ok(()), "{first} {second}");
                let more = [&proof[..], &[[0; 32]]].concat();
                assert!(check_extension(&old, &new, &more).is_err(), "{first} {second}");
                let other = |head: &TreeHead| TreeHead { root: [7; 32], ..*head };
                assert!(check_extension(&other(&old), &new, &proof).is_err(), "{first} {second}");
                // Whatever its root, a tree extends the empty one.
                assert_eq!(
                    check_extension(&old, &other(&new), &proof).is_err(),
                    first > 0,
                    "{first} {second}"
                );
                if first < second {
                    assert!(check_extension(&new, &old, &proof).is_err(), "{first} {second}");
                }
            }
        }
    }
}
