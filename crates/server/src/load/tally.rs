//! What is counted while a load runs: by kind of message, and by thread, so that threads do not wait for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::course::{Course, Phase};

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
}
