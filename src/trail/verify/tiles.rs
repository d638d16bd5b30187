//! The tiles of a trail as files: what is in them, and which names there are.

use super::fault::{Fault, Findings, Kind};
use crate::trail::hashes::{Node, WIDTH};
use crate::trail::layout::{self, CHECKPOINT};
use crate::trail::layout::{
    MINIMUM_INDEX, NEW_SUFFIX, RECORDS, TILE, TILE_WIDTH, Tile, level_hashes, segment_index,
};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use tlog_tiles::HASH_SIZE;

/// Folders below each other, in `tile/`: a level, six groups of digits, and one of partial tiles.
const DEPTH_MAX: usize = 9;
const FULL_BYTES: u64 = (WIDTH * HASH_SIZE) as u64;

/// What a file of a tile is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many hashes as it should have.
    Hashes(Vec<Node>),
    /// It is not there.
    Missing,
    /// It has another length, in bytes (at most one more than a full tile has).
    Length(u64),
}

impl Found {
    /// The hashes, where they are there.
    pub fn hashes(self) -> Option<Vec<Node>> {
        match self {
            Found::Hashes(hashes) => Some(hashes),
            Found::Missing | Found::Length(_) => None,
        }
    }

    /// What is wrong with it, for people, where it should hold `wanted`.
    pub fn wrong(&self, wanted: &[Node]) -> Option<String> {
        match self {
            Found::Hashes(hashes) if hashes == wanted => None,
            Found::Hashes(hashes) => {
                let at = hashes.iter().zip(wanted).position(|(one, other)| one != other).unwrap_or(0);
                let count = hashes.iter().zip(wanted).filter(|(one, other)| one != other).count();
                let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
                Some(format!(
                    "the tile was changed: its hash {at} (byte {}){more} is not what was signed",
                    at * HASH_SIZE
                ))
            }
            found => found.absent(wanted.len()),
        }
    }

    /// Why there are no hashes, for people.
    pub fn absent(&self, wanted: usize) -> Option<String> {
        match self {
            Found::Hashes(_) => None,
            Found::Missing => Some("the tile is missing".into()),
            Found::Length(len) => {
                let wanted = wanted * HASH_SIZE;
                Some(match *len > FULL_BYTES {
                    true => format!("the tile is longer than any, and should have {wanted} bytes"),
                    false => format!("the tile has {len} bytes instead of {wanted}"),
                })
            }
        }
    }
}

/// The name of a tile's file below the trail.
pub fn name_of(tile: Tile) -> String {
    tile.path().to_string_lossy().into_owned()
}

/// Reads a tile of the trail at `root`. Where a partial one is gone because its full one is there, the beginning of that.
///
/// # Errors
///
/// What the system says.
pub fn read(root: &Path, tile: Tile) -> io::Result<Found> {
    let found = read_file(&root.join(tile.path()), tile.width)?;
    if found != Found::Missing || tile.width == TILE_WIDTH {
        return Ok(found);
    }
    let mut full = read_file(&root.join(Tile { width: TILE_WIDTH, ..tile }.path()), TILE_WIDTH)?;
    if let Found::Hashes(hashes) = &mut full {
        hashes.truncate(usize::try_from(tile.width).unwrap_or(WIDTH));
        return Ok(full);
    }
    Ok(Found::Missing)
}

fn read_file(path: &Path, width: u64) -> io::Result<Found> {
    let file = match layout::open(path) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Found::Missing);
        }
        file => file?,
    };
    let mut bytes = Vec::with_capacity(WIDTH * HASH_SIZE + 1);
    file.take(FULL_BYTES + 1).read_to_end(&mut bytes)?;
    let (hashes, rest) = bytes.as_chunks::<HASH_SIZE>();
    if hashes.len() as u64 == width && rest.is_empty() {
        return Ok(Found::Hashes(hashes.to_vec()));
    }
    Ok(Found::Length(bytes.len() as u64))
}

