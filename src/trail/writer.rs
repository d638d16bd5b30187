//! Writes a trail: takes records, and commits them in steps of which a crash can undo none.
//!
//! A commit writes and syncs the records; then the tiles, and what the journal remembers of the records; then it publishes
//! the checkpoint by renaming it into its place. What was signed is in the journal before anybody can see it. Every step can
//! be repeated, and a commit that has failed begins again at the first: it writes the same bytes to the same places.

use super::hashes::leaf_of;
use super::journal::Journal;
use super::key::SignerKey;
use super::layout::{CHECKPOINT, NEW_SUFFIX, Segment, TILE_WIDTH, Tile, edge};
use super::note::Checkpoint;
use super::recover::{memory_of, note_signed};
use super::retain::{self, Retention};
use super::sync::{Unsynced, sync_all};
use super::tree::{Content, Edge};
use crate::delivery::disk::{self, Trouble};
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MODE: u32 = 0o640;

/// Where a trail is, and how it is written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its folder.
    pub folder: PathBuf,
    /// The folder of what the writer remembers outside of the trail: one for all trails of a `data_dir`.
    pub memory: PathBuf,
    /// A segment that would get longer than this many bytes is followed by another.
    pub segment_max_bytes: u64,
    /// Which records may go.
    pub retention: Retention,
}

/// A trail that this process alone writes.
pub struct Writer {
    pub(super) settings: Settings,
    pub(super) key: SignerKey,
    /// Locks: the trail's folder, the memory's. Held for as long as this lives.
    pub(super) locks: [File; 2],
    pub(super) journal: Journal,
    /// What is published.
    pub(super) published: Option<Checkpoint>,
    /// The tree with all records that were taken.
    pub(super) edge: Edge,
    pub(super) segment: OpenSegment,
    pub(super) pending: Pending,
}

/// The segment that is written.
pub struct OpenSegment {
    pub(super) segment: Segment,
    pub(super) file: Option<File>,
    /// Bytes of records that are covered by what is published.
    pub(super) len: u64,
    /// The day since 1970 on which it was written last; retention by age goes by whole segments.
    pub(super) day: u64,
}

/// What was taken and is not published.
#[derive(Default)]
pub struct Pending {
    /// Records, each with its newline.
    text: Vec<u8>,
    /// Where each ends in `text`.
    ends: Vec<usize>,
    ids: Vec<u128>,
    known: HashSet<u128>,
    /// Tiles that have become full.
    pub(super) full: Vec<Content>,
    /// What was signed for it.
    pub(super) signed: Option<Checkpoint>,
    /// Whether the journal has it.
    is_noted: bool,
}

impl Writer {
    /// How many records there are, those that are not published yet included.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// How many of them are not published yet.
    pub fn pending(&self) -> usize {
        self.pending.ends.len()
    }

