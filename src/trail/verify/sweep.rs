//! The one pass that a trail needs where nothing is wrong: the tree is built from the records, and each tile held against
//! what was built.
//!
//! Where the records give the signed root, they are right, and every tile that differs is wrong: so this pass also names
//! wrong tiles exactly. Where they do not, another one finds out which do not fit (see `diagnose`).

use super::fault::{Fault, Findings, Kind};
use super::records::{At, Records};
use super::tiles::{self, Found};
use crate::trail::hashes::{LEVELS, Node, WIDTH, root_of, root_of_edge};
use crate::trail::layout::{TILE_WIDTH, Tile, level_hashes};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// So many groups of 256 leaves are kept of those that differ from their tiles.
const KEPT_MAX: usize = 64;

/// What the pass has to go by.
#[derive(Clone, Copy)]
pub struct Range<'a> {
    /// The trail.
    pub root: &'a Path,
    /// How many records are signed.
    pub size: u64,
    /// The first record that is there; those in front of it are taken from the tiles.
    pub first: u64,
    /// Whether somebody writes, so that there may be more than what is signed.
    pub is_written: bool,
}

/// What the pass has found.
#[derive(Default)]
pub struct Swept {
    /// The root of the tree over the records, as they stand there; none where they do not follow each other.
    pub root: Option<Node>,
    /// Wrong tiles, if the records are right.
    pub findings: Findings,
    /// By their number, groups of leaves that differ from their tile.
    pub kept: BTreeMap<u64, Vec<Node>>,
    /// Where the first record and the last one are.
    pub ends: Option<(At, At)>,
}

/// Goes through the trail once.
///
/// # Errors
///
/// What the system says.
pub fn sweep(range: Range<'_>, records: &mut Records<'_>) -> io::Result<Swept> {
    let mut pass = Pass { range, open: Default::default(), swept: Swept::default() };
    let mut group = Vec::with_capacity(WIDTH);
    let mut start = 0;
    while start < range.size {
        let width = (range.size - start).min(TILE_WIDTH);
        let tile = Tile { level: 0, index: start / TILE_WIDTH, width };
        let found = tiles::read(range.root, tile)?;
        group.clear();
        // Those in front of the first one that is kept.
        let gone = usize::try_from(range.first.saturating_sub(start).min(width)).unwrap_or(WIDTH);
        if gone > 0 {
            let Found::Hashes(hashes) = &found else { return Ok(pass.swept) };
            group.extend_from_slice(hashes.get(..gone).unwrap_or_default());
        }
        for index in start + gone as u64..start + width {
            let Some((leaf, at)) = records.next(index)? else { return Ok(pass.swept) };
            group.push(leaf.hash);
            let first = pass.swept.ends.map_or(at, |(first, _)| first);
            pass.swept.ends = Some((first, at));
        }
        pass.take(tile, &found, &group)?;
        start += width;
    }
    if range.is_written || records.is_at_end()? {
        pass.swept.root = Some(pass.finish()?);
    }
    Ok(pass.swept)
}

struct Pass<'a> {
    range: Range<'a>,
    /// By level, the hashes behind the last full tile.
    open: [Vec<Node>; LEVELS],
    swept: Swept,
}

impl Pass<'_> {
    /// Holds a tile against the `hashes` that it should have, and goes on to those above it.
    fn take(&mut self, tile: Tile, found: &Found, hashes: &[Node]) -> io::Result<()> {
        self.check(tile, found, hashes)?;
        if tile.width < TILE_WIDTH {
            if let Some(open) = self.open.get_mut(usize::from(tile.level)) {
                open.extend_from_slice(hashes);
            }
            return Ok(());
        }
        let parent = usize::from(tile.level) + 1;
        let Some(open) = self.open.get_mut(parent) else { return Ok(()) };
        open.push(root_of(hashes));
        if open.len() < WIDTH {
            return Ok(());
        }
        let full = std::mem::take(open);
        let above = Tile { level: tile.level + 1, index: tile.index / TILE_WIDTH, width: TILE_WIDTH };
        let found = tiles::read(self.range.root, above)?;
        self.take(above, &found, &full)
    }

    fn check(&mut self, tile: Tile, found: &Found, hashes: &[Node]) -> io::Result<()> {
        if let Some(what) = found.wrong(hashes) {
            self.swept.findings.add(Fault::of_file(Kind::Tile, &tiles::name_of(tile), what));
            if tile.level == 0 && self.swept.kept.len() < KEPT_MAX {
                self.swept.kept.insert(tile.index, hashes.to_vec());
            }
        }
        tiles::check_partial(self.range.root, tile, hashes, &mut self.swept.findings)
    }

    /// Checks the partial tiles above the leaves, and gives the root.
    fn finish(&mut self) -> io::Result<Node> {
        let open = std::mem::take(&mut self.open);
        for (level, hashes) in (0..).zip(&open).skip(1).filter(|(_, hashes)| !hashes.is_empty()) {
            let width = hashes.len() as u64;
            let count = level_hashes(self.range.size, level);
            let tile = Tile { level, index: count / TILE_WIDTH, width };
            let found = tiles::read(self.range.root, tile)?;
            self.check(tile, &found, hashes)?;
        }
        Ok(root_of_edge(open.iter().map(Vec::as_slice)))
    }
}
