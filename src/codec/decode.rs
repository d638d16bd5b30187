//! Bytes to events: what all codecs have in common.

use super::boot;
use super::fault::{Fault, FaultKind};
use super::inner::Inner;
use super::places::Places;
use super::sieve::Run;
use super::unwrap::Unwrap;
use super::unwrap::lanes::Lanes;
use super::zone::Zone;
use crate::event::{Demand, Event, Origin, Stream};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// The default of `max_record_bytes`.
const RECORD_BYTES: usize = 4 * 1024 * 1024;
const RECORD_BYTES_MIN: usize = 1024;
const RECORD_BYTES_MAX: usize = 0x2000_0000;

/// A limit on the length of a record: from 1 KiB to 512 MiB, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(extend("minimum" = RECORD_BYTES_MIN, "maximum" = RECORD_BYTES_MAX))]
pub struct RecordBytes(pub usize);

impl Default for RecordBytes {
    fn default() -> RecordBytes {
        RecordBytes(RECORD_BYTES)
    }
}

impl TryFrom<u64> for RecordBytes {
    type Error = String;

    fn try_from(bytes: u64) -> Result<RecordBytes, String> {
        match usize::try_from(bytes) {
            Ok(bytes @ RECORD_BYTES_MIN..=RECORD_BYTES_MAX) => Ok(RecordBytes(bytes)),
            _ => {
                Err(format!("{bytes} is out of range: a record may be limited to 1024 up to 536870912 bytes"))
            }
        }
    }
}

/// How lines become events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = with_bytes)]
pub enum Codec {
    /// Livebook's JSON and text records, detected line by line; any other line becomes `{message}`.
    #[default]
    Livebook,
    /// Each line is a JSON object.
    Json,
    /// Each line becomes `{message}`; Vector calls it `bytes`.
    #[serde(alias = "bytes")]
    Text,
}

/// Adds Vector's name for `text` to the schema, which has no aliases.
fn with_bytes(codec: &mut schemars::Schema) {
    let bytes = json!({"type": "string", "const": "bytes", "description": "Vector's name for `text`."});
    if let Some(names) = codec.get_mut("oneOf").and_then(|names| names.as_array_mut()) {
        names.push(bytes);
    }
}

/// The options `decoding.*`, the same for every source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decoding {
    /// How lines become events; `livebook` by default.
    pub codec: Codec,
    /// What stands around the lines; found out line by line by default.
    pub unwrap: Unwrap,
    /// The zone of text records, whose times have none: `local` (default) or a name such as `Europe/Berlin`.
    pub timezone: Zone,
}

/// What a decoder has to know.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How lines become events.
    pub codec: Codec,
    /// What stands around the lines.
    pub unwrap: Unwrap,
    /// The zone of times that have none.
    pub zone: Zone,
    /// Length of the longest record, in bytes, its newline included.
    pub max_record_bytes: usize,
    /// What the consumers can use.
    pub demand: Demand,
    /// Whether to check records too that nobody wants.
    pub check_all: bool,
}

impl Settings {
    /// For records that all are wanted.
    pub fn new(decoding: Decoding) -> Settings {
        let Decoding { codec, unwrap, timezone: zone } = decoding;
        let max_record_bytes = RECORD_BYTES;
        Settings { codec, unwrap, zone, max_record_bytes, demand: Demand::Everything, check_all: false }
    }

    /// The same for consumers that can use something else.
    pub fn want(&mut self, demand: Demand, check_all: bool) {
        (self.demand, self.check_all) = (demand, check_all);
    }

    /// Whether lines may be passed over that nobody wants.
    pub fn skips(&self) -> bool {
        self.demand != Demand::Everything && !self.check_all
    }
}

/// A piece of a stream.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// Whole lines; only the last one of a stream may lack its newline.
    Lines {
        /// The bytes.
        bytes: Bytes,
        /// Offset of the first in the stream.
        offset: u64,
    },
    /// Lines that the [sieve](super::sieve) has left over of a longer piece.
    Sifted {
        /// The lines.
        bytes: Bytes,
        /// Where they stood in the stream.
        runs: Vec<Run>,
        /// How many lines were left out.
        skipped: u64,
        /// How many bytes the piece had.
        read_bytes: u64,
    },
    /// A line that is over the limit, of which only the beginning is left.
    TooLong {
        /// The beginning.
        head: Bytes,
        /// Offset of the line in the stream.
        offset: u64,
        /// How long it was.
        len: u64,
    },
}

/// Lines to be decoded, with what is known of them.
#[derive(Clone, Debug)]
pub struct Window {
    /// The bytes.
    pub bytes: Bytes,
    /// Where they stood in the stream.
    pub places: Places,
    /// Whether all of them are UTF-8.
    pub valid: bool,
}

