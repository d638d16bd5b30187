//! How far the sink is, and how far the writer: a small file beside the segments.
//!
//! Two slots are written in turn, each with a counter and a checksum, so that one of them is whole at any moment. They
//! are not synced with every verdict: a loss of power brings an older one back, and some events come twice. Before a
//! segment is deleted both are written and synced, so that a cursor never points in front of the first segment: where
//! one does, segments are missing.

use super::folder;
use crate::delivery::disk;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the file.
pub const FILE: &str = "cursor";
const MAGIC: &[u8; 8] = b"\x89evtcur\n";
const SLOT_BYTES: usize = 36;
/// A sector for each, so that a torn write hurts one only.
const SLOT_EVERY: u64 = 512;
/// For the owner, and for the group to read.
pub const FILE_MODE: u32 = 0o640;

/// How far both ends are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Number of the first record that is not delivered.
    pub delivered: u64,
    /// Number of the next record to be written: all before it were synced.
    pub written: u64,
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none, or one that nothing was written to.
    Nothing,
    /// The latest slot.
    Marks(Marks, u64),
    /// There is something, and no slot of it fits its checksum.
    Damaged,
}

impl Found {
    /// Reads the file in `folder`.
    pub fn read(folder: &Path) -> io::Result<Found> {
        let bytes = match std::fs::read(folder.join(FILE)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(e) if folder::is_unreadable(&e) => return Ok(Found::Damaged),
            Err(e) => return Err(e),
        };
        let slots = [0, SLOT_EVERY as usize].map(|at| bytes.get(at..at + SLOT_BYTES).and_then(read_slot));
        Ok(match slots.into_iter().flatten().max_by_key(|(_, count)| *count) {
            Some((marks, count)) => Found::Marks(marks, count),
            None if bytes.iter().all(|byte| *byte == 0) => Found::Nothing,
            None => Found::Damaged,
        })
    }

    /// The marks, where there are any.
    pub fn marks(self) -> Option<Marks> {
        match self {
            Found::Marks(marks, _) => Some(marks),
            Found::Nothing | Found::Damaged => None,
        }
    }
}

fn read_slot(slot: &[u8]) -> Option<(Marks, u64)> {
    let number = |at: usize| Some(u64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?));
    let crc = u32::from_le_bytes(slot.get(32..36)?.try_into().ok()?);
    let whole = slot.starts_with(MAGIC) && crc32fast::hash(slot.get(..32)?) == crc;
    whole.then_some((Marks { delivered: number(16)?, written: number(24)? }, number(8)?))
}

fn slot(marks: Marks, count: u64) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(MAGIC);
    for number in [count, marks.delivered, marks.written] {
        slot.extend_from_slice(&number.to_le_bytes());
    }
    let crc = crc32fast::hash(&slot);
    slot.extend_from_slice(&crc.to_le_bytes());
    slot
}

/// The file, open to be written.
#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    file: Option<File>,
    count: u64,
    saved: Option<Marks>,
    is_entry_synced: bool,
}

impl Cursor {
    /// The one in `folder`, which goes on behind what was `found` there.
    pub fn new(folder: &Path, found: Found) -> Cursor {
        let (saved, count) = match found {
            Found::Marks(marks, count) => (Some(marks), count),
            Found::Nothing | Found::Damaged => (None, 0),
        };
        Cursor { path: folder.join(FILE), file: None, count, saved, is_entry_synced: false }
    }

    /// Writes `marks`; does nothing where they are written already.
    pub fn save(&mut self, marks: Marks) -> io::Result<()> {
        if self.saved == Some(marks) {
            return Ok(());
        }
        self.write(marks)
    }

    /// Writes `marks` so that a loss of power can't take them.
    pub fn save_for_good(&mut self, marks: Marks) -> io::Result<()> {
        self.write(marks)?;
        self.write(marks)?;
        self.open()?.sync_all()?;
        if !self.is_entry_synced {
            disk::sync_folder_of(&self.path)?;
            self.is_entry_synced = true;
        }
        Ok(())
    }

    fn write(&mut self, marks: Marks) -> io::Result<()> {
        let count = self.count + 1;
        self.open()?.write_all_at(&slot(marks, count), count % 2 * SLOT_EVERY)?;
        (self.count, self.saved) = (count, Some(marks));
        Ok(())
    }

    fn open(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(false).mode(FILE_MODE).open(&self.path)?
            }
        };
        Ok(self.file.insert(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_whole_slot_counts() {
        let dir = super::super::tests::TempDir::new();
        assert_eq!(Found::read(dir.path()).unwrap(), Found::Nothing);
        let mut cursor = Cursor::new(dir.path(), Found::Nothing);
        let marks = |delivered| Marks { delivered, written: 10 };
        for delivered in 1..=5 {
            cursor.save(marks(delivered)).unwrap();
            assert_eq!(Found::read(dir.path()).unwrap(), Found::Marks(marks(delivered), delivered));
        }
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let Found::Marks(found, _) = Found::read(dir.path()).unwrap() else { panic!("{at}") };
            assert!(found == marks(5) || found == marks(4), "{at}: {found:?}");
            bytes.truncate(at);
            std::fs::write(&path, &bytes).unwrap();
            assert!([None, Some(marks(4))].contains(&Found::read(dir.path()).unwrap().marks()), "{at}");
        }
        std::fs::write(&path, [7; 600]).unwrap();
        assert_eq!(Found::read(dir.path()).unwrap(), Found::Damaged);
        std::fs::write(&path, [0; 600]).unwrap();
        assert_eq!(Found::read(dir.path()).unwrap(), Found::Nothing);
    }
}
