//! Acknowledgements, both ways: the answers that a socket is asked for, and the answer that a handler gives.

use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use trunkline_proto::sio::{self, Args, Encoded, OwnedArgs};

use crate::error::{AckError, EmitError, EncodeError};
use crate::once::Ticket;
use crate::shard::Class;
use crate::socket::{Socket, SocketId};
use crate::wire::{Budget, HEADROOM, Packet};

/// The answers that a socket owes, by ack id. An answer counts once, and only from a socket that was asked.
#[derive(Default)]
pub(crate) struct PendingAcks(Mutex<Option<Box<Waiting>>>);

/// Most sockets are asked for nothing and have none.
#[derive(Default)]
struct Waiting {
    asked: HashMap<u64, Asked>,
    closed: bool,
    /// Answers that handlers of this client wait for.
    by_handlers: u32,
}

enum Asked {
    One(oneshot::Sender<OwnedArgs>),
    Many(Arc<ManyAcks>),
}

impl PendingAcks {
    /// Expects the answer to `id`. After the disconnect the receiver ends at once.
    pub(crate) fn wait_for(&self, id: u64) -> oneshot::Receiver<OwnedArgs> {
        let (sender, receiver) = oneshot::channel();
        self.ask(id, Asked::One(sender));
        receiver
    }

    pub(crate) fn wait_for_many(&self, id: u64, many: &Arc<ManyAcks>) {
        if !self.ask(id, Asked::Many(Arc::clone(many))) {
            many.one_less();
        }
    }

    /// False after the disconnect.
    fn ask(&self, id: u64, asked: Asked) -> bool {
        let mut waiting = self.0.lock();
        let waiting = waiting.get_or_insert_default();
        if !waiting.closed {
            waiting.asked.insert(id, asked);
        }
        !waiting.closed
    }

    pub(crate) fn forget(&self, id: u64) {
        self.take(id);
    }

    fn take(&self, id: u64) -> Option<Asked> {
        let mut place = self.0.lock();
        let waiting = place.as_mut()?;
        let asked = waiting.asked.remove(&id);
        if waiting.is_idle() {
            *place = None;
        }
        asked
    }

    /// An answer has come; false if none with this id was asked for.
    pub(crate) fn answer(&self, socket: &SocketId, id: u64, args: &Args<'_>) -> bool {
        match self.take(id) {
            // A receiver that is gone has stopped waiting.
            Some(Asked::One(sender)) => drop(sender.send(args.to_owned())),
            Some(Asked::Many(many)) => many.answer(socket, args),
            None => return false,
        }
        true
    }

    /// Whether a handler of this client waits for a direct answer.
    pub(crate) fn is_awaited_by_handler(&self) -> bool {
        self.0.lock().as_ref().is_some_and(|waiting| waiting.by_handlers > 0)
    }

    fn handler_waits(&self, waits: bool) {
        let mut place = self.0.lock();
        let waiting = place.get_or_insert_default();
        waiting.by_handlers =
            if waits { waiting.by_handlers + 1 } else { waiting.by_handlers.saturating_sub(1) };
        if waiting.is_idle() {
            *place = None;
        }
    }

    /// The socket is gone: whoever waits is told.
    pub(crate) fn close(&self) {
        let asked = {
            let mut waiting = self.0.lock();
            let waiting = waiting.get_or_insert_default();
            waiting.closed = true;
            std::mem::take(&mut waiting.asked)
        };
        for (_, asked) in asked {
            if let Asked::Many(many) = asked {
                many.one_less();
            }
        }
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.by_handlers == 0 && !self.closed
    }
}

/// The answer to come of [`Socket::emit_with_ack`]: the client's first argument as `T` (all of them with
/// [`Args`](crate::Args), none with `()`). It always ends: with the answer, a timeout, or the disconnect.
#[must_use = "the answer arrives only if it is awaited"]
pub struct AckFuture<T> {
    inner: BoxFuture<'static, Result<OwnedArgs, AckError>>,
    guard: ForgetOnDrop,
    value: PhantomData<fn() -> T>,
}

impl<T> AckFuture<T> {
    pub(crate) fn new(
        socket: Socket,
        id: u64,
        receiver: oneshot::Receiver<OwnedArgs>,
        sent: Result<(), EmitError>,
        timeout: Duration,
    ) -> Self {
        let io = Arc::clone(&socket.namespace_core().io);
        let guard = ForgetOnDrop { socket, id, by_handler: false };
        let inner = Box::pin(async move {
            sent?;
            match tokio::time::timeout(timeout, receiver).await {
                Ok(Ok(args)) => Ok(args),
                Ok(Err(_)) => Err(AckError::Disconnected),
                Err(_) => {
                    io.parts.metrics.ack_timeouts.add(1);
                    Err(AckError::Timeout)
                }
            }
        });
        Self { inner, guard, value: PhantomData }
    }
}

