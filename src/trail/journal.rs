//! What the writer of a trail remembers outside of it, in the `data_dir`: what it has signed, and the `%id`s of recent
//! records.
//!
//! A frame is appended, and synced, for each checkpoint before it is published, when its records are on the disk
//! already. So a crash between the two is not one that leaves a signature behind which nobody knows of: the next start
//! publishes what was signed. And a trail that is put back to an older state, from a backup or by an attacker, is
//! noticed before another tree is signed under the same name.
//!
//! Two files are kept, each with the ids of up to [`GENERATION`] records; when the newer is full the older is removed.

use super::sync::Unsynced;
use crate::delivery::disk::{self, Trouble};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Ids in one file: so many a table of them holds in its half megabyte of slots.
pub const GENERATION: usize = 458_752;
const MAGIC: &[u8; 8] = b"evtrail1";
const PREFIX: &str = "journal-";
const MODE: u32 = 0o600;
/// Length and checksum in front of a frame.
const HEAD_BYTES: usize = 8;
/// The number of ids, in front of them.
const COUNT_BYTES: usize = 4;
const ID_BYTES: usize = 16;

/// The journal, open for appending.
pub struct Journal {
    folder: PathBuf,
    /// The newer file, once there is one.
    file: Option<File>,
    /// Bytes of whole frames in it.
    len: u64,
    /// How long it is with the frame that was written last.
    written: u64,
    seen: Seen,
}

/// The ids of recent records.
#[derive(Default)]
struct Seen {
    newer: HashSet<u128>,
    older: HashSet<u128>,
}

impl Seen {
    fn add(&mut self, ids: impl IntoIterator<Item = u128>) {
        self.newer.extend(ids);
    }

    fn turn(&mut self) {
        self.older = std::mem::take(&mut self.newer);
    }
}

/// Reads the next frame: its ids into `seen`, its note into `note`. Gives its length in bytes; none at the end, and where
/// what is left is no whole frame.
fn read_frame(
    reader: &mut impl Read,
    seen: &mut Seen,
    note: &mut Option<Vec<u8>>,
) -> io::Result<Option<u64>> {
    let mut head = [0; HEAD_BYTES];
    if read_fully(reader, &mut head)? < HEAD_BYTES {
        return Ok(None);
    }
    let (len, crc) = head.split_at(4);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let mut body = Vec::new();
    // As much as there is, whatever a torn length says.
    reader.take(number(len).into()).read_to_end(&mut body)?;
    if body.len() as u64 != u64::from(number(len)) || crc32fast::hash(&body) != number(crc) {
        return Ok(None);
    }
    let (count, rest) = body.split_at_checked(COUNT_BYTES).unwrap_or_default();
    let Some((ids, text)) = rest.split_at_checked(number(count) as usize * ID_BYTES) else { return Ok(None) };
    seen.add(ids.as_chunks().0.iter().map(|id| u128::from_be_bytes(*id)));
    *note = Some(text.to_vec());
    Ok(Some((HEAD_BYTES + body.len()) as u64))
}

