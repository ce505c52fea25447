//! What is counted while a load runs: by kind of message, and by thread, so that threads do not wait for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are opened, and messages go, uncounted.
    Warmup,
    Measure,
    /// What fails now fails because it is over.
    Over,
}

/// The counters of one thread.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: Mutex<BTreeMap<&'static str, Kind>>,
    /// For the progress line.
    done: AtomicU64,
}

/// One kind of message.
#[derive(Debug)]
struct Kind {
    /// From sending to the answer or delivery, in ns.
    times: Histogram<u64>,
}

/// What goes wrong, and the phase; shared by all threads.
#[derive(Debug)]
pub(crate) struct Course {
    phase: AtomicU8,
    pub(crate) open: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) bad: AtomicU64,
    /// The first failure, in words.
    why: Mutex<Option<String>>,
    began: Instant,
}

impl Tally {
    /// A message was answered or delivered after `time`; counted while it is measured.
    pub(crate) fn add(&self, course: &Course, kind: &'static str, time: Duration) {
        if course.phase() != Phase::Measure {
            return;
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds.entry(kind).or_insert_with(|| Kind { times: histogram() });
        known.times.saturating_record(nanos);
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// All threads together: the times of each kind.
    pub(crate) fn sum<'a>(
        tallies: impl IntoIterator<Item = &'a Self>,
    ) -> BTreeMap<&'static str, Histogram<u64>> {
        let mut sum = BTreeMap::new();
        for tally in tallies {
            for (name, kind) in &*tally.kinds.lock().unwrap_or_else(PoisonError::into_inner) {
                let times = sum.entry(*name).or_insert_with(histogram);
                // Both have the same range.
                let _ = times.add(&kind.times);
            }
        }
        sum
    }
}

impl Course {
    pub(crate) fn new() -> Self {
        Self {
            phase: AtomicU8::new(0),
            open: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            why: Mutex::default(),
            began: Instant::now(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Warmup,
            1 => Phase::Measure,
            _ => Phase::Over,
        }
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// ns since the start.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A connection failed or was lost, unless it is over anyway.
    pub(crate) fn fail(&self, why: String) {
        if self.phase() != Phase::Over {
            self.failed.fetch_add(1, Ordering::Relaxed);
            self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        }
    }

    /// An answer is not the one that was expected.
    pub(crate) fn wrong(&self) {
        self.bad.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn histogram() -> Histogram<u64> {
    // One that grows would not do: times beyond what it holds already would be cut to that.
    Histogram::new_with_max(MAX_TIME, 3).unwrap_or_else(|_| unreachable!("three digits are possible"))
}

/// The longest time told apart: an hour, in ns.
const MAX_TIME: u64 = 3_600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits_and_only_the_measured_count() {
        let (course, tallies) = (Course::new(), [Tally::default(), Tally::default()]);
        let [one, other] = &tallies;
        one.add(&course, "echo", Duration::from_secs(9));
        course.set(Phase::Measure);
        one.add(&course, "echo", Duration::from_micros(1_234));
        other.add(&course, "echo", Duration::from_millis(50));
        other.add(&course, "ack", Duration::from_secs(4_000));
        course.set(Phase::Over);
        one.add(&course, "echo", Duration::from_secs(9));
        let sum = Tally::sum(&tallies);
        let echo = sum.get("echo").expect("two of them");
        assert_eq!((echo.len(), one.done(), other.done()), (2, 1, 2));
        assert!((1_233_000..1_236_000).contains(&echo.min()), "{}", echo.min());
        assert!((49_900_000..50_100_000).contains(&echo.max()), "{}", echo.max());
        assert!(sum.get("ack").expect("one").max() >= MAX_TIME, "beyond the range is at its end");
    }

    #[test]
    fn what_fails_at_the_end_is_no_failure() {
        let course = Course::new();
        course.fail("first".into());
        course.fail("second".into());
        course.set(Phase::Over);
        course.fail("third".into());
        assert_eq!((course.failed.load(Ordering::Relaxed), course.why().as_deref()), (2, Some("first")));
    }
}
