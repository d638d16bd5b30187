//! One container's stream in a log of several: joins lines that came in parts, and has them decoded.

use super::own::without_front;
use super::shape::{Peeled, Rest};
use crate::codec::decode::{Decoded, Settings, Window};
use crate::codec::fault::{Fault, FaultKind};
use crate::codec::inner::Inner;
use crate::codec::places::Places;
use crate::event::{Demand, Event, Origin, Stream};
use bytes::Bytes;
use std::mem;
use std::sync::Arc;

/// After this long without a continuation, in milliseconds, the parts of a line are given up.
const PART_WAIT_MS: u64 = 5_000;
/// While others keep the stream busy, nobody says that time has passed. What is overdue is then given up once so many
/// bytes of theirs have come behind it: more than can have waited to be read.
const OTHERS_BYTES: u64 = 8 * 1024 * 1024;
/// How much of a joined line over the limit is kept for its fault.
const TOO_LONG_KEPT_BYTES: usize = 1024;
/// Lines are collected from pieces of the log that are hardly longer than this.
const ROOM_BYTES_MAX: usize = 128 * 1024;

/// See the [module](self).
#[derive(Debug)]
pub struct Lane {
    /// What tells it from others.
    pub key: Box<[u8]>,
    /// When it was last used; counted up by whoever keeps the lanes.
    pub used: u64,
    max_record_bytes: usize,
    container: Option<String>,
    /// The stream that the log is, and the same with the container's name.
    streams: Option<(Arc<Stream>, Arc<Stream>)>,
    /// Lines that wait to be decoded.
    lines: Vec<u8>,
    places: Places,
    /// Room for as many lines as came last time.
    room: usize,
    parts: Option<Parts>,
    inner: Inner,
    /// Offset of the last wrapper.
    last: u64,
}

/// The parts of a line whose rest is still to come.
#[derive(Debug)]
struct Parts {
    bytes: Vec<u8>,
    places: Places,
    /// Length of the line so far; more than there are bytes where it is over the limit.
    len: usize,
    id: Option<Vec<u8>>,
    deadline_ms: u64,
    /// Whether a character was lost between two of them: Docker splits behind 16 KiB, in the middle of one if need be,
    /// and then writes U+FFFD for both halves.
    is_mangled: bool,
}

/// U+FFFD.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

impl Lane {
    /// A lane whose lines stand inside `depth` wrappers.
    pub fn new(settings: &Settings, depth: usize, key: &[u8], container: Option<String>) -> Lane {
        Lane {
            key: key.into(),
            used: 0,
            max_record_bytes: settings.max_record_bytes,
            container,
            streams: None,
            lines: Vec::new(),
            places: Places::from(0),
            room: 0,
            parts: None,
            inner: Inner::new(settings, depth),
            last: 0,
        }
    }

    /// See [`Decoder::want`](crate::codec::Decoder::want).
    pub fn want(&mut self, demand: Demand, check_all: bool) {
        self.inner.want(demand, check_all);
    }

    /// The same lane of the file that follows.
    pub fn heir(&self, settings: &Settings, depth: usize) -> Lane {
        let mut heir = Lane::new(settings, depth, &self.key, self.container.clone());
        heir.inner.inherit(&self.inner);
        heir.used = self.used;
        heir
    }

    /// Takes a line, or a part of one, that stood at `offset`. `line` is all of it, wrapper included.
    pub fn take(&mut self, peeled: &Peeled<'_>, line: &[u8], offset: u64, out: &mut Decoded) {
        self.last = offset;
        let is_other = |parts: &mut Parts| parts.id.is_some() && parts.id.as_deref() != peeled.id.as_deref();
        if let Some(parts) = self.parts.take_if(is_other) {
            self.give_up(parts, out);
        }
        let Some(payload) = peeled.payload.as_deref() else {
            let why = "the message was left out where the log was written: `journalctl` needs `--all`";
            return self.fault(FaultKind::Incomplete, why.to_owned(), line, false, offset, out);
        };
        let ends = payload.ends_with(b"\n");
        let goes_on = peeled.rest == Rest::ToCome || (peeled.rest == Rest::BehindNewline && !ends);
        let reads_json = self.inner.reads_json();
        let is_next = |parts: &mut Parts| reads_json && !goes_on && parts.lacks_its_end(payload);
        if let Some(parts) = self.parts.take_if(is_next) {
            self.give_up(parts, out);
        }
        if self.parts.is_none() && !goes_on {
            if self.lines.is_empty() {
                self.lines.reserve(self.room);
            }
            self.places.push(self.lines.len(), offset);
            self.lines.extend_from_slice(payload);
            return self.end_line(ends);
        }
        let deadline_ms = out.now_ms + PART_WAIT_MS;
        let mut parts = self.parts.take().unwrap_or_else(|| Parts {
            bytes: Vec::new(),
            places: Places::from(offset),
            len: 0,
            id: peeled.id.as_ref().map(|id| id.to_vec()),
            deadline_ms,
            is_mangled: false,
        });
        parts.deadline_ms = deadline_ms;
        parts.add(payload, offset, self.max_record_bytes);
        if goes_on {
            self.parts = Some(parts);
        } else if parts.len + usize::from(!ends) > self.max_record_bytes {
            self.too_long(&parts, out);
        } else if parts.is_mangled {
            let why = "a character was lost where the line was split into parts".to_owned();
            let offset = parts.places.offset_at(0);
            self.fault(FaultKind::InvalidUtf8, why, &parts.bytes, false, offset, out);
        } else {
            self.places.append(self.lines.len(), &parts.places, 0..parts.bytes.len());
            self.lines.extend_from_slice(&parts.bytes);
            self.end_line(ends);
        }
    }

