//! The delays between attempts to reconnect: the reference's formula (`contrib/backo2.ts`).

use std::time::Duration;

use crate::config::Reconnection;

/// Counts attempts and says how long to wait before the next.
#[derive(Debug)]
pub(super) struct Backoff {
    min: f64,
    max: f64,
    jitter: f64,
    attempts: u32,
    random: SplitMix,
}

impl Backoff {
    pub(super) fn new(reconnection: &Reconnection, seed: u64) -> Self {
        Self {
            min: millis(reconnection.delay),
            max: millis(reconnection.delay_max),
            jitter: reconnection.randomization,
            attempts: 0,
            random: SplitMix(seed),
        }
    }

    /// Attempts since the last reset, the one being waited for included.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The delay before the next attempt: whole milliseconds, as the reference truncates.
    pub(super) fn next_delay(&mut self) -> Duration {
        // 2^63 ms is beyond any maximum; further doubling would end at infinity.
        let exponent = i32::try_from(self.attempts.min(63)).unwrap_or(63);
        self.attempts = self.attempts.saturating_add(1);
        let plain = self.min * 2f64.powi(exponent);
        let ms = if self.jitter > 0.0 {
            let random = self.random.unit();
            let deviation = (random * self.jitter * plain).floor();
            if ((random * 10.0).floor() as u32) & 1 == 0 { plain - deviation } else { plain + deviation }
        } else {
            plain
        };
        Duration::from_millis(ms.min(self.max).max(0.0) as u64)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Enough randomness to keep clients apart; nothing secret is made of it.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    /// 0 up to but not including 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_without_jitter() {
        let mut backoff = Backoff::new(&Reconnection::default().randomization(0.0), 1);
        let delays: Vec<u128> = (0..5).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(backoff.attempts(), 5);
        backoff.reset();
        assert_eq!(backoff.next_delay().as_millis(), 1000);
    }

    #[test]
    fn jitter_stays_within_its_part_and_differs_between_seeds() {
        let mut different = std::collections::HashSet::new();
        for seed in 0..200 {
            let mut backoff = Backoff::new(&Reconnection::default(), seed);
            let first = backoff.next_delay().as_millis();
            assert!((500..=1500).contains(&first), "{first}");
            let second = backoff.next_delay().as_millis();
            assert!((1000..=3000).contains(&second), "{second}");
            different.insert((first, second));
        }
        assert!(different.len() > 150);
    }

    #[test]
    fn a_million_attempts_keep_to_the_maximum() {
        let mut backoff = Backoff::new(&Reconnection::default().delay_max(Duration::from_secs(7)), 3);
        assert!((0..1_000_000).all(|_| backoff.next_delay() <= Duration::from_secs(7)));
    }
}
