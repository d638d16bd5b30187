//! The leaves as they were signed: tiles that lead to the signed root, from the top down.
//!
//! A tile is right when the one above it says so, and those without one above, at the right edge, when together they give
//! the root. One that is not right is made anew from what is below it, where that gives what is wanted: so a wrong tile
//! does not keep anybody from naming records. Where nothing fits, its hashes are still a hint.

use super::fault::{Fault, Findings, Kind};
use super::tiles::{self, Found, name_of};
use crate::trail::hashes::{LEVELS, Node, root_of, root_of_edge};
use crate::trail::layout::{TILE_WIDTH, Tile, edge, level_hashes};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The hashes of a tile.
#[derive(Clone, Debug, Default)]
struct Known {
    /// None where there are none of the right length.
    hashes: Option<Vec<Node>>,
    /// Whether they lead to the signed root.
    is_proven: bool,
}

/// Gives leaves in their order.
pub struct Proven<'a> {
    folder: &'a Path,
    size: u64,
    root: Node,
    /// Groups of leaves as the records give them, by their number.
    kept: &'a BTreeMap<u64, Vec<Node>>,
    /// By level, the last tile that was asked for.
    last: [Option<(u64, Known)>; LEVELS],
    /// By level, the partial tile.
    partial: [Known; LEVELS],
}