/// A late answer must not find anything.
struct ForgetOnDrop {
    socket: Socket,
    id: u64,
    /// A handler of the same client waits (design 8.3).
    by_handler: bool,
}

impl ForgetOnDrop {
    fn waits(&mut self) {
        if !self.by_handler && crate::run::is_in_handler_of(self.socket.session()) {
            self.by_handler = true;
            self.socket.core().acks.handler_waits(true);
        }
    }
}

impl Drop for ForgetOnDrop {
    fn drop(&mut self) {
        self.socket.core().acks.forget(self.id);
        if self.by_handler {
            self.socket.core().acks.handler_waits(false);
        }
    }
}

impl<T: DeserializeOwned> Future for AckFuture<T> {
    type Output = Result<T, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.inner.as_mut().poll(cx);
        if polled.is_pending() {
            self.guard.waits();
        }
        polled.map(|result| result.and_then(|args| decode(&args)))
    }
}

impl<T> std::fmt::Debug for AckFuture<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AckFuture").finish_non_exhaustive()
    }
}

/// One argument as `T`; where that fails, all of them, so that `()` and tuples by `Args` work too.
fn decode<T: DeserializeOwned>(args: &OwnedArgs) -> Result<T, AckError> {
    crate::extract::decode_answer(args.as_args()).map_err(|e| AckError::Decode(e.to_string()))
}

/// The sockets that a broadcast has asked; they are forgotten when nobody waits any more.
#[derive(Default)]
pub(crate) struct AskedSockets(pub(crate) Vec<(Socket, u64)>);

impl Drop for AskedSockets {
    fn drop(&mut self) {
        self.0.iter().for_each(|(socket, id)| socket.core().acks.forget(*id));
    }
}

/// The answers to one broadcast. They count in the memory budget: clients choose how long they are.
pub(crate) struct ManyAcks {
    many: Mutex<Many>,
    budget: Arc<Budget>,
}

#[derive(Default)]
struct Many {
    /// Bytes of `answers` in the budget.
    bytes: usize,
    answers: Vec<(SocketId, Result<OwnedArgs, AckError>)>,
    /// Answers still to come; `None` until all receivers are known.
    missing: Option<usize>,
    gone: usize,
    done: Option<oneshot::Sender<()>>,
}

impl ManyAcks {
    pub(crate) fn new(budget: &Arc<Budget>) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, receiver) = oneshot::channel();
        let many = Mutex::new(Many { done: Some(done), ..Many::default() });
        (Arc::new(Self { many, budget: Arc::clone(budget) }), receiver)
    }

    /// So many were asked.
    pub(crate) fn expect(&self, receivers: usize) {
        let mut many = self.many.lock();
        many.missing = Some(receivers);
        many.check();
    }

    fn answer(&self, socket: &SocketId, args: &Args<'_>) {
        self.budget.relieve();
        if self.budget.is_over() {
            tracing::debug!(%socket, "an answer to a broadcast was not kept: memory is short");
            return self.one_less();
        }
        let args = args.to_owned();
        let bytes = args.size();
        self.budget.add(bytes);
        let mut many = self.many.lock();
        many.bytes += bytes;
        many.answers.push((socket.clone(), Ok(args)));
        many.check();
    }

    fn one_less(&self) {
        let mut many = self.many.lock();
        many.gone += 1;
        many.check();
    }

    /// What came so far.
    pub(crate) fn take(&self) -> Vec<(SocketId, Result<OwnedArgs, AckError>)> {
        let mut many = self.many.lock();
        self.budget.sub(std::mem::take(&mut many.bytes));
        std::mem::take(&mut many.answers)
    }
}

impl Drop for ManyAcks {
    fn drop(&mut self) {
        self.budget.sub(self.many.get_mut().bytes);
    }
}

impl Many {
    fn check(&mut self) {
        if self.missing.is_some_and(|n| self.answers.len() + self.gone >= n)
            && let Some(done) = self.done.take()
        {
            // Whoever waited may have stopped.
            let _ = done.send(());
        }
    }
}

/// The answer that an event asks for, before it is known who will give it.
#[derive(Default)]
pub(crate) enum Wanted {
    #[default]
    Nothing,
    /// An answer with this id. One call gives it, so there is nothing to share.
    Id(u64),
    /// Several may give it, now or later: the first one counts.
    Shared(Arc<AckTarget>),
}

impl Wanted {
    pub(crate) fn new(id: Option<u64>) -> Self {
        id.map_or(Self::Nothing, Self::Id)
    }

    /// For more than one to answer.
    pub(crate) fn share(&mut self, socket: &Socket) -> Option<&Arc<AckTarget>> {
        if let Self::Id(id) = *self {
            *self = Self::Shared(Arc::new(AckTarget::new(socket.clone(), id)));
        }
        match self {
            Self::Shared(target) => Some(target),
            Self::Nothing | Self::Id(_) => None,
        }
    }

