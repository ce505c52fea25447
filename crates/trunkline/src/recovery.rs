//! Recovery: a client whose connection broke gets its rooms, its data and the events it has missed.
//!
//! It works with unmodified clients of Socket.IO 4.6 and later (reference/socketio.md 2.3): CONNECT gives them a private id, and each
//! event without an acknowledgement ends with its offset; they send both when they come back.
//!
//! **The lock of a log is taken before that of a shard.** Under it an event gets its number, is kept, and is put into the
//! outboxes; a socket enters, joins, leaves and goes. So each socket sees the numbers in order, and which rooms it was in at each number
//! is known exactly: nothing is delivered twice, and nothing that was not meant for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use trunkline_proto::sio::{DisconnectReason, Encoded, OwnedArgs, is_reserved};

use crate::log::{Bounds, EPOCHS, MemoryLog, Position, Record};
use crate::rooms::{RoomEvent, Target};
use crate::sid::Id;
use crate::socket::{Socket, SocketCore, SocketId};
use crate::wire::{Budget, Packet};

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
            run_checks: true,
            gap_event: None,
        }
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
    /// [`Admission`](crate::Admission) is missing; [`Socket::data`] is always restored. (The reference's `skipMiddlewares`, which is
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
    pub(crate) fn runs_checks(&self) -> bool {
        self.run_checks
    }

    pub(crate) fn gap_event_name(&self) -> Option<&str> {
        self.gap_event.as_deref()
    }
}

/// What a client that comes back says of itself.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    pub(crate) pid: Option<String>,
    pub(crate) offset: Option<String>,
}

impl Claim {
    /// What is not of the right type was not sent by a client that wants to be recovered.
    pub(crate) fn of(auth: Option<&OwnedArgs>) -> Self {
        #[derive(Deserialize)]
        struct Sent {
            #[serde(default)]
            pid: Option<serde_json::Value>,
            #[serde(default)]
            offset: Option<serde_json::Value>,
        }
        let sent = auth.and_then(|auth| auth.as_args().next()).and_then(|arg| arg.deserialize::<Sent>().ok());
        // Offsets of other servers are short as well; what is longer is none of anybody.
        let text = |value: Option<serde_json::Value>| match value {
            Some(serde_json::Value::String(text)) if text.len() <= MAX_CLAIM => Some(text),
            Some(serde_json::Value::String(_)) => Some(String::new()),
            _ => None,
        };
        sent.map_or_else(Self::default, |sent| Self { pid: text(sent.pid), offset: text(sent.offset) })
    }
}

/// Bytes of a private id or an offset that are looked at.
const MAX_CLAIM: usize = 64;

/// What became of a client's wish to be recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Restored,
    /// No session of this private id, or not any more.
    Unknown,
    /// The events after its offset are not all kept any more.
    Window,
    /// The offset is none of this log.
    Foreign,
    /// What it missed is more than its send buffer takes.
    Bytes,
}

impl Outcome {
    pub(crate) const ALL: [Self; 5] =
        [Self::Restored, Self::Unknown, Self::Window, Self::Foreign, Self::Bytes];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Unknown => "unknown",
            Self::Window => "window",
            Self::Foreign => "foreign",
            Self::Bytes => "bytes",
        }
    }
}

/// The log of a namespace, and the clients that can be recovered.
pub(crate) struct NamespaceLog {
    pub(crate) settings: Recovery,
    epoch: u32,
    state: Mutex<State>,
}

struct State {
    log: MemoryLog,
    /// By private id: connected ones, and those that may come back.
    sessions: HashMap<Id, Stored>,
    /// Those that are gone, in the order of their going.
    gone: BTreeSet<(Instant, Id)>,
}

/// A client as it is to be restored.
struct Stored {
    id: SocketId,
    /// The latest event when it first connected.
    first: u64,
    /// Up to here it has answered a heartbeat, so it has what was for it: a quiet client's offset may be much older.
    confirmed: u64,
    /// The latest event when the heartbeat was sent that it has not answered yet.
    pinged: Option<u64>,
    /// Before this, its rooms are not known any more.
    floor: u64,
    /// The offset of an earlier session that it came with: official clients send it until an event has come.
    stale: Option<String>,
    rooms: Vec<Membership>,
    data: serde_json::Map<String, serde_json::Value>,
    /// The socket while it is connected.
    socket: Weak<SocketCore>,
    gone: Option<Instant>,
}

