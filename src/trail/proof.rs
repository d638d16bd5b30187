//! Proofs that a record is in a trail, which can be checked without it: [tlog-proof](https://c2sp.org/tlog-proof).
//!
//! A proof holds the hashes that lead from a record to the root, and the signed checkpoint that says that root. The record
//! itself stands in the line `extra`, so that nothing else is needed; it is not believed for that, but hashed.
//!
//! Hashes come from tiles by the crate's reader, which checks tiles against the root, though not all of them: where several
//! hashes that make up the root are in one tile, as many of the tiles that come next go unchecked. So nothing is believed
//! that does not stand in a proof that was checked as a whole.

use super::key::VerifierKey;
use super::layout::{self, CHECKPOINT, segments};
use super::note::Checkpoint;
use super::verify::{Lines, RECORD_BYTES_MAX, read_tile};
use crate::delivery::{are, counted};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use tlog_tiles::{
    Error, Hash, HashReader, TileHashReader, TileReader, check_record, prove_record, record_hash,
};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// No trail has more records: what counts hashes would overflow a little above.
pub(super) const SIZE_MAX: u64 = 1 << 60;
/// No tree is higher.
const HASHES_MAX: usize = 64;
/// A checkpoint has some 200 bytes; witnesses may add signatures.
pub(super) const NOTE_BYTES_MAX: u64 = 1 << 20;
/// The longest file of a proof, in bytes: the longest record as base64, and room for the rest.
pub const PROOF_BYTES_MAX: u64 = RECORD_BYTES_MAX / 3 * 4 + (2 << 20);
/// So many tiles stay in memory, of 8 KiB each.
const TILES_MAX: usize = 32;
const HEIGHT: u8 = 8;

/// The tiles of a trail on disk, as the crate wants them.
pub struct Tiles {
    folder: PathBuf,
    read: RefCell<HashMap<tlog_tiles::Tile, Vec<u8>>>,
}

impl Tiles {
    /// Of the trail at `folder`.
    pub fn new(folder: &Path) -> Tiles {
        Tiles { folder: folder.to_owned(), read: RefCell::default() }
    }

    /// Reads hashes without checking that they lead to a root.
    pub fn unproven(&self, size: u64) -> Unproven<'_> {
        Unproven { tiles: self, size }
    }

    fn read(&self, tile: tlog_tiles::Tile) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = self.read.borrow().get(&tile) {
            return Ok(bytes.clone());
        }
        let ours = super::layout::Tile {
            level: tile.level(),
            index: tile.level_index(),
            width: tile.width().into(),
        };
        let found = read_tile(&self.folder, ours).map_err(|e| Error::InvalidInput(e.to_string()))?;
        let bytes = found.hashes().ok_or(Error::InvalidTile)?.concat();
        let mut read = self.read.borrow_mut();
        if read.len() >= TILES_MAX {
            read.clear();
        }
        read.insert(tile, bytes.clone());
        Ok(bytes)
    }
}

impl TileReader for Tiles {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, Error> {
        tiles.iter().map(|tile| self.read(*tile)).collect()
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// Hashes of tiles as they stand there.
pub struct Unproven<'a> {
    tiles: &'a Tiles,
    size: u64,
}

impl HashReader for Unproven<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let tile = tlog_tiles::Tile::from_index(HEIGHT, *index);
            let tile = tile.parent(0, self.size).ok_or(Error::IndexesNotInTree)?;
            tile.hash_at_index(&self.tiles.read(tile)?, *index)
        };
        indexes.iter().map(read).collect()
    }
}

/// A proof that a record is in a trail.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Its index.
    pub index: u64,
    /// Its bytes, where the proof holds them.
    pub record: Option<Vec<u8>>,
    hashes: Vec<Hash>,
    checkpoint: Vec<u8>,
}

/// What a proof proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The bytes of the record.
    pub record: Vec<u8>,
    /// Its index.
    pub index: u64,
    /// The trail that it is in.
    pub origin: String,
    /// How many records that had when the checkpoint was signed.
    pub size: u64,
}

impl Proof {
    /// Proves that the trail at `folder` has the record `index`. Without a key, nobody has checked who signed it.
    ///
    /// # Errors
    ///
    /// Says why there is no proof, for people: no such record, or a trail that is not as it was signed.
    pub fn make(folder: &Path, index: u64, key: Option<&VerifierKey>) -> Result<Proof, String> {
        let path = folder.join(CHECKPOINT);
        let why = |e: io::Error| format!("{}: {e}", path.display());
        let mut note = Vec::new();
        layout::open(&path).map_err(why)?.take(NOTE_BYTES_MAX).read_to_end(&mut note).map_err(why)?;
        let (size, root) = match key {
            Some(key) => Checkpoint::open(&note, key)
                .map(|read| (read.size, read.root))
                .map_err(|e| format!("{}: {e}", path.display()))?,
            None => unsigned(&note).ok_or_else(|| format!("{}: this is no checkpoint", path.display()))?,
        };
        if size > SIZE_MAX {
            return Err(format!("{}: no trail has {size} records", path.display()));
        }
        if index >= size {
            return Err(format!(
                "there is no record {index} in it yet: {} {} signed, the first of which is 0",
                counted(size, "record"),
                are(size)
            ));
        }
        let record = read_record(folder, index)?;
        let look = "look with `evaltrail trail verify`";
        let tiles = Tiles::new(folder);
        let hashes = prove_record(size, index, &TileHashReader::new(size, root, &tiles))
            .map_err(|e| format!("a tile is missing, or does not lead to the signed root ({e}): {look}"))?;
        check_record(&hashes, size, root, index, record_hash(&record))
            .map_err(|_| format!("record {index} is not what was signed, or a tile is not: {look}"))?;
        Ok(Proof { index, record: Some(record), hashes, checkpoint: note })
    }

