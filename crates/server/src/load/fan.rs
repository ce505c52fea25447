//! Publications under way: who has yet to hear them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// A slot for each publication under way, shared by all threads.
#[derive(Debug)]
pub(crate) struct Fan {
    slots: Vec<Slot>,
    /// A publication has reached everybody.
    whole: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    number: AtomicU64,
    /// In ns, on the clock of the course.
    sent: AtomicU64,
    left: AtomicUsize,
}

impl Fan {
    pub(crate) fn new(window: usize) -> Self {
        Self { slots: (0..window).map(|_| Slot::default()).collect(), whole: Notify::new() }
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(number).ok()? % self.slots.len().max(1))
    }

    /// Whether the publication that the number's slot held has reached everybody.
    pub(crate) fn is_free(&self, number: u64) -> bool {
        self.slot(number).is_some_and(|slot| slot.left.load(Ordering::Acquire) == 0)
    }

    /// Waits until some publication has reached everybody.
    pub(crate) async fn whole(&self) {
        self.whole.notified().await;
    }

    /// A publication goes out; how many had not heard the one whose slot it takes.
    pub(crate) fn begin(&self, number: u64, receivers: usize, now: u64) -> usize {
        let Some(slot) = self.slot(number) else { return 0 };
        let unheard = slot.left.swap(0, Ordering::AcqRel);
        slot.number.store(number, Ordering::Relaxed);
        slot.sent.store(now, Ordering::Relaxed);
        slot.left.store(receivers, Ordering::Release);
        unheard
    }

    /// A receiver heard the number; when it was sent, or `None` if it is not under way.
    pub(crate) fn heard(&self, number: u64) -> Option<u64> {
        let slot = self.slot(number).filter(|slot| slot.number.load(Ordering::Relaxed) == number)?;
        let sent = slot.sent.load(Ordering::Relaxed);
        let less = |left: usize| left.checked_sub(1);
        let left = slot.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).ok()?;
        if left == 1 {
            self.whole.notify_one();
        }
        Some(sent)
    }

    /// Deliveries that have not come.
    pub(crate) fn unheard(&self) -> u64 {
        self.slots.iter().map(|slot| slot.left.load(Ordering::Acquire) as u64).sum()
    }

    /// Whether some have not come that are not late yet.
    pub(crate) fn is_awaited(&self, now: u64, limit: Duration) -> bool {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.slots.iter().any(|slot| {
            let age = now.saturating_sub(slot.sent.load(Ordering::Relaxed));
            age < limit && slot.left.load(Ordering::Acquire) > 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_when_everybody_has_heard() {
        let fan = Fan::new(2);
        assert!(fan.is_free(0) && fan.is_free(1));
        assert_eq!((fan.begin(0, 2, 5), fan.begin(1, 2, 6)), (0, 0));
        assert!(!fan.is_free(2));
        assert_eq!((fan.heard(0), fan.heard(1), fan.heard(0)), (Some(5), Some(6), Some(5)));
        assert!(fan.is_free(2) && !fan.is_free(3));
        assert_eq!((fan.heard(0), fan.heard(7)), (None, None), "once too often, and never published");
    }

    #[test]
    fn what_nobody_heard_is_counted_and_waited_for_until_it_is_late() {
        let fan = Fan::new(2);
        fan.begin(0, 3, 1_000);
        fan.heard(0);
        let limit = Duration::from_nanos(500);
        assert_eq!(
            (fan.unheard(), fan.is_awaited(1_400, limit), fan.is_awaited(1_500, limit)),
            (2, true, false)
        );
        assert_eq!((fan.begin(2, 1, 2_000), fan.unheard()), (2, 1), "its slot is taken by a later one");
        assert_eq!(fan.heard(0), None);
    }
}
