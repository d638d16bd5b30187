//! Verifies a trail: every record, every tile, the signatures, and whether older checkpoints tell the same history.
//!
//! Where nothing is wrong, one pass does it (`sweep`): it builds the tree from the records and holds every tile against
//! it. Only what does not fit costs more: tiles are then proven from the signed root down (`proven`), and the hashes of
//! the lines are aligned with those that were signed (`diagnose`, `align`), so that it can be said which record is the
//! first that does not fit, and what was done to it. Neither needs more memory for a longer trail.
//!
//! A trail may be written while it is verified. So the checkpoint is read first, and what is behind it is none of our
//! business as long as somebody holds the lock of a writer; what fails because old records were removed meanwhile is tried
//! again.

mod align;
mod anchors;
mod diagnose;
mod fault;
mod lines;
mod proven;
mod records;
mod sweep;
mod tiles;

pub use anchors::Anchors;
pub use fault::{FAULTS_MAX, Fault, Kind};
pub use lines::{Lines, RECORD_BYTES_MAX};
pub(super) use tiles::read as read_tile;

use super::key::VerifierKey;
use super::layout::{self, CHECKPOINT, MINIMUM_INDEX, RECORDS, Segment, segments};
use super::note::{Checkpoint, open_minimum_index, origin_in};
use super::proof::{NOTE_BYTES_MAX, SIZE_MAX};
use crate::delivery::counted;
use fault::Findings;
use proven::Proven;
use records::{At, Records};
use serde::Deserialize;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use sweep::{Range, sweep};
use tlog_tiles::Hash;

/// How often a trail is looked at that is changed meanwhile.
const LOOKS: usize = 3;
/// How much of a record is read for its time, in bytes.
const TIMED_BYTES_MAX: u64 = 4 << 20;

/// What verifying has found.
#[derive(Debug)]
pub struct Report {
    /// The name of the trail that the key is for.
    pub origin: String,
    /// The name of another trail, which the checkpoint gives instead.
    pub other_origin: Option<String>,
    /// How many records are signed; none where no signature is right.
    pub size: Option<u64>,
    /// The signed root of their tree, as base64.
    pub root: Option<String>,
    /// The index of the first record that is kept.
    pub first_kept: u64,
    /// The times of the first record that is kept and of the last one, as they say them.
    pub times: (Option<String>, Option<String>),
    /// How many older checkpoints were compared.
    pub anchors: usize,
    /// What does not fit, the first first: at most [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// Whether there are more.
    pub has_more: bool,
    /// What is no fault, and worth a word.
    pub remarks: Vec<String>,
    /// Whether somebody writes the trail.
    pub is_written: bool,
}

impl Report {
    /// Whether everything fits.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty() && self.size.is_some()
    }
}

/// Why a trail was not verified.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no trail. Says why, for people.
    NoTrail(String),
    /// Something can't be read. Says what, for people.
    Unreadable(String),
}

/// Verifies the trail at `folder`, signed by `key`, and compares it with `anchors`, which have to be read before.
///
/// # Errors
///
/// Says why nothing can be said about the trail. What is wrong with it is in the report.
pub fn verify(folder: &Path, key: &VerifierKey, anchors: &Anchors) -> Result<Report, Refused> {
    if !folder.is_dir() {
        return Err(Refused::NoTrail(format!("{}: there is no such folder", folder.display())));
    }
    if !folder.join(CHECKPOINT).exists() && !folder.join(RECORDS).exists() {
        let why =
            format!("{}: this is no trail: it has neither `{CHECKPOINT}` nor `{RECORDS}`", folder.display());
        return Err(Refused::NoTrail(why));
    }
    let why = |e: io::Error| Refused::Unreadable(format!("{}: {e}", folder.display()));
    let mut looks = 0;
    loop {
        looks += 1;
        let before = (is_written(folder), read_note(folder, MINIMUM_INDEX).map_err(why)?);
        // A file that goes between listing and opening was removed by retention.
        let is_gone = |e: &io::Error| e.kind() == ErrorKind::NotFound;
        let looked = look(folder, key, anchors, before.0, before.1.as_deref());
        let is_good = looked.as_ref().is_ok_and(Report::is_good);
        let after = (is_written(folder), read_note(folder, MINIMUM_INDEX).map_err(why)?);
        let is_settled = before == after && !looked.as_ref().is_err_and(is_gone);
        if is_good || is_settled || looks == LOOKS {
            return looked.map_err(why);
        }
    }
}

