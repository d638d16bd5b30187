//! Reads one log on from where it stopped, a turn at a time.
//!
//! Nothing is kept in memory between turns but positions and marks: the beginning of a line that is not whole is read
//! again when more of it is there. Each turn first looks whether what stands in front of its position is still what it
//! was; a file that was cut off or written anew is told from one that grew, however long it is by now.

use super::input::{Input, Place, Trouble};
use super::mark::{HEAD_BYTES, Mark, TAIL_BYTES};
use crate::codec::framing::{Buffers, Framer, Parked};
use crate::codec::sieve::{Seen, Sieve};
use crate::codec::{Chunk, Settings};
use crate::event::fingerprint;
use std::io;

/// Bytes that one turn reads, before others have theirs.
const TURN_BYTES: usize = 1024 * 1024;
/// Bytes in front of a position that are read again after a restart, at most: about a record more than what
/// [`Progress`](crate::delivery::Progress) asks for. Farther back, it would cost more than it is good for.
const REPLAY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What turns have in common.
pub struct Tools {
    /// What to decode for.
    pub settings: Settings,
    /// Where to read into.
    pub buffers: Buffers,
    /// Leaves out what nobody wants.
    pub sieve: Sieve,
}

/// Where the reading of one log stands.
#[derive(Debug, Default)]
pub struct Tail {
    /// Its first line.
    pub head: Option<Mark>,
    /// Part of every `%id`; known with the head.
    pub fingerprint: u64,
    /// What stands in front of the end of what was read.
    pub last: Mark,
    /// Where the last line begins, if it was handed on without its newline.
    pub cut_line: Option<u64>,
    /// The line that was cut before, if it has been mended since.
    pub mended: Option<Cut>,
    /// What is to be handed on next.
    pub parked: Parked,
    /// From where on to read what was delivered before, at the next turn.
    pub replay_from: Option<u64>,
    /// How many times this file was written anew from the same first line on; known with the head.
    pub generation: u64,
    /// First lines, with their generation, of files that had this inode before.
    pub earlier: Vec<(Mark, u64)>,
    /// What the sieve has seen of it.
    pub sifted: Option<Seen>,
}

/// A last line that was handed on without its newline.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Where it begins.
    pub start: u64,
    /// Where it ended.
    pub end: u64,
}

/// What one turn gave.
#[derive(Debug, Default)]
pub struct Turn {
    /// What was delivered before, and is read again for those who remember.
    pub context: Option<Chunk>,
    /// What is new, and the offset that each ends at.
    pub pieces: Vec<(Chunk, u64)>,
    /// The fingerprint of the last piece, where it is a line without its newline.
    pub cut: Option<u64>,
    /// How it ended.
    pub end: End,
}

/// Where a turn began.
struct Before {
    last: Mark,
    parked: Parked,
    cut_line: Option<u64>,
    replay_from: Option<u64>,
}

/// How a turn ended.
#[derive(Debug, Default)]
pub enum End {
    /// Nothing is new.
    #[default]
    Idle,
    /// There is more to read.
    More,
    /// All of what is there has been read.
    Read,
    /// It is another file by now: cut off, or written anew.
    Replaced,
    /// It could not be read on.
    Trouble(Trouble),
}

impl Tail {
    /// Offset of the first byte that has not been handed on.
    pub fn offset(&self) -> u64 {
        self.parked.offset
    }

    /// Whether a file has all that was read of this one: it is its copy.
    pub fn is_in(&self, input: &mut Input) -> Result<bool, Trouble> {
        let Some(head) = self.head.filter(|head| head.bytes > 0) else { return Ok(false) };
        Ok(fits(&head, input)? && (self.last.bytes == 0 || fits(&self.last, input)?))
    }

