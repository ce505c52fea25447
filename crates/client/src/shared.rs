//! What handles, handlers and the task of one client have in common.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use trunkline_proto::eio::{Moment, TransportKind};
use trunkline_proto::sio::{OwnedArgs, Parser};

use crate::ack::{AckTarget, Waiter};
use crate::auth::Auth;
use crate::client::Handle;
use crate::config::{Limits, Sending};
use crate::error::ConnectError;
use crate::events::{Event, Lifecycle, Writers};
use crate::extract::States;
use crate::handler::HandlerError;
use crate::listeners::Listeners;
use crate::manager::{Manager, Nsp};
use crate::reason::DisconnectReason;

/// The shared part of a client. The task holds it, handles hold it; only [`Handle`] keeps the client open.
pub(crate) struct Shared {
    /// Never locked while user code runs.
    pub(crate) manager: Mutex<Manager<Waiter>>,
    pub(crate) wake: Notify,
    pub(crate) handle: Weak<Handle>,
    /// By their place in the machine.
    pub(crate) sockets: RwLock<Vec<Arc<Core>>>,
    pub(crate) parser: Parser,
    pub(crate) limits: Limits,
    pub(crate) states: States,
    pub(crate) sending: Sending,
    pub(crate) auto_connect: bool,
    pub(crate) auth: Option<Auth>,
    pub(crate) on_error: Option<Box<ErrorHook>>,
    pub(crate) changes: Mutex<Writers<Lifecycle>>,
    /// Counts what the machine did, for those who wait for a state.
    pub(crate) progress: watch::Sender<u64>,
    pub(crate) inbound: Inbound,
    pub(crate) runtime: tokio::runtime::Handle,
    /// True when the task has ended.
    pub(crate) ended: watch::Sender<bool>,
    /// Why the connection was last not to be had, and the server's name for it while it is. Locked behind `manager`, if with it.
    pub(crate) connection: Mutex<Connection>,
}

/// What handles may ask about the connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) transport: Option<TransportKind>,
    pub(crate) failure: Option<ConnectError>,
}

/// Told of what goes wrong in handlers.
pub(crate) type ErrorHook = dyn Fn(&HandlerFailure<'_>) + Send + Sync;

/// What went wrong in a handler; see [`Builder::on_error`](crate::Builder::on_error).
#[derive(Debug)]
#[non_exhaustive]
pub struct HandlerFailure<'a> {
    /// The event, or `connect`, `disconnect`, `connect_error`.
    pub event: &'a str,
    /// The error.
    pub error: &'a HandlerError,
    /// Whether it was a panic.
    pub panicked: bool,
}

impl Shared {
    /// Tells the task that the machine has something for it.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether reading stops: events are at their bound. While somebody needs what was not read, be it an answer or the
    /// server's word that a socket is connected, the bound is [`FLOOD`] times as far.
    pub(crate) fn must_pause(&self) -> bool {
        self.inbound.reaches(1, &self.limits) && {
            let manager = self.manager.lock();
            let times = if manager.is_settled() && !manager.is_answer_awaited() { 1 } else { FLOOD };
            self.inbound.reaches(times, &self.limits)
        }
    }

    /// To be called when nothing was read for so long and no handler was done meanwhile: ends the connection if that is too
    /// long, or if so much was read for the sake of an answer that it cannot be kept.
    pub(crate) fn end_pause(&self, lasted: Duration) {
        let mut manager = self.manager.lock();
        let is_flood = self.inbound.reaches(FLOOD, &self.limits) && manager.is_answer_awaited();
        if is_flood || lasted >= self.limits.max_pause {
            manager.overflow(Instant::now());
        }
    }

    pub(crate) fn socket(&self, nsp: Nsp) -> Option<Arc<Core>> {
        self.sockets.read().get(nsp.0).cloned()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("sockets", &self.sockets.read().len()).finish_non_exhaustive()
    }
}

/// The events of one client that wait for handlers.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    events: AtomicUsize,
    bytes: AtomicUsize,
    /// How many were taken out in all.
    taken: AtomicU64,
}

impl Inbound {
    pub(crate) fn add(&self, bytes: usize) {
        self.events.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.events.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.taken.fetch_add(1, Ordering::AcqRel);
    }

    /// How many events handlers have been given in all: the measure of their progress.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Whether so many times the limits are reached.
    pub(crate) fn reaches(&self, times: usize, limits: &Limits) -> bool {
        self.events.load(Ordering::Acquire) >= limits.max_pending_events.saturating_mul(times)
            || self.bytes.load(Ordering::Acquire) >= limits.max_pending_bytes.saturating_mul(times)
    }
}

/// The shared part of a socket.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) nsp: Nsp,
    pub(crate) name: Box<str>,
    pub(crate) sending: Sending,
    pub(crate) auth: Mutex<Option<Auth>>,
    pub(crate) listeners: RwLock<Listeners>,
    pub(crate) events: Mutex<Writers<Event>>,
    pub(crate) changes: Mutex<Writers<Lifecycle>>,
    pub(crate) jobs: Mutex<Jobs>,
}

/// Calls that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) waiting: VecDeque<Job>,
    /// Whether somebody works on them.
    pub(crate) is_running: bool,
}

/// One call of a socket's handlers.
#[derive(Debug)]
pub(crate) enum Job {
    Event {
        name: Arc<str>,
        args: Arc<OwnedArgs>,
        ack: Option<Arc<AckTarget>>,
    },
    /// Whether the state before was restored.
    Connect(bool),
    ConnectError(ConnectError),
    Disconnect(DisconnectReason),
}

impl Core {
    pub(crate) fn new(nsp: Nsp, name: &str, sending: Sending, auth: Option<Auth>) -> Self {
        Self {
            nsp,
            name: name.into(),
            sending,
            auth: Mutex::new(auth),
            listeners: RwLock::default(),
            events: Mutex::default(),
            changes: Mutex::default(),
            jobs: Mutex::default(),
        }
    }
}

/// Now, on both clocks.
pub(crate) fn moment() -> Moment {
    Moment { monotonic: Instant::now(), wall: SystemTime::now() }
}

/// So many times the bound of waiting events may be read while somebody waits for an answer.
const FLOOD: usize = 4;
