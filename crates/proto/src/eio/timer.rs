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

/// The deadlines, as nanoseconds since `base`: half the size of `Option<Instant>`. **Timers that never wait together share a
/// place**: arming one disarms the other.
#[derive(Clone, Debug)]
pub(super) struct TimerTable {
    base: Instant,
    /// With `SECOND` where the second timer of a pair waits.
    places: [u64; 3],
}

impl Timer {
    /// Its place, and what marks it there.
    fn place(self) -> (usize, u64) {
        match self {
            Self::Ping => (0, 0),
            Self::PongTimeout => (0, SECOND),
            Self::Upgrade => (1, 0),
            Self::Close => (1, SECOND),
            Self::NoopRepeat => (2, 0),
        }
    }
}

impl TimerTable {
    pub(super) fn new(now: Instant) -> Self {
        Self { base: now, places: [UNARMED; 3] }
    }

    /// Arms `timer` to fire `after` from `now`, replacing an earlier deadline.
    pub(super) fn arm(&mut self, timer: Timer, now: Instant, after: Duration) {
        let after = u64::try_from(after.as_nanos()).unwrap_or(LATEST);
        let (place, mark) = timer.place();
        self.places[place] = self.offset(now).saturating_add(after).min(LATEST) | mark;
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        if self.is_armed(timer) {
            self.places[timer.place().0] = UNARMED;
        }
    }

    pub(super) fn disarm_all(&mut self) {
        self.places = [UNARMED; 3];
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        let (place, mark) = timer.place();
        self.places[place] != UNARMED && self.places[place] & SECOND == mark
    }

    /// Disarms `timer` if its deadline has come, and says so.
    pub(super) fn expire(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.is_armed(timer) && self.places[timer.place().0] & !SECOND <= self.offset(now);
        if due {
            self.disarm(timer);
        }
        due
    }

    /// The deadline of `timer`, if it is armed.
    pub(super) fn deadline(&self, timer: Timer) -> Option<Instant> {
        self.instant(self.is_armed(timer).then(|| self.places[timer.place().0])?)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        let armed = self.places.iter().filter(|at| **at != UNARMED);
        self.instant(armed.map(|at| at & !SECOND).min()?)
    }

    fn instant(&self, at: u64) -> Option<Instant> {
        self.base.checked_add(Duration::from_nanos(at & !SECOND))
    }

    /// A `now` before the session's birth counts as its birth.
    fn offset(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.base).as_nanos();
        u64::try_from(passed).unwrap_or(LATEST).min(LATEST)
    }
}

const COUNT: usize = 5;
const UNARMED: u64 = u64::MAX;
/// Above all deadlines.
const SECOND: u64 = 1 << 63;
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
    fn timers_of_a_pair_take_each_other_s_place() {
        let now = Instant::now();
        let mut timers = TimerTable::new(now);
        timers.arm(Timer::Ping, now, Duration::from_secs(1));
        timers.arm(Timer::PongTimeout, now, Duration::from_secs(2));
        assert!(!timers.is_armed(Timer::Ping));
        assert_eq!(timers.deadline(Timer::Ping), None);
        timers.disarm(Timer::Ping);
        assert!(!timers.expire(Timer::Ping, now + Duration::from_secs(9)));
        assert_eq!(timers.deadline(Timer::PongTimeout), Some(now + Duration::from_secs(2)));
        assert!(timers.expire(Timer::PongTimeout, now + Duration::from_secs(2)));
        assert_eq!(timers.next(), None);
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
