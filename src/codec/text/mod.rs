//! Livebook's text format: records of one or more lines.
//!
//! A record begins with a date, a time, metadata and a level; lines that do not begin so belong to the record before
//! them. Two kinds of record end by their own content and are given out at once: the legacy record of an evaluation,
//! whose literal is one line, and the structured one, whose raw source its legacy twin tells ([`raw`]).

pub mod head;
pub mod raw;

use super::fault::FaultKind;
use super::unwrap::cri;
use super::zone::{Stamp, Stamps, Zone};
use crate::event::json::string::{escape_into, quote_into};
use crate::event::{Event, Origin, Place};
use crate::livebook::inspect::Extent;
use crate::livebook::users::users_len;
use crate::livebook::{EVALUATE, MESSAGE, legacy};
use head::{Head, Rest, begins_record, read_head, trim_line};
use raw::{Found, Raw, Twins};
use std::borrow::Cow;

pub use raw::More;

/// Reads text records; knows the legacy records that came before.
#[derive(Debug)]
pub struct TextReader {
    stamps: Stamps,
    twins: Twins,
    /// Whether line ends are `\r\n`, as a terminal between Livebook and us makes them. Told by lines without source,
    /// which may have such line ends of its own.
    crlf: bool,
    /// Whether lines may be wrapped: then a container runtime's line is no part of the record before it.
    may_be_wrapped: bool,
}

/// What stands at the front of the lines that were given.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is returned; a box would cost an allocation"
)]
pub enum Attempt {
    /// No text record.
    NotARecord,
    /// A record whose end is not known yet.
    NeedMore,
    /// A record of so many bytes; no event where nobody wants it.
    Done(usize, Option<Event>),
    /// A record of so many bytes that can't be decoded.
    Fault(usize, FaultKind),
}

/// Lines of text, the first of which may begin a record.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    /// Whole lines.
    pub text: &'a [u8],
    /// Whether all of it is known to be UTF-8.
    pub valid: bool,
    /// Whether more may come.
    pub more: More,
    /// Whether records are wanted that are no evaluation.
    pub want_all: bool,
}

impl<'a> Lines<'a> {
    fn line(&self, at: usize) -> Option<&'a [u8]> {
        let rest = self.text.get(at..).filter(|rest| !rest.is_empty())?;
        rest.get(..memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1))
    }
}

