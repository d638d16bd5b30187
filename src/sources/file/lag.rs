//! How far the delivery is behind the end of a file, in bytes and in time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Lengths that are remembered of a file; of a longer past every second one is forgotten.
const SEEN_MAX: usize = 256;

/// When a file had which length.
#[derive(Debug, Default)]
pub struct Lag {
    /// The oldest first; only those beyond what is delivered.
    seen: VecDeque<(Instant, u64)>,
}

impl Lag {
    /// The file has `len` bytes now, of which so many are delivered. Gives how many are not, and for how long the oldest
    /// of them has been seen there.
    pub fn look(&mut self, now: Instant, len: u64, delivered: u64) -> (u64, Duration) {
        // It was cut off or written anew.
        self.seen.retain(|(_, seen)| *seen > delivered && *seen <= len);
        if len > delivered && self.seen.back().is_none_or(|(_, seen)| *seen < len) {
            self.seen.push_back((now, len));
        }
        if self.seen.len() > SEEN_MAX {
            let mut at = 0;
            self.seen.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
        let since = self.seen.front().map_or(now, |(since, _)| *since);
        (len.saturating_sub(delivered), now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_byte_that_is_not_delivered_counts() {
        let start = crate::delivery::clock::monotonic();
        let at = |secs| start + Duration::from_secs(secs);
        let mut lag = Lag::default();
        let mut look = |secs, len, delivered| {
            let (bytes, time) = lag.look(at(secs), len, delivered);
            (bytes, time.as_secs())
        };
        assert_eq!(look(0, 100, 100), (0, 0));
        assert_eq!(look(1, 150, 100), (50, 0));
        assert_eq!(look(3, 200, 100), (100, 2));
        // What was there at 1 is delivered, what came until 3 is not.
        assert_eq!(look(4, 200, 160), (40, 1));
        assert_eq!(look(5, 200, 200), (0, 0));
        assert_eq!(look(9, 10, 0), (10, 0), "a new beginning");
        for secs in 10..2_000 {
            look(secs, secs * 10, 0);
        }
        assert_eq!(look(2_000, 20_000, 0), (20_000, 1_991));
        assert!(lag.seen.len() <= SEEN_MAX);
    }
}