    /// For the one call that answers.
    pub(crate) fn answerer(&self, socket: Option<&Socket>) -> Answerer {
        match (self, socket) {
            (Self::Id(id), Some(socket)) => Answerer::Own(AckTarget::new(socket.clone(), *id)),
            (Self::Shared(target), _) => Answerer::Shared(Arc::clone(target)),
            (Self::Nothing | Self::Id(_), _) => Answerer::Nobody,
        }
    }

    /// Ends the client's wait; see [`AckTarget::fail`].
    pub(crate) fn fail(&self, socket: &Socket, message: &str) {
        match self {
            Self::Nothing => {}
            Self::Id(id) => AckTarget::new(socket.clone(), *id).fail(message, None),
            Self::Shared(target) => target.fail(message, None),
        }
    }
}

impl From<Option<Arc<AckTarget>>> for Wanted {
    fn from(target: Option<Arc<AckTarget>>) -> Self {
        target.map_or(Self::Nothing, Self::Shared)
    }
}

/// Gives an answer, if one is wanted.
pub(crate) enum Answerer {
    Nobody,
    Own(AckTarget),
    Shared(Arc<AckTarget>),
}

impl Answerer {
    pub(crate) fn target(&self) -> Option<&AckTarget> {
        match self {
            Self::Nobody => None,
            Self::Own(target) => Some(target),
            Self::Shared(target) => Some(target),
        }
    }
}

/// Where a handler's answer goes. Nobody outside can name it.
pub struct AckTarget {
    socket: Socket,
    /// `None`: the client wants no answer; it is only kept.
    id: Option<u64>,
    answered: AtomicBool,
    /// For an event that is handled once: repeats get the same answer.
    ticket: Option<Ticket>,
}

impl AckTarget {
    pub(crate) fn new(socket: Socket, id: u64) -> Self {
        Self { socket, id: Some(id), answered: AtomicBool::new(false), ticket: None }
    }

    pub(crate) fn with_ticket(socket: Socket, id: Option<u64>, ticket: Ticket) -> Arc<Self> {
        Arc::new(Self { socket, id, answered: AtomicBool::new(false), ticket: Some(ticket) })
    }

    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    /// Sends the answer that was given to the same event before.
    pub(crate) fn repeat(&self, answer: &Encoded) {
        let Some(id) = self.id.filter(|_| !self.answered.swap(true, Ordering::AcqRel)) else { return };
        let namespace = self.socket.namespace_core();
        let mut head = vec![0; HEADROOM];
        head.extend(sio::with_ack_id(namespace.io.config.parser, &namespace.name, answer.packet(), id));
        let encoded = Encoded { head, head_offset: HEADROOM, ..answer.clone() };
        // The client may be gone again.
        drop(self.send(encoded));
    }

    fn send(&self, encoded: Encoded) -> Result<(), EmitError> {
        // What the client hears of is to be true after a crash too: the rooms that its event had it join.
        let barrier = self.socket.log().and_then(|(log, _)| log.barrier());
        let packet = Packet::logged(encoded, true, &self.socket.session().engine.budget, barrier);
        self.socket.send(&packet, Class::Control)
    }

    /// Sends the answer, unless there was one.
    pub(crate) fn answer<T: Serialize>(&self, value: &T) -> Result<(), EmitError> {
        if self.answered.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let namespace = self.socket.namespace_core();
        let id = self.id.unwrap_or_default();
        let encoded = sio::encode_ack(namespace.io.config.parser, HEADROOM, &namespace.name, id, value);
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => {
                self.answered.store(false, Ordering::Release);
                return Err(EmitError::Encode(EncodeError::from(error)));
            }
        };
        if let Some(ticket) = &self.ticket {
            ticket.settle(&encoded);
        }
        if self.id.is_some() { self.send(encoded) } else { Ok(()) }
    }

    /// Ends the client's wait: `{"error": {"message", "data"?}}`.
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
        // The client may be gone; its wait has ended then.
        drop(self.answer(&Failure { error: Error { message, data } }));
    }
}

impl Drop for AckTarget {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && !*self.answered.get_mut()
        {
            ticket.abandon();
        }
    }
}

/// Answers an event by hand, perhaps later and from elsewhere; an argument of a handler. Where the client wants no answer it
/// does nothing. Dropped unanswered it tells the client so, and its wait ends.
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
    /// [`EmitError::Closed`] if the client is gone, [`EmitError::Encode`] if the value cannot be encoded.
    #[allow(clippy::needless_pass_by_value, reason = "an answer is given away")]
    pub fn send(mut self, value: T) -> Result<(), EmitError> {
        let target = self.target.take();
        target.map_or(Ok(()), |target| target.answer(&value))
    }
}

impl<T> Ack<T> {
    /// Whether the client waits for an answer, or one is kept for the event's repeats.
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
