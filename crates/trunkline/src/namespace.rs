//! Namespaces: who may enter, what happens to events, and the way to all of a namespace's sockets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use trunkline_proto::sio::{self, Encoded};

use crate::broadcast::{Answer, Broadcast, IntoRooms, RemoteSocket};
use crate::dynamic::ParentCore;
use crate::error::BroadcastError;
use crate::handler::{
    Check, ConnectPhase, DisconnectPhase, ErasedCheck, ErasedHandler, EventPhase, Handler, erase, erase_check,
};
use crate::history::{History, Readers, Served};
use crate::io::Shared;
use crate::log::LogError;
use crate::once::{ExactlyOnce, IntoKey, KeptKeys, OnceRules};
use crate::recovery::{NamespaceLog, Recovery, Surroundings};
use crate::rooms::{RoomEvent, Target};
use crate::slow::{RoomPolicies, SlowReaders};
use crate::socket::{Socket, SocketId};

/// A namespace; a cheap handle. Handlers are registered once, for all its sockets.
#[derive(Clone)]
pub struct Namespace(Arc<NamespaceCore>);

pub(crate) struct NamespaceCore {
    /// Its number in the shards' room tables.
    pub(crate) id: u32,
    pub(crate) name: Arc<str>,
    pub(crate) io: Arc<Shared>,
    /// Shared with the parent of a pattern, so that what is registered there later counts here.
    pub(crate) table: Arc<HandlerTable>,
    pub(crate) parent: Option<Arc<ParentCore>>,
    pub(crate) params: Vec<(String, String)>,
    /// Decided when it is first used; `None` without recovery.
    log: OnceLock<Option<Arc<NamespaceLog>>>,
    /// Those who read its events over HTTP.
    pub(crate) readers: Arc<Readers>,
    ack_ids: AtomicU64,
    sockets: AtomicUsize,
    /// Whether it is on the list of those to be removed when nobody can come back to them.
    pub(crate) is_listed: AtomicBool,
    /// What was answered to clients that may come back.
    pub(crate) kept_keys: KeptKeys,
    /// Clients whom the checks have not decided on yet; changed under the lock of [`Namespaces`].
    entering: AtomicUsize,
}

/// What is registered; replaced as a whole, so that it can be kept and used without a lock.
#[derive(Default)]
pub(crate) struct HandlerTable {
    table: RwLock<Arc<Table>>,
    /// The table's.
    version: AtomicU32,
}

#[derive(Clone, Default)]
pub(crate) struct Table {
    pub(crate) checks: Vec<Arc<dyn ErasedCheck>>,
    pub(crate) connect: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) disconnecting: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) disconnect: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) before: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) any: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) events: HashMap<Box<str>, SmallVec<[Arc<dyn ErasedHandler>; 1]>>,
    pub(crate) history: Option<Arc<Served>>,
    outgoing: Vec<OutgoingHook>,
    rooms: Vec<RoomHook>,
    recovery: Option<Recovery>,
    policies: RoomPolicies,
    /// None: every event is new.
    pub(crate) once: Option<Arc<OnceRules>>,
    /// How often it was changed.
    version: u32,
}

