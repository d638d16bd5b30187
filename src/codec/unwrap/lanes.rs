//! Keeps apart what several containers and streams have written into one log.
//!
//! Lines are collected lane by lane and decoded at the end of each window, so that a record of many lines is not tried
//! anew with each of them. The records of a window then go on in the order of the log.
//!
//! What is held is bounded: so many lanes, and so many bytes over all of them. Over that, the lane that was not used
//! for the longest time is completed, as if its stream had ended.

use super::lane::Lane;
use super::shape::{Wanted, peel};
use crate::codec::decode::{Decoded, Settings, Window};
use crate::codec::inner::Inner;
use crate::event::Demand;

/// Containers and streams that are kept apart at a time.
const LANES_MAX: usize = 64;
/// Bytes that all lanes may hold together, besides one record of the greatest length: parts of lines, open records, and
/// sources whose twins may still come.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The lanes of one log.
#[derive(Debug)]
pub struct Lanes {
    settings: Settings,
    depth: usize,
    wanted: Wanted,
    lanes: Vec<Lane>,
    /// Where the lane stands that was used last: the next line is likely to be for it.
    last: usize,
    uses: u64,
    /// The key of the line at hand.
    key: Vec<u8>,
    /// Offset of the last line.
    offset: u64,
}

impl Lanes {
    /// Lanes for lines that stand inside `depth` wrappers.
    pub fn new(settings: &Settings, depth: usize) -> Lanes {
        let any = Wanted::Any { seen_vague: false };
        let wanted = settings.unwrap.named().map_or(any, Wanted::Only);
        let depth = if wanted == any { depth } else { super::NESTING_MAX };
        let (settings, lanes, key) = (*settings, Vec::new(), Vec::new());
        Lanes { settings, depth, wanted, lanes, last: 0, uses: 0, key, offset: 0 }
    }

    /// See [`Decoder::want`](crate::codec::Decoder::want).
    pub fn want(&mut self, demand: Demand, check_all: bool) {
        self.settings.want(demand, check_all);
        for lane in &mut self.lanes {
            lane.want(demand, check_all);
        }
    }

    /// Takes over what is known of the same log from before.
    pub fn inherit(&mut self, before: &Lanes) {
        self.wanted = before.wanted;
        self.uses = before.uses;
        self.lanes = before.lanes.iter().map(|lane| lane.heir(&self.settings, self.depth)).collect();
    }

    /// For codecs that have no eye for wrappers: decodes lines of which those that have the shape are taken here, and
    /// the others by `bare`.
    pub fn decode(&mut self, window: &Window, bare: &mut Inner, out: &mut Decoded) {
        let (events, faults) = (out.events.len(), out.faults.len());
        let (mut at, mut bare_from) = (0, 0);
        let hand_on = |from: usize, to: usize, bare: &mut Inner, out: &mut Decoded| {
            if from < to {
                let mut lines = window.behind(from);
                lines.bytes.truncate(to - from);
                bare.decode(lines, out);
            }
        };
        while at < window.bytes.len() {
            let line = window.line(at);
            let fits = line.len() <= self.settings.max_record_bytes;
            if fits && self.take_if_text(line, window, window.offset_at(at), out) {
                hand_on(bare_from, at, bare, out);
                bare_from = at + line.len();
            }
            at += line.len();
        }
        hand_on(bare_from, at, bare, out);
        self.flush(out);
        out.sort_from(events, faults);
    }

    /// JSON that is not UTF-8 is a fault as it stands; other wrappers may stand around any bytes.
    fn take_if_text(&mut self, line: &[u8], window: &Window, offset: u64, out: &mut Decoded) -> bool {
        let is_json = line.trim_ascii_start().first() == Some(&b'{');
        (!is_json || window.is_text(line)) && self.take(line, offset, out)
    }

    /// Takes a line that stood at `offset`; whether it was wrapped.
    pub fn take(&mut self, line: &[u8], offset: u64, out: &mut Decoded) -> bool {
        self.key.clear();
        let Some(peeled) = peel(line, self.wanted, &mut self.key) else { return false };
        if peeled.is_vague {
            self.wanted = Wanted::Any { seen_vague: true };
        }
        self.offset = offset;
        self.uses += 1;
        let uses = self.uses;
        let lane = self.lane(peeled.container.as_deref(), out);
        if let Some(lane) = lane {
            lane.used = uses;
            lane.take(&peeled, line, offset, out);
        }
        true
    }

    /// The lane of the line at hand.
    fn lane(&mut self, container: Option<&[u8]>, out: &mut Decoded) -> Option<&mut Lane> {
        let is_it = |lane: &Lane| *lane.key == *self.key;
        if !self.lanes.get(self.last).is_some_and(is_it) {
            self.last = self.lanes.iter().position(is_it).unwrap_or_else(|| {
                while self.lanes.len() >= LANES_MAX {
                    evict(&mut self.lanes, out);
                }
                let name = |bytes| String::from_utf8_lossy(bytes).trim_start_matches('/').to_owned();
                let lane = Lane::new(&self.settings, self.depth, &self.key, container.map(name));
                self.lanes.push(lane);
                self.lanes.len() - 1
            });
        }
        self.lanes.get_mut(self.last)
    }

    /// Decodes what the lanes have collected; to be called at the end of each window.
    pub fn flush(&mut self, out: &mut Decoded) {
        for lane in &mut self.lanes {
            lane.flush(out);
            lane.silence_among_others(self.offset, out);
        }
        let most = HELD_BYTES_MAX + self.settings.max_record_bytes;
        while self.lanes.len() > 1 && self.held_bytes() > most {
            evict(&mut self.lanes, out);
        }
    }

    /// When [`Lanes::silence`] is due.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.lanes.iter().filter_map(Lane::deadline_ms).min()
    }

    /// Offset of the first byte that is held.
    pub fn held_from(&self) -> Option<u64> {
        self.lanes.iter().filter_map(Lane::held_from).min()
    }

    /// How many bytes are held.
    pub fn held_bytes(&self) -> usize {
        self.lanes.iter().map(Lane::held_bytes).sum()
    }

    /// Nothing has come for a while: what is overdue leaves.
    pub fn silence(&mut self, out: &mut Decoded) {
        for lane in &mut self.lanes {
            lane.silence(out);
        }
    }

    /// Nothing more comes.
    pub fn complete(&mut self, out: &mut Decoded) {
        for lane in &mut self.lanes {
            lane.complete(out);
        }
    }
}

/// Completes the lane that was not used for the longest time, and forgets it.
fn evict(lanes: &mut Vec<Lane>, out: &mut Decoded) {
    let oldest = lanes.iter().enumerate().min_by_key(|(_, lane)| lane.used).map(|(at, _)| at);
    if let Some(at) = oldest {
        lanes.swap_remove(at).complete(out);
    }
}
