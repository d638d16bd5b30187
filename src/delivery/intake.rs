//! What every source of bytes does with them: decode, count, tell of faults, send on.

use super::clock::{monotonic, now_ms};
use super::{Emission, Emitter, Meter, Receipt};
use crate::codec::{Chunk, Decoded, Decoder, Fault, FaultKind};
use crate::event::Stream;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Faults of one kind are told of at most this often; all are counted.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// One stream of bytes on its way to the pipeline.
pub struct Intake {
    decoder: Decoder,
    stream: Arc<Stream>,
    out: Emitter,
    meter: Arc<Meter>,
    told: BTreeMap<FaultKind, Instant>,
    /// How many events the last piece held; the next one is likely to hold about as many.
    events: usize,
}

impl Intake {
    /// For a stream that begins.
    pub fn new(decoder: Decoder, stream: Stream, out: Emitter, meter: Arc<Meter>) -> Intake {
        Intake { decoder, stream: Arc::new(stream), out, meter, told: BTreeMap::new(), events: 0 }
    }

    /// Decodes a piece of the stream and sends what is in it, waiting for room.
    pub async fn take(&mut self, chunk: Chunk) -> Receipt {
        let bytes = match &chunk {
            Chunk::Lines { bytes, .. } => bytes.len() as u64,
            Chunk::Sifted { read_bytes, .. } => *read_bytes,
            Chunk::TooLong { len, .. } => *len,
        };
        self.meter.count_bytes_in(bytes);
        let room = self.events + self.events / 8;
        let mut decoded = Decoded::with_room(room, Arc::clone(&self.stream), now_ms());
        self.decoder.decode(chunk, &mut decoded);
        self.events = decoded.events.len();
        self.send(decoded).await
    }

    /// Nothing has come for a while, as [`Intake::silence`] says: a record that may be complete is.
    pub async fn silent(&mut self) -> Receipt {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms());
        self.decoder.silence(&mut decoded);
        self.send(decoded).await
    }

    /// The stream has ended: what is open is complete.
    pub async fn complete(&mut self) -> Receipt {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms());
        self.decoder.complete(&mut decoded);
        self.send(decoded).await
    }

    /// Waits until [`Intake::silent`] is due although the stream goes on; for ever, where nothing is open.
    pub async fn silence(&self) {
        match self.decoder.deadline_ms() {
            Some(deadline) => {
                tokio::time::sleep(Duration::from_millis(deadline.saturating_sub(now_ms()))).await
            }
            None => std::future::pending().await,
        }
    }

    async fn send(&mut self, decoded: Decoded) -> Receipt {
        self.meter.count_in(decoded.records());
        self.meter.count_dropped("not_wanted", decoded.skipped);
        for fault in &decoded.faults {
            self.meter.count_fault(fault.kind.name());
            self.tell(fault);
        }
        let Decoded { events, faults, now_ms, .. } = decoded;
        let faults = faults.into_iter().map(|fault| fault.event).collect();
        self.out.send(Emission { events, faults, now_ms }).await
    }

    fn tell(&mut self, fault: &Fault) {
        let now = monotonic();
        if self.told.get(&fault.kind).is_some_and(|told| now.duration_since(*told) < TELL_EVERY) {
            return;
        }
        self.told.insert(fault.kind, now);
        let offset = fault.event.origin().offset();
        let (source, reason) = (self.stream.source.as_str(), fault.kind.name());
        tracing::warn!(source, offset, reason, "a record can't be decoded: {}", fault.detail);
    }
}
