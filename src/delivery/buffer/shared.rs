//! What the writer, the reader and the verdicts of the sink tell each other.

use super::cursor::{Cursor, Marks};
use super::folder;
use super::frame::SEGMENT_HEADER_BYTES;
use crate::delivery::Meter;
use crate::event::Verdict;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// File systems give out space in blocks of so many bytes, as a rule.
const BLOCK_BYTES: u64 = 4096;
/// The folder itself and the cursor.
pub const OVERHEAD_BYTES: u64 = 2 * BLOCK_BYTES;

/// Bytes on the disk that a file of `len` bytes takes.
pub fn on_disk(len: u64) -> u64 {
    len.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// A segment as reader and writer know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seg {
    /// Number of its first record.
    pub first: u64,
    /// Bytes that are synced.
    pub len: u64,
    /// Those of them that hold whole batches: the reader goes no further, so that the rest can be taken back.
    pub readable: u64,
    /// The number behind that of its last record.
    pub next: u64,
}

/// The end of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The segment that it ends in.
    pub segment: u64,
    /// The bytes of that segment up to there.
    pub len: u64,
    /// The number behind that of its last record.
    pub next: u64,
}

/// A batch that the sink has in hand.
#[derive(Debug)]
struct Sent {
    /// The number behind that of its last record.
    up_to: u64,
    events: u64,
    verdict: Option<Verdict>,
}

#[derive(Debug, Default)]
struct State {
    /// In order; the last one is written to.
    segments: VecDeque<Seg>,
    marks: Marks,
    /// Events that are not delivered.
    events: u64,
    sent: VecDeque<Sent>,
    /// Number of the first of `sent`.
    first: u64,
    unheard: usize,
    is_lost: bool,
    is_finished: bool,
}

/// One buffer, for everybody who has to do with it.
pub struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    /// Held while the cursor is written and segments are deleted, which may take its time: verdicts need not wait for it.
    keeper: Mutex<Keeper>,
    meter: Arc<Meter>,
    /// There is something to read, or a verdict, or the end.
    pub to_reader: Notify,
    /// There may be room.
    pub to_writer: Notify,
}

struct Keeper {
    cursor: Cursor,
    /// Whether its last trouble was told of.
    has_told: bool,
}

impl State {
    /// Bytes that all segments take.
    fn used(&self) -> u64 {
        OVERHEAD_BYTES + self.segments.iter().map(|one| on_disk(one.len)).sum::<u64>()
    }

    /// Says how much it holds.
    fn count(&self, meter: &Meter) {
        meter.set_buffered(self.events);
        meter.set_buffered_bytes(self.used());
    }
}