/// How a source stands in the record.
enum Source<'a> {
    Exact(&'a [u8]),
    /// All that is left of it.
    Torn(&'a [u8]),
}

impl TextReader {
    /// A reader for records whose times are local to `zone`.
    pub fn new(zone: Zone, may_be_wrapped: bool) -> TextReader {
        TextReader { stamps: Stamps::new(zone), twins: Twins::default(), crlf: false, may_be_wrapped }
    }

    /// Takes over what a reader of the same log knew before.
    pub fn inherit(&mut self, before: &TextReader) {
        self.twins = before.twins.clone();
        self.crlf = before.crlf;
    }

    /// Bytes of source that are remembered until their twins come.
    pub fn held_bytes(&self) -> usize {
        self.twins.bytes()
    }

    /// Whether a text record can begin with `line`.
    pub fn begins_record(&mut self, line: &[u8]) -> bool {
        begins_record(line, &mut self.stamps)
    }

    /// Reads the record at the front of `lines`.
    pub fn attempt(&mut self, lines: Lines<'_>, origin: &dyn Fn() -> Origin) -> Attempt {
        let Some(first) = lines.line(0) else { return Attempt::NotARecord };
        let Some(head) = read_head(first, &mut self.stamps) else { return Attempt::NotARecord };
        match head.rest {
            Rest::Code(at) => self.structured(lines, first, &head, at, origin),
            Rest::Message { level, at } => {
                self.crlf = first.ends_with(b"\r\n");
                let message = trim_line(first).get(at..).unwrap_or_default();
                if message == MESSAGE.as_bytes() {
                    self.evaluation(lines, first, &head, level, origin)
                } else if lines.want_all || head.value(b"event") == Some(EVALUATE.as_bytes()) {
                    self.other(lines, first, &head, level, at, origin)
                } else if lines.valid || simdutf8::basic::from_utf8(first).is_ok() {
                    Attempt::Done(first.len(), None)
                } else {
                    Attempt::Fault(first.len(), FaultKind::InvalidUtf8)
                }
            }
        }
    }

    /// A record whose first line ends in `Evaluating code`: a legacy one, or a structured one without source.
    fn evaluation(
        &mut self,
        lines: Lines<'_>,
        first: &[u8],
        head: &Head<'_>,
        level: &[u8],
        origin: &dyn Fn() -> Origin,
    ) -> Attempt {
        let bare = |len: usize| {
            finish(lines, len, || {
                build(len, origin(), head, level, None, |out| quote_into(MESSAGE.as_bytes(), out))
            })
        };
        if head.value(b"event").is_some() || head.value(b"session_mode").is_some() {
            return bare(first.len());
        }
        let Some(second) = lines.line(first.len()) else {
            return if lines.more != More::Maybe { bare(first.len()) } else { Attempt::NeedMore };
        };
        if !second.starts_with(b"  Session mode:") {
            return bare(first.len());
        }
        let Some(third) = lines.line(first.len() + second.len()) else {
            return if lines.more != More::Maybe { bare(first.len()) } else { Attempt::NeedMore };
        };
        if !third.starts_with(b"  Code:") {
            return bare(first.len());
        }
        let len = first.len() + second.len() + third.len();
        let message = legacy_message(first, [second, third], lines.text.get(..len).unwrap_or_default());
        let attempt =
            finish(lines, len, || build(len, origin(), head, level, None, |out| quote_into(&message, out)));
        if let Some(said) = legacy::read_legacy(&message).filter(|_| matches!(attempt, Attempt::Done(..))) {
            let users = head.value(b"users").unwrap_or_default();
            self.twins.remember(users, said.mode, said.code.bytes, said.code.extent == Extent::Whole);
        }
        attempt
    }

    /// A record with raw source, which begins at `at` in the first line.
    fn structured(
        &mut self,
        lines: Lines<'_>,
        first: &[u8],
        head: &Head<'_>,
        at: usize,
        origin: &dyn Fn() -> Origin,
    ) -> Attempt {
        let raw = Raw {
            text: lines.text.get(at..).unwrap_or_default(),
            users: head.value(b"users"),
            mode: head.value(b"session_mode"),
            crlf: self.crlf,
            more: lines.more,
        };
        let source = |len| raw.text.get(..len).unwrap_or_default();
        match self.twins.find_end(&raw, &mut self.stamps) {
            Found::NeedMore => Attempt::NeedMore,
            Found::Torn(code, record) => {
                let torn = Source::Torn(trim_line(source(code)));
                finish(lines, at + record, || structured_event(origin(), head, torn, b"", &raw))
            }
            Found::Nowhere => {
                // The rest of its first line is source, whatever the lines behind it are.
                let torn = Source::Torn(trim_line(source(first.len() - at)));
                finish(lines, first.len(), || structured_event(origin(), head, torn, b"", &raw))
            }
            Found::End(end) => {
                let tail = raw.text.get(end.code..end.record).unwrap_or_default();
                let code = Source::Exact(source(end.code));
                finish(lines, at + end.record, || structured_event(origin(), head, code, tail, &raw))
            }
        }
    }

    /// Any other record, with the lines that belong to it.
    fn other(
        &mut self,
        lines: Lines<'_>,
        first: &[u8],
        head: &Head<'_>,
        level: &[u8],
        at: usize,
        origin: &dyn Fn() -> Origin,
    ) -> Attempt {
        let mut len = first.len();
        loop {
            match lines.line(len) {
                Some(line) if self.begins_record(line) || looks_like_json_record(line) => break,
                Some(line) if self.may_be_wrapped && cri::is_wrapped(line) => break,
                Some(line) => len += line.len(),
                None if lines.more != More::Maybe => break,
                None => return Attempt::NeedMore,
            }
        }
        let text = lines.text.get(..len).unwrap_or_default();
        let message = |out: &mut Vec<u8>| {
            out.push(b'"');
            escape_into(trim_line(first).get(at..).unwrap_or_default(), out);
            for line in text.get(first.len()..).unwrap_or_default().split_inclusive(|&b| b == b'\n') {
                out.extend_from_slice(b"\\n");
                escape_into(trim_line(line), out);
            }
            out.push(b'"');
        };
        finish(lines, len, || build(len, origin(), head, level, None, message))
    }
}

/// The message of a legacy record: a piece of it, where no colour and no terminal's line end stands in between.
fn legacy_message<'a>(first: &[u8], rest: [&[u8]; 2], record: &'a [u8]) -> Cow<'a, [u8]> {
    let is_plain = |line: &&[u8]| !line.ends_with(b"\r\n") && !line.ends_with(b"m\n");
    if first.ends_with(b"code\n") && rest.iter().all(is_plain) {
        let at = first.len() - MESSAGE.len() - 1;
        return Cow::Borrowed(trim_line(record.get(at..).unwrap_or_default()));
    }
    let mut message = Vec::with_capacity(record.len());
    message.extend_from_slice(MESSAGE.as_bytes());
    for line in rest {
        message.push(b'\n');
        message.extend_from_slice(trim_line(line));
    }
    Cow::Owned(message)
}

