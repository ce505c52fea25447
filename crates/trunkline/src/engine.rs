//! The Engine.IO layer: sessions over polling and WebSocket that exchange messages, without names, rooms or
//! acknowledgements. [`crate::Io`] is its first user.
//!
//! ```
//! use trunkline::engine::{Engine, Message};
//!
//! let engine = Engine::builder()
//!     .on_message(|session, message| match message {
//!         Message::Text(text) => drop(session.send(text)),
//!         Message::Binary(data) => drop(session.send_binary(data)),
//!     })
//!     .build();
//! let layer = engine.layer();
//! # drop(layer);
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response};
use trunkline_proto::eio::{self, CloseReason, TransportKind, Version};
use trunkline_proto::sio::DisconnectReason;
use trunkline_proto::ws::{self, OpCode};

use crate::clock;
use crate::config::{Config, Transport, engine_setters};
use crate::error::EmitError;
use crate::handshake::Handshake;
use crate::history::Address;
use crate::metrics::{Metrics, Snapshot};
use crate::outbox::Sink;
use crate::rate::Rate;
use crate::run::guard;
use crate::serve::worker;
use crate::service::{EngineLayer, EngineService, NotFound, Payload};
use crate::session::{Command, Session};
use crate::session_task::SessionTask;
use crate::shard::{Class, Push, Shard};
use crate::sid::{Id, node_name};
use crate::socket::Socket;
use crate::transport::websocket::WsConn;
use crate::wire::{Budget, Packet, Wire};

/// What the layer above does with sessions.
pub(crate) trait App: Send + Sync + 'static {
    /// The application's half of a new session.
    fn open(&self, session: &Arc<Session>) -> Box<dyn SessionApp>;

    /// The room whose history is at this path, if it is one; `rest` is what follows the server's path and a slash.
    fn history_of(&self, rest: &str) -> Option<Address> {
        let _ = rest;
        None
    }

    /// Answers a request for the history of a room.
    fn history(
        &self,
        engine: &Arc<EngineCore>,
        address: Address,
        request: &Request<()>,
        is_cross_origin: bool,
    ) -> BoxFuture<'static, Response<Payload>> {
        let _ = (engine, address, request, is_cross_origin);
        Box::pin(std::future::ready(Response::new(Payload::Whole(Bytes::new()))))
    }
}

/// The application's half of one session; called by the session's task only.
pub(crate) trait SessionApp: Send {
    /// The session can be written to.
    fn on_open(&mut self, cx: &mut Context<'_>);
    /// A message; an error closes the session.
    fn on_message(&mut self, message: eio::Message<'_>, cx: &mut Context<'_>) -> Result<(), CloseReason>;
    /// Goes on with what runs.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason>;
    /// Whether it takes no messages for the moment.
    fn is_full(&self) -> bool;
    /// When `handle_timeout` wants to be called.
    fn poll_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), CloseReason>;
    /// A socket was removed from its namespace by the application.
    fn on_left(&mut self, socket: Socket, reason: DisconnectReason, cx: &mut Context<'_>) {
        let _ = (socket, reason, cx);
    }
    /// All sockets leave, then the session is to be closed.
    fn on_disconnect_all(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }
    /// The session is about to end, after what is queued.
    fn on_finish(&mut self) {}
    /// A heartbeat is about to be queued behind all that was sent so far.
    fn on_ping(&mut self) {}
    /// The client has answered a heartbeat: it has read what was queued before it.
    fn on_pong(&mut self) {}
    /// The session is over; called once.
    fn on_close(&mut self, reason: CloseReason, cx: &mut Context<'_>);
    /// After `on_close`: ready when nothing runs any more.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// What all sessions share.
pub(crate) struct EngineCore {
    pub(crate) config: Config,
    /// Those of `config` that the sessions' machines share.
    pub(crate) periods: Arc<eio::Config>,
    pub(crate) shards: Arc<[Arc<Shard>]>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) app: Box<dyn App>,
    node: [u8; 3],
    next_shard: AtomicUsize,
    tasks_of_shards: Box<[ShardTasks]>,
    handshakes: Option<Rate>,
    closing: AtomicBool,
    /// Told when it begins to close.
    close_begun: tokio::sync::Notify,
    /// Requests for history that wait or stream.
    readers: AtomicUsize,
    sessions: AtomicUsize,
    /// Sessions whose task has not ended: more than `sessions`, by those that say goodbye.
    tasks: AtomicUsize,
    /// Told when a session has closed.
    pub(crate) emptied: tokio::sync::Notify,
}

/// How long `close` waits for what still runs after the last session's end.
const HANDLERS_TIMEOUT: Duration = Duration::from_secs(5);
/// Into how many steps a second of closing at a pace is divided.
const STEPS_PER_SECOND: u32 = 20;

/// What the layer above needs to reach all sessions.
pub(crate) struct Parts {
    pub(crate) shards: Arc<[Arc<Shard>]>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) metrics: Arc<Metrics>,
}

