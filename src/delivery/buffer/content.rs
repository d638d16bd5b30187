//! Events as bytes: the payload of a record.
//!
//! Each event is its JSON text and where it was read. A stream is written with the first event that was read from it,
//! and named by its number from then on. Lengths and numbers are written seven bits to a byte, the lowest first.

use crate::event::{Event, Origin, Place, Refusal, Stream};
use bytes::Bytes;
use std::sync::Arc;

/// A payload is closed when it is so long, in bytes: what one damaged byte costs, and what is read at once.
pub const PAYLOAD_BYTES: usize = 64 * 1024;
/// Events in a payload at most.
pub const PAYLOAD_EVENTS_MAX: u32 = 1_024;
/// Streams that are looked through for that of an event; one further back is written again.
const STREAMS_BACK: usize = 16;
const RAW: u8 = 1;
/// One of several events that were made of one record; its number follows.
const PART: u8 = 2;

/// Some events on their way to the disk.
#[derive(Debug, Default)]
pub struct Payload {
    /// What is written.
    pub bytes: Vec<u8>,
    /// How many they are.
    pub events: u32,
}

/// Writes `events`, as many payloads as it takes.
pub fn encode(events: &[Event]) -> Vec<Payload> {
    let mut payloads = Vec::new();
    let mut encoder = Encoder::default();
    for event in events {
        encoder.put(event);
        if encoder.payload.bytes.len() >= PAYLOAD_BYTES || encoder.payload.events >= PAYLOAD_EVENTS_MAX {
            payloads.push(std::mem::take(&mut encoder).payload);
        }
    }
    if encoder.payload.events > 0 {
        payloads.push(encoder.payload);
    }
    payloads
}

#[derive(Default)]
struct Encoder<'a> {
    payload: Payload,
    streams: Vec<&'a Stream>,
    text: Vec<u8>,
}

impl<'a> Encoder<'a> {
    fn put(&mut self, event: &'a Event) {
        let (origin, stream) = (event.origin(), event.origin().stream());
        let from = self.streams.len().saturating_sub(STREAMS_BACK);
        let is_it = |known: &&Stream| std::ptr::eq(*known, stream) || **known == *stream;
        let recent = self.streams.get(from..).unwrap_or_default();
        let known = recent.iter().rposition(is_it).map(|at| from + at);
        let out = &mut self.payload.bytes;
        put_number(known.unwrap_or(self.streams.len()) as u64, out);
        if known.is_none() {
            put_bytes(stream.source.as_bytes(), out);
            for part in [&stream.file, &stream.container, &stream.peer] {
                put_number(u64::from(part.is_some()), out);
                part.iter().for_each(|part| put_bytes(part.as_bytes(), out));
            }
            put_number(u64::from(stream.refusal.is_some()), out);
            if let Some(Refusal { reason, status, answer }) = &stream.refusal {
                put_bytes(reason.as_bytes(), out);
                // No status is 0.
                put_number(status.map_or(0, u64::from), out);
                put_bytes(answer.as_bytes(), out);
            }
            put_number(u64::from(stream.connection.is_some()), out);
            out.extend(stream.connection.into_iter().flat_map(u64::to_le_bytes));
            out.extend_from_slice(&stream.fingerprint.to_le_bytes());
            self.streams.push(stream);
        }
        let part = origin.part();
        out.push(if event.is_raw() { RAW } else { 0 } | if part > 0 { PART } else { 0 });
        if part > 0 {
            put_number(part.into(), out);
        }
        put_number(origin.offset(), out);
        put_number(origin.received_ms(), out);
        self.text.clear();
        event.write_json(&mut self.text);
        put_bytes(&self.text, out);
        self.payload.events += 1;
    }
}

fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Reads what [`encode`] has written; none where nothing could have written it. The events share `payload`.
pub fn decode(payload: Bytes, events: u32) -> Option<Vec<Event>> {
    let mut rest = Rest { payload, at: 0 };
    let mut streams: Vec<Arc<Stream>> = Vec::new();
    let mut decoded = Vec::with_capacity(events.min(PAYLOAD_EVENTS_MAX) as usize);
    for _ in 0..events {
        let number = usize::try_from(rest.number()?).ok()?;
        if number == streams.len() {
            streams.push(Arc::new(rest.stream()?));
        }
        let stream = Arc::clone(streams.get(number)?);
        let flags = *rest.take(1)?.first()?;
        let part = if flags & PART == 0 { 0 } else { u32::try_from(rest.number()?).ok()? };
        let origin = Origin::new(stream, rest.number()?, rest.number()?).with_part(part);
        let mut event = event(rest.bytes()?, origin);
        if flags & RAW != 0 {
            event.mark_raw();
        }
        decoded.push(event);
    }
    (rest.at == rest.payload.len()).then_some(decoded)
}

