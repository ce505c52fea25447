//! A client in a namespace.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_proto::eio::{CloseReason, Version};
use trunkline_proto::sio::{self, DisconnectReason, OwnedArgs};

use crate::ack::{AckFuture, PendingAcks};
use crate::broadcast::{Broadcast, IntoRooms};
use crate::clock;
use crate::config::Transport;
use crate::error::EmitError;
use crate::handler::{ErasedHandler, EventPhase, Handler, erase};
use crate::handshake::Handshake;
use crate::history::{Rewind, Rewound};
use crate::io::{Io, IoCore};
use crate::log::PLACEHOLDER;
use crate::namespace::{Namespace, NamespaceCore, Outgoing};
use crate::once::{ExactlyOnce, Keys};
use crate::outbox::Mode;
use crate::recovery::NamespaceLog;
use crate::rooms::{RoomEvent, Target};
use crate::session::{Command, Session};
use crate::shard::{self, Class, Push};
use crate::sid::Id;
use crate::wire::{HEADROOM, Packet};

mod emitter;
mod id;

pub(crate) use emitter::Flags;
pub use emitter::SocketEmitter;
pub use id::SocketId;

/// A client in a namespace; a cheap handle, valid also after the disconnect.
#[derive(Clone)]
pub struct Socket(Arc<SocketCore>);

pub(crate) struct SocketCore {
    id: SocketId,
    io: Arc<IoCore>,
    namespace: Arc<NamespaceCore>,
    session: Arc<Session>,
    /// Its place in the shard's rooms.
    member: AtomicU32,
    state: AtomicU8,
    origin: Option<Box<Origin>>,
    pub(crate) acks: PendingAcks,
    /// The client repeats events with the same ack id.
    pub(crate) keeps_ids: AtomicBool,
    /// What was answered to events with a key.
    keys: OnceLock<Arc<Keys>>,
    extras: Mutex<Option<Box<Extras>>>,
    /// There have been listeners of its own.
    has_listened: AtomicBool,
}

/// With what a socket has come, if with anything.
struct Origin {
    auth: Option<OwnedArgs>,
    /// In a namespace with recovery.
    recoverable: Option<Recoverable>,
}

/// What makes a socket known when it comes back.
pub(crate) struct Recoverable {
    /// The private id: a secret of its client.
    pub(crate) pid: Id,
    /// Whether it has come back.
    pub(crate) is_recovered: bool,
}

/// What few sockets have.
#[derive(Default)]
struct Extras {
    data: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    json: serde_json::Map<String, serde_json::Value>,
    listeners: Vec<SocketListener>,
    /// The rooms at the disconnect, for `on_disconnecting`.
    last_rooms: Vec<Arc<str>>,
}

#[derive(Clone)]
struct SocketListener {
    event: Arc<str>,
    handler: Arc<dyn ErasedHandler>,
    once: bool,
}

const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;
const NO_MEMBER: u32 = u32::MAX;

impl Socket {
    pub(crate) fn new(
        id: SocketId,
        io: Arc<IoCore>,
        namespace: Arc<NamespaceCore>,
        session: Arc<Session>,
        auth: Option<OwnedArgs>,
        data: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
        recoverable: Option<Recoverable>,
    ) -> Self {
        let extras = (!data.is_empty()).then(|| Box::new(Extras { data, ..Extras::default() }));
        Self(Arc::new(SocketCore {
            id,
            io,
            namespace,
            session,
            member: AtomicU32::new(NO_MEMBER),
            state: AtomicU8::new(CONNECTING),
            origin: (auth.is_some() || recoverable.is_some()).then(|| Box::new(Origin { auth, recoverable })),
            acks: PendingAcks::default(),
            keeps_ids: AtomicBool::new(false),
            keys: OnceLock::new(),
            extras: Mutex::new(extras),
            has_listened: AtomicBool::new(false),
        }))
    }

    /// The socket's public id.
    pub fn id(&self) -> &SocketId {
        &self.0.id
    }