impl Window {
    /// Looks once whether all of it is UTF-8, so that nobody has to look line by line.
    pub fn new(bytes: Bytes, places: Places) -> Window {
        let valid = simdutf8::basic::from_utf8(&bytes).is_ok();
        Window { bytes, places, valid }
    }

    /// The same without its first `len` bytes.
    pub fn behind(&self, len: usize) -> Window {
        let len = len.min(self.bytes.len());
        Window { bytes: self.bytes.slice(len..), places: self.places.behind(len), valid: self.valid }
    }

    /// Offset in the stream of the byte at `at`.
    #[inline]
    pub fn offset_at(&self, at: usize) -> u64 {
        self.places.offset_at(at)
    }

    /// The line that begins at `at`, with its newline.
    pub fn line(&self, at: usize) -> &[u8] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1)).unwrap_or_default()
    }

    /// Where the line begins that `at` stands in.
    pub fn line_start(&self, at: usize) -> usize {
        let before = self.bytes.get(..at).unwrap_or_default();
        if at >= self.bytes.len() && self.bytes.ends_with(b"\n") {
            return self.bytes.len();
        }
        memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1)
    }

    /// Whether a line of this window is UTF-8.
    pub fn is_text(&self, line: &[u8]) -> bool {
        self.valid || simdutf8::basic::from_utf8(line).is_ok()
    }
}

/// What came out of a chunk.
#[derive(Debug)]
pub struct Decoded {
    /// The events, in order.
    pub events: Vec<Event>,
    /// What could not be decoded, in order.
    pub faults: Vec<Fault>,
    /// How many records were passed over because nobody wants them.
    pub skipped: u64,
    /// When the bytes were received, in milliseconds since 1970.
    pub now_ms: u64,
    stream: Arc<Stream>,
}

impl Decoded {
    /// Nothing yet.
    pub fn new(stream: Arc<Stream>, now_ms: u64) -> Decoded {
        Decoded::with_room(0, stream, now_ms)
    }

    /// Nothing yet, and room for so many events.
    pub fn with_room(events: usize, stream: Arc<Stream>, now_ms: u64) -> Decoded {
        Decoded { events: Vec::with_capacity(events), faults: Vec::new(), skipped: 0, now_ms, stream }
    }

    /// How many records that is in all, skipped ones included.
    pub fn records(&self) -> u64 {
        self.events.len() as u64 + self.faults.len() as u64 + self.skipped
    }

    /// The origin of a record at `offset`.
    pub fn origin(&self, offset: u64) -> Origin {
        Origin::new(Arc::clone(&self.stream), offset, self.now_ms)
    }

    /// From now on, records come from this stream; gives the one before.
    pub fn change_stream(&mut self, stream: Arc<Stream>) -> Arc<Stream> {
        std::mem::replace(&mut self.stream, stream)
    }

    /// The stream that records come from.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// What has come since then, in the order of the stream: where several are decoded side by side.
    pub fn sort_from(&mut self, events: usize, faults: usize) {
        self.events.get_mut(events..).unwrap_or_default().sort_by_key(|event| event.origin().offset());
        self.faults.get_mut(faults..).unwrap_or_default().sort_by_key(|fault| fault.event.origin().offset());
    }

    /// Adds a fault about the record `raw` at `offset`.
    pub fn fault(&mut self, kind: FaultKind, detail: String, raw: &[u8], offset: u64) {
        let origin = self.origin(offset);
        self.faults.push(Fault::new(kind, detail, raw, false, origin));
    }
}

/// The lines of `text` with their newlines; what stands behind the last newline is a line too.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', text).map(|newline| newline + 1);
    let tail = (!text.ends_with(b"\n")).then_some(text.len());
    ends.chain(tail).scan(0, |at, end| text.get(std::mem::replace(at, end)..end))
}

/// A chunk is gone over several times: in pieces of about this many bytes, which stay in a processor's cache meanwhile.
const WINDOW_BYTES: usize = 128 * 1024;

/// Length of the next window: whole lines, and not much more than 128 KiB.
pub fn window_len(bytes: &[u8]) -> usize {
    let (Some(front), Some(rest)) = (bytes.get(..WINDOW_BYTES), bytes.get(WINDOW_BYTES..)) else {
        return bytes.len();
    };
    let before = memchr::memrchr(b'\n', front).map(|newline| newline + 1);
    let behind = || memchr::memchr(b'\n', rest).map_or(bytes.len(), |newline| WINDOW_BYTES + newline + 1);
    before.unwrap_or_else(behind)
}

