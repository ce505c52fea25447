//! The log of a namespace and the sessions of its clients, under one lock.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use trunkline_proto::sio::{DisconnectReason, Encoded};

use super::Recovery;
use super::admitted::Admitted;
use super::claim::{Claim, Outcome};
use super::session::{Stored, replay};
use crate::clock;
use crate::history::Rewound;
use crate::log::{
    self, Change, Durability, EPOCHS, EventLog, FileLog, Gate, Loaded, LogError, MemoryLog, Now, Page, Place,
    Position, Reading, Record, Share, Start, Writer, Written,
};
use crate::metrics::Metrics;
use crate::rooms::{RoomEvent, Target};
use crate::shard::Shard;
use crate::sid::Id;
use crate::socket::{Socket, SocketCore};
use crate::wire::{Budget, Packet};

/// The log of a namespace, and the clients that can be recovered.
pub(crate) struct NamespaceLog {
    pub(crate) settings: Recovery,
    pub(super) epoch: u32,
    state: Mutex<State>,
    /// Told when there are more events to read.
    news: Arc<Notify>,
    share: Arc<Share>,
    /// Whether it notes what becomes of the sessions.
    pub(super) is_journal: bool,
    /// Whether packets wait until the log is written.
    is_gated: bool,
}

/// What a log that is written needs of its server.
pub(crate) struct Surroundings<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) msgpack: bool,
    /// How long a loss can go unnoticed. What was sent meanwhile is kept as well.
    pub(crate) noticing: Duration,
    pub(crate) shards: &'a Arc<[Arc<Shard>]>,
    pub(crate) budget: &'a Arc<Budget>,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) writer: &'a Arc<Writer>,
}

pub(super) struct State {
    pub(super) log: Box<dyn EventLog>,
    /// By private id: connected ones, and those that may come back.
    pub(super) sessions: HashMap<Id, Stored>,
    /// Those that are gone, in the order of their going.
    pub(super) gone: BTreeSet<(Instant, Id)>,
}

impl State {
    /// Notes a change of a session in a log that outlives the process.
    pub(super) fn journal(&mut self, change: impl FnOnce() -> Change) {
        if self.log.is_journal() {
            self.log.journal(&change());
            self.roll();
        }
    }

    /// Starts another file if this one is long.
    fn roll(&mut self) {
        if self.log.wants_snapshot() {
            let now = Now::read();
            self.log.snapshot(&mut self.sessions.iter().map(|(pid, stored)| stored.saved(*pid, now)));
        }
    }

    /// The socket that is connected as this client.
    fn holder(&self, claim: &Claim) -> Option<Socket> {
        let pid: Id = claim.pid.as_deref()?.parse().ok()?;
        let socket = self.sessions.get(&pid)?.socket.upgrade()?;
        Some(Socket::from_core(socket))
    }
}

impl NamespaceLog {
    /// Opens the log that the settings name.
    ///
    /// # Errors
    /// Its files cannot be used. [`NamespaceLog::in_memory`] needs none.
    pub(crate) fn open(settings: Recovery, around: &Surroundings<'_>) -> Result<Self, LogError> {
        let Some(root) = settings.folder.clone() else {
            return Ok(Self::in_memory(settings, around.noticing));
        };
        let now = Now::read();
        let news = Arc::new(Notify::new());
        let (shards, told) = (Arc::downgrade(around.shards), Arc::clone(&news));
        let metrics = Arc::clone(around.metrics);
        let written = move |written| {
            if written == Written::Failed {
                metrics.log_failures.add(1);
            }
            for shard in shards.upgrade().iter().flat_map(|shards| shards.iter()) {
                shard.with(|state| state.release());
            }
            told.notify_waiters();
        };
        let place = Place {
            folder: log::folder(&root, around.namespace),
            durability: settings.durability,
            msgpack: around.msgpack,
            budget: Arc::clone(around.budget),
            writer: Arc::clone(around.writer),
            written: Box::new(written),
        };
        let bounds = settings.bounds(around.noticing);
        let Loaded { log, changes } = FileLog::open(place, bounds, random_epoch(), now)?;
        let made = Self::new(settings, Box::new(log), news);
        {
            let mut state = made.state.lock();
            state.sessions = replay(changes, now, made.settings.max_disconnection);
            let gone: Vec<_> = state.sessions.iter().filter_map(|(pid, s)| Some((s.gone?, *pid))).collect();
            state.gone.extend(gone);
            state.roll();
        }
        Ok(made)
    }

