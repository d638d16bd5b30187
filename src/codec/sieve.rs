//! Leaves out what nobody wants before the decoder sees it.
//!
//! Whoever reads a stream has just copied its bytes: they are in that processor's cache. Searching them there costs
//! less than searching them on another thread, and what goes on is little: the lines that could be an evaluation, of
//! many reads in one piece, so that the threads behind wake up for a full hand of them.
//!
//! Only JSON logs are sifted. A text record may be several lines, none of which says so, and raw source may look like
//! anything; the first line that can begin a text record ends the sifting for good. So does the first line that wraps
//! another, since a text record may stand inside. Where most of a chunk is wanted, it is handed on whole for a while.

use super::decode::{Chunk, Codec, Settings, Window, lines, window_len};
use super::places::Places;
use super::search::Search;
use super::unwrap::{Unwrap, is_wrapped};
use super::zone::begins_with_stamp;
use bytes::Bytes;

/// Bytes of lines that are handed on at once.
const KEPT_BYTES: usize = 256 * 1024;
/// How many chunks are handed on whole after one of which most is wanted.
const DENSE_CHUNKS: u32 = 16;

/// Lines that follow each other in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where they begin in the piece.
    pub start: usize,
    /// Their length in bytes.
    pub len: usize,
    /// Offset of the first in the stream.
    pub offset: u64,
}

/// What a sieve knows of a stream between two chunks.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    is_open: bool,
    dense: u32,
}

/// Sifts one stream, or several in turns.
#[derive(Debug)]
pub struct Sieve {
    max_record_bytes: usize,
    /// Whether anything may be left out at all.
    sifts: bool,
    is_open: bool,
    /// Whether lines may be wrapped.
    watches: bool,
    /// Chunks to come that are handed on whole.
    dense: u32,
    search: Search,
    kept: Vec<u8>,
    runs: Vec<Run>,
    /// The first run of this chunk: those before are not added to, since the chunk may yet be given back.
    first_run: usize,
    skipped: u64,
    bytes: u64,
}

impl Sieve {
    /// A sieve that leaves out what a decoder with these settings would skip.
    pub fn new(settings: &Settings) -> Sieve {
        let sifts = Sieve::sifts(settings);
        Sieve {
            max_record_bytes: settings.max_record_bytes,
            sifts,
            is_open: sifts,
            watches: settings.unwrap == Unwrap::Auto,
            dense: 0,
            search: Search::default(),
            kept: Vec::new(),
            runs: Vec::new(),
            first_run: 0,
            skipped: 0,
            bytes: 0,
        }
    }

    /// Goes on for a decoder with these settings. A stream of which something was not looked at is never sifted.
    pub fn want(&mut self, settings: &Settings) {
        let sifts = Sieve::sifts(settings);
        if sifts != self.sifts {
            (self.sifts, self.is_open) = (sifts, false);
        }
    }

    fn sifts(settings: &Settings) -> bool {
        settings.skips() && settings.codec == Codec::Livebook && settings.unwrap.named().is_none()
    }

    /// For lines that were handed on unseen: a record that reaches from them into the next chunk ends the sifting too.
    #[inline(never)]
    fn look_through(&mut self, bytes: &[u8]) {
        self.is_open = !lines(bytes).any(|line| self.ends_with(line));
    }

    /// Takes a chunk in, or gives it back where it has to go on whole: after [`Sieve::flush`].
    pub fn sift(&mut self, chunk: Chunk) -> Option<Chunk> {
        let Chunk::Lines { bytes, offset } = &chunk else { return Some(chunk) };
        if self.dense > 0 || !self.is_open {
            self.dense = self.dense.saturating_sub(1);
            if self.is_open && self.dense == 0 {
                self.look_through(bytes);
            }
            return Some(chunk);
        }
        let before = (self.kept.len(), self.runs.len(), self.skipped);
        self.first_run = before.1;
        let mut rest = bytes.clone();
        let mut at = *offset;
        while self.is_open && !rest.is_empty() {
            let piece = rest.split_to(window_len(&rest));
            let len = piece.len() as u64;
            self.window(&Window::new(piece, Places::from(at)));
            at += len;
        }
        if !self.is_open || (self.kept.len() - before.0) * 2 > bytes.len() {
            self.kept.truncate(before.0);
            self.runs.truncate(before.1);
            self.skipped = before.2;
            self.dense = DENSE_CHUNKS;
            return Some(chunk);
        }
        self.bytes += bytes.len() as u64;
        None
    }

    /// Goes on with another stream, which was left at `seen`; where there is none, it begins.
    pub fn go_on(&mut self, seen: Option<Seen>) {
        let Seen { is_open, dense } = seen.unwrap_or(Seen { is_open: true, dense: 0 });
        (self.is_open, self.dense) = (self.sifts && is_open, dense);
    }

    /// What has been seen of the stream, for [`Sieve::go_on`].
    pub fn seen(&self) -> Seen {
        Seen { is_open: self.is_open, dense: self.dense }
    }

