//! Finds the two records of one evaluation.
//!
//! They are paired by content, mode and users, never by position: records of other processes stand between them,
//! twins of different evaluations cross, either can be lost or come first. A complete record has gone out before its
//! twin comes, and what it said is remembered; an incomplete one is held until its twin comes, or until it has waited
//! long enough. Each record is paired at most once, so the same cell run twice stays two evaluations.

use super::record::{Code, Kind, Mode, Record, merge};
use crate::event::json::Json;
use crate::event::json::string::unescape_into;
use crate::event::{Acks, Batch, Event, Place};
use crate::livebook::inspect::{Extent, Form};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Records that have gone out and whose twin may still come.
const SEEN_MAX: usize = 1024;
/// Bytes that are remembered of them.
const SEEN_BYTES_MAX: usize = 4 << 20;
/// A longer source is remembered by its SHA-256 alone: many large cells may run at once.
const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Records that may pass while one is held.
const RECORDS_MAX: u64 = 200;
/// Bytes of records that are held.
const HELD_BYTES_MAX: usize = 8 << 20;

/// A record with its event.
#[derive(Debug)]
pub struct Held {
    /// The event.
    pub event: Event,
    /// What it says.
    pub record: Record,
    /// Its share in the acknowledgement of the batch that it came in.
    pub acks: Acks,
    /// Whether it was delivered before a restart: then it is only here to be met.
    pub replayed: bool,
}

/// Whom a record meets.
#[derive(Debug)]
pub enum Met {
    /// It says all that both say.
    NeedsNone,
    /// Its twin has not come.
    Nobody,
    /// Its twin has gone out already.
    GoneOut,
    /// Its twin, which was held.
    Held(Box<Held>),
}

/// What a record said that has gone out.
#[derive(Debug)]
struct Seen {
    kind: Kind,
    mode: Option<Mode>,
    time_ms: i64,
    /// The source, as JSON text or as bytes, and the users behind it.
    said: Vec<u8>,
    code_len: usize,
    is_text: bool,
    is_digest: bool,
    key: u64,
}

impl Seen {
    fn code(&self) -> &[u8] {
        self.said.get(..self.code_len).unwrap_or_default()
    }

    fn is_whole(&self, code: &[u8], is_text: bool) -> bool {
        self.is_text == is_text
            && match self.is_digest {
                true => code.len() > TEXT_BYTES_MAX && *Sha256::digest(code) == *self.code(),
                false => self.code() == code,
            }
    }

    fn users(&self) -> &[u8] {
        self.said.get(self.code_len..).unwrap_or_default()
    }

    fn begins_with(&self, bytes: &[u8]) -> bool {
        if self.is_digest {
            return false;
        }
        if !self.is_text {
            return self.code().starts_with(bytes);
        }
        let mut code = Vec::new();
        unescape_into(self.code(), &mut code);
        code.starts_with(bytes)
    }
}

/// Passes on a key that [`key_of`] has mixed already.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |key, &byte| (key << 8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[derive(Debug)]
struct Waiting {
    held: Held,
    since_ms: u64,
    /// Number of the record.
    number: u64,
}

/// The records that wait for their twin.
#[derive(Debug)]
pub struct Twins {
    wait_ms: u64,
    seen: VecDeque<Option<Seen>>,
    seen_bytes: usize,
    /// Number of the first of `seen`.
    first_seen: u64,
    by_code: HashMap<u64, SmallVec<[u64; 1]>, BuildHasherDefault<Mixed>>,
    waiting: VecDeque<Waiting>,
    records: u64,
}

impl Twins {
    /// Twins come within `wait_ms` of each other.
    pub fn new(wait_ms: u64) -> Twins {
        Twins {
            wait_ms,
            seen: VecDeque::new(),
            seen_bytes: 0,
            first_seen: 0,
            by_code: HashMap::default(),
            waiting: VecDeque::new(),
            records: 0,
        }
    }

    /// Waits as long as `other` does from now on, also with what waits already.
    pub fn wait_as(&mut self, other: &Twins) {
        self.wait_ms = other.wait_ms;
    }

