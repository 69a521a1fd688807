//! The Merkle tree of a log (RFC 6962), as far as it needs no store: pure functions over hashes.
//!
//! The maths is `tlog_tiles`', of which `tlog` and the geometry of `tile::Tile` are used and nothing else. Its
//! `TileHashReader` takes forged tiles for authentic ones (the flaw of GO-2026-6179): never use it. What it
//! proves is checked by another crate, `ct-merkle`: here ([`check_extension`]), in `verify` and in the tests.
mod branch;
mod extension;
mod frontier;

pub use branch::Branch;
pub use extension::check_extension;
pub use frontier::Frontier;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// Size and root of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeHead {
    /// Leaves.
    pub size: u64,
    /// Root of them all.
    pub root: Hash,
}

/// SHA-256: of a leaf, of a node, or the root.
pub type Hash = [u8; HASH_BYTES];