impl EngineCore {
    pub(crate) fn new(config: Config, app: impl FnOnce(Parts) -> Box<dyn App>) -> Arc<Self> {
        let budget = Budget::new(config.max_memory);
        let count = config.shards.clamp(1, 64);
        let batches = config.uring.batches(count);
        let new_shard = |(i, batches)| Shard::new(i, config.max_send_buffer, Arc::clone(&budget), batches);
        let shards: Arc<[_]> = batches.into_iter().enumerate().map(new_shard).collect();
        let metrics = Arc::new(Metrics::default());
        let parts =
            Parts { shards: Arc::clone(&shards), budget: Arc::clone(&budget), metrics: Arc::clone(&metrics) };
        let handshakes = config.max_handshakes_per_second.map(|rate| Rate::per_second(rate, Instant::now()));
        let tasks_of_shards = (0..count).map(|_| ShardTasks::default()).collect();
        let periods = Arc::new(eio::Config {
            ping_interval: config.ping_interval,
            ping_timeout: config.ping_timeout,
            upgrade_timeout: config.upgrade_timeout,
            close_timeout: config.close_timeout,
        });
        Arc::new(Self {
            config,
            periods,
            shards,
            budget,
            metrics,
            app: app(parts),
            node: node_name(),
            next_shard: AtomicUsize::new(0),
            tasks_of_shards,
            handshakes,
            closing: AtomicBool::new(false),
            close_begun: tokio::sync::Notify::new(),
            readers: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            emptied: tokio::sync::Notify::new(),
        })
    }

    /// Opens a session whose client will poll.
    pub(crate) fn open_polling(
        self: &Arc<Self>,
        version: Version,
        base64: bool,
        handshake: Handshake,
    ) -> Arc<Session> {
        let wire = match version {
            Version::V4 => Wire::Polling4,
            Version::V3 => Wire::Polling3(!base64),
        };
        let session = self.register(wire, Sink::Waiting, version, base64, handshake, TransportKind::Polling);
        self.start(&session, None, Vec::new());
        session
    }

    /// Opens a session on a WebSocket; `early` was read beyond its handshake, `head` is sent in front of its first packet.
    pub(crate) fn open_websocket(
        self: &Arc<Self>,
        version: Version,
        base64: bool,
        handshake: Handshake,
        conn: WsConn,
        early: Vec<u8>,
        mut head: Vec<u8>,
    ) {
        let sink = conn.stream.sink();
        let session = self.register(conn.wire, sink, version, base64, handshake, TransportKind::WebSocket);
        let open = self.open_packet(&session);
        ws::encode_frame(&mut head, OpCode::Text, false, open.as_bytes(), None);
        session.push(&Packet::frame(head, None), Class::Control);
        self.start(&session, Some(conn), early);
    }

    /// Makes a session known, on the calling thread's shard.
    fn register(
        self: &Arc<Self>,
        wire: Wire,
        sink: Sink,
        version: Version,
        base64: bool,
        handshake: Handshake,
        transport: TransportKind,
    ) -> Arc<Session> {
        let shard = Arc::clone(self.pick_shard());
        self.ensure_tasks(shard.index);
        let slot = shard.with(|state| state.open(wire, sink));
        let sid = Id::for_session(self.node, shard.index);
        let core = Arc::clone(self);
        let session = Arc::new(Session::new(
            sid,
            core,
            Arc::clone(&shard),
            slot,
            version,
            base64,
            handshake,
            transport,
        ));
        shard.with(|state| state.attach(slot, &session));
        shard.insert_session(&session);
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.tasks.fetch_add(1, Ordering::Relaxed);
        self.metrics.sessions_opened.add(1);
        session
    }

    /// Starts a session's task. With `conn`, that is its transport.
    fn start(&self, session: &Arc<Session>, conn: Option<WsConn>, early: Vec<u8>) {
        let app = self.app.open(session);
        tokio::spawn(SessionTask::new(Arc::clone(session), app, conn, early, clock::now()));
        if self.is_closing() {
            session.command(Command::Finish(CloseReason::ServerShuttingDown));
        }
    }