    /// Reads the text of a proof.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, for people.
    pub fn parse(text: &[u8]) -> Result<Proof, String> {
        let text = str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
        let rest = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n'));
        let rest = rest.ok_or_else(|| format!("it does not begin with the line {FIRST_LINE}"))?;
        let (head, checkpoint) =
            rest.split_once("\n\n").ok_or("it holds no checkpoint behind an empty line")?;
        let mut lines = head.split('\n').peekable();
        let record = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(encoded) => {
                let record = BASE64_STANDARD.decode(encoded).map_err(|_| "its line `extra` is no base64")?;
                lines.next();
                Some(record)
            }
            None => None,
        };
        let number = lines.next().and_then(|line| line.strip_prefix("index ")).unwrap_or_default();
        let index: Option<u64> = number.parse().ok().filter(|index: &u64| index.to_string() == number);
        let index = index.ok_or("it has no line `index` with a number")?;
        let hash = |line: &str| {
            let hash = Hash::parse_hash(line).ok().filter(|hash| hash.to_string() == line);
            hash.ok_or_else(|| format!("it has a line that is no hash: {}", line.escape_debug()))
        };
        let hashes: Vec<Hash> = lines.take(HASHES_MAX + 1).map(hash).collect::<Result<_, _>>()?;
        Ok(Proof { index, record, hashes, checkpoint: checkpoint.as_bytes().to_vec() })
    }

    /// Checks that the trail of `key` has the record: the one in the proof, or `record`, which has to be the same where both
    /// are there.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, for people.
    pub fn check(&self, key: &VerifierKey, record: Option<&[u8]>) -> Result<Proven, String> {
        let record = match (record, &self.record) {
            (Some(given), Some(held)) if given != held => {
                return Err("the record that was given is not the one in the proof".into());
            }
            (Some(given), _) => given,
            (None, Some(held)) => held,
            (None, None) => return Err("it does not hold the record: give that with --record".into()),
        };
        let checkpoint =
            Checkpoint::open(&self.checkpoint, key).map_err(|e| format!("its checkpoint: {e}"))?;
        let (size, root) = (checkpoint.size, checkpoint.root);
        if self.index >= size {
            return Err(format!(
                "it is about record {}, and its checkpoint about {size} records",
                self.index
            ));
        }
        check_record(&self.hashes, size, root, self.index, record_hash(record)).map_err(|_| {
            format!("record, index and hashes do not lead to the signed root: at least one of them was changed, or this record never was number {}", self.index)
        })?;
        Ok(Proven { record: record.to_vec(), index: self.index, origin: key.origin().to_owned(), size })
    }

    /// Its text.
    pub fn text(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\n");
        let mut line = |line: std::fmt::Arguments<'_>| text.write_fmt(line).unwrap_or_default();
        if let Some(record) = &self.record {
            line(format_args!("extra {}\n", BASE64_STANDARD.encode(record)));
        }
        line(format_args!("index {}\n", self.index));
        self.hashes.iter().for_each(|hash| line(format_args!("{hash}\n")));
        text.push('\n');
        let mut text = text.into_bytes();
        text.extend_from_slice(&self.checkpoint);
        text
    }
}

/// The size and root in a note that nobody has checked.
fn unsigned(note: &[u8]) -> Option<(u64, Hash)> {
    let text = str::from_utf8(note).ok()?;
    let (text, _) = text.rsplit_once("\n\n")?;
    let read = tlog_tiles::Checkpoint::from_bytes(format!("{text}\n").as_bytes()).ok()?;
    Some((read.size(), *read.hash()))
}

/// The bytes of the record `index` of the trail at `folder`.
///
/// # Errors
///
/// Says why it can't be had, for people.
pub fn read_record(folder: &Path, index: u64) -> Result<Vec<u8>, String> {
    let found = segments(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let Some(segment) = found.iter().rfind(|segment| segment.first <= index) else {
        let first = found.first().map_or(0, |segment| segment.first);
        return Err(format!("record {index} is not there any more: the first that is kept is {first}"));
    };
    let why = |e: io::Error| format!("{}: {e}", segment.path.display());
    let mut lines = Lines::open(&segment.path).map_err(why)?;
    let mut leaf = None;
    for _ in segment.first..=index {
        leaf = lines.read().map_err(why)?;
        if leaf.is_none() {
            break;
        }
    }
    let leaf = leaf.ok_or_else(|| {
        format!("{}: record {index} is missing: look with `evaltrail trail verify`", segment.path.display())
    })?;
    if leaf.len > RECORD_BYTES_MAX {
        return Err(format!(
            "{}: record {index} is longer than {RECORD_BYTES_MAX} bytes",
            segment.path.display()
        ));
    }
    let mut file = layout::open(&segment.path).map_err(why)?;
    file.seek(SeekFrom::Start(leaf.offset)).map_err(why)?;
    let mut record = Vec::new();
    file.take(leaf.len).read_to_end(&mut record).map_err(why)?;
    Ok(record)
}
