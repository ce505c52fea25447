//! The past of a room for a socket that joins it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::log::{NOWHERE, Start};

/// How much of a room's past a socket gets; for [`Socket::join_with_history`](crate::Socket::join_with_history).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewind(pub(crate) Start);

impl Rewind {
    /// The last so many events.
    pub fn last(events: usize) -> Self {
        Self(Start::Last(events))
    }

    /// The events since this time.
    pub fn since(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Start::Since(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The events after this position: an offset that a client of Socket.IO has seen, or a position of history over HTTP. One that is
    /// none of this server's is a gap, and all that is kept is given.
    pub fn after(position: &str) -> Self {
        Self(Start::After(position.parse().unwrap_or(NOWHERE)))
    }

    /// All events that are kept.
    pub fn all() -> Self {
        Self(Start::Oldest)
    }
}

/// What [`Socket::join_with_history`](crate::Socket::join_with_history) has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewound {
    /// How many events.
    pub events: usize,
    /// Not all that was asked for: it is kept no more, or is more than half of what is free in the socket's send buffer (the latest
    /// were sent then), or the namespace has no [`Recovery`](crate::Recovery).
    pub gap: bool,
}