    /// A log that ends with the process. `noticing`: how long a loss can go unnoticed.
    pub(crate) fn in_memory(settings: Recovery, noticing: Duration) -> Self {
        let log = Box::new(MemoryLog::new(random_epoch(), settings.bounds(noticing)));
        Self::new(settings, log, Arc::new(Notify::new()))
    }

    fn new(settings: Recovery, log: Box<dyn EventLog>, news: Arc<Notify>) -> Self {
        let (epoch, share, is_journal) = (log.epoch(), Arc::clone(log.share()), log.is_journal());
        let is_gated = is_journal && settings.durability != Durability::None;
        let state = Mutex::new(State { log, sessions: HashMap::new(), gone: BTreeSet::new() });
        Self { settings, epoch, state, news, share, is_journal, is_gated }
    }

    /// Whether [`NamespaceLog::change_data`] is to be told of changes.
    pub(crate) fn is_journal(&self) -> bool {
        self.is_journal
    }

    /// For a packet that must not leave before what was done so far is written; `None` if it is.
    pub(crate) fn barrier(&self) -> Option<Gate> {
        let queued = self.share.queued();
        (self.is_gated && self.share.written() < queued).then(|| Gate::new(&self.share, queued))
    }

    /// Takes out what is too old.
    pub(crate) fn tidy(&self) {
        let now = Now::read();
        let mut state = self.state.lock();
        self.forget(&mut state, now.at);
        let outdated = state.log.trim(now);
        drop(state);
        drop(outdated);
    }

    /// Notes that the log ends in order. Blocks until that is written.
    pub(crate) fn close(&self) {
        let close = self.state.lock().log.close();
        if let Some(close) = close {
            close();
        }
    }

    /// Nobody can come back: what is kept outside of the process is removed, soon; who opens it next waits for that.
    pub(crate) fn discard(&self) {
        self.state.lock().log.discard();
    }

    /// Runs `change`, which changes a socket's data and gives all of it, and remembers that.
    pub(crate) fn change_data(
        &self,
        socket: &Arc<SocketCore>,
        pid: &Id,
        change: impl FnOnce() -> serde_json::Map<String, serde_json::Value>,
    ) {
        let mut state = self.state.lock();
        let data = change();
        let Some(stored) = state.sessions.get_mut(pid).filter(|stored| stored.is_held_by(socket)) else {
            return;
        };
        stored.data.clone_from(&data);
        state.journal(|| Change::Data { pid: *pid, data });
    }

    /// Gives an event its number, has it put into outboxes, and keeps it if it `is_stored` and `push` says true as well. An event that
    /// is not kept carries the number of the latest that was.
    pub(crate) fn emit<R>(
        &self,
        mut encoded: Encoded,
        compress: bool,
        budget: &Arc<Budget>,
        target: &Target,
        is_stored: bool,
        push: impl FnOnce(&Arc<Packet>) -> (R, bool),
    ) -> R {
        let mut state = self.state.lock();
        let sequence = state.log.kept().latest() + u64::from(is_stored);
        encoded.set_offset(Position { epoch: self.epoch, sequence }.offset().as_str());
        let packet = Packet::logged(encoded, compress, budget, Some(state.log.gate(is_stored)));
        let (result, is_taken) = push(&packet);
        let outdated = (is_stored && is_taken).then(|| state.log.append(target, &packet, Now::read()));
        state.roll();
        drop(state);
        if outdated.is_some() && !self.is_gated {
            self.news.notify_waiters();
        }
        drop(outdated);
        result
    }

