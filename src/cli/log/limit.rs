//! How much of one message gets through: the first few of a window, and then how many more there were.
//!
//! One message is a line of the program and the component that it is about: what differs in numbers or names of files is
//! the same message, and one noisy component does not silence another. Pure: who calls says what time it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use tracing::Level;
use tracing::callsite::Identifier;

/// Lines of one message that get through in a window.
const LINES_MAX: u32 = 5;
/// How long a window is.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Messages of single components that are told apart. While there are more, those of further components count as one,
/// and how many lines there are in the program is known.
const WINDOWS_MAX: usize = 256;
/// Characters that are kept of a line that was held back, as an example.
const EXAMPLE_CHARS_MAX: usize = 256;

/// What one message is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The line of the program.
    pub callsite: Identifier,
    /// What the line is about, by its fields.
    pub about: Vec<(&'static str, String)>,
}

/// Whether a line gets through.
#[derive(Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It does.
    Pass,
    /// It does, and tells of those that were held back since the last one.
    PassFor(Held),
    /// It does not. `first` says that it is the first one of its window, of which an example is to be kept.
    Hold {
        /// See above.
        first: bool,
    },
}

/// What was held back of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// How loud it is.
    pub level: Level,
    /// What it is about.
    pub about: Vec<(&'static str, String)>,
    /// The first line of them.
    pub example: String,
    /// How many there were.
    pub lines: u64,
    /// How many events they have told of.
    pub events: u64,
    /// In how many seconds.
    pub secs: u64,
}

struct Window {
    since: Instant,
    level: Level,
    passed: u32,
    held: u64,
    events: u64,
    example: String,
}

/// Counts what gets through.
#[derive(Default)]
pub struct Limiter {
    windows: HashMap<Key, Window>,
}

impl Limiter {
    /// Judges a line of `key` that tells of so many events and comes at `now`. `key` is what it counts as from then on.
    pub fn judge(&mut self, key: &mut Key, level: Level, events: u64, now: Instant) -> Ruling {
        if !self.windows.contains_key(key) && self.windows.len() >= WINDOWS_MAX {
            self.windows.retain(|_, window| window.held > 0 || !window.is_over(now));
            if self.windows.len() >= WINDOWS_MAX {
                key.about.clear();
            }
        }
        let fresh = || Window { since: now, level, passed: 0, held: 0, events: 0, example: String::new() };
        let window = self.windows.entry(key.clone()).or_insert_with(fresh);
        let mut held = None;
        if window.is_over(now) {
            let over = std::mem::replace(window, fresh());
            held = over.held(&key.about, now);
        }
        if window.passed >= LINES_MAX {
            window.held += 1;
            window.events += events;
            return Ruling::Hold { first: window.held == 1 };
        }
        window.passed += 1;
        held.map_or(Ruling::Pass, Ruling::PassFor)
    }

    /// Keeps `text` as an example of what was held back of `key`.
    pub fn keep(&mut self, key: &Key, text: &str) {
        if let Some(window) = self.windows.get_mut(key) {
            window.example = text.chars().take(EXAMPLE_CHARS_MAX).collect();
        }
    }

    /// When the next window ends in which something was held back.
    pub fn next_end(&self) -> Option<Instant> {
        self.windows.values().filter(|window| window.held > 0).map(|window| window.since + WINDOW).min()
    }

    /// Takes what was held back in windows that are over at `now`; in all of them where `everything` is asked for.
    pub fn take(&mut self, now: Instant, everything: bool) -> Vec<Held> {
        let mut all: Vec<(Instant, Held)> = Vec::new();
        self.windows.retain(|key, window| {
            let is_over = everything || window.is_over(now);
            all.extend(window.held(&key.about, now).filter(|_| is_over).map(|held| (window.since, held)));
            !is_over
        });
        all.sort_by_key(|(since, _)| *since);
        all.into_iter().map(|(_, held)| held).collect()
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }

    fn held(&self, about: &[(&'static str, String)], now: Instant) -> Option<Held> {
        let secs = now.saturating_duration_since(self.since).as_secs_f64().round() as u64;
        (self.held > 0).then(|| Held {
            level: self.level,
            about: about.to_vec(),
            example: self.example.clone(),
            lines: self.held,
            events: self.events,
            secs: secs.max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::callsite::Callsite;
    use tracing::{Metadata, subscriber::Interest};

    fn key(about: &str) -> Key {
        let about = Vec::from([("source", about.to_owned())]);
        Key { callsite: callsite(), about }
    }

    fn callsite() -> Identifier {
        struct Here;
        impl Callsite for Here {
            fn set_interest(&self, _: Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                panic!("nobody asks")
            }
        }
        static HERE: Here = Here;
        Identifier(&HERE)
    }

    #[test]
    fn a_few_pass_and_the_rest_is_counted() {
        let start = crate::delivery::clock::monotonic();
        let at = |ms| start + Duration::from_millis(ms);
        let mut limiter = Limiter::default();
        let mut judge = |about: &str, ms| limiter.judge(&mut key(about), Level::WARN, 3, at(ms));
        assert!((0..5).all(|ms| judge("a", ms) == Ruling::Pass));
        assert_eq!(judge("a", 5), Ruling::Hold { first: true });
        assert_eq!(judge("a", 6), Ruling::Hold { first: false });
        // Another component has its own.
        assert_eq!(judge("b", 7), Ruling::Pass);
        let held = |lines, secs| Held {
            level: Level::WARN,
            about: key("a").about,
            example: String::new(),
            lines,
            events: 3 * lines,
            secs,
        };
        assert_eq!(judge("a", 10_500), Ruling::PassFor(held(2, 11)));
        assert!((0..4).all(|ms| judge("a", 10_501 + ms) == Ruling::Pass));
        judge("a", 10_600);
        limiter.keep(&key("a"), &"x".repeat(10_000));
        assert_eq!(limiter.next_end(), Some(at(20_500)));
        assert_eq!(limiter.take(at(20_499), false), []);
        let example = "x".repeat(EXAMPLE_CHARS_MAX);
        assert_eq!(limiter.take(at(20_500), false), [Held { example, ..held(1, 10) }]);
        assert_eq!((limiter.next_end(), limiter.take(at(30_000), true)), (None, Vec::new()));
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost_by_it() {
        let now = crate::delivery::clock::monotonic();
        let mut limiter = Limiter::default();
        let (mut passed, mut held) = (0, 0);
        for number in 0..1_000 {
            for _ in 0..7 {
                match limiter.judge(&mut key(&number.to_string()), Level::ERROR, 1, now) {
                    Ruling::Hold { .. } => held += 1,
                    _ => passed += 1,
                }
            }
        }
        assert!(limiter.windows.len() <= WINDOWS_MAX + 1);
        assert_eq!(passed + held, 7_000);
        let told = limiter.take(now, true);
        assert_eq!(told.iter().map(|held| held.lines).sum::<u64>(), held);
        assert_eq!(told.iter().map(|held| held.events).sum::<u64>(), held);
        assert!(limiter.windows.is_empty());
    }
}
