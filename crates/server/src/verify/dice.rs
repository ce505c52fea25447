//! Chance from a seed: the same cuts in every run with it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pseudo-random numbers (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Others, so that several can throw at the same time without one's order changing the other's.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.word())
    }

    /// Any number.
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to 1, which never comes.
    pub(crate) fn share(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A client's masking key for one frame (RFC 6455 section 5.3).
    pub(crate) fn mask(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.word().to_ne_bytes();
        [a, b, c, d]
    }

    /// Below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // The bias of the remainder is nothing beside these ends.
        usize::try_from(self.word() % (end.max(1) as u64)).unwrap_or(0)
    }

    /// Up to `most`.
    pub(crate) fn time(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.share())
    }

    /// The time to the next of events that come at random, so many in a second on average.
    pub(crate) fn pause(&mut self, per_second: f64) -> Duration {
        let seconds = -(1.0 - self.share()).ln() / per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// A number that nobody foresaw: the standard library keys its hashers so.
pub(crate) fn chance() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_everywhere() {
        // The published generator's first numbers for this seed.
        let mut dice = Dice::new(1);
        assert_eq!((dice.word(), dice.word()), (10_451_216_379_200_822_465, 13_757_245_211_066_428_519));
        assert!((0..1_000).all(|_| dice.share() < 1.0));
    }

    #[test]
    fn pauses_have_their_mean() {
        let mut dice = Dice::new(7);
        let sum: Duration = (0..10_000).map(|_| dice.pause(50.0)).sum();
        assert!((190..210).contains(&sum.as_secs()), "{sum:?}");
        assert_eq!(dice.below(0), 0);
    }
}