type OutgoingHook = Arc<dyn Fn(&Outgoing<'_>) + Send + Sync>;
type RoomHook = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

impl Table {
    /// Whether events of this namespace may be read that an earlier process has kept. `default`: of namespaces that say nothing else.
    pub(crate) fn has_past(&self, namespace: &str, default: Option<&Recovery>) -> bool {
        let recovery = self.recovery.as_ref().or(default);
        self.history.is_some() && recovery.is_some_and(|recovery| recovery.has_files_of(namespace))
    }
}

impl HandlerTable {
    pub(crate) fn read(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Brings `known` up to date; most often it is, and nothing is locked.
    #[inline]
    pub(crate) fn refresh(&self, known: &mut Arc<Table>) {
        if known.version != self.version.load(Ordering::Acquire) {
            *known = self.read();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.write();
        let table = Arc::make_mut(&mut table);
        change(table);
        table.version = table.version.wrapping_add(1);
        self.version.store(table.version, Ordering::Release);
    }
}

/// An event on its way out, for [`Namespace::on_any_outgoing`].
pub struct Outgoing<'a> {
    event: &'a str,
    receivers: Receivers<'a>,
    encoded: &'a Encoded,
}

/// Whom an outgoing event is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receivers<'a> {
    /// One socket.
    Socket(&'a SocketId),
    /// The sockets of these rooms; none: of the whole namespace.
    Rooms(&'a [Arc<str>]),
}

impl<'a> Outgoing<'a> {
    pub(crate) fn to_socket(id: &'a SocketId, event: &'a str, encoded: &'a Encoded) -> Self {
        Self { event, receivers: Receivers::Socket(id), encoded }
    }

    pub(crate) fn to_rooms(target: &'a Target, event: &'a str, encoded: &'a Encoded) -> Self {
        Self { event, receivers: Receivers::Rooms(&target.rooms), encoded }
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        self.event
    }

    /// Whom it is for.
    pub fn receivers(&self) -> &Receivers<'a> {
        &self.receivers
    }

    /// The arguments as `T`, all of them.
    pub fn args<T: DeserializeOwned>(&self) -> Option<T> {
        let parser = if self.encoded.binary { sio::Parser::Msgpack } else { sio::Parser::Json };
        let limits = sio::Limits { max_attachments: usize::MAX, ..sio::Limits::default() };
        let mut decoder = sio::Decoder::new(parser, limits);
        let decode = |packet: sio::Packet<'_>| match packet.kind {
            sio::Kind::Event { args, .. } => args.deserialize_all().ok(),
            _ => None,
        };
        let bytes = self.encoded.packet();
        if self.encoded.binary {
            return decoder.decode_binary(bytes.into()).ok()?.and_then(decode);
        }
        let text = std::str::from_utf8(bytes).ok()?;
        if let Some(packet) = decoder.decode_text(text).ok()? {
            return decode(packet);
        }
        for attachment in &self.encoded.attachments {
            if let Some(packet) = decoder.decode_binary((&attachment[..]).into()).ok()? {
                return decode(packet);
            }
        }
        None
    }
}

impl std::fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("event", &self.event).field("receivers", &self.receivers).finish()
    }
}

impl NamespaceCore {
    pub(crate) fn new(
        id: u32,
        name: Arc<str>,
        io: Arc<Shared>,
        parent: Option<Arc<ParentCore>>,
        params: Vec<(String, String)>,
    ) -> Arc<Self> {
        let table = parent.as_ref().map(|parent| Arc::clone(&parent.table)).unwrap_or_default();
        Arc::new(Self {
            id,
            name,
            io,
            table,
            parent,
            params,
            log: OnceLock::new(),
            readers: Arc::default(),
            ack_ids: AtomicU64::new(0),
            sockets: AtomicUsize::new(0),
            is_listed: AtomicBool::new(false),
            kept_keys: KeptKeys::default(),
            entering: AtomicUsize::new(0),
        })
    }

    /// The log, if it was ever used.
    pub(crate) fn used_log(&self) -> Option<&NamespaceLog> {
        self.log.get()?.as_deref()
    }

    /// The log that clients are recovered from, if the namespace keeps one.
    #[inline]
    pub(crate) fn log(&self) -> Option<&NamespaceLog> {
        let made = self.log.get_or_init(|| {
            let recovery = self.recovery();
            if recovery.is_none() && self.table.table.read().history.is_some() {
                tracing::warn!(
                    namespace = &*self.name,
                    "history without recovery: no events are kept to be read"
                );
            }
            let recovery = recovery?;
            let in_memory = |recovery| {
                self.io.parts.metrics.log_failures.add(1);
                Arc::new(NamespaceLog::in_memory(recovery, self.io.noticing))
            };
            // Clients name the namespaces of a pattern: they must not take the files that everybody needs.
            let log = if recovery.has_files() && self.parent.is_some() && !self.io.log_writer.has_room() {
                tracing::debug!(
                    namespace = &*self.name,
                    "too many logs have files: this one lives in memory"
                );
                in_memory(recovery)
            } else {
                self.open_log(recovery.clone()).unwrap_or_else(|error| {
                    tracing::error!(namespace = &*self.name, %error, "the log lives in memory alone");
                    in_memory(recovery)
                })
            };
            self.io.logs.add(&log);
            Some(log)
        });
        made.as_deref()
    }

