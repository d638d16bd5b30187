//! The `livebook` codec: JSON records, text records and other lines, told apart line by line in one stream.
//!
//! A line that wraps another is told here too, and only where a record can begin: the raw source
//! of an open text record may look like a wrapper and stays source. What was wrapped is decoded in a
//! [lane](super::unwrap::lanes) of its own. From the first such line on nothing is passed over at this level: a line
//! inside a wrapper may belong to a text record and says nothing of it.
//!
//! Where only evaluations are wanted, lines that cannot be one are passed over after a [search](super::search); they
//! are counted, and a line that is torn (begins as a JSON object and does not end as one), over the limit or not UTF-8
//! is still a fault.

use super::decode::{Decoded, Settings, Window, lines};
use super::fault::FaultKind;
use super::places::Places;
use super::search::Search;
use super::sieve::needs_a_look;
use super::text::head::colours_len;
use super::text::{Attempt, Lines, More, TextReader, looks_like_json_record};
use super::unwrap::lanes::Lanes;
use super::unwrap::{NESTING_MAX, Unwrap, cri, is_wrapped};
use super::zone::begins_with_stamp;
use crate::event::{Demand, Event, Place};
use bytes::Bytes;

/// After this long without a new line, in milliseconds, an open text record is taken for complete.
const SILENCE_MS: u64 = 500;
/// How far back to look for what kind of record a line stands behind.
const CONTEXT_LINES: usize = 64;
/// How many windows are decoded without a search after one with next to nothing to skip.
const DENSE_WINDOWS: u32 = 64;
/// A smaller window tells nothing about those to come.
const DENSE_BYTES: usize = 32 * 1024;
/// An open record is tried again when so many more bytes are there, or twice as many as it has.
const RETRY_BYTES: usize = 4096;

/// Decodes Livebook's log.
#[derive(Debug)]
pub struct Livebook {
    settings: Settings,
    search: Search,
    text: TextReader,
    /// Whether the last record was a text record: lines that are no record belong to it.
    in_text: bool,
    /// Whether the last window that was searched had next to nothing to skip: then the search is not worth its time
    /// for so many windows, and a record that nobody wants is dropped by whoever does not want it.
    dense: bool,
    windows: u32,
    open: Option<Open>,
    /// How many wrappers stand around this stream.
    depth: usize,
    /// Once a line was wrapped; from the beginning, where a wrapper is named.
    lanes: Option<Box<Lanes>>,
}

/// A text record whose end has not come yet.
#[derive(Debug)]
struct Open {
    bytes: Vec<u8>,
    places: Places,
    deadline_ms: Option<u64>,
}

impl Livebook {
    /// A decoder for one stream, inside so many wrappers.
    pub fn new(settings: Settings, depth: usize) -> Livebook {
        let may_be_wrapped = settings.unwrap != Unwrap::None && depth < NESTING_MAX;
        let text = TextReader::new(settings.zone, may_be_wrapped);
        let is_named = settings.unwrap.named().is_some() && depth == 0;
        Livebook {
            settings,
            search: Search::default(),
            text,
            in_text: false,
            dense: false,
            windows: 0,
            open: None,
            depth,
            lanes: is_named.then(|| Box::new(Lanes::new(&settings, 1))),
        }
    }

    /// Takes over what a decoder of the same log knew before.
    pub fn inherit(&mut self, before: &Livebook) {
        self.text.inherit(&before.text);
        if let Some(before) = &before.lanes {
            self.lanes().inherit(before);
        }
    }

    fn lanes(&mut self) -> &mut Lanes {
        self.lanes.get_or_insert_with(|| Box::new(Lanes::new(&self.settings, self.depth + 1)))
    }

    /// Whether lines may be wrapped.
    fn watches(&self) -> bool {
        self.lanes.is_some() || self.settings.unwrap == Unwrap::Auto && self.depth < NESTING_MAX
    }

    /// Decodes whole lines.
    pub fn decode(&mut self, window: Window, out: &mut Decoded) {
        let (events, faults) = (out.events.len(), out.faults.len());
        let window = match self.open.take() {
            None => Some(window),
            Some(open) => self.resume(open, window, out),
        };
        if let Some(window) = window {
            self.lines(&window, More::Maybe, out);
        }
        self.flush(events, faults, out);
    }

    /// Decodes lines that are left over of more: none of them is part of a text record.
    pub fn decode_sifted(&mut self, window: &Window, out: &mut Decoded) {
        let (events, faults) = (out.events.len(), out.faults.len());
        let mut at = 0;
        while at < window.bytes.len() {
            at += self.record(window, at, More::Ended, out);
        }
        self.flush(events, faults, out);
    }

