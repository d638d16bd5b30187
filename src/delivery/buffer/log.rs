//! The end that is written to: appends records, syncs them, begins new segments.
//!
//! What is appended is collected in memory and written at once, at a fixed place in the file. A write or a sync that
//! fails is taken back by truncating to the last length that was good; the same bytes are then written again, since a
//! sync that has failed proves nothing.
//!
//! A batch is several records, which may stand in several segments. The reader hears of it when all of it is synced: up
//! to then it can be taken back, which a stop does with what it finds half written.

use super::content::Payload;
use super::cursor::FILE_MODE;
use super::folder;
use super::frame::{RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::shared::{Mark, OVERHEAD_BYTES, Shared, on_disk};
use crate::delivery::disk::{self, Trouble};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment ends about here, in bytes.
pub const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A buffer has at least so many segments, so that space comes free in steps.
const SEGMENTS_MIN: u64 = 8;

/// The segment that is written to.
struct Active {
    /// Number of its first record.
    first: u64,
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
    /// The end of the last batch of which everything was appended.
    whole: Mark,
    /// The same of what the reader knows: it is there to stay.
    published: Mark,
    /// Events of whole batches that are not published, and of the batch behind them.
    whole_events: u64,
    open_events: u64,
}

/// How full everything is, to see what happens when records are appended.
#[derive(Clone, Copy)]
struct Fill {
    segment_max: u64,
    /// Bytes of the segment that is written to; none where there is no such segment.
    pending: Option<u64>,
    /// Bytes on the disk.
    used: u64,
}

impl Fill {
    /// Appends a record with so many bytes of payload; whether a new segment begins with it.
    fn add(&mut self, payload_bytes: usize) -> bool {
        let size = (RECORD_HEADER_BYTES + payload_bytes) as u64;
        let header = SEGMENT_HEADER_BYTES as u64;
        let fits = |pending: &u64| *pending <= header || pending + size <= self.segment_max;
        let here = self.pending.filter(fits);
        let then = here.unwrap_or(header) + size;
        self.used = self.used - here.map_or(0, on_disk) + on_disk(then);
        self.pending = Some(then);
        here.is_none()
    }

    fn add_all(mut self, payloads: &[Payload]) -> u64 {
        for payload in payloads {
            self.add(payload.bytes.len());
        }
        self.used
    }
}

impl Log {
    /// A log that goes on with the record `next`, behind one in front of `follows`.
    pub fn new(folder: PathBuf, shared: Arc<Shared>, size_max: u64, next: u64, follows: u64) -> Log {
        let segment_max = (size_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX);
        let end = Mark { next, ..Mark::default() };
        Log {
            folder,
            shared,
            size_max,
            segment_max,
            active: None,
            follows,
            next,
            staged: Vec::new(),
            whole: end,
            published: end,
            whole_events: 0,
            open_events: 0,
        }
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
        self.active = Some(Active { first, file, path, len, is_unsure: false });
        self.published = Mark { segment: first, len, next: self.next };
        self.whole = self.published;
        Ok(())
    }

    fn pending(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.len + self.staged.len() as u64)
    }

    fn used(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| on_disk(active.len));
        self.shared.used() - active + on_disk(self.pending())
    }

    fn fill(&self) -> Fill {
        let pending = self.active.as_ref().map(|_| self.pending());
        Fill { segment_max: self.segment_max, pending, used: self.used() }
    }

    /// Where a record with so many bytes of payload can go.
    pub fn place(&self, payload_bytes: usize) -> Place {
        let mut fill = self.fill();
        let is_new = fill.add(payload_bytes);
        match (fill.used <= self.size_max, is_new) {
            (false, _) => Place::Full,
            (true, true) => Place::NextSegment,
            (true, false) => Place::Here,
        }
    }

    /// Whether all of these records have room now.
    pub fn has_room(&self, payloads: &[Payload]) -> bool {
        self.fill().add_all(payloads) <= self.size_max
    }

    /// Whether all of these records have room where nothing else is.
    pub fn can_have_room(&self, payloads: &[Payload]) -> bool {
        let empty = Fill { segment_max: self.segment_max, pending: None, used: OVERHEAD_BYTES };
        empty.add_all(payloads) <= self.size_max
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
        self.open_events += u64::from(payload.events);
    }

    /// All records of a batch are appended: once they are synced the reader may have them.
    pub fn end_batch(&mut self) {
        let Some(active) = &self.active else { return };
        self.whole = Mark { segment: active.first, len: self.pending(), next: self.next };
        self.whole_events += std::mem::take(&mut self.open_events);
    }

    /// Writes and syncs what was appended, and publishes the whole batches. After an error there is nothing of it, and
    /// it can be tried again.
    pub fn commit(&mut self) -> Result<(), Trouble> {
        let Some(active) = self.active.as_mut().filter(|_| !self.staged.is_empty()) else { return Ok(()) };
        active.append(&self.staged).map_err(|e| Trouble::at(&active.path, &e))?;
        self.follows = self.next;
        self.shared.written(active.len, self.next);
        self.staged.clear();
        self.staged.shrink_to(SEGMENT_BYTES_MAX as usize);
        if self.whole != self.published {
            self.shared.publish(self.whole, std::mem::take(&mut self.whole_events));
            self.published = self.whole;
        }
        Ok(())
    }

    /// Takes away what is not published: nobody was told that it is here. Nothing can be appended any more.
    pub fn take_back(&mut self) -> Result<(), Trouble> {
        self.staged.clear();
        let Some(active) = self.active.take() else { return Ok(()) };
        let Mark { segment, len, .. } = self.published;
        if active.first == segment && active.len == len && !active.is_unsure {
            return Ok(());
        }
        // From the end on: a crash in the middle of it leaves no gap.
        for behind in self.shared.take_back(self.published) {
            let path = self.folder.join(folder::segment_name(behind));
            fs::remove_file(&path).map_err(|e| Trouble::at(&path, &e))?;
        }
        let path = self.folder.join(folder::segment_name(segment));
        let cut = |path: &Path| {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(len)?;
            file.sync_all()?;
            disk::sync_folder_of(path)
        };
        cut(&path).map_err(|e| Trouble::at(&path, &e))
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
        self.active = Some(Active { first: self.next, file, path, len, is_unsure: false });
        self.follows = self.next;
        if self.published.next == self.next {
            self.published = Mark { segment: self.next, len, next: self.next };
            self.whole = self.published;
        }
        self.shared.opened(self.next, len);
        self.shared.collect();
        Ok(())
    }
}

/// Nobody else makes a file of this name: one that is there is what an attempt that failed has left.
fn make(path: &Path, header: SegmentHeader) -> io::Result<File> {
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