    /// Whether enough has been kept to go on.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= KEPT_BYTES
    }

    /// What has been kept, if anything has been sifted at all.
    pub fn flush(&mut self) -> Option<Chunk> {
        if self.bytes == 0 {
            return None;
        }
        let room = self.kept.len() + self.kept.len() / 8;
        let bytes = Bytes::from(std::mem::replace(&mut self.kept, Vec::with_capacity(room)));
        let (runs, skipped) = (std::mem::take(&mut self.runs), std::mem::take(&mut self.skipped));
        Some(Chunk::Sifted { bytes, runs, skipped, read_bytes: std::mem::take(&mut self.bytes) })
    }

    fn window(&mut self, window: &Window) {
        let bytes = &window.bytes;
        self.search.restart();
        let mut at = 0;
        while at < bytes.len() {
            let hit = self.search.next(bytes, at);
            let end = window.line_start(hit).max(at);
            at = self.skip(window, at, end);
            if !self.is_open {
                return;
            }
            if at < bytes.len() {
                let line = window.line(at);
                if self.ends_with(line) {
                    self.is_open = false;
                    return;
                }
                self.keep(line, window.offset_at(at));
                at += line.len();
            }
        }
    }

    /// Passes over lines without a hit, up to `to` or to the first that needs a second look; gives where it stopped.
    fn skip(&mut self, window: &Window, from: usize, to: usize) -> usize {
        let mut at = from;
        for line in lines(window.bytes.get(from..to).unwrap_or_default()) {
            if self.ends_with(line) {
                self.is_open = false;
                return to;
            }
            if needs_a_look(line, window.valid, self.max_record_bytes) {
                return at;
            }
            self.skipped += u64::from(line.len() > 1);
            at += line.len();
        }
        to
    }

    /// Whether nothing can be left out from this line on.
    #[inline(always)]
    fn ends_with(&self, line: &[u8]) -> bool {
        (line.first() != Some(&b'{') && begins_with_stamp(line))
            // Any record may stand behind NULs.
            || line.first() == Some(&0)
            || (self.watches && is_wrapped(line))
    }

    fn keep(&mut self, line: &[u8], offset: u64) {
        let start = self.kept.len();
        self.kept.extend_from_slice(line);
        match self.runs.get_mut(self.first_run..).and_then(<[Run]>::last_mut) {
            Some(run) if run.offset + run.len as u64 == offset && run.start + run.len == start => {
                run.len += line.len()
            }
            _ => self.runs.push(Run { start, len: line.len(), offset }),
        }
    }
}

/// Whether a line without a hit is a fault all the same: torn, over the limit, or not UTF-8.
#[inline]
pub fn needs_a_look(line: &[u8], valid: bool, max_record_bytes: usize) -> bool {
    let is_torn = match (line.first(), line) {
        (Some(b'{'), [.., b'}', b'\n'] | [.., b'}', b'\r', b'\n']) => false,
        (Some(b'{'), _) => !line.trim_ascii_end().ends_with(b"}"),
        _ => false,
    };
    is_torn || line.len() > max_record_bytes || (!valid && simdutf8::basic::from_utf8(line).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Decoded, Decoder, Decoding};
    use crate::event::{Demand, Stream};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn settings() -> Settings {
        Settings { demand: Demand::Evaluations, ..Settings::new(Decoding::default()) }
    }

    /// Everything that comes out, with its offset.
    fn decode(chunks: Vec<Chunk>) -> (Vec<(u64, String)>, u64) {
        let mut decoder = Decoder::new(settings());
        let mut out = Decoded::new(Arc::new(Stream::default()), 0);
        for chunk in chunks {
            decoder.decode(chunk, &mut out);
        }
        decoder.complete(&mut out);
        let show = |event: &crate::event::Event| {
            let mut json = Vec::new();
            event.write_json(&mut json);
            (event.origin().offset(), String::from_utf8(json).unwrap())
        };
        let faults = out.faults.iter().map(|fault| show(&fault.event));
        (out.events.iter().map(show).chain(faults).collect(), out.records())
    }

    fn line() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            10 => Just("{\"message\":\"GET /\"}\n"),
            3 => Just("{\"message\":\"Evaluating code\",\"metadata\":{\"code\":\"1\"}}\n"),
            1 => Just("{\"message\":\"torn\n"),
            1 => Just("\n"),
            1 => Just("text\n"),
            1 => Just("\0\0{\"message\":\"Evaluating code\",\"metadata\":{\"code\":\"1\"}}\n"),
            1 => Just("\0\x002025-10-04 17:48:22.253 users=[] session_mode=app code=x\n"),
            1 => Just("{\"message\":\"\\u0045valuating code\"}\n"),
            1 => Just("2025-10-04 17:48:22.253 users=[] session_mode=app code=x\n"),
            1 => Just("y event=code.evaluate [info] Evaluating code\n"),
            1 => Just("{\"log\":\"2025-10-04 17:48:22.253 code=x\\n\",\"stream\":\"stdout\",\"time\":\"t\"}\n"),
            1 => Just("{\"log\":\"y [info] Evaluating code\\n\",\"stream\":\"stdout\",\"time\":\"t\"}\n"),
            1 => Just("2016-10-06T00:17:09Z stdout F 2025-10-04 17:48:22.253 [info] Evaluating code\n"),
            1 => Just("{\"message\":\"{\\\"message\\\":\\\"\\\\u0045valuating code\\\",\\\"severity\\\":\\\"info\\\"}\"}\n"),
        ]
    }

    proptest! {
        #[test]
        fn nothing_else_comes_out_of_a_sifted_stream(chunks in proptest::collection::vec(proptest::collection::vec(line(), 1..20), 1..12)) {
            let mut sieve = Sieve::new(&settings());
            let (mut whole, mut sifted) = (Vec::new(), Vec::new());
            let mut offset = 0;
            for (number, lines) in chunks.iter().enumerate() {
                let bytes = Bytes::from(lines.concat());
                let len = bytes.len() as u64;
                let chunk = Chunk::Lines { bytes, offset };
                whole.push(chunk.clone());
                if let Some(back) = sieve.sift(chunk) {
                    sifted.extend(sieve.flush());
                    sifted.push(back);
                } else if number % 3 == 2 {
                    sifted.extend(sieve.flush());
                }
                offset += len;
            }
            sifted.extend(sieve.flush());
            prop_assert_eq!(decode(sifted), decode(whole));
        }
    }
}
