//! Every proof is checked by a library that had no part in making it.
use std::{collections::HashMap, sync::atomic::Ordering};

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use futures::FutureExt as _;
use sha2::Sha256;
use tlog_tiles::tile::Tile;

use super::{
    nodes::Tiles,
    prover::{Consistency, Inclusion, ProofError, answer},
    questions::{Anchored, OfConsistency, OfInclusion, OfRoot, Question},
    trees_tests::{Numbered, content},
    uniform_tests::Uniform,
};
use crate::{
    event::LogName,
    store::TreeReads,
    tree::{Frontier, Hash, TreeHead},
};

fn ask<Q: Question + Sync>(trees: &dyn TreeReads, question: &Q) -> Result<Q::Answer, ProofError> {
    let log = LogName::parse("main").expect("a log");
    answer(trees, &log, question).now_or_never().expect("nothing here is waited for")
}

fn get<Q: Question + Sync>(trees: &dyn TreeReads, question: &Q) -> Q::Answer {
    ask(trees, question).expect("an answer")
}

/// Roots of the trees of the first 0, 1, ... numbered leaves.
fn roots(size: u64) -> Vec<RootHash<Sha256>> {
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut roots = vec![tree.root()];
    for number in 0..size {
        tree.push(content(number));
        roots.push(tree.root());
    }
    roots
}

fn root(root: Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new(root.into(), size)
}

fn holds(leaf: &Vec<u8>, position: u64, inclusion: &Inclusion, root: &RootHash<Sha256>) {
    assert_eq!(inclusion.root[..], root.as_bytes()[..]);
    let proof = InclusionProof::try_from_bytes(inclusion.hashes.concat()).expect("a proof");
    root.verify_inclusion(leaf, position, &proof).expect("the leaf is in the tree");
    assert_eq!(inclusion.leaf_hash, crate::event::leaf_hash(leaf));
}

fn begins(consistency: &Consistency, first: &RootHash<Sha256>, second: &RootHash<Sha256>) {
    assert_eq!(consistency.first_root[..], first.as_bytes()[..]);
    assert_eq!(consistency.second_root[..], second.as_bytes()[..]);
    let proof = ConsistencyProof::try_from_bytes(consistency.hashes.concat()).expect("a proof");
    if first.num_leaves() < second.num_leaves() {
        second.verify_consistency(first, &proof).expect("the second begins with the first");
    } else {
        assert_eq!(consistency.hashes, [[0; 32]; 0]);
    }
}

/// The tiles of a log of numbered leaves, as the store has them when the log has this size, for any question: most
/// of the time goes into hashing, and so each node of a size is hashed once.
fn tiles(size: u64) -> Tiles {
    let leaves: Vec<Hash> = (0..size).map(|number| crate::event::leaf_hash(&content(number))).collect();
    let mut tiles: HashMap<_, _> = (0..).zip(leaves.chunks(256).map(<[Hash]>::concat)).collect();
    let full = tiles.values().filter(|tile: &&Vec<u8>| tile.len() == 8192);
    let roots: Vec<u8> = full.flat_map(|tile| Tile::subtree_hash(tile).0).collect();
    let mut tiles: HashMap<_, _> = tiles.drain().map(|(tile, hashes)| ((0, tile), hashes)).collect();
    tiles.insert((1, 0), roots);
    Tiles::new(tiles)
}

#[test]
fn every_position_in_every_size_up_to_300() {
    let roots = roots(300);
    for size in 1..=300 {
        let (tiles, of_size) = (tiles(size), &roots[size as usize]);
        for position in 0..size {
            let inclusion = OfInclusion { position, size }.answer(&tiles).expect("a proof");
            holds(&content(position), position, &inclusion, of_size);
        }
    }
}

#[test]
fn every_pair_of_sizes_up_to_300() {
    let roots = roots(300);
    for second in 1..=300 {
        let tiles = tiles(second);
        for first in 1..=second {
            let consistency = OfConsistency { first, second }.answer(&tiles).expect("a proof");
            begins(&consistency, &roots[first as usize], &roots[second as usize]);
        }
    }
}

#[test]
fn every_size_up_to_300_from_a_store() {
    let roots = roots(300);
    for size in 1..=300 {
        let (trees, of_size) = (Numbered::new(size), &roots[size as usize]);
        assert_eq!(get(&trees, &OfRoot { size })[..], of_size.as_bytes()[..]);
        let position = size * 7 % 300 % size;
        holds(&content(position), position, &get(&trees, &OfInclusion { position, size }), of_size);
        let (first, second) = (position + 1, size);
        begins(&get(&trees, &OfConsistency { first, second }), &roots[first as usize], of_size);
    }
}

/// Sizes around the borders of tiles of two levels.
const BORDERS: [u64; 9] = [1, 255, 256, 257, 512, 65_535, 65_536, 65_537, 66_000];