    fn end_line(&mut self, has_newline: bool) {
        if !has_newline {
            self.lines.push(b'\n');
        }
    }

    fn too_long(&mut self, parts: &Parts, out: &mut Decoded) {
        let detail = format!("{} bytes, over the limit of {}", parts.len, self.max_record_bytes);
        self.fault(FaultKind::TooLong, detail, &parts.bytes, true, parts.places.offset_at(0), out);
    }

    /// The rest will not come.
    fn give_up(&mut self, parts: Parts, out: &mut Decoded) {
        if parts.len > parts.bytes.len() {
            return self.too_long(&parts, out);
        }
        let detail = format!("{} bytes of a line whose rest did not come", parts.len);
        self.fault(FaultKind::Incomplete, detail, &parts.bytes, false, parts.places.offset_at(0), out);
    }

    /// A line is missing: what came before it is decoded, and no record reaches over it.
    fn fault(
        &mut self,
        kind: FaultKind,
        detail: String,
        raw: &[u8],
        lost: bool,
        offset: u64,
        out: &mut Decoded,
    ) {
        self.flush(out);
        self.within(out, |inner, out| {
            inner.interrupt(out);
            let origin = out.origin(offset);
            out.faults.push(Fault::new(kind, detail, raw, lost, origin));
        });
    }

    /// Does something whose records come from this lane.
    fn within(&mut self, out: &mut Decoded, act: impl FnOnce(&mut Inner, &mut Decoded)) {
        let Some(container) = &self.container else { return act(&mut self.inner, out) };
        let log = out.stream();
        let known = self.streams.as_ref().filter(|(known, _)| Arc::ptr_eq(known, log));
        let own = known.map_or_else(
            || Arc::new(Stream { container: Some(container.clone()), ..Stream::clone(log) }),
            |(_, own)| Arc::clone(own),
        );
        let log = out.change_stream(Arc::clone(&own));
        act(&mut self.inner, out);
        out.change_stream(Arc::clone(&log));
        self.streams = Some((log, own));
    }

    /// Decodes the lines that have come.
    pub fn flush(&mut self, out: &mut Decoded) {
        if self.lines.is_empty() {
            return;
        }
        self.room = self.lines.len().min(ROOM_BYTES_MAX);
        let bytes = Bytes::from(mem::take(&mut self.lines));
        let window = Window::new(bytes, mem::replace(&mut self.places, Places::from(0)));
        self.within(out, |inner, out| inner.decode(window, out));
    }

    /// When something here is overdue. While a line comes in parts, the record before it is not silent.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.parts.as_ref().map_or_else(|| self.inner.deadline_ms(), |parts| Some(parts.deadline_ms))
    }

    /// Offset of the first byte that is held.
    pub fn held_from(&self) -> Option<u64> {
        let lines = (!self.lines.is_empty()).then(|| self.places.offset_at(0));
        let parts = self.parts.as_ref().map(|parts| parts.places.offset_at(0));
        self.inner.held_from().into_iter().chain(lines).chain(parts).min()
    }

    /// How many bytes are held.
    pub fn held_bytes(&self) -> usize {
        self.lines.len() + self.parts.as_ref().map_or(0, |parts| parts.bytes.len()) + self.inner.held_bytes()
    }

    /// Nothing has come for a while: what is overdue by now leaves.
    pub fn silence(&mut self, out: &mut Decoded) {
        if let Some(parts) = self.parts.take_if(|parts| parts.deadline_ms <= out.now_ms) {
            self.give_up(parts, out);
        }
        if self.parts.is_none() {
            self.within(out, Inner::silence);
        }
    }

    /// The same while lines of others come, the last of them at `offset`.
    pub fn silence_among_others(&mut self, offset: u64, out: &mut Decoded) {
        let is_far = offset.saturating_sub(self.last) > OTHERS_BYTES;
        if is_far && self.deadline_ms().is_some_and(|due| due <= out.now_ms) {
            self.silence(out);
        }
    }

    /// Nothing more comes.
    pub fn complete(&mut self, out: &mut Decoded) {
        if let Some(parts) = self.parts.take() {
            self.give_up(parts, out);
        }
        self.flush(out);
        self.within(out, Inner::complete);
    }
}

impl Parts {
    /// Whether the last part of this line is missing, since what should be its end is the next record, all of it. Only of
    /// JSON can that be said: no record of it ends in a whole object that begins with a part.
    fn lacks_its_end(&self, payload: &[u8]) -> bool {
        let is_object = |bytes: &[u8]| {
            let json = Bytes::copy_from_slice(without_front(bytes).trim_ascii_end());
            Event::from_json(json, Origin::nowhere()).is_ok()
        };
        let begins = |bytes: &[u8]| without_front(bytes).first() == Some(&b'{');
        begins(&self.bytes)
            && begins(payload)
            && is_object(payload)
            && !is_object(&[self.bytes.as_slice(), payload].concat())
    }

    fn add(&mut self, payload: &[u8], offset: u64, max: usize) {
        self.len += payload.len();
        if self.len > max {
            let room = TOO_LONG_KEPT_BYTES.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(payload.get(..room).unwrap_or(payload));
            self.bytes.truncate(TOO_LONG_KEPT_BYTES);
            self.bytes.shrink_to_fit();
            return;
        }
        self.is_mangled |= self.bytes.ends_with(REPLACEMENT) && payload.starts_with(REPLACEMENT);
        self.places.push(self.bytes.len(), offset);
        self.bytes.extend_from_slice(payload);
    }
}
