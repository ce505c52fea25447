//! When the sessions of a shard want to be looked at again: one table, and one task that waits for its first entry.
//!
//! A timer of the runtime's would take 120 bytes of each session; an entry of this table takes about 40.

use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;
use crate::shard::{Shard, Slot};

/// The alarms of one shard, at most one for each session.
pub(crate) struct Alarms {
    origin: Instant,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: BTreeSet<(Time, Slot)>,
    /// Of the task that waits, [`run`].
    waker: Option<Waker>,
    ended: bool,
}

/// When an alarm rings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Time(NonZeroU64);

/// What the task does next.
enum Next {
    At(Instant),
    /// No alarm is set.
    Wait,
    /// More are due than were taken.
    Again,
    End,
}

/// Sessions woken in one go: others come first then.
const BATCH: usize = 256;

impl Alarms {
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin, table: Mutex::default() }
    }

    /// As an alarm's time: nanoseconds since the table was made, from 1.
    pub(crate) fn time(&self, at: Instant) -> Time {
        let nanos = at.saturating_duration_since(self.origin).as_nanos();
        Time(NonZeroU64::MIN.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Sets the alarm of `slot` to `time`, in place of the one at `old`.
    pub(crate) fn set(&self, slot: Slot, old: Option<Time>, time: Time) {
        let waker = {
            let mut table = self.table.lock();
            if let Some(old) = old {
                table.entries.remove(&(old, slot));
            }
            let is_first = table.entries.first().is_none_or(|(first, _)| time < *first);
            table.entries.insert((time, slot));
            if is_first { table.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes back the alarm of `slot` at `time`, if it has not rung.
    pub(crate) fn clear(&self, slot: Slot, time: Time) {
        self.table.lock().entries.remove(&(time, slot));
    }

    /// Ends the task that waits.
    pub(crate) fn end(&self) {
        let waker = {
            let mut table = self.table.lock();
            table.ended = true;
            table.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves what is due to `due`.
    fn take_due(&self, now: Instant, waker: &Waker, due: &mut Vec<Slot>) -> Next {
        let now = self.time(now);
        let mut table = self.table.lock();
        if table.ended {
            return Next::End;
        }
        while let Some((time, slot)) = table.entries.first().copied() {
            if time > now {
                table.waker = Some(waker.clone());
                return Next::At(self.origin + Duration::from_nanos(time.0.get() - 1));
            }
            if due.len() == BATCH {
                return Next::Again;
            }
            table.entries.pop_first();
            due.push(slot);
        }
        table.waker = Some(waker.clone());
        Next::Wait
    }
}

/// Wakes a shard's sessions when their alarms ring, until the engine or the runtime ends.
pub(crate) async fn run(shard: Arc<Shard>) {
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    let mut due = Vec::with_capacity(BATCH);
    std::future::poll_fn(|cx| {
        let next = shard.alarms.take_due(clock::now(), cx.waker(), &mut due);
        shard.ring(&mut due);
        match next {
            Next::End => return Poll::Ready(()),
            Next::Wait => return Poll::Pending,
            Next::Again => {}
            Next::At(at) => {
                sleep.as_mut().reset(at.into());
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::woken::Woken;

    fn slot(index: u32) -> Slot {
        Slot { index, generation: 1 }
    }

    #[test]
    fn alarms_ring_in_order_and_once() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let alarms = Alarms::new(start);
        let ((woken, waker), mut due) = (Woken::new(), Vec::new());
        alarms.set(slot(1), None, alarms.time(at(3)));
        alarms.set(slot(2), None, alarms.time(at(2)));
        alarms.set(slot(3), None, alarms.time(at(2)));
        assert!(matches!(alarms.take_due(at(1), &waker, &mut due), Next::At(first) if first == at(2)));
        assert_eq!(due, []);

        alarms.set(slot(1), Some(alarms.time(at(3))), alarms.time(at(4)));
        assert_eq!(woken.times(), 0, "a later one does not move the first");
        alarms.clear(slot(3), alarms.time(at(2)));
        assert!(matches!(alarms.take_due(at(2), &waker, &mut due), Next::At(first) if first == at(4)));
        assert_eq!(due, [slot(2)]);

        alarms.set(slot(4), None, alarms.time(at(3)));
        assert_eq!(woken.times(), 1, "the first one comes sooner");
        due.clear();
        assert!(matches!(alarms.take_due(at(9), &waker, &mut due), Next::Wait));
        assert_eq!(due, [slot(4), slot(1)]);
        alarms.end();
        assert_eq!(woken.times(), 2);
        assert!(matches!(alarms.take_due(at(9), &waker, &mut due), Next::End));
    }

    #[test]
    fn many_alarms_ring_in_batches() {
        let start = Instant::now();
        let alarms = Alarms::new(start);
        let time = alarms.time(start);
        (0..BATCH as u32 + 1).for_each(|index| alarms.set(slot(index), None, time));
        let mut due = Vec::new();
        assert!(matches!(alarms.take_due(start, Waker::noop(), &mut due), Next::Again));
        assert_eq!(due.len(), BATCH);
        due.clear();
        assert!(matches!(alarms.take_due(start, Waker::noop(), &mut due), Next::Wait));
        assert_eq!(due.len(), 1);
    }
}
