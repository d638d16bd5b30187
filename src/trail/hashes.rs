//! Hashes of RFC 6962 as writing and verifying need them: over slices, in place, without an allocation for each.
//!
//! The crate's functions are for proofs, and take a vector for each leaf and node. Here a leaf is hashed for each record, and
//! a tile's root for each 256 of them, so that costs count.

use crate::trail::layout::TILE_WIDTH;
use sha2::{Digest, Sha256};
use tlog_tiles::{EMPTY_HASH, HASH_SIZE};

/// A hash of a leaf, of a node or of a tree.
pub type Node = [u8; HASH_SIZE];

/// Levels of tiles: one of level 8 would span more records than an index can count.
pub const LEVELS: usize = 8;
/// Hashes of a full tile.
pub const WIDTH: usize = TILE_WIDTH as usize;

/// What has the hash of a leaf when the bytes of its record have been put in.
pub fn leaf() -> Sha256 {
    Sha256::new().chain_update([0])
}

/// The hash of a leaf.
pub fn leaf_of(record: &[u8]) -> Node {
    leaf().chain_update(record).finalize().into()
}

/// The hash of two neighbours.
fn node(left: &Node, right: &Node) -> Node {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree over `nodes`, full subtrees of one level of which the last may be a smaller one. That of the empty
/// tree where there are none.
pub fn root_of(nodes: &[Node]) -> Node {
    let mut level: Vec<Node> = nodes.to_vec();
    while level.len() > 1 {
        let half = level.len() / 2;
        let mut next = Vec::with_capacity(half + 1);
        // An odd one is its own parent.
        next.extend(level.chunks(2).map(|pair| match pair {
            [left, right] => node(left, right),
            [only, ..] => *only,
            [] => EMPTY_HASH.0,
        }));
        level = next;
    }
    level.first().copied().unwrap_or(EMPTY_HASH.0)
}

/// The root of a tree of which, by level, the hashes behind the last full tile are `open`.
pub fn root_of_edge<'a>(open: impl Iterator<Item = &'a [Node]>) -> Node {
    let mut rest: Option<Node> = None;
    for nodes in open {
        if nodes.is_empty() {
            continue;
        }
        let mut all = nodes.to_vec();
        all.extend(rest);
        rest = Some(root_of(&all));
    }
    rest.unwrap_or(EMPTY_HASH.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The leaves and roots of the tests of certificate-transparency-go and transparency-dev/merkle
    /// (`testonly/constants.go`), by which implementations of RFC 6962 are compared.
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let leaves: Vec<Node> = leaves.iter().map(|text| leaf_of(&hex(text))).collect();
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(root_of(&leaves[..size]).to_vec(), hex(root), "{size}");
            assert_eq!(root_of_edge([&leaves[..size]].into_iter()).to_vec(), hex(root), "{size}");
        }
    }
}
