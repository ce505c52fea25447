//! One namespace as the machine sees it: how far it is connected, what waits to be sent, and who waits for answers.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use trunkline_proto::sio::OwnedArgs;

use super::buffer::SendBuffer;
use super::message::{Asked, Message};
use crate::config::{Limits, Sending};
use crate::error::ConnectError;

/// The state of one socket.
#[derive(Debug)]
pub(super) struct Namespace<W> {
    pub(super) name: Box<str>,
    pub(super) stage: Stage,
    /// A CONNECT of this connection was given up before the server answered it. Until it does, it is told nothing: to leave
    /// what was not entered, or to enter it twice, ends the whole connection.
    pub(super) owed: bool,
    /// It was left on this connection; what is still under way from then is for nobody.
    pub(super) left: bool,
    /// Whether it is to be connected whenever there is a connection.
    pub(super) active: bool,
    /// Whether it was ever told to connect.
    pub(super) was_asked: bool,
    /// Counts its connections, so that a late answer to a lost one goes nowhere.
    pub(super) session: u64,
    pub(super) id: Option<Box<str>>,
    pub(super) recovered: bool,
    /// The private id that the server gave for recovery.
    pub(super) pid: Option<Box<str>>,
    /// The last event's place in the server's log.
    pub(super) offset: Option<Box<str>>,
    /// Why it last failed to connect.
    pub(super) failure: Option<ConnectError>,
    pub(super) sending: Sending,
    /// What was emitted while not connected.
    pub(super) unsent: SendBuffer,
    /// With retries: all that is not acknowledged, the first being tried.
    pub(super) queue: RetryQueue<W>,
    pub(super) acks: HashMap<u64, Waiting<W>>,
    /// While nobody tries to connect: when the waits end that nothing else would end.
    pub(super) hopeless: Option<Instant>,
    /// The server knows a retry by its ack id, and was told that it keeps the one of the first try.
    pub(super) keeps_ids: bool,
    /// The next ack id.
    pub(super) ack_ids: u64,
    /// Events that came before CONNECT.
    pub(super) early: VecDeque<Early>,
    pub(super) early_bytes: usize,
}

/// How far a namespace is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    /// Until the server answers a CONNECT that was given up.
    Behind {
        deadline: Instant,
    },
    /// The auth function was asked, by this attempt.
    Asking {
        attempt: u64,
        deadline: Instant,
    },
    /// CONNECT was sent.
    Connecting {
        deadline: Instant,
    },
    Connected,
}

/// An answer that is waited for.
#[derive(Debug)]
pub(super) struct Waiting<W> {
    pub(super) waiter: Option<W>,
    pub(super) deadline: Option<Instant>,
    /// Whether the event is the first of the retry queue.
    pub(super) is_retry: bool,
}

/// An event that came before CONNECT.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) name: Box<str>,
    pub(super) args: OwnedArgs,
    pub(super) id: Option<u64>,
}

/// Events that are sent one at a time, each until it is acknowledged.
#[derive(Debug)]
pub(super) struct RetryQueue<W> {
    pub(super) waiting: VecDeque<Queued<W>>,
    bytes: usize,
}

/// An event with retries.
#[derive(Debug)]
pub(super) struct Queued<W> {
    pub(super) message: Message,
    /// Its id, that of the first try, also names the event here.
    pub(super) asked: Asked<W>,
    /// How often it was sent.
    pub(super) tries: u32,
    /// The ack id of the try whose answer is being waited for.
    pub(super) pending: Option<u64>,
}

impl<W> Namespace<W> {
    pub(super) fn new(name: &str, sending: Sending, limits: &Limits) -> Self {
        Self {
            name: name.into(),
            stage: Stage::Idle,
            owed: false,
            left: false,
            active: false,
            was_asked: false,
            session: 0,
            id: None,
            recovered: false,
            pid: None,
            offset: None,
            failure: None,
            sending,
            unsent: SendBuffer::new(sending.offline, limits.max_offline),
            queue: RetryQueue { waiting: VecDeque::new(), bytes: 0 },
            acks: HashMap::new(),
            hopeless: None,
            keeps_ids: false,
            ack_ids: 0,
            early: VecDeque::new(),
            early_bytes: 0,
        }
    }

    pub(super) fn next_ack_id(&mut self) -> u64 {
        let id = self.ack_ids;
        self.ack_ids += 1;
        id
    }

    pub(super) fn is_connected(&self) -> bool {
        self.stage == Stage::Connected
    }

    /// When something here is due that does not depend on answers.
    pub(super) fn stage_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Behind { deadline } | Stage::Asking { deadline, .. } | Stage::Connecting { deadline } => {
                Some(deadline)
            }
            Stage::Idle | Stage::Connected => None,
        }
    }

    /// Whether somebody waits whom no deadline tells that there is no answer. To be asked while it is not connected: all
    /// acknowledgements are of events that are kept then.
    pub(super) fn has_endless_waits(&self) -> bool {
        self.queue.waiting.iter().any(|queued| queued.asked.waiter.is_some())
            || self.acks.values().any(|waiting| waiting.deadline.is_none())
    }

    /// Who waits so. What they asked is still to be sent.
    pub(super) fn take_endless_waits(&mut self) -> Vec<W> {
        let queued = self.queue.waiting.iter_mut().filter_map(|queued| queued.asked.waiter.take());
        let mut waiters: Vec<W> = queued.collect();
        let kept = self.acks.extract_if(|_, waiting| waiting.deadline.is_none());
        waiters.extend(kept.filter_map(|(_, waiting)| waiting.waiter));
        waiters
    }

    /// Nobody waits for the server's word any more, should it be on its way.
    pub(super) fn give_up_entering(&mut self) {
        if matches!(self.stage, Stage::Connecting { .. }) {
            (self.owed, self.left) = (true, true);
        }
        self.stage = Stage::Idle;
        self.forget_early();
    }

    /// The connection is gone, and what was under way with it.
    pub(super) fn forget_connection(&mut self) {
        (self.owed, self.left) = (false, false);
    }

    pub(super) fn forget_early(&mut self) {
        self.early = VecDeque::new();
        self.early_bytes = 0;
    }
}

impl<W> RetryQueue<W> {
    /// False if that would be more than `max_bytes`.
    pub(super) fn push(&mut self, queued: Queued<W>, max_bytes: usize) -> Result<(), Queued<W>> {
        let size = queued.message.size();
        if size > max_bytes.saturating_sub(self.bytes) {
            return Err(queued);
        }
        self.bytes += size;
        self.waiting.push_back(queued);
        Ok(())
    }

    /// Removes the first event if the try with this ack id is its last; who waits for its answer.
    pub(super) fn pop_tried(&mut self, id: u64) -> Option<W> {
        self.waiting.front().filter(|first| first.pending == Some(id))?;
        self.pop()?.asked.waiter
    }

    pub(super) fn pop(&mut self) -> Option<Queued<W>> {
        let queued = self.waiting.pop_front()?;
        self.bytes -= queued.message.size();
        Some(queued)
    }
}
