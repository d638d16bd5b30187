//! Chance that can be had again: everything random in a test comes from one number, its seed, which a failure prints.
//!
//! `EVALTRAIL_SEED=17 cargo test --test suite <name>` runs a test with that seed alone.

use std::ops::RangeInclusive;

/// SplitMix64: small, and good enough to choose by.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number within `range`.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = range.into_inner();
        start + self.roll() % (end - start + 1)
    }

    /// An index below `len`.
    pub fn below(&mut self, len: usize) -> usize {
        self.within(0..=len as u64 - 1) as usize
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.roll() % 100 < percent
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A number from the environment.
pub fn number(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")),
        Err(_) => usual,
    }
}

/// The seeds of a test: as many as `variable` says, `usual` where it is not set; or the one of `EVALTRAIL_SEED`.
pub fn seeds(variable: &str, usual: u64) -> Vec<u64> {
    match number("EVALTRAIL_SEED", 0) {
        0 => (1..=number(variable, usual)).collect(),
        seed => vec![seed],
    }
}
