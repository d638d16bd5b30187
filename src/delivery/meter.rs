//! Counters of one component. At rest, `events_in = events_out + dropped + rejected` holds for each; for a
//! sink with a buffer on disk, what it holds stands on the right side too.

use super::tap::{Tap, Taps};
use super::trouble::Failing;
use crate::event::{Drops, Event, Hits, Reason, Refusal, Verdict};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counters that only ever grow, and how it stands with the component.
#[derive(Debug, Default)]
pub struct Meter {
    events_in: AtomicU64,
    events_out: AtomicU64,
    events_rejected: AtomicU64,
    events_buffered: AtomicU64,
    bytes_buffered: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    retries: AtomicU64,
    lag_bytes: AtomicU64,
    lag_ms: AtomicU64,
    batches_rejected: AtomicU64,
    batches_lost: AtomicU64,
    programs_failed: AtomicU64,
    dropped: Mutex<Drops>,
    faults: Mutex<BTreeMap<String, u64>>,
    hits: Mutex<Hits>,
    troubles: Mutex<Troubles>,
    failing: Mutex<BTreeMap<&'static str, Failing>>,
    files_bytes: AtomicU64,
    files_left_bytes: AtomicU64,
    taps: Arc<Taps>,
}

/// What is under way and fails: why, by the order in which it began.
#[derive(Debug, Default)]
struct Troubles {
    next: u64,
    open: BTreeMap<u64, String>,
}

/// Something that fails and is tried again: until this is dropped, the component can't do its work.
#[derive(Debug)]
pub struct Trouble {
    meter: Arc<Meter>,
    number: u64,
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.meter.troubles().open.remove(&self.number);
    }
}

impl Trouble {
    /// It has failed again.
    pub fn go_on(&self, why: &str) {
        if let Some(said) = self.meter.troubles().open.get_mut(&self.number) {
            why.clone_into(said);
        }
    }
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
    /// Bytes that this buffer takes on the disk.
    pub bytes_buffered: u64,
    /// Bytes that a source has read.
    pub bytes_in: u64,
    /// Bytes that a sink has encoded and delivered, before any compression.
    pub bytes_out: u64,
    /// How often a sink has tried again.
    pub retries: u64,
    /// How many bytes of its files a source has not delivered yet.
    pub lag_bytes: u64,
    /// For how long the oldest of them has been there, in milliseconds.
    pub lag_ms: u64,
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

impl Totals {
    /// Events that came in and are neither gone on, dropped, rejected nor on the disk: 0 at rest.
    pub fn unsettled(&self) -> u64 {
        let Totals { events_in, events_out, events_rejected, events_buffered, .. } = self;
        let dropped: u64 = self.dropped.values().sum();
        events_in.saturating_sub(events_out + events_rejected + events_buffered + dropped)
    }
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

    /// Says how many bytes it takes.
    pub fn set_buffered_bytes(&self, bytes: u64) {
        self.bytes_buffered.store(bytes, Ordering::Relaxed);
    }

    /// Says how far a source is behind the ends of its files.
    pub fn set_lag(&self, bytes: u64, ms: u64) {
        self.lag_bytes.store(bytes, Ordering::Relaxed);
        self.lag_ms.store(ms, Ordering::Relaxed);
    }

    /// Counts bytes that were delivered.
    pub fn count_bytes_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts one more try.
    pub fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Something has failed and is tried again, until what comes back is dropped.
    pub fn trouble(self: &Arc<Meter>, why: &str) -> Trouble {
        let mut troubles = self.troubles();
        let number = troubles.next;
        troubles.next += 1;
        troubles.open.insert(number, why.to_owned());
        drop(troubles);
        Trouble { meter: Arc::clone(self), number }
    }

    /// Why the component can't do its work, by what failed last; none where it can.
    pub fn trouble_now(&self) -> Option<String> {
        let troubles = self.troubles();
        let (_, last) = troubles.open.last_key_value()?;
        match troubles.open.len() {
            1 => Some(last.clone()),
            count => Some(format!("{last}; and {} more", count - 1)),
        }
    }

    /// Shows events that leave by the main output, or by `port`, to whoever has a tap there; of a sink, what it takes in.
    pub fn show(&self, port: Option<&str>, events: &[Event]) {
        self.taps.show(port, events);
    }

    /// Shows events that a sink has rejected to whoever has a tap at `port`.
    pub fn show_refused(&self, port: &str, events: &[Event], refusal: &Refusal) {
        self.taps.show_refused(port, events, refusal);
    }

    /// A tap at the main output, or at `port`.
    pub fn tap(&self, port: Option<&str>) -> Tap {
        self.taps.listen(port)
    }

    /// What has failed and not worked since, by the kind of work.
    pub(super) fn failing(&self) -> MutexGuard<'_, BTreeMap<&'static str, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many bytes of files a run with `--once` has to read, as they stand on the disk, and how many of them are
    /// not delivered.
    pub fn set_files(&self, bytes: u64, left: u64) {
        self.files_bytes.store(bytes, Ordering::Relaxed);
        self.files_left_bytes.store(left, Ordering::Relaxed);
    }

    /// The two of [`Meter::set_files`]; zeros where nobody has said.
    pub fn files(&self) -> (u64, u64) {
        (self.files_bytes.load(Ordering::Relaxed), self.files_left_bytes.load(Ordering::Relaxed))
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
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
            bytes_buffered: self.bytes_buffered.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            lag_bytes: self.lag_bytes.load(Ordering::Relaxed),
            lag_ms: self.lag_ms.load(Ordering::Relaxed),
            batches_rejected: self.batches_rejected.load(Ordering::Relaxed),
            batches_lost: self.batches_lost.load(Ordering::Relaxed),
            programs_failed: self.programs_failed.load(Ordering::Relaxed),
            dropped: self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            faults: self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            hits: self.hits.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
