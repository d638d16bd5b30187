//! Counters of one component. At rest, `events_in = events_out + dropped + rejected` holds for each; for a
//! sink with a buffer on disk, what it holds stands on the right side too.

use crate::event::{Drops, Hits, Reason, Verdict};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters that only ever grow.
#[derive(Debug, Default)]
pub struct Meter {
    events_in: AtomicU64,
    events_out: AtomicU64,
    events_rejected: AtomicU64,
    events_buffered: AtomicU64,
    bytes_in: AtomicU64,
    batches_rejected: AtomicU64,
    batches_lost: AtomicU64,
    programs_failed: AtomicU64,
    dropped: Mutex<Drops>,
    faults: Mutex<BTreeMap<String, u64>>,
    hits: Mutex<Hits>,
}

/// What a [`Meter`] has counted so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Records that a source has seen, skipped ones and faults included; events that came in elsewhere.
    pub events_in: u64,
    /// Events that went on: to the next component, or to where a sink writes.
    pub events_out: u64,
    /// Events that a sink refused for good.
    pub events_rejected: u64,
    /// Events that a sink's buffer on disk holds: at the end of a run, for the next one.
    pub events_buffered: u64,
    /// Bytes that a source has read.
    pub bytes_in: u64,
    /// Batches of a source of which an event was refused for good.
    pub batches_rejected: u64,
    /// Batches of a source of which nobody can say where they are.
    pub batches_lost: u64,
    /// Events on which a program in VRL has failed, whatever became of them.
    pub programs_failed: u64,
    /// Events dropped on purpose, by reason.
    pub dropped: Drops,
    /// Records that could not be decoded, by reason; they are part of `dropped` where nobody consumes them.
    pub faults: BTreeMap<String, u64>,
    /// What the rules of a transform have hit, by their names.
    pub hits: Hits,
}

impl Meter {
    /// Counts events that came in.
    pub fn count_in(&self, events: u64) {
        self.events_in.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts events that went on.
    pub fn count_out(&self, events: u64) {
        self.events_out.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts events that a sink refused for good.
    pub fn count_rejected(&self, events: u64) {
        self.events_rejected.fetch_add(events, Ordering::Relaxed);
    }

    /// Says how many events a buffer on disk holds.
    pub fn set_buffered(&self, events: u64) {
        self.events_buffered.store(events, Ordering::Relaxed);
    }

    /// Counts bytes that were read.
    pub fn count_bytes_in(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what became of a batch that a source has sent.
    pub fn count_verdict(&self, verdict: Verdict) {
        match verdict {
            Verdict::Delivered => {}
            Verdict::Rejected => drop(self.batches_rejected.fetch_add(1, Ordering::Relaxed)),
            Verdict::Lost => drop(self.batches_lost.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Counts events on which a program has failed.
    pub fn count_failed(&self, events: u64) {
        self.programs_failed.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts events dropped for `reason`.
    pub fn count_dropped(&self, reason: Reason, events: u64) {
        if events > 0 {
            *self.dropped.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += events;
        }
    }

    /// Counts a record that could not be decoded.
    pub fn count_fault(&self, reason: &str) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner).entry(reason.to_owned()).or_default() +=
            1;
    }

    /// Counts what rules of a transform have hit.
    pub fn count_hits(&self, hits: Hits) {
        if hits.is_empty() {
            return;
        }
        let mut all = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, count) in hits {
            *all.entry(rule).or_default() += count;
        }
    }

    /// The counters as they stand.
    pub fn totals(&self) -> Totals {
        Totals {
            events_in: self.events_in.load(Ordering::Relaxed),
            events_out: self.events_out.load(Ordering::Relaxed),
            events_rejected: self.events_rejected.load(Ordering::Relaxed),
            events_buffered: self.events_buffered.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            batches_rejected: self.batches_rejected.load(Ordering::Relaxed),
            batches_lost: self.batches_lost.load(Ordering::Relaxed),
            programs_failed: self.programs_failed.load(Ordering::Relaxed),
            dropped: self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            faults: self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            hits: self.hits.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
