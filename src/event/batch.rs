//! A batch: events that travel together, when they were received, and who waits to hear of them.

use super::receipt::{Acks, Verdict};
use super::record::Event;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a transform dropped events on purpose; a label of `events_dropped_total`.
pub type Reason = &'static str;

/// How many events were dropped, by reason.
pub type Drops = BTreeMap<Reason, u64>;

/// How often each rule of a transform has hit, by its name.
pub type Hits = BTreeMap<Arc<str>, u64>;

/// Events on their way through a chain of transforms.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order in which they were read.
    pub events: Vec<Event>,
    /// When the batch was received, in milliseconds since 1970, UTC: the only clock that a transform knows.
    pub now_ms: u64,
    /// Set on the empty batch that ends a stream: whoever holds events back lets them go now.
    pub last: bool,
    /// Set where all of it was delivered before a restart: it goes as far as what remembers records, never to a sink,
    /// and is not counted.
    pub replayed: bool,
    /// Who waits for a verdict.
    pub acks: Acks,
    drops: Drops,
    failed: u64,
    hits: Hits,
}

impl Batch {
    /// A batch of `events` received at `now_ms`.
    pub fn new(events: Vec<Event>, now_ms: u64, acks: Acks) -> Batch {
        let (drops, hits) = (Drops::new(), Hits::new());
        Batch { events, now_ms, last: false, replayed: false, acks, drops, failed: 0, hits }
    }

    /// Keeps the events for which `keep` holds and counts the others as dropped for `reason`.
    pub fn retain(&mut self, reason: Reason, keep: impl FnMut(&mut Event) -> bool) {
        let before = self.events.len();
        self.events.retain_mut(keep);
        self.count_dropped(reason, (before - self.events.len()) as u64);
    }

    /// Keeps the events for which `drop_for` gives no reason to drop them, and counts the others by theirs.
    pub fn sift(&mut self, mut drop_for: impl FnMut(&mut Event) -> Option<Reason>) {
        let drops = &mut self.drops;
        self.events.retain_mut(|event| {
            let reason = drop_for(event);
            if let Some(reason) = reason {
                *drops.entry(reason).or_default() += 1;
            }
            reason.is_none()
        });
    }

    /// Counts events that a transform has taken out itself.
    pub fn count_dropped(&mut self, reason: Reason, events: u64) {
        if events > 0 {
            *self.drops.entry(reason).or_default() += events;
        }
    }

    /// What was dropped since the last call.
    pub fn take_drops(&mut self) -> Drops {
        std::mem::take(&mut self.drops)
    }

    /// Counts events on which a program has failed, whatever becomes of them.
    pub fn count_failed(&mut self, events: u64) {
        self.failed += events;
    }

    /// On how many events programs have failed since the last call.
    pub fn take_failed(&mut self) -> u64 {
        std::mem::take(&mut self.failed)
    }

    /// Counts what a rule of a transform has hit: that drops nothing.
    pub fn count_hits(&mut self, rule: &Arc<str>, hits: u64) {
        if hits > 0 {
            *self.hits.entry(Arc::clone(rule)).or_default() += hits;
        }
    }

    /// What rules have hit since the last call.
    pub fn take_hits(&mut self) -> Hits {
        std::mem::take(&mut self.hits)
    }

    /// A second batch of the same events for another consumer; both have to be resolved.
    pub fn split(&self) -> Batch {
        Batch {
            events: self.events.clone(),
            acks: self.acks.clone(),
            drops: Drops::new(),
            failed: 0,
            hits: Hits::new(),
            ..*self
        }
    }

    /// Says what became of the batch.
    pub fn resolve(self, verdict: Verdict) {
        self.acks.resolve(verdict);
    }

    /// Bytes that the events hold on to.
    pub fn size_bytes(&self) -> usize {
        self.events.iter().map(Event::size_bytes).sum()
    }
}