    /// When the first held record has waited long enough, in milliseconds since 1970.
    pub fn wake_at(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.since_ms + self.wait_ms)
    }

    /// Looks for the twin of a record, and forgets it: nobody has two. A record that was delivered before does not meet
    /// one that was not: the other would leave with it.
    pub fn meet(&mut self, event: &Event, record: &Record, replayed: bool) -> Met {
        self.records += 1;
        if record.kind == Kind::Combined {
            return Met::NeedsNone;
        }
        if let Some(number) = self.find_seen(event, record) {
            self.forget(number);
            return Met::GoneOut;
        }
        let fits = |waiting: &Waiting| {
            (waiting.held.replayed || !replayed) && self.are_twins(waiting, event, record)
        };
        let found = self.waiting.iter().position(fits);
        match found.and_then(|at| self.waiting.remove(at)) {
            Some(waiting) => Met::Held(Box::new(waiting.held)),
            None => Met::Nobody,
        }
    }

    /// Remembers a record that goes out.
    pub fn remember(&mut self, event: &Event, record: Record) {
        let is_text = !matches!(record.code, Code::WholeBytes(_));
        let mut said = match record.code {
            Code::Whole(text) => text,
            Code::WholeBytes(bytes) => bytes,
            code => code.text(event).map(<[u8]>::to_vec).unwrap_or_default(),
        };
        let key = key_of(&said);
        let is_digest = said.len() > TEXT_BYTES_MAX;
        if is_digest {
            said = Sha256::digest(&said).to_vec();
        }
        let code_len = said.len();
        said.extend_from_slice(users_of(event));
        let number = self.first_seen + self.seen.len() as u64;
        self.by_code.entry(key).or_default().push(number);
        self.seen_bytes += said.len();
        let Record { kind, mode, time_ms, .. } = record;
        self.seen.push_back(Some(Seen { kind, mode, time_ms, said, code_len, is_text, is_digest, key }));
        while self.seen.len() > SEEN_MAX || self.seen_bytes > SEEN_BYTES_MAX {
            self.forget(self.first_seen);
        }
    }

    /// Holds a record back, and leaves an empty event in its place.
    pub fn hold(&mut self, event: &mut Event, record: Record, batch: &Batch) {
        let nothing = Event::new(event.origin().clone());
        let mut event = std::mem::replace(event, nothing);
        event.detach();
        let held = Held { event, record, acks: batch.acks.clone(), replayed: batch.replayed };
        self.waiting.push_back(Waiting { held, since_ms: batch.now_ms, number: self.records });
    }

    /// Lets go of those that have waited long enough: by the clock, or, where a log is read faster than it was
    /// written, by the records that passed and by the time that they tell.
    pub fn expire(&mut self, now_ms: u64, log_ms: Option<i64>, last: bool) -> Vec<Held> {
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.held.event.size_bytes()).sum();
        let mut over = bytes.saturating_sub(HELD_BYTES_MAX);
        let mut expired = Vec::new();
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop_front() else { break };
            let log_over = log_ms.is_some_and(|log| log - waiting.held.record.time_ms > self.wait_ms as i64);
            let done = last
                || over > 0
                || log_over
                || now_ms >= waiting.since_ms + self.wait_ms
                || self.records > waiting.number + RECORDS_MAX;
            if done {
                over = over.saturating_sub(waiting.held.event.size_bytes());
                expired.push(waiting.held);
            } else {
                self.waiting.push_back(waiting);
            }
        }
        expired
    }

    /// The number of the twin among those that have gone out.
    fn find_seen(&self, event: &Event, record: &Record) -> Option<u64> {
        if self.seen.is_empty() {
            return None;
        }
        let users = users_of(event);
        let fits = |seen: &Seen| {
            seen.kind != record.kind
                && seen.users() == users
                && same_mode(&seen.mode, &record.mode)
                && seen.time_ms.abs_diff(record.time_ms) <= self.wait_ms
        };
        let whole = |code: &[u8], is_text: bool| {
            let numbers = self.by_code.get(&key_of(code))?;
            numbers.iter().copied().find(|&number| {
                self.seen_at(number).is_some_and(|seen| fits(seen) && seen.is_whole(code, is_text))
            })
        };
        let whole_code = |code: &Code| match code {
            Code::WholeBytes(bytes) => whole(bytes, false),
            code => whole(code.text(event)?, true),
        };
        let any = |also: &dyn Fn(&Seen) -> bool| {
            let at = self
                .seen
                .iter()
                .position(|seen| seen.as_ref().is_some_and(|seen| fits(seen) && also(seen)))?;
            Some(self.first_seen + at as u64)
        };
        match &record.code {
            Code::Ambiguous { text, meaning } => {
                let literal = whole_code(&Code::whole(text.clone()));
                let meant = || (meaning.extent == Extent::Whole).then(|| Code::whole(meaning.bytes.clone()));
                literal.or_else(|| whole_code(&meant()?))
            }
            Code::Cut(bytes, _) => any(&|seen| seen.begins_with(bytes)),
            Code::Absent => any(&|_| true),
            code => whole_code(code),
        }
    }

    fn seen_at(&self, number: u64) -> Option<&Seen> {
        let at = number.checked_sub(self.first_seen)?;
        self.seen.get(at as usize)?.as_ref()
    }

    fn forget(&mut self, number: u64) {
        let at = (number - self.first_seen) as usize;
        if let Some(seen) = self.seen.get_mut(at).and_then(Option::take) {
            self.seen_bytes -= seen.said.len();
            if let Some(numbers) = self.by_code.get_mut(&seen.key) {
                numbers.retain(|known| *known != number);
                if numbers.is_empty() {
                    self.by_code.remove(&seen.key);
                }
            }
        }
        while let Some(None) = self.seen.front() {
            self.seen.pop_front();
            self.first_seen += 1;
        }
    }

    /// Whether a held record and the one at hand are of one evaluation.
    fn are_twins(&self, waiting: &Waiting, event: &Event, record: &Record) -> bool {
        let Held { event: other_event, record: other, .. } = &waiting.held;
        if !same_mode(&other.mode, &record.mode)
            || other.time_ms.abs_diff(record.time_ms) > self.wait_ms
            || users_of(other_event) != users_of(event)
        {
            return false;
        }
        match (other.kind, record.kind) {
            (Kind::Legacy, Kind::Structured) => agree((&other.code, other_event), (&record.code, event)),
            (Kind::Structured, Kind::Legacy) => agree((&record.code, event), (&other.code, other_event)),
            _ => false,
        }
    }
}