    /// Whether a file of `len` bytes may become its copy: it begins likewise, as far as that can be told, and the rest has not
    /// been written yet.
    pub fn may_come_in(&self, input: &mut Input, len: u64) -> bool {
        match self.is_in(input) {
            Ok(true) => true,
            Err(Trouble::Unfinished) => true,
            Ok(false)
                if !input.is_packed()
                    && len < self.last.end().max(self.head.map_or(0, |head| head.end())) =>
            {
                self.head.is_some_and(|head| match len < head.end() {
                    // A line that is whole already is another one.
                    true => !has_line(input, head.at).unwrap_or(true),
                    false => fits(&head, input).unwrap_or(false),
                })
            }
            Ok(false) | Err(Trouble::Io(_) | Trouble::Broken(_)) => false,
        }
    }

    /// Reads on. `finish`: what is there is all that comes, and a last line without a newline counts.
    pub fn turn(&mut self, input: &mut Input, tools: &mut Tools, finish: bool) -> Turn {
        let mut turn = Turn::default();
        let before = Before {
            last: self.last,
            parked: self.parked.clone(),
            cut_line: self.cut_line,
            replay_from: self.replay_from,
        };
        if let Err(trouble) = self.try_turn(input, tools, finish, &mut turn) {
            turn.end = End::Trouble(trouble);
        }
        if !turn.pieces.is_empty() && !input.is_packed() && !self.was_the_same(&before, input) {
            turn = Turn { end: End::Replaced, ..Turn::default() };
            (self.last, self.parked) = (before.last, before.parked);
            (self.cut_line, self.replay_from) = (before.cut_line, before.replay_from);
        }
        turn
    }

    /// Whether a file is after a turn what it was before: it may have been cut off and grown again while it was read, and
    /// what was read would be neither the one nor the other.
    fn was_the_same(&self, before: &Before, input: &mut Input) -> bool {
        let marks = [Some(before.last).filter(|last| last.bytes > 0), self.head];
        marks.iter().flatten().all(|mark| matches!(fits(mark, input), Ok(true) | Err(_)))
    }

    fn try_turn(
        &mut self,
        input: &mut Input,
        tools: &mut Tools,
        finish: bool,
        turn: &mut Turn,
    ) -> Result<(), Trouble> {
        let mut recent = Recent::default();
        // Of a packed file, what was passed is looked at again where it is unpacked from its beginning anyway: it does not
        // change, but another one may have its inode.
        if input.is_packed() {
            let is_known = self.head.is_some_and(|head| head.bytes > 0);
            if is_known && !input.is_under_way() && !self.is_in(input)? {
                turn.end = End::Replaced;
                return Ok(());
            }
            let mut next = [0; 2];
            if self.cut_line.is_some() {
                let seen = input.fill_at(&mut next, self.last.end())?;
                self.mend_cut_line(next.get(..seen).unwrap_or_default());
            }
        } else {
            let mut next = [0; TAIL_BYTES + 2];
            let seen = input.fill_at(&mut next, self.last.at)?;
            let had = (self.last.bytes as usize).min(TAIL_BYTES);
            let before = next.get(..had).unwrap_or_default();
            let new = next.get(had..seen).unwrap_or_default();
            if new.is_empty() && !finish && seen == had {
                return Ok(());
            }
            let is_same = seen >= had && (had == 0 || Mark::of(self.last.at, before) == self.last);
            // What stands in front may have been written before; the first line tells the rest.
            let begins_the_same = self.head.map_or(Ok(true), |head| fits(&head, input))?;
            if !is_same || !begins_the_same {
                turn.end = End::Replaced;
                return Ok(());
            }
            self.mend_cut_line(new);
            recent.push(before);
        }
        if self.head.is_none() {
            // Why its first line is not there.
            return if input.is_packed() { input.fill_at(&mut [0; HEAD_BYTES], 0).map(drop) } else { Ok(()) };
        }
        turn.context = self.context(input)?;
        self.read(input, tools, finish, recent, turn)
    }