    fn recovery(&self) -> Option<Recovery> {
        let recovery = self.table.table.read().recovery.clone();
        recovery.or_else(|| self.io.config.recovery.clone())
    }

    fn open_log(&self, recovery: Recovery) -> Result<Arc<NamespaceLog>, LogError> {
        let parts = &self.io.parts;
        let surroundings = Surroundings {
            namespace: &self.name,
            msgpack: self.io.config.parser == sio::Parser::Msgpack,
            noticing: self.io.noticing,
            shards: &parts.shards,
            budget: &parts.budget,
            metrics: &parts.metrics,
            writer: &self.io.log_writer,
        };
        NamespaceLog::open(recovery, &surroundings).map(Arc::new)
    }

    pub(crate) fn next_ack_id(&self) -> u64 {
        self.ack_ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn wants_outgoing(&self) -> bool {
        !self.table.table.read().outgoing.is_empty()
    }

    /// Whether there are hooks for outgoing events, and the policy of the target's rooms.
    pub(crate) fn on_the_way_out(&self, target: &Target) -> (bool, Option<SlowReaders>) {
        let table = self.table.table.read();
        let policy = if table.policies.is_empty() { None } else { table.policies.of(target) };
        (!table.outgoing.is_empty(), policy)
    }

    pub(crate) fn notify_outgoing<'a>(&self, outgoing: impl FnOnce() -> Outgoing<'a>) {
        let hooks = {
            let table = self.table.table.read();
            if table.outgoing.is_empty() {
                return;
            }
            table.outgoing.clone()
        };
        let outgoing = outgoing();
        for hook in hooks {
            self.io.guard(&self.name, || hook(&outgoing));
        }
    }

    pub(crate) fn tell_rooms(&self, events: Vec<RoomEvent>) {
        let hooks = {
            let table = self.table.table.read();
            if table.rooms.is_empty() {
                return;
            }
            table.rooms.clone()
        };
        for event in events {
            for hook in &hooks {
                self.io.guard(&self.name, || hook(&event));
            }
        }
    }

    /// Whether clients are told that ack ids are keys.
    pub(crate) fn takes_ids(&self) -> bool {
        self.table.table.read().once.as_ref().is_some_and(|once| once.takes_ids)
    }

    pub(crate) fn wants_disconnecting(&self) -> bool {
        !self.table.table.read().disconnecting.is_empty()
    }

    pub(crate) fn entered(&self) {
        self.sockets.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn left(self: &Arc<Self>) {
        if self.sockets.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(parent) = &self.parent
        {
            parent.emptied(self);
        }
    }

    pub(crate) fn socket_count(&self) -> usize {
        self.sockets.load(Ordering::Acquire)
    }
}

impl Namespace {
    pub(crate) fn from_core(core: Arc<NamespaceCore>) -> Self {
        Self(core)
    }

    pub(crate) fn into_core(self) -> Arc<NamespaceCore> {
        self.0
    }

    /// Its name, such as `/chat`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many sockets are in it, on this node.
    pub fn socket_count(&self) -> usize {
        self.0.socket_count()
    }

    /// The rooms with members on this node; sockets' own-id rooms are left out.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        let shards = self.0.io.parts.shards.iter();
        let mut names: Vec<_> =
            shards.flat_map(|shard| shard.with(|state| state.rooms.names(self.0.id))).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The socket of this id, if it is connected to this node.
    pub fn socket(&self, id: &SocketId) -> Option<Socket> {
        self.0.io.parts.shards.iter().find_map(|shard| shard.with(|state| state.rooms.socket(self.0.id, id)))
    }

    // --- registering ---------------------------------------------------------------------------------------------

    fn add<H, A, P>(
        self,
        what: &str,
        handler: H,
        add: impl FnOnce(&mut Table, Arc<dyn ErasedHandler>),
    ) -> Self
    where
        H: Handler<A, P>,
        A: 'static,
        P: 'static,
    {
        self.0.io.check_states(&handler, what);
        let handler = erase(handler);
        self.0.table.change(|table| add(table, handler));
        self
    }

