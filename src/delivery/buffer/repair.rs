//! Makes a damaged buffer usable again, and keeps every record in it that is whole.
//!
//! Damaged segments are written anew without what can't be read, and the old files are kept under other names. It is
//! done in three steps, each ended by renaming a folder, so that a repair that was interrupted can be taken up again:
//! the new segments are written and synced; the old files are renamed; the new ones are moved into their places.

use super::cursor::{self, Cursor, Found, Marks};
use super::folder::{self, NotLocked};
use super::frame::{Piece, SEGMENT_HEADER_BYTES, SegmentHeader, pieces};
use super::survey::{Flaw, Segment, Survey};
use crate::delivery::{counted, disk};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

/// New segments, not all of them written.
const NEW: &str = "repair.new";
/// New segments, and the list of old files that make way for them.
const READY: &str = "repair.ready";
/// New segments whose places are free.
const MOVE: &str = "repair.move";
/// Name of the list: what a file is called, a tab, and what it is to be called.
const ASIDE: &str = "aside";
/// What one round has put in its place may show what else does not fit; so often at most.
const ROUNDS_MAX: usize = 8;
/// Bytes of records that go into one new segment.
const RUN_BYTES_MAX: usize = super::log::SEGMENT_BYTES_MAX as usize;

/// What a repair has done.
#[derive(Debug)]
pub struct Repaired {
    /// What was damaged.
    pub flaws: Vec<Flaw>,
    /// Events that are there now.
    pub events: u64,
    /// Those of them that are still to be delivered.
    pub undelivered_events: u64,
    /// Whether nobody knows any more what was delivered, so that everything there is will be.
    pub repeats: bool,
    /// Files that were put aside.
    pub aside: Vec<PathBuf>,
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.flaws.is_empty() && self.aside.is_empty() {
            writeln!(f, "nothing is damaged")?;
        }
        for flaw in &self.flaws {
            writeln!(f, "damaged: {flaw}")?;
        }
        for path in &self.aside {
            writeln!(f, "kept as it was: {}", path.display())?;
        }
        if self.repeats {
            writeln!(f, "what was delivered is not known any more: all that is here is delivered again")?;
        }
        writeln!(
            f,
            "kept: {}, {} of them to be delivered",
            counted(self.events, "event"),
            self.undelivered_events
        )
    }
}

/// Where an earlier repair was interrupted, if one was.
pub fn interrupted(folder: &Path) -> Option<PathBuf> {
    [READY, MOVE].map(|name| folder.join(name)).into_iter().find(|path| path.exists())
}

/// Repairs the buffer in `folder`, which no process may use meanwhile.
pub fn repair(folder: &Path) -> Result<Repaired, String> {
    folder::refuse_other(folder)?;
    let _lock = match folder::lock(folder) {
        Ok(lock) => lock,
        Err(NotLocked::Taken) => {
            return Err(format!("an evaltrail uses the buffer in {}: stop it first", folder.display()));
        }
        Err(NotLocked::Failed(why)) => return Err(why),
    };
    let failed = |e: io::Error| format!("can't repair the buffer in {}: {e}", folder.display());
    let mut aside = Vec::new();
    finish(folder, &mut aside).map_err(failed)?;
    let before = Survey::of(folder).map_err(failed)?;
    let (flaws, repeats) = (before.flaws.clone(), before.cursor == Found::Damaged);
    let mut survey = before;
    for _ in 0..ROUNDS_MAX {
        if survey.flaws.is_empty() {
            break;
        }
        prepare(&survey).map_err(failed)?;
        finish(folder, &mut aside).map_err(failed)?;
        mend(folder, &mut aside).map_err(failed)?;
        survey = Survey::of(folder).map_err(failed)?;
    }
    hand_over(folder).map_err(failed)?;
    if let Some(flaw) = survey.flaws.first() {
        let folder = folder.display();
        return Err(format!(
            "the buffer in {folder} is repaired as far as it can be, and still damaged: {flaw}"
        ));
    }
    let (_, events) = survey.totals();
    Ok(Repaired { flaws, events, undelivered_events: survey.undelivered_events, repeats, aside })
}

