//! What became of one of many short streams (a request): how much was taken, what could not be decoded, and one
//! verdict over everything that was sent of it.

use super::emitter::Receipt;
use crate::codec::Decoded;
use crate::event::{Share, Verdict};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kept while a stream is taken in.
pub struct Ledger {
    share: Share,
    tally: Arc<Tally>,
    noted: Vec<Noted>,
    /// How many faults may still be noted.
    notes_left: usize,
}

/// How much a ledger has counted so far, for those who can't wait for it.
#[derive(Debug, Default)]
pub struct Tally {
    accepted: AtomicU64,
    rejected: AtomicU64,
}

impl Tally {
    /// Records that were taken, those included that nobody wants.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Records that could not be decoded.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

/// A fault, for whoever sent the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Offset of the record in its stream.
    pub offset: u64,
    /// Why it could not be decoded, in a word.
    pub reason: &'static str,
    /// Why exactly, for a person.
    pub detail: String,
}

impl Ledger {
    /// A ledger that notes so many faults and counts the others. The receipt hears the worst verdict, once
    /// [`Ledger::close`] was called and every part is heard of; `Lost` where any is forgotten.
    pub fn new(notes_max: usize) -> (Ledger, Receipt) {
        let (tell, receipt) = Receipt::new();
        let share = Share::new(tell);
        (Ledger { share, tally: Arc::default(), noted: Vec::new(), notes_left: notes_max }, receipt)
    }

    /// Takes note of what was decoded.
    pub(super) fn note(&mut self, decoded: &Decoded) {
        let faults = decoded.faults.len() as u64;
        self.tally.rejected.fetch_add(faults, Ordering::Relaxed);
        self.tally.accepted.fetch_add(decoded.records() - faults, Ordering::Relaxed);
        for fault in decoded.faults.iter().take(self.notes_left) {
            let offset = fault.event.origin().offset();
            self.noted.push(Noted { offset, reason: fault.kind.name(), detail: fault.detail.clone() });
            self.notes_left -= 1;
        }
    }

    /// What hears of an emission.
    pub(super) fn entry(&self) -> impl FnOnce(Verdict) + Send + 'static {
        let part = self.share.clone();
        move |verdict| part.resolve(verdict)
    }

    /// The faults noted since the last call.
    pub(super) fn take_noted(&mut self) -> Vec<Noted> {
        std::mem::take(&mut self.noted)
    }

    /// What it has counted, and goes on to count.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Nothing more is sent: the receipt waits only for what is on its way.
    pub fn close(self) {
        self.share.resolve(Verdict::Delivered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(receipt: Receipt) -> Verdict {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(receipt.verdict())
    }

    #[test]
    fn what_is_forgotten_is_lost() {
        let (ledger, receipt) = Ledger::new(1);
        drop(ledger.entry());
        ledger.close();
        assert_eq!(heard(receipt), Verdict::Lost);
        let (ledger, receipt) = Ledger::new(1);
        ledger.entry()(Verdict::Delivered);
        drop(ledger);
        assert_eq!(heard(receipt), Verdict::Lost);
    }

    proptest! {
        #[test]
        fn the_worst_of_all_entries_is_heard(parts in proptest::collection::vec(0usize..3, 0..20), early in 0usize..20) {
            let verdicts = [Verdict::Delivered, Verdict::Rejected, Verdict::Lost];
            let (ledger, receipt) = Ledger::new(1);
            let mut entries: Vec<_> = parts.iter().map(|part| (ledger.entry(), verdicts[*part])).collect();
            let late = entries.split_off(early.min(entries.len()));
            entries.into_iter().for_each(|(tell, verdict)| tell(verdict));
            ledger.close();
            late.into_iter().for_each(|(tell, verdict)| tell(verdict));
            prop_assert_eq!(heard(receipt), verdicts[parts.iter().copied().max().unwrap_or(0)]);
        }
    }
}
