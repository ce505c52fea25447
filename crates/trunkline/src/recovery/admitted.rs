//! A client between the checks and its place in the rooms.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::claim::Outcome;
use super::namespace_log::{NamespaceLog, State};
use super::session::STILL;
use crate::log::{Change, Gate, Now, Outdated, Position};
use crate::sid::Id;
use crate::socket::{Socket, SocketId};
use crate::wire::Packet;

/// A client that is entering, with the log's lock held: what it missed, and what it gets from now on, meet without a seam.
pub(crate) struct Admitted<'a> {
    log: &'a NamespaceLog,
    state: MutexGuard<'a, State>,
    pid: Id,
    missed: Vec<Arc<Packet>>,
    /// `None` for a client that did not ask to be recovered.
    pub(crate) outcome: Option<Outcome>,
    finished: bool,
    /// Behind the lock, and dropped after it: it holds values of the application.
    _outdated: Outdated,
}

impl<'a> Admitted<'a> {
    pub(super) fn new(
        log: &'a NamespaceLog,
        state: MutexGuard<'a, State>,
        pid: Id,
        missed: Vec<Arc<Packet>>,
        outcome: Option<Outcome>,
        outdated: Outdated,
    ) -> Self {
        Self { log, state, pid, missed, outcome, finished: false, _outdated: outdated }
    }

    pub(crate) fn pid(&self) -> Id {
        self.pid
    }

    /// Its public id.
    pub(crate) fn id(&self) -> SocketId {
        // It was found or made under this lock.
        self.state.sessions.get(&self.pid).map_or_else(SocketId::random, |stored| stored.id.clone())
    }

    /// The rooms it is in.
    pub(crate) fn rooms(&self) -> Vec<Arc<str>> {
        let stored = self.state.sessions.get(&self.pid);
        let rooms = stored.into_iter().flat_map(|stored| &stored.rooms);
        rooms.filter(|m| m.to == STILL).map(|m| Arc::clone(&m.room)).collect()
    }

    /// Its data; a log that is written keeps it for the next snapshot.
    pub(crate) fn take_data(&mut self) -> serde_json::Map<String, serde_json::Value> {
        let is_journal = self.log.is_journal;
        let stored = self.state.sessions.get_mut(&self.pid);
        let data = stored.map(|s| if is_journal { s.data.clone() } else { std::mem::take(&mut s.data) });
        data.unwrap_or_default()
    }

    /// For its CONNECT: [`Admitted::finish`] notes that it is in, and before that is written nobody is told.
    pub(crate) fn gate(&self) -> Gate {
        self.state.log.gate(true)
    }

    pub(crate) fn take_missed(&mut self) -> Vec<Arc<Packet>> {
        std::mem::take(&mut self.missed)
    }

    /// The offset of the latest event.
    pub(crate) fn latest(&self) -> String {
        let position = Position { epoch: self.log.epoch, sequence: self.state.log.kept().latest() };
        position.offset().to_string()
    }

    /// The socket is in.
    pub(crate) fn finish(mut self, socket: &Socket) {
        let State { sessions, gone, .. } = &mut *self.state;
        if let Some(stored) = sessions.get_mut(&self.pid) {
            stored.socket = socket.downgrade();
            let pid = self.pid;
            if let Some(at) = stored.gone.take() {
                gone.remove(&(at, pid));
                self.state.journal(|| Change::Back { pid });
            } else if self.log.is_journal {
                let saved = stored.saved(pid, Now::read());
                self.state.journal(|| Change::Entered(saved));
            }
        }
        self.finished = true;
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        // A new client that does not enter after all.
        if !self.finished && self.outcome != Some(Outcome::Restored) {
            self.state.sessions.remove(&self.pid);
        }
    }
}
