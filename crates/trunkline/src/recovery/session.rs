//! A client as it is to be restored.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::log::Record;
use crate::rooms::{RoomEvent, Target};
use crate::socket::{SocketCore, SocketId};

/// A client as it is to be restored.
pub(crate) struct Stored {
    pub(crate) id: SocketId,
    /// The latest event when it first connected.
    pub(crate) first: u64,
    /// Up to here it has answered a heartbeat, so it has what was for it: a quiet client's offset may be much older.
    pub(crate) confirmed: u64,
    /// The latest event when the heartbeat was sent that it has not answered yet.
    pub(crate) pinged: Option<u64>,
    /// The latest event when it was sent the past of a room, until it is sure that it has got all of that.
    pub(crate) rewound: Option<u64>,
    /// Before this, its rooms are not known any more.
    pub(crate) floor: u64,
    /// The offset of an earlier session that it came with: official clients send it until an event has come.
    pub(crate) stale: Option<String>,
    pub(crate) rooms: Vec<Membership>,
    pub(crate) data: serde_json::Map<String, serde_json::Value>,
    /// The socket while it is connected.
    pub(crate) socket: Weak<SocketCore>,
    pub(crate) gone: Option<Instant>,
}

/// A time in a room: the events from `from` on, before `to`, reached it.
pub(crate) struct Membership {
    pub(crate) room: Arc<str>,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Of a room it is still in.
pub(crate) const STILL: u64 = u64::MAX;
/// How many rooms that a client has left are remembered. One that comes back with an offset before that of a forgotten one is new.
const MAX_LEFT: usize = 64;

impl Stored {
    pub(crate) fn is_held_by(&self, socket: &Arc<SocketCore>) -> bool {
        std::ptr::eq(self.socket.as_ptr(), Arc::as_ptr(socket))
    }

    pub(crate) fn is_in(&self, room: &str) -> bool {
        self.rooms.iter().any(|m| m.to == STILL && *m.room == *room)
    }

    pub(crate) fn is_for(&self, record: &Record) -> bool {
        let Target { rooms, except, sender } = &record.target;
        let number = record.sequence;
        let is_in = |room: &Arc<str>| {
            **room == *self.id.as_str()
                || self.rooms.iter().any(|m| m.room == *room && m.from <= number && number < m.to)
        };
        (rooms.is_empty() || rooms.iter().any(is_in))
            && !except.iter().any(is_in)
            && sender.as_ref() != Some(&self.id)
    }

    /// It is in `room` since now, and was sent its events from `from` up to `latest`.
    pub(crate) fn rewind(&mut self, room: &str, from: u64, latest: u64) {
        if let Some(membership) = self.rooms.iter_mut().find(|m| m.to == STILL && *m.room == *room) {
            membership.from = from;
        }
        self.rewound = Some(latest);
        // That heartbeat went before it.
        self.pinged = None;
    }

    pub(crate) fn note(&mut self, event: &RoomEvent, latest: u64, oldest: u64) {
        match event {
            RoomEvent::Join { room, .. } => {
                self.rooms.push(Membership { room: Arc::clone(room), from: latest + 1, to: STILL });
            }
            RoomEvent::Leave { room, .. } => {
                if let Some(membership) = self.rooms.iter_mut().find(|m| m.to == STILL && m.room == *room) {
                    membership.to = latest + 1;
                }
                self.rooms.retain(|m| m.to == STILL || (m.to > oldest && m.from < m.to));
                if self.rooms.iter().filter(|m| m.to != STILL).count() > MAX_LEFT
                    && let Some(oldest) = self.rooms.iter().position(|m| m.to != STILL)
                {
                    self.floor = self.floor.max(self.rooms.remove(oldest).to - 1);
                }
            }
            RoomEvent::Create { .. } | RoomEvent::Delete { .. } => {}
        }
    }
}
