//! The end that is written to: appends records, syncs them, begins new segments.
//!
//! What is appended is collected in memory and written at once, at a fixed place in the file. A write or a sync that
//! fails is taken back by truncating to the last length that was good; the same bytes are then written again, since a
//! sync that has failed proves nothing.

use super::content::Payload;
use super::cursor::FILE_MODE;
use super::folder;
use super::frame::{RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::shared::{Shared, on_disk};
use crate::delivery::disk::{self, Trouble};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// A segment ends about here, in bytes.
pub const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A buffer has at least so many segments, so that space comes free in steps.
const SEGMENTS_MIN: u64 = 8;

/// The segment that is written to.
struct Active {
    file: File,
    path: PathBuf,
    /// Bytes that are synced.
    len: u64,
    /// Whether there may be something behind `len`.
    is_unsure: bool,
}

/// Where the next record can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind what is there.
    Here,
    /// Into a new segment.
    NextSegment,
    /// Nowhere, before space comes free.
    Full,
}

/// The writer's end of a buffer.
pub struct Log {
    folder: PathBuf,
    shared: Arc<Shared>,
    size_max: u64,
    segment_max: u64,
    active: Option<Active>,
    /// The number behind that of the last record of all.
    follows: u64,
    /// Number of the next record.
    next: u64,
    /// Records that are not written yet.
    staged: Vec<u8>,
    staged_events: u64,
}

impl Log {
    /// A log that goes on with the record `next`, behind one in front of `follows`.
    pub fn new(folder: PathBuf, shared: Arc<Shared>, size_max: u64, next: u64, follows: u64) -> Log {
        let segment_max = (size_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX);
        let (active, staged) = (None, Vec::new());
        Log { folder, shared, size_max, segment_max, active, follows, next, staged, staged_events: 0 }
    }

    /// Goes on behind the first `len` bytes of the segment `first`; what stands there is cut off.
    pub fn reopen(&mut self, first: u64, len: u64) -> io::Result<()> {
        let path = self.folder.join(folder::segment_name(first));
        let file = OpenOptions::new().write(true).open(&path)?;
        if file.metadata()?.len() != len {
            file.set_len(len)?;
        }
        // The run that has made it may have been killed before it had synced the file, or its name.
        file.sync_all()?;
        disk::sync_folder_of(&path)?;
        let is_unsure = false;
        self.active = Some(Active { file, path, len, is_unsure });
        Ok(())
    }

    fn pending(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.len + self.staged.len() as u64)
    }

    fn used(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| on_disk(active.len));
        self.shared.used() - active + on_disk(self.pending())
    }

    /// Where a record with so many bytes of payload can go.
    pub fn place(&self, payload_bytes: usize) -> Place {
        let size = (RECORD_HEADER_BYTES + payload_bytes) as u64;
        let (pending, used) = (self.pending(), self.used());
        let has_records = pending > SEGMENT_HEADER_BYTES as u64;
        let is_new = self.active.is_none() || has_records && pending + size > self.segment_max;
        let then = match is_new {
            true => used + on_disk(SEGMENT_HEADER_BYTES as u64 + size),
            false => used - on_disk(pending) + on_disk(pending + size),
        };
        match (then <= self.size_max, is_new) {
            (false, _) => Place::Full,
            (true, true) => Place::NextSegment,
            (true, false) => Place::Here,
        }
    }

    /// Whether all of these records have room.
    pub fn has_room(&self, payloads: &[Payload]) -> bool {
        let record = |one: &Payload| (RECORD_HEADER_BYTES + one.bytes.len()) as u64;
        let bytes: u64 = payloads.iter().map(record).sum();
        // Each record may be the first of a segment whose predecessor it did not fit into.
        let segments = (bytes / self.segment_max * 2 + 2).min(payloads.len() as u64 + 1);
        let headers = segments * on_disk(SEGMENT_HEADER_BYTES as u64);
        self.used() + bytes + headers <= self.size_max
    }

    /// Whether nothing that is here or on the disk still has to be delivered.
    pub fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.shared.is_empty()
    }

    /// Whether there is a segment to write to, and no record in it.
    pub fn is_fresh(&self) -> bool {
        self.active.is_some() && self.pending() == SEGMENT_HEADER_BYTES as u64
    }

    /// Appends a record, for the next [`Log::commit`] to write.
    pub fn stage(&mut self, payload: &Payload) {
        RecordHeader::write(self.next, payload.events, &payload.bytes, &mut self.staged);
        self.next += 1;
        self.staged_events += u64::from(payload.events);
    }

    /// Writes and syncs what was appended. After an error there is nothing of it, and it can be tried again.
    pub fn commit(&mut self) -> Result<(), Trouble> {
        let Some(active) = self.active.as_mut().filter(|_| !self.staged.is_empty()) else { return Ok(()) };
        active.append(&self.staged).map_err(|e| Trouble::at(&active.path, &e))?;
        self.follows = self.next;
        self.shared.written(active.len, self.next, self.staged_events);
        self.staged_events = 0;
        self.staged.clear();
        self.staged.shrink_to(SEGMENT_BYTES_MAX as usize);
        Ok(())
    }

    /// Begins a new segment; everything that was appended has to be committed. After an error it can be tried again.
    pub fn begin_segment(&mut self) -> Result<(), Trouble> {
        if let Some(active) = &mut self.active {
            // A write that failed may have left something, which a sealed segment must not have.
            active.settle().map_err(|e| Trouble::at(&active.path, &e))?;
        }
        let path = self.folder.join(folder::segment_name(self.next));
        let header = SegmentHeader { first: self.next, follows: self.follows };
        let file = make(&path, header).map_err(|e| Trouble::at(&path, &e))?;
        let len = SEGMENT_HEADER_BYTES as u64;
        self.active = Some(Active { file, path, len, is_unsure: false });
        self.follows = self.next;
        self.shared.opened(self.next, len);
        self.shared.collect();
        Ok(())
    }
}

/// Nobody else makes a file of this name: one that is there is what an attempt that failed has left.
fn make(path: &std::path::Path, header: SegmentHeader) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all_at(&header.to_bytes(), 0)?;
    file.sync_all()?;
    disk::sync_folder_of(path)?;
    Ok(file)
}

impl Active {
    fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.is_unsure = true;
        let done = self.file.write_all_at(records, self.len).and_then(|()| self.file.sync_data());
        match done {
            Ok(()) => {
                self.is_unsure = false;
                self.len += records.len() as u64;
                Ok(())
            }
            Err(e) => {
                self.is_unsure = self.file.set_len(self.len).is_err();
                Err(e)
            }
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.is_unsure {
            self.file.set_len(self.len)?;
            self.is_unsure = false;
        }
        self.file.sync_all()
    }
}
