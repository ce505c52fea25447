//! The body of an answer, which counts in the server's memory until it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::serve::Abort;
use crate::wire::Budget;

/// The body of an answer. It is given in pieces, since hyper copies what it is given: what is not sent yet stays here.
pub struct CountedBody {
    text: String,
    given: usize,
    budget: Arc<Budget>,
    /// Its end tells that the last piece is given, or the body is given up.
    _unsent: oneshot::Sender<()>,
}

/// Bytes of one piece.
const PIECE: usize = 16 * 1024;

impl CountedBody {
    /// One that counts in `budget`, and what tells its end. `None` if there is no room for it: who reads takes no memory from those
    /// who are connected.
    pub(super) fn new(text: String, budget: &Arc<Budget>) -> Option<(Self, oneshot::Receiver<()>)> {
        if !budget.take(text.capacity()) {
            return None;
        }
        let (unsent, sent) = oneshot::channel();
        Some((Self { text, given: 0, budget: Arc::clone(budget), _unsent: unsent }, sent))
    }

    /// Bytes that are not given yet.
    pub(super) fn rest(&self) -> usize {
        self.text.len() - self.given
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let end = self.given + self.rest().min(PIECE);
        let piece = Bytes::copy_from_slice(&self.text.as_bytes()[self.given..end]);
        self.given = end;
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest() as u64)
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.budget.sub(self.text.capacity());
    }
}

impl std::fmt::Debug for CountedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountedBody").field("rest", &self.rest()).finish_non_exhaustive()
    }
}

/// Ends the connection of a body that is not sent in time.
pub(super) fn watch(sent: oneshot::Receiver<()>, most: Duration, abort: Abort, metrics: &Arc<Metrics>) {
    let metrics = Arc::clone(metrics);
    tokio::spawn(async move {
        if tokio::time::timeout(most, sent).await.is_err() {
            metrics.history.lagged.add(1);
            abort.abort();
        }
    });
}