/// The event of a text. One that is no record, which a transform might have made of it, is passed on as the message of
/// one: it is what there is.
fn event(text: Bytes, origin: Origin) -> Event {
    if simdutf8::basic::from_utf8(&text).is_ok()
        && let Ok(event) = Event::from_json(text.clone(), origin.clone())
    {
        return event;
    }
    let mut event = Event::new(origin);
    event.set_string(Place::Top, "message", String::from_utf8_lossy(&text).as_bytes());
    event
}

struct Rest {
    payload: Bytes,
    at: usize,
}

impl Rest {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.payload.len())?;
        let taken = self.payload.slice(self.at..end);
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.payload.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn maybe_text(&mut self) -> Option<Option<String>> {
        Some(if self.number()? == 0 { None } else { Some(self.text()?) })
    }

    fn whole(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.as_ref().try_into().ok()?))
    }

    fn refusal(&mut self) -> Option<Refusal> {
        let reason = self.text()?;
        let status = u16::try_from(self.number()?).ok()?;
        Some(Refusal { reason, status: Some(status).filter(|status| *status > 0), answer: self.text()? })
    }

    fn stream(&mut self) -> Option<Stream> {
        Some(Stream {
            source: self.text()?,
            file: self.maybe_text()?,
            container: self.maybe_text()?,
            peer: self.maybe_text()?,
            refusal: if self.number()? == 0 { None } else { Some(self.refusal()?) },
            connection: if self.number()? == 0 { None } else { Some(self.whole()?) },
            fingerprint: self.whole()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(event: &Event) -> Vec<u8> {
        let mut text = Vec::new();
        event.write_json(&mut text);
        text
    }

    fn some_event() -> impl Strategy<Value = Event> {
        let stream = (0usize..40, proptest::option::of(".*"), proptest::option::of("[a-c]"), any::<u64>());
        let json = prop_oneof![
            Just("{}".to_owned()),
            "[a-z\u{e4}\u{1F600}]{0,20}"
                .prop_map(|word| format!("{{\"message\":\"{word}\",\"n\":[1,{{}}]}}")),
            (0usize..100_000)
                .prop_map(|len| format!("{{\"metadata\":{{\"code\":\"{}\"}}}}", "x".repeat(len))),
        ];
        (stream, any::<u64>(), any::<u64>(), any::<bool>(), json).prop_map(
            |(stream, offset, ms, raw, json)| {
                let (number, file, peer, fingerprint) = stream;
                let container = (number % 3 == 0).then(|| format!("pod-{number}"));
                let status = u16::try_from(number).ok().filter(|status| *status > 0);
                let refusal = (number % 5 == 0).then(|| Refusal {
                    reason: "refused".into(),
                    status,
                    answer: format!("no {number}"),
                });
                let source = format!("s{number}");
                let connection = (number % 7 == 0).then_some(fingerprint ^ 1);
                let stream = Stream { source, file, container, peer, connection, refusal, fingerprint };
                let part = u32::try_from(ms % 3).unwrap();
                let origin = Origin::new(Arc::new(stream), offset, ms).with_part(part);
                let mut event = Event::from_json(json.into(), origin).unwrap();
                if raw {
                    event.mark_raw();
                }
                event
            },
        )
    }

    proptest! {
        #[test]
        fn events_come_back_as_they_were(events in proptest::collection::vec(some_event(), 0..60)) {
            let payloads = encode(&events);
            let total: u32 = payloads.iter().map(|payload| payload.events).sum();
            prop_assert_eq!(total as usize, events.len());
            let decoded: Vec<Event> =
                payloads.into_iter().flat_map(|one| decode(one.bytes.into(), one.events).unwrap()).collect();
            for (before, after) in events.iter().zip(&decoded) {
                prop_assert_eq!(text(before), text(after));
                prop_assert_eq!(before.is_raw(), after.is_raw());
                let (before, after) = (before.origin(), after.origin());
                prop_assert_eq!(before.stream(), after.stream());
                prop_assert_eq!(
                    (before.offset(), before.received_ms(), before.id()),
                    (after.offset(), after.received_ms(), after.id())
                );
            }
        }

        #[test]
        fn what_nobody_has_written_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), events in 0u32..5) {
            drop(decode(bytes.into(), events));
        }
    }

    #[test]
    fn a_text_that_is_no_record_is_passed_on_in_one() {
        let event = event(Bytes::from_static(b"{\"a\":"), Origin::nowhere());
        assert_eq!(text(&event), b"{\"message\":\"{\\\"a\\\":\"}");
    }

    #[test]
    fn payloads_are_closed_in_time() {
        let one = Event::from_json(format!("{{\"m\":\"{}\"}}", "x".repeat(1_000)).into(), Origin::nowhere())
            .unwrap();
        let payloads = encode(&vec![one; 1_000]);
        assert!(payloads.iter().all(|payload| payload.bytes.len() < PAYLOAD_BYTES + 1_100));
        assert!(payloads.len() < 20);
        let small = encode(&vec![Event::new(Origin::nowhere()); 3_000]);
        assert_eq!(small.iter().map(|one| one.events).collect::<Vec<_>>(), [1_024, 1_024, 952]);
    }
}