    /// The published checkpoint; none as long as there is no record.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.published.as_ref()
    }

    /// The key that the trail is signed with.
    pub fn key(&self) -> &SignerKey {
        &self.key
    }

    /// Takes a record of one line, without its newline, that has the id `id`. False where it is there already.
    ///
    /// A newline in it becomes a space: in JSON it can stand between the parts only.
    pub fn append(&mut self, id: u128, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let pending = &mut self.pending;
        if self.journal.knows(id) || !pending.known.insert(id) {
            return false;
        }
        let start = pending.text.len();
        write(&mut pending.text);
        let record = pending.text.get_mut(start..).unwrap_or_default();
        if memchr::memchr(b'\n', record).is_some() {
            record.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        }
        self.edge.push(leaf_of(record), &mut pending.full);
        pending.text.push(b'\n');
        pending.ends.push(pending.text.len());
        pending.ids.push(id);
        true
    }

    /// Publishes what was taken, at `now_ms` milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// What came in the way. Nothing is lost: the next call does the same again.
    pub fn commit(&mut self, now_ms: u64) -> Result<(), Trouble> {
        if self.pending.ends.is_empty() {
            return Ok(());
        }
        let [folder, _] = &self.locks;
        is_in_place(&self.settings.folder, folder)?;
        let day = now_ms / 86_400_000;
        let last = self.write_records(day)?;
        let signed = match self.pending.signed.take() {
            Some(signed) => signed,
            None => Checkpoint::sign(self.edge.size(), self.edge.root(), &self.key)
                .map_err(|e| Trouble::because(&self.settings.folder, &format!("can't be signed: {e}")))?,
        };
        let signed = self.pending.signed.insert(signed).clone();
        let (folder, ids) = (&self.settings.folder, &self.pending.ids);
        let before = self.published.as_ref();
        let mut unsynced = write_tiles(folder, &self.pending.full, &self.edge, before)?;
        if !self.pending.is_noted {
            unsynced.push(self.journal.write(self.edge.size() - ids.len() as u64, ids, &signed.note)?);
        }
        sync_all(&unsynced)?;
        if !self.pending.is_noted {
            self.journal.keep(ids);
            self.pending.is_noted = true;
        }
        if before.is_none() {
            note_signed(&memory_of(&self.settings.memory, &self.key))?;
        }
        publish(folder, &self.pending.full, before, &signed)?;
        let is_new_segment = last.segment != self.segment.segment;
        self.segment = last;
        self.published = Some(signed);
        self.pending.clear();
        // Everything is published: what can't be removed now is looked at again.
        if is_new_segment && let Err(Trouble(why)) = self.retain(now_ms) {
            tracing::warn!("retention has to wait: {why}");
        }
        Ok(())
    }

    /// Removes what retention lets go.
    ///
    /// # Errors
    ///
    /// What came in the way; what is published is not touched.
    pub fn retain(&self, now_ms: u64) -> Result<(), Trouble> {
        retain::retain(&self.settings.folder, &self.settings.retention, &self.key, now_ms)
    }

    /// Writes the pending records and syncs them; gives the segment that is the last one then.
    fn write_records(&mut self, day: u64) -> Result<OpenSegment, Trouble> {
        let folder = self.settings.folder.clone();
        let first_new = self.edge.size() - self.pending.ends.len() as u64;
        let old = &mut self.segment;
        if old.file.is_none() {
            old.file = Some(open_segment(&old.segment)?);
        }
        let mut at = OpenSegment {
            segment: old.segment.clone(),
            file: old
                .file
                .as_ref()
                .map(File::try_clone)
                .transpose()
                .map_err(|e| Trouble::at(&old.segment.path, &e))?,
            len: old.len,
            day: old.day,
        };
        let (mut done, mut records) = (0, 0);
        while records < self.pending.ends.len() {
            let is_old_day = self.settings.retention.days.is_some() && at.day != day;
            let max = if is_old_day { 0 } else { self.settings.segment_max_bytes };
            let rest = self.pending.ends.get(records..).unwrap_or_default();
            let mut count = rest.partition_point(|end| at.len + (end - done) as u64 <= max);
            // A record that is longer than a segment may be gets one of its own.
            if count == 0 && at.len == 0 {
                count = 1;
            }
            if let Some(end) = count.checked_sub(1).and_then(|last| rest.get(last)).copied() {
                let bytes = self.pending.text.get(done..end).unwrap_or_default();
                write_at(&at, bytes)?;
                (at.len, at.day) = (at.len + bytes.len() as u64, day);
                (done, records) = (end, records + count);
            } else {
                let segment = Segment::at(&folder, first_new + records as u64);
                let file = open_segment(&segment)?;
                at = OpenSegment { segment, file: Some(file), len: 0, day };
            }
        }
        Ok(at)
    }
}

impl Pending {
    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(ROOM_BYTES);
        self.ends.clear();
        self.ids.clear();
        self.known.clear();
        self.full.clear();
        (self.signed, self.is_noted) = (None, false);
    }
}

/// What a buffer keeps of its memory.
const ROOM_BYTES: usize = 4 * 1024 * 1024;

/// Opens a segment, making it where it is missing.
pub(super) fn open_segment(segment: &Segment) -> Result<File, Trouble> {
    let path = &segment.path;
    let trouble = |e: io::Error| Trouble::at(path, &e);
    let is_new = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path);
    let file = file.map_err(trouble)?;
    if is_new {
        disk::sync_folder_of(path).map_err(trouble)?;
    }
    Ok(file)
}

