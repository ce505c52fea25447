//! What is counted while a load runs: by kind of message, and by thread, so that threads do not wait for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::lost::Lost;

/// What is counted: what is sent and answered, or delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ack,
    Connect,
    Echo,
    /// Deliveries.
    Fanout,
    Polling,
    /// Publications that are acknowledged.
    Publish,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Connect => "connect",
            Self::Echo => "echo",
            Self::Fanout => "fanout",
            Self::Polling => "polling",
            Self::Publish => "publish",
        }
    }
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

/// The counters of one thread.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: Mutex<BTreeMap<Kind, Counts>>,
    /// For the progress line.
    done: AtomicU64,
    /// Messages whose answers are waited for.
    under_way: AtomicU64,
}

/// Of one kind.
#[derive(Debug)]
pub(crate) struct Counts {
    /// From sending to the answer or delivery, in ns; of what was answered while it was measured.
    pub(crate) times: Histogram<u64>,
    /// What was never answered, whenever it was sent.
    pub(crate) unanswered: u64,
}

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

impl Default for Counts {
    fn default() -> Self {
        Self { times: histogram(), unanswered: 0 }
    }
}

impl Tally {
    /// A message was answered or delivered after `time`; counted while it is measured.
    pub(crate) fn add(&self, course: &Course, kind: Kind, time: Duration) {
        if course.phase() != Phase::Measure {
            return;
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.kinds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(kind)
            .or_default()
            .times
            .saturating_record(nanos);
    }

    /// A message went out that is to be answered: then comes one of the next two.
    pub(crate) fn sent(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// Nobody waits for these answers any more.
    pub(crate) fn given_up(&self, kind: Kind, messages: u64) {
        self.under_way.fetch_sub(messages, Ordering::Relaxed);
        self.missed(kind, messages);
    }

    /// Deliveries did not come; they are not counted as under way.
    pub(crate) fn missed(&self, kind: Kind, messages: u64) {
        if messages > 0 {
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().unanswered +=
                messages;
        }
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// All threads together.
    pub(crate) fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> BTreeMap<Kind, Counts> {
        let mut sum = BTreeMap::<_, Counts>::new();
        for tally in tallies {
            for (kind, counts) in &*tally.kinds.lock().unwrap_or_else(PoisonError::into_inner) {
                let known = sum.entry(*kind).or_default();
                // Both have the same range.
                let _ = known.times.add(&counts.times);
                known.unanswered += counts.unanswered;
            }
        }
        sum
    }
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
        let (course, tallies) = (Course::new(1, 1), [Tally::default(), Tally::default()]);
        let [one, other] = &tallies;
        one.add(&course, Kind::Echo, Duration::from_secs(9));
        course.set(Phase::Measure);
        one.add(&course, Kind::Echo, Duration::from_micros(1_234));
        other.add(&course, Kind::Echo, Duration::from_millis(50));
        other.add(&course, Kind::Ack, Duration::from_secs(4_000));
        course.set(Phase::Settle);
        one.add(&course, Kind::Echo, Duration::from_secs(9));
        let sum = Tally::sum(&tallies);
        let echo = &sum.get(&Kind::Echo).expect("two of them").times;
        assert_eq!((echo.len(), one.done(), other.done()), (2, 1, 2));
        assert!((1_233_000..1_236_000).contains(&echo.min()), "{}", echo.min());
        assert!((49_900_000..50_100_000).contains(&echo.max()), "{}", echo.max());
        let ack = &sum.get(&Kind::Ack).expect("one").times;
        assert!(ack.max() >= MAX_TIME, "beyond the range is at its end");
    }

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
