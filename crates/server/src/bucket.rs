//! A token bucket: how often somebody may do something, with the burst of one second.

use std::time::Instant;

/// Fills with `rate` tokens a second, holds as many as one second brings, at least one.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self { tokens: f64::from(rate.max(1)), at: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, rate: u32, now: Instant) -> bool {
        let rate = f64::from(rate.max(1));
        self.tokens = (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(rate);
        self.at = now;
        let some = self.tokens >= 1.0;
        if some {
            self.tokens -= 1.0;
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4, start);
        assert_eq!((0..6).filter(|_| bucket.take(4, start)).count(), 4);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..6).filter(|_| bucket.take(4, later)).count(), 2);
        let much_later = start + Duration::from_secs(100);
        assert_eq!(
            (0..9).filter(|_| bucket.take(4, much_later)).count(),
            4,
            "no more than one second's worth"
        );
    }
}
