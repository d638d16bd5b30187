//! From the disk to the sink: reads records in order, hands them out in batches, and moves the cursor on their verdicts.

use super::content::{self, PAYLOAD_BYTES, PAYLOAD_EVENTS_MAX};
use super::folder;
use super::frame::{RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES};
use super::shared::{Seg, Shared};
use super::survey::Start;
use super::{Cutoff, Grace};
use crate::delivery::clock::now_ms;
use crate::delivery::{Inlet, Shutdown};
use crate::event::{Acks, Batch, Event, Share};
use bytes::Bytes;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A sink whose end has lost what it had in hand is known to have ended within this time.
const SINK_END_WAIT: Duration = Duration::from_secs(1);
/// The sink is cut off at the same time, and what it drops is heard of a little later.
const HEAR_WAIT: Duration = Duration::from_millis(250);

/// Where the reader is.
struct Spot {
    /// Number of the first record of the segment.
    first: u64,
    path: PathBuf,
    /// Opened with the first read.
    file: Option<File>,
    offset: u64,
}

/// The reader of one buffer.
pub struct Reader {
    folder: PathBuf,
    shared: Arc<Shared>,
    spot: Option<Spot>,
    /// Number of the next record.
    next: u64,
}

/// A record that was read.
struct Record {
    sequence: u64,
    events: Vec<Event>,
    bytes: u64,
}

impl Reader {
    /// Begins at a record; without one, where the first segment begins.
    pub fn new(folder: PathBuf, shared: Arc<Shared>, start: Option<Start>) -> Reader {
        let next = start.map_or(0, |start| start.sequence);
        let spot = start.map(|Start { segment, offset, .. }| {
            let path = folder.join(folder::segment_name(segment));
            Spot { first: segment, path, file: None, offset }
        });
        Reader { folder, shared, spot, next }
    }

    /// Runs until everything is delivered and nothing will follow, or until a stop leaves the rest for the next start.
    pub async fn run(mut self, inlet: Inlet, stop: Shutdown, grace: Grace) -> Result<(), String> {
        let over = Cutoff { stop: stop.clone(), after: grace.hand_out }.passed();
        let ended = self.hand_out(&inlet, over).await;
        drop(inlet);
        let after = grace.hand_out + grace.in_hand + HEAR_WAIT;
        let mut cutoff = Cutoff { stop: stop.clone(), after }.passed();
        while !self.shared.is_settled() {
            tokio::select! {
                () = self.shared.to_reader.notified() => self.shared.settle(),
                () = &mut cutoff => break,
            }
        }
        self.shared.settle();
        ended?;
        // A sink that has ended asks for a stop. One that lives has forgotten what it was given.
        let mut stop = stop;
        if self.shared.is_lost() && tokio::time::timeout(SINK_END_WAIT, stop.wait()).await.is_err() {
            return Err(
                "it has lost events that its buffer on disk still holds: they come again with the next start"
                    .to_owned(),
            );
        }
        Ok(())
    }

    async fn hand_out(
        &mut self,
        inlet: &Inlet,
        mut over: impl Future<Output = ()> + Unpin,
    ) -> Result<(), String> {
        while !self.shared.is_lost() {
            // Asked first: what is written before the end is seen by what comes after.
            let is_finished = self.shared.is_finished();
            let Some(batch) = self.take()? else {
                if is_finished {
                    break;
                }
                tokio::select! {
                    () = self.shared.to_reader.notified() => self.shared.settle(),
                    () = &mut over => break,
                }
                continue;
            };
            let send = inlet.send(batch);
            tokio::pin!(send);
            loop {
                tokio::select! {
                    biased;
                    () = &mut send => break,
                    () = self.shared.to_reader.notified() => self.shared.settle(),
                    () = &mut over => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// What can be read now, up to the size of a batch; none where everything was read.
    pub fn take(&mut self) -> Result<Option<Batch>, String> {
        let mut events: Vec<Event> = Vec::new();
        let mut bytes = 0;
        while bytes < PAYLOAD_BYTES && events.len() < PAYLOAD_EVENTS_MAX as usize {
            match self.record() {
                Ok(Some(record)) => {
                    self.next = record.sequence + 1;
                    bytes += record.bytes as usize;
                    if let Some(spot) = &mut self.spot {
                        spot.offset += record.bytes;
                    }
                    events.extend(record.events);
                }
                Ok(None) => break,
                // What was read in front of it is good, and the next call comes back here.
                Err(_) if !events.is_empty() => break,
                Err(why) => return Err(why),
            }
        }
        if events.is_empty() {
            return Ok(None);
        }
        let share = Share::new(self.shared.send(self.next, events.len() as u64));
        Ok(Some(Batch::new(events, now_ms(), Acks::of(share))))
    }

    fn record(&mut self) -> Result<Option<Record>, String> {
        let position = self.spot.as_ref().map(|spot| (spot.first, spot.offset));
        let Some(Seg { first, readable: len, .. }) = self.shared.readable(position) else { return Ok(None) };
        let start = SEGMENT_HEADER_BYTES as u64;
        let spot = match self.spot.take() {
            Some(spot) if spot.first == first => self.spot.insert(spot),
            _ => {
                let path = self.folder.join(folder::segment_name(first));
                // A repair may have left a gap in front of it.
                self.next = first;
                self.spot.insert(Spot { first, path, file: None, offset: start })
            }
        };
        if spot.offset >= len {
            return Ok(None);
        }
        let damaged = |what: &str| damage(&self.folder, &spot.path, spot.offset, what);
        let file = match spot.file.take() {
            Some(file) => file,
            None => File::open(&spot.path).map_err(|e| damaged(&format!("it can't be opened: {e}")))?,
        };
        let file = &*spot.file.insert(file);
        let read = |bytes: &mut [u8], at: u64| {
            file.read_exact_at(bytes, at).map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => damage(&self.folder, &spot.path, at, "the file ends in a record"),
                _ => damage(&self.folder, &spot.path, at, &format!("it can't be read: {e}")),
            })
        };
        let mut header = [0; RECORD_HEADER_BYTES];
        read(&mut header, spot.offset)?;
        let damaged = |what: &str| damage(&self.folder, &spot.path, spot.offset, what);
        let header = RecordHeader::read(&header)
            .map_err(|_| damaged("the header of a record does not fit its checksum"))?;
        if header.sequence != self.next {
            let (found, next) = (header.sequence, self.next);
            return Err(damaged(&format!("a record has the number {found} in the place of {next}")));
        }
        let bytes = RECORD_HEADER_BYTES as u64 + u64::from(header.len);
        if spot.offset + bytes > len {
            return Err(damaged("a record goes on behind the end of the segment"));
        }
        let mut payload = vec![0; header.len as usize];
        read(&mut payload, spot.offset + RECORD_HEADER_BYTES as u64)?;
        if !header.fits(&payload) {
            return Err(damaged("the content of a record does not fit its checksum"));
        }
        let events = content::decode(Bytes::from(payload), header.events)
            .ok_or_else(|| damaged("the content of a record is nothing that evaltrail writes"))?;
        Ok(Some(Record { sequence: header.sequence, events, bytes }))
    }
}

fn damage(folder: &Path, path: &Path, offset: u64, what: &str) -> String {
    let (path, folder) = (path.display(), folder::quoted(folder));
    format!(
        "its buffer on disk is damaged: {path}, offset {offset}: {what}. To keep all that can be read, run `evaltrail \
         buffer repair {folder}`, and start again"
    )
}
