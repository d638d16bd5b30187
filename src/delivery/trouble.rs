//! What is said of something that fails and is tried again: by itself, each try would be a line, and a receiver that is
//! down for a night would fill a disk with them.
//!
//! So it is said when it begins, when the reason is another one, every minute as long as it lasts, and when it works
//! again, with how long that took. All requests of a sink that are under way at a time are one in this: four lanes to
//! one server fail for one reason.

use super::clock::monotonic;
use super::meter::{Meter, Trouble};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A reason that lasts is said again after this long.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// Reasons that are told apart. Where as many were said within [`REMIND_EVERY`], another one is not.
const REASONS_MAX: usize = 8;
/// Characters of a reason that are compared and kept.
const REASON_CHARS_MAX: usize = 512;

/// Something that may fail, from the first failure to the next success.
#[derive(Debug, Default)]
pub struct Failing {
    since: Option<Instant>,
    retries: u64,
    /// Pieces of work that have failed and are tried again.
    attempts: u32,
    /// What was said, and when.
    told: Vec<(String, Instant)>,
}

/// For how long something has been failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// Since the first failure.
    pub time: Duration,
    /// How often it was tried again.
    pub retries: u64,
}

impl Failing {
    /// It has failed at `now`, and is tried again. Comes back where that is to be said.
    pub fn failed(&mut self, why: &str, now: Instant) -> Option<Lasting> {
        let time = now.saturating_duration_since(*self.since.get_or_insert(now));
        let lasting = Lasting { time, retries: self.retries };
        self.retries += 1;
        self.told.retain(|(_, at)| now.saturating_duration_since(*at) < REMIND_EVERY);
        let why: String = why.chars().take(REASON_CHARS_MAX).collect();
        if self.told.len() >= REASONS_MAX || self.told.iter().any(|(said, _)| *said == why) {
            return None;
        }
        self.told.push((why, now));
        Some(lasting)
    }

    /// It has worked at `now`. Comes back where it has failed before.
    pub fn worked(&mut self, now: Instant) -> Option<Lasting> {
        let kept = Failing { attempts: self.attempts, ..Failing::default() };
        let Failing { since, retries, .. } = std::mem::replace(self, kept);
        Some(Lasting { time: now.saturating_duration_since(since?), retries })
    }
}

/// What is said of a kind of work.
#[derive(Debug)]
pub struct Words {
    fails: &'static str,
    works: &'static str,
    /// What stands in front of the reason where somebody asks for it.
    because: &'static str,
}

/// A sink writes.
pub const WRITING: Words = Words { fails: "can't write", works: "can write again", because: "" };
/// A sink sends requests.
pub const DELIVERING: Words = Words { fails: "can't deliver", works: "delivers again", because: "" };
/// What a receiver refuses is kept.
pub const KEEPING: Words = Words {
    fails: "can't keep a rejected event",
    works: "can keep rejected events again",
    because: "what is rejected can't be kept: ",
};
/// A buffer on disk is written to.
pub const BUFFERING: Words = Words {
    fails: "can't write to the buffer on disk",
    works: "can write to the buffer on disk again",
    because: "its buffer on disk can't be written to: ",
};

/// A piece of work of a sink that is tried until it is done. Dropped without that, it was given up.
pub struct Attempt<'a> {
    meter: &'a Arc<Meter>,
    sink: &'a str,
    words: &'static Words,
    trouble: Option<Trouble>,
}