/// Decodes one stream.
#[derive(Debug)]
pub struct Decoder {
    settings: Settings,
    inner: Inner,
    /// Where a wrapper is named for a codec that has no eye for wrappers of its own.
    named: Option<Lanes>,
    /// Whether a start-up line is among the lines that came last, or among those that are held.
    boots: bool,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(settings: Settings) -> Decoder {
        let named = settings.unwrap.named().filter(|_| settings.codec != Codec::Livebook);
        let named = named.map(|_| Lanes::new(&settings, 1));
        Decoder { settings, inner: Inner::new(&settings, 0), named, boots: false }
    }

    /// Goes on for consumers that can use something else.
    pub fn want(&mut self, demand: Demand, check_all: bool) {
        if (self.settings.demand, self.settings.check_all) != (demand, check_all) {
            self.settings.want(demand, check_all);
            self.inner.want(demand, check_all);
            if let Some(named) = &mut self.named {
                named.want(demand, check_all);
            }
        }
    }

    /// Takes over what a decoder knew of the same log before: for a file in the place of one that was rotated away.
    /// That is the legacy records whose twins may still come, and whether the log is wrapped.
    pub fn inherit(&mut self, before: &Decoder) {
        self.inner.inherit(&before.inner);
        if let (Some(named), Some(before)) = (&mut self.named, &before.named) {
            named.inherit(before);
        }
    }

    /// Decodes the next piece of the stream.
    pub fn decode(&mut self, chunk: Chunk, out: &mut Decoded) {
        let events = out.events.len();
        if let Chunk::Lines { bytes, .. } = &chunk {
            self.boots = boot::may_be_in(bytes) || self.boots && self.held_from().is_some();
        }
        match chunk {
            Chunk::TooLong { head, offset, len } => {
                self.inner.interrupt(out);
                let detail = format!("{len} bytes, over the limit of {}", self.settings.max_record_bytes);
                let origin = out.origin(offset);
                out.faults.push(Fault::new(FaultKind::TooLong, detail, &head, true, origin));
            }
            Chunk::Sifted { bytes, runs, skipped, .. } => {
                out.skipped += skipped;
                for Run { start, len, offset } in runs {
                    let window = Window::new(bytes.slice(start..start + len), Places::from(offset));
                    self.inner.decode_sifted(&window, out);
                }
            }
            Chunk::Lines { mut bytes, mut offset } => {
                while !bytes.is_empty() {
                    let piece = bytes.split_to(window_len(&bytes));
                    let len = piece.len() as u64;
                    let window = Window::new(piece, Places::from(offset));
                    match &mut self.named {
                        Some(lanes) => lanes.decode(&window, &mut self.inner, out),
                        None => self.inner.decode(window, out),
                    }
                    offset += len;
                }
            }
        }
        self.hide_tokens(events, out);
    }

    /// Takes the token out of Livebook's start-up line. Where only evaluations are wanted, that line goes nowhere.
    fn hide_tokens(&self, from: usize, out: &mut Decoded) {
        // In parts, it is no line before it is put together.
        let may_be_there = self.boots || self.named.is_some() || self.inner.is_wrapped();
        if may_be_there && self.settings.demand == Demand::Everything {
            boot::hide_in(out.events.get_mut(from..).unwrap_or_default());
        }
    }

    /// When [`Decoder::silence`] is due although the stream goes on, in milliseconds since 1970.
    pub fn deadline_ms(&self) -> Option<u64> {
        let named = self.named.as_ref().and_then(Lanes::deadline_ms);
        self.inner.deadline_ms().into_iter().chain(named).min()
    }

    /// Offset of the first byte that is still held here, where a record is not complete: whoever goes on later begins
    /// with it.
    pub fn held_from(&self) -> Option<u64> {
        let named = self.named.as_ref().and_then(Lanes::held_from);
        self.inner.held_from().into_iter().chain(named).min()
    }

    /// How many bytes are held here: open records, parts of lines, and sources whose twins may still come.
    pub fn held_bytes(&self) -> usize {
        self.inner.held_bytes() + self.named.as_ref().map_or(0, Lanes::held_bytes)
    }

    /// Nothing has come for a while: a record that may be complete is.
    pub fn silence(&mut self, out: &mut Decoded) {
        let events = out.events.len();
        self.inner.silence(out);
        if let Some(lanes) = &mut self.named {
            lanes.silence(out);
        }
        self.hide_tokens(events, out);
    }

    /// The stream has ended: what is open is complete.
    pub fn complete(&mut self, out: &mut Decoded) {
        let (events, faults) = (out.events.len(), out.faults.len());
        self.inner.complete(out);
        if let Some(lanes) = &mut self.named {
            lanes.complete(out);
        }
        out.sort_from(events, faults);
        self.hide_tokens(events, out);
    }
}