    /// Goes on behind a last line that was handed on without its newline: where only that was missing, it is whole;
    /// where more came, it is handed on again, as the one line that it is.
    fn mend_cut_line(&mut self, new: &[u8]) {
        let Some(start) = self.cut_line.filter(|_| !new.is_empty()) else { return };
        let end = self.last.end();
        self.cut_line = None;
        self.mended = Some(Cut { start, end });
        self.parked = match new {
            [b'\n', ..] => Parked::at(end + 1),
            [b'\r', b'\n', ..] => Parked::at(end + 2),
            _ => Parked::at(start),
        };
    }

    /// Looks for the first line, and says whether it is there. A file is told from others by it: until it is whole, nothing
    /// is read. `finish`: what is there is all that comes.
    pub fn find_head(&mut self, input: &mut Input, place: Place, finish: bool) -> Result<bool, Trouble> {
        let mut bytes = [0; HEAD_BYTES];
        let mut at = 0;
        // A log that was cut off under a writer that keeps its place begins with a hole.
        let read = loop {
            let read = input.fill_at(&mut bytes, at)?;
            match bytes.get(..read).unwrap_or_default().iter().position(|&byte| byte != 0) {
                Some(0) => break read,
                Some(zeros) => at += zeros as u64,
                None if read == 0 => return Ok(false),
                None => at += read as u64,
            }
        };
        let bytes = bytes.get(..read).unwrap_or_default();
        let head = match memchr::memchr(b'\n', bytes) {
            Some(newline) => bytes.get(..=newline).unwrap_or(bytes),
            None if read == HEAD_BYTES || finish => bytes,
            None => return Ok(false),
        };
        self.set_head(Mark::of(at, head), place);
        Ok(true)
    }

    /// Takes what can be unpacked of a broken file for its first line, if it is nothing at all.
    pub fn make_head(&mut self, input: &mut Input, place: Place) {
        let (mut bytes, mut read) = ([0; HEAD_BYTES], 0);
        input.reopen();
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match input.read_at(rest, read as u64) {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
        }
        input.reopen();
        let bytes = bytes.get(..read).unwrap_or_default();
        let len = memchr::memchr(b'\n', bytes).map_or(read, |newline| newline + 1);
        self.set_head(Mark::of(0, bytes.get(..len).unwrap_or_default()), place);
    }

    fn set_head(&mut self, mark: Mark, place: Place) {
        self.head = Some(mark);
        // From the same first line on, its records would have the same ids as those of the file before.
        let same = self.earlier.iter().filter(|(earlier, _)| *earlier == mark);
        self.generation = same.map(|(_, generation)| generation + 1).max().unwrap_or(0);
        let parts = [&place.inode.to_be_bytes(), &mark.hash.to_be_bytes(), &self.generation.to_be_bytes()];
        self.fingerprint = fingerprint(&parts.map(|part| part.as_slice()));
        if self.parked.offset < mark.at {
            self.parked = Parked::at(mark.at);
        }
    }

    /// What was delivered before and is to be shown again, once.
    pub fn context(&mut self, input: &mut Input) -> Result<Option<Chunk>, Trouble> {
        let Some(from) = self.replay_from.take() else { return Ok(None) };
        let len = self.parked.offset.saturating_sub(from);
        if len == 0 || len > REPLAY_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = vec![0; len as usize];
        let is_whole = input.fill_at(&mut bytes, from)? == bytes.len();
        Ok(is_whole.then(|| Chunk::Lines { bytes: bytes.into(), offset: from }))
    }

