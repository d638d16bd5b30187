//! Dead letters: events that a receiver refused for good, on disk, each with why and with where it was read.
//!
//! One JSON object per line: `time` of the rejection, `sink`, `reason` (`refused`, or `given_up` where it was tried as
//! often as the config allows), `status` and `answer` of the receiver, `origin`, and `event` as it stood in front of
//! the sink. A file is locked only while it is changed, so that letters can be sent again while evaltrail runs.

mod taken;

use super::disk::{self, Trouble};
use crate::event::{Event, Origin, Place, Refusal, Stream};
pub use taken::{TakeError, Taken};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MODE: u32 = 0o640;
/// How much is looked at in one step for the last end of a line.
const TAIL_BYTES: u64 = 64 * 1024;

/// The dead letters of one sink.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    sink: String,
}

/// The first members of a line.
#[derive(Serialize)]
struct Head<'a> {
    time: String,
    sink: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    answer: &'a str,
    origin: Whence,
}

/// Where an event was read, as it stands in a letter.
#[derive(Serialize, Deserialize)]
struct Whence {
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// In hexadecimal: not every reader of JSON can hold 64 bits in a number.
    fingerprint: String,
    offset: u64,
    received_ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    part: u32,
}

fn is_zero(part: &u32) -> bool {
    *part == 0
}

impl Whence {
    fn of(origin: &Origin) -> Whence {
        let Stream { source, file, container, peer, fingerprint, .. } = origin.stream().clone();
        let (offset, received_ms) = (origin.offset(), origin.received_ms());
        Whence {
            source,
            file,
            container,
            peer,
            fingerprint: format!("{fingerprint:016x}"),
            offset,
            received_ms,
            part: origin.part(),
        }
    }

    fn origin(self) -> Option<Origin> {
        let fingerprint = u64::from_str_radix(&self.fingerprint, 16).ok()?;
        let Whence { source, file, container, peer, .. } = self;
        let stream = Stream { source, file, container, peer, fingerprint, ..Stream::default() };
        Some(Origin::new(Arc::new(stream), self.offset, self.received_ms).with_part(self.part))
    }
}

/// Reads the event of a letter. An error says what is wrong with the line.
pub fn read_letter(line: &[u8]) -> Result<Event, String> {
    let letter = Event::from_json(Bytes::copy_from_slice(line), Origin::nowhere())
        .map_err(|flaw| format!("it is no JSON object: {flaw}"))?;
    let member = |name| letter.get(Place::Top, name).ok_or_else(|| format!("it has no `{name}`"));
    let whence: Whence = serde_json::from_slice(member("origin")?.text())
        .map_err(|e| format!("its `origin` can't be read: {e}"))?;
    let origin = whence.origin().ok_or("the `fingerprint` of its `origin` is no hexadecimal number")?;
    let event = Bytes::copy_from_slice(member("event")?.text());
    Event::from_json(event, origin).map_err(|flaw| format!("its `event` is no JSON object: {flaw}"))
}

impl DeadLetters {
    /// Those of `sink`, in a file below `data_dir`. Nothing is opened yet.
    pub fn new(data_dir: &Path, sink: &str) -> DeadLetters {
        let path = data_dir.join("dead_letters").join(format!("{sink}.jsonl"));
        DeadLetters { path, sink: sink.to_owned() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the line of `event` to `out`.
    pub fn write(&self, event: &Event, refusal: &Refusal, now_ms: u64, out: &mut Vec<u8>) {
        let time = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
        let head = Head {
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            sink: &self.sink,
            reason: &refusal.reason,
            status: refusal.status,
            answer: &refusal.answer,
            origin: Whence::of(event.origin()),
        };
        // Strings and numbers: there is nothing in it that could fail.
        let mut head = serde_json::to_vec(&head).unwrap_or_else(|_| b"{}".to_vec());
        head.pop();
        out.extend_from_slice(&head);
        out.extend_from_slice(b",\"event\":");
        event.write_json(out);
        out.extend_from_slice(b"}\n");
    }

    /// Adds whole lines to the file, and comes back when they would outlive a loss of power. A failure adds nothing.
    pub fn append(&self, lines: &[u8]) -> Result<(), Trouble> {
        let trouble = |e: io::Error| Trouble::at(&self.path, &e);
        let folder = disk::folder_of(&self.path);
        disk::make_folder(folder, true).map_err(|e| Trouble::at(folder, &e))?;
        let mut file = open_locked(&self.path).map_err(trouble)?;
        let length = whole_lines(&mut file).map_err(trouble)?;
        let write = |file: &mut File| {
            // What a crash has left of a line was never acknowledged.
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            file.write_all(lines)?;
            file.sync_data()
        };
        if let Err(e) = write(&mut file) {
            // If this fails too, the next attempt begins by it.
            file.set_len(length).unwrap_or_default();
            return Err(trouble(e));
        }
        disk::sync_folder_of(&self.path).map_err(trouble)
    }
}

/// Opens the file at `path` and locks it. While this waits for the lock, another file may have been put there: then
/// that one is opened. One that is made belongs to whom its folder belongs to: an operator who sends letters again as
/// root must not shut out the service.
fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path);
        let file = match made {
            Ok(file) => {
                give_to_owner_of(&file, &fs::metadata(disk::folder_of(path))?);
                file
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                match OpenOptions::new().read(true).write(true).open(path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    opened => opened?,
                }
            }
            Err(e) => return Err(e),
        };
        match file.lock() {
            // Not every file system has locks.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => return Ok(file),
            locked => locked?,
        }
        let own = file.metadata()?;
        if fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(file);
        }
    }
}

/// Gives `file` the owner that `other` has, where this process may.
fn give_to_owner_of(file: &File, other: &fs::Metadata) {
    let is_other = file.metadata().is_ok_and(|own| (own.uid(), own.gid()) != (other.uid(), other.gid()));
    if is_other {
        // Only root may; whoever else made it keeps it.
        fchown(file, Some(other.uid()), Some(other.gid())).unwrap_or_default();
    }
}

/// Where the last whole line of `file` ends.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut tail = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(TAIL_BYTES);
        tail.clear();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut tail)?;
        if let Some(at) = memchr::memrchr(b'\n', &tail) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
