//! One path: the records that wait for it, and its file while that is open.

use super::housekeeping::Housekeeper;
use super::output::Output;
use super::rotated::{self, Moment, Suffix};
use super::{Interval, Manner};
use crate::codec::Encoder;
use crate::delivery::clock;
use crate::delivery::disk::{self, Trouble};
use crate::event::Event;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A name that is taken between two looks is somebody else's doing.
const RENAME_TRIES: usize = 5;

/// The records for one path.
pub struct Target {
    path: PathBuf,
    /// Encoded records. What is in front of `done` has been written.
    pending: Vec<u8>,
    done: usize,
    /// Where each record ends and when it was received, where rotation has to know.
    records: Vec<Record>,
    /// How many of `records` have been written.
    records_done: usize,
    output: Option<Output>,
    /// When a record came for it last, in milliseconds since 1970.
    pub used_ms: u64,
    /// The last rotation of this path.
    rotated: Option<Moment>,
}

#[derive(Clone, Copy)]
struct Record {
    end: usize,
    received_ms: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The file is full, or its time is over.
    Rotate,
    /// So many records, up to this byte of the pending ones.
    Write { records: usize, end: usize, received_ms: u64 },
}

impl Target {
    /// For `path`, with nothing open.
    pub fn new(path: PathBuf) -> Target {
        Target {
            path,
            pending: Vec::new(),
            done: 0,
            records: Vec::new(),
            records_done: 0,
            output: None,
            used_ms: 0,
            rotated: None,
        }
    }

    /// Takes a record.
    pub fn push(&mut self, event: &Event, encoder: &Encoder, manner: &Manner) -> u64 {
        let before = self.pending.len();
        encoder.encode(event, &mut self.pending);
        if manner.rotation.is_on() {
            let received_ms = event.origin().received_ms();
            self.records.push(Record { end: self.pending.len(), received_ms });
        }
        (self.pending.len() - before) as u64
    }

    /// Whether records wait to be written.
    pub fn is_pending(&self) -> bool {
        self.done < self.pending.len()
    }

    /// Whether its file is open.
    pub fn is_open(&self) -> bool {
        self.output.is_some()
    }

    /// Closes its file.
    pub fn close(&mut self) {
        self.output = None;
    }

    /// Opens its file, or looks whether the open one is still the one that the path stands for.
    pub fn open(&mut self, manner: &Manner, housekeeper: &Housekeeper) -> Result<(), Trouble> {
        let is_there = match &self.output {
            Some(output) => output.is_at(&self.path)?,
            None => false,
        };
        if self.output.is_some() && !is_there {
            let path = self.path.display();
            tracing::info!(%path, "a file was moved or removed while it was written; it is made anew");
            self.output = None;
        }
        if let Some(output) = &mut self.output {
            return output.realign(&self.path);
        }
        let output = Output::open(&self.path, manner)?;
        if manner.rotation.is_kept_house() {
            housekeeper.look_after(output.real_path(&self.path)?);
        }
        self.output = Some(output);
        Ok(())
    }

    /// Writes what is pending. What could not be written stays, and is written by the next call.
    pub fn flush(&mut self, manner: &Manner, housekeeper: &Housekeeper) -> Result<(), Trouble> {
        while self.is_pending() {
            self.open(manner, housekeeper)?;
            let Some(output) = &mut self.output else { break };
            match next(&self.records, self.records_done, self.done, self.pending.len(), output, manner) {
                Next::Rotate => self.rotate(manner, housekeeper)?,
                Next::Write { records, end, received_ms } => {
                    let bytes = self.pending.get(self.done..end).unwrap_or_default();
                    output.append(bytes, &self.path, manner.fsync)?;
                    // Removed under our hands: what was written just now would go with it.
                    if output.is_removed(&self.path) {
                        self.output = None;
                        continue;
                    }
                    output.written_ms = output.written_ms.max(Some(received_ms));
                    (self.done, self.records_done) = (end, records);
                }
            }
        }
        self.pending.clear();
        self.pending.shrink_to(manner.room_bytes);
        self.records.clear();
        self.records.shrink_to(manner.room_bytes / size_of::<Record>());
        (self.done, self.records_done) = (0, 0);
        Ok(())
    }

    /// Gives the file the name of a rotated one. Everything in it is synced already, and its new name is together
    /// with the first record of the new file.
    fn rotate(&mut self, manner: &Manner, housekeeper: &Housekeeper) -> Result<(), Trouble> {
        let Some(output) = &self.output else { return Ok(()) };
        let path = output.real_path(&self.path)?;
        for _ in 0..RENAME_TRIES {
            let there = rotated::list(&path).map_err(|e| Trouble::at(disk::folder_of(&path), &e))?;
            // A file that is being compressed can slip through a listing; our own memory does not.
            let newest = there.last().map(|suffix| &suffix.moment).max(self.rotated.as_ref());
            let moment = Moment::next(clock::now_ms(), newest);
            let to = with_suffix(&path, &Suffix::plain(moment.clone()));
            match disk::rename_new(&path, &to) {
                Ok(()) => {
                    self.output = None;
                    self.rotated = Some(moment);
                    tracing::debug!(path = %path.display(), to = %to.display(), "rotated");
                    if manner.rotation.is_kept_house() {
                        housekeeper.look_after(path);
                    }
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => self.rotated = Some(moment),
                Err(e) => return Err(cant_rotate(&path, &e)),
            }
        }
        Err(cant_rotate(&path, &ErrorKind::AlreadyExists.into()))
    }
}

fn cant_rotate(path: &Path, e: &io::Error) -> Trouble {
    Trouble(format!("{}: can't be rotated: {e}; let the user that this runs as rename it", path.display()))
}

/// The path of a rotated file of `path`.
pub fn with_suffix(path: &Path, suffix: &Suffix) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix.to_string());
    PathBuf::from(name)
}

/// What can be written next of the `pending` bytes from `done` on.
fn next(
    records: &[Record],
    first: usize,
    done: usize,
    pending: usize,
    output: &Output,
    manner: &Manner,
) -> Next {
    let rotation = &manner.rotation;
    if !rotation.is_on() {
        return Next::Write { records: 0, end: pending, received_ms: 0 };
    }
    let period = |ms: u64| rotation.interval.map(|interval| ms / interval.ms());
    let rest = records.get(first..).unwrap_or_default();
    // An empty file is never rotated: its time begins with its first record.
    let begun =
        if output.len() == 0 { rest.first().map(|first| first.received_ms) } else { output.written_ms };
    let begun = begun.and_then(period);
    let fits = |record: &Record| {
        let len = output.len() + (record.end - done) as u64;
        rotation.max_bytes.is_none_or(|max| len <= max) && period(record.received_ms) <= begun
    };
    let mut count = rest.iter().take_while(|record| fits(record)).count();
    if count == 0 && output.len() == 0 {
        // A record that is longer than a file may be goes into one of its own.
        count = 1;
    }
    let run = rest.get(..count).unwrap_or_default();
    let Some(last) = run.last() else { return Next::Rotate };
    let received_ms = run.iter().map(|record| record.received_ms).max().unwrap_or_default();
    Next::Write { records: first + count, end: last.end, received_ms }
}

impl Interval {
    fn ms(self) -> u64 {
        match self {
            Interval::Hourly => 3_600_000,
            Interval::Daily => 86_400_000,
        }
    }
}