    /// Runs `change`, which has a socket join or leave `rooms` and tells what happened. Of a client that is gone the rooms are changed
    /// as it will find them.
    pub(crate) fn change_rooms(
        &self,
        socket: &Arc<SocketCore>,
        pid: &Id,
        rooms: &[Arc<str>],
        joins: bool,
        change: impl FnOnce() -> Vec<RoomEvent>,
    ) -> Vec<RoomEvent> {
        let mut state = self.state.lock();
        let events = change();
        let (latest, oldest) = (state.log.kept().latest(), state.log.kept().oldest());
        let Some(stored) = state.sessions.get_mut(pid) else { return events };
        let mut changes = Vec::new();
        let mut note = |stored: &mut Stored, event: &RoomEvent| {
            stored.note(event, latest, oldest);
            let (pid, number) = (*pid, latest + 1);
            match event {
                _ if !self.is_journal => {}
                RoomEvent::Join { room, .. } => {
                    changes.push(Change::Joined { pid, room: Arc::clone(room), from: number });
                }
                RoomEvent::Leave { room, .. } => {
                    changes.push(Change::Left { pid, room: Arc::clone(room), to: number });
                }
                RoomEvent::Create { .. } | RoomEvent::Delete { .. } => {}
            }
        };
        if stored.is_held_by(socket) {
            events.iter().for_each(|event| note(stored, event));
        } else if stored.gone.is_some() {
            for room in rooms {
                if stored.is_in(room) == joins {
                    continue;
                }
                let (room, socket) = (Arc::clone(room), stored.id.clone());
                let event =
                    if joins { RoomEvent::Join { room, socket } } else { RoomEvent::Leave { room, socket } };
                note(stored, &event);
            }
        }
        for change in changes {
            state.journal(|| change);
        }
        events
    }

    /// Has a socket join `room` by `join`, which is given what of the room's past it is to be sent, and says whether it joined. `within`:
    /// the rooms it is in; `free`: tells how many bytes its send buffer takes now.
    pub(crate) fn rewind(
        &self,
        socket: &Socket,
        pid: Option<&Id>,
        (room, start): (&Arc<str>, Start),
        (within, free): (&[Arc<str>], impl FnOnce() -> usize),
        join: impl FnOnce(&[Arc<Packet>]) -> (Vec<RoomEvent>, bool),
    ) -> (Vec<RoomEvent>, Rewound) {
        let mut state = self.state.lock();
        let now = Now::read();
        let outdated = state.log.trim(now);
        let State { log, sessions, .. } = &mut *state;
        let mut stored =
            pid.and_then(|pid| sessions.get_mut(pid)).filter(|s| s.is_held_by(socket.core_arc()));
        let (kept, latest) = (log.kept(), log.kept().latest());
        let (after, mut gap) = log::begin(&**log, start);
        let most = if let Start::Last(count) = start { count } else { usize::MAX };
        let is_new = |record: &&Record| {
            record.target.sender.as_ref() != Some(socket.id())
                && !record.target.except.iter().any(|room| within.contains(room))
                && !stored.as_ref().is_some_and(|stored| stored.is_for(record))
        };
        let records = kept.of_room(room, after).rev().filter_map(|number| kept.get(number));
        let (mut packets, mut from, mut bytes) = (Vec::new(), latest + 1, 0);
        // The other half is for what comes while it reads this: a full buffer would end the connection at the next event.
        let limit = free() / 2;
        for record in records.filter(is_new).take(most) {
            bytes += record.packet.cost();
            if bytes > limit {
                gap = true;
                break;
            }
            // Each with its own offset, so that a client which gets a part of it knows how far it came. It may lie before what the client
            // has seen; so nobody is recovered until all of it is known to have arrived.
            let offset = Position { epoch: self.epoch, sequence: record.sequence }.offset();
            packets.push(record.packet.with_offset(offset.as_str(), log.gate(false)));
            from = record.sequence;
        }
        packets.reverse();
        let (events, has_joined) = join(&packets);
        let mut rewound = Rewound { events: 0, gap: gap && has_joined };
        if has_joined {
            rewound.events = packets.len();
            if let Some(stored) = &mut stored {
                events.iter().for_each(|event| stored.note(event, latest, kept.oldest()));
                if !packets.is_empty() {
                    stored.rewind(room, from, latest);
                }
            }
            let saved =
                stored.zip(pid).filter(|_| self.is_journal).map(|(stored, pid)| stored.saved(*pid, now));
            if let Some(saved) = saved {
                state.journal(|| Change::Entered(saved));
            }
        }
        drop(state);
        drop((outdated, packets));
        (events, rewound)
    }

