//! How often something may happen, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A rate with a burst of one second's worth (a "generic cell rate algorithm": the time up to which the rate is used up).
#[derive(Debug)]
pub(crate) struct Rate {
    start: Instant,
    /// Nanoseconds since `start`, plus a second.
    used: AtomicU64,
    /// Nanoseconds that each takes.
    period: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Rate {
    pub(crate) fn per_second(rate: u32, start: Instant) -> Self {
        Self { start, used: AtomicU64::new(0), period: SECOND / u64::from(rate.max(1)) }
    }

    /// Whether one more may happen; if so, it counts.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let elapsed = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let now = elapsed.saturating_add(SECOND);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let used = used.max(now - SECOND) + self.period;
            (used <= now).then_some(used)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let rate = Rate::per_second(4, start);
        let taken = |at: Duration| (0..9).filter(|_| rate.take(start + at)).count();
        assert_eq!(taken(Duration::ZERO), 4);
        assert_eq!(taken(Duration::from_millis(500)), 2);
        assert_eq!(taken(Duration::from_millis(600)), 0);
        assert_eq!(taken(Duration::from_secs(100)), 4, "no more than one second's worth");
    }
}
