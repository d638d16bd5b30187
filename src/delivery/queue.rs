//! A bounded queue of batches in front of a component that runs on its own.
//!
//! Bounded three ways: batches, events, and bytes, so that neither a flood of small batches nor a few huge records
//! fills the memory. What is taken out still counts until it is dropped: work in progress is part of the bound.

use super::meter::Meter;
use crate::event::{Batch, Verdict};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Batches that may wait in one queue.
const QUEUE_BATCHES_MAX: usize = 64;

/// What a full queue does with the next batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Lets the sender wait: back-pressure up to the source.
    #[default]
    Block,
    /// Drops it, counted as `buffer_full`.
    DropNewest,
}

/// How much a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events at most; a single larger batch still passes, alone.
    pub events_max: u32,
    /// Bytes at most, in KiB; likewise.
    pub kib_max: u32,
    /// What happens beyond.
    pub when_full: WhenFull,
}

/// The end that takes batches in; clones feed the same queue.
#[derive(Clone)]
pub struct Inlet {
    sender: mpsc::Sender<Queued>,
    events: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    limits: Limits,
    meter: Arc<Meter>,
    /// Whether what stands behind it has a use for what was delivered before.
    takes_replayed: bool,
}

/// Finds the inlet of a queue that somebody still feeds, without keeping it open.
#[derive(Clone)]
pub struct WeakInlet {
    sender: mpsc::WeakSender<Queued>,
    events: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    limits: Limits,
    meter: Arc<Meter>,
    takes_replayed: bool,
}

/// The end that batches come out of.
pub struct Outlet {
    /// What was taken out before, and given back unfinished.
    given_back: VecDeque<Queued>,
    /// Emptied one after the other; the last one is kept when it is closed.
    receivers: VecDeque<mpsc::Receiver<Queued>>,
}

/// A batch on its way, with its part in the queue's limits.
pub struct Queued {
    /// The batch itself.
    pub batch: Batch,
    _room: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// A queue with `limits`; `meter` belongs to the component behind it.
pub fn queue(limits: Limits, meter: Arc<Meter>) -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(QUEUE_BATCHES_MAX);
    let events = Arc::new(Semaphore::new(limits.events_max as usize));
    let kib = Arc::new(Semaphore::new(limits.kib_max as usize));
    let outlet = Outlet { given_back: VecDeque::new(), receivers: VecDeque::from([receiver]) };
    (Inlet { sender, events, kib, limits, meter, takes_replayed: true }, outlet)
}

impl Inlet {
    /// The inlet of a sink, which has no use for what was delivered before a restart.
    pub fn of_sink(self) -> Inlet {
        Inlet { takes_replayed: false, ..self }
    }

    /// Puts `batch` in, waiting for room if that is what a full queue does. A queue whose other end is gone takes
    /// nothing: the batch is dropped with its shares, which makes it `Lost`.
    pub async fn send(&self, batch: Batch) {
        if !batch.replayed {
            self.meter.count_in(batch.events.len() as u64);
            self.meter.show(None, &batch.events);
        } else if !self.takes_replayed {
            return batch.resolve(Verdict::Delivered);
        }
        let events = (batch.events.len() as u64).min(u64::from(self.limits.events_max)) as u32;
        let kib = (batch.size_bytes() as u64 / 1024).min(u64::from(self.limits.kib_max)) as u32;
        let room = match self.limits.when_full {
            WhenFull::Block => self.wait_for_room(events, kib).await,
            WhenFull::DropNewest if batch.replayed => self.wait_for_room(events, kib).await,
            WhenFull::DropNewest => self.find_room(events, kib),
        };
        let Some(room) = room else {
            self.meter.count_dropped("buffer_full", batch.events.len() as u64);
            return batch.resolve(Verdict::Delivered);
        };
        if self.sender.send(Queued { batch, _room: Some(room) }).await.is_err() {
            tracing::debug!("a queue's consumer is gone; its source will hear that the batch is lost");
        }
    }

    /// Waits until there is room for something more. Where the other end is gone, there is nothing to wait for.
    pub async fn room(&self) {
        if self.limits.when_full == WhenFull::Block {
            drop(self.events.acquire().await);
            drop(self.kib.acquire().await);
            drop(self.sender.reserve().await);
        }
    }

    async fn wait_for_room(
        &self,
        events: u32,
        kib: u32,
    ) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let events = Arc::clone(&self.events).acquire_many_owned(events).await.ok()?;
        let kib = Arc::clone(&self.kib).acquire_many_owned(kib).await.ok()?;
        Some((events, kib))
    }

    fn find_room(&self, events: u32, kib: u32) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        if self.sender.capacity() == 0 {
            return None;
        }
        let events = Arc::clone(&self.events).try_acquire_many_owned(events).ok()?;
        let kib = Arc::clone(&self.kib).try_acquire_many_owned(kib).ok()?;
        Some((events, kib))
    }
}

impl Inlet {
    /// The same, for those who only have to find it again.
    pub fn downgrade(&self) -> WeakInlet {
        let Inlet { sender, events, kib, limits, meter, takes_replayed } = self.clone();
        WeakInlet { sender: sender.downgrade(), events, kib, limits, meter, takes_replayed }
    }

    /// Whether both lead to one queue.
    pub fn is_same(&self, other: &Inlet) -> bool {
        self.sender.same_channel(&other.sender)
    }
}

impl WeakInlet {
    /// The inlet; none where nobody feeds the queue any more.
    pub fn upgrade(&self) -> Option<Inlet> {
        let sender = self.sender.upgrade()?;
        let WeakInlet { events, kib, limits, meter, takes_replayed, .. } = self.clone();
        Some(Inlet { sender, events, kib, limits, meter, takes_replayed })
    }
}

impl Outlet {
    /// The next batch; none when every inlet is gone and the queue is empty.
    pub async fn next(&mut self) -> Option<Queued> {
        if let Some(queued) = self.given_back.pop_front() {
            return Some(queued);
        }
        while let Some(receiver) = self.receivers.front_mut() {
            if let Some(queued) = receiver.recv().await {
                return Some(queued);
            }
            if self.receivers.len() == 1 {
                break;
            }
            self.receivers.pop_front();
        }
        None
    }

    /// The next batch where one is waiting.
    pub fn next_now(&mut self) -> Option<Queued> {
        if let Some(queued) = self.given_back.pop_front() {
            return Some(queued);
        }
        self.receivers.front_mut()?.try_recv().ok()
    }

    /// Takes unfinished work back: it comes out again first, in this order.
    pub fn give_back(&mut self, unfinished: impl IntoIterator<Item = Queued>) {
        let later = std::mem::take(&mut self.given_back);
        self.given_back.extend(unfinished);
        self.given_back.extend(later);
    }

    /// What comes out of this one, up to its end, and then what comes out of `later`.
    pub fn then(mut self, later: Outlet) -> Outlet {
        // Of a queue that is yet to be emptied, nothing was taken out.
        self.given_back.extend(later.given_back);
        self.receivers.extend(later.receivers);
        self
    }
}

impl From<Batch> for Queued {
    /// A batch that takes no room in any queue: its holder's own limits bound it.
    fn from(batch: Batch) -> Queued {
        Queued { batch, _room: None }
    }
}