    /// Runs `exit`, which takes a socket out of the namespace, and remembers the socket with its `data` if `reason` is one to come
    /// back after.
    pub(crate) fn leave<R>(
        &self,
        socket: &Arc<SocketCore>,
        pid: &Id,
        reason: DisconnectReason,
        data: serde_json::Map<String, serde_json::Value>,
        exit: impl FnOnce() -> Option<R>,
    ) -> Option<R> {
        let now = Now::read();
        let mut state = self.state.lock();
        let result = exit()?;
        let State { sessions, gone, .. } = &mut *state;
        if let Some(stored) = sessions.get_mut(pid).filter(|stored| stored.is_held_by(socket)) {
            if !reason.recoverable() {
                sessions.remove(pid);
                state.journal(|| Change::Forgotten { pid: *pid });
            } else {
                stored.gone = Some(now.at);
                stored.data = data;
                stored.socket = Weak::new();
                stored.pinged = None;
                gone.insert((now.at, *pid));
                state.journal(|| Change::Gone { pid: *pid, time: now.time });
            }
        }
        self.forget(&mut state, now.at);
        Some(result)
    }

    /// A client that is gone is not to come back; false if it is not gone.
    pub(crate) fn dismiss(&self, pid: &Id) -> bool {
        let mut state = self.state.lock();
        let Some(at) = state.sessions.get(pid).and_then(|stored| stored.gone) else { return false };
        state.sessions.remove(pid);
        state.gone.remove(&(at, *pid));
        state.journal(|| Change::Forgotten { pid: *pid });
        true
    }

    /// A heartbeat is about to be queued for a client.
    pub(crate) fn pinged(&self, pid: &Id) {
        let mut state = self.state.lock();
        let latest = state.log.kept().latest();
        if let Some(stored) = state.sessions.get_mut(pid) {
            stored.pinged = Some(latest);
        }
    }

    /// The client has answered it.
    pub(crate) fn ponged(&self, pid: &Id) {
        let mut state = self.state.lock();
        if let Some(stored) = state.sessions.get_mut(pid)
            && let Some(latest) = stored.pinged.take()
        {
            let has_rewound = stored.rewound.take().is_some();
            let is_news = latest > stored.confirmed;
            stored.confirmed = stored.confirmed.max(latest);
            if has_rewound && self.is_journal {
                // All of it: for another process the past of the room was a floor, which is no more.
                let saved = stored.saved(*pid, Now::read());
                state.journal(|| Change::Entered(saved));
            } else if is_news {
                state.journal(|| Change::Confirmed { pid: *pid, sequence: latest });
            }
        }
    }

    /// Gives up the older half of the events, because memory is short; false if there was none.
    pub(crate) fn halve(&self) -> bool {
        let outdated = self.state.lock().log.halve();
        !outdated.is_empty()
    }

    /// Forgets those who are gone too long, or are too many.
    fn forget(&self, state: &mut State, now: Instant) {
        while let Some(&(at, pid)) = state.gone.first() {
            let is_late = now.saturating_duration_since(at) > self.settings.max_disconnection;
            if !is_late && state.gone.len() <= self.settings.max_sessions {
                return;
            }
            state.gone.pop_first();
            state.sessions.remove(&pid);
            state.journal(|| Change::Forgotten { pid });
        }
    }

    /// When the last of those who are gone cannot come back any more; `None` if nobody can as it is. For a namespace without sockets.
    pub(crate) fn idle_at(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        self.forget(&mut state, clock::now());
        // A little later, since at that very time it still can.
        state.gone.last().map(|(at, _)| *at + self.settings.max_disconnection + Duration::from_millis(1))
    }

    /// Whether the client would be recovered, as things stand.
    pub(crate) fn could_restore(&self, claim: &Claim, limit: usize) -> bool {
        let mut state = self.state.lock();
        let outdated = state.log.trim(Now::read());
        let could = self.judge(&state, claim, limit).is_some_and(|judged| judged.is_ok());
        drop(state);
        drop(outdated);
        could
    }