    /// Admits or refuses a socket before it exists; see [`Admission`](crate::Admission). Several run in order.
    pub fn check<C, A>(self, check: C) -> Self
    where
        C: Check<A>,
        A: 'static,
    {
        self.0.io.must_have(check.missing_state(&self.0.io.states), "check");
        let check = erase_check(check);
        self.0.table.change(|table| table.checks.push(check));
        self
    }

    /// Called for each new socket. Its events wait until this has returned.
    pub fn on_connect<H, A>(self, handler: H) -> Self
    where
        H: Handler<A, ConnectPhase>,
        A: 'static,
    {
        self.add("connect", handler, |table, h| table.connect.push(h))
    }

    /// Called for each event of this name, in the order in which a socket sends them. Several handlers run in order of
    /// registration; the first answer counts.
    ///
    /// # Panics
    /// If the name is reserved (`connect`, `disconnect`, …), or a state that the handler asks for was not given.
    pub fn on<H, A>(self, event: &str, handler: H) -> Self
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        assert!(
            !sio::is_reserved(event),
            "\"{event}\" is no event that clients send: use on_connect, on_disconnecting or on_disconnect"
        );
        self.add(event, handler, |table, h| table.events.entry(event.into()).or_default().push(h))
    }

    /// Removes the handlers of an event.
    pub fn off(self, event: &str) -> Self {
        self.0.table.change(|table| drop(table.events.remove(event)));
        self
    }

    /// Recovers clients whose connection broke: their rooms, their [`Socket::data`] and the events that they missed.
    /// Each event without an acknowledgement ends with an offset then, one more argument that handlers of clients can see, as in
    /// the reference. Clients of Socket.IO before 4.6 see it and are not recovered.
    ///
    /// # Panics
    /// If the namespace has been used: a client has entered or an event was sent.
    pub fn recovery(self, recovery: Recovery) -> Self {
        assert!(self.0.log.get().is_none(), "{} is in use: set its recovery first", self.0.name);
        self.0.table.change(|table| table.recovery = Some(recovery));
        self
    }

    /// Lets the events of its rooms be read over HTTP, below `<path>/history/`; by default they cannot. The events are those that
    /// [`Namespace::recovery`] keeps: without it there are none.
    ///
    /// # Panics
    /// If a state that the check asks for was not given.
    pub fn history(self, history: History) -> Self {
        if let Some(check) = history.erased_check() {
            self.0.io.must_have(check.missing_state(&self.0.io.states), "history");
        }
        self.0.io.has_history.store(true, Ordering::Release);
        self.0.table.change(|table| table.history = Some(Served::new(history)));
        self
    }

    /// Opens the log of [`Namespace::recovery`] or [`IoBuilder::recovery`](crate::IoBuilder::recovery) now, so that a server whose
    /// log cannot be used does not start. Otherwise it is opened when the namespace is first used, and if that fails it lives in
    /// memory alone, with an error in the server's own log. Reads the log's files: call it before the server listens.
    ///
    /// # Errors
    /// What is wrong, with the file. Without recovery, in memory, and if it is open there is none.
    pub fn open_recovery(&self) -> Result<(), LogError> {
        if self.0.log.get().is_some() {
            return Ok(());
        }
        if let Some(recovery) = self.0.recovery() {
            let log = self.0.open_log(recovery)?;
            if self.0.log.set(Some(Arc::clone(&log))).is_ok() {
                self.0.io.logs.add(&log);
            }
        }
        Ok(())
    }