    /// Decodes what this piece of the stream has brought to the lanes.
    fn flush(&mut self, events: usize, faults: usize, out: &mut Decoded) {
        if let Some(lanes) = &mut self.lanes {
            lanes.flush(out);
            out.sort_from(events, faults);
        }
    }

    /// When an open record has waited long enough, in milliseconds since 1970.
    pub fn deadline_ms(&self) -> Option<u64> {
        let lanes = self.lanes.as_ref().and_then(|lanes| lanes.deadline_ms());
        self.open.as_ref().and_then(|open| open.deadline_ms).into_iter().chain(lanes).min()
    }

    /// Offset of the first byte that is held.
    pub fn held_from(&self) -> Option<u64> {
        let lanes = self.lanes.as_ref().and_then(|lanes| lanes.held_from());
        self.open.as_ref().map(|open| open.places.offset_at(0)).into_iter().chain(lanes).min()
    }

    /// Whether a line was wrapped.
    pub fn is_wrapped(&self) -> bool {
        self.lanes.is_some()
    }

    /// How many bytes are held: open records, and sources whose twins may come.
    pub fn held_bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.bytes.len());
        let lanes = self.lanes.as_ref().map_or(0, |lanes| lanes.held_bytes());
        open + self.text.held_bytes() + lanes
    }

    /// Nothing has come for a while: what is open is complete, unless its twin says that it can't be.
    pub fn silence(&mut self, out: &mut Decoded) {
        let is_due = |open: &mut Open| open.deadline_ms.is_some_and(|due| due <= out.now_ms);
        if let Some(open) = self.open.take_if(is_due) {
            let window = Window::new(Bytes::from(open.bytes), open.places);
            self.lines(&window, More::Silent, out);
            if let Some(open) = &mut self.open {
                open.deadline_ms = None;
            }
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.flush(out);
            lanes.silence(out);
        }
    }

    /// Lines are missing behind those that came: what is open ends here.
    pub fn interrupt(&mut self, out: &mut Decoded) {
        while let Some(open) = self.open.take() {
            let window = Window::new(Bytes::from(open.bytes), open.places);
            self.lines(&window, More::Ended, out);
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.flush(out);
        }
    }

    /// Nothing more comes: what is open is complete.
    pub fn complete(&mut self, out: &mut Decoded) {
        self.interrupt(out);
        if let Some(lanes) = &mut self.lanes {
            lanes.complete(out);
        }
    }

    /// Goes on with an open record; gives what stands behind it.
    fn resume(&mut self, mut open: Open, window: Window, out: &mut Decoded) -> Option<Window> {
        let had = open.bytes.len();
        let mut taken = 0;
        while taken < window.bytes.len() {
            let more = open.bytes.len().max(RETRY_BYTES);
            let rest = window.bytes.get(taken..).unwrap_or_default();
            let end = rest
                .get(more..)
                .and_then(|rest| memchr::memchr(b'\n', rest))
                .map(|newline| more + newline + 1);
            let lines = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            open.places.append(open.bytes.len(), &window.places, taken..taken + lines.len());
            open.bytes.extend_from_slice(lines);
            taken += lines.len();
            let joined = Window::new(Bytes::from(std::mem::take(&mut open.bytes)), open.places);
            let over = joined.bytes.len() > self.settings.max_record_bytes;
            let more = if over { More::Ended } else { More::Maybe };
            match self.text_record(&joined, 0, more, out) {
                Some(used) if used >= had => return Some(window.behind(used - had)),
                Some(used) => {
                    let mut rest = joined.bytes.slice(used.min(joined.bytes.len())..).to_vec();
                    let mut places = joined.places.behind(used);
                    if taken < window.bytes.len() {
                        places.append(rest.len(), &window.places, taken..window.bytes.len());
                    }
                    rest.extend_from_slice(window.bytes.get(taken..).unwrap_or_default());
                    return Some(Window::new(Bytes::from(rest), places));
                }
                None => {
                    open.bytes = joined.bytes.to_vec();
                    open.places = joined.places;
                }
            }
        }
        open.deadline_ms = Some(out.now_ms + SILENCE_MS);
        self.open = Some(open);
        None
    }

    /// See [`Decoder::want`](super::Decoder::want).
    pub fn want(&mut self, demand: Demand, check_all: bool) {
        self.settings.want(demand, check_all);
        if let Some(lanes) = &mut self.lanes {
            lanes.want(demand, check_all);
        }
    }

    fn lines(&mut self, window: &Window, more: More, out: &mut Decoded) {
        let first_event = out.events.len();
        let mut at = 0;
        let skips = self.settings.skips();
        let (seen, skipped) = (out.records(), out.skipped);
        self.search.restart();
        while at < window.bytes.len() {
            if skips && !self.dense && self.lanes.is_none() {
                let hit = self.search.next(&window.bytes, at);
                let line = window.line_start(hit).max(at);
                at = self.skip(window, at, line, out);
            }
            if at < window.bytes.len() {
                at += self.record(window, at, more, out);
            }
        }
        if skips && !self.dense && self.lanes.is_none() {
            self.in_text = self.stands_behind_text(window, at);
            let is_telling = window.bytes.len() >= DENSE_BYTES;
            self.dense = is_telling && (out.skipped - skipped) * 8 < out.records() - seen;
            self.windows = 0;
        } else if self.windows > DENSE_WINDOWS {
            self.dense = false;
        }
        self.windows += 1;
        release(window, out.events.get_mut(first_event..).unwrap_or_default());
    }

    /// Passes over lines without a hit, up to `to` or to the first that needs a second look; gives where it stopped.
    fn skip(&self, window: &Window, from: usize, to: usize, out: &mut Decoded) -> usize {
        let mut at = from;
        for line in lines(window.bytes.get(from..to).unwrap_or_default()) {
            if self.needs_a_look(line, window.valid) {
                return at;
            }
            out.skipped += u64::from(line.len() > 1);
            at += line.len();
        }
        to
    }

    /// Whether a line without a hit can still be part of an evaluation, or is a fault.
    #[inline]
    fn needs_a_look(&self, line: &[u8], valid: bool) -> bool {
        self.search.begins_source(line)
            || line.first() == Some(&0)
            || needs_a_look(line, valid, self.settings.max_record_bytes)
            || (self.watches() && is_wrapped(line))
    }

    /// Decodes the record that begins with the line at `at`; gives its length. An open one takes all of the window.
    fn record(&mut self, window: &Window, at: usize, more: More, out: &mut Decoded) -> usize {
        let line = window.line(at);
        if line.len() > self.settings.max_record_bytes {
            let detail =
                format!("{} bytes, over the limit of {}", line.len(), self.settings.max_record_bytes);
            out.fault(FaultKind::TooLong, detail, line, window.offset_at(at));
            return line.len();
        }
        if let Some(nuls) = self.nuls_len(line) {
            return nuls + self.record(window, at + nuls, more, out);
        }
        let before = json_at(line, window.offset_at(at));
        match line.first() {
            _ if before > 0 => {
                self.json_record(window, at + before, line.get(before..).unwrap_or_default(), out);
            }
            Some(b'0'..=b'9') if self.watches() && cri::is_wrapped(line) => {
                if !self.lanes().take(line, window.offset_at(at), out) {
                    self.other_line(window, at, line, out);
                }
            }
            Some(b'0'..=b'9' | 0x1b) => {
                if let Some(used) = self.text_record(window, at, more, out) {
                    return used;
                }
                let rest = window.bytes.get(at..).unwrap_or_default();
                let (bytes, places) = (rest.to_vec(), window.places.behind(at));
                self.open = Some(Open { bytes, places, deadline_ms: Some(out.now_ms + SILENCE_MS) });
                return rest.len();
            }
            Some(b'{' | b' ' | b'\t') if line.trim_ascii_start().starts_with(b"{") => {
                self.json_record(window, at, line, out);
            }
            _ => self.other_line(window, at, line, out),
        }
        line.len()
    }

    /// Length of the NULs in front of a record: a power cut leaves them in the middle of a file, where the file system knew
    /// of its new length and not yet of its bytes.
    fn nuls_len(&self, line: &[u8]) -> Option<usize> {
        let len = line.iter().position(|&byte| byte != 0).filter(|&len| len > 0)?;
        let record = line.get(len..)?;
        let is_one = record.first() == Some(&b'{')
            || begins_with_stamp(record)
            || (self.watches() && cri::is_wrapped(record));
        is_one.then_some(len)
    }

    /// Decodes the text record at `at`; gives its length, or none where its end has not come yet.
    fn text_record(&mut self, window: &Window, at: usize, more: More, out: &mut Decoded) -> Option<usize> {
        let text = window.bytes.get(at..).unwrap_or_default();
        let want_all = self.settings.demand == Demand::Everything;
        let lines = Lines { text, valid: window.valid, more, want_all };
        let offset = window.offset_at(at);
        match self.text.attempt(lines, &|| out.origin(offset)) {
            Attempt::NeedMore => None,
            Attempt::NotARecord => {
                let line = window.line(at);
                self.other_line(window, at, line, out);
                Some(line.len())
            }
            Attempt::Done(len, event) => {
                out.skipped += u64::from(event.is_none());
                out.events.extend(event);
                self.in_text = true;
                Some(len)
            }
            Attempt::Fault(len, kind) => {
                let raw = text.get(..len).unwrap_or_default();
                out.fault(kind, "the bytes are not UTF-8".to_owned(), raw, offset);
                self.in_text = true;
                Some(len)
            }
        }
    }

    fn json_record(&mut self, window: &Window, at: usize, line: &[u8], out: &mut Decoded) {
        let offset = window.offset_at(at);
        if !window.is_text(line) {
            return out.fault(FaultKind::InvalidUtf8, "the bytes are not UTF-8".to_owned(), line, offset);
        }
        if let Some(lanes) = &mut self.lanes
            && lanes.take(line, offset, out)
        {
            return;
        }
        let trimmed = line.trim_ascii_end().len();
        out.events.push(Event::new(out.origin(offset)));
        let read = out.events.last_mut().map(|event| event.read_json(window.bytes.slice(at..at + trimmed)));
        let Some(Err(flaw)) = read else {
            self.in_text = false;
            if self.lanes.is_none() && self.watches() {
                self.look_inside(line, offset, out);
            }
            return;
        };
        out.events.pop();
        if is_json_meant(line) && !self.stands_behind_text(window, at) {
            out.fault(FaultKind::BrokenJson, flaw.to_string(), line, offset);
        } else {
            self.other_line(window, at, line, out);
        }
    }

    /// Unwraps the line of the last event, where it is the first of its stream that is wrapped.
    fn look_inside(&mut self, line: &[u8], offset: u64, out: &mut Decoded) {
        let is_own = |event: &Event| event.has(Place::Top, "metadata") || event.has(Place::Top, "severity");
        if out.events.last().is_some_and(is_own) || !is_wrapped(line) {
            return;
        }
        out.events.pop();
        self.lanes().take(line, offset, out);
    }

    /// A line that is no record: boot text, what a program printed, the rest of a report.
    fn other_line(&mut self, window: &Window, at: usize, line: &[u8], out: &mut Decoded) {
        let offset = window.offset_at(at);
        let text = line.trim_ascii_end();
        if text.is_empty() {
            return;
        }
        if !window.is_text(line) {
            return out.fault(FaultKind::InvalidUtf8, "the bytes are not UTF-8".to_owned(), line, offset);
        }
        let mut event = Event::new(out.origin(offset));
        event.set_string(Place::Top, "message", text);
        out.events.push(event);
    }

    /// Whether the line at `at` stands behind a text record: then it may be any part of its message.
    fn stands_behind_text(&mut self, window: &Window, at: usize) -> bool {
        let mut end = at;
        for _ in 0..CONTEXT_LINES {
            if end == 0 {
                break;
            }
            let start = window.line_start(end - 1);
            let line = window.bytes.get(start..end).unwrap_or_default();
            if looks_like_json_record(line) {
                return false;
            }
            if self.text.begins_record(line) {
                return true;
            }
            end = start;
        }
        self.in_text
    }
}

/// Lets go of a large chunk for the sake of which few events would keep it in memory.
fn release(window: &Window, events: &mut [Event]) {
    let held: usize = events.iter().map(|event| event.size_bytes() - size_of::<Event>()).sum();
    if held < window.bytes.len() / 2 {
        for event in events {
            event.detach();
        }
    }
}

/// Length of what stands in front of a JSON record and is no part of it: the end of a colour, which older versions write
/// behind the newline, or a byte order mark at the start of the stream.
fn json_at(line: &[u8], offset: u64) -> usize {
    let len = match line {
        [0x1b, ..] => colours_len(line),
        [0xEF, 0xBB, 0xBF, ..] if offset == 0 => 3,
        _ => return 0,
    };
    if line.get(len) == Some(&b'{') { len } else { 0 }
}

/// Whether a line that is no JSON object was meant to be one: `{:ok, 1}` is something that a program printed.
fn is_json_meant(line: &[u8]) -> bool {
    let inside = line.trim_ascii_start().strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
    matches!(inside.first(), None | Some(b'"' | b'}'))
}
