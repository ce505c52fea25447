//! What can happen to a session by itself: its timers, in one table.

use std::time::{Duration, Instant};

/// Everything that a session waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// The next ping is due (v4: the server pings).
    Ping,
    /// The client has been silent for too long: no pong (v4), no ping or other packet (v3).
    PongTimeout,
    /// The probing WebSocket has not finished its upgrade.
    Upgrade,
    /// A poll that waits gets another `noop`, so that the client can leave polling.
    NoopRepeat,
    /// A closing session has not been flushed.
    Close,
}

impl Timer {
    /// In the order in which timers that are due together fire. The timeout stands before the ping that
    /// arms it.
    pub(super) const ALL: [Self; COUNT] =
        [Self::PongTimeout, Self::Ping, Self::Upgrade, Self::NoopRepeat, Self::Close];
}

/// The deadlines, as nanoseconds since `base`: half the size of `Option<Instant>`.
#[derive(Clone, Debug)]
pub(super) struct TimerTable {
    base: Instant,
    deadlines: [u64; COUNT],
}

impl TimerTable {
    pub(super) fn new(now: Instant) -> Self {
        Self { base: now, deadlines: [UNARMED; COUNT] }
    }

    /// Arms `timer` to fire `after` from `now`, replacing an earlier deadline.
    pub(super) fn arm(&mut self, timer: Timer, now: Instant, after: Duration) {
        let after = u64::try_from(after.as_nanos()).unwrap_or(LATEST);
        self.deadlines[timer as usize] = self.offset(now).saturating_add(after).min(LATEST);
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = UNARMED;
    }

    pub(super) fn disarm_all(&mut self) {
        self.deadlines = [UNARMED; COUNT];
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize] != UNARMED
    }

    /// Disarms `timer` if its deadline has come, and says so.
    pub(super) fn expire(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.is_armed(timer) && self.deadlines[timer as usize] <= self.offset(now);
        if due {
            self.disarm(timer);
        }
        due
    }

    /// The deadline of `timer`, if it is armed.
    pub(super) fn deadline(&self, timer: Timer) -> Option<Instant> {
        self.instant(self.deadlines[timer as usize])
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.instant(self.deadlines.iter().copied().min()?)
    }

    fn instant(&self, at: u64) -> Option<Instant> {
        if at == UNARMED { None } else { self.base.checked_add(Duration::from_nanos(at)) }
    }

    /// A `now` before the session's birth counts as its birth.
    fn offset(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.base).as_nanos();
        u64::try_from(passed).unwrap_or(LATEST).min(LATEST)
    }
}

const COUNT: usize = 5;
const UNARMED: u64 = u64::MAX;
/// The latest deadline, a hundred years: longer ones are shortened to it, so that `Instant` can express all
/// of them.
const LATEST: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_is_next() {
        let now = Instant::now();
        let mut timers = TimerTable::new(now);
        assert_eq!(timers.next(), None);
        timers.arm(Timer::Close, now, Duration::from_secs(9));
        timers.arm(Timer::Ping, now + Duration::from_secs(1), Duration::from_nanos(7));
        assert_eq!(timers.next(), Some(now + Duration::new(1, 7)));
        assert!(!timers.expire(Timer::Ping, now + Duration::new(1, 6)));
        assert!(timers.expire(Timer::Ping, now + Duration::new(1, 7)));
        assert!(!timers.expire(Timer::Ping, now + Duration::from_secs(60)), "a timer fires once");
        assert_eq!(timers.next(), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn absurd_durations_stay_armed() {
        let now = Instant::now();
        let mut timers = TimerTable::new(now);
        timers.arm(Timer::Ping, now, Duration::MAX);
        assert!(timers.is_armed(Timer::Ping));
        assert!(timers.next().is_some_and(|at| at > now));
    }
}
