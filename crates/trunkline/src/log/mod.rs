//! The events of a namespace with their positions: what recovery and history replay.
//!
//! Positions are `epoch.sequence`. A sequence has no holes, and its number grows by one with each event; an epoch is one life of
//! a log. The offset that unmodified clients keep (reference/socketio.md 2.3) is a rendering of a position.

mod change;
mod error;
mod file;
mod gate;
mod kept;
mod memory;
mod position;
mod read;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clock;
use crate::rooms::Target;
use crate::wire::Packet;

pub use change::Durability;
pub(crate) use change::{Change, Saved};
pub use error::LogError;
pub(crate) use file::{FileLog, Loaded, Place, Writer, Written, folder, sweep};
pub(crate) use gate::{Gate, Share};
pub(crate) use kept::{Kept, Outdated, Record};
pub(crate) use memory::MemoryLog;
pub(crate) use position::{EPOCHS, NOWHERE, PLACEHOLDER, Position};
pub(crate) use read::{Event, Page, Reading, Start, begin, read};

/// Where a namespace's events are kept. All is called under the lock of the namespace's log.
pub(crate) trait EventLog: Send {
    /// Which life of the log it is.
    fn epoch(&self) -> u32;

    /// The events that are kept.
    fn kept(&self) -> &Kept;

    /// What a packet carries that may leave when the next event is safe (`next`), or what was appended before.
    fn gate(&self, next: bool) -> Gate;

    /// What it shares with its packets.
    fn share(&self) -> &Arc<Share>;

    /// The latest event that may be shown to anybody.
    fn released(&self) -> u64;

    /// Whether it notes what becomes of the sessions; else [`EventLog::journal`] need not be called.
    fn is_journal(&self) -> bool {
        false
    }

    /// Notes a change of a session.
    fn journal(&mut self, change: &Change) {
        let _ = change;
    }

    /// Whether it wants all sessions, to start another file with.
    fn wants_snapshot(&self) -> bool {
        false
    }

    /// Starts another file.
    fn snapshot(&mut self, sessions: &mut dyn Iterator<Item = Saved>) {
        let _ = sessions;
    }

    /// Notes that it ends in order; gives what writes that, to be run without a lock.
    fn close(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }

    /// Nobody will come back: what it keeps outside of the process is removed, soon. Waits for no disk.
    fn discard(&mut self) {}

    /// Adds the event that follows the latest. What goes for it is given back: it holds values of the application, which are not
    /// to be dropped under a lock.
    fn append(&mut self, target: &Target, packet: &Arc<Packet>, now: Now) -> Outdated;

    /// Takes out what is over a bound.
    fn trim(&mut self, now: Now) -> Outdated;

    /// Takes out the older half, at least one event.
    fn halve(&mut self) -> Outdated;
}

/// What a log keeps at most; the oldest events go first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) events: usize,
    pub(crate) age: Duration,
}

/// One moment, by both clocks: ages are of the one that never jumps, what is written down is of the calendar's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
}

impl Now {
    pub(crate) fn read() -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { at: clock::now(), time: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) }
    }
}