/// Fills `bytes` as far as there is something; gives how far.
fn read_fully(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The files of the journal in `folder`, in order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

impl Journal {
    /// Opens the journal in `folder`, which is there. Gives the last note that was signed, if any. What a crash has left
    /// of a frame is cut.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(folder: &Path) -> Result<(Journal, Option<Vec<u8>>), Trouble> {
        let mut journal =
            Journal { folder: folder.to_owned(), file: None, len: 0, written: 0, seen: Seen::default() };
        let mut note = None;
        let paths = files(folder).map_err(|e| Trouble::at(folder, &e))?;
        for path in &paths {
            let trouble = |e: io::Error| Trouble::at(path, &e);
            let file = OpenOptions::new().read(true).write(true).open(path).map_err(trouble)?;
            let mut reader = BufReader::new(&file);
            journal.seen.turn();
            (journal.file, journal.len) = (None, 0);
            let mut magic = [0; MAGIC.len()];
            // Not even its beginning was written.
            if read_fully(&mut reader, &mut magic).map_err(trouble)? < MAGIC.len() || magic != *MAGIC {
                continue;
            }
            let mut len = MAGIC.len() as u64;
            while let Some(more) = read_frame(&mut reader, &mut journal.seen, &mut note).map_err(trouble)? {
                len += more;
            }
            (journal.file, journal.len) = (Some(file), len);
        }
        Ok((journal, note))
    }

    /// Whether a record with this id was taken not long ago.
    pub fn knows(&self, id: u128) -> bool {
        self.seen.newer.contains(&id) || self.seen.older.contains(&id)
    }

    /// Writes a frame: the ids of the records from `first` on, and the note that covers them. Gives what has to be synced
    /// before [`Journal::keep`].
    ///
    /// # Errors
    ///
    /// What the system says. Tried again, it writes the same frame at the same place.
    pub fn write(&mut self, first: u64, ids: &[u128], note: &[u8]) -> Result<Unsynced, Trouble> {
        let mut body = Vec::with_capacity(COUNT_BYTES + ids.len() * ID_BYTES + note.len());
        body.extend_from_slice(&u32::try_from(ids.len()).unwrap_or(u32::MAX).to_le_bytes());
        ids.iter().for_each(|id| body.extend_from_slice(&id.to_be_bytes()));
        body.extend_from_slice(note);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.append(&mut body);
        if self.file.is_none()
            || (self.seen.newer.len() + ids.len() > GENERATION && !self.seen.newer.is_empty())
        {
            self.turn(first)?;
        }
        let trouble = |e: io::Error| Trouble::at(&self.folder, &e);
        let Some(file) = &self.file else { return Err(trouble(ErrorKind::NotFound.into())) };
        file.set_len(self.len).and_then(|()| file.write_all_at(&bytes, self.len)).map_err(trouble)?;
        self.written = self.len + bytes.len() as u64;
        let file = file.try_clone().map_err(trouble)?;
        Ok(Unsynced { path: self.folder.clone(), file })
    }

    /// What was written, of these ids, is on the disk.
    pub fn keep(&mut self, ids: &[u128]) {
        self.len = self.written;
        self.seen.add(ids.iter().copied());
    }

    /// Begins a new file, named by the index of its first record, and removes what is too old.
    fn turn(&mut self, first: u64) -> Result<(), Trouble> {
        let path = self.folder.join(format!("{PREFIX}{first:020}"));
        let trouble = |e: io::Error| Trouble::at(&path, &e);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(MODE).open(&path);
        let file = file.map_err(trouble)?;
        file.write_all_at(MAGIC, 0).and_then(|()| disk::sync_folder_of(&path)).map_err(trouble)?;
        let paths = files(&self.folder).map_err(trouble)?;
        for old in paths.iter().rev().skip(2) {
            match fs::remove_file(old) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(Trouble::at(old, &e)),
                _ => {}
            }
        }
        self.seen.turn();
        (self.file, self.len) = (Some(file), MAGIC.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sync::sync_all;
    use super::*;

    fn add(journal: &mut Journal, first: u64, ids: &[u128], note: &[u8]) {
        sync_all(&[journal.write(first, ids, note).unwrap()]).unwrap();
        journal.keep(ids);
    }

    #[test]
    fn ids_and_the_last_note_outlive_a_restart_and_a_torn_frame() {
        let folder = std::env::temp_dir().join(format!("evaltrail-journal-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (mut journal, note) = Journal::open(&folder).unwrap();
        assert_eq!(note, None);
        add(&mut journal, 0, &[1, 2], b"one");
        add(&mut journal, 2, &[3], b"two");
        let (journal, note) = Journal::open(&folder).unwrap();
        assert_eq!(note.as_deref(), Some(&b"two"[..]));
        assert!([1, 2, 3].iter().all(|id| journal.knows(*id)) && !journal.knows(4));
        let path = files(&folder).unwrap().remove(0);
        let whole = fs::read(&path).unwrap();
        let mut last = 0;
        for cut in 0..whole.len() {
            files(&folder).unwrap().iter().for_each(|path| fs::remove_file(path).unwrap());
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, note) = Journal::open(&folder).unwrap();
            let frames = usize::from(journal.knows(1)) + usize::from(journal.knows(3));
            assert!(frames >= last && note.is_some() == (frames > 0), "{cut}");
            last = frames;
            add(&mut journal, 9, &[77], b"three");
            let (journal, note) = Journal::open(&folder).unwrap();
            assert_eq!(note.as_deref(), Some(&b"three"[..]), "{cut}");
            assert!(journal.knows(77));
        }
        assert_eq!(last, 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn at_least_one_generation_is_remembered() {
        let folder = std::env::temp_dir().join(format!("evaltrail-journal-old-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (mut journal, _) = Journal::open(&folder).unwrap();
        let step = 100_000_u128;
        for round in 0..14 {
            let ids: Vec<u128> = (round * step..(round + 1) * step).collect();
            add(&mut journal, (round * step) as u64, &ids, b"note");
            let oldest = ((round + 1) * step).saturating_sub(400_000);
            assert!(journal.knows(oldest), "{round}");
        }
        assert!(!journal.knows(0));
        assert_eq!(files(&folder).unwrap().len(), 2);
        let (again, _) = Journal::open(&folder).unwrap();
        assert_eq!(again.knows(1_000_000), journal.knows(1_000_000));
        fs::remove_dir_all(&folder).unwrap();
    }
}
