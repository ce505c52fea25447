//! A client as it is to be restored.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::log::{Change, Now, Record, Saved};
use crate::rooms::{RoomEvent, Target};
use crate::sid::Id;
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
    /// One that enters anew. `latest`: the latest event; `stale`: the offset that it came with.
    pub(crate) fn new(latest: u64, stale: Option<String>) -> Self {
        Self {
            id: SocketId::random(),
            first: latest,
            confirmed: 0,
            pinged: None,
            rewound: None,
            floor: 0,
            stale,
            rooms: Vec::new(),
            data: serde_json::Map::new(),
            socket: Weak::new(),
            gone: None,
        }
    }

    /// As it is written down.
    pub(crate) fn saved(&self, pid: Id, now: Now) -> Saved {
        let gone = self.gone.map(|at| {
            let ago = now.at.saturating_duration_since(at).as_millis();
            now.time.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
        });
        Saved {
            pid,
            id: self.id.clone(),
            first: self.first,
            confirmed: self.confirmed,
            // Another process does not know what it has got of it.
            floor: self.floor.max(self.rewound.map_or(0, |latest| latest + 1)),
            stale: self.stale.clone(),
            rooms: self.rooms.iter().map(|m| (Arc::clone(&m.room), m.from, m.to)).collect(),
            data: self.data.clone(),
            gone,
        }
    }

    /// As it was written down; nobody holds it.
    fn restored(saved: Saved) -> (Self, Option<u64>) {
        let rooms = saved.rooms.into_iter().map(|(room, from, to)| Membership { room, from, to });
        let stored = Self {
            id: saved.id,
            first: saved.first,
            confirmed: saved.confirmed,
            pinged: None,
            rewound: None,
            floor: saved.floor,
            stale: saved.stale,
            rooms: rooms.collect(),
            data: saved.data,
            socket: Weak::new(),
            gone: None,
        };
        (stored, saved.gone)
    }

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

/// The sessions of an earlier process, after all that is written of them. Who was connected when it ended is gone as of `now`; who is
/// gone for longer than `most` is not among them.
pub(crate) fn replay(changes: Vec<Change>, now: Now, most: Duration) -> HashMap<Id, Stored> {
    let mut sessions: HashMap<Id, (Stored, Option<u64>)> = HashMap::new();
    for change in changes {
        let pid = match &change {
            Change::Entered(saved) => saved.pid,
            Change::Joined { pid, .. }
            | Change::Left { pid, .. }
            | Change::Data { pid, .. }
            | Change::Confirmed { pid, .. }
            | Change::Gone { pid, .. }
            | Change::Back { pid }
            | Change::Forgotten { pid } => *pid,
        };
        if let Change::Entered(saved) = change {
            sessions.insert(pid, Stored::restored(saved));
            continue;
        }
        // Of one that was forgotten already nothing is to be known.
        let Some((stored, gone)) = sessions.get_mut(&pid) else { continue };
        let socket = stored.id.clone();
        match change {
            Change::Joined { room, from, .. } => {
                stored.note(&RoomEvent::Join { room, socket }, from.saturating_sub(1), 0);
            }
            Change::Left { room, to, .. } => {
                stored.note(&RoomEvent::Leave { room, socket }, to.saturating_sub(1), 0);
            }
            Change::Data { data, .. } => stored.data = data,
            Change::Confirmed { sequence, .. } => stored.confirmed = sequence,
            Change::Gone { time, .. } => *gone = Some(time),
            Change::Back { .. } => *gone = None,
            Change::Forgotten { .. } => drop(sessions.remove(&pid)),
            Change::Entered(_) => {}
        }
    }
    let restored = sessions.into_iter().filter_map(|(pid, (mut stored, gone))| {
        let ago = Duration::from_millis(now.time.saturating_sub(gone.unwrap_or(now.time)));
        stored.gone = Some(now.at.checked_sub(ago).filter(|_| ago <= most)?);
        Some((pid, stored))
    });
    restored.collect()
}
