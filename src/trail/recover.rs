//! Opens a trail for writing: brings records, tiles and checkpoint back in step after a crash, and refuses to go on where
//! that would sign another history than the one that was signed before.
//!
//! What is published counts, and what the journal holds as signed: its records were on the disk before it was signed, so
//! that it can be published still. Records behind that were never acknowledged: their source sends them again. They are
//! set aside in a file beside the journal, so that nothing is destroyed, and never signed: anybody may have written them.
//!
//! Where there is no checkpoint at all, only the `data_dir` can tell a trail that was never signed from one whose
//! checkpoint was lost. It knows the folder of a key before the first record is written there.

use super::hashes::leaf_of;
use super::journal::Journal;
use super::key::{SignerKey, VerifierKey};
use super::layout::{self, CHECKPOINT, RECORDS, Segment, TILE, TILE_WIDTH, Tile, level_hashes, segments};
use super::note::Checkpoint;
use super::sync::sync_all;
use super::tree::Edge;
use super::writer::{OpenSegment, Pending, Settings, Writer, publish, replace, write_tiles};
use crate::delivery::disk::{self, Trouble};
use crate::delivery::{are, counted};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Where records are set aside that were written and not signed.
const UNSIGNED: &str = "unsigned.jsonl";
/// Where it is said which folder the trail was in.
const PLACE: &str = "path";
/// There once something was signed.
const SIGNED: &str = "signed";
const UNSIGNED_MODE: u32 = 0o600;
const BLOCK_BYTES: usize = 256 * 1024;
/// How often a lock is tried, and how long is waited in between.
const LOCK_TRIES: u32 = 5;
const LOCK_WAIT: Duration = Duration::from_millis(10);
/// Tiles lie in folders by the last three digits of their index.
const TILES_IN_FOLDER: u64 = 1_000;

impl Writer {
    /// Opens the trail of `key`, or begins it. Waits for nobody: where another process writes it, that is an error.
    ///
    /// # Errors
    ///
    /// What came in the way, and what to do. A trail that holds less than what was signed, or something else, is left as
    /// it is.
    pub fn open(settings: Settings, key: SignerKey) -> Result<Writer, Trouble> {
        let folder = settings.folder.clone();
        let public = key.verifier().map_err(|e| Trouble::because(&folder, &e))?;
        let memory = memory_of(&settings.memory, &key);
        for needed in [&folder, &folder.join(RECORDS), &folder.join(TILE), &memory] {
            disk::make_folder(needed, true).map_err(|e| Trouble::at(needed, &e))?;
        }
        let locks = [lock(&folder)?, lock(&memory)?];
        let (journal, signed) = Journal::open(&memory)?;
        // A journal of our own that does not open is damage, and no reason to sign what may contradict it.
        let signed = signed.map(|note| Checkpoint::open(&note, &public));
        let signed = signed
            .transpose()
            .map_err(|e| Trouble::because(&memory, &format!("the journal is damaged: {e}")))?;
        let published = published(&folder, &public)?;
        if published.is_none() && signed.is_none() {
            refuse_unknown(&folder, &memory)?;
        }
        if published.is_none()
            && let Some(signed) = &signed
        {
            refuse_more(&folder, signed.size)?;
        }
        let size = published.as_ref().map_or(0, |published| published.size);
        let remembered = signed.as_ref().map_or(0, |signed| signed.size);
        if remembered < size {
            tracing::warn!(
                path = %folder.display(),
                records = size,
                remembered,
                "the trail has records that this data_dir does not remember: what comes again of them is written twice"
            );
        }
        let tree = read_edge(&folder, published.as_ref())?;
        let mut writer = Writer {
            segment: OpenSegment { segment: Segment::at(&folder, 0), file: None, len: 0, day: 0 },
            locks,
            pending: Pending::default(),
            settings,
            key,
            journal,
            published,
            edge: tree,
        };
        match signed {
            Some(signed) if signed.size > size => writer.roll_forward(&signed, &memory)?,
            Some(signed) => writer.check_before(&signed)?,
            None => {}
        }
        writer.settle(&memory)?;
        writer.put_back_checkpoint()?;
        if writer.published.is_some() {
            note_signed(&memory)?;
        }
        let place = memory.join(PLACE);
        let here = absolute(&writer.settings.folder);
        if fs::read(&place).ok().as_deref() != Some(here.as_os_str().as_bytes()) {
            replace(&place, here.as_os_str().as_bytes())?;
        }
        Ok(writer)
    }

