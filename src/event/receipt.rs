//! Acknowledgements that fail closed, without a runtime.
//!
//! A source hands out a batch with one [`Share`]. Whoever takes part of the batch elsewhere (a second consumer, an
//! event held back) takes a clone. When the last share is gone, the source hears the worst verdict of all of them. A
//! share that is dropped without a verdict counts as [`Verdict::Lost`]: what was forgotten is never `Delivered`.

use smallvec::SmallVec;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What became of a batch; a later variant is worse than an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every event is where it should be, or was dropped on purpose.
    Delivered,
    /// A sink refused an event for good.
    Rejected,
    /// Nobody can say where an event is: the source should send it again.
    Lost,
}

type OnDone = Box<dyn FnOnce(Verdict) + Send>;

struct Ticket {
    worst: AtomicU8,
    on_done: Mutex<Option<OnDone>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let verdict = match self.worst.load(Ordering::Acquire) {
            0 => Verdict::Delivered,
            1 => Verdict::Rejected,
            _ => Verdict::Lost,
        };
        let on_done = self.on_done.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(on_done) = on_done {
            on_done(verdict);
        }
    }
}

/// A part in one batch's acknowledgement. Cloning splits it: both have to be resolved.
pub struct Share {
    ticket: Option<Arc<Ticket>>,
}

impl Share {
    /// A batch's first share; `on_done` runs once, where the last share goes.
    pub fn new(on_done: impl FnOnce(Verdict) + Send + 'static) -> Share {
        let ticket = Ticket { worst: AtomicU8::new(0), on_done: Mutex::new(Some(Box::new(on_done))) };
        Share { ticket: Some(Arc::new(ticket)) }
    }

    /// Whether both are shares of one batch.
    fn is_same(&self, other: &Share) -> bool {
        match (&self.ticket, &other.ticket) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    /// Says what became of this part.
    pub fn resolve(mut self, verdict: Verdict) {
        if let Some(ticket) = self.ticket.take() {
            ticket.worst.fetch_max(verdict as u8, Ordering::AcqRel);
        }
    }
}

impl Clone for Share {
    fn clone(&self) -> Share {
        Share { ticket: self.ticket.clone() }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            ticket.worst.fetch_max(Verdict::Lost as u8, Ordering::AcqRel);
        }
    }
}

/// The shares that a batch carries: its own, and those of events that joined it from other batches.
#[derive(Clone, Default)]
pub struct Acks(SmallVec<[Share; 1]>);

impl Acks {
    /// Of one share.
    pub fn of(share: Share) -> Acks {
        Acks(SmallVec::from_iter([share]))
    }

    /// Takes over the shares of `other`. Two shares of one batch become one: the verdict of the joined batch is heard
    /// through either.
    pub fn join(&mut self, other: Acks) {
        for share in other.0 {
            if self.0.iter().any(|own| own.is_same(&share)) {
                share.resolve(Verdict::Delivered);
            } else {
                self.0.push(share);
            }
        }
    }

    /// Says what became of all of it.
    pub fn resolve(self, verdict: Verdict) {
        for share in self.0 {
            share.resolve(verdict);
        }
    }

    /// Whether nobody waits for a verdict.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Acks({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn watched() -> (Share, Arc<Mutex<Vec<Verdict>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        (Share::new(move |verdict| ear.lock().unwrap().push(verdict)), heard)
    }

    #[test]
    fn a_share_that_is_forgotten_is_lost() {
        let (share, heard) = watched();
        let other = share.clone();
        share.resolve(Verdict::Delivered);
        assert!(heard.lock().unwrap().is_empty(), "one part is still out");
        drop(other);
        assert_eq!(*heard.lock().unwrap(), [Verdict::Lost]);
    }

    #[test]
    fn shares_of_one_batch_join_to_one() {
        let ((first, first_heard), (second, second_heard)) = (watched(), watched());
        let mut acks = Acks::of(first.clone());
        for _ in 0..100 {
            let mut held = acks.clone();
            held.join(Acks::of(second.clone()));
            acks.join(held);
        }
        assert_eq!(acks.0.len(), 2);
        acks.resolve(Verdict::Rejected);
        first.resolve(Verdict::Delivered);
        second.resolve(Verdict::Delivered);
        assert_eq!(*first_heard.lock().unwrap(), [Verdict::Rejected]);
        assert_eq!(*second_heard.lock().unwrap(), [Verdict::Rejected]);
    }

    proptest! {
        #[test]
        fn the_worst_of_all_parts_is_heard_once(parts in proptest::collection::vec(0u8..3, 1..20)) {
            let (share, heard) = watched();
            let shares: Vec<Share> = parts.iter().map(|_| share.clone()).collect();
            share.resolve(Verdict::Delivered);
            for (share, part) in shares.into_iter().zip(&parts) {
                share.resolve([Verdict::Delivered, Verdict::Rejected, Verdict::Lost][usize::from(*part)]);
            }
            let worst = *parts.iter().max().unwrap();
            prop_assert_eq!(heard.lock().unwrap().iter().map(|v| *v as u8).collect::<Vec<_>>(), vec![worst]);
        }
    }
}