/// Whether `path` still leads to `file`, which would be written for nobody otherwise.
fn is_in_place(path: &Path, file: &File) -> Result<(), Trouble> {
    let trouble = |e: io::Error| Trouble::at(path, &e);
    let own = file.metadata().map_err(trouble)?;
    match fs::metadata(path) {
        Ok(found) if (found.dev(), found.ino()) == (own.dev(), own.ino()) => Ok(()),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(trouble(e)),
        _ => {
            let why = "it was removed, moved or replaced while it was written: put it back, or stop evaltrail and look with \
                       `evaltrail trail verify`";
            Err(Trouble::because(path, why))
        }
    }
}

/// Writes `bytes` behind what is published of a segment, over what a failed attempt has left, and syncs them.
fn write_at(at: &OpenSegment, bytes: &[u8]) -> Result<(), Trouble> {
    let path = &at.segment.path;
    let trouble = |e: io::Error| Trouble::at(path, &e);
    let Some(file) = &at.file else { return Ok(()) };
    is_in_place(path, file)?;
    let found = file.metadata().map_err(trouble)?;
    if found.len() < at.len {
        let why = "it was cut while it was written: stop evaltrail and look with `evaltrail trail verify`";
        return Err(Trouble::because(path, why));
    }
    if found.len() > at.len {
        file.set_len(at.len).map_err(trouble)?;
    }
    file.write_all_at(bytes, at.len).and_then(|()| file.sync_data()).map_err(trouble)
}

/// Writes the tiles of `tree` that those of `before` do not have; gives what has to be synced.
///
/// # Errors
///
/// What came in the way; it can be done again.
pub(super) fn write_tiles(
    folder: &Path,
    full: &[Content],
    tree: &Edge,
    before: Option<&Checkpoint>,
) -> Result<Vec<Unsynced>, Trouble> {
    let old: BTreeSet<Tile> = before.map(|before| edge(before.size).collect()).unwrap_or_default();
    let partial: Vec<Content> = tree.partial().filter(|one| !old.contains(&one.tile)).collect();
    let (mut unsynced, mut folders) = (Vec::new(), BTreeSet::new());
    for content in full.iter().chain(&partial) {
        let path = folder.join(content.tile.path());
        let file = write_tile(&path, &content.hashes)?;
        folders.insert(disk::folder_of(&path).to_owned());
        unsynced.push(Unsynced { path, file });
    }
    for path in folders {
        let file = File::open(&path).map_err(|e| Trouble::at(&path, &e))?;
        unsynced.push(Unsynced { path, file });
    }
    Ok(unsynced)
}

/// Puts `signed` in the place of `before`; its tiles are on the disk.
///
/// # Errors
///
/// What came in the way; it can be done again.
pub(super) fn publish(
    folder: &Path,
    full: &[Content],
    before: Option<&Checkpoint>,
    signed: &Checkpoint,
) -> Result<(), Trouble> {
    replace(&folder.join(CHECKPOINT), &signed.note)?;
    // Full tiles stand for the partial ones of earlier checkpoints.
    let old = before.into_iter().flat_map(|before| edge(before.size));
    for tile in old.filter(|tile| tile.width < TILE_WIDTH) {
        if full.iter().any(|one| (one.tile.level, one.tile.index) == (tile.level, tile.index)) {
            let path = folder.join(tile.path());
            let partial = disk::folder_of(&path);
            let removed = fs::remove_dir_all(partial);
            removed.unwrap_or_else(|e| tracing::debug!(path = %partial.display(), "can't be removed: {e}"));
        }
    }
    Ok(())
}

fn write_tile(path: &Path, bytes: &[u8]) -> Result<File, Trouble> {
    let trouble = |e: io::Error| Trouble::at(path, &e);
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path);
    let file = match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            disk::make_folder(disk::folder_of(path), true).map_err(trouble)?;
            open()
        }
        file => file,
    };
    let mut file = file.map_err(trouble)?;
    file.write_all(bytes).map_err(trouble)?;
    Ok(file)
}

/// Puts `bytes` in the place of the file `path`, so that a reader sees either the one or the other.
///
/// # Errors
///
/// What came in the way.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let mut new = path.as_os_str().to_owned();
    new.push(NEW_SUFFIX);
    let new = PathBuf::from(new);
    let trouble = |e: io::Error| Trouble::at(path, &e);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&new).map_err(trouble)?;
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(trouble)?;
    fs::rename(&new, path).and_then(|()| disk::sync_folder_of(path)).map_err(trouble)
}