    fn read(
        &mut self,
        input: &mut Input,
        tools: &mut Tools,
        finish: bool,
        mut recent: Recent,
        turn: &mut Turn,
    ) -> Result<(), Trouble> {
        let parked = std::mem::take(&mut self.parked);
        let mut at = parked.read_from();
        let limit = at.max(self.last.end()) + TURN_BYTES as u64;
        let mut framer = Framer::resume(tools.settings.max_record_bytes, &tools.buffers, parked);
        tools.sieve.go_on(self.sifted);
        if at != self.last.end() {
            recent = Recent::default();
        }
        let (mut trouble, mut framed_to) = (None, 0);
        turn.end = loop {
            // A line is read to its end, or else to the limit of records: it would be read again from its start.
            if at >= limit && (framed_to > 0 || framer.is_passing()) {
                break End::More;
            }
            let room = framer.room();
            let room_len = room.len();
            let read = match input.read_at(room, at) {
                Ok(0) => break End::Read,
                Ok(read) => read,
                Err(e) => {
                    trouble = Some(e);
                    break End::Read;
                }
            };
            at += read as u64;
            recent.push(room.get(..read).unwrap_or_default());
            for chunk in framer.filled(read) {
                framed_to = sift(chunk, &mut tools.sieve, &mut turn.pieces, framed_to);
            }
            if read < room_len && !input.is_packed() {
                break End::Read;
            }
        };
        turn.pieces.extend(tools.sieve.flush().map(|kept| (kept, framed_to)));
        self.sifted = Some(tools.sieve.seen());
        let is_whole = finish && matches!(turn.end, End::Read) && trouble.is_none();
        if let Some(chunk) = is_whole.then(|| framer.finish()).flatten() {
            if let Chunk::Lines { offset, .. } = &chunk {
                self.cut_line = Some(*offset);
                // It may come again, whole, and who drops repeats must not drop that: this is another record.
                turn.cut = Some(fingerprint(&[&self.fingerprint.to_be_bytes(), &at.to_be_bytes()]));
            }
            turn.pieces.push((chunk, at));
        }
        if let Some(mark) = recent.mark(at) {
            self.last = mark;
        }
        self.parked = framer.park(input.is_packed());
        trouble.map_or(Ok(()), Err)
    }
}

/// Whether a line ends within what a head may be long.
fn has_line(input: &mut Input, at: u64) -> Result<bool, Trouble> {
    let mut bytes = [0; HEAD_BYTES];
    let read = input.fill_at(&mut bytes, at)?;
    Ok(memchr::memchr(b'\n', bytes.get(..read).unwrap_or_default()).is_some())
}

/// Whether `mark` is in the file.
pub fn fits(mark: &Mark, input: &mut Input) -> Result<bool, Trouble> {
    let mut trouble = None;
    let fits = mark.fits(|bytes, at| match input.fill_at(bytes, at) {
        Ok(len) => Ok(len),
        Err(e) => {
            trouble = Some(e);
            Ok(0)
        }
    });
    match trouble {
        Some(trouble) => Err(trouble),
        None => fits.map_err(Trouble::Io),
    }
}

/// Hands on what can't be left out; gives the offset that it has come to.
fn sift(chunk: Chunk, sieve: &mut Sieve, pieces: &mut Vec<(Chunk, u64)>, before: u64) -> u64 {
    let end = match &chunk {
        Chunk::Lines { bytes, offset } => offset + bytes.len() as u64,
        Chunk::TooLong { offset, len, .. } => offset + len,
        Chunk::Sifted { .. } => before,
    };
    if let Some(back) = sieve.sift(chunk) {
        pieces.extend(sieve.flush().map(|kept| (kept, before)));
        pieces.push((back, end));
    }
    end
}

/// The last bytes that were read.
#[derive(Default)]
struct Recent(Vec<u8>);

impl Recent {
    fn push(&mut self, read: &[u8]) {
        let new = read.get(read.len().saturating_sub(TAIL_BYTES)..).unwrap_or(read);
        let kept = (self.0.len() + new.len()).saturating_sub(TAIL_BYTES);
        self.0.drain(..kept.min(self.0.len()));
        self.0.extend_from_slice(new);
    }

    /// Their mark, where they end at `end`.
    fn mark(&self, end: u64) -> Option<Mark> {
        (!self.0.is_empty()).then(|| Mark::of(end - self.0.len() as u64, &self.0))
    }
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Trouble {
        Trouble::Io(e)
    }
}
