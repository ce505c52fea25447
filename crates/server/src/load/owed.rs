//! Messages of one connection whose answers are still to come, and how long they are waited for.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use super::course::Course;
use super::lost::Lost;
use super::tally::{Kind, Tally};

/// The messages, the oldest first. What is left when it is dropped was never answered.
pub(crate) struct Owed {
    kind: Kind,
    tally: Arc<Tally>,
    messages: VecDeque<Message>,
}

struct Message {
    number: u64,
    sent: Instant,
    /// What the answer must be.
    expected: String,
}

impl Owed {
    pub(crate) fn new(kind: Kind, tally: Arc<Tally>) -> Self {
        Self { kind, tally, messages: VecDeque::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// A message goes out.
    pub(crate) fn sent(&mut self, number: u64, expected: String) {
        self.tally.sent();
        self.messages.push_back(Message { number, sent: Instant::now(), expected });
    }

    /// An answer came: to the message of that number, or to the oldest, since events keep their order.
    pub(crate) fn answered(
        &mut self,
        course: &Course,
        number: Option<u64>,
        is_right: impl FnOnce(&str) -> bool,
    ) {
        let at = match number {
            Some(number) => self.messages.iter().position(|message| message.number == number),
            None => Some(0),
        };
        let Some(message) = at.and_then(|at| self.messages.remove(at)) else { return course.wrong() };
        self.tally.answered();
        if is_right(&message.expected) {
            self.tally.add(course, self.kind, message.sent.elapsed());
        } else {
            course.wrong();
        }
    }

    /// When the oldest went out.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.messages.front().map(|message| message.sent)
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.tally.given_up(self.kind, self.messages.len() as u64);
    }
}

/// A time limit without a timer for each message: when the alarm goes off, it is looked how old the oldest is.
pub(crate) struct Patience {
    limit: Duration,
    alarm: Pin<Box<Sleep>>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, alarm: Box::pin(sleep(limit)) }
    }

    /// Waits for `turn`, unless what waits since `oldest` has waited too long.
    ///
    /// # Errors
    /// Those of the turn, and [`Lost::Unanswered`].
    pub(crate) async fn wait<T>(
        &mut self,
        oldest: Option<Instant>,
        turn: impl Future<Output = Result<T, Lost>>,
    ) -> Result<T, Lost> {
        let mut turn = pin!(turn);
        loop {
            tokio::select! {
                // Turns may come without end, of which none is an answer.
                biased;
                () = self.alarm.as_mut() => {
                    let now = Instant::now();
                    let end = oldest.unwrap_or(now) + self.limit;
                    if now >= end {
                        return Err(Lost::Unanswered(self.limit));
                    }
                    self.alarm.as_mut().reset(end.into());
                }
                done = &mut turn => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_oldest_message_is_waited_for_so_long() {
        let mut patience = Patience::new(Duration::from_secs(10));
        assert_eq!(patience.wait(Some(Instant::now()), async { Ok(7) }).await, Ok(7));
        let late = Err::<(), _>(Lost::Unanswered(Duration::from_secs(10)));
        // The clock of messages does not stand still with that of the test: this one is old already.
        let old = Instant::now().checked_sub(Duration::from_secs(60)).expect("the machine runs for longer");
        assert_eq!(patience.wait(Some(old), pending::<Result<(), Lost>>()).await, late);
    }

    #[test]
    fn what_was_not_answered_is_counted_when_it_is_dropped() {
        let (course, tally) = (Course::new(1, 1), Arc::new(Tally::default()));
        let mut owed = Owed::new(Kind::Ack, Arc::clone(&tally));
        for number in 0..4 {
            owed.sent(number, number.to_string());
        }
        owed.answered(&course, Some(2), |expected| expected == "2");
        owed.answered(&course, None, |expected| expected == "other");
        owed.answered(&course, Some(0), |_| true);
        assert_eq!(
            (owed.len(), tally.under_way(), course.bad()),
            (2, 2, 2),
            "one to a message that was answered, one that is not it"
        );
        drop(owed);
        let sums = Tally::sum([&*tally]);
        assert_eq!((tally.under_way(), sums[&Kind::Ack].unanswered), (0, 2));
    }
}
