//! Futures of the application, whose panics end that future and nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Gives `None` if the future panics. It is never polled again then, and dropped at once.
pub(crate) struct Guarded<F>(Option<Pin<Box<F>>>);

impl<F: Future> Guarded<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.0 else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                self.0 = None;
                Poll::Ready(Some(output))
            }
            Err(_) => {
                // What it holds may panic when dropped, too.
                let future = self.0.take();
                drop(catch_unwind(AssertUnwindSafe(|| drop(future))));
                Poll::Ready(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none_and_a_value_is_some() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(Pin::new(&mut Guarded::new(async { 7 })).poll(&mut cx), Poll::Ready(Some(7)));
        let mut panics = Guarded::new(async { panic!("in a future") });
        assert_eq!(Pin::new(&mut panics).poll(&mut cx), Poll::Ready(None::<()>));
        assert_eq!(Pin::new(&mut panics).poll(&mut cx), Poll::Ready(None));
    }
}
