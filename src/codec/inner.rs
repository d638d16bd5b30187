//! What decodes lines once nothing stands around them any more, by the codec of their source.

use super::decode::{Codec, Decoded, Settings, Window};
use super::fault::FaultKind;
use super::livebook::Livebook;
use crate::event::{Demand, Event, Place};

/// Decodes the lines of one stream, or of one lane in it.
#[derive(Debug)]
pub enum Inner {
    /// The codec `livebook`.
    Livebook(Box<Livebook>),
    /// The codecs `json` and `text`.
    Plain(Settings),
}

impl Inner {
    /// For a stream inside so many wrappers.
    pub fn new(settings: &Settings, depth: usize) -> Inner {
        match settings.codec {
            Codec::Livebook => Inner::Livebook(Box::new(Livebook::new(*settings, depth))),
            Codec::Json | Codec::Text => Inner::Plain(*settings),
        }
    }

    fn livebook(&self) -> Option<&Livebook> {
        match self {
            Inner::Livebook(livebook) => Some(livebook),
            Inner::Plain(_) => None,
        }
    }

    fn livebook_mut(&mut self) -> Option<&mut Livebook> {
        match self {
            Inner::Livebook(livebook) => Some(livebook),
            Inner::Plain(_) => None,
        }
    }

    /// See [`Decoder::want`](super::Decoder::want).
    pub fn want(&mut self, demand: Demand, check_all: bool) {
        match self {
            Inner::Livebook(livebook) => livebook.want(demand, check_all),
            Inner::Plain(settings) => settings.want(demand, check_all),
        }
    }

    /// Whether a line may be a record of JSON.
    pub fn reads_json(&self) -> bool {
        !matches!(self, Inner::Plain(settings) if settings.codec == Codec::Text)
    }

    /// Decodes whole lines.
    pub fn decode(&mut self, window: Window, out: &mut Decoded) {
        match self {
            Inner::Livebook(livebook) => livebook.decode(window, out),
            Inner::Plain(settings) => plain_lines(settings, &window, out),
        }
    }

    /// Decodes lines that a sieve has left over.
    pub fn decode_sifted(&mut self, window: &Window, out: &mut Decoded) {
        if let Some(livebook) = self.livebook_mut() {
            livebook.decode_sifted(window, out);
        }
    }

    /// See [`Decoder::inherit`](super::Decoder::inherit).
    pub fn inherit(&mut self, before: &Inner) {
        if let (Inner::Livebook(livebook), Inner::Livebook(before)) = (self, before) {
            livebook.inherit(before);
        }
    }

    /// When [`Inner::silence`] is due.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.livebook().and_then(Livebook::deadline_ms)
    }

    /// Offset of the first byte that is still held.
    pub fn held_from(&self) -> Option<u64> {
        self.livebook().and_then(Livebook::held_from)
    }

    /// Whether a line was wrapped.
    pub fn is_wrapped(&self) -> bool {
        self.livebook().is_some_and(Livebook::is_wrapped)
    }

    /// How many bytes are held, for limits on memory.
    pub fn held_bytes(&self) -> usize {
        self.livebook().map_or(0, Livebook::held_bytes)
    }

    /// Nothing has come for a while.
    pub fn silence(&mut self, out: &mut Decoded) {
        if let Some(livebook) = self.livebook_mut() {
            livebook.silence(out);
        }
    }

    /// Lines are missing: a record that is open ends in front of them.
    pub fn interrupt(&mut self, out: &mut Decoded) {
        if let Some(livebook) = self.livebook_mut() {
            livebook.interrupt(out);
        }
    }

    /// Nothing more comes.
    pub fn complete(&mut self, out: &mut Decoded) {
        if let Some(livebook) = self.livebook_mut() {
            livebook.complete(out);
        }
    }
}

/// The codecs `json` and `text`: a line is a record.
fn plain_lines(settings: &Settings, window: &Window, out: &mut Decoded) {
    let mut at = 0;
    while at < window.bytes.len() {
        let line = window.line(at);
        let offset = window.offset_at(at);
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if line.len() > settings.max_record_bytes {
            let detail = format!("{} bytes, over the limit of {}", line.len(), settings.max_record_bytes);
            out.fault(FaultKind::TooLong, detail, line, offset);
        } else if !window.is_text(line) {
            out.fault(FaultKind::InvalidUtf8, "the bytes are not UTF-8".to_owned(), line, offset);
        } else if settings.codec == Codec::Text {
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