/// A time in a room: the events from `from` on, before `to`, reached it.
struct Membership {
    room: Arc<str>,
    from: u64,
    to: u64,
}

/// Of a room it is still in.
const STILL: u64 = u64::MAX;
/// How many rooms that a client has left are remembered. One that comes back with an offset before that of a forgotten one is new.
const MAX_LEFT: usize = 64;

impl State {
    /// The socket that is connected as this client.
    fn holder(&self, claim: &Claim) -> Option<Socket> {
        let pid: Id = claim.pid.as_deref()?.parse().ok()?;
        let socket = self.sessions.get(&pid)?.socket.upgrade()?;
        Some(Socket::from_core(socket))
    }
}

impl Stored {
    fn is_held_by(&self, socket: &Arc<SocketCore>) -> bool {
        std::ptr::eq(self.socket.as_ptr(), Arc::as_ptr(socket))
    }

    fn is_in(&self, room: &str) -> bool {
        self.rooms.iter().any(|m| m.to == STILL && *m.room == *room)
    }

    fn is_for(&self, record: &Record) -> bool {
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

    fn note(&mut self, event: &RoomEvent, latest: u64, oldest: u64) {
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

impl NamespaceLog {
    /// `noticing`: how long a loss can go unnoticed. What was sent meanwhile is kept as well.
    pub(crate) fn new(mut settings: Recovery, noticing: Duration) -> Self {
        settings.bounds.age = settings.max_disconnection.saturating_add(noticing);
        let log = MemoryLog::new(settings.bounds);
        let state = State { log, sessions: HashMap::new(), gone: BTreeSet::new() };
        Self { settings, epoch: random_epoch(), state: Mutex::new(state) }
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
        let sequence = state.log.latest() + u64::from(is_stored);
        encoded.set_offset(Position { epoch: self.epoch, sequence }.offset().as_str());
        let packet = Packet::encoded(encoded, compress, budget);
        let (result, is_taken) = push(&packet);
        let outdated =
            (is_stored && is_taken).then(|| state.log.append(target.clone(), packet, Instant::now()));
        drop(state);
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
        let (latest, oldest) = (state.log.latest(), state.log.oldest());
        let Some(stored) = state.sessions.get_mut(pid) else { return events };
        if stored.is_held_by(socket) {
            events.iter().for_each(|event| stored.note(event, latest, oldest));
        } else if stored.gone.is_some() {
            for room in rooms {
                if stored.is_in(room) == joins {
                    continue;
                }
                let (room, socket) = (Arc::clone(room), stored.id.clone());
                let event =
                    if joins { RoomEvent::Join { room, socket } } else { RoomEvent::Leave { room, socket } };
                stored.note(&event, latest, oldest);
            }
        }
        events
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
        let now = Instant::now();
        let mut state = self.state.lock();
        let result = exit()?;
        let State { sessions, gone, .. } = &mut *state;
        if let Some(stored) = sessions.get_mut(pid).filter(|stored| stored.is_held_by(socket)) {
            if is_final(reason) {
                sessions.remove(pid);
            } else {
                stored.gone = Some(now);
                stored.data = data;
                stored.socket = Weak::new();
                stored.pinged = None;
                gone.insert((now, *pid));
            }
        }
        self.forget(&mut state, now);
        Some(result)
    }

    /// A client that is gone is not to come back.
    pub(crate) fn dismiss(&self, pid: &Id) {
        let mut state = self.state.lock();
        if let Some(at) = state.sessions.get(pid).and_then(|stored| stored.gone) {
            state.sessions.remove(pid);
            state.gone.remove(&(at, *pid));
        }
    }

    /// A heartbeat is about to be queued for a client.
    pub(crate) fn pinged(&self, pid: &Id) {
        let mut state = self.state.lock();
        let latest = state.log.latest();
        if let Some(stored) = state.sessions.get_mut(pid) {
            stored.pinged = Some(latest);
        }
    }

    /// The client has answered it.
    pub(crate) fn ponged(&self, pid: &Id) {
        if let Some(stored) = self.state.lock().sessions.get_mut(pid)
            && let Some(latest) = stored.pinged.take()
        {
            stored.confirmed = latest;
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
        }
    }

    /// When the last of those who are gone cannot come back any more; `None` if nobody can as it is. For a namespace without sockets.
    pub(crate) fn idle_at(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        self.forget(&mut state, Instant::now());
        // A little later, since at that very time it still can.
        state.gone.last().map(|(at, _)| *at + self.settings.max_disconnection + Duration::from_millis(1))
    }

    /// Whether the client would be recovered, as things stand.
    pub(crate) fn could_restore(&self, claim: &Claim, limit: usize) -> bool {
        let mut state = self.state.lock();
        let outdated = state.log.trim(Instant::now());
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
        let now = Instant::now();
        let mut state = self.state.lock();
        self.forget(&mut state, now);
        if let Some(old) = state.holder(claim) {
            drop(state);
            return Err(old);
        }
        let outdated = state.log.trim(now);
        let latest = state.log.latest();
        let judged = self.judge(&state, claim, limit);
        let outcome = match &judged {
            None => None,
            Some(Ok(_)) => Some(Outcome::Restored),
            Some(Err(outcome)) => Some(*outcome),
        };
        let (pid, missed) = match judged {
            Some(Ok((pid, missed))) => (pid, missed),
            _ => {
                let stored = Stored {
                    id: SocketId::random(),
                    first: latest,
                    confirmed: 0,
                    pinged: None,
                    floor: 0,
                    stale: claim.offset.clone(),
                    rooms: Vec::new(),
                    data: serde_json::Map::new(),
                    socket: Weak::new(),
                    gone: None,
                };
                let pid = Id::random();
                state.sessions.insert(pid, stored);
                (pid, Vec::new())
            }
        };
        Ok(Admitted { log: self, state, pid, missed, outcome, finished: false, _outdated: outdated })
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
            Some(Ok(position)) if position.epoch == self.epoch && position.sequence <= state.log.latest() => {
                position.sequence.max(stored.first)
            }
            _ => return Some(Err(Outcome::Foreign)),
        };
        let after = seen.max(stored.confirmed);
        if after + 1 < state.log.oldest() || after < stored.floor {
            return Some(Err(Outcome::Window));
        }
        let missed: Vec<_> = state.log.after(after).filter(|record| stored.is_for(record)).collect();
        if missed.iter().map(|record| record.packet.cost()).sum::<usize>() > limit {
            return Some(Err(Outcome::Bytes));
        }
        Some(Ok((pid, missed.into_iter().map(|record| Arc::clone(&record.packet)).collect())))
    }
}

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
    _outdated: Vec<Record>,
}

impl Admitted<'_> {
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

