//! The deadline of a request's head, without a timer for each request.
//!
//! hyper starts a timer whenever it waits for a head, and drops it when the head is there. To make, register and remove one costs 3 % of
//! the user time of a polling request (measured). Here it only writes down when it would fire; one sleep per connection, which
//! later deadlines do not move, looks whether that time has passed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The timer that hyper is given, one per connection.
#[derive(Clone, Default)]
pub(crate) struct HeadTimer(Arc<Mutex<Deadline>>);

#[derive(Clone, Copy, Default)]
struct Deadline {
    /// When the timer that is under way fires.
    at: Option<Instant>,
    passed: bool,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        *self.0.lock() = Deadline { at: Some(deadline.into()), passed: false };
        Box::pin(HeadSleep(Arc::clone(&self.0)))
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, deadline: std::time::Instant) {
        *self.0.lock() = Deadline { at: Some(deadline.into()), passed: false };
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

struct HeadSleep(Arc<Mutex<Deadline>>);

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // [`Watched`] polls again when the time has come.
        if self.0.lock().passed { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.0.lock().at = None;
    }
}

pin_project_lite::pin_project! {
    /// A connection whose timer is a [`HeadTimer`]. To be polled by one task.
    pub(crate) struct Watched<F> {
        #[pin]
        connection: F,
        timer: HeadTimer,
        #[pin]
        sleep: tokio::time::Sleep,
        // When `sleep` fires.
        armed: Option<Instant>,
    }
}

impl<F> Watched<F> {
    pub(crate) fn new(connection: F, timer: HeadTimer) -> Self {
        Self { connection, timer, sleep: tokio::time::sleep(Duration::ZERO), armed: None }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.connection.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        loop {
            let Some(at) = this.timer.0.lock().at else { return Poll::Pending };
            if this.armed.is_none_or(|armed| at < armed) {
                *this.armed = Some(at);
                this.sleep.as_mut().reset(at);
                if this.sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            } else if !this.sleep.is_elapsed() {
                return Poll::Pending;
            }
            *this.armed = None;
            if Instant::now() >= at {
                this.timer.0.lock().passed = true;
                return this.connection.poll(cx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for a head of each delay in turn, as hyper does; tells how many came in time.
    async fn heads(timer: HeadTimer, limit: Duration, delays: &[u64]) -> usize {
        for (index, delay) in delays.iter().enumerate() {
            let head = tokio::time::sleep(Duration::from_millis(*delay));
            let late = timer.sleep(limit);
            tokio::select! {
                biased;
                () = late => return index,
                () = head => {}
            }
        }
        delays.len()
    }

    async fn watched(limit: u64, delays: &[u64]) -> usize {
        let timer = HeadTimer::default();
        Watched::new(heads(timer.clone(), Duration::from_millis(limit), delays), timer).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_head_is_noticed_and_heads_in_time_are_not_cut_short() {
        assert_eq!(watched(40, &[60_000]).await, 0);
        // Together they take longer than the limit, and the sleep fires in between.
        assert_eq!(watched(400, &[150, 150, 150, 1, 1, 150]).await, 6);
        assert_eq!(watched(60, &[5, 5, 60_000]).await, 2);
    }
}