    /// The namespace it is in.
    pub fn namespace(&self) -> Namespace {
        Namespace::from_core(Arc::clone(&self.0.namespace))
    }

    /// The server it belongs to.
    pub fn io(&self) -> Io {
        Io::of_engine(&self.0.session.engine, &self.0.io)
    }

    /// The request that opened the connection.
    pub fn handshake(&self) -> &Handshake {
        &self.0.session.handshake
    }

    /// What the client sent to prove who it is, as `T`; `None` if it sent nothing or something else. Clients of protocol 4
    /// send it as the query of the namespace: an object of strings.
    pub fn auth<T: DeserializeOwned>(&self) -> Option<T> {
        self.raw_auth()?.as_args().next()?.deserialize().ok()
    }

    /// What was answered to events with a key, in this session: before a connection that was lost, too.
    pub(crate) fn keys(&self, settings: &ExactlyOnce) -> Arc<Keys> {
        let new = || Keys::new(settings, &self.0.session.engine.budget);
        // Events may be handled after the disconnect. It is looked for under the lock that `exit` takes afterwards.
        let has_left = || self.0.state.load(Ordering::Acquire) == DISCONNECTED;
        let keys = self.0.keys.get_or_init(|| match self.recoverable() {
            Some(recoverable) => self.0.namespace.kept_keys.of(recoverable.pid, has_left, new),
            None => new(),
        });
        Arc::clone(keys)
    }

    pub(crate) fn raw_auth(&self) -> Option<&OwnedArgs> {
        self.0.origin.as_ref()?.auth.as_ref()
    }

    fn recoverable(&self) -> Option<&Recoverable> {
        self.0.origin.as_ref()?.recoverable.as_ref()
    }

    /// Its place in the shard's rooms; meaningful under the shard's lock, while it is there.
    pub(crate) fn member(&self) -> u32 {
        self.0.member.load(Ordering::Acquire)
    }

    /// The shard's rooms: where it is from now on.
    pub(crate) fn set_member(&self, member: u32) {
        self.0.member.store(member, Ordering::Release);
    }

    /// Whether it is connected.
    pub fn is_connected(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == CONNECTED
    }

    /// Whether it is the socket of before a broken connection: its rooms, its [`Socket::data`] and the events that it missed were
    /// restored. See [`Namespace::recovery`].
    pub fn is_recovered(&self) -> bool {
        self.recoverable().is_some_and(|r| r.is_recovered)
    }

    /// The transport in use.
    pub fn transport(&self) -> Transport {
        Transport::of(self.0.session.transport())
    }

    /// Engine.IO's version: 3 for clients of Socket.IO 1.x and 2.x, 4 for later ones.
    pub fn protocol(&self) -> u8 {
        if self.0.session.version == Version::V3 { 3 } else { 4 }
    }

    // --- sending -----------------------------------------------------------------------------------------------