    /// The handshake's packet (engine.io-protocol v4, "Handshake").
    pub(crate) fn open_packet(&self, session: &Session) -> String {
        let config = &self.config;
        let may_upgrade = config.allow_upgrades
            && session.transport() == TransportKind::Polling
            && config.transports.contains(TransportKind::WebSocket);
        let upgrades: &[TransportKind] = if may_upgrade { &[TransportKind::WebSocket] } else { &[] };
        let mut out = Vec::with_capacity(128);
        eio::open_packet(
            &mut out,
            session.sid.as_str(),
            upgrades,
            u64::try_from(config.ping_interval.as_millis()).unwrap_or(u64::MAX),
            u64::try_from(config.ping_timeout.as_millis()).unwrap_or(u64::MAX),
            config.max_payload as u64,
        );
        String::from_utf8(out).unwrap_or_default()
    }

    pub(crate) fn session(&self, sid: &str) -> Option<Arc<Session>> {
        let sid: Id = sid.parse().ok()?;
        self.shards.get(sid.shard())?.session(&sid)
    }

    pub(crate) fn session_closed(&self, reason: CloseReason) {
        self.metrics.closed(reason);
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        self.emptied.notify_waiters();
    }

    pub(crate) fn session_count(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Ready once it is closing.
    pub(crate) async fn closing(&self) {
        let begun = self.close_begun.notified();
        tokio::pin!(begun);
        begun.as_mut().enable();
        if !self.is_closing() {
            begun.await;
        }
    }

    /// A request for history waits.
    pub(crate) fn reader_came(&self) {
        self.readers.fetch_add(1, Ordering::AcqRel);
    }

    /// It waits no more.
    pub(crate) fn reader_went(&self) {
        self.readers.fetch_sub(1, Ordering::AcqRel);
        self.emptied.notify_waiters();
    }

    /// Whether another session may be opened.
    pub(crate) fn has_place(&self) -> bool {
        !self.is_closing() && self.session_count() < self.config.max_sessions
    }

    /// Whether another session may be opened so soon; if so, it counts.
    pub(crate) fn may_open_now(&self) -> bool {
        self.handshakes.as_ref().is_none_or(|rate| rate.take(Instant::now()))
    }

    /// Refuses new sessions from now on and closes all, each after what is queued for it, `pace` of them in a second or all at once;
    /// returns when none is left.
    pub(crate) async fn close(&self, pace: Option<u32>) {
        self.closing.store(true, Ordering::Release);
        self.close_begun.notify_waiters();
        let sessions: Vec<_> = self.shards.iter().flat_map(|shard| shard.sessions()).collect();
        let step = pace.map_or(u32::MAX, |pace| (pace / STEPS_PER_SECOND).max(1));
        let pause = pace.map(|pace| Duration::from_secs(1) * step / pace.max(1));
        for (index, sessions) in sessions.chunks(step as usize).enumerate() {
            if let Some(pause) = pause.filter(|_| index > 0) {
                tokio::time::sleep(pause).await;
            }
            for session in sessions {
                session.command(Command::Finish(CloseReason::ServerShuttingDown));
            }
        }
        drop(sessions);
        self.wait_for(&self.sessions).await;
        // Their tasks go on for a moment: disconnect handlers, the last bytes. Not for ever: one of those handlers may be
        // who waits here.
        let rest = async {
            self.wait_for(&self.readers).await;
            self.wait_for(&self.tasks).await;
        };
        drop(tokio::time::timeout(HANDLERS_TIMEOUT, rest).await);
    }

    async fn wait_for(&self, count: &AtomicUsize) {
        loop {
            let emptied = self.emptied.notified();
            if count.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// A session's task has ended, handlers and all.
    pub(crate) fn task_ended(&self) {
        self.tasks.fetch_sub(1, Ordering::AcqRel);
        self.emptied.notify_waiters();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::of(&self.metrics);
        for shard in &*self.shards {
            snapshot.add(&shard.counters);
            shard.with(|state| {
                for (_, outbox) in &state.outboxes {
                    snapshot.queued += outbox.bytes as u64;
                    snapshot.blocked_sessions += u64::from(outbox.since.is_some());
                }
            });
        }
        snapshot.sessions = self.session_count() as u64;
        snapshot.memory = self.budget.used() as u64;
        snapshot.history_waiting = self.readers.load(Ordering::Relaxed) as u64;
        let sessions = self.shards.iter().flat_map(|shard| shard.sessions());
        snapshot.websocket_sessions =
            sessions.filter(|s| s.transport() == TransportKind::WebSocket).count() as u64;
        snapshot
    }

    fn pick_shard(&self) -> &Arc<Shard> {
        let index = worker().unwrap_or_else(|| self.next_shard.fetch_add(1, Ordering::Relaxed));
        &self.shards[index % self.shards.len()]
    }

    /// Starts a shard's flusher and the task of its alarms on the current runtime, where they do not run: at its first session, and
    /// when the runtime that they were on has ended before its sessions.
    pub(crate) fn ensure_tasks(&self, index: usize) {
        let (shard, tasks) = (&self.shards[index], &self.tasks_of_shards[index]);
        if let Some(guard) = Running::begin(&tasks.flusher, shard) {
            let shard = Arc::clone(shard);
            // It ends its turns itself. The runtime's own measure would make streams of tokio's seem full after 128 writes.
            tokio::spawn(tokio::task::unconstrained(async move {
                let _guard = guard;
                crate::flush::run(shard).await;
            }));
        }
        if let Some(guard) = Running::begin(&tasks.alarms, shard) {
            let shard = Arc::clone(shard);
            tokio::spawn(async move {
                let _guard = guard;
                crate::alarms::run(shard).await;
            });
        }
    }
}

/// Without sessions and without anybody to open one: the flushers end.
impl Drop for EngineCore {
    fn drop(&mut self) {
        for shard in &*self.shards {
            shard.alarms.end();
            let flusher = shard.with(|state| {
                state.ended = true;
                state.flusher.take()
            });
            if let Some(flusher) = flusher {
                flusher.wake();
            }
        }
    }
}

/// Whether the tasks of a shard run.
#[derive(Default)]
struct ShardTasks {
    flusher: Arc<AtomicBool>,
    alarms: Arc<AtomicBool>,
}

/// A shard's task runs; dropped when it ends, perhaps with its runtime.
struct Running {
    flag: Arc<AtomicBool>,
    shard: Arc<Shard>,
}

impl Running {
    /// `None` if it runs already.
    fn begin(flag: &Arc<AtomicBool>, shard: &Arc<Shard>) -> Option<Self> {
        let is_mine = !flag.load(Ordering::Acquire) && !flag.swap(true, Ordering::AcqRel);
        is_mine.then(|| Self { flag: Arc::clone(flag), shard: Arc::clone(shard) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.flag.store(false, Ordering::Release);
        // Those on other runtimes start it again.
        self.shard.sessions().iter().for_each(|session| session.wake());
    }
}

/// An Engine.IO server.
#[derive(Clone)]
pub struct Engine {
    core: Arc<EngineCore>,
}

impl Engine {
    /// Starts to describe a server.
    pub fn builder() -> EngineBuilder {
        EngineBuilder { config: Config::new("/engine.io"), handlers: Handlers::default() }
    }

    /// Wraps an application's service: what is not ours goes on to it.
    pub fn layer(&self) -> EngineLayer {
        EngineLayer::new(Arc::clone(&self.core))
    }

    /// A service of its own: what is not ours is answered 404.
    pub fn service(&self) -> EngineService<NotFound> {
        EngineService::new(Arc::clone(&self.core), NotFound)
    }

    /// Open sessions.
    pub fn session_count(&self) -> usize {
        self.core.session_count()
    }

    /// What was counted so far.
    pub fn metrics(&self) -> Snapshot {
        self.core.snapshot()
    }

    /// Closes all sessions and refuses new ones; returns when none is left.
    pub async fn close(&self) {
        self.core.close(None).await;
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("sessions", &self.session_count()).finish_non_exhaustive()
    }
}

/// A message from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

type OnOpen = Arc<dyn Fn(&EngineSession) + Send + Sync>;
type OnMessage = Arc<dyn Fn(&EngineSession, Message<'_>) + Send + Sync>;
type OnClose = Arc<dyn Fn(&EngineSession, &'static str) + Send + Sync>;

#[derive(Clone, Default)]
struct Handlers {
    open: Option<OnOpen>,
    message: Option<OnMessage>,
    close: Option<OnClose>,
}

/// Describes an [`Engine`].
pub struct EngineBuilder {
    config: Config,
    handlers: Handlers,
}

impl EngineBuilder {
    engine_setters!();

    /// Called for each new session, in its task.
    #[must_use]
    pub fn on_open(mut self, handler: impl Fn(&EngineSession) + Send + Sync + 'static) -> Self {
        self.handlers.open = Some(Arc::new(handler));
        self
    }

    /// Called for each message, in order, in the session's task: it must not block.
    #[must_use]
    pub fn on_message(
        mut self,
        handler: impl Fn(&EngineSession, Message<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.message = Some(Arc::new(handler));
        self
    }

    /// Called once at a session's end, with the reference's reason, such as `ping timeout`.
    #[must_use]
    pub fn on_close(
        mut self,
        handler: impl Fn(&EngineSession, &'static str) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.close = Some(Arc::new(handler));
        self
    }

    /// Makes the server.
    pub fn build(self) -> Engine {
        Engine { core: EngineCore::new(self.config, |_| Box::new(self.handlers)) }
    }
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder").field("path", &self.config.path).finish_non_exhaustive()
    }
}

impl App for Handlers {
    fn open(&self, session: &Arc<Session>) -> Box<dyn SessionApp> {
        Box::new(Plain { session: EngineSession(Arc::clone(session)), handlers: self.clone() })
    }
}

/// One client's session.
#[derive(Clone)]
pub struct EngineSession(Arc<Session>);

impl EngineSession {
    /// The session's id. It is a secret: who knows it can speak for the client.
    pub fn id(&self) -> Id {
        self.0.sid
    }

    /// The request that opened it.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// The transport in use.
    pub fn transport(&self) -> Transport {
        Transport::of(self.0.transport())
    }

    /// Engine.IO's version: 3 or 4.
    pub fn protocol(&self) -> u8 {
        if self.0.version == Version::V3 { 3 } else { 4 }
    }

    /// Whether a message would leave at once: a GET waits, or the WebSocket takes bytes.
    pub fn is_writable(&self) -> bool {
        self.0.shard.with(|state| state.get(self.0.slot).is_some_and(|outbox| !outbox.is_blocked()))
    }

    /// Queues a text message.
    ///
    /// # Errors
    /// [`EmitError::Full`] over `max_send_buffer`; [`EmitError::Closed`] after the end.
    pub fn send(&self, text: &str) -> Result<(), EmitError> {
        self.push(&Packet::text(text, &self.0.engine.budget))
    }

    /// Queues a binary message.
    ///
    /// # Errors
    /// As [`EngineSession::send`].
    pub fn send_binary(&self, data: &[u8]) -> Result<(), EmitError> {
        self.push(&Packet::binary(data, &self.0.engine.budget))
    }

    fn push(&self, packet: &Arc<Packet>) -> Result<(), EmitError> {
        match self.0.push(packet, Class::Event) {
            Push::Taken | Push::Dropped => Ok(()),
            Push::Full | Push::Shed => Err(EmitError::Full),
            Push::Closed => Err(EmitError::Closed),
        }
    }

    /// Closes the session after what is queued (`forced close`).
    pub fn close(&self) {
        self.0.command(Command::Finish(CloseReason::ForcedClose));
    }
}

impl std::fmt::Debug for EngineSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The application's half of a session without Socket.IO.
struct Plain {
    session: EngineSession,
    handlers: Handlers,
}

impl Plain {
    /// A panic of user code ends nothing but that call.
    fn guard(&self, call: impl FnOnce()) {
        guard(&self.session.0.engine.metrics, "an engine handler", call);
    }
}

impl SessionApp for Plain {
    fn on_open(&mut self, _: &mut Context<'_>) {
        if let Some(open) = &self.handlers.open {
            self.guard(|| open(&self.session));
        }
    }

    fn on_message(&mut self, message: eio::Message<'_>, _: &mut Context<'_>) -> Result<(), CloseReason> {
        if let Some(handler) = &self.handlers.message {
            self.guard(|| match &message {
                eio::Message::Text(text) => handler(&self.session, Message::Text(text)),
                eio::Message::Binary(data) => handler(&self.session, Message::Binary(data)),
            });
        }
        Ok(())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Result<(), CloseReason> {
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant, _: &mut Context<'_>) -> Result<(), CloseReason> {
        Ok(())
    }

    fn on_close(&mut self, reason: CloseReason, _: &mut Context<'_>) {
        if let Some(close) = &self.handlers.close {
            self.guard(|| close(&self.session, reason.as_str()));
        }
    }

    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
