//! A file that is watched: where it lies, whether it is open, when to look at it again.

use super::checkpoints::Checkpoint;
use super::discover::Found;
use super::input::{Input, Place};
use super::lag::Lag;
use super::mark::{Mark, TAIL_BYTES};
use super::tail::Tail;
use crate::delivery::{Position, Progress, Trouble};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file with nothing new is looked at after this long, then after twice as long, up to [`LOOK_MAX`].
const LOOK_MIN: Duration = Duration::from_millis(4);
const LOOK_MAX: Duration = Duration::from_millis(200);
/// One that has had nothing new for this long is looked at less often, so that thousands of them cost next to nothing.
const IDLE_AFTER: Duration = Duration::from_secs(60);
const LOOK_IDLE: Duration = Duration::from_millis(500);
/// A rotated file that has been read to its end is hardly ever written to again.
const LOOK_DONE: Duration = Duration::from_secs(1);

/// What is to be expected of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It grows.
    Live,
    /// It has been read to its end, its last line included.
    Done,
    /// There is no such file any more.
    Gone {
        /// Since when, in milliseconds since 1970.
        since_ms: u64,
    },
}

/// A file that is watched.
pub struct Watched {
    /// Where it was last seen.
    pub path: PathBuf,
    /// Number of the log whose rotated files belong together.
    pub family: u32,
    /// Its inode; none once the file there is another one.
    pub place: Option<Place>,
    /// The inode it had last.
    pub inode: u64,
    /// Its length as it was last seen, in bytes.
    pub len: u64,
    /// When it was last written to, as it was last seen.
    pub modified_ms: u64,
    /// What is to be expected of it.
    pub phase: Phase,
    /// Since when it has had another name, or none.
    pub rotated: Option<Instant>,
    /// The file, where it is open.
    pub input: Option<Input>,
    /// Where the reading stands.
    pub tail: Tail,
    /// Where the delivery stands.
    pub progress: Arc<Progress>,
    /// Whether it was read before a restart, and nothing of it has been shown since.
    pub is_claimed: bool,
    /// Whether it was made known to who decodes it.
    pub told: bool,
    /// When to look at it; none where only its growth, seen from outside, is a reason to open it.
    pub due: Option<Instant>,
    /// When it last had something new.
    pub news: Instant,
    wait: Duration,
    mark: Mark,
    /// What was last said of what is wrong with it.
    pub trouble: String,
    /// Held for as long as it can't be read.
    pub failing: Option<Trouble>,
    lag: Lag,
}

impl Watched {
    /// A file that was found, read on from where `checkpoint` says, or as `tail` says.
    pub fn new(found: &Found, family: u32, checkpoint: Option<&Checkpoint>, now: Instant) -> Watched {
        let position = checkpoint.map_or(Position::default(), |checkpoint| Position {
            delivered: checkpoint.offset,
            context: checkpoint.context,
        });
        Watched {
            path: found.path.clone(),
            family,
            place: Some(found.place),
            inode: found.place.inode,
            len: found.len,
            modified_ms: found.modified_ms,
            phase: Phase::Live,
            rotated: None,
            input: None,
            tail: checkpoint.map_or_else(Tail::default, Checkpoint::tail),
            progress: Progress::new(position),
            is_claimed: checkpoint.is_some(),
            told: false,
            due: Some(now),
            news: now,
            wait: LOOK_MIN,
            mark: checkpoint.map_or_else(Mark::default, |checkpoint| checkpoint.tail),
            trouble: String::new(),
            failing: None,
            lag: Lag::default(),
        }
    }

    /// How many bytes of it are not delivered, and for how long the oldest of them has been there. Of a packed file the
    /// position counts unpacked bytes, so nothing is known before it is done.
    pub fn behind(&mut self, now: Instant) -> (u64, Duration) {
        if self.input.as_ref().is_some_and(Input::is_packed) || self.phase == Phase::Done {
            return (0, Duration::ZERO);
        }
        let delivered = self.progress.position().delivered;
        self.lag.look(now, self.len.max(self.tail.offset()), delivered)
    }

    /// How many bytes of it, as it stands on the disk, are not delivered: of a packed one, those that are not unpacked.
    pub fn left(&self) -> u64 {
        let is_done = self.phase != Phase::Live && self.progress.is_settled();
        match self.input.as_ref() {
            _ if is_done => 0,
            Some(input) if input.is_packed() => self.len.saturating_sub(input.unpacked_up_to()),
            _ => self.len.saturating_sub(self.progress.position().delivered),
        }
    }

    /// Whether there is a file.
    pub fn is_there(&self) -> bool {
        !matches!(self.phase, Phase::Gone { .. })
    }

