//! Events with their encoded form, on their way in one request or in parts of it.

use crate::delivery::Queued;
use crate::delivery::clock::now_ms;
use crate::event::{Acks, Batch, Event, Verdict};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::ops::Range;

/// What is sent at once.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    encoded: &'a [u8],
    /// Where each event ends in `encoded`, counted from `start`.
    ends: &'a [usize],
    start: usize,
    /// Tells this request from every other: the same whenever these events are sent together again, also by a later
    /// run.
    pub key: String,
}

impl<'a> Request<'a> {
    /// The events as they were encoded, one after the other.
    pub fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// Each event as it was encoded.
    pub fn events(&self) -> impl Iterator<Item = &'a [u8]> {
        let (encoded, base) = (self.encoded, self.start);
        let mut from = base;
        self.ends.iter().map(move |end| {
            let event = encoded.get(from - base..*end - base).unwrap_or_default();
            from = *end;
            event
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// Events that share an acknowledgement.
struct Part {
    acks: Acks,
    /// Index of the first event behind it.
    end: usize,
    verdict: Verdict,
}

/// Events for one request.
#[derive(Default)]
pub struct Parcel {
    events: Vec<Event>,
    encoded: Vec<u8>,
    ends: Vec<usize>,
    /// In the order of the events; those in front are acknowledged first.
    parts: Vec<Part>,
}

impl Parcel {
    /// Adds an event, `encoded`, which answers to `acks`. `is_first` says that it is the first of its batch in here.
    pub fn push(&mut self, event: Event, encoded: &[u8], acks: &Acks, is_first: bool) {
        self.events.push(event);
        self.encoded.extend_from_slice(encoded);
        self.ends.push(self.encoded.len());
        let end = self.events.len();
        match self.parts.last_mut().filter(|_| !is_first) {
            Some(part) => part.end = end,
            None => self.parts.push(Part { acks: acks.clone(), end, verdict: Verdict::Delivered }),
        }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes of the encoded events.
    pub fn bytes(&self) -> usize {
        self.encoded.len()
    }

    /// The events of `range`.
    pub fn events(&self, range: &Range<usize>) -> &[Event] {
        self.events.get(range.clone()).unwrap_or_default()
    }

    /// Where the encoded form of the event at `index` begins.
    fn end_before(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|at| self.ends.get(at)).copied().unwrap_or(0)
    }

    /// The encoded form of the events of `range`.
    pub fn encoded(&self, range: &Range<usize>) -> &[u8] {
        self.encoded.get(self.end_before(range.start)..self.end_before(range.end)).unwrap_or_default()
    }

    /// A request of the events of `range`.
    pub fn request(&self, range: &Range<usize>) -> Request<'_> {
        let encoded = self.encoded(range);
        let start = self.end_before(range.start);
        let ends = self.ends.get(range.clone()).unwrap_or_default();
        Request { encoded, ends, start, key: key(self.events(range), encoded) }
    }

    /// Who waits to hear of the events of `range`.
    pub fn acks_of(&self, range: &Range<usize>) -> Acks {
        let mut acks = Acks::default();
        let mut start = 0;
        for part in &self.parts {
            if start < range.end && range.start < part.end {
                acks.join(part.acks.clone());
            }
            start = part.end;
        }
        acks
    }

    /// Takes note that the events of `range` were refused for good.
    pub fn refused(&mut self, range: &Range<usize>) {
        let mut start = 0;
        for part in &mut self.parts {
            if start < range.end && range.start < part.end {
                part.verdict = Verdict::Rejected;
            }
            start = part.end;
        }
    }

    /// What is left from the event at `index` on, where everything in front of it is settled: batches that answer to
    /// those who wait.
    pub fn rest(self, index: usize) -> Vec<Queued> {
        let mut events = self.events.into_iter().skip(index);
        let mut start = index;
        let mut rest = Vec::with_capacity(self.parts.len());
        for Part { acks, end, verdict } in self.parts {
            // Of the part that this falls into, something may have been refused.
            acks.clone().resolve(verdict);
            let events: Vec<Event> = events.by_ref().take(end.saturating_sub(start)).collect();
            start = start.max(end);
            rest.push(Queued::from(Batch::new(events, now_ms(), acks)));
        }
        rest
    }

    /// Acknowledges everything in front of the event at `index`.
    pub fn settle(&mut self, index: usize) {
        let whole = self.parts.iter().take_while(|part| part.end <= index).count();
        for part in self.parts.drain(..whole) {
            part.acks.resolve(part.verdict);
        }
    }
}

/// A digest of where the events were read and of how they are encoded. Text alone would not do: the same cell may be
/// evaluated twice.
fn key(events: &[Event], encoded: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update((events.len() as u64).to_be_bytes());
    for event in events {
        let origin = event.origin();
        let source = origin.stream().source.as_bytes();
        hash.update((source.len() as u64).to_be_bytes());
        hash.update(source);
        hash.update(origin.stream().fingerprint.to_be_bytes());
        hash.update(origin.offset().to_be_bytes());
        hash.update(origin.part().to_be_bytes());
    }
    hash.update(encoded);
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut key, byte| {
        // Writing to a String can't fail.
        write!(key, "{byte:02x}").unwrap_or_default();
        key
    })
}