impl<'a> Attempt<'a> {
    /// One that has not been tried.
    pub fn new(meter: &'a Arc<Meter>, sink: &'a str, words: &'static Words) -> Attempt<'a> {
        Attempt { meter, sink, words, trouble: None }
    }

    /// It has failed, and is tried again in `wait`; `is_setup` where that may go on until somebody sees to it.
    pub fn failed(&mut self, why: &str, is_setup: bool, wait: Duration) {
        let Words { fails, because, .. } = *self.words;
        let reason = format!("{because}{why}");
        let is_new = self.trouble.is_none();
        match &self.trouble {
            Some(trouble) => trouble.go_on(&reason),
            None => self.trouble = Some(self.meter.trouble(&reason)),
        }
        self.meter.count_retry();
        let lasting = {
            let mut failing = self.meter.failing();
            let one = failing.entry(fails).or_default();
            one.attempts += u32::from(is_new);
            one.failed(why, monotonic())
        };
        let Some(lasting) = lasting else { return };
        let (sink, retry_in_ms) = (self.sink, wait.as_millis() as u64);
        // Of the first failure there is nothing more to tell.
        let again = lasting.retries > 0;
        let (retries, failing_secs) =
            (again.then_some(lasting.retries), again.then_some(lasting.time.as_secs()));
        if is_setup {
            let until = "until somebody sees to it";
            tracing::error!(sink, retry_in_ms, retries, failing_secs, "{fails} {until}: {why}");
        } else {
            tracing::warn!(sink, retry_in_ms, retries, failing_secs, "{fails}: {why}");
        }
    }

    /// It is done.
    pub fn worked(mut self) {
        self.end();
        let Words { fails, works, .. } = *self.words;
        let lasting = {
            let mut failing = self.meter.failing();
            // Others of the sink may still be at it.
            failing.get_mut(fails).filter(|one| one.attempts == 0).and_then(|one| one.worked(monotonic()))
        };
        let Some(Lasting { time, retries }) = lasting else { return };
        let (sink, failing_secs) = (self.sink, time.as_secs());
        let s = if retries == 1 { "y" } else { "ies" };
        tracing::info!(sink, retries, failing_secs, "{works}, after {failing_secs} s and {retries} retr{s}");
    }

    /// It is tried no more.
    fn end(&mut self) {
        if self.trouble.take().is_some()
            && let Some(one) = self.meter.failing().get_mut(self.words.fails)
        {
            one.attempts -= 1;
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once_a_minute() {
        let start = monotonic();
        let at = |secs| start + Duration::from_secs(secs);
        let mut failing = Failing::default();
        assert_eq!(failing.worked(at(0)), None);
        let said: Vec<u64> =
            (0..200).filter(|secs| failing.failed("no space", at(*secs)).is_some()).collect();
        assert_eq!(said, [0, 60, 120, 180]);
        // Another one is told at once, and the two do not take turns after that.
        assert!(failing.failed("no such folder", at(201)).is_some());
        assert!((202..230).all(|secs| {
            let why = if secs % 2 == 0 { "no space" } else { "no such folder" };
            failing.failed(why, at(secs)).is_none()
        }));
        let after = failing.worked(at(230)).unwrap();
        assert_eq!(after, Lasting { time: Duration::from_secs(230), retries: 229 });
        assert_eq!(failing.worked(at(231)), None);
        assert_eq!(failing.failed("no space", at(232)), Some(Lasting { time: Duration::ZERO, retries: 0 }));
    }

    #[test]
    fn it_is_over_when_nothing_of_its_kind_fails_any_more() {
        let meter = Arc::new(Meter::default());
        let is_failing =
            |words: &Words| meter.failing().get(words.fails).is_some_and(|one| one.since.is_some());
        let failed = |words| {
            let mut attempt = Attempt::new(&meter, "out", words);
            attempt.failed("no", false, Duration::ZERO);
            attempt
        };
        let (one, other, buffer) = (failed(&DELIVERING), failed(&DELIVERING), failed(&BUFFERING));
        one.worked();
        assert!(is_failing(&DELIVERING), "the other is still at it");
        buffer.worked();
        assert!(!is_failing(&BUFFERING), "that the sink fails is another matter");
        // Given up is not over: that is the next one that works.
        drop(other);
        assert!(is_failing(&DELIVERING) && meter.trouble_now().is_none());
        Attempt::new(&meter, "out", &DELIVERING).worked();
        assert!(!is_failing(&DELIVERING));
    }

    #[test]
    fn ever_new_reasons_end_somewhere() {
        let now = monotonic();
        let mut failing = Failing::default();
        let said = (0..1_000).filter(|n| failing.failed(&format!("{n}{}", "x".repeat(9_999)), now).is_some());
        assert_eq!(said.count(), REASONS_MAX);
        assert!(failing.told.iter().all(|(why, _)| why.len() <= REASON_CHARS_MAX));
        let later = now + REMIND_EVERY;
        assert!(failing.failed("another", later).is_some());
    }
}