    /// Publishes what was signed before a crash: its records are there.
    fn roll_forward(&mut self, signed: &Checkpoint, memory: &Path) -> Result<(), Trouble> {
        let folder = self.settings.folder.clone();
        let have = self.edge.size();
        let was = fs::read(memory.join(PLACE)).map(|path| PathBuf::from(OsString::from_vec(path)));
        if let Ok(was) = was
            && was != absolute(&folder)
            && have == 0
        {
            let was = was.display();
            let why = format!(
                "this key signs the trail at {was}, and one key signs one trail: make another key for this one, or move that \
                 trail here"
            );
            return Err(Trouble::because(&folder, &why));
        }
        let lost = |why: &str| {
            let why = format!(
                "the trail was signed with {}, and {why}: it was put back to an older state, or records were taken \
                 away. Look with `evaltrail trail verify`; put back what is missing, or begin another trail in an empty \
                 folder with another key",
                counted(signed.size, "record")
            );
            Trouble::because(&folder, &why)
        };
        let mut full = Vec::new();
        let mut tree = self.edge.clone();
        read_records(&folder, have, signed.size, |record| tree.push(leaf_of(record), &mut full))?;
        if tree.size() < signed.size && self.published.is_none() && self.goes_by_tiles(signed) {
            return Ok(());
        }
        if tree.size() < signed.size {
            return Err(lost(&format!("holds {}", tree.size())));
        }
        if tree.root() != signed.root {
            return Err(lost("holds other records than those"));
        }
        sync_all(&write_tiles(&folder, &full, &tree, self.published.as_ref())?)?;
        publish(&folder, &full, self.published.as_ref(), signed)?;
        tracing::info!(path = %folder.display(), records = signed.size - have, "published what was signed before the last end");
        (self.edge, self.published) = (tree, Some(signed.clone()));
        Ok(())
    }

    /// Whether all tiles of what was `signed` are there: then only the checkpoint is gone, and the first records by
    /// retention. The newest are looked for before it is put back.
    fn goes_by_tiles(&mut self, signed: &Checkpoint) -> bool {
        let Ok(tree) = Edge::read(&self.settings.folder, signed.size) else { return false };
        let fits = tree.root() == signed.root;
        if fits {
            (self.edge, self.published) = (tree, Some(signed.clone()));
        }
        fits
    }

    /// Puts the checkpoint back that the journal has and the trail has not.
    fn put_back_checkpoint(&self) -> Result<(), Trouble> {
        let path = self.settings.folder.join(CHECKPOINT);
        let Some(signed) = self.published.as_ref().filter(|_| !path.exists()) else { return Ok(()) };
        replace(&path, &signed.note)?;
        let path = path.display();
        tracing::warn!(%path, records = signed.size, "the checkpoint was gone; it is put back from the data_dir");
        Ok(())
    }

    /// Whether what is published goes on from what was `signed`.
    fn check_before(&self, signed: &Checkpoint) -> Result<(), Trouble> {
        let folder = &self.settings.folder;
        let before = Edge::read(folder, signed.size)
            .map_err(|e| Trouble(format!("{e}; look with `evaltrail trail verify`")))?;
        if before.root() == signed.root {
            return Ok(());
        }
        let why = format!(
            "its first {} records are not those that were signed: there are two histories. Look with `evaltrail trail verify`",
            signed.size
        );
        Err(Trouble::because(folder, &why))
    }

    /// Takes away what is behind the published records and tiles, and finds where to go on.
    fn settle(&mut self, memory: &Path) -> Result<(), Trouble> {
        let folder = self.settings.folder.clone();
        let size = self.edge.size();
        let trouble = |e: io::Error| Trouble::at(&folder, &e);
        let found = segments(&folder).map_err(trouble)?;
        let mut aside = Aside { path: memory.join(UNSIGNED), file: None, bytes: 0 };
        for segment in found.iter().filter(|one| one.first > size || (one.first == size && size > 0)) {
            aside.take(&segment.path, 0)?;
            fs::remove_file(&segment.path).map_err(|e| Trouble::at(&segment.path, &e))?;
        }
        if let Some(segment) = found.iter().rfind(|one| one.first < size || (size == 0 && one.first == 0)) {
            let (records, len) = find_end(segment, size)?;
            if records < size {
                let why = format!(
                    "{} {} signed, and {records} {} there: records were taken away. Look with `evaltrail trail verify`",
                    counted(size, "record"),
                    are(size),
                    are(records)
                );
                return Err(Trouble::because(&segment.path, &why));
            }
            let about = fs::metadata(&segment.path).map_err(|e| Trouble::at(&segment.path, &e))?;
            if about.len() > len {
                aside.take(&segment.path, len)?;
                let file = OpenOptions::new().write(true).open(&segment.path);
                file.and_then(|file| file.set_len(len).and_then(|()| file.sync_all()))
                    .map_err(|e| Trouble::at(&segment.path, &e))?;
            }
            let day = u64::try_from(about.mtime()).unwrap_or(0) / 86_400;
            self.segment = OpenSegment { segment: segment.clone(), file: None, len, day };
        } else if size > 0 {
            let why = format!(
                "{} {} signed, and the newest of them are not there. Look with `evaltrail trail verify`",
                counted(size, "record"),
                are(size)
            );
            return Err(Trouble::because(&folder.join(RECORDS), &why));
        }
        if aside.bytes > 0 {
            let (path, bytes) = (aside.path.display(), aside.bytes);
            tracing::warn!(%path, bytes, "records that were written and not signed before the last end are set aside; what was not acknowledged comes again");
        }
        clear_tiles(&folder, size)
    }
}