/// Checks the partial tiles that older checkpoints have left of `tile`, whose true hashes are `hashes`.
///
/// # Errors
///
/// What the system says.
pub fn check_partial(root: &Path, tile: Tile, hashes: &[Node], findings: &mut Findings) -> io::Result<()> {
    let folder = root.join(Tile { width: 1, ..tile }.path());
    let entries = match folder.parent().map(fs::read_dir) {
        Some(Ok(entries)) => entries,
        Some(Err(e)) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Err(e),
        _ => return Ok(()),
    };
    for entry in entries {
        let width = entry?.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0);
        let (true, Some(wanted)) =
            (width > 0 && width < TILE_WIDTH, hashes.get(..usize::try_from(width).unwrap_or(0)))
        else {
            continue;
        };
        let older = Tile { width, ..tile };
        let found = read_file(&root.join(older.path()), width)?;
        // What is gone by now was put away by its writer.
        if found != Found::Missing
            && let Some(what) = found.wrong(wanted)
        {
            findings.add(Fault::of_file(Kind::Tile, &name_of(older), what));
        }
    }
    Ok(())
}

/// The tile whose file has the path `name` below the trail.
fn parse(name: &str) -> Option<Tile> {
    let (level, rest) = name.strip_prefix("tile/")?.split_once('/')?;
    let (rest, width) = match rest.split_once(".p/") {
        Some((rest, width)) => (rest, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?),
        None => (rest, TILE_WIDTH),
    };
    let mut index = 0_u64;
    for group in rest.split('/') {
        let group: u64 =
            group.strip_prefix('x').unwrap_or(group).parse().ok().filter(|group| *group < 1_000)?;
        index = index.checked_mul(1_000)?.checked_add(group)?;
    }
    let tile = Tile { level: level.parse().ok().filter(|level| *level < 8)?, index, width };
    Some(tile).filter(|tile| name_of(*tile) == name)
}

/// Looks at all names in `records/` and `tile/` of the trail at `root` with `size` records: whatever no reader would ask
/// for is a fault, or, where somebody writes (`is_written`), what comes next.
///
/// # Errors
///
/// What the system says.
pub fn check_names(root: &Path, size: u64, is_written: bool, findings: &mut Findings) -> io::Result<()> {
    let about_new = |name: &str| {
        format!("{name} was being written when something broke off: it is not part of the trail")
    };
    for name in [CHECKPOINT, MINIMUM_INDEX] {
        let name = format!("{name}{NEW_SUFFIX}");
        if root.join(&name).exists() && !is_written {
            findings.remark(about_new(&name));
        }
    }
    each_file(root, Path::new(RECORDS), 1, &mut |name| {
        if name.strip_prefix("records/").and_then(segment_index).is_none() {
            findings.add(Fault::of_file(
                Kind::File,
                name,
                "no file of records has this name: it was put there",
            ));
        }
    })?;
    each_file(root, Path::new(TILE), DEPTH_MAX, &mut |name| match parse(name) {
        Some(tile) => {
            let end = tile.index.saturating_mul(TILE_WIDTH).saturating_add(tile.width);
            if end > level_hashes(size, tile.level) && !is_written {
                let what = format!(
                    "the tile belongs to a trail of more than the {size} records that are signed: it was put there, or is left of a crash (the next start of the sink writes it anew)"
                );
                findings.add(Fault::of_file(Kind::Unsigned, name, what));
            }
        }
        None if name.ends_with(NEW_SUFFIX) => {
            if !is_written {
                findings.remark(about_new(name));
            }
        }
        None => findings.add(Fault::of_file(Kind::File, name, "no tile has this name: it was put there")),
    })
}

/// Calls `found` with the path of each file in `folder` and `depth` folders deep, below `root`.
fn each_file(root: &Path, folder: &Path, depth: usize, found: &mut impl FnMut(&str)) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        let is_folder = match entry.file_type() {
            // It is gone since it was listed.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            kind => kind?.is_dir(),
        };
        if is_folder && depth > 1 { folders.push(name) } else { found(&name.to_string_lossy()) }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| each_file(root, folder, depth - 1, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_one_way_only() {
        for (level, index, width) in
            [(0, 0, 256), (0, 1_234_067, 256), (1, 1_000, 255), (7, 3, 1), (0, 72_057_594_037_927_935, 256)]
        {
            let tile = Tile { level, index, width };
            assert_eq!(parse(&name_of(tile)), Some(tile));
        }
        for bad in [
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/8/000",
            "tile/0/x000/000",
            "tile/0/001/x000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p",
            "tile/0/x001",
            "tile/0/+01",
            "tile/8/0/000",
            "tile/-1/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/0/000.new",
            "tile/000",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
