//! A lane: what goes to the receiver one request after the other.

use super::parcel::Parcel;
use super::{Policy, RequestSink};
use crate::delivery::clock::now_ms;
use crate::event::{Acks, Batch, Event, Verdict};
use tokio::time::Instant;

/// One request under way at most, and the next one being filled.
#[derive(Default)]
pub struct Lane {
    filling: Parcel,
    /// When the first event of `filling` has waited long enough.
    due: Option<Instant>,
    /// Whether the next event would have been one too many.
    is_full: bool,
    /// Whether a request is under way.
    pub is_busy: bool,
    /// The last batch that something of was put in.
    batch: u64,
}

impl Lane {
    /// Whether an event of `length` encoded bytes goes into the next request. Where it does not, that one is full.
    pub fn has_room(&mut self, length: usize, policy: &Policy) -> bool {
        let fits =
            self.filling.len() < policy.events_max && self.filling.bytes() + length <= policy.bytes_max;
        // An event that is too long by itself goes alone.
        let has_room = fits || self.filling.is_empty();
        self.is_full |= !has_room;
        has_room
    }

    /// Puts `event`, which is `encoded`, into the next request. It is one of `batch`, which answers to `acks`.
    pub fn push(&mut self, event: Event, encoded: &[u8], acks: &Acks, batch: u64, policy: &Policy) {
        let is_first = self.filling.is_empty() || self.batch != batch;
        if self.filling.is_empty() {
            self.due = Some(Instant::now() + policy.timeout);
        }
        self.batch = batch;
        self.filling.push(event, encoded, acks, is_first);
        self.is_full = self.filling.len() >= policy.events_max || self.filling.bytes() >= policy.bytes_max;
    }

    /// When the next request has to go out, where it waits for that alone.
    pub fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_busy)
    }

    /// The request that is being filled, as it stands.
    pub fn leave(&mut self) -> Parcel {
        std::mem::take(&mut self.filling)
    }

    /// The next request, where it is time for it. `is_last` says that nothing more will come.
    pub fn take(&mut self, is_last: bool) -> Option<Parcel> {
        let is_due = is_last || self.is_full || self.due.is_some_and(|due| due <= Instant::now());
        if self.is_busy || self.filling.is_empty() || !is_due {
            return None;
        }
        self.is_busy = true;
        self.is_full = false;
        self.due = None;
        Some(std::mem::take(&mut self.filling))
    }
}

/// A batch on its way into the lanes.
pub struct Sorting {
    events: std::vec::IntoIter<Event>,
    acks: Acks,
    number: u64,
    /// The encoded form of the next event, unless that is empty.
    encoded: Vec<u8>,
}

impl Sorting {
    /// Of a batch with this number.
    pub fn new(events: Vec<Event>, acks: Acks, number: u64) -> Sorting {
        Sorting { events: events.into_iter(), acks, number, encoded: Vec::new() }
    }

    /// Puts events into their lanes; false where the next one finds its lane full.
    pub fn go_on(&mut self, lanes: &mut [Lane], sink: &dyn RequestSink, policy: &Policy) -> bool {
        while let Some(event) = self.events.as_slice().first() {
            if self.encoded.is_empty() {
                sink.encode(event, &mut self.encoded);
            }
            // Two streams with one number only share a lane.
            let at = event.origin().stream().order() % lanes.len().max(1) as u64;
            let Some(lane) = lanes.get_mut(at as usize) else { return false };
            if !lane.has_room(self.encoded.len(), policy) {
                return false;
            }
            if let Some(event) = self.events.next() {
                lane.push(event, &self.encoded, &self.acks, self.number, policy);
            }
            self.encoded.clear();
        }
        true
    }

    /// What is in no lane yet; what is has its part in the acknowledgement.
    pub fn rest(self) -> Batch {
        Batch::new(self.events.collect(), now_ms(), self.acks)
    }

    /// Everything is in its lane, and what is there has its part in the acknowledgement.
    pub fn finish(self) {
        self.acks.resolve(Verdict::Delivered);
    }
}