    /// Lets a client enter; it is either new or restored. `limit`: bytes that its send buffer takes.
    ///
    /// # Errors
    /// The socket that is still connected as this client: the client knows that its connection is lost, the server not yet. It has to
    /// go first.
    pub(crate) fn admit(&self, claim: &Claim, limit: usize) -> Result<Admitted<'_>, Socket> {
        let now = Now::read();
        let mut state = self.state.lock();
        self.forget(&mut state, now.at);
        if let Some(old) = state.holder(claim) {
            drop(state);
            return Err(old);
        }
        let outdated = state.log.trim(now);
        let latest = state.log.kept().latest();
        let judged = self.judge(&state, claim, limit);
        let outcome = match &judged {
            None => None,
            Some(Ok(_)) => Some(Outcome::Restored),
            Some(Err(outcome)) => Some(*outcome),
        };
        let (pid, missed) = match judged {
            Some(Ok((pid, missed))) => (pid, missed),
            _ => {
                let pid = Id::random();
                state.sessions.insert(pid, Stored::new(latest, claim.offset.clone()));
                (pid, Vec::new())
            }
        };
        Ok(Admitted::new(self, state, pid, missed, outcome, outdated))
    }

    /// `None`: it does not ask to be recovered.
    #[expect(clippy::type_complexity, reason = "a pair that is taken apart at once")]
    fn judge(
        &self,
        state: &State,
        claim: &Claim,
        limit: usize,
    ) -> Option<Result<(Id, Vec<Arc<Packet>>), Outcome>> {
        let pid = claim.pid.as_deref()?;
        let Ok(pid) = pid.parse::<Id>() else { return Some(Err(Outcome::Unknown)) };
        let Some(stored) = state.sessions.get(&pid) else { return Some(Err(Outcome::Unknown)) };
        let offset = claim.offset.as_deref();
        let seen = match offset.map(str::parse::<Position>) {
            // It has seen no event since it first connected.
            _ if offset.is_none() || offset == stored.stale.as_deref() => stored.first,
            Some(Ok(position))
                if position.epoch == self.epoch && position.sequence <= state.log.kept().latest() =>
            {
                position.sequence.max(stored.first)
            }
            _ => return Some(Err(Outcome::Foreign)),
        };
        // The past of a room came with offsets of before: an event after it must have come, or part of it may be lost.
        if stored.rewound.is_some_and(|latest| seen <= latest) {
            return Some(Err(Outcome::Window));
        }
        let after = seen.max(stored.confirmed);
        if after + 1 < state.log.kept().oldest() || after < stored.floor {
            return Some(Err(Outcome::Window));
        }
        let kept = state.log.kept();
        let mut numbers: Vec<u64> =
            kept.for_all(after).chain(kept.of_room(stored.id.as_str(), after)).collect();
        for membership in &stored.rooms {
            let reached = kept.of_room(&membership.room, after.max(membership.from.saturating_sub(1)));
            numbers.extend(reached.take_while(|number| *number < membership.to));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let mut missed = Vec::new();
        let mut bytes = 0;
        for record in numbers.into_iter().filter_map(|number| kept.get(number)) {
            if stored.is_for(record) {
                bytes += record.packet.cost();
                if bytes > limit {
                    return Some(Err(Outcome::Bytes));
                }
                missed.push(Arc::clone(&record.packet));
            }
        }
        Some(Ok((pid, missed)))
    }

    /// Events of a room; see [`log::read`].
    pub(crate) fn read(&self, reading: &Reading<'_>) -> Page {
        let mut state = self.state.lock();
        let outdated = state.log.trim(Now::read());
        let page = log::read(&*state.log, reading);
        drop(state);
        drop(outdated);
        page
    }

    /// Told when there are more events to read. Ask for a notification (and `enable` it) before reading, await it afterwards.
    pub(crate) fn news(&self) -> &Notify {
        &self.news
    }
}

/// Another one in each process: its numbers start again.
fn random_epoch() -> u32 {
    let mut hash = 0u64;
    for byte in Id::random().as_str().bytes() {
        hash = hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
    }
    u32::try_from(hash % u64::from(EPOCHS)).unwrap_or_default()
}
