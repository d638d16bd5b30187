//! A body, cut into pieces that a decoder takes, with the number of the line or element that each begins with.

use super::array::{Array, one_line};
use super::scan::Scan;
use super::shape::{Declared, LOOK_BYTES_MAX, Shape, shape, without_mark};
use crate::codec::framing::{Buffers, Framer, Parked};
use crate::codec::{Chunk, FaultKind};
use bytes::Bytes;

/// How much is read at once where it does not go straight into a framer.
const READ_BYTES: usize = 16 * 1024;

/// A piece of a body.
#[derive(Debug)]
pub struct Piece {
    /// Number of its first line, or element of an array, from 1.
    pub line: u64,
    /// What it is.
    pub what: What,
}

/// What a piece is.
#[derive(Debug)]
pub enum What {
    /// To be decoded.
    Chunk(Chunk),
    /// What can't be: `raw` is no record.
    Fault {
        /// Why.
        kind: FaultKind,
        /// Why exactly.
        detail: String,
        /// The text.
        raw: Vec<u8>,
        /// Offset of its first byte in the body.
        offset: u64,
    },
}

enum State {
    /// What the body is shows in its first bytes.
    Looking(Vec<u8>),
    Lines(Framer),
    Array(Array),
    /// An object over several lines: what has come of it, and how far that has been looked at.
    Object {
        text: Vec<u8>,
        scan: Scan,
        seen: usize,
    },
    /// The rest of an object over the limit: its beginning, its length so far.
    Passing {
        head: Bytes,
        len: u64,
        scan: Scan,
    },
}

/// How much is kept of an object over the limit.
const TOO_LONG_KEPT_BYTES: usize = 1024;

/// Cuts one body.
pub struct Splitter {
    state: State,
    declared: Declared,
    max_record_bytes: usize,
    buffers: Buffers,
    room: Vec<u8>,
    /// Offset of the first byte that is not handed on, where a state does not know it.
    offset: u64,
    /// Number of the next line.
    line: u64,
}

impl Splitter {
    /// For a body that begins.
    pub fn new(declared: Declared, max_record_bytes: usize, buffers: &Buffers) -> Splitter {
        let state = State::Looking(Vec::new());
        let (buffers, room) = (buffers.clone(), Vec::new());
        let mut splitter = Splitter { state, declared, max_record_bytes, buffers, room, offset: 0, line: 1 };
        if declared == Declared::Lines {
            splitter.state = State::Lines(splitter.framer());
        }
        splitter
    }

