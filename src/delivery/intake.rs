//! What every source of bytes does with them: decode, count, tell of faults, send on.

use super::clock::{monotonic, now_ms};
use super::{Emission, Emitter, Ledger, Meter, Noted, Progress, Wanted};
use crate::codec::{Chunk, Decoded, Decoder, Fault, FaultKind};
use crate::event::Stream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Faults of one kind are told of at most this often; all are counted.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// When faults were last told of, by kind: streams of one source share it.
#[derive(Debug, Default)]
pub struct Told(Mutex<BTreeMap<FaultKind, Instant>>);

impl Told {
    /// Whether one of this kind is to be told of now.
    fn is_due(&self, kind: FaultKind) -> bool {
        let now = monotonic();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&kind).is_some_and(|told| now.duration_since(*told) < TELL_EVERY) {
            return false;
        }
        told.insert(kind, now);
        true
    }
}

/// Who hears of what was sent.
enum Ear {
    Nobody,
    Progress(Arc<Progress>),
    Ledger(Ledger),
}

/// One stream of bytes on its way to the pipeline.
pub struct Intake {
    decoder: Decoder,
    stream: Arc<Stream>,
    out: Emitter,
    meter: Arc<Meter>,
    ear: Ear,
    wanted: Wanted,
    /// Offset in the stream up to which it was taken in.
    end: u64,
    told: Arc<Told>,
    /// How many events the last piece held; the next one is likely to hold about as many.
    events: usize,
}

impl Intake {
    /// For a stream that begins, and of which `wanted` can be used.
    pub fn new(decoder: Decoder, wanted: Wanted, stream: Stream, out: Emitter, meter: Arc<Meter>) -> Intake {
        let (stream, told) = (Arc::new(stream), Arc::default());
        Intake { decoder, stream, out, meter, ear: Ear::Nobody, wanted, end: 0, told, events: 0 }
    }

    /// The same for one of several streams whose source goes on after a restart: `progress` follows what is delivered of
    /// it, and faults of all of them count as one in how often they are told of.
    pub fn following(self, progress: Arc<Progress>, told: Arc<Told>) -> Intake {
        Intake { ear: Ear::Progress(progress), told, ..self }
    }

    /// The same for one of many short streams, whose sender is told what became of it: `ledger` is kept of it.
    pub fn keeping(self, ledger: Ledger, told: Arc<Told>) -> Intake {
        Intake { ear: Ear::Ledger(ledger), told, ..self }
    }

    /// Takes the faults out that the ledger has noted, for those who know more about their places.
    pub fn noted(&mut self) -> Vec<Noted> {
        match &mut self.ear {
            Ear::Ledger(ledger) => ledger.take_noted(),
            Ear::Nobody | Ear::Progress(_) => Vec::new(),
        }
    }

    /// Ends the stream as it stands, without what is open; gives its ledger.
    pub fn into_ledger(self) -> Option<Ledger> {
        match self.ear {
            Ear::Ledger(ledger) => Some(ledger),
            Ear::Nobody | Ear::Progress(_) => None,
        }
    }

    /// Offset of the first byte that the decoder still holds.
    pub fn held_from(&self) -> Option<u64> {
        self.decoder.held_from()
    }

    /// Tells the stream from others, where what it begins with has only now been seen: before anything was taken in.
    pub fn fingerprinted(&mut self, fingerprint: u64) {
        self.stream = Arc::new(Stream { fingerprint, ..Stream::clone(&self.stream) });
    }

    /// Takes over what `before` knew, the stream whose place this one takes.
    pub fn succeed(&mut self, before: &Intake) {
        self.decoder.inherit(&before.decoder);
    }

    /// Decodes a piece of the stream and sends what is in it, waiting for room.
    pub async fn take(&mut self, chunk: Chunk) {
        let bytes = match &chunk {
            Chunk::Lines { bytes, .. } => bytes.len() as u64,
            Chunk::Sifted { read_bytes, .. } => *read_bytes,
            Chunk::TooLong { len, .. } => *len,
        };
        self.meter.count_bytes_in(bytes);
        let room = self.events + self.events / 8;
        let mut decoded = Decoded::with_room(room, Arc::clone(&self.stream), now_ms());
        let (demand, check_all) = self.wanted.now();
        self.decoder.want(demand, check_all);
        self.decoder.decode(chunk, &mut decoded);
        self.events = decoded.events.len();
        self.send(decoded).await;
    }

    /// The same for a piece that ends at the offset `end`.
    pub async fn take_up_to(&mut self, chunk: Chunk, end: u64) {
        self.end = end;
        self.take(chunk).await;
    }

    /// Takes in what was delivered before a restart and ends where the stream goes on.
    pub async fn replay(&mut self, chunk: Chunk) {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms());
        self.decoder.decode(chunk, &mut decoded);
        self.decoder.complete(&mut decoded);
        let Decoded { events, now_ms, .. } = decoded;
        let emission = Emission { events, faults: Vec::new(), now_ms, replayed: true };
        self.out.send_telling(emission, drop).await;
    }

    /// Tells of a fault that is none of the decoder's.
    pub async fn fault(&mut self, kind: FaultKind, detail: String, raw: &[u8], offset: u64) {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms());
        decoded.fault(kind, detail, raw, offset);
        self.send(decoded).await;
    }

    /// Nothing has come for a while, as [`Intake::silence`] says: a record that may be complete is.
    pub async fn silent(&mut self) {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms());
        self.decoder.silence(&mut decoded);
        self.send(decoded).await;
    }

    /// The stream has ended: what is open is complete.
    pub async fn complete(&mut self) {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms());
        self.decoder.complete(&mut decoded);
        self.send(decoded).await;
    }

    /// When [`Intake::silent`] is due although the stream goes on, in milliseconds since 1970.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.decoder.deadline_ms()
    }

    /// Waits until [`Intake::silent`] is due although the stream goes on; for ever, where nothing is open.
    pub async fn silence(&self) {
        match self.deadline_ms() {
            Some(deadline) => {
                tokio::time::sleep(Duration::from_millis(deadline.saturating_sub(now_ms()))).await
            }
            None => std::future::pending().await,
        }
    }

    async fn send(&mut self, decoded: Decoded) {
        self.meter.count_in(decoded.records());
        self.meter.count_dropped("not_wanted", decoded.skipped);
        for fault in &decoded.faults {
            self.meter.count_fault(fault.kind.name());
            self.tell(fault);
        }
        if let Ear::Ledger(ledger) = &mut self.ear {
            ledger.note(&decoded);
        }
        let Decoded { events, faults, now_ms, .. } = decoded;
        let faults = faults.into_iter().map(|fault| fault.event).collect();
        let emission = Emission { events, faults, now_ms, replayed: false };
        match &self.ear {
            Ear::Nobody => self.out.send_telling(emission, drop).await,
            Ear::Ledger(ledger) => self.out.send_telling(emission, ledger.entry()).await,
            Ear::Progress(progress) => {
                // What the decoder still holds has not left: a checkpoint stands in front of it.
                let tell = progress.send(self.decoder.held_from().unwrap_or(self.end));
                self.out.send_telling(emission, tell).await;
            }
        }
    }

    fn tell(&mut self, fault: &Fault) {
        if !self.told.is_due(fault.kind) {
            return;
        }
        let offset = fault.event.origin().offset();
        let (source, reason) = (self.stream.source.as_str(), fault.kind.name());
        let file = self.stream.file.as_deref();
        tracing::warn!(source, file, offset, reason, "a record can't be decoded: {}", fault.detail);
    }
}