impl Shared {
    /// A buffer that holds `segments` with so many events that are not delivered.
    pub fn new(
        folder: PathBuf,
        cursor: Cursor,
        segments: VecDeque<Seg>,
        marks: Marks,
        events: u64,
        meter: Arc<Meter>,
    ) -> Arc<Shared> {
        let state = State { segments, marks, events, ..State::default() };
        state.count(&meter);
        let (to_reader, to_writer) = (Notify::new(), Notify::new());
        let keeper = Mutex::new(Keeper { cursor, has_told: false });
        Arc::new(Shared { folder, state: Mutex::new(state), keeper, meter, to_reader, to_writer })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that all segments take, those included that are delivered and not yet deleted.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Whether all that was written is delivered.
    pub fn is_empty(&self) -> bool {
        let state = self.state();
        state.marks.delivered >= state.marks.written
    }

    /// The segment that begins here is there, and empty.
    pub fn opened(&self, first: u64, len: u64) {
        self.state().segments.push_back(Seg { first, len, readable: 0, next: first });
    }

    /// The last segment now has so many bytes that are synced, up to the record in front of `next`.
    pub fn written(&self, len: u64, next: u64) {
        if let Some(last) = self.state().segments.back_mut() {
            (last.len, last.next) = (len, next);
        }
    }

    /// Everything up to `mark`, with so many events since the last one, is synced and there to stay.
    pub fn publish(&self, mark: Mark, events: u64) {
        let mut state = self.state();
        for seg in state.segments.iter_mut().rev().skip_while(|seg| seg.first > mark.segment) {
            let readable = if seg.first == mark.segment { mark.len } else { seg.len };
            if std::mem::replace(&mut seg.readable, readable) == readable && seg.first < mark.segment {
                break;
            }
        }
        state.marks.written = mark.next;
        state.events += events;
        state.count(&self.meter);
        drop(state);
        // Before anybody hears that it is written: what is missing at the end then shows.
        self.keep(false);
        self.to_reader.notify_one();
    }

    /// What stands behind `mark` is to be taken away. Gives the segments that begin there, the last one first.
    pub fn take_back(&self, mark: Mark) -> Vec<u64> {
        let mut state = self.state();
        let mut behind = Vec::new();
        while let Some(last) = state.segments.back_mut() {
            if last.first <= mark.segment {
                (last.len, last.next) = (mark.len, mark.next);
                break;
            }
            behind.push(last.first);
            state.segments.pop_back();
        }
        behind
    }

    /// Nothing more will be written.
    pub fn finish(&self) {
        self.state().is_finished = true;
        self.to_reader.notify_one();
    }

    /// Whether nothing more will be written.
    pub fn is_finished(&self) -> bool {
        self.state().is_finished
    }

    /// The segment to read behind an offset of the segment `first`: that one or the next that something can be read of;
    /// none where everything was read.
    pub fn readable(&self, position: Option<(u64, u64)>) -> Option<Seg> {
        let state = self.state();
        let (first, offset) = position.unwrap_or_default();
        let unread = |seg: &&Seg| {
            seg.first == first && seg.readable > offset.max(SEGMENT_HEADER_BYTES as u64)
                || seg.first > first && seg.readable > SEGMENT_HEADER_BYTES as u64
        };
        state.segments.iter().find(unread).copied()
    }

    /// Takes note that the sink gets the records in front of `up_to`; what comes back has to be told what became of them.
    pub fn send(self: &Arc<Shared>, up_to: u64, events: u64) -> impl FnOnce(Verdict) + Send + 'static {
        let mut state = self.state();
        let number = state.first + state.sent.len() as u64;
        state.sent.push_back(Sent { up_to, events, verdict: None });
        state.unheard += 1;
        let shared = Arc::clone(self);
        move |verdict| shared.hear(number, verdict)
    }

    fn hear(&self, number: u64, verdict: Verdict) {
        let mut state = self.state();
        state.unheard -= 1;
        state.is_lost |= verdict == Verdict::Lost;
        let at = (number - state.first) as usize;
        if let Some(sent) = state.sent.get_mut(at) {
            sent.verdict = Some(verdict);
        }
        while let Some(Sent { up_to, events, verdict: Some(Verdict::Delivered | Verdict::Rejected) }) =
            state.sent.front()
        {
            let (up_to, events) = (*up_to, *events);
            state.sent.pop_front();
            state.first += 1;
            state.marks.delivered = up_to;
            state.events = state.events.saturating_sub(events);
        }
        state.count(&self.meter);
        drop(state);
        self.to_reader.notify_one();
    }

    /// Whether the sink has nothing in hand.
    pub fn is_settled(&self) -> bool {
        self.state().unheard == 0
    }

    /// Whether a batch was lost: the cursor moves no more.
    pub fn is_lost(&self) -> bool {
        self.state().is_lost
    }

    /// The reader's [`Shared::collect`]: the writer may wait for the room.
    pub fn settle(&self) {
        self.collect();
        self.to_writer.notify_one();
    }

    /// Writes the cursor and deletes the segments that it has passed; the one that is written to stays.
    pub fn collect(&self) {
        self.keep(true);
    }

    fn keep(&self, deletes: bool) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let (marks, passed) = {
            let state = self.state();
            let all_but_last = state.segments.len().saturating_sub(1);
            let passed = state.segments.iter().take(all_but_last);
            let passed = passed.take_while(|one| one.next <= state.marks.delivered);
            (state.marks, passed.map(|one| one.first).collect::<Vec<u64>>())
        };
        let kept = if passed.is_empty() || !deletes {
            keeper.cursor.save(marks)
        } else {
            keeper.cursor.save_for_good(marks).and_then(|()| self.delete(&passed))
        };
        match kept {
            Ok(()) => keeper.has_told = false,
            Err(_) if keeper.has_told => {}
            Err(e) => {
                keeper.has_told = true;
                let folder = self.folder.display();
                tracing::warn!("can't note in {folder} what is delivered: {e}; after a crash it comes again");
            }
        }
    }

    fn delete(&self, passed: &[u64]) -> io::Result<()> {
        for first in passed {
            match fs::remove_file(self.folder.join(folder::segment_name(*first))) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => drop(self.state().segments.pop_front()),
            }
        }
        Ok(())
    }
}