fn users_of(event: &Event) -> &[u8] {
    event.get(Place::Metadata, "users").map(Json::text).unwrap_or_default()
}

/// A mode that is not known may be any.
fn same_mode(a: &Option<Mode>, b: &Option<Mode>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// Mixes the length, the beginning and the end of a source: enough to find it again. What is found is compared whole,
/// so a cell that is written to have another's key gains nothing.
fn key_of(code: &[u8]) -> u64 {
    const WORDS: usize = 4;
    let mix = |key: u64, word: &[u8; 8]| {
        (key ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    };
    let (front, _) = code.as_chunks::<8>();
    let (_, back) = code.as_rchunks::<8>();
    let ends = front.iter().take(WORDS).chain(back.iter().rev().take(WORDS));
    let short = code.iter().take(7).fold(0, |key, &byte| key << 8 | u64::from(byte));
    ends.fold(code.len() as u64 ^ short, mix)
}

/// Whether a legacy record and a structured one can be about one source.
fn agree(legacy: (&Code, &Event), structured: (&Code, &Event)) -> bool {
    match (legacy.0, structured.0) {
        (Code::Absent, _) | (_, Code::Absent) => true,
        (Code::Cut(cut, Form::String { .. }), Code::Ambiguous { text, .. }) => text.starts_with(cut),
        (Code::Cut(cut, Form::Bytes { .. }), Code::Ambiguous { meaning, .. }) => {
            let limited = meaning.extent == Extent::Limited && cut.starts_with(&meaning.bytes);
            limited || meaning.bytes.starts_with(cut)
        }
        (Code::Cut(a, _), Code::Cut(b, _)) => a.starts_with(b) || b.starts_with(a),
        (Code::Cut(cut, _), whole) => whole.bytes(structured.1).is_some_and(|bytes| bytes.starts_with(cut)),
        (whole, Code::Cut(cut, _)) => whole.bytes(legacy.1).is_some_and(|bytes| bytes.starts_with(cut)),
        (whole, Code::Ambiguous { text, meaning }) => whole.bytes(legacy.1).is_some_and(|bytes| {
            *bytes == **text || meaning.extent == Extent::Whole && *bytes == *meaning.bytes
        }),
        (a, b) => {
            let (a, b) = (a.bytes(legacy.1), b.bytes(structured.1));
            a.is_some() && a == b
        }
    }
}

/// One event of two: the one that was read first, with the best of both.
pub fn join(first: Held, second: &Event, second_record: Record) -> Held {
    let Held { mut event, record, acks, replayed } = first;
    let code = record.code.detached(&event);
    let other = second_record.code.detached(second);
    for (name, value) in second.members(Place::Metadata) {
        if let Ok(name) = std::str::from_utf8(name)
            && !event.has(Place::Metadata, name)
            && !name.starts_with("code")
        {
            event.set(Place::Metadata, name, |out| out.extend_from_slice(value.text()));
        }
    }
    // What went out before a restart was less: it is another record, and must not be dropped as a repeat of that one.
    if replayed {
        event.set_origin(second.origin().clone());
    }
    let mode = record.mode.or(second_record.mode);
    let code = if record.kind == Kind::Structured { merge(other, code) } else { merge(code, other) };
    Held {
        event,
        record: Record { kind: Kind::Combined, mode, code, time_ms: record.time_ms },
        acks,
        replayed,
    }
}