/// The folder of what is remembered of the trail of `key`: its name tells the origin and the key.
pub(super) fn memory_of(root: &Path, key: &SignerKey) -> PathBuf {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let origin: String = key.origin().chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let id = key.verifier_text().split('+').nth(1).unwrap_or_default();
    root.join(format!("{}+{id}", origin.trim_start_matches('.')))
}

/// Refuses a trail without a checkpoint of which `memory` does not know that it was never signed: that is written down
/// when a trail is opened, before its first record is written.
fn refuse_unknown(folder: &Path, memory: &Path) -> Result<(), Trouble> {
    let is_here =
        fs::read(memory.join(PLACE)).is_ok_and(|path| path == absolute(folder).as_os_str().as_bytes());
    let is_known = is_here && !memory.join(SIGNED).exists();
    let trouble = |e: io::Error| Trouble::at(folder, &e);
    if is_known
        || !(holds_bytes(&folder.join(RECORDS)).map_err(trouble)?
            || holds_bytes(&folder.join(TILE)).map_err(trouble)?)
    {
        return Ok(());
    }
    let why = "the trail has records but no checkpoint, and this data_dir does not know it: put the checkpoint back (the \
               `message` of an anchor is one), or take an empty folder";
    Err(Trouble::because(folder, why))
}

/// Refuses a trail without a checkpoint that holds more than the journal's: no crash leaves that, since the next commit goes
/// on from what is published, so the rest may have been signed.
fn refuse_more(folder: &Path, signed: u64) -> Result<(), Trouble> {
    let found = segments(folder).map_err(|e| Trouble::at(folder, &e))?;
    let len = |one: &Segment| {
        fs::metadata(&one.path).map(|about| about.len()).map_err(|e| Trouble::at(&one.path, &e))
    };
    // Those in front of the last one that holds signed records end where it begins.
    let last = found.iter().rposition(|one| one.first < signed);
    for segment in found.iter().skip(last.unwrap_or_default()) {
        let end = if segment.first < signed { find_end(segment, signed)?.1 } else { 0 };
        if len(segment)? > end {
            let why = format!(
                "the checkpoint is gone, and there are more records than the {signed} that this data_dir knows to be signed: put \
                 the newest checkpoint back (the `message` of an anchor is one)"
            );
            return Err(Trouble::because(&segment.path, &why));
        }
    }
    Ok(())
}

/// Writes down, once, that something was signed: from then on records without a checkpoint are never taken for a crash's.
pub(super) fn note_signed(memory: &Path) -> Result<(), Trouble> {
    let path = memory.join(SIGNED);
    if path.exists() { Ok(()) } else { replace(&path, b"signed\n") }
}

/// Whether there is a file with something in it below `folder`.
fn holds_bytes(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if (about.is_file() && about.len() > 0) || (about.is_dir() && holds_bytes(&entry.path())?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A path that means the same to another process.
fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn lock(folder: &Path) -> Result<File, Trouble> {
    let file = File::open(folder).map_err(|e| Trouble::at(folder, &e))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // Whoever verifies holds it for a moment.
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_WAIT),
            Err(TryLockError::Error(e)) => return Err(Trouble::at(folder, &e)),
        }
    }
    let why = "another evaltrail writes this trail, or one with this key; a trail has one writer";
    Err(Trouble::because(folder, why))
}

fn published(folder: &Path, key: &VerifierKey) -> Result<Option<Checkpoint>, Trouble> {
    let path = folder.join(CHECKPOINT);
    match layout::read(&path) {
        Ok(bytes) => {
            let why = |e: super::note::BadNote| {
                Trouble::because(&path, &format!("{e}; look with `evaltrail trail verify`"))
            };
            Checkpoint::open(&bytes, key).map(Some).map_err(why)
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Trouble::at(&path, &e)),
    }
}

/// The right edge of what is published.
fn read_edge(folder: &Path, published: Option<&Checkpoint>) -> Result<Edge, Trouble> {
    let Some(published) = published else { return Ok(Edge::default()) };
    let look = "look with `evaltrail trail verify`";
    let tree = Edge::read(folder, published.size).map_err(|e| Trouble(format!("{e}; {look}")))?;
    if tree.root() != published.root {
        return Err(Trouble::because(
            folder,
            &format!("its tiles do not lead to the root that is signed; {look}"),
        ));
    }
    Ok(tree)
}

