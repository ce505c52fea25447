//! What a log that outlives its process notes of the sessions.

use std::sync::Arc;

use crate::sid::Id;
use crate::socket::SocketId;

/// How safe an event is before anybody gets it; for [`Recovery::durability`](crate::Recovery::durability).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Nobody waits. After a crash of the process nothing is recovered; after an orderly end everything is.
    None = 0,
    /// It was given to the operating system: it survives the process, also `kill -9`, but not a loss of power, after which nothing is
    /// recovered (on Linux; elsewhere the machine must not lose power).
    #[default]
    Batched = 1,
    /// It is on the disk (`fdatasync`): it survives a loss of power.
    Synced = 2,
}

/// A change of one session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Entered(Saved),
    Joined {
        pid: Id,
        room: Arc<str>,
        from: u64,
    },
    Left {
        pid: Id,
        room: Arc<str>,
        to: u64,
    },
    Data {
        pid: Id,
        data: serde_json::Map<String, serde_json::Value>,
    },
    Confirmed {
        pid: Id,
        sequence: u64,
    },
    /// `time`: milliseconds since 1970.
    Gone {
        pid: Id,
        time: u64,
    },
    Back {
        pid: Id,
    },
    Forgotten {
        pid: Id,
    },
}

/// A whole session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saved {
    pub(crate) pid: Id,
    pub(crate) id: SocketId,
    pub(crate) first: u64,
    pub(crate) confirmed: u64,
    pub(crate) floor: u64,
    pub(crate) stale: Option<String>,
    /// Room, number of the first event that reached it there, number of the first that did not any more.
    pub(crate) rooms: Vec<(Arc<str>, u64, u64)>,
    pub(crate) data: serde_json::Map<String, serde_json::Value>,
    /// Milliseconds since 1970.
    pub(crate) gone: Option<u64>,
}