/// A line that is a JSON record of its own where it stands between text records.
pub fn looks_like_json_record(line: &[u8]) -> bool {
    line.starts_with(b"{\"") && trim_line(line).ends_with(b"}")
}

/// Makes the event of a record of `len` bytes, unless its bytes are no text.
fn finish(lines: Lines<'_>, len: usize, event: impl FnOnce() -> Event) -> Attempt {
    let text = lines.text.get(..len).unwrap_or_default();
    if lines.valid || simdutf8::basic::from_utf8(text).is_ok() {
        Attempt::Done(len, Some(event()))
    } else {
        Attempt::Fault(len, FaultKind::InvalidUtf8)
    }
}

/// The event of a structured record, in the shape that Livebook's JSON format gives it.
fn structured_event(
    origin: Origin,
    head: &Head<'_>,
    source: Source<'_>,
    tail: &[u8],
    raw: &Raw<'_>,
) -> Event {
    let tail = trim_line(tail);
    let (pairs, level) = match memchr::memrchr(b'[', tail) {
        Some(open) => tail.split_at(open),
        None => (tail, &b""[..]),
    };
    let level = head::level_of(level).unwrap_or(b"info");
    let (text, torn) = match source {
        Source::Exact(text) => (text, false),
        Source::Torn(text) => (text, true),
    };
    let unix: Vec<u8>;
    let text = if raw.crlf {
        unix = without_carriage_returns(text);
        &unix
    } else {
        text
    };
    let bytes = text.len() + raw.users.map_or(0, <[u8]>::len);
    let mut event = build(bytes, origin, head, level, Some(text), |out| quote_into(MESSAGE.as_bytes(), out));
    event.mark_raw();
    for (key, value) in tail_pairs(pairs) {
        if let Ok(key) = std::str::from_utf8(key) {
            event.set_string(Place::Metadata, key, value);
        }
    }
    if torn {
        event.set(Place::Metadata, "code_incomplete", |out| out.extend_from_slice(b"true"));
        event.set_string(Place::Metadata, "event", EVALUATE.as_bytes());
    }
    event
}

fn without_carriage_returns(text: &[u8]) -> Vec<u8> {
    let mut unix = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
        let (line, behind) = rest.split_at(at);
        unix.extend_from_slice(line);
        unix.push(b'\n');
        rest = behind.get(2..).unwrap_or_default();
    }
    unix.extend_from_slice(rest);
    unix
}

/// The metadata behind the source, whose shape [`raw`] has checked: ` key=value key=value `.
fn tail_pairs(mut text: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut pairs = Vec::new();
    loop {
        text = text.trim_ascii_start();
        let Some(key) = head::key_of(text) else { return pairs };
        let value = text.get(key.len() + 1..).unwrap_or_default();
        let users = users_len(value).filter(|_| key == b"users");
        let len = users.unwrap_or_else(|| memchr::memchr(b' ', value).unwrap_or(value.len()));
        pairs.push((key, value.get(..len).unwrap_or_default()));
        text = value.get(len..).unwrap_or_default();
    }
}

/// Room for the names and the small values of an event.
const MEMBERS_BYTES: usize = 256;

/// An event in the order of members that Livebook's JSON format has, made of a record of so many bytes.
fn build(
    bytes: usize,
    origin: Origin,
    head: &Head<'_>,
    level: &[u8],
    code: Option<&[u8]>,
    message: impl FnOnce(&mut Vec<u8>),
) -> Event {
    let Stamp { text: time, .. } = head.stamp;
    let mut event = Event::new(origin);
    event.reserve(bytes + bytes / 4 + MEMBERS_BYTES);
    event.set(Place::Top, "message", message);
    event.set_string(Place::Top, "time", &time);
    event.ensure_metadata();
    for (key, value) in &head.pairs {
        if let Ok(key) = std::str::from_utf8(key) {
            event.set_string(Place::Metadata, key, value);
        }
    }
    if let Some(code) = code {
        event.set_string(Place::Metadata, "code", code);
    }
    event.set_string(Place::Top, "severity", level);
    event
}