    /// Sends an event. `args`: `()` for no argument, [`Args`](crate::Args)`((a, b))` for several, anything else for one.
    ///
    /// # Errors
    /// [`EmitError::Full`] if the client's send buffer is full: nothing was queued. [`EmitError::Closed`] after the
    /// disconnect, [`EmitError::Encode`] for a reserved name or what cannot be encoded.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.emit_with(event, &args, Flags::default())
    }

    /// Sends an event and waits for the client's answer, 10 s or what [`crate::IoBuilder::ack_timeout`] says. The event is
    /// sent at once, also if the future is not awaited.
    pub fn emit_with_ack<T: DeserializeOwned>(&self, event: &str, args: impl Serialize) -> AckFuture<T> {
        let timeout = self.0.namespace.io.config.ack_timeout;
        self.emit_with_ack_flags(event, &args, Flags::default(), timeout)
    }

    /// The next emit is dropped if the line is blocked at that moment.
    pub fn volatile(&self) -> SocketEmitter<'_> {
        SocketEmitter { socket: self, flags: Flags { volatile: true, ..Flags::default() }, timeout: None }
    }

    /// Whether transports may compress the next emit; default true.
    pub fn compress(&self, compress: bool) -> SocketEmitter<'_> {
        SocketEmitter { socket: self, flags: Flags { compress, ..Flags::default() }, timeout: None }
    }

    /// How long the next `emit_with_ack` waits.
    pub fn timeout(&self, timeout: Duration) -> SocketEmitter<'_> {
        SocketEmitter { socket: self, flags: Flags::default(), timeout: Some(timeout) }
    }

    fn emit_with<T: Serialize + ?Sized>(&self, event: &str, args: &T, flags: Flags) -> Result<(), EmitError> {
        self.emit_kept(event, args, flags, !flags.volatile)
    }

    /// Sends an event; a namespace with recovery keeps it if `is_kept`.
    pub(crate) fn emit_kept<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
        flags: Flags,
        is_kept: bool,
    ) -> Result<(), EmitError> {
        let class = if flags.volatile { Class::Volatile } else { Class::Event };
        let Some(log) = self.0.namespace.log() else {
            return self.send(&self.packet(event, args, None, flags)?, class);
        };
        let namespace = &self.0.namespace;
        let parser = namespace.io.config.parser;
        if namespace.wants_outgoing() {
            // The hooks see no offset: it is not known yet.
            let plain = sio::encode_event(parser, HEADROOM, &namespace.name, None, event, args)
                .map_err(crate::error::EncodeError::from)?;
            namespace.notify_outgoing(|| Outgoing::to_socket(self.id(), event, &plain));
        }
        let encoded =
            sio::encode_event_with_offset(parser, HEADROOM, &namespace.name, event, args, PLACEHOLDER)
                .map_err(crate::error::EncodeError::from)?;
        let own = Arc::from(self.id().as_str());
        let target = Target { rooms: std::iter::once(own).collect(), ..Target::default() };
        let budget = &self.0.session.engine.budget;
        budget.relieve();
        // Nobody comes back to a socket that cannot be recovered.
        let is_kept = is_kept && self.recoverable().is_some();
        let mut bytes = 0;
        let sent = log.emit(encoded, flags.compress, budget, &target, is_kept, |packet| {
            bytes = packet.cost();
            let sent = self.send(packet, class);
            let is_sent = sent.is_ok();
            (sent, is_sent)
        });
        if is_kept {
            namespace.readers.tell(&target.rooms, bytes);
        }
        sent
    }

    fn emit_with_ack_flags<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
        flags: Flags,
        timeout: Duration,
    ) -> AckFuture<T> {
        let id = self.0.namespace.next_ack_id();
        let receiver = self.0.acks.wait_for(id);
        let class = if flags.volatile { Class::Volatile } else { Class::Event };
        let sent = self.packet(event, args, Some(id), flags).and_then(|packet| self.send(&packet, class));
        if sent.is_err() {
            self.0.acks.forget(id);
        }
        AckFuture::new(self.clone(), id, receiver, sent, timeout)
    }

    fn packet<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
        id: Option<u64>,
        flags: Flags,
    ) -> Result<Arc<Packet>, EmitError> {
        let namespace = &self.0.namespace;
        let encoded =
            sio::encode_event(namespace.io.config.parser, HEADROOM, &namespace.name, id, event, args)
                .map_err(crate::error::EncodeError::from)?;
        namespace.notify_outgoing(|| Outgoing::to_socket(self.id(), event, &encoded));
        Ok(Packet::encoded(encoded, flags.compress, &self.0.session.engine.budget))
    }

    pub(crate) fn send(&self, packet: &Arc<Packet>, class: Class) -> Result<(), EmitError> {
        if self.0.state.load(Ordering::Acquire) == DISCONNECTED {
            return Err(EmitError::Closed);
        }
        if class != Class::Control && self.0.session.engine.budget.is_exhausted() {
            return Err(EmitError::Full);
        }
        match self.0.session.push(packet, class) {
            Push::Taken => Ok(()),
            Push::Dropped => {
                self.0.session.shard.counters.dropped_volatile.add(1);
                Ok(())
            }
            Push::Full if class == Class::Control => {
                self.0.session.command(Command::Close(CloseReason::SlowReader));
                Err(EmitError::Full)
            }
            Push::Full | Push::Shed => Err(EmitError::Full),
            Push::Closed => Err(EmitError::Closed),
        }
    }

    /// Ready when nothing waits to be sent to this client: after [`EmitError::Full`] there is room again. What the kernel or a proxy
    /// holds does not count.
    ///
    /// # Errors
    /// [`EmitError::Closed`] if the socket is not connected, or disconnects meanwhile.
    pub fn drained(&self) -> impl Future<Output = Result<(), EmitError>> + Send + 'static {
        let core = Arc::clone(&self.0);
        std::future::poll_fn(move |cx| {
            core.session.shard.with(|state| {
                // Under the shard's lock, as the disconnect is.
                if core.state.load(Ordering::Acquire) == DISCONNECTED {
                    return Poll::Ready(Err(EmitError::Closed));
                }
                match state.get(core.session.slot) {
                    Some(outbox) if outbox.bytes > 0 || outbox.mode == Mode::Flushing => {
                        outbox.on_drained(cx.waker());
                        Poll::Pending
                    }
                    Some(_) => Poll::Ready(Ok(())),
                    None => Poll::Ready(Err(EmitError::Closed)),
                }
            })
        })
    }

    // --- rooms and others ----------------------------------------------------------------------------------------

    /// Enters rooms; on this node at once. Without effect before the connect handler and after the disconnect, but for a client
    /// that can be recovered: it will find itself in them.
    pub fn join(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.change_rooms(&rooms, true, |state, member, events| {
            for room in &rooms {
                state.rooms.join(member, self, room, events);
            }
        });
    }

    /// Leaves rooms.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.change_rooms(&rooms, false, |state, member, events| {
            for room in &rooms {
                state.rooms.leave(member, self, room, events);
            }
        });
    }

    /// Enters a room, and sends what the room's log has of its past: in order, before all that is sent to the room from now on, and
    /// nothing that this socket has got already. Of a room that it is in it gets nothing, nor before the connect handler and while it
    /// is disconnected. Events with an acknowledgement and volatile ones are not kept.
    ///
    /// A client whose connection breaks before it has got all of it is a new one when it comes back, so that its connect handler does
    /// the same again.
    ///
    /// ```
    /// use trunkline::{Auth, Io, Recovery, Rewind, Socket};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Wish {
    ///     /// What the page has seen last.
    ///     seen: Option<String>,
    /// }
    ///
    /// let io = Io::builder().recovery(Recovery::memory()).build();
    /// io.of("/").on_connect(async |socket: Socket, Auth(wish): Auth<Wish>| {
    ///     socket.join_with_history("lobby", wish.seen.map_or(Rewind::last(50), |seen| Rewind::after(&seen)));
    /// });
    /// ```
    pub fn join_with_history(&self, room: &str, rewind: Rewind) -> Rewound {
        let Some(log) = self.0.namespace.log() else {
            self.join(room);
            return Rewound { events: 0, gap: true };
        };
        if !self.is_connected() {
            self.join(room);
            return Rewound::default();
        }
        let room: Arc<str> = Arc::from(room);
        let session = &self.0.session;
        session.engine.budget.relieve();
        let within = self.rooms();
        let free = || {
            let queued = session.shard.with(|state| state.get(session.slot).map_or(0, |outbox| outbox.bytes));
            session.engine.config.max_send_buffer.saturating_sub(queued)
        };
        let pid = self.recoverable().map(|recoverable| &recoverable.pid);
        let (events, rewound) = log.rewind(self, pid, (&room, rewind.0), (&within, free), |past| {
            let mut events = Vec::new();
            let has_joined = session.shard.with(|state| {
                let member = self.0.member.load(Ordering::Acquire);
                let has_joined = state.rooms.join(member, self, &room, &mut events);
                if has_joined
                    && !state.push_all(session.slot, past.iter().map(|packet| (packet, Class::Event)))
                {
                    session.command(Command::Close(CloseReason::SlowReader));
                }
                has_joined
            });
            (events, has_joined)
        });
        self.0.namespace.tell_rooms(events);
        rewound
    }

    fn change_rooms(
        &self,
        rooms: &[Arc<str>],
        joins: bool,
        change: impl FnOnce(&mut shard::State, u32, &mut Vec<RoomEvent>),
    ) {
        let run = || {
            let mut events = Vec::new();
            self.0.session.shard.with(|state| {
                change(state, self.0.member.load(Ordering::Acquire), &mut events);
            });
            events
        };
        let events = match self.log() {
            None => run(),
            Some((log, recoverable)) => log.change_rooms(&self.0, &recoverable.pid, rooms, joins, run),
        };
        self.0.namespace.tell_rooms(events);
    }

    /// The log that remembers this socket.
    pub(crate) fn log(&self) -> Option<(&NamespaceLog, &Recoverable)> {
        Some((self.0.namespace.log()?, self.recoverable()?))
    }

    /// The rooms it is in, its own-id room first. In `on_disconnecting`: those it was in.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        let member = self.0.member.load(Ordering::Acquire);
        if member != NO_MEMBER {
            return self.0.session.shard.with(|state| state.rooms.of(member, self));
        }
        self.0.extras.lock().as_ref().map(|e| e.last_rooms.clone()).unwrap_or_default()
    }

    /// The sockets of these rooms, this one left out.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// The sockets of these rooms, this one included if it is among them.
    pub fn within(&self, rooms: impl IntoRooms) -> Broadcast {
        self.namespace().to(rooms)
    }

    /// All sockets of the namespace but this one and those of these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().except(rooms)
    }

    /// All sockets of the namespace but this one.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(Arc::clone(&self.0.namespace)).without(self.id().clone())
    }

    // --- its own data --------------------------------------------------------------------------------------------

    /// Keeps a value with the socket, one of each type; gives the one before.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let before =
            self.0.extras.lock().get_or_insert_default().data.insert(TypeId::of::<T>(), Box::new(value));
        before.and_then(|b| b.downcast().ok()).map(|b| *b)
    }

    /// The kept value of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.extras.lock().as_ref()?.data.get(&TypeId::of::<T>())?.downcast_ref::<T>().cloned()
    }

    /// Takes the kept value of this type out.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<T> {
        self.0.extras.lock().as_mut()?.data.remove(&TypeId::of::<T>())?.downcast().ok().map(|b| *b)
    }

    /// Sets a field of the data that `fetch_sockets` shows to others (the reference's `socket.data`).
    pub fn set_data(&self, field: &str, value: impl Into<serde_json::Value>) {
        // The application's conversion first: it may call the socket.
        let value = value.into();
        let field = field.to_owned();
        match self.log().filter(|(log, _)| log.is_journal()) {
            None => drop(self.0.extras.lock().get_or_insert_default().json.insert(field, value)),
            Some((log, recoverable)) => log.change_data(&self.0, &recoverable.pid, || {
                let mut extras = self.0.extras.lock();
                let json = &mut extras.get_or_insert_default().json;
                json.insert(field, value);
                json.clone()
            }),
        }
    }

    /// Puts back the data of before.
    pub(crate) fn restore_data(&self, data: serde_json::Map<String, serde_json::Value>) {
        if !data.is_empty() {
            self.0.extras.lock().get_or_insert_default().json = data;
        }
    }

    /// The data that `fetch_sockets` shows to others.
    pub fn data(&self) -> serde_json::Map<String, serde_json::Value> {
        self.0.extras.lock().as_ref().map(|e| e.json.clone()).unwrap_or_default()
    }

    // --- its own listeners ---------------------------------------------------------------------------------------

    /// Adds a listener for this socket only, after those of the namespace. Those of the namespace cost nothing per
    /// connection: prefer them.
    ///
    /// # Panics
    /// If the name is reserved, or a state that the handler asks for was not given.
    pub fn on<H, A>(&self, event: &str, handler: H)
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        self.listen(event, handler, false);
    }

    /// As [`Socket::on`], for the next such event only.
    pub fn once<H, A>(&self, event: &str, handler: H)
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        self.listen(event, handler, true);
    }

    /// Removes this socket's own listeners of an event.
    pub fn off(&self, event: &str) {
        if let Some(extras) = self.0.extras.lock().as_mut() {
            extras.listeners.retain(|l| &*l.event != event);
        }
    }

    fn listen<H, A>(&self, event: &str, handler: H, once: bool)
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        assert!(!sio::is_reserved(event), "\"{event}\" is no event that clients send");
        self.0.namespace.io.check_states(&handler, event);
        let listener = SocketListener { event: Arc::from(event), handler: erase(handler), once };
        self.0.has_listened.store(true, Ordering::Release);
        self.0.extras.lock().get_or_insert_default().listeners.push(listener);
    }

    /// Whether there are own listeners of an event.
    pub(crate) fn listens(&self, event: &str) -> bool {
        // Most sockets never have any, and are not locked for it.
        self.0.has_listened.load(Ordering::Acquire)
            && self
                .0
                .extras
                .lock()
                .as_ref()
                .is_some_and(|extras| extras.listeners.iter().any(|l| &*l.event == event))
    }

    /// After its last handler: its listeners may hold the socket itself.
    pub(crate) fn forget_listeners(&self) {
        let listeners = self.0.extras.lock().as_mut().map(|extras| std::mem::take(&mut extras.listeners));
        drop(listeners);
    }

    /// The own listeners of an event; those for once are removed.
    pub(crate) fn take_listeners(&self, event: &str, out: &mut Vec<Arc<dyn ErasedHandler>>) {
        if let Some(extras) = self.0.extras.lock().as_mut() {
            extras.listeners.retain(|l| {
                if &*l.event != event {
                    return true;
                }
                out.push(Arc::clone(&l.handler));
                !l.once
            });
        }
    }

    // --- its end ---------------------------------------------------------------------------------------------------

    /// Removes it from the namespace (`server namespace disconnect`); effective at once. With `close`, the client's
    /// sockets of all namespaces are removed and then the connection is closed, after what is queued.
    pub fn disconnect(&self, close: bool) {
        let namespace = &self.0.namespace;
        // Out of the rooms first, so that DISCONNECT is the last thing the client gets.
        if self.exit(DisconnectReason::ServerNamespaceDisconnect) {
            let encoded = sio::encode_disconnect(namespace.io.config.parser, HEADROOM, &namespace.name);
            // A client that knows that it was sent away must not be found among those who may come back.
            let gate = self.log().and_then(|(log, _)| log.barrier());
            let packet = Packet::logged(encoded, true, &self.0.session.engine.budget, gate);
            if self.0.session.push(&packet, Class::Control) == Push::Full {
                self.0.session.command(Command::Close(CloseReason::SlowReader));
            }
            self.0.session.command(Command::Left(self.clone(), DisconnectReason::ServerNamespaceDisconnect));
        } else if let Some((log, recoverable)) = self.log() {
            // Its connection is lost: it is not to come back.
            if log.dismiss(&recoverable.pid) {
                drop(self.0.namespace.kept_keys.left(recoverable.pid, clock::now(), true));
            }
        }
        if close {
            self.0.session.command(Command::DisconnectAll);
        }
    }

    /// Queues `packets`, CONNECT first, and enters the namespace and `rooms`: from now on broadcasts reach it. All at once, since another
    /// thread may send them as soon as they are queued: who hears of its connection is in the rooms. False if a packet did not fit: the
    /// session is to be closed. The events are for [`NamespaceCore::tell_rooms`].
    pub(crate) fn enter<'a>(
        &self,
        packets: impl IntoIterator<Item = (&'a Arc<Packet>, Class)>,
        rooms: &[Arc<str>],
    ) -> (bool, Vec<RoomEvent>) {
        let mut events = Vec::new();
        let session = &self.0.session;
        self.0.namespace.entered();
        // Whoever finds it in the rooms finds it connected: all of it under the shard's lock.
        let are_queued = session.shard.with(|state| {
            let are_queued = state.push_all(session.slot, packets);
            let member = state.rooms.insert(self.0.namespace.id, self, session.slot, &mut events);
            self.0.state.store(CONNECTED, Ordering::Release);
            for room in rooms {
                state.rooms.join(member, self, room, &mut events);
            }
            are_queued
        });
        (are_queued, events)
    }

    /// Leaves the namespace: nothing reaches it any more, and its awaited answers end. False if it was not in it.
    pub(crate) fn exit(&self, reason: DisconnectReason) -> bool {
        let (mut events, mut forgotten) = (Vec::new(), Vec::new());
        // All at once under the shard's lock: a join that finds it gone is followed by no broadcast that finds it there.
        let mut run = || {
            let rooms = self.0.session.shard.with(|state| {
                let before = self.0.state.swap(DISCONNECTED, Ordering::AcqRel);
                let member = self.0.member.swap(NO_MEMBER, Ordering::AcqRel);
                if let Some(outbox) = state.get(self.0.session.slot) {
                    // Those who wait for this socket are to know; others look and wait on.
                    outbox.wake_drained();
                }
                (before == CONNECTED).then(|| state.rooms.remove(member, &mut events))
            });
            // Before it can come back.
            if let (Some(recoverable), Some(_)) = (self.recoverable(), &rooms) {
                let kept = &self.0.namespace.kept_keys;
                forgotten = kept.left(recoverable.pid, clock::now(), !reason.recoverable());
            }
            rooms
        };
        let rooms = match self.log() {
            None => run(),
            Some((log, recoverable)) => log.leave(&self.0, &recoverable.pid, reason, self.data(), run),
        };
        self.0.acks.close();
        drop(forgotten);
        let Some(rooms) = rooms else { return false };
        if self.0.namespace.wants_disconnecting() {
            let own: Arc<str> = Arc::from(self.id().as_str());
            let last = std::iter::once(own).chain(rooms).collect();
            self.0.extras.lock().get_or_insert_default().last_rooms = last;
        }
        self.0.namespace.tell_rooms(events);
        self.0.namespace.left();
        true
    }

    /// After `on_disconnecting`: the rooms of the past are forgotten.
    pub(crate) fn forget_rooms(&self) {
        if let Some(extras) = self.0.extras.lock().as_mut() {
            extras.last_rooms = Vec::new();
        }
    }

    pub(crate) fn from_core(core: Arc<SocketCore>) -> Self {
        Self(core)
    }

    pub(crate) fn downgrade(&self) -> Weak<SocketCore> {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    pub(crate) fn io_core(&self) -> &Arc<IoCore> {
        &self.0.io
    }

    pub(crate) fn core_arc(&self) -> &Arc<SocketCore> {
        &self.0
    }

    pub(crate) fn core(&self) -> &SocketCore {
        &self.0
    }

    pub(crate) fn namespace_core(&self) -> &Arc<NamespaceCore> {
        &self.0.namespace
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({} in {})", self.0.id, self.0.namespace.name)
    }
}

pub(crate) fn reason_of(reason: CloseReason) -> DisconnectReason {
    match reason {
        CloseReason::TransportError => DisconnectReason::TransportError,
        CloseReason::TransportClose => DisconnectReason::TransportClose,
        CloseReason::ForcedClose => DisconnectReason::ForcedClose,
        CloseReason::PingTimeout => DisconnectReason::PingTimeout,
        CloseReason::ParseError => DisconnectReason::ParseError,
        CloseReason::ServerShuttingDown => DisconnectReason::ServerShuttingDown,
        CloseReason::SlowReader => DisconnectReason::SlowReader,
        CloseReason::InboundOverflow => DisconnectReason::InboundOverflow,
    }
}

const _: () =
    assert!(size_of::<SocketCore>() <= 112, "a socket must stay small: a server has one for each client");
