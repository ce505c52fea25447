//! What goes wrong while a load runs, and how far it is; shared by all threads.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::lost::Lost;

/// What goes wrong, and the phase; shared by all threads.
#[derive(Debug)]
pub(crate) struct Course {
    phase: AtomicU8,
    open: AtomicU64,
    unopened: AtomicU64,
    failed: AtomicU64,
    disconnected: AtomicU64,
    bad: AtomicU64,
    /// Connections that stay, those that come and go left out.
    lasting: u64,
    /// Connections that still do what the mode is about.
    at_work: AtomicU64,
    /// The first failure.
    why: Mutex<Option<Lost>>,
    began: Instant,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are opened, and messages go, uncounted.
    Warmup,
    Measure,
    /// Nothing is sent any more; answers are waited for.
    Settle,
    /// What fails now fails because it is over.
    Over,
}

impl Course {
    /// Of so many connections that stay, and so many that do what the mode is about.
    pub(crate) fn new(lasting: u64, at_work: u64) -> Self {
        Self {
            phase: AtomicU8::new(0),
            open: AtomicU64::new(0),
            unopened: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            disconnected: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            lasting,
            at_work: AtomicU64::new(at_work),
            why: Mutex::default(),
            began: Instant::now(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Warmup,
            1 => Phase::Measure,
            2 => Phase::Settle,
            _ => Phase::Over,
        }
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Whether messages are sent.
    pub(crate) fn is_sending(&self) -> bool {
        matches!(self.phase(), Phase::Warmup | Phase::Measure)
    }

    /// ns since the start.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A connection that stays is there, or will not be.
    pub(crate) fn opened(&self, is_there: bool) {
        let counter = if is_there { &self.open } else { &self.unopened };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nobody is waited for any more.
    pub(crate) fn is_opened(&self) -> bool {
        self.open() + self.unopened.load(Ordering::Relaxed) >= self.lasting
    }

    pub(crate) fn lasting(&self) -> u64 {
        self.lasting
    }

    /// A connection failed or was lost, unless it is over anyway.
    pub(crate) fn fail(&self, why: Lost, was_at_work: bool) {
        if self.phase() == Phase::Over {
            return;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        if why == Lost::Disconnected {
            self.disconnected.fetch_add(1, Ordering::Relaxed);
        }
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        if was_at_work {
            self.at_work.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether no connection is left that does what the mode is about.
    pub(crate) fn is_pointless(&self) -> bool {
        self.at_work.load(Ordering::Relaxed) == 0
    }

    /// An answer is not the one that was expected.
    pub(crate) fn wrong(&self) {
        self.bad.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Of those that failed.
    pub(crate) fn disconnected(&self) -> u64 {
        self.disconnected.load(Ordering::Relaxed)
    }

    pub(crate) fn bad(&self) -> u64 {
        self.bad.load(Ordering::Relaxed)
    }

    pub(crate) fn why(&self) -> Option<Lost> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_at_the_end_is_no_failure() {
        let course = Course::new(3, 2);
        course.fail(Lost::Disconnected, true);
        course.fail("second".into(), true);
        assert!(course.is_pointless());
        course.set(Phase::Over);
        course.fail("third".into(), false);
        assert_eq!((course.failed(), course.disconnected(), course.why()), (2, 1, Some(Lost::Disconnected)));
    }
}