#[test]
fn sizes_around_the_borders_of_tiles() {
    let roots = roots(66_000);
    // As the store is when the log has just the size, and when it has grown.
    for head in BORDERS {
        let mut trees = Numbered::new(head);
        trees.pruned = head >> 8 << 8;
        for size in BORDERS.into_iter().filter(|size| *size <= head) {
            let of_size = &roots[size as usize];
            for position in BORDERS.iter().map(|border| border - 1).filter(|position| *position < size) {
                let inclusion = get(&trees, &OfInclusion { position, size });
                holds(&content(position), position, &inclusion, of_size);
            }
            for first in BORDERS.into_iter().filter(|first| *first <= size) {
                begins(&get(&trees, &OfConsistency { first, second: size }), &roots[first as usize], of_size);
            }
        }
    }
}

#[test]
fn a_log_of_any_size_takes_few_statements() {
    for size in [1_u64 << 24, (1 << 24) + 65_536 + 256 + 1, 50_000_000, (1 << 32) + 5, (1 << 40) - 1] {
        let trees = Uniform::new(size);
        // The edge of a tree of which all complete subtrees are known.
        let heights = (0..64).rev().filter(|height| size >> height & 1 == 1);
        let edge = heights.map(|height| trees.nodes[height]).collect::<Vec<_>>().concat();
        let of_size = Frontier::restore(size, &edge).expect("an edge").root();
        for position in [0, 1, 255, 256, 65_535, 65_536, size / 2, size / 3, size - 257, size - 1] {
            let inclusion = get(&trees, &OfInclusion { position, size });
            holds(&b"the same".to_vec(), position, &inclusion, &root(of_size, size));
            let first = position + 1;
            let consistency = get(&trees, &OfConsistency { first, second: size });
            begins(&consistency, &root(consistency.first_root, first), &root(of_size, size));
            let statements = trees.statements.swap(0, Ordering::Relaxed);
            // Two questions: the tiles, and one tile of each level that is not full.
            let levels = (size.ilog2() as usize) / 8 + 1;
            assert!(statements <= 2 * (1 + levels), "{statements} statements for {size}");
        }
    }
}

#[test]
fn tiles_that_are_not_written_yet_are_made_for_the_proof() {
    let size = 66_000;
    let whole = Numbered::new(size);
    for stored in [[150, 0], [200, 0], [256, 0], [257, 0], [257, 1]] {
        let mut trees = Numbered::new(size);
        trees.stored = stored;
        // Of what is in a tile no event is read.
        trees.pruned = stored[0] * 256;
        for position in [0, 300, 65_535, 65_536, 65_999] {
            let question = OfInclusion { position, size };
            assert_eq!(get(&trees, &question), get(&whole, &question), "{stored:?} {position}");
        }
        let question = OfConsistency { first: 40_000, second: size };
        assert_eq!(get(&trees, &question), get(&whole, &question), "{stored:?}");
    }
}

#[test]
fn more_missing_tiles_than_a_proof_may_read_are_waited_for() {
    let mut trees = Numbered::new(200_000);
    trees.stored = [400, 1];
    let question = OfInclusion { position: 5, size: 200_000 };
    assert!(matches!(ask(&trees, &question), Err(ProofError::Behind)));
    trees.stored = [600, 1];
    assert_eq!(get(&trees, &question), get(&Numbered::new(200_000), &question));
}

#[test]
fn a_damaged_tile_makes_no_wrong_proof() {
    let (size, position) = (66_000, 12_345);
    let (inclusion, consistency) =
        (OfInclusion { position, size }, OfConsistency { first: 12_345, second: size });
    let mut trees = Numbered::new(size);
    let (whole, begun) = (get(&trees, &inclusion), get(&trees, &consistency));
    let mut found = 0;
    for place in [(0, 48), (1, 0)] {
        for bit in (0..8192 * 8).step_by(509) {
            trees.damaged = Some((place, bit));
            for answer in [
                ask(&trees, &inclusion).map(|answer| answer == whole),
                ask(&trees, &consistency).map(|answer| answer == begun),
            ] {
                match answer {
                    Ok(same) => assert!(same, "tile {place:?}, bit {bit}"),
                    Err(ProofError::Damaged(_)) => found += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    assert!(found > 100, "only {found} of the wrong bits mattered");
}

/// The root of a tile may be in a proof and in the root of the tree alike; but not in what was signed.
#[test]
fn a_damaged_root_of_a_tile_makes_no_wrong_proof_beside_a_signed_tree() {
    let mut trees = Numbered::new(1300);
    for (size, anchored) in [(1300, 1300), (1300, 1100), (1290, 1300), (700, 1100), (1100, 300)] {
        let of = |size| {
            let root = get(&Numbered::new(1300), &OfRoot { size });
            TreeHead { size, root }
        };
        let anchor = of(anchored);
        let question = || Anchored { question: OfInclusion { position: 600, size }, anchor };
        let consistency = || Anchored { question: OfConsistency { first: 600, second: size }, anchor };
        trees.damaged_root = None;
        let (whole, begun) = (get(&trees, &question()), get(&trees, &consistency()));
        let mut found = 0;
        for tile in 0..5 {
            trees.damaged_root = Some((0, tile));
            for answer in [
                ask(&trees, &question()).map(|answer| answer == whole),
                ask(&trees, &consistency()).map(|answer| answer == begun),
            ] {
                match answer {
                    Ok(same) => assert!(same || tile * 256 >= anchored, "{size} {anchored} {tile}"),
                    Err(ProofError::Damaged(_)) => found += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
        assert!(found > 0, "{size} {anchored}");
    }
}