    /// Handles an event of this name once for each key that `key` names, per session: a repeat, as a client's retry is, is not handled
    /// but gets the acknowledgement of the first, which it waits for if that is still being handled. `key` is given the first argument
    /// (all of them as [`Args`](crate::Args)); an event without a key is handled whenever it comes. The event needs not ask for an
    /// acknowledgement; what its handlers answer is kept all the same, an error too.
    ///
    /// Remembered are the last keys, 256 and 64 KiB of a session unless [`Namespace::exactly_once`] says otherwise, also for a session
    /// that is recovered. A client that comes back as a new one, of the same user or not, is a new session: what must not happen
    /// twice then needs a key in the application's store.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use trunkline::{Data, Io, Reply};
    ///
    /// #[derive(Deserialize)]
    /// struct Post {
    ///     client_id: String,
    ///     text: String,
    /// }
    ///
    /// async fn post(Data(post): Data<Post>) -> Reply<usize> {
    ///     Reply(post.text.len())
    /// }
    ///
    /// Io::new().of("/chat").on("post", post).once_by("post", |post: &Post| post.client_id.clone());
    /// ```
    ///
    /// # Panics
    /// If the name is reserved.
    pub fn once_by<T, K>(self, event: &str, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self
    where
        T: DeserializeOwned + 'static,
        K: IntoKey + 'static,
    {
        assert!(!sio::is_reserved(event), "\"{event}\" is no event that clients send");
        self.0.table.change(|table| Arc::make_mut(table.once.get_or_insert_default()).add(event, key));
        self
    }

    /// Handles each event that asks for an acknowledgement once, for clients that say which events are repeats: our own do, with
    /// retries. CONNECT tells them (`"once": true`); other clients overlook it. Also how much [`Namespace::once_by`] remembers.
    pub fn exactly_once(self, settings: ExactlyOnce) -> Self {
        self.0.table.change(|table| Arc::make_mut(table.once.get_or_insert_default()).set(settings));
        self
    }

    /// Sets what slow readers may miss of events to rooms whose name has this form, such as `prices` or `chart-{symbol}`; a parameter
    /// takes at least one character and no slash. The first pattern registered that fits counts, and of an event to several rooms the
    /// first room that has a policy. [`Broadcast::policy`] goes before it. See [`SlowReaders`]; the default is to disconnect them.
    ///
    /// # Panics
    /// If the pattern is malformed.
    pub fn room_policy(self, pattern: &str, policy: SlowReaders) -> Self {
        self.0.table.change(|table| table.policies.add(pattern, policy));
        self
    }

    /// Called for every event, before its own handlers; gives no answer. [`EventName`](crate::EventName) tells which.
    pub fn on_any<H, A>(self, handler: H) -> Self
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        self.add("any event", handler, |table, h| table.any.push(h))
    }

    /// Called for every event after the catch-all handlers: an `Err` stops the event, is told to the error hook and to the
    /// client if it waits for an answer (the reference's `socket.use`).
    pub fn before<H, A>(self, handler: H) -> Self
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        self.add("every event", handler, |table, h| table.before.push(h))
    }

    /// Called when a socket is about to be gone; `socket.rooms()` still tells its rooms.
    pub fn on_disconnecting<H, A>(self, handler: H) -> Self
    where
        H: Handler<A, DisconnectPhase>,
        A: 'static,
    {
        self.add("disconnecting", handler, |table, h| table.disconnecting.push(h))
    }

    /// Called when a socket is gone: the last thing its handlers see.
    pub fn on_disconnect<H, A>(self, handler: H) -> Self
    where
        H: Handler<A, DisconnectPhase>,
        A: 'static,
    {
        self.add("disconnect", handler, |table, h| table.disconnect.push(h))
    }

    /// Called once for each emit, to one socket or to many, when it is encoded. It must not block.
    pub fn on_any_outgoing(self, hook: impl Fn(&Outgoing<'_>) + Send + Sync + 'static) -> Self {
        self.0.table.change(|table| table.outgoing.push(Arc::new(hook)));
        self
    }

    /// Told of each change of the rooms of this node; sockets' own-id rooms included. It must not block.
    pub fn on_room_event(self, hook: impl Fn(&RoomEvent) + Send + Sync + 'static) -> Self {
        self.0.table.change(|table| table.rooms.push(Arc::new(hook)));
        self
    }

    // --- sending -------------------------------------------------------------------------------------------------

    fn all(&self) -> Broadcast {
        Broadcast::new(Arc::clone(&self.0))
    }

    /// The sockets of these rooms.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.all().to(rooms)
    }

    /// All sockets but those of these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.all().except(rooms)
    }

    /// This node's sockets.
    pub fn local(&self) -> Broadcast {
        self.all().local()
    }

    /// All sockets whose line is not blocked.
    pub fn volatile(&self) -> Broadcast {
        self.all().volatile()
    }

    /// All sockets; what slow readers may miss. See [`Broadcast::policy`].
    pub fn policy(&self, policy: SlowReaders) -> Broadcast {
        self.all().policy(policy)
    }

    /// All sockets; whether transports may compress.
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.all().compress(compress)
    }

    /// All sockets; how long `emit_with_ack` waits.
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.all().timeout(timeout)
    }

    /// Sends an event to all sockets; see [`Broadcast::emit`].
    ///
    /// # Errors
    /// As there.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), BroadcastError> {
        self.all().emit(event, args)
    }

    /// Sends an event to all sockets and collects their answers; see [`Broadcast::emit_with_ack`].
    ///
    /// # Errors
    /// As there.
    pub async fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: impl Serialize,
    ) -> Result<Vec<Answer<T>>, BroadcastError> {
        self.all().emit_with_ack(event, args).await
    }

    /// All sockets connected to this node, at this moment.
    pub fn sockets(&self) -> Vec<Socket> {
        self.all().sockets()
    }

    /// All sockets of all nodes.
    pub async fn fetch_sockets(&self) -> Vec<RemoteSocket> {
        self.all().fetch_sockets().await
    }

    /// Has all sockets enter rooms.
    pub fn sockets_join(&self, rooms: impl IntoRooms) {
        self.all().sockets_join(rooms);
    }

    /// Has all sockets leave rooms.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) {
        self.all().sockets_leave(rooms);
    }

    /// Disconnects all sockets; with `close`, their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.all().disconnect_sockets(close);
    }
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Namespace({}, {} sockets)", self.0.name, self.socket_count())
    }
}