/// Hands the records from `from` on, in front of `to`, to `each`, as far as they are there.
fn read_records(folder: &Path, from: u64, to: u64, mut each: impl FnMut(&[u8])) -> Result<(), Trouble> {
    let found = segments(folder).map_err(|e| Trouble::at(folder, &e))?;
    let begin = found.iter().rfind(|one| one.first <= from).map_or(0, |one| one.first);
    let mut at = begin;
    for segment in found.iter().filter(|one| one.first >= begin && one.first < to) {
        if segment.first != at {
            return Ok(());
        }
        let trouble = |e: io::Error| Trouble::at(&segment.path, &e);
        let mut reader = BufReader::with_capacity(BLOCK_BYTES, layout::open(&segment.path).map_err(trouble)?);
        let mut line = Vec::new();
        while at < to {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(trouble)?;
            let Some(record) = line.strip_suffix(b"\n") else { break };
            if at >= from {
                each(record);
            }
            at += 1;
        }
    }
    Ok(())
}

/// How many records there are up to the end of those in front of `size` in the last `segment`, and the byte at which they end.
fn find_end(segment: &Segment, size: u64) -> Result<(u64, u64), Trouble> {
    let trouble = |e: io::Error| Trouble::at(&segment.path, &e);
    let mut file = layout::open(&segment.path).map_err(trouble)?;
    let (mut records, mut end, mut read) = (segment.first, 0, 0);
    let mut block = vec![0; BLOCK_BYTES];
    while records < size {
        let len = file.read(&mut block).map_err(trouble)?;
        if len == 0 {
            break;
        }
        for at in memchr::memchr_iter(b'\n', block.get(..len).unwrap_or_default()) {
            (records, end) = (records + 1, read + at as u64 + 1);
            if records == size {
                break;
            }
        }
        read += len as u64;
    }
    Ok((records, end))
}

/// Where unsigned records go, behind those of earlier crashes.
struct Aside {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Aside {
    /// Copies what is in the file `from` behind `start`.
    fn take(&mut self, from: &Path, start: u64) -> Result<(), Trouble> {
        let trouble = |e: io::Error| Trouble::at(&self.path, &e);
        let mut source = layout::open(from).map_err(|e| Trouble::at(from, &e))?;
        source.seek(SeekFrom::Start(start)).map_err(|e| Trouble::at(from, &e))?;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                options.append(true).create(true).mode(UNSIGNED_MODE);
                self.file.insert(options.open(&self.path).map_err(trouble)?)
            }
        };
        self.bytes += io::copy(&mut source, file)
            .and_then(|bytes| file.sync_data().map(|()| bytes))
            .map_err(trouble)?;
        Ok(())
    }
}

/// Removes tiles that a tree of `size` records does not have; a crash in the middle of a commit has left them.
fn clear_tiles(folder: &Path, size: u64) -> Result<(), Trouble> {
    for level in 0..8 {
        let hashes = level_hashes(size, level);
        clear_level(folder, level, hashes / TILE_WIDTH, hashes % TILE_WIDTH)?;
    }
    Ok(())
}

/// Removes the tiles of `level` beyond `width` hashes of the one with `index`. A commit makes one behind the other, so that
/// nothing follows a folder that is not there.
fn clear_level(root: &Path, level: u8, index: u64, width: u64) -> Result<(), Trouble> {
    let mut from = index;
    loop {
        let path = root.join(Tile { level, index: from, width: TILE_WIDTH }.path());
        let folder = disk::folder_of(&path);
        let trouble = |e: io::Error| Trouble::at(folder, &e);
        let entries = match fs::read_dir(folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(trouble)?,
        };
        let base = from - from % TILES_IN_FOLDER;
        for entry in entries {
            let path = entry.map_err(trouble)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let (digits, is_partial) = match name.strip_suffix(".p") {
                Some(digits) => (digits, true),
                None => (name, false),
            };
            let Ok(group) = digits.parse::<u64>() else { continue };
            let number = base + group;
            if is_partial && number == index && width > 0 {
                clear_wider(&path, width)?;
            } else if number >= index {
                let removed = if is_partial { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|e| Trouble::at(&path, &e))?;
            }
        }
        from = base + TILES_IN_FOLDER;
    }
}

fn clear_wider(folder: &Path, width: u64) -> Result<(), Trouble> {
    let trouble = |e: io::Error| Trouble::at(folder, &e);
    for entry in fs::read_dir(folder).map_err(trouble)? {
        let path = entry.map_err(trouble)?.path();
        let found = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
        if found.is_some_and(|found| found > width) {
            fs::remove_file(&path).map_err(|e| Trouble::at(&path, &e))?;
        }
    }
    Ok(())
}
