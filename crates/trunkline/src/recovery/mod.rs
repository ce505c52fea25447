//! Recovery: a client whose connection broke gets its rooms, its data and the events it has missed.
//!
//! It works with unmodified clients of Socket.IO 4.6 and later (reference/socketio.md 2.3): CONNECT gives them a private id, and each
//! event without an acknowledgement ends with its offset; they send both when they come back.
//!
//! **The lock of a log is taken before that of a shard.** Under it an event gets its number, is kept, and is put into the
//! outboxes; a socket enters, joins, leaves and goes. So each socket sees the numbers in order, and which rooms it was in at each number
//! is known exactly: nothing is delivered twice, and nothing that was not meant for it.

mod admitted;
mod claim;
mod namespace_log;
mod session;
mod tidy;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trunkline_proto::sio::is_reserved;

use crate::log::{Bounds, Durability, folder};

pub(crate) use claim::{Claim, Outcome};
pub(crate) use namespace_log::{NamespaceLog, Surroundings};
pub(crate) use tidy::Logs;

/// How a namespace recovers clients; for [`Namespace::recovery`](crate::Namespace::recovery) and
/// [`IoBuilder::recovery`](crate::IoBuilder::recovery).
///
/// Events with an acknowledgement and volatile ones are not kept. What is kept counts in
/// [`IoBuilder::max_memory`](crate::IoBuilder::max_memory).
///
/// ```
/// use std::time::Duration;
/// use trunkline::{Io, Recovery, Socket};
///
/// let io = Io::new();
/// io.of("/feed").recovery(Recovery::memory().max_disconnection(Duration::from_secs(60))).on_connect(async |socket: Socket| {
///     if !socket.is_recovered() {
///         socket.join("news");
///     }
/// });
/// ```
#[derive(Debug, Clone)]
pub struct Recovery {
    max_disconnection: Duration,
    max_sessions: usize,
    bounds: Bounds,
    /// Where the log is written; `None`: nowhere.
    folder: Option<PathBuf>,
    durability: Durability,
    run_checks: bool,
    gap_event: Option<Arc<str>>,
}

impl Recovery {
    /// Events and sessions are kept in the memory of this process.
    pub fn memory() -> Self {
        Self {
            max_disconnection: Duration::from_secs(120),
            max_sessions: 10_000,
            bounds: Bounds { bytes: 16 << 20, events: 100_000, age: Duration::from_secs(120) },
            folder: None,
            durability: Durability::default(),
            run_checks: true,
            gap_event: None,
        }
    }

    /// Events and sessions are kept in memory, and written to a folder as well: clients come back to a server that was killed and
    /// started again. Each namespace has a folder of its own below this one, and one server at a time uses it. Each holds two files
    /// open: when they are a quarter of what the process may have (20,000 at most), further namespaces of a pattern or function, whose
    /// names clients choose, are kept in memory alone, and count in `trunkline_log_failures_total`. See
    /// [`Recovery::durability`], and [`Namespace::open_recovery`](crate::Namespace::open_recovery) for what can go wrong.
    pub fn file(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..Self::memory() }
    }

    /// How safe an event is in its file before anybody gets it; default [`Durability::Batched`]. Without effect in memory.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long after its disconnect a client can be recovered; default 2 min, the reference's. Events are kept as long.
    #[must_use]
    pub fn max_disconnection(mut self, time: Duration) -> Self {
        // A year, like other times of the library: sums with it must not overflow.
        self.max_disconnection = time.min(Duration::from_secs(31_536_000));
        self
    }

    /// How many disconnected clients are remembered; default 10,000. The first to go are forgotten first.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Bytes of events that the namespace keeps, about; default 16 MiB. The oldest go first.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// How many events the namespace keeps; default 100,000.
    #[must_use]
    pub fn max_events(mut self, events: usize) -> Self {
        self.bounds.events = events;
        self
    }

    /// Whether the namespace's checks run for a client that is recovered; default true. If not, what a check had put into the
    /// [`Admission`](crate::Admission) is missing; [`Socket::data`](crate::Socket::data) is always restored. (The reference's `skipMiddlewares`, which is
    /// the other way round by default.)
    #[must_use]
    pub fn run_checks(mut self, run: bool) -> Self {
        self.run_checks = run;
        self
    }

    /// The name of an event that tells a client that it could not be recovered; default none. Its argument is
    /// `{"from", "to", "reason"}`: the offset it came with (or null), the latest one, and `unknown`, `window`, `foreign` or `bytes`.
    ///
    /// # Panics
    /// If the name is reserved.
    #[must_use]
    pub fn gap_event(mut self, name: &str) -> Self {
        assert!(!is_reserved(name), "\"{name}\" is no event that can be sent");
        self.gap_event = Some(Arc::from(name));
        self
    }
}

impl Recovery {
    /// `noticing`: how long a loss can go unnoticed. What was sent meanwhile is kept as well.
    fn bounds(&self, noticing: Duration) -> Bounds {
        Bounds { age: self.max_disconnection.saturating_add(noticing), ..self.bounds }
    }

    pub(crate) fn has_files(&self) -> bool {
        self.folder.is_some()
    }

    /// Whether an earlier process has kept something of this namespace.
    pub(crate) fn has_files_of(&self, namespace: &str) -> bool {
        self.folder.as_ref().is_some_and(|root| folder(root, namespace).is_dir())
    }

    pub(crate) fn runs_checks(&self) -> bool {
        self.run_checks
    }

    pub(crate) fn gap_event_name(&self) -> Option<&str> {
        self.gap_event.as_deref()
    }
}
