//! Bytes to events: what all codecs have in common.

use super::fault::{Fault, FaultKind};
use super::livebook::Livebook;
use super::sieve::Run;
use super::zone::Zone;
use crate::event::{Demand, Event, Origin, Place, Stream};
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;

/// The default of `max_record_bytes`.
const RECORD_BYTES: usize = 4 * 1024 * 1024;

/// A limit on the length of a record: from 1 KiB to 512 MiB, in bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u64")]
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
            Ok(bytes @ 1024..=0x2000_0000) => Ok(RecordBytes(bytes)),
            _ => {
                Err(format!("{bytes} is out of range: a record may be limited to 1024 up to 536870912 bytes"))
            }
        }
    }
}

/// How lines become events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// Livebook's JSON and text records, detected line by line; any other line becomes `{message}`.
    #[default]
    Livebook,
    /// Each line is a JSON object.
    Json,
    /// Each line becomes `{message}`.
    Text,
}

/// The options `decoding.*`, the same for every source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decoding {
    /// How lines become events; `livebook` by default.
    pub codec: Codec,
    /// The zone of text records, whose times have none: `local` (default) or a name such as `Europe/Berlin`.
    pub timezone: Zone,
}

/// What a decoder has to know.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How lines become events.
    pub codec: Codec,
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
        let Decoding { codec, timezone: zone } = decoding;
        let max_record_bytes = RECORD_BYTES;
        Settings { codec, zone, max_record_bytes, demand: Demand::Everything, check_all: false }
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
    /// Offset of the first in the stream.
    pub offset: u64,
    /// Whether all of them are UTF-8.
    pub valid: bool,
}

impl Window {
    /// Looks once whether all of it is UTF-8, so that nobody has to look line by line.
    pub fn new(bytes: Bytes, offset: u64) -> Window {
        let valid = simdutf8::basic::from_utf8(&bytes).is_ok();
        Window { bytes, offset, valid }
    }

    /// The same without its first `len` bytes.
    pub fn behind(&self, len: usize) -> Window {
        let len = len.min(self.bytes.len());
        Window { bytes: self.bytes.slice(len..), offset: self.offset + len as u64, valid: self.valid }
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
    livebook: Option<Livebook>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(settings: Settings) -> Decoder {
        Decoder { settings, livebook: (settings.codec == Codec::Livebook).then(|| Livebook::new(settings)) }
    }

    /// Decodes the next piece of the stream.
    pub fn decode(&mut self, chunk: Chunk, out: &mut Decoded) {
        match chunk {
            Chunk::TooLong { head, offset, len } => {
                self.complete(out);
                let detail = format!("{len} bytes, over the limit of {}", self.settings.max_record_bytes);
                let origin = out.origin(offset);
                out.faults.push(Fault::new(FaultKind::TooLong, detail, &head, true, origin));
            }
            Chunk::Sifted { bytes, runs, skipped, .. } => {
                out.skipped += skipped;
                for Run { start, len, offset } in runs {
                    let window = Window::new(bytes.slice(start..start + len), offset);
                    if let Some(livebook) = &mut self.livebook {
                        livebook.decode_sifted(&window, out);
                    }
                }
            }
            Chunk::Lines { mut bytes, mut offset } => {
                while !bytes.is_empty() {
                    let piece = bytes.split_to(window_len(&bytes));
                    let len = piece.len() as u64;
                    let window = Window::new(piece, offset);
                    match &mut self.livebook {
                        Some(livebook) => livebook.decode(window, out),
                        None => self.plain_lines(&window, out),
                    }
                    offset += len;
                }
            }
        }
    }

    /// When [`Decoder::silence`] is due although the stream goes on, in milliseconds since 1970.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.livebook.as_ref().and_then(Livebook::deadline_ms)
    }

    /// Takes over what `before` knew of legacy records, but for what it holds: this stream goes on where that one ended.
    pub fn inherit(&mut self, before: &Decoder) {
        if let (Some(own), Some(before)) = (&mut self.livebook, &before.livebook) {
            own.inherit(before);
        }
    }

    /// Offset of the first byte that is still held here, where a record is not complete: whoever goes on later begins
    /// with it.
    pub fn held_from(&self) -> Option<u64> {
        self.livebook.as_ref().and_then(Livebook::held_from)
    }

    /// Nothing has come for a while: a record that may be complete is.
    pub fn silence(&mut self, out: &mut Decoded) {
        if let Some(livebook) = &mut self.livebook {
            livebook.silence(out);
        }
    }

    /// The stream has ended: what is open is complete.
    pub fn complete(&mut self, out: &mut Decoded) {
        if let Some(livebook) = &mut self.livebook {
            livebook.complete(out);
        }
    }

    /// The codecs `json` and `text`: a line is a record.
    fn plain_lines(&self, window: &Window, out: &mut Decoded) {
        let mut at = 0;
        while at < window.bytes.len() {
            let line = window.line(at);
            let offset = window.offset + at as u64;
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if line.len() > self.settings.max_record_bytes {
                let detail =
                    format!("{} bytes, over the limit of {}", line.len(), self.settings.max_record_bytes);
                out.fault(FaultKind::TooLong, detail, line, offset);
            } else if !window.is_text(line) {
                out.fault(FaultKind::InvalidUtf8, "the bytes are not UTF-8".to_owned(), line, offset);
            } else if self.settings.codec == Codec::Text {
                let mut event = Event::new(out.origin(offset));
                event.set_string(Place::Top, "message", text);
                out.events.push(event);
            } else if !text.trim_ascii().is_empty() {
                match Event::from_json(window.bytes.slice(at..at + text.len()), out.origin(offset)) {
                    Ok(event) => out.events.push(event),
                    Err(flaw) => out.fault(FaultKind::BrokenJson, flaw.to_string(), line, offset),
                }
            }
            at += line.len();
        }
    }
}
