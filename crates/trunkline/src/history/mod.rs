//! The events of a room over plain HTTP, for those who have nothing else: polling, long polling and an event stream.
//!
//! `<path>/history/<namespace>/rooms/<room>/events`; docs/history.md says what clients see. The events are those of the log that a
//! namespace with [`Recovery`](crate::Recovery) keeps.

mod address;
mod answer;
mod counted;
mod page;
mod query;
mod readers;
mod rewind;

mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::engine::EngineCore;
use crate::handler::{Check, ErasedCheck, erase_check};

pub(crate) use address::Address;
pub(crate) use answer::answer;
pub use counted::CountedBody;
pub(crate) use readers::Readers;
pub use rewind::{Rewind, Rewound};

pub use stream::EventStream;

/// Who may read which rooms of a namespace over HTTP, and how much at a time; for
/// [`Namespace::history`](crate::Namespace::history).
///
/// Whoever asks has to pass the checks of the namespace, as a client that connects, and then the check that is given here. An
/// [`Admission`](crate::Admission) tells both what it is about: `purpose()` is `ReadHistory`, `room()` the room, `handshake()` the
/// request.
///
/// ```
/// use trunkline::{Admission, History, Io, Recovery};
///
/// let io = Io::new();
/// io.of("/feed").recovery(Recovery::memory()).history(History::guarded(async |admission: Admission| {
///     match admission.room() {
///         Some("news") => Ok(()),
///         _ => Err("not for everybody"),
///     }
/// }));
/// ```
#[derive(Clone)]
pub struct History {
    check: Option<Arc<dyn ErasedCheck>>,
    max_events: usize,
    max_bytes: usize,
    max_wait: Duration,
    max_waiting: usize,
    max_lag: usize,
    max_sending: Duration,
    heartbeat: Duration,
    excepted: bool,
    socket_rooms: bool,
}

impl History {
    /// For all who pass the checks of the namespace, each of its rooms. Checks that were written for sockets do not know who would be
    /// let into which room: without secrets only.
    pub fn public() -> Self {
        Self {
            check: None,
            max_events: 1_000,
            max_bytes: 1 << 20,
            max_wait: Duration::from_secs(60),
            max_waiting: 1_000,
            max_lag: 4 << 20,
            max_sending: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            excepted: false,
            socket_rooms: false,
        }
    }

    /// For whom `check` says `Ok`, after the checks of the namespace. What it refuses with is told: 403 with message and data.
    pub fn guarded<C, A>(check: C) -> Self
    where
        C: Check<A>,
        A: 'static,
    {
        Self { check: Some(erase_check(check)), ..Self::public() }
    }

    /// Events in one answer at most; default 1,000. Who asks for more gets so many, who says nothing gets 100.
    #[must_use]
    pub fn max_events(mut self, events: usize) -> Self {
        self.max_events = events.max(1);
        self
    }

    /// Bytes of events in one answer, about; default 1 MiB. One event is given, however long.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long a request may wait for news; default 60 s. Who asks for longer waits so long.
    #[must_use]
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = time.min(Duration::from_secs(86_400));
        self
    }

    /// How many requests may wait or stream at one time, in all namespaces that this is given to by one registration; default 1,000.
    /// Further ones are answered 503 with `Retry-After`.
    #[must_use]
    pub fn max_waiting(mut self, requests: usize) -> Self {
        self.max_waiting = requests;
        self
    }

    /// Bytes that may be sent to the room while a stream's reader takes nothing; default 4 MiB. Then its stream ends; it may come back
    /// with its position. Nothing of it is held in memory for the reader.
    #[must_use]
    pub fn max_lag(mut self, bytes: usize) -> Self {
        self.max_lag = bytes;
        self
    }

    /// How long the sending of an answer may take; default 60 s. Then the connection of its reader ends, where `trunkline::serve` serves
    /// it. Until it is sent an answer counts in [`IoBuilder::max_memory`](crate::IoBuilder::max_memory); one that has no room there is
    /// 503. Streams have [`History::max_lag`] instead.
    #[must_use]
    pub fn max_sending(mut self, time: Duration) -> Self {
        self.max_sending = time.min(Duration::from_secs(86_400));
        self
    }

    /// How long a stream is silent before it gets a comment, so that proxies keep it open; default 15 s.
    #[must_use]
    pub fn heartbeat(mut self, time: Duration) -> Self {
        self.heartbeat = time.clamp(Duration::from_millis(10), Duration::from_secs(86_400));
        self
    }

    /// Whether it tells what was sent to the room with an `except`; default false, because nobody knows whether who asks is one of
    /// those.
    #[must_use]
    pub fn with_excepted(mut self, tell: bool) -> Self {
        self.excepted = tell;
        self
    }

    /// Whether rooms can be read whose names have the form of a socket's id, 20 characters of `A-Z a-z 0-9 - _`; default false, since
    /// what is sent to one socket is in the room of its id, and ids are no secrets.
    #[must_use]
    pub fn with_socket_rooms(mut self, serve: bool) -> Self {
        self.socket_rooms = serve;
        self
    }

    pub(crate) fn erased_check(&self) -> Option<&Arc<dyn ErasedCheck>> {
        self.check.as_ref()
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("is_guarded", &self.check.is_some()).finish_non_exhaustive()
    }
}

/// How often who waits looks how far the log is. A reader of a quiet room must not fall behind what a busy namespace keeps.
const REFRESH: Duration = Duration::from_secs(1);

/// What one registration serves.
pub(crate) struct Served {
    pub(crate) history: History,
    waiting: AtomicUsize,
}

impl Served {
    pub(crate) fn new(history: History) -> Arc<Self> {
        Arc::new(Self { history, waiting: AtomicUsize::new(0) })
    }

    /// A place among those who wait, if there is one.
    fn wait(self: &Arc<Self>, engine: &Arc<EngineCore>) -> Option<Place> {
        let limit = self.history.max_waiting;
        let taken =
            self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < limit).then_some(n + 1));
        taken.ok()?;
        engine.reader_came();
        Some(Place { served: Arc::clone(self), engine: Arc::clone(engine) })
    }
}

/// One who waits.
struct Place {
    served: Arc<Served>,
    engine: Arc<EngineCore>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.served.waiting.fetch_sub(1, Ordering::AcqRel);
        self.engine.reader_went();
    }
}
