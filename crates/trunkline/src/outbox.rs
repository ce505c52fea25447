//! What waits for one receiver, and who may write it.
//!
//! **Whoever holds the mode writes:** in `Flushing` who has taken the queue, the shard's flusher or the session's task at the end of its
//! turn; in `Blocked` the session's task, alone. A packet that was begun is finished before anything else is written.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::session::Session;
use crate::transport::websocket::SharedStream;
use crate::wire::{Queue, Wire};

/// Gives a waiting polling request its packets.
pub(crate) type PollSender = oneshot::Sender<Queue>;

/// Where an outbox's packets go.
pub(crate) enum Sink {
    /// Nowhere at the moment: no polling request waits.
    Waiting,
    /// A polling request waits for packets.
    Poll(PollSender),
    /// The flusher writes this stream.
    Tcp(Arc<TcpStream>),
    /// The flusher writes this stream (TLS and others).
    Other(SharedStream),
    /// The session's task writes: there is no stream yet, or none any more.
    Task,
}

impl Sink {
    pub(crate) fn is_ready(&self) -> bool {
        !matches!(self, Self::Waiting)
    }
}

/// Who writes an outbox's packets at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Nobody.
    Idle,
    /// On one of the shard's dirty lists, or on both.
    Dirty,
    /// The flusher, or the session's task at the end of its turn, has taken the queue and writes outside the lock.
    Flushing,
    /// The stream took no more: the session's task waits for it and writes.
    Blocked,
}

/// One receiver's queue; in its shard's slab.
pub(crate) struct Outbox {
    pub(crate) queue: Queue,
    /// What the queue counts, in bytes (design 8.2); includes packets that are being written.
    pub(crate) bytes: usize,
    /// Bytes of the queue's first packet that are already written.
    pub(crate) written: usize,
    pub(crate) sink: Sink,
    pub(crate) session: Option<Arc<Session>>,
    /// Since when bytes wait that could not be sent.
    pub(crate) since: Option<Instant>,
    /// Who wants to know when the queue is empty.
    #[expect(
        clippy::box_collection,
        reason = "most outboxes have none, and there is one for each connection"
    )]
    pub(crate) drained: Option<Box<Vec<Waker>>>,
    pub(crate) generation: u32,
    pub(crate) mode: Mode,
    pub(crate) wire: Wire,
    /// The close packet is queued: nothing more is taken.
    pub(crate) finishing: bool,
    /// On the list of what is for few; in mode `Flushing`: belongs there if something is left.
    pub(crate) ahead: bool,
    /// There may be packets in the queue that wait for their log.
    pub(crate) held: bool,
    /// It is on the shard's list of those that wait for a log.
    pub(crate) listed: bool,
    /// In mode `Blocked`: the session's task has taken the queue and writes.
    pub(crate) taken: bool,
    /// From how many bytes on outdated packets are looked for again; see [`crate::slow`].
    pub(crate) compact_at: u32,
    /// With how many bytes no droppable packet was found; 0 if there was one.
    pub(crate) futile: u32,
}

impl Outbox {
    pub(crate) fn new(generation: u32, wire: Wire, sink: Sink) -> Self {
        Self {
            queue: Queue::new(),
            bytes: 0,
            written: 0,
            sink,
            session: None,
            since: None,
            drained: None,
            generation,
            mode: Mode::Idle,
            wire,
            finishing: false,
            ahead: false,
            held: false,
            listed: false,
            taken: false,
            compact_at: 0,
            futile: 0,
        }
    }

    /// Whether a volatile packet would have to wait: the last write did not go through, or no request waits.
    pub(crate) fn is_blocked(&self) -> bool {
        match self.sink {
            Sink::Waiting => true,
            Sink::Poll(_) => false,
            Sink::Tcp(_) | Sink::Other(_) | Sink::Task => self.since.is_some(),
        }
    }

    /// What may be written, all of the queue up to the first packet that waits for its log; that and the others stay.
    pub(crate) fn take_free(&mut self) -> Queue {
        if self.held {
            if let Some(free) = self.queue.iter().position(|packet| packet.is_held()) {
                return self.queue.drain(..free).collect();
            }
            self.held = false;
        }
        std::mem::take(&mut self.queue)
    }

    /// What may be sent, for a polling answer.
    pub(crate) fn take_answer(&mut self) -> Queue {
        let answer = self.take_free();
        self.bytes = self.queue.iter().map(|packet| packet.cost()).sum();
        self.since = None;
        answer
    }

    /// Takes out what was not begun.
    pub(crate) fn take_unsent(&mut self) -> Queue {
        let keep = usize::from(self.written > 0);
        let unsent: Queue = self.queue.drain(keep.min(self.queue.len())..).collect();
        let freed: usize = unsent.iter().map(|packet| packet.cost()).sum();
        self.bytes = self.bytes.saturating_sub(freed);
        unsent
    }

    /// Notes who wants to know when the queue is empty; whoever asks again is noted once.
    pub(crate) fn on_drained(&mut self, waker: &Waker) {
        let wakers = self.drained.get_or_insert_default();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Tells those who wait for an empty queue.
    pub(crate) fn wake_drained(&mut self) {
        if let Some(wakers) = self.drained.take() {
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}
