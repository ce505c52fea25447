//! Acknowledgements, both ways: the answers that a socket waits for, and the answer that a handler gives.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use trunkline_proto::sio::{self, OwnedArgs};

use crate::error::{AckError, EmitError, EncodeError};
use crate::extract::decode_answer;
use crate::manager::{NoAnswer, Nsp};
use crate::shared::{Core, Shared};

/// Who waits for an answer.
pub(crate) type Waiter = oneshot::Sender<Result<OwnedArgs, NoAnswer>>;

/// The answer to come of [`Socket::emit_with_ack`](crate::Socket::emit_with_ack): the server's first argument as `T` (all of
/// them with [`Args`](crate::Args), none with `()`). It always ends: with the answer, a timeout, or the disconnect.
/// With [`retries`](crate::Builder::retries), or without a timeout, an event emitted while offline is waited for as long as the
/// client tries to connect, and the ack timeout longer; then with `Disconnected`, while the event is kept for whoever connects
/// again. What is emitted before the first `connect` waits for that.
///
/// Dropped, nobody waits any more; the event is sent nevertheless.
#[must_use = "the answer arrives only if it is awaited"]
pub struct AckFuture<T> {
    state: State,
    value: PhantomData<fn() -> T>,
}

enum State {
    Failed(Option<EmitError>),
    Waiting { receiver: oneshot::Receiver<Result<OwnedArgs, NoAnswer>>, _forget: ForgetOnDrop },
}

impl<T> AckFuture<T> {
    pub(crate) fn failed(error: EmitError) -> Self {
        Self { state: State::Failed(Some(error)), value: PhantomData }
    }

    pub(crate) fn new(
        shared: &Arc<Shared>,
        nsp: Nsp,
        id: u64,
        receiver: oneshot::Receiver<Result<OwnedArgs, NoAnswer>>,
    ) -> Self {
        let _forget = ForgetOnDrop { shared: Arc::downgrade(shared), nsp, id };
        Self { state: State::Waiting { receiver, _forget }, value: PhantomData }
    }
}

impl<T: DeserializeOwned> Future for AckFuture<T> {
    type Output = Result<T, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut self.state {
            State::Failed(error) => Err(error.take().map_or(AckError::Disconnected, AckError::Emit)),
            State::Waiting { receiver, .. } => match ready!(Pin::new(receiver).poll(cx)) {
                Ok(Ok(args)) => {
                    decode_answer(args.as_args()).map_err(|error| AckError::Decode(error.to_string()))
                }
                Ok(Err(NoAnswer::Timeout)) => Err(AckError::Timeout),
                // Without a sender the client is gone.
                Ok(Err(NoAnswer::Disconnected)) | Err(_) => Err(AckError::Disconnected),
            },
        })
    }
}

impl<T> std::fmt::Debug for AckFuture<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AckFuture").finish_non_exhaustive()
    }
}

/// A late answer must not find anything.
struct ForgetOnDrop {
    shared: Weak<Shared>,
    nsp: Nsp,
    id: u64,
}

impl Drop for ForgetOnDrop {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.manager.lock().forget(self.nsp, self.id);
        }
    }
}

/// Where the answer to an event goes; shared by all its handlers and streams.
#[derive(Debug)]
pub(crate) struct AckTarget {
    shared: Weak<Shared>,
    core: Arc<Core>,
    /// The socket's connection that asked; another one is not told.
    session: u64,
    id: u64,
    answered: AtomicBool,
}

impl AckTarget {
    pub(crate) fn new(shared: &Arc<Shared>, core: &Arc<Core>, session: u64, id: u64) -> Self {
        let (shared, core) = (Arc::downgrade(shared), Arc::clone(core));
        Self { shared, core, session, id, answered: AtomicBool::new(false) }
    }

    /// Sends the answer, unless there was one.
    pub(crate) fn answer<T: Serialize>(&self, value: &T) -> Result<(), EmitError> {
        if self.answered.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let shared = self.shared.upgrade().ok_or(EmitError::Closed)?;
        match sio::encode_ack(shared.parser, 0, &self.core.name, self.id, value) {
            Ok(encoded) => {
                let sent = shared.manager.lock().send_answer(self.core.nsp, self.session, encoded.into());
                shared.wake();
                sent
            }
            Err(error) => {
                self.answered.store(false, Ordering::Release);
                Err(EncodeError::from(error).into())
            }
        }
    }

    /// Ends the server's wait as the server library ends a client's: `{"error": {"message", "data"?}}`.
    pub(crate) fn fail(&self, message: &str, data: Option<&serde_json::Value>) {
        #[derive(Serialize)]
        struct Failure<'a> {
            error: Error<'a>,
        }
        #[derive(Serialize)]
        struct Error<'a> {
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a serde_json::Value>,
        }
        // The connection may be gone; the server's wait has ended then.
        drop(self.answer(&Failure { error: Error { message, data } }));
    }
}

/// Answers an event by hand, perhaps later and from elsewhere; an argument of a handler. Where the server wants no answer it
/// does nothing. Dropped unanswered it tells the server so, and its wait ends.
pub struct Ack<T> {
    target: Option<Arc<AckTarget>>,
    value: PhantomData<fn(T)>,
}

impl<T: Serialize> Ack<T> {
    pub(crate) fn new(target: Option<Arc<AckTarget>>) -> Self {
        Self { target, value: PhantomData }
    }

    /// Sends the answer: `()` for no argument, [`Args`](crate::Args) for several.
    ///
    /// # Errors
    /// [`EmitError::Closed`] if the connection that asked is gone, [`EmitError::Encode`] if the value cannot be encoded.
    #[allow(clippy::needless_pass_by_value, reason = "an answer is given away")]
    pub fn send(mut self, value: T) -> Result<(), EmitError> {
        let target = self.target.take();
        target.map_or(Ok(()), |target| target.answer(&value))
    }
}

impl<T> Ack<T> {
    /// Whether the server waits for an answer.
    pub fn is_wanted(&self) -> bool {
        self.target.is_some()
    }
}

impl<T> Drop for Ack<T> {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            target.fail("not answered", None);
        }
    }
}

impl<T> std::fmt::Debug for Ack<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ack").field("wanted", &self.is_wanted()).finish()
    }
}
