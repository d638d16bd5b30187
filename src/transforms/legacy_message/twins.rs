//! Finds the two records of one evaluation.
//!
//! They are paired by content, mode and users, never by position: records of other processes stand between them,
//! twins of different evaluations cross, either can be lost or come first. A complete record has gone out before its
//! twin comes, and is remembered by a keyed hash of its source; an incomplete one is held until its twin comes, or
//! until it has waited long enough. Each record is paired at most once, so the same cell run twice stays two
//! evaluations.

use super::record::{Code, Kind, Record, merge};
use crate::event::json::Json;
use crate::event::{Acks, Event, Place};
use crate::livebook::inspect::{Extent, Form};
use smallvec::SmallVec;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};

/// Records that have gone out and whose twin may still come.
const SEEN_MAX: usize = 1024;
/// Records that may pass while one is held.
const RECORDS_MAX: u64 = 200;
/// Bytes of records that are held.
const HELD_BYTES_MAX: usize = 8 << 20;
/// How much of a source is remembered for a twin that may be cut: the text format cuts behind 8,096 bytes.
const HEAD_BYTES: usize = 8192;

/// A record with its event.
#[derive(Debug)]
pub struct Held {
    /// The event.
    pub event: Event,
    /// What it says.
    pub record: Record,
    /// Its share in the acknowledgement of the batch that it came in, once it is held back.
    pub acks: Acks,
}

/// What becomes of a record.
#[derive(Debug)]
pub enum Fate {
    /// It goes out now.
    Out(Held),
    /// It goes out now, joined with one that was held.
    Joined(Held),
    /// Its twin has gone out already.
    Twin,
    /// It waits.
    Held,
}

#[derive(Debug)]
struct Seen {
    kind: Kind,
    users: u64,
    mode: Option<u64>,
    code: u64,
    /// The beginning of a structured record's source.
    head: Option<Box<[u8]>>,
    time_ms: i64,
}

#[derive(Debug)]
struct Waiting {
    held: Held,
    users: u64,
    since_ms: u64,
    /// Number of the record.
    number: u64,
}

/// The records that wait for their twin.
#[derive(Debug)]
pub struct Twins {
    wait_ms: u64,
    /// Keyed anew in each process: nobody can write two cells whose hashes agree.
    hash: RandomState,
    seen: VecDeque<Option<Seen>>,
    /// Number of the first of `seen`.
    first_seen: u64,
    by_code: HashMap<u64, SmallVec<[u64; 1]>>,
    waiting: VecDeque<Waiting>,
    records: u64,
}

impl Twins {
    /// Twins come within `wait_ms` of each other.
    pub fn new(wait_ms: u64) -> Twins {
        Twins {
            wait_ms,
            hash: RandomState::new(),
            seen: VecDeque::new(),
            first_seen: 0,
            by_code: HashMap::new(),
            waiting: VecDeque::new(),
            records: 0,
        }
    }