    /// Where to read the next bytes into; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        match &mut self.state {
            State::Lines(framer) => framer.room(),
            State::Looking(_) | State::Array(_) | State::Object { .. } | State::Passing { .. } => {
                self.room.resize(READ_BYTES, 0);
                &mut self.room
            }
        }
    }

    /// Takes note that so many bytes were read into the room; gives what is whole by now.
    pub fn filled(&mut self, read: usize) -> Vec<Piece> {
        if let State::Lines(framer) = &mut self.state {
            let chunks = framer.filled(read);
            return self.lines(chunks);
        }
        let room = std::mem::take(&mut self.room);
        let pieces = self.push(room.get(..read).unwrap_or_default());
        self.room = room;
        pieces
    }

    /// The end of the body.
    pub fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = self.look_on(true);
        match &mut self.state {
            State::Looking(_) => {}
            State::Lines(framer) => {
                let chunk = framer.finish();
                pieces.extend(self.lines(chunk));
            }
            State::Array(array) => pieces.extend(array.finish()),
            State::Passing { head, len, .. } => {
                let (head, len) = (std::mem::take(head), *len);
                pieces.push(self.too_long(head, len));
            }
            State::Object { text, .. } => {
                let text = std::mem::take(text);
                pieces.extend(self.no_object(text, "the object has no end"));
                match &mut self.state {
                    State::Lines(framer) => {
                        let chunk = framer.finish();
                        pieces.extend(self.lines(chunk));
                    }
                    State::Passing { head, len, .. } => {
                        let (head, len) = (std::mem::take(head), *len);
                        pieces.push(self.too_long(head, len));
                    }
                    State::Looking(_) | State::Array(_) | State::Object { .. } => {}
                }
            }
        }
        pieces
    }

    /// Gives back what may be used again.
    pub fn park(self) {
        if let State::Lines(framer) = self.state {
            drop(framer.park(false));
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        match &mut self.state {
            State::Lines(_) => self.feed(bytes),
            State::Array(array) => array.push(bytes),
            State::Passing { head, len, scan } => {
                let end = scan.value_len(bytes);
                let (passed, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                *len += passed.len() as u64;
                self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
                if end.is_none() {
                    return Vec::new();
                }
                let (head, len) = (std::mem::take(head), *len);
                let mut pieces = vec![self.too_long(head, len)];
                self.state = State::Looking(rest.to_vec());
                pieces.extend(self.look_on(false));
                pieces
            }
            State::Looking(text) | State::Object { text, .. } => {
                text.extend_from_slice(bytes);
                self.look_on(false)
            }
        }
    }

    /// Finds out what the text is, and goes through it as far as it can.
    fn look_on(&mut self, is_all: bool) -> Vec<Piece> {
        let mut pieces = Vec::new();
        loop {
            match &mut self.state {
                State::Lines(_) | State::Array(_) | State::Passing { .. } => return pieces,
                State::Looking(text) => {
                    let Some(shape) = shape(text, is_all, self.declared) else { return pieces };
                    let text = std::mem::take(text);
                    match shape {
                        Shape::Lines => {
                            self.state = State::Lines(self.framer());
                            pieces.extend(self.feed(&text));
                        }
                        // Behind an object, elements could not be told from lines by their number.
                        Shape::Array if self.offset > 0 => {
                            self.state = State::Lines(self.framer());
                            pieces.extend(self.feed(&text));
                        }
                        Shape::Array => {
                            let mut array = Array::new(self.max_record_bytes);
                            pieces.extend(array.push(&text));
                            self.state = State::Array(array);
                        }
                        Shape::Object => {
                            self.state = State::Object { text, scan: Scan::default(), seen: 0 };
                        }
                    }
                }
                State::Object { text, scan, seen } => {
                    let found = scan.value_len(text.get(*seen..).unwrap_or_default()).map(|len| *seen + len);
                    *seen = text.len();
                    match found {
                        Some(len) => {
                            let text = std::mem::take(text);
                            pieces.extend(self.end_object(text, len));
                        }
                        None if text.len() > self.max_record_bytes => {
                            let text = std::mem::take(text);
                            pieces.extend(self.no_object(text, "the object is over the limit of a record"));
                            return pieces;
                        }
                        None => return pieces,
                    }
                }
            }
        }
    }

    /// The first `len` bytes of `text` are an object, by its brackets.
    fn end_object(&mut self, mut text: Vec<u8>, len: usize) -> Vec<Piece> {
        let rest = text.split_off(len);
        let bare = without_mark(&text).trim_ascii_start();
        if serde_json::from_slice::<serde::de::IgnoredAny>(bare).is_err() {
            let mut pieces = self.no_object(text, "the object is broken");
            match &self.state {
                State::Looking(_) => self.state = State::Looking(rest),
                _ => pieces.extend(self.feed(&rest)),
            }
            return pieces;
        }
        let (before, object) = text.split_at(text.len() - bare.len());
        let newlines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count() as u64;
        let (line, offset) = (self.line + newlines(before), self.offset + before.len() as u64);
        let chunk = if object.len() > self.max_record_bytes {
            let head = Bytes::copy_from_slice(object.get(..TOO_LONG_KEPT_BYTES).unwrap_or(object));
            Chunk::TooLong { head, offset, len: object.len() as u64 }
        } else {
            let mut bytes = Vec::with_capacity(object.len() + 1);
            one_line(object, &mut bytes);
            bytes.push(b'\n');
            Chunk::Lines { bytes: Bytes::from(bytes), offset }
        };
        self.line = line + newlines(object);
        self.offset += len as u64;
        self.state = State::Looking(rest);
        vec![Piece { line, what: What::Chunk(chunk) }]
    }

    /// What looked like an object is none. Where any other of its lines begins like a record, the first was a torn
    /// record, and costs the others nothing; else all of it is one fault.
    fn no_object(&mut self, text: Vec<u8>, why: &str) -> Vec<Piece> {
        let first = memchr::memchr(b'\n', text.trim_ascii_start()).unwrap_or(0);
        let behind = text.trim_ascii_start().get(first..).unwrap_or_default();
        let has_others = memchr::memmem::find(behind, b"\n{\"").is_some();
        if has_others {
            self.state = State::Lines(self.framer());
            return self.feed(&text);
        }
        if text.len() > self.max_record_bytes {
            let mut scan = Scan::default();
            scan.value_len(&text);
            let head = Bytes::copy_from_slice(text.get(..TOO_LONG_KEPT_BYTES).unwrap_or(&text));
            self.line += memchr::memchr_iter(b'\n', &text).count() as u64;
            self.state = State::Passing { head, len: text.len() as u64, scan };
            return Vec::new();
        }
        let (offset, line) = (self.offset, self.line);
        self.offset += text.len() as u64;
        self.line += memchr::memchr_iter(b'\n', &text).count() as u64;
        self.state = State::Looking(Vec::new());
        let what = What::Fault { kind: FaultKind::BrokenJson, detail: why.to_owned(), raw: text, offset };
        vec![Piece { line, what }]
    }

    fn too_long(&mut self, head: Bytes, len: u64) -> Piece {
        let offset = self.offset;
        self.offset += len;
        // The line that it begins with is not known any more where it is not the first.
        let line = if offset == 0 { 1 } else { self.line };
        Piece { line, what: What::Chunk(Chunk::TooLong { head, offset, len }) }
    }

    fn framer(&self) -> Framer {
        Framer::resume(self.max_record_bytes, &self.buffers, Parked::at(self.offset))
    }

    /// Takes in text as lines.
    fn feed(&mut self, mut text: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let State::Lines(framer) = &mut self.state
            && !text.is_empty()
        {
            let room = framer.room();
            let (front, rest) = text.split_at(room.len().min(text.len()));
            if let Some(room) = room.get_mut(..front.len()) {
                room.copy_from_slice(front);
            }
            let chunks = framer.filled(front.len());
            pieces.extend(self.lines(chunks));
            text = rest;
        }
        pieces
    }

    fn lines(&mut self, chunks: impl IntoIterator<Item = Chunk>) -> Vec<Piece> {
        let numbered = |chunk: Chunk| {
            let line = self.line;
            self.line += match &chunk {
                Chunk::Lines { bytes, .. } => memchr::memchr_iter(b'\n', bytes).count() as u64,
                Chunk::TooLong { .. } | Chunk::Sifted { .. } => 1,
            };
            Piece { line, what: What::Chunk(chunk) }
        };
        chunks.into_iter().map(numbered).collect()
    }
}

/// A body may begin with as much white space as is looked at, and no more of it is kept.
const _: () = assert!(LOOK_BYTES_MAX >= READ_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out: each line or fault as `number@offset text`.
    fn cut(text: &[u8], step: usize, declared: Declared, max: usize) -> Vec<String> {
        let mut splitter = Splitter::new(declared, max, &Buffers::default());
        let mut pieces = Vec::new();
        for part in text.chunks(step) {
            splitter.room()[..part.len()].copy_from_slice(part);
            pieces.extend(splitter.filled(part.len()));
        }
        pieces.extend(splitter.finish());
        let mut shown = Vec::new();
        for Piece { line, what } in pieces {
            match what {
                What::Fault { detail, offset, .. } => shown.push(format!("{line}@{offset} {detail}")),
                What::Chunk(Chunk::Lines { bytes, mut offset }) => {
                    for (at, text) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
                        let shown_text = String::from_utf8_lossy(text);
                        if !shown_text.trim().is_empty() {
                            shown.push(format!("{}@{offset} {}", line + at as u64, shown_text.trim()));
                        }
                        offset += text.len() as u64;
                    }
                }
                What::Chunk(Chunk::TooLong { offset, len, .. }) => {
                    shown.push(format!("{line}@{offset} too long: {len}"))
                }
                What::Chunk(Chunk::Sifted { .. }) => unreachable!(),
            }
        }
        shown
    }

    #[test]
    fn a_body_is_cut_by_what_it_is() {
        for (text, expected) in [
            ("", vec![]),
            ("a\nb", vec!["1@0 a", "2@2 b"]),
            ("{\"a\":1}\n\n{\"b\":2}\n", vec!["1@0 {\"a\":1}", "3@9 {\"b\":2}"]),
            ("{\n \"a\": 1\n}", vec!["1@0 {  \"a\": 1 }"]),
            (
                "\n{\n\"a\":1}\n{\n\"b\":2}\n{\"c\":3}\nx",
                vec!["2@1 { \"a\":1}", "4@10 { \"b\":2}", "6@19 {\"c\":3}", "7@27 x"],
            ),
            (
                "{\"a\":[\n1,\n{\"b\":2}\n{\"c\":3}\n",
                vec!["1@0 {\"a\":[", "2@7 1,", "3@10 {\"b\":2}", "4@18 {\"c\":3}"],
            ),
            ("{\n\"a\":\n", vec!["1@0 the object has no end"]),
            ("{\n\"a\": x\n}\n", vec!["1@0 the object is broken"]),
            ("[{\"a\":1},\n{\"b\":2}]", vec!["1@1 {\"a\":1}", "2@9 {\"b\":2}"]),
        ] {
            for step in [1, 3, 1000] {
                assert_eq!(
                    cut(text.as_bytes(), step, Declared::Nothing, 2000),
                    expected,
                    "{text:?} by {step}"
                );
            }
        }
        assert_eq!(cut(b"[{}]", 9, Declared::Lines, 2000), ["1@0 [{}]"]);
    }

    #[test]
    fn an_object_over_the_limit_costs_what_follows_nothing() {
        let text = format!("{{\n\"a\":\n\"{}\"\n}}\n{{\"b\":2}}\n", "x".repeat(9000));
        for step in [100, 16_000] {
            assert_eq!(
                cut(text.as_bytes(), step, Declared::Json, 2000),
                ["1@0 too long: 9011", "5@9012 {\"b\":2}"]
            );
        }
        assert_eq!(cut(&text.as_bytes()[..5000], 100, Declared::Json, 2000), ["1@0 too long: 5000"]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_body_comes(text in r#"[\[\]{}",a:\n ]{0,40}(\{"a":\n1\}|\n\{"b":2\}){0,3}"#, step in 1usize..20) {
            let text = text.as_bytes();
            prop_assert_eq!(
                cut(text, step, Declared::Nothing, 1024),
                cut(text, 1024, Declared::Nothing, 1024)
            );
        }
    }
}
