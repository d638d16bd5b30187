//! How long to wait before trying again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Exponential back-off with full jitter: each wait is drawn between zero and a ceiling that doubles, so that many
/// senders do not come back together.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
    initial: Duration,
    max: Duration,
    seed: RandomState,
    drawn: u64,
}

impl Backoff {
    /// The first wait is at most `initial`, no wait is longer than `max`.
    pub fn new(initial: Duration, max: Duration) -> Backoff {
        Backoff { ceiling: initial, initial, max, seed: RandomState::new(), drawn: 0 }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.drawn += 1;
        // The top 53 bits of a keyed hash as a fraction: random enough to spread, and no dependency.
        let fraction = (self.seed.hash_one(self.drawn) >> 11) as f64 / (1u64 << 53) as f64;
        let wait = self.ceiling.mul_f64(fraction);
        self.ceiling = (self.ceiling * 2).min(self.max);
        wait
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.ceiling = self.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_up_to_the_maximum() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for ceiling in [1, 2, 4, 8, 16, 30, 30] {
            assert!(backoff.next_wait() <= Duration::from_secs(ceiling));
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_secs(1));
    }
}