/// Whether somebody writes the trail: the lock is only tried, so that a writer that starts is not kept out.
fn is_written(folder: &Path) -> bool {
    File::open(folder).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A note of the trail; none where there is none.
fn read_note(folder: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match layout::open(&folder.join(name)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(NOTE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Whether there are signatures in a note that the writer does not make: nobody vouches for those.
fn has_strangers(note: &[u8]) -> bool {
    let text = String::from_utf8_lossy(note);
    text.rsplit_once("\n\n").is_some_and(|(_, signatures)| signatures.lines().count() > 1)
}

/// What is signed, and whether that is what the trail itself says.
fn signed(
    folder: &Path,
    key: &VerifierKey,
    anchors: &Anchors,
    findings: &mut Findings,
) -> io::Result<Option<(u64, Hash, bool)>> {
    let note = read_note(folder, CHECKPOINT)?;
    let what = match &note {
        None => "the checkpoint is missing: it was removed, or nothing was signed yet".to_owned(),
        Some(note) => match Checkpoint::open(note, key) {
            Ok(_) if has_strangers(note) => "it has signatures that its writer did not make".into(),
            Ok(read) if read.size > SIZE_MAX => {
                format!("it is signed, and no trail has {} records", read.size)
            }
            Ok(read) => return Ok(Some((read.size, read.root, true))),
            Err(e) => e.to_string(),
        },
    };
    findings.add(Fault::of_file(Kind::Note, CHECKPOINT, what));
    let Some((size, root, name)) = anchors.newest().filter(|(size, ..)| *size <= SIZE_MAX) else {
        return Ok(None);
    };
    findings.remark(format!(
        "the trail was checked against {name} instead, which is signed for {}",
        counted(size, "record")
    ));
    Ok(Some((size, root, false)))
}

/// The origin in the checkpoint, where that is not the key's.
fn other_origin(folder: &Path, key: &VerifierKey) -> Option<String> {
    let note = read_note(folder, CHECKPOINT).ok().flatten()?;
    origin_in(&note).filter(|origin| origin != key.origin())
}

/// Looks at the trail once.
fn look(
    folder: &Path,
    key: &VerifierKey,
    anchors: &Anchors,
    is_written: bool,
    minimum: Option<&[u8]>,
) -> io::Result<Report> {
    let mut findings = Findings::default();
    let found = signed(folder, key, anchors, &mut findings)?;
    let minimum = minimum.map_or(Ok(0), |note| match open_minimum_index(note, key) {
        Ok(_) if has_strangers(note) => Err("it has signatures that its writer did not make".to_owned()),
        opened => opened.map_err(|e| e.to_string()),
    });
    let minimum = minimum.map_err(|what| findings.add(Fault::of_file(Kind::Note, MINIMUM_INDEX, what))).ok();
    let (mut times, mut first_kept) = ((None, None), 0);
    if let Some((size, root, is_own)) = found {
        // What is behind an older checkpoint is not signed by that.
        let is_written = is_written || !is_own;
        tiles::check_names(folder, size, is_written, &mut findings)?;
        let segments = segments(folder)?;
        let first = segments.first().map_or(0, |segment| segment.first);
        let range = Range { root: folder, size, first: first.min(size), is_written };
        // Where nobody can tell what was removed, nothing else is blamed for it.
        let minimum = minimum.unwrap_or(range.first);
        if minimum > size {
            let what = format!("it says that records up to {minimum} were removed, and the trail has {size}");
            findings.add(Fault::of_file(Kind::Note, MINIMUM_INDEX, what));
        }
        let ends = check(range, minimum, &segments, root, anchors, &mut findings)?;
        anchors.check(folder, size, root, &mut findings);
        first_kept = range.first;
        let time = |at: At| segments.get(at.segment).and_then(|segment| time_of(segment, at));
        times = ends.map_or((None, None), |(one, other)| (time(one), time(other)));
    }
    let (faults, has_more, remarks) = findings.finish();
    Ok(Report {
        origin: key.origin().to_owned(),
        other_origin: other_origin(folder, key),
        size: found.map(|(size, ..)| size),
        root: found.map(|(_, root, _)| root.to_string()),
        first_kept,
        times,
        anchors: anchors.len(),
        faults,
        has_more,
        remarks,
        is_written,
    })
}

/// Checks records and tiles; gives where the first record and the last one are.
fn check(
    range: Range<'_>,
    minimum: u64,
    segments: &[Segment],
    root: Hash,
    anchors: &Anchors,
    findings: &mut Findings,
) -> io::Result<Option<(At, At)>> {
    let is_begun = range.first <= minimum && (range.size == 0 || !segments.is_empty());
    let swept = if is_begun { sweep(range, &mut Records::new(segments))? } else { sweep::Swept::default() };
    if swept.root == Some(root.0) {
        let (faults, _, remarks) = swept.findings.finish();
        faults.into_iter().for_each(|fault| findings.add(fault));
        remarks.into_iter().for_each(|remark| findings.remark(remark));
        return Ok(swept.ends);
    }
    let was = findings.len();
    let mut proven = Proven::new(range.root, range.size, root.0, &swept.kept, findings)?;
    diagnose::diagnose(range, minimum.min(range.size), segments, &mut proven, findings)?;
    // Those in front of the first record that is kept: only their hashes are there.
    for index in (0..range.first).step_by(super::layout::TILE_WIDTH as usize) {
        proven.leaf(index, findings)?;
    }
    let is_root = findings.has(Kind::Root);
    if is_root || findings.len() == was {
        let longest = anchors.longest_match(range.root, range.size);
        let what = match (is_root, longest) {
            (true, 0) => return Ok(swept.ends),
            (true, 1) => {
                "the first record is what an older checkpoint has signed: what was changed is behind it"
                    .to_owned()
            }
            (true, _) => format!(
                "the first {longest} records are what an older checkpoint has signed: what was changed is behind those"
            ),
            (false, _) => "the records and the tiles do not lead to the signed root".to_owned(),
        };
        if is_root {
            findings.remark(what);
        } else {
            findings.add(Fault::of_file(Kind::Root, CHECKPOINT, what));
        }
    }
    Ok(swept.ends)
}

#[derive(Deserialize)]
struct Timed {
    #[serde(alias = "@timestamp")]
    time: Option<String>,
}

/// The time of a record, where it says one.
fn time_of(segment: &Segment, at: At) -> Option<String> {
    let mut file = layout::open(&segment.path).ok()?;
    file.seek(SeekFrom::Start(at.offset)).ok()?;
    let mut record = Vec::new();
    file.take(at.len.min(TIMED_BYTES_MAX)).read_to_end(&mut record).ok()?;
    serde_json::from_slice::<Timed>(&record).ok()?.time
}