/// Gives what is new to the owner of the folder: whoever repairs is often root, whoever runs is not.
fn hand_over(folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.metadata()?.uid() != owner.uid() {
            lchown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}

/// A record that is kept: in which of the damaged segments, and where.
type Kept = BTreeMap<u64, (usize, Range<usize>)>;

/// Writes what is whole in damaged segments into new ones, and the list of what makes way.
pub(super) fn prepare(survey: &Survey) -> io::Result<()> {
    let mut damaged: Vec<&Segment> = survey.segments.iter().filter(|one| one.is_damaged).collect();
    if damaged.is_empty() {
        return Ok(());
    }
    let new = survey.folder.join(NEW);
    match fs::remove_dir_all(&new) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => DirBuilder::new().mode(0o750).create(&new)?,
    }
    let mut kept = Kept::new();
    for (index, segment) in damaged.iter().enumerate() {
        let bytes = match fs::read(&segment.path) {
            Err(e) if folder::is_unreadable(&e) => continue,
            read => read?,
        };
        for piece in pieces(&bytes, SEGMENT_HEADER_BYTES.min(bytes.len())) {
            let Piece::Record { at, sequence, .. } = piece else { continue };
            let elsewhere = |one: &Segment| {
                !one.is_damaged && one.records > 0 && (one.number..one.next).contains(&sequence)
            };
            if !survey.segments.iter().any(elsewhere) {
                kept.entry(sequence).or_insert((index, at));
            }
        }
    }
    write_runs(&new, &damaged, &kept)?;
    // One that is whole and without a record makes way for the one that has its first.
    let is_in_the_way =
        |one: &&Segment| !one.is_damaged && one.records == 0 && kept.contains_key(&one.number);
    damaged.extend(survey.segments.iter().filter(is_in_the_way));
    let mut list = String::new();
    for segment in damaged {
        let name = folder::segment_name(segment.number);
        let flaw = survey.flaws.iter().find(|flaw| flaw.path == segment.path);
        let offset = flaw.map_or(0, |flaw| flaw.at.start);
        let aside = folder::free_name(&survey.folder, format!("{name}.damaged-{offset}"));
        list.push_str(&format!("{name}\t{aside}\n"));
    }
    create(&new.join(ASIDE), list.as_bytes())?;
    File::open(&new)?.sync_all()?;
    fs::rename(&new, survey.folder.join(READY))?;
    File::open(&survey.folder)?.sync_all()
}

/// Writes a segment for each run of records that follow each other in one file.
fn write_runs(new: &Path, damaged: &[&Segment], kept: &Kept) -> io::Result<()> {
    let mut run: Vec<u8> = Vec::new();
    let mut first = 0;
    let mut last: Option<(usize, u64)> = None;
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (sequence, (index, at)) in kept {
        if last != Some((*index, sequence.wrapping_sub(1))) || run.len() > RUN_BYTES_MAX {
            write_run(new, first, &run)?;
            (run, first) = (Vec::new(), *sequence);
        }
        if open.as_ref().is_none_or(|(of, _)| of != index)
            && let Some(segment) = damaged.get(*index)
        {
            open = Some((*index, fs::read(&segment.path)?));
        }
        let bytes = open.as_ref().and_then(|(_, bytes)| bytes.get(at.clone()));
        run.extend_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        last = Some((*index, *sequence));
    }
    write_run(new, first, &run)
}

fn write_run(new: &Path, first: u64, records: &[u8]) -> io::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    // What it follows is seen to when all segments are in their places.
    let mut bytes = SegmentHeader { first, follows: first }.to_bytes();
    bytes.extend_from_slice(records);
    create(&new.join(folder::segment_name(first)), &bytes)
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(cursor::FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Does what is left of the second and the third step.
fn finish(folder: &Path, aside: &mut Vec<PathBuf>) -> io::Result<()> {
    let (ready, moving) = (folder.join(READY), folder.join(MOVE));
    if ready.exists() {
        for line in fs::read_to_string(ready.join(ASIDE))?.lines() {
            let Some((from, to)) = line.split_once('\t') else { continue };
            let (from, to) = (folder.join(from), folder.join(to));
            // What was renamed before an interruption is not renamed twice.
            if !to.exists() {
                disk::rename_new(&from, &to)?;
            }
            aside.push(to);
        }
        File::open(folder)?.sync_all()?;
        fs::rename(&ready, &moving)?;
    }
    if moving.exists() {
        File::open(folder)?.sync_all()?;
        for (_, path) in folder::segments(&moving)? {
            if let Some(name) = path.file_name() {
                disk::rename_new(&path, &folder.join(name))?;
            }
        }
        File::open(folder)?.sync_all()?;
        fs::remove_dir_all(&moving)?;
    }
    Ok(())
}

/// Accepts what is missing: writes into headers and the cursor what is there instead.
fn mend(folder: &Path, aside: &mut Vec<PathBuf>) -> io::Result<()> {
    let survey = Survey::of(folder)?;
    for segment in &survey.segments {
        if let Some(follows) = segment.follows {
            let file = OpenOptions::new().write(true).open(&segment.path)?;
            file.write_all_at(&SegmentHeader { first: segment.number, follows }.to_bytes(), 0)?;
            file.sync_all()?;
        }
    }
    match survey.cursor {
        Found::Damaged => {
            let name = folder::free_name(folder, format!("{}.damaged", cursor::FILE));
            let (from, to) = (folder.join(cursor::FILE), folder.join(name));
            fs::rename(from, &to)?;
            aside.push(to);
        }
        Found::Marks(Marks { delivered, written }, _) => {
            if survey.end < written {
                let marks = Marks { delivered, written: survey.end.max(delivered) };
                Cursor::new(folder, survey.cursor).save_for_good(marks)?;
            }
        }
        Found::Nothing => {}
    }
    File::open(folder)?.sync_all()
}
