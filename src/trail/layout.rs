//! Where the parts of a trail are.

pub use crate::delivery::disk::open_regular as open;

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The signed size and root.
pub const CHECKPOINT: &str = "checkpoint";
/// The signed index of the first record that is kept; there only when retention has removed some.
pub const MINIMUM_INDEX: &str = "minimum-index";
/// The folder of the records.
pub const RECORDS: &str = "records";
/// The folder of the hashes.
pub const TILE: &str = "tile";
/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = 256;
/// A new file is written beside its place under its name and this, and renamed.
pub const NEW_SUFFIX: &str = ".new";

const SEGMENT_SUFFIX: &str = ".jsonl";
/// As many as the largest index has, so that names sort as numbers do.
const SEGMENT_DIGITS: usize = 20;

/// One file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The index of its first record.
    pub first: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl Segment {
    /// The segment of the trail at `root` that begins with the record `first`.
    pub fn at(root: &Path, first: u64) -> Segment {
        let name = format!("{first:0width$}{SEGMENT_SUFFIX}", width = SEGMENT_DIGITS);
        Segment { first, path: root.join(RECORDS).join(name) }
    }
}

/// The index that a segment's file name tells; none where it is no segment's.
pub fn segment_index(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let is_plain = digits.len() == SEGMENT_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain)
}

/// The segments of the trail at `root`, in order. Other files are left out; none where the folder is missing.
///
/// # Errors
///
/// What the system says.
pub fn segments(root: &Path) -> io::Result<Vec<Segment>> {
    let entries = match fs::read_dir(root.join(RECORDS)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(segment_index) {
            found.push(Segment { first, path: entry.path() });
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// Reads all of a file, a regular one.
///
/// # Errors
///
/// Those of [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A tile: `width` hashes (1 to 256) of `level` (0 are the leaves), the `index`th of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// From 0 to 7: a tile of level 8 would span more records than an index can count.
    pub level: u8,
    /// Its number within the level.
    pub index: u64,
    /// How many hashes it has.
    pub width: u64,
}

impl Tile {
    /// Its path below the trail, as tlog-tiles has it: `tile/0/x001/x234/067`, with `.p/17` where it is partial.
    pub fn path(self) -> PathBuf {
        let mut path = PathBuf::from(TILE);
        path.push(self.level.to_string());
        let groups =
            std::iter::successors(Some(self.index), |rest| Some(rest / 1_000).filter(|rest| *rest > 0));
        let mut groups: Vec<u64> = groups.map(|rest| rest % 1_000).collect();
        let last = groups.remove(0);
        path.extend(groups.iter().rev().map(|group| format!("x{group:03}")));
        if self.width == TILE_WIDTH {
            path.push(format!("{last:03}"));
        } else {
            path.push(format!("{last:03}.p"));
            path.push(self.width.to_string());
        }
        path
    }
}

/// How many hashes the level `level` has in a tree of `size` records, full and partial tiles together.
pub fn level_hashes(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// The tiles at the right edge of a tree of `size` records, level by level: the last one of each, full or partial.
pub fn edge(size: u64) -> impl Iterator<Item = Tile> {
    (0..8).map_while(move |level| {
        let last = level_hashes(size, level).checked_sub(1)?;
        Some(Tile { level, index: last / TILE_WIDTH, width: last % TILE_WIDTH + 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_have_the_paths_of_the_specification() {
        let path =
            |level, index, width| Tile { level, index, width }.path().to_str().unwrap_or_default().to_owned();
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(3, 0, 17), "tile/3/000.p/17");
        assert_eq!(path(1, 1_000, 255), "tile/1/x001/000.p/255");
    }

    /// The examples of tlog-tiles: 70,000 and 256.
    #[test]
    fn the_right_edge_is_that_of_the_specification() {
        let tile = |level, index, width| Tile { level, index, width };
        assert_eq!(edge(70_000).collect::<Vec<_>>(), [tile(0, 273, 112), tile(1, 1, 17), tile(2, 0, 1)]);
        assert_eq!(edge(256).collect::<Vec<_>>(), [tile(0, 0, 256), tile(1, 0, 1)]);
        assert_eq!(edge(0).count(), 0);
        assert_eq!(edge(u64::MAX).count(), 8);
    }

    #[test]
    fn a_segment_is_named_by_its_first_record() {
        let segment = Segment::at(Path::new("t"), 42);
        assert_eq!(segment.path, Path::new("t/records/00000000000000000042.jsonl"));
        assert_eq!(segment_index("00000000000000000042.jsonl"), Some(42));
        for other in [
            "42.jsonl",
            "+0000000000000000042.jsonl",
            "00000000000000000042.json",
            "99999999999999999999.jsonl",
        ] {
            assert_eq!(segment_index(other), None, "{other}");
        }
    }
}