    pub(crate) fn take_data(&mut self) -> serde_json::Map<String, serde_json::Value> {
        self.state
            .sessions
            .get_mut(&self.pid)
            .map(|stored| std::mem::take(&mut stored.data))
            .unwrap_or_default()
    }

    pub(crate) fn take_missed(&mut self) -> Vec<Arc<Packet>> {
        std::mem::take(&mut self.missed)
    }

    /// The offset of the latest event.
    pub(crate) fn latest(&self) -> String {
        let position = Position { epoch: self.log.epoch, sequence: self.state.log.latest() };
        position.offset().to_string()
    }

    /// The socket is in.
    pub(crate) fn finish(mut self, socket: &Socket) {
        let State { sessions, gone, .. } = &mut *self.state;
        if let Some(stored) = sessions.get_mut(&self.pid) {
            if let Some(at) = stored.gone.take() {
                gone.remove(&(at, self.pid));
            }
            stored.socket = socket.downgrade();
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

/// Whether a client that is gone for this reason does not come back as the same.
fn is_final(reason: DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::ClientNamespaceDisconnect
            | DisconnectReason::ServerNamespaceDisconnect
            | DisconnectReason::ParseError
    )
}

/// Another one in each process: its numbers start again.
fn random_epoch() -> u32 {
    let mut hash = 0u64;
    for byte in Id::random().as_str().bytes() {
        hash = hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
    }
    u32::try_from(hash % u64::from(EPOCHS)).unwrap_or_default()
}
