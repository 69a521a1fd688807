//! Trees as somebody else builds them, and logs that are put into a store behind the server's back.
use std::time::{Duration, Instant};

use chancery::{
    proto::v1::{Checkpoint, GetConsistencyProofResponse, GetInclusionProofResponse},
    tree::Frontier,
};
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use sha2::Sha256;

use super::{Kind, TestStore, database::Database};

/// The tree of some leaves, by a library that the server does not have.
pub struct Tree {
    contents: Vec<Vec<u8>>,
    /// Of the first 0, 1, ... leaves.
    roots: Vec<RootHash<Sha256>>,
}

impl Tree {
    /// Of these contents.
    pub fn of(contents: Vec<Vec<u8>>) -> Self {
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut roots = vec![tree.root()];
        for content in &contents {
            tree.push(content.clone());
            roots.push(tree.root());
        }
        Self { contents, roots }
    }

    /// Of the records that a store holds.
    pub async fn stored(database: &mut Database, log: &str) -> Self {
        let records = format!("SELECT record FROM events WHERE log = '{log}' ORDER BY position");
        Self::of(database.bytes(&records).await)
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.contents.len() as u64
    }

    /// The root of the first leaves.
    pub fn root(&self, size: u64) -> [u8; 32] {
        self.roots[size as usize].as_bytes()[..].try_into().expect("a hash")
    }

    fn is(&self, tree: Option<&Checkpoint>, size: u64) {
        let tree = tree.expect("a tree");
        assert_eq!(tree.tree_size, size);
        assert_eq!(tree.root_hash[..], self.root(size));
    }

    /// Asserts that a proof is one that the leaf at a position is in the tree of a size.
    pub fn holds(&self, position: u64, size: u64, answer: &GetInclusionProofResponse) {
        self.is(answer.checkpoint.as_ref(), size);
        let content = &self.contents[position as usize];
        assert_eq!(answer.leaf_hash[..], chancery::event::leaf_hash(content)[..]);
        let proof = InclusionProof::try_from_bytes(answer.hashes.concat()).expect("a proof");
        let root = &self.roots[size as usize];
        root.verify_inclusion(content, position, &proof)
            .unwrap_or_else(|error| panic!("position {position} of {size}: {error:?}"));
    }

    /// Asserts that a proof is one that the tree of one size begins with that of another.
    pub fn begins(&self, first: u64, second: u64, answer: &GetConsistencyProofResponse) {
        self.is(answer.first.as_ref(), first);
        self.is(answer.second.as_ref(), second);
        let proof = ConsistencyProof::try_from_bytes(answer.hashes.concat()).expect("a proof");
        if first == second {
            assert!(answer.hashes.is_empty());
            return;
        }
        let (one, other) = (&self.roots[first as usize], &self.roots[second as usize]);
        other
            .verify_consistency(one, &proof)
            .unwrap_or_else(|error| panic!("from {first} to {second}: {error:?}"));
    }
}

/// Contents that are numbers.
pub fn numbers(leaves: u64) -> Vec<Vec<u8>> {
    (0..leaves).map(|number| number.to_be_bytes().to_vec()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in a statement.
pub fn literal(kind: Kind, bytes: &[u8]) -> String {
    match kind {
        Kind::Sqlite => format!("x'{}'", hex(bytes)),
        Kind::Postgres => format!("'\\x{}'::bytea", hex(bytes)),
    }
}

/// Puts a log of these records into a store: its events and the edge of its tree, and no tile.
pub async fn fill(store: &TestStore, database: &mut Database, log: &str, contents: &[Vec<u8>]) {
    if store.kind == Kind::Postgres {
        let partition = "CREATE TABLE IF NOT EXISTS events_p0 PARTITION OF events_shared FOR VALUES FROM (0) TO (16777216)";
        database.run(partition).await;
    }
    let leaves: Vec<_> = contents.iter().map(|content| chancery::event::leaf_hash(content)).collect();
    for (chunk, first) in contents.chunks(2000).zip((0..).step_by(2000)) {
        let row = |(at, content): (usize, &Vec<u8>)| {
            let (record, leaf) = (literal(store.kind, content), literal(store.kind, &leaves[at]));
            format!(
                "('{log}', {at}, {record}, {leaf}, 1, '', '', '', 1, '', '', '', '', '', {at}, {at}, '', 0)"
            )
        };
        let rows: Vec<_> = (first..).zip(chunk).map(row).collect();
        database
            .run(&format!(
                "INSERT INTO events (log, position, record, leaf_hash, family, code, name, category, outcome, \
                 producer, actor, subject, device, correlation_id, occurred_at, received_at, attributes, severity) \
                 VALUES {}",
                rows.join(", ")
            ))
            .await;
    }
    let tree = Frontier::default().extended(&leaves);
    let (size, edge) = (tree.size(), literal(store.kind, &tree.bytes()));
    database
        .run(&format!(
            "INSERT INTO log_head (log, size, tree_size, frontier, filled) VALUES ('{log}', {size}, {size}, {edge}, {size})"
        ))
        .await;
}

/// Waits until every full tile of a tree of this size is there.
pub async fn tiled(database: &mut Database, log: &str, size: u64) {
    let begun = Instant::now();
    let expected = ((size >> 8) + (size >> 16)) as i64;
    let count = format!("SELECT count(*) FROM tiles WHERE log = '{log}'");
    loop {
        let tiles = database.number(&count).await;
        if tiles == expected {
            return;
        }
        assert!(tiles < expected, "{tiles} tiles of {size} leaves");
        assert!(begun.elapsed() < Duration::from_secs(120), "{tiles} of {expected} tiles after two minutes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asserts that the tiles of a log are made of its leaves, and nothing else is there.
pub async fn assert_tiles(database: &mut Database, log: &str) {
    let mut hashes =
        database.bytes(&format!("SELECT leaf_hash FROM events WHERE log = '{log}' ORDER BY position")).await;
    for level in 0.. {
        let of_level = format!("FROM tiles WHERE log = '{log}' AND level = {level} ORDER BY tile");
        let tiles = database.bytes(&format!("SELECT hashes {of_level}")).await;
        let expected: Vec<_> = hashes.chunks_exact(256).map(<[Vec<u8>]>::concat).collect();
        assert!(tiles == expected, "level {level}: {} tiles of {}", tiles.len(), expected.len());
        hashes = database.bytes(&format!("SELECT root {of_level}")).await;
        // A tile is a tree of its own.
        for (root, tile) in hashes.iter().zip(&tiles) {
            let leaves: Vec<[u8; 32]> = tile.as_chunks().0.to_vec();
            assert_eq!(root[..], Frontier::default().extended(&leaves).root()[..]);
        }
        if tiles.is_empty() {
            return;
        }
    }
}