/// Keeps a namespace from being removed as empty while a client is about to enter it.
pub(crate) struct Hold(Arc<NamespaceCore>);

impl Hold {
    pub(crate) fn namespace(&self) -> &Arc<NamespaceCore> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.0.entering.fetch_sub(1, Ordering::AcqRel) == 1
            && self.0.socket_count() == 0
            && let Some(parent) = &self.0.parent
        {
            parent.emptied(&self.0);
        }
    }
}

/// Namespaces by name.
#[derive(Default)]
pub(crate) struct Namespaces {
    by_name: Mutex<HashMap<Arc<str>, Arc<NamespaceCore>>>,
}

impl Namespaces {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<NamespaceCore>> {
        self.by_name.lock().get(name).cloned()
    }

    /// The namespace of this name, made by `make` if there is none; true if it was made.
    pub(crate) fn get_or_insert(
        &self,
        name: &str,
        make: impl FnOnce() -> Arc<NamespaceCore>,
    ) -> (Arc<NamespaceCore>, bool) {
        let mut by_name = self.by_name.lock();
        if let Some(found) = by_name.get(name) {
            return (Arc::clone(found), false);
        }
        let made = make();
        by_name.insert(Arc::clone(&made.name), Arc::clone(&made));
        (made, true)
    }

    /// Keeps `core` from being removed; `None` if it was removed meanwhile.
    pub(crate) fn hold(&self, core: &Arc<NamespaceCore>) -> Option<Hold> {
        let by_name = self.by_name.lock();
        by_name.get(&core.name).filter(|found| Arc::ptr_eq(found, core))?;
        core.entering.fetch_add(1, Ordering::AcqRel);
        Some(Hold(Arc::clone(core)))
    }

    /// Removes a namespace without sockets, unless somebody is about to enter it.
    pub(crate) fn remove_empty(&self, core: &Arc<NamespaceCore>) -> bool {
        let mut by_name = self.by_name.lock();
        let is_this = by_name.get(&core.name).is_some_and(|found| Arc::ptr_eq(found, core));
        let is_unused = || core.socket_count() == 0 && core.entering.load(Ordering::Acquire) == 0;
        // Somebody may have come and gone since it was found idle.
        if is_this && is_unused() && core.used_log().and_then(NamespaceLog::idle_at).is_none() {
            by_name.remove(&core.name);
            // Still under this lock: the next one of this name opens the same files, and has to know that these go.
            if let Some(Some(log)) = core.log.get() {
                log.discard();
            }
            return true;
        }
        false
    }

    pub(crate) fn all(&self) -> Vec<Arc<NamespaceCore>> {
        self.by_name.lock().values().cloned().collect()
    }
}