impl<'a> Proven<'a> {
    /// The leaves of the trail at `folder` with `size` records and this `root`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(
        folder: &'a Path,
        size: u64,
        root: Node,
        kept: &'a BTreeMap<u64, Vec<Node>>,
        findings: &mut Findings,
    ) -> io::Result<Proven<'a>> {
        let (last, partial) = (Default::default(), Default::default());
        let mut proven = Proven { folder, size, root, kept, last, partial };
        proven.find_edge(findings)?;
        Ok(proven)
    }

    /// The leaf `index` as it was signed; none where that can't be told.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn leaf(&mut self, index: u64, findings: &mut Findings) -> io::Result<Option<Node>> {
        let group = index / TILE_WIDTH;
        self.load(0, group, findings)?;
        let at = usize::try_from(index % TILE_WIDTH).unwrap_or(0);
        let known = self.get(0, group);
        Ok(known.and_then(|known| known.hashes.as_ref()).and_then(|hashes| hashes.get(at)).copied())
    }

    /// Whether all leaves are proven that have been asked for of the group of `index`.
    pub fn is_proven(&self, index: u64) -> bool {
        self.get(0, index / TILE_WIDTH).is_some_and(|known| known.is_proven)
    }

    fn get(&self, level: u8, index: u64) -> Option<&Known> {
        if self.width(level, index) < TILE_WIDTH {
            return self.partial.get(usize::from(level));
        }
        let (at, known) = self.last.get(usize::from(level))?.as_ref()?;
        Some(known).filter(|_| *at == index)
    }

    fn width(&self, level: u8, index: u64) -> u64 {
        level_hashes(self.size, level).saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH)
    }

    /// Reads the tile `index` of `level` and those above it.
    fn load(&mut self, level: u8, index: u64, findings: &mut Findings) -> io::Result<()> {
        if self.get(level, index).is_some() {
            return Ok(());
        }
        let tile = Tile { level, index, width: TILE_WIDTH };
        let wanted = match level.checked_add(1).filter(|above| usize::from(*above) < LEVELS) {
            Some(above) => {
                self.load(above, index / TILE_WIDTH, findings)?;
                let at = usize::try_from(index % TILE_WIDTH).unwrap_or(0);
                let known = self.get(above, index / TILE_WIDTH);
                let hash = known.and_then(|known| known.hashes.as_ref()?.get(at).copied());
                hash.map(|hash| (hash, known.is_some_and(|known| known.is_proven)))
            }
            None => None,
        };
        let found = tiles::read(self.folder, tile)?;
        let absent = found.absent(256);
        let hashes = found.hashes();
        let known = match wanted {
            Some((wanted, is_proven)) if hashes.as_deref().map(root_of) == Some(wanted) => {
                Known { hashes, is_proven }
            }
            Some((wanted, is_proven)) => {
                let above = name_of(Tile {
                    level: level + 1,
                    index: index / TILE_WIDTH,
                    width: self.width(level + 1, index / TILE_WIDTH),
                });
                let what = absent.unwrap_or_else(|| {
                    format!("the tile was changed: it does not lead to what {above} says of it")
                });
                findings.add(Fault::of_file(Kind::Tile, &name_of(tile), what));
                let made = self.make(tile)?.filter(|made| root_of(made) == wanted);
                match made {
                    Some(made) => Known { hashes: Some(made), is_proven },
                    None => Known { hashes, is_proven: false },
                }
            }
            None => Known { hashes, is_proven: false },
        };
        self.keep(tile, known, findings)
    }

    fn keep(&mut self, tile: Tile, known: Known, findings: &mut Findings) -> io::Result<()> {
        if let Some(hashes) = known.hashes.as_ref().filter(|_| known.is_proven) {
            tiles::check_partial(self.folder, tile, hashes, findings)?;
        }
        let level = usize::from(tile.level);
        if tile.width < TILE_WIDTH {
            if let Some(partial) = self.partial.get_mut(level) {
                *partial = known;
            }
        } else if let Some(last) = self.last.get_mut(level) {
            *last = Some((tile.index, known));
        }
        Ok(())
    }

    /// A tile's hashes from those of the level below: of tiles, or of records.
    fn make(&self, tile: Tile) -> io::Result<Option<Vec<Node>>> {
        let width = usize::try_from(tile.width).unwrap_or(0);
        let Some(below) = tile.level.checked_sub(1) else {
            return Ok(self
                .kept
                .get(&tile.index)
                .and_then(|hashes| hashes.get(..width))
                .map(<[Node]>::to_vec));
        };
        let mut made = Vec::with_capacity(width);
        for at in 0..tile.width {
            let child = Tile { level: below, index: tile.index * TILE_WIDTH + at, width: TILE_WIDTH };
            let hashes = match tiles::read(self.folder, child)? {
                Found::Hashes(hashes) => Some(hashes),
                _ => self.make(child)?,
            };
            let Some(hashes) = hashes else { return Ok(None) };
            made.push(root_of(&hashes));
        }
        Ok(Some(made))
    }

    /// Reads the partial tiles, and finds which of them are right.
    fn find_edge(&mut self, findings: &mut Findings) -> io::Result<()> {
        let tiles: Vec<Tile> = edge(self.size).filter(|tile| tile.width < TILE_WIDTH).collect();
        let mut choices = Vec::new();
        for tile in &tiles {
            let found = tiles::read(self.folder, *tile)?;
            let absent = found.absent(usize::try_from(tile.width).unwrap_or(0));
            choices.push(Choice { tile: *tile, absent, there: found.hashes(), made: self.make(*tile)? });
        }
        // As few as possible are taken to be wrong.
        let mut masks: Vec<u32> = (0..1 << tiles.len()).collect();
        masks.sort_by_key(|mask| mask.count_ones());
        let right = masks.into_iter().find(|mask| {
            let chosen: Option<Vec<&[Node]>> =
                (0..).zip(&choices).map(|(at, choice)| choice.take((mask >> at) & 1 == 1)).collect();
            chosen.is_some_and(|chosen| root_of_edge(chosen.into_iter()) == self.root)
        });
        for (at, choice) in (0..).zip(choices) {
            let is_made = right.is_some_and(|mask| (mask >> at) & 1 == 1);
            let wrong = match &choice.absent {
                None if is_made => {
                    Some("the tile was changed: it does not lead to the signed root".to_owned())
                }
                absent => absent.clone(),
            };
            if let Some(what) = wrong {
                findings.add(Fault::of_file(Kind::Tile, &name_of(choice.tile), what));
            }
            let hashes = if is_made { choice.made } else { choice.there };
            self.keep(choice.tile, Known { hashes, is_proven: right.is_some() }, findings)?;
        }
        Ok(())
    }
}

/// The partial tile of a level: as it is there, or as what is below it gives it.
struct Choice {
    tile: Tile,
    absent: Option<String>,
    there: Option<Vec<Node>>,
    made: Option<Vec<Node>>,
}

impl Choice {
    fn take(&self, is_made: bool) -> Option<&[Node]> {
        if is_made { self.made.as_deref() } else { self.there.as_deref() }
    }
}