    /// Whether it is to be looked at.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Whether all that was handed on is delivered.
    pub fn is_delivered(&self) -> bool {
        self.progress.is_settled() && self.progress.position().delivered >= self.tail.offset()
    }

    /// It had something new: more may come soon.
    pub fn had_news(&mut self, now: Instant) {
        self.phase = Phase::Live;
        self.news = now;
        self.wait = LOOK_MIN;
        self.due = Some(now + self.wait);
    }

    /// It had nothing new: it can wait for longer.
    pub fn had_nothing(&mut self, now: Instant) {
        let longest = if now > self.news + IDLE_AFTER { LOOK_IDLE } else { LOOK_MAX };
        self.wait = (self.wait * 2).min(longest);
        self.due = Some(now + if self.phase == Phase::Done { LOOK_DONE } else { self.wait });
    }

    /// It has another name, or none. What was written to it until then is read before its successor.
    pub fn was_rotated(&mut self, now: Instant) {
        if self.rotated.is_none() {
            self.rotated = Some(now);
            self.due = self.due.map(|_| now);
        }
    }

    /// It lies somewhere else, or has another length.
    pub fn saw(&mut self, found: &Found, now: Instant) {
        if self.path != found.path {
            self.was_rotated(now);
            self.path.clone_from(&found.path);
        }
        if self.input.is_none() && (self.len, self.modified_ms) != (found.len, found.modified_ms) {
            self.due = Some(now);
        }
        (self.len, self.modified_ms) = (found.len, found.modified_ms);
    }

    /// It goes on in the file that was found, a copy of what it was.
    pub fn goes_on_in(&mut self, found: &Found, input: Option<Input>, now: Instant) {
        self.saw(found, now);
        (self.place, self.inode) = (Some(found.place), found.place.inode);
        (self.phase, self.input, self.due) = (Phase::Live, input, Some(now));
        self.rotated = self.rotated.or(Some(now));
    }

    /// Whether it has been rotated, and nothing new has come for `quiet` since.
    pub fn is_left(&self, quiet: Duration, now: Instant) -> bool {
        self.rotated.is_some_and(|since| since.max(self.news) + quiet <= now)
    }

    /// It is not where it was seen: wherever it is seen next, it is to be looked at.
    pub fn lose(&mut self) {
        (self.due, self.len, self.modified_ms, self.failing) = (None, 0, 0, None);
        self.phase = Phase::Live;
    }

    /// There is no such file any more.
    pub fn vanish(&mut self, now_ms: u64) {
        if self.is_there() {
            self.phase = Phase::Gone { since_ms: now_ms };
        }
        (self.input, self.place, self.due, self.failing) = (None, None, None, None);
    }

    /// Lets go of the file; it is opened again when it has grown.
    pub fn close(&mut self) {
        self.checkpoint();
        // What was seen of it from outside may be more than what was read.
        if self.input.as_ref().is_some_and(|input| !input.is_packed()) {
            self.len = self.tail.last.end();
        }
        self.tail.replay_from = Some(self.progress.position().context);
        (self.input, self.due, self.told) = (None, None, false);
    }

    /// What is to be known of it after a restart.
    pub fn checkpoint(&mut self) -> Option<Checkpoint> {
        let head = self.tail.head?;
        let Position { delivered, context } = self.progress.position();
        if self.mark.end() != delivered || self.mark.bytes == 0 {
            self.mark = self.mark_before(delivered);
        }
        let gone_since_ms = match self.phase {
            Phase::Gone { since_ms } => Some(since_ms),
            Phase::Live | Phase::Done => None,
        };
        let cut_line = match self.tail.mended {
            // Nothing behind the cut has arrived yet: after a restart it is mended again.
            Some(cut) if cut.end == delivered => Some(cut.start),
            _ => self.tail.cut_line.filter(|_| delivered == self.tail.offset()),
        };
        let is_over = self.phase != Phase::Live && self.is_delivered();
        Some(Checkpoint {
            rotated: self.rotated.is_some() && !is_over,
            path: self.path.to_string_lossy().into_owned(),
            inode: self.inode,
            head,
            fingerprint: self.tail.fingerprint,
            generation: self.tail.generation,
            offset: delivered,
            context,
            tail: self.mark,
            cut_line,
            gone_since_ms,
        })
    }

    fn mark_before(&mut self, offset: u64) -> Mark {
        if self.tail.last.end() == offset {
            return self.tail.last;
        }
        let nothing = Mark::of(offset, b"");
        let Some(input) = self.input.as_mut().filter(|input| !input.is_packed()) else { return nothing };
        let at = offset.saturating_sub(TAIL_BYTES as u64);
        let mut bytes = vec![0; (offset - at) as usize];
        match input.fill_at(&mut bytes, at) {
            Ok(len) if len == bytes.len() => Mark::of(at, &bytes),
            _ => nothing,
        }
    }
}
