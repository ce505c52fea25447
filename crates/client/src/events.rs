//! Events and changes as streams, for those who prefer a loop to handlers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_proto::eio::TransportKind;
use trunkline_proto::sio::OwnedArgs;

use crate::ack::{Ack, AckTarget};
use crate::error::{ConnectError, EmitError};
use crate::extract::decode_answer;
use crate::reason::DisconnectReason;

/// What happens to a socket and to its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifecycle {
    /// The socket is connected.
    Connect {
        /// Whether the server restored its state and sent what was missed.
        recovered: bool,
    },
    /// The socket did not connect.
    ConnectError(ConnectError),
    /// The socket is not connected any more.
    Disconnect {
        /// Why, in the reference's words.
        reason: DisconnectReason,
        /// Details of a failure.
        description: Option<Arc<str>>,
    },
    /// The connection is lost, or was not to be had; it will be tried again.
    ReconnectIn {
        /// For the so-manieth time in a row.
        attempt: u32,
        /// From now on; see [`Reconnection`](crate::Reconnection).
        delay: Duration,
    },
    /// The connection is tried again, for the so-manieth time in a row.
    ReconnectAttempt(u32),
    /// The connection is back after so many attempts.
    Reconnect(u32),
    /// An attempt to reconnect failed. That of the last attempt comes behind [`ReconnectFailed`](Self::ReconnectFailed), as in
    /// the reference.
    ReconnectError(ConnectError),
    /// The attempts are used up.
    ReconnectFailed,
    /// The connection goes on by this transport: WebSocket, after polling.
    Upgraded(TransportKind),
}

/// One event from the server, its arguments still raw.
#[derive(Debug)]
pub struct Event {
    name: Arc<str>,
    args: Arc<OwnedArgs>,
    ack: Option<Arc<AckTarget>>,
}

impl Event {
    pub(crate) fn new(name: Arc<str>, args: Arc<OwnedArgs>, ack: Option<Arc<AckTarget>>) -> Self {
        Self { name, args, ack }
    }

    /// The event's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first argument as `T`; all of them if `T` is [`Args`](crate::Args), none if it is `()`.
    ///
    /// # Errors
    /// [`DecodeError`](trunkline_proto::sio::DecodeError) if the arguments are not of that type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, trunkline_proto::sio::DecodeError> {
        decode_answer(self.args.as_args())
    }

    /// Whether the server waits for an answer.
    pub fn is_answer_wanted(&self) -> bool {
        self.ack.is_some()
    }

    /// Answers, if the server waits for it: `()` for no argument, [`Args`](crate::Args) for several. Only the first answer
    /// counts, also among several streams and handlers. An event that nobody answers stays unanswered.
    ///
    /// # Errors
    /// [`EmitError::Closed`] if the connection that asked is gone, [`EmitError::Encode`] if the value cannot be encoded.
    pub fn answer<T: Serialize>(&self, value: &T) -> Result<(), EmitError> {
        self.ack.as_ref().map_or(Ok(()), |ack| ack.answer(value))
    }

    /// The answer to be given later and elsewhere; dropped, it tells the server that nobody answers.
    pub fn into_ack<T: Serialize>(self) -> Ack<T> {
        Ack::new(self.ack)
    }
}

/// A bounded stream. If it is read too slowly the oldest items are dropped and [counted](Self::missed); so a forgotten
/// stream holds up nothing. It ends with its client.
#[derive(Debug)]
pub struct Items<T>(Arc<Mutex<Ring<T>>>);

/// The events of a socket, see [`Socket::events`](crate::Socket::events).
pub type Events = Items<Event>;
/// The changes of a socket or a client.
pub type Changes = Items<Lifecycle>;

#[derive(Debug)]
struct Ring<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    missed: u64,
    is_over: bool,
    waker: Option<Waker>,
}

impl<T> Items<T> {
    /// How many items were dropped because this stream was read too slowly.
    pub fn missed(&self) -> u64 {
        self.0.lock().missed
    }

    /// The next item; `None` at the end of the client.
    pub async fn next(&mut self) -> Option<T> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T> Stream for Items<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut ring = self.0.lock();
        if let Some((item, size)) = ring.items.pop_front() {
            ring.bytes -= size;
            return Poll::Ready(Some(item));
        }
        if ring.is_over {
            return Poll::Ready(None);
        }
        ring.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The writing ends of some streams.
#[derive(Debug)]
pub(crate) struct Writers<T> {
    rings: Vec<Weak<Mutex<Ring<T>>>>,
    is_over: bool,
}

impl<T> Default for Writers<T> {
    fn default() -> Self {
        Self { rings: Vec::new(), is_over: false }
    }
}

impl<T> Writers<T> {
    /// A new stream of what is written from now on.
    pub(crate) fn subscribe(&mut self) -> Items<T> {
        let ring = Ring { items: VecDeque::new(), bytes: 0, missed: 0, is_over: self.is_over, waker: None };
        let ring = Arc::new(Mutex::new(ring));
        self.rings.retain(|ring| ring.strong_count() > 0);
        self.rings.push(Arc::downgrade(&ring));
        Items(ring)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rings.iter().all(|ring| ring.strong_count() == 0)
    }

    /// Gives each stream an item; `size` is in bytes.
    pub(crate) fn write(&self, size: usize, mut make: impl FnMut() -> T) {
        for ring in self.rings.iter().filter_map(Weak::upgrade) {
            let mut dropped = Vec::new();
            let mut ring = ring.lock();
            ring.items.push_back((make(), size));
            ring.bytes += size;
            while ring.items.len() > 1 && (ring.items.len() > MAX_ITEMS || ring.bytes > MAX_BYTES) {
                if let Some((item, size)) = ring.items.pop_front() {
                    ring.bytes -= size;
                    ring.missed += 1;
                    dropped.push(item);
                }
            }
            let waker = ring.waker.take();
            drop(ring);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Ends all streams, those to come too.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
        for ring in self.rings.drain(..).filter_map(|ring| ring.upgrade()) {
            let mut ring = ring.lock();
            ring.is_over = true;
            let waker = ring.waker.take();
            drop(ring);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// What one stream holds.
const MAX_ITEMS: usize = 256;
/// What one stream holds, in bytes; one item is always kept.
const MAX_BYTES: usize = 1 << 20;
