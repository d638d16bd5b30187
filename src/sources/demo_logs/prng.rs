//! Random numbers that are the same on every machine and in every release.
//!
//! A log is named by its seed, so the sequence is part of what we promise; a crate may change its own. SplitMix64
//! (Steele, Lea, Flood 2014) is enough: nothing here has to be hard to guess.

/// A SplitMix64 generator.
#[derive(Debug)]
pub struct Prng(u64);

/// The step between states: 2^64 divided by the golden ratio, odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Prng {
    /// Every seed is as good as any other.
    pub fn new(seed: u64) -> Self {
        Prng(seed)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number under `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        scale(self.draw(), end)
    }

    /// True once in `times`, on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A number of 0 to under 1.
    pub fn unit(&mut self) -> f64 {
        const BITS: u32 = 53;
        (self.draw() >> (64 - BITS)) as f64 / (1_u64 << BITS) as f64
    }
}

/// Spreads every bit of `number` over the whole result: a random number that depends on nothing else.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Brings `draw`, any number, under `end` without a division. Nearly even for the small `end`s used here.
pub fn scale(draw: u64, end: u64) -> u64 {
    ((u128::from(draw) * u128::from(end)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_reference() {
        let mut prng = Prng::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| prng.draw()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_stay_below_their_end_and_reach_it() {
        let mut prng = Prng::new(1);
        let seen: std::collections::BTreeSet<u64> = (0..1000).map(|_| prng.below(7)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        assert!((0..1000).map(|_| prng.unit()).all(|unit| (0.0..1.0).contains(&unit)));
    }
}