    /// When the first held record has waited long enough, in milliseconds since 1970.
    pub fn wake_at(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.since_ms + self.wait_ms)
    }

    /// Takes a record in; `acks` are its batch's, of which it takes a share where it is held.
    pub fn meet(&mut self, mut held: Held, acks: &Acks, now_ms: u64) -> Fate {
        self.records += 1;
        if held.record.kind == Kind::Combined {
            return Fate::Out(held);
        }
        let users = self.users_of(&held.event);
        if self.take_seen(&held.record, users) {
            return Fate::Twin;
        }
        if let Some(at) = self.waiting.iter().position(|waiting| self.are_twins(waiting, &held.record, users))
            && let Some(waiting) = self.waiting.remove(at)
        {
            return Fate::Joined(join(waiting.held, held));
        }
        if held.record.is_complete() {
            self.remember(&held.record, users);
            return Fate::Out(held);
        }
        held.event.detach();
        held.acks = acks.clone();
        self.waiting.push_back(Waiting { held, users, since_ms: now_ms, number: self.records });
        Fate::Held
    }

    /// Lets go of those that have waited long enough: by the clock, or, where a log is read faster than it was
    /// written, by the records that passed and by the time that they tell.
    pub fn expire(&mut self, now_ms: u64, log_ms: Option<i64>, last: bool) -> Vec<Held> {
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.held.event.size_bytes()).sum();
        let mut over = bytes.saturating_sub(HELD_BYTES_MAX);
        let mut expired = Vec::new();
        self.waiting.retain_mut(|waiting| {
            let size = waiting.held.event.size_bytes();
            let log_over = log_ms.is_some_and(|log| log - waiting.held.record.time_ms > self.wait_ms as i64);
            let done = last
                || over > 0
                || log_over
                || now_ms >= waiting.since_ms + self.wait_ms
                || self.records > waiting.number + RECORDS_MAX;
            if done {
                over = over.saturating_sub(size);
                let nothing = Event::new(waiting.held.event.origin().clone());
                expired.push(Held {
                    event: std::mem::replace(&mut waiting.held.event, nothing),
                    record: waiting.held.record.clone(),
                    acks: std::mem::take(&mut waiting.held.acks),
                });
            }
            !done
        });
        expired
    }

    fn users_of(&self, event: &Event) -> u64 {
        self.hash_of(event.get(Place::Metadata, "users").map(Json::text).unwrap_or_default())
    }

    fn hash_of(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    fn hash_code(&self, code: &Code) -> u64 {
        match code {
            Code::Whole(text) => self.hash_of(text),
            Code::WholeBytes(bytes) => !self.hash_of(bytes),
            _ => 0,
        }
    }

    /// Finds the twin among those that have gone out, and forgets it.
    fn take_seen(&mut self, record: &Record, users: u64) -> bool {
        let fits = |seen: &Seen| {
            let own = record.mode.as_deref().map(|mode| self.hash_of(mode));
            seen.kind != record.kind
                && seen.users == users
                && (seen.mode == own || seen.mode.is_none() || own.is_none())
                && seen.time_ms.abs_diff(record.time_ms) <= self.wait_ms
        };
        let hashed = |hash: u64| {
            let numbers = self.by_code.get(&hash)?;
            numbers.iter().copied().find(|&number| self.seen_at(number).is_some_and(&fits))
        };
        let any = |also: &dyn Fn(&Seen) -> bool| {
            let at = self
                .seen
                .iter()
                .position(|seen| seen.as_ref().is_some_and(|seen| fits(seen) && also(seen)))?;
            Some(self.first_seen + at as u64)
        };
        let starts =
            |seen: &Seen, bytes: &[u8]| seen.head.as_ref().is_some_and(|head| head.starts_with(bytes));
        let found = match &record.code {
            code @ (Code::Whole(_) | Code::WholeBytes(_)) => hashed(self.hash_code(code)),
            Code::Ambiguous { text, meaning } => {
                let literal = hashed(self.hash_code(&Code::whole(text.clone())));
                let meant = || (meaning.extent == Extent::Whole).then(|| Code::whole(meaning.bytes.clone()));
                literal.or_else(|| meant().and_then(|code| hashed(self.hash_code(&code))))
            }
            Code::Cut(bytes, _) => any(&|seen| starts(seen, bytes.get(..HEAD_BYTES).unwrap_or(bytes))),
            Code::Absent => any(&|_| true),
        };
        found.is_some_and(|number| self.forget(number))
    }

    fn seen_at(&self, number: u64) -> Option<&Seen> {
        let at = number.checked_sub(self.first_seen)?;
        self.seen.get(at as usize)?.as_ref()
    }

    fn remember(&mut self, record: &Record, users: u64) {
        // Only a legacy record is ever cut where its twin is whole.
        let head = (record.kind == Kind::Structured).then(|| record.code.bytes()).flatten();
        let head = head.map(|bytes| bytes.get(..HEAD_BYTES).unwrap_or(&bytes).into());
        let code = self.hash_code(&record.code);
        let mode = record.mode.as_deref().map(|mode| self.hash_of(mode));
        let number = self.first_seen + self.seen.len() as u64;
        self.by_code.entry(code).or_default().push(number);
        let (kind, time_ms) = (record.kind, record.time_ms);
        self.seen.push_back(Some(Seen { kind, users, mode, code, head, time_ms }));
        if self.seen.len() > SEEN_MAX {
            self.forget(self.first_seen);
        }
    }

    fn forget(&mut self, number: u64) -> bool {
        let at = (number - self.first_seen) as usize;
        let Some(seen) = self.seen.get_mut(at).and_then(Option::take) else { return false };
        if let Some(numbers) = self.by_code.get_mut(&seen.code) {
            numbers.retain(|known| *known != number);
            if numbers.is_empty() {
                self.by_code.remove(&seen.code);
            }
        }
        while let Some(None) = self.seen.front() {
            self.seen.pop_front();
            self.first_seen += 1;
        }
        true
    }

    /// Whether a held record and the one at hand are of one evaluation.
    fn are_twins(&self, waiting: &Waiting, record: &Record, users: u64) -> bool {
        let other = &waiting.held.record;
        let same_mode = other.mode == record.mode || other.mode.is_none() || record.mode.is_none();
        let (legacy, structured) = match (other.kind, record.kind) {
            (Kind::Legacy, Kind::Structured) => (&other.code, &record.code),
            (Kind::Structured, Kind::Legacy) => (&record.code, &other.code),
            _ => return false,
        };
        waiting.users == users
            && same_mode
            && other.time_ms.abs_diff(record.time_ms) <= self.wait_ms
            && self.agree(legacy, structured)
    }

    /// Whether both can be about one source.
    fn agree(&self, legacy: &Code, structured: &Code) -> bool {
        match (legacy, structured) {
            (Code::Absent, _) | (_, Code::Absent) => true,
            (Code::Cut(cut, Form::String { .. }), Code::Ambiguous { text, .. }) => text.starts_with(cut),
            (Code::Cut(cut, Form::Bytes { .. }), Code::Ambiguous { meaning, .. }) => {
                let limited = meaning.extent == Extent::Limited && cut.starts_with(&meaning.bytes);
                limited || meaning.bytes.starts_with(cut)
            }
            (Code::Cut(a, _), Code::Cut(b, _)) => a.starts_with(b) || b.starts_with(a),
            (Code::Cut(cut, _), whole) | (whole, Code::Cut(cut, _)) => {
                whole.bytes().is_some_and(|bytes| bytes.starts_with(cut))
            }
            (whole, Code::Ambiguous { text, meaning }) => {
                let Some(bytes) = whole.bytes() else { return false };
                *bytes == **text || meaning.extent == Extent::Whole && *bytes == *meaning.bytes
            }
            (a, b) => a.is_whole() && a == b,
        }
    }
}

/// One event of two: the one that was read first, with the best of both.
fn join(first: Held, second: Held) -> Held {
    let Held { mut event, record, mut acks } = first;
    acks.join(second.acks);
    for (name, value) in second.event.members(Place::Metadata) {
        if let Ok(name) = std::str::from_utf8(name)
            && !event.has(Place::Metadata, name)
            && !name.starts_with("code")
        {
            let value = value.text().to_vec();
            event.set(Place::Metadata, name, |out| out.extend_from_slice(&value));
        }
    }
    let mode = record.mode.or(second.record.mode);
    let code = match record.kind {
        Kind::Structured => merge(second.record.code, record.code),
        _ => merge(record.code, second.record.code),
    };
    Held { event, record: Record { kind: Kind::Combined, mode, code, time_ms: record.time_ms }, acks }
}
