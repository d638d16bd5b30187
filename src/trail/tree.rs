//! A Merkle tree as it grows: only its right edge is kept, what is to its left lies in full tiles on disk.

use super::hashes::{LEVELS, Node, root_of, root_of_edge};
use super::layout::{self, TILE_WIDTH, Tile, edge, level_hashes};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use tlog_tiles::{HASH_SIZE, Hash};

/// The right edge of a tree.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    /// By level, the hashes behind the last full tile: up to 255.
    open: [Vec<Node>; LEVELS],
}

/// A tile and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Where it belongs.
    pub tile: Tile,
    /// Its hashes, one behind the other.
    pub hashes: Vec<u8>,
}

fn content(tile: Tile, hashes: &[Node]) -> Content {
    Content { tile, hashes: hashes.concat() }
}

impl Edge {
    /// How many records there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. Tiles that are full now are added to `full`, those of the lowest level first.
    pub fn push(&mut self, leaf: Node, full: &mut Vec<Content>) {
        self.size += 1;
        let mut hash = leaf;
        for (level, open) in (0..).zip(&mut self.open) {
            open.push(hash);
            if (open.len() as u64) < TILE_WIDTH {
                return;
            }
            let index = level_hashes(self.size, level) / TILE_WIDTH - 1;
            full.push(content(Tile { level, index, width: TILE_WIDTH }, open));
            hash = root_of(open);
            open.clear();
        }
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        Hash(root_of_edge(self.open.iter().map(Vec::as_slice)))
    }

    /// The partial tiles.
    pub fn partial(&self) -> impl Iterator<Item = Content> {
        edge(self.size)
            .zip(&self.open)
            .filter(|(tile, _)| tile.width < TILE_WIDTH)
            .map(|(tile, open)| content(tile, open))
    }

    /// Reads the right edge of a tree of `size` records from the tiles of the trail at `folder`.
    ///
    /// # Errors
    ///
    /// What the system says; a tile of a wrong length is [`ErrorKind::InvalidData`].
    pub fn read(folder: &Path, size: u64) -> io::Result<Edge> {
        let mut read = Edge { size, ..Edge::default() };
        for (tile, open) in edge(size).zip(&mut read.open) {
            if tile.width < TILE_WIDTH {
                *open = hashes(folder, tile)?;
            }
        }
        Ok(read)
    }
}

/// The hashes of a tile. Where a partial one is not there, the beginning of its full one, or of a wider one.
///
/// # Errors
///
/// What the system says, with the path; a tile of a wrong length is [`ErrorKind::InvalidData`].
pub fn hashes(folder: &Path, tile: Tile) -> io::Result<Vec<Node>> {
    let path = folder.join(tile.path());
    let (bytes, width) = match layout::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            // What is said to be missing is what was looked for.
            let missing = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            let wider = wider(folder, tile).ok_or_else(|| missing(e))?;
            (layout::read(&folder.join(wider.path())).map_err(missing)?, wider.width)
        }
        read => (read.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?, tile.width),
    };
    let wanted = width as usize * HASH_SIZE;
    if bytes.len() != wanted {
        let why = format!("{}: the tile has {} bytes instead of {wanted}", path.display(), bytes.len());
        return Err(io::Error::new(ErrorKind::InvalidData, why));
    }
    let hashes = bytes.as_chunks::<HASH_SIZE>().0.iter();
    Ok(hashes.take(tile.width as usize).copied().collect())
}

/// A tile that begins with the hashes of `tile`, which is partial.
fn wider(folder: &Path, tile: Tile) -> Option<Tile> {
    let full = Tile { width: TILE_WIDTH, ..tile };
    if folder.join(full.path()).is_file() {
        return Some(full);
    }
    let path = folder.join(tile.path());
    let names = fs::read_dir(path.parent()?).ok()?;
    let widths = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    let width = widths.filter(|width| *width > tile.width && *width < TILE_WIDTH).min()?;
    Some(Tile { width, ..tile })
}

#[cfg(test)]
mod tests {
    use super::super::hashes::leaf_of;
    use super::*;
    use std::collections::BTreeMap;
    use tlog_tiles::{EMPTY_HASH, HashReader, stored_hashes, tree_hash};

    /// All hashes of a tree in memory, by the crate.
    #[derive(Default)]
    struct Stored(Vec<Hash>);

    impl HashReader for Stored {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
            Ok(indexes.iter().map(|at| self.0[*at as usize]).collect())
        }
    }

    #[test]
    fn roots_and_tiles_are_those_of_another_implementation() {
        let (mut edge, mut stored, mut full) = (Edge::default(), Stored::default(), Vec::new());
        assert_eq!(edge.root(), EMPTY_HASH);
        for at in 0..66_000_u64 {
            let record = at.to_string();
            let more = stored_hashes(at, record.as_bytes(), &stored).unwrap();
            stored.0.extend(more);
            edge.push(leaf_of(record.as_bytes()), &mut full);
            if at < 1_000 || at % 997 == 0 {
                assert_eq!(edge.root(), tree_hash(at + 1, &stored).unwrap(), "{at}");
            }
        }
        let known: BTreeMap<Tile, Vec<u8>> = full.iter().map(|one| (one.tile, one.hashes.clone())).collect();
        assert_eq!(known.len(), full.len());
        let tiles = tlog_tiles::Tile::new_tiles(8, 0, 66_000);
        let partial: Vec<Content> = edge.partial().collect();
        for tile in &tiles {
            let ours = Tile { level: tile.level(), index: tile.level_index(), width: tile.width().into() };
            let expected = tile.read_data(&stored).unwrap();
            let found = known
                .get(&ours)
                .or_else(|| partial.iter().find(|one| one.tile == ours).map(|one| &one.hashes));
            assert_eq!(found, Some(&expected), "{ours:?}");
        }
        assert_eq!(tiles.len(), known.len() + partial.len());
    }
}
