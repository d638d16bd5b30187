//! How a source sends batches on and hears what became of them.

use super::meter::Meter;
use super::outputs::Outputs;
use super::queue::Inlet;
use crate::event::{Acks, Batch, Event, Share, Verdict};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The port that what can't be decoded leaves by.
pub const FAULTS: &str = "faults";

/// What a source sends at once: one acknowledgement covers all of it.
#[derive(Debug, Default)]
pub struct Emission {
    /// For the main output.
    pub events: Vec<Event>,
    /// For the port `faults`.
    pub faults: Vec<Event>,
    /// When it was received, in milliseconds since 1970, UTC.
    pub now_ms: u64,
    /// Whether it was delivered before; see [`Batch::replayed`].
    pub replayed: bool,
}

/// A source's outputs. Dropping it is how a source says that it has ended.
#[derive(Clone)]
pub struct Emitter {
    outputs: Arc<Outputs>,
    meter: Arc<Meter>,
}

/// What is to be heard of an emission.
pub struct Receipt(oneshot::Receiver<Verdict>);

impl Receipt {
    /// A receipt, and what it hears.
    pub(super) fn new() -> (impl FnOnce(Verdict) + Send + 'static, Receipt) {
        let (heard, receipt) = oneshot::channel();
        // The source may not wait to hear it (standard input does not), then there is nobody to tell.
        (move |verdict| heard.send(verdict).unwrap_or_default(), Receipt(receipt))
    }

    /// Waits for the worst verdict of all consumers. Fails closed: what was forgotten is `Lost`.
    pub async fn verdict(self) -> Verdict {
        self.0.await.unwrap_or(Verdict::Lost)
    }
}

impl Emitter {
    /// An emitter into `outputs`; `meter` belongs to the source.
    pub fn new(outputs: Arc<Outputs>, meter: Arc<Meter>) -> Emitter {
        Emitter { outputs, meter }
    }

    /// Waits until all consumers have room for something more; others may take it meanwhile.
    pub async fn room(&self) {
        let to = self.outputs.hold().await;
        for consumer in to.main.iter().chain(&to.faults) {
            consumer.room().await;
        }
    }

    /// Sends to all consumers, waiting for room.
    pub async fn send(&self, emission: Emission) -> Receipt {
        let (tell, receipt) = Receipt::new();
        self.send_telling(emission, tell).await;
        receipt
    }

    /// Sends to all consumers, waiting for room; `tell` hears the worst verdict of all of them. Fails closed: where
    /// `tell` is dropped without being called, the emission is lost.
    pub async fn send_telling(&self, emission: Emission, tell: impl FnOnce(Verdict) + Send + 'static) {
        let meter = Arc::clone(&self.meter);
        let share = Share::new(move |verdict| {
            meter.count_verdict(verdict);
            tell(verdict);
        });
        let Emission { events, faults, now_ms, replayed } = emission;
        let to = self.outputs.hold().await;
        if replayed {
            let mut batch = Batch::new(events, now_ms, Acks::of(share));
            batch.replayed = true;
            return fan_out(&to.main, batch).await;
        }
        self.meter.count_out(events.len() as u64);
        self.meter.show(Some(FAULTS), &faults);
        if to.faults.is_empty() {
            self.meter.count_dropped("fault", faults.len() as u64);
        } else {
            self.meter.count_out(faults.len() as u64);
            fan_out(&to.faults, Batch::new(faults, now_ms, Acks::of(share.clone()))).await;
        }
        self.meter.show(None, &events);
        fan_out(&to.main, Batch::new(events, now_ms, Acks::of(share))).await;
    }
}

/// Gives `batch` to every consumer; resolves it where it is empty or nobody wants it.
async fn fan_out(consumers: &[Inlet], batch: Batch) {
    let Some((last, others)) = consumers.split_last() else {
        return batch.resolve(Verdict::Delivered);
    };
    if batch.events.is_empty() {
        return batch.resolve(Verdict::Delivered);
    }
    for consumer in others {
        consumer.send(batch.split()).await;
    }
    last.send(batch).await;
}
