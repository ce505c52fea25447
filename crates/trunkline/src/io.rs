//! `Io`: the Socket.IO server, and how it is described.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use http::{Request, Response};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_proto::sio::Parser;

use crate::admission::Admission;
use crate::broadcast::{Answer, Broadcast, IntoRooms, RemoteSocket};
use crate::client::{Client, MAX_NAMESPACE};
use crate::clock;
use crate::config::{Config, engine_setters};
use crate::dynamic::{ParentCore, ParentNamespace, Pattern, Rule};
use crate::engine::{App, EngineCore, Parts, SessionApp};
use crate::error::BroadcastError;
use crate::handler::{Handler, HandlerError};
use crate::history::Address;
use crate::log::Writer;
use crate::metrics::Snapshot;
use crate::namespace::{Hold, Namespace, NamespaceCore, Namespaces};
use crate::recovery::{Logs, NamespaceLog, Recovery};
use crate::run::guard;
use crate::service::{EngineLayer, EngineService, NotFound, Payload};
use crate::session::Session;
use crate::slow::SlowReaders;
use crate::socket::{Socket, SocketId};

/// A Socket.IO server; a cheap handle.
#[derive(Clone)]
pub struct Io {
    core: Arc<IoCore>,
    engine: Arc<EngineCore>,
}

/// The server: what its namespaces share, and the namespaces.
pub(crate) struct IoCore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) namespaces: Namespaces,
    pub(crate) parents: RwLock<Vec<Arc<ParentCore>>>,
    root: std::sync::OnceLock<Arc<NamespaceCore>>,
    next_namespace: AtomicU32,
    on_namespace: RwLock<Vec<NamespaceHook>>,
    /// Namespaces of patterns that are empty, and when nobody can come back to them any more.
    emptied: Mutex<BTreeMap<(Instant, u32), Weak<NamespaceCore>>>,
}

/// What all namespaces share. It knows no namespace, so that they can hold it without holding themselves alive.
pub(crate) struct Shared {
    pub(crate) config: IoConfig,
    pub(crate) parts: Parts,
    pub(crate) states: States,
    /// How long the loss of a connection can go unnoticed.
    pub(crate) noticing: Duration,
    /// The logs of the namespaces: what they keep is given up when memory is short.
    pub(crate) logs: Arc<Logs>,
    /// Writes those that have files.
    pub(crate) log_writer: Arc<Writer>,
    /// Whether any namespace lets its events be read over HTTP.
    pub(crate) has_history: AtomicBool,
}

type NamespaceHook = Arc<dyn Fn(&Namespace) + Send + Sync>;

pub(crate) struct IoConfig {
    pub(crate) parser: Parser,
    pub(crate) connect_timeout: Duration,
    pub(crate) ack_timeout: Duration,
    pub(crate) attachments_timeout: Duration,
    pub(crate) max_attachments: usize,
    pub(crate) max_pending_events: usize,
    pub(crate) max_pending_bytes: usize,
    pub(crate) max_namespaces: usize,
    pub(crate) cleanup_empty_child_namespaces: bool,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) handlers_on: Option<tokio::runtime::Handle>,
}

type ErrorHook = Arc<dyn Fn(&HandlerFailure<'_>) + Send + Sync>;

/// A handler that failed; for [`IoBuilder::on_error`].
#[derive(Debug)]
pub struct HandlerFailure<'a> {
    /// The event, or `connect`, `disconnecting`, `disconnect`; `check` where a client asked to enter a namespace.
    pub event: &'a str,
    /// Whose; `None` for a check, which runs before there is a socket.
    pub socket: Option<&'a Socket>,
    /// What happened.
    pub error: &'a HandlerError,
    /// Whether it was a panic.
    pub panicked: bool,
}

/// Values by type, for [`State`](crate::State).
#[derive(Default)]
pub struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }

    pub(crate) fn has<T: 'static>(&self) -> bool {
        self.0.contains_key(&TypeId::of::<T>())
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

impl Shared {
    pub(crate) fn must_have(&self, missing: Option<&'static str>, what: &str) {
        if let Some(name) = missing {
            panic!("the handler of \"{what}\" asks for State<{name}>: give one to Io::builder().state(..)");
        }
    }

    pub(crate) fn check_states<H: Handler<A, P>, A, P>(&self, handler: &H, what: &str) {
        self.must_have(handler.missing_state(&self.states), what);
    }

    /// Runs a hook of the application; a panic ends nothing but that call.
    pub(crate) fn guard(&self, what: &str, call: impl FnOnce()) {
        guard(&self.parts.metrics, what, call);
    }

    /// Tells metrics, log and error hook of a handler's failure.
    pub(crate) fn failed(&self, event: &str, socket: Option<&Socket>, error: &HandlerError, panicked: bool) {
        let counter =
            if panicked { &self.parts.metrics.handler_panics } else { &self.parts.metrics.handler_errors };
        counter.add(1);
        match &self.config.on_error {
            Some(hook) => {
                self.guard("error hook", || hook(&HandlerFailure { event, socket, error, panicked }))
            }
            None => tracing::warn!(event, ?socket, %error, panicked, "a handler failed"),
        }
    }
}

impl std::ops::Deref for IoCore {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl IoCore {
    fn make_namespace(
        &self,
        name: &str,
        parent: Option<Arc<ParentCore>>,
        params: Vec<(String, String)>,
    ) -> Arc<NamespaceCore> {
        let id = self.next_namespace.fetch_add(1, Ordering::Relaxed);
        NamespaceCore::new(id, Arc::from(name), Arc::clone(&self.shared), parent, params)
    }

    /// A namespace that exists, or that a pattern makes.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<NamespaceCore>> {
        if let Some(found) = self.namespaces.get(name) {
            return Some(found);
        }
        let (parent, params) = self.parents.read().iter().find_map(|parent| match &parent.rule {
            Rule::Pattern(pattern) => Some((Arc::clone(parent), pattern.matches(name)?)),
            Rule::Function(_) => None,
        })?;
        Some(self.child(name, parent, params))
    }

    /// As [`IoCore::find`], for a client that is about to enter.
    pub(crate) fn enter(&self, name: &str) -> Option<Hold> {
        loop {
            let found = self.find(name)?;
            // It may have been removed as empty since.
            if let Some(hold) = self.namespaces.hold(&found) {
                return Some(hold);
            }
        }
    }

    /// As [`IoCore::enter`], for one who only reads. Whoever asks makes nothing: a namespace of a pattern is made only where an earlier
    /// process has kept events of it.
    pub(crate) fn enter_to_read(&self, name: &str) -> Option<Hold> {
        let is_made = |parent: &Arc<ParentCore>| match &parent.rule {
            Rule::Pattern(pattern) => {
                let default = self.config.recovery.as_ref();
                pattern.matches(name).is_some() && parent.table.read().has_past(name, default)
            }
            Rule::Function(_) => false,
        };
        let exists = self.namespaces.get(name).is_some();
        if exists || (name.len() <= MAX_NAMESPACE && self.parents.read().iter().any(is_made)) {
            return self.enter(name);
        }
        None
    }

    /// The namespace of a parent whose function has admitted the name.
    pub(crate) fn enter_child(&self, name: &str, parent: &Arc<ParentCore>) -> Hold {
        loop {
            let child = self.child(name, Arc::clone(parent), Vec::new());
            if let Some(hold) = self.namespaces.hold(&child) {
                return hold;
            }
        }
    }

    /// The parents that are asked by function.
    pub(crate) fn functions(&self) -> Vec<Arc<ParentCore>> {
        let parents = self.parents.read();
        parents.iter().filter(|p| matches!(p.rule, Rule::Function(_))).cloned().collect()
    }

    fn child(
        &self,
        name: &str,
        parent: Arc<ParentCore>,
        params: Vec<(String, String)>,
    ) -> Arc<NamespaceCore> {
        let (core, is_new) =
            self.namespaces.get_or_insert(name, || self.make_namespace(name, Some(parent), params));
        if is_new {
            self.tell_namespace(&core);
            self.sweep();
        }
        core
    }

    /// A namespace of a pattern has no socket left: it is removed, at once or when nobody can come back to it any more.
    pub(crate) fn emptied(&self, child: &Arc<NamespaceCore>) {
        if !self.config.cleanup_empty_child_namespaces {
            return;
        }
        match child.used_log().and_then(NamespaceLog::idle_at) {
            Some(at) => {
                if !child.is_listed.swap(true, Ordering::AcqRel) {
                    self.emptied.lock().insert((at, child.id), Arc::downgrade(child));
                }
            }
            None => drop(self.namespaces.remove_empty(child)),
        }
        self.sweep();
    }

    /// Removes what has been empty for long enough.
    fn sweep(&self) {
        let now = clock::now();
        loop {
            let child = {
                let mut emptied = self.emptied.lock();
                match emptied.first_entry().filter(|first| first.key().0 <= now) {
                    Some(first) => first.remove().upgrade(),
                    None => return,
                }
            };
            let Some(child) = child else { continue };
            child.is_listed.store(false, Ordering::Release);
            if child.socket_count() > 0 {
                continue;
            }
            // It may have been entered and left again meanwhile.
            match child.used_log().and_then(NamespaceLog::idle_at) {
                Some(at) if !child.is_listed.swap(true, Ordering::AcqRel) => {
                    self.emptied.lock().insert((at, child.id), Arc::downgrade(&child));
                }
                Some(_) => {}
                None => drop(self.namespaces.remove_empty(&child)),
            }
        }
    }

    /// Gives up half of what is only kept in case: events first, then what was answered to those who are gone. False if there was
    /// nothing.
    fn give_up(&self) -> bool {
        let halve = |ns: &Arc<NamespaceCore>| ns.kept_keys.halve();
        self.logs.halve() || self.namespaces.all().iter().filter(|ns| halve(ns)).count() > 0
    }

    fn tell_namespace(&self, core: &Arc<NamespaceCore>) {
        let hooks = self.on_namespace.read().clone();
        let namespace = Namespace::from_core(Arc::clone(core));
        for hook in hooks {
            self.guard("on_new_namespace", || hook(&namespace));
        }
    }
}

impl Default for Io {
    fn default() -> Self {
        Self::new()
    }
}

impl Io {
    /// A server with the defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts to describe a server.
    pub fn builder() -> IoBuilder {
        IoBuilder {
            config: Config { serve_client: true, ..Config::new("/socket.io") },
            io: IoConfig {
                parser: Parser::Json,
                connect_timeout: Duration::from_secs(45),
                ack_timeout: Duration::from_secs(10),
                attachments_timeout: Duration::from_secs(10),
                max_attachments: 10,
                max_pending_events: 256,
                max_pending_bytes: 1 << 20,
                max_namespaces: 64,
                cleanup_empty_child_namespaces: false,
                recovery: None,
                on_error: None,
                handlers_on: None,
            },
            states: States::default(),
        }
    }

    pub(crate) fn of_engine(engine: &Arc<EngineCore>, core: &Arc<IoCore>) -> Self {
        Self { core: Arc::clone(core), engine: Arc::clone(engine) }
    }

    /// Wraps an application's service, such as an axum router: one port for its routes and for sockets.
    pub fn layer(&self) -> EngineLayer {
        EngineLayer::new(Arc::clone(&self.engine))
    }

    /// A service of its own: what is not below the path is answered 404.
    pub fn service(&self) -> EngineService<NotFound> {
        EngineService::new(Arc::clone(&self.engine), NotFound)
    }

    /// The namespace of this name, made if there is none. The slash in front may be left out.
    ///
    /// A name that a pattern of [`Io::of_pattern`] takes becomes one of its namespaces.
    pub fn of(&self, name: &str) -> Namespace {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let core = self.core.find(&name).unwrap_or_else(|| {
            let (core, is_new) = self
                .core
                .namespaces
                .get_or_insert(&name, || self.core.make_namespace(&name, None, Vec::new()));
            if is_new {
                self.core.tell_namespace(&core);
            }
            core
        });
        Namespace::from_core(core)
    }

    /// All namespaces whose name has this form, made when the first client asks: `/orders/{id}`, `/room-{n}`. Handlers find the
    /// parameters in [`Params`](crate::Params).
    ///
    /// # Panics
    /// If the pattern is malformed.
    pub fn of_pattern(&self, pattern: &str) -> ParentNamespace {
        self.parent(Rule::Pattern(Pattern::parse(pattern)))
    }

    /// All namespaces that `admit` says yes to; asked for names that exist neither by themselves nor by a pattern.
    pub fn of_fn<F, Fut>(&self, admit: F) -> ParentNamespace
    where
        F: Fn(Admission) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.parent(Rule::Function(Arc::new(move |admission| Box::pin(admit(admission)))))
    }

    fn parent(&self, rule: Rule) -> ParentNamespace {
        let parent = ParentCore::new(rule, &self.core);
        self.core.parents.write().push(Arc::clone(&parent));
        let template = self.core.make_namespace("/_", Some(Arc::clone(&parent)), Vec::new());
        ParentNamespace::new(parent, Namespace::from_core(template))
    }

    /// Told of each namespace that is made.
    pub fn on_new_namespace(&self, hook: impl Fn(&Namespace) + Send + Sync + 'static) {
        self.core.on_namespace.write().push(Arc::new(hook));
    }

    /// The namespaces that exist at this moment.
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.core.namespaces.all().into_iter().map(Namespace::from_core).collect()
    }

    fn root(&self) -> Namespace {
        match self.core.root.get() {
            Some(root) => Namespace::from_core(Arc::clone(root)),
            None => self.of("/"),
        }
    }

    /// The sockets of these rooms in the namespace `/`.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.root().to(rooms)
    }

    /// All sockets of `/` but those of these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.root().except(rooms)
    }

    /// All sockets of `/`; see [`Namespace::volatile`].
    pub fn volatile(&self) -> Broadcast {
        self.root().volatile()
    }

    /// All sockets of `/`; see [`Broadcast::policy`].
    pub fn policy(&self, policy: SlowReaders) -> Broadcast {
        self.root().policy(policy)
    }

    /// All sockets of `/`; see [`Namespace::local`].
    pub fn local(&self) -> Broadcast {
        self.root().local()
    }

    /// All sockets of `/`; see [`Namespace::timeout`].
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.root().timeout(timeout)
    }

    /// Sends an event to all sockets of `/`.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), BroadcastError> {
        self.root().emit(event, args)
    }

    /// Sends an event to all sockets of `/` and collects their answers.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub async fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: impl Serialize,
    ) -> Result<Vec<Answer<T>>, BroadcastError> {
        self.root().emit_with_ack(event, args).await
    }

    /// The socket of this id in `/`, if it is connected to this node.
    pub fn socket(&self, id: &SocketId) -> Option<Socket> {
        self.root().socket(id)
    }

    /// All sockets of `/`, of all nodes.
    pub async fn fetch_sockets(&self) -> Vec<RemoteSocket> {
        self.root().fetch_sockets().await
    }

    /// Has all sockets of `/` enter rooms.
    pub fn sockets_join(&self, rooms: impl IntoRooms) {
        self.root().sockets_join(rooms);
    }

    /// Has all sockets of `/` leave rooms.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) {
        self.root().sockets_leave(rooms);
    }

    /// Disconnects all sockets of `/`; with `close`, their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.root().disconnect_sockets(close);
    }

    /// Open sessions.
    pub fn session_count(&self) -> usize {
        self.engine.session_count()
    }

    /// What was counted so far.
    pub fn metrics(&self) -> Snapshot {
        self.engine.snapshot()
    }

    /// Ends every session (`server shutting down`) after what is queued for it, and answers new ones 503, so that clients try
    /// again later. Returns when none is left.
    pub async fn close(&self) {
        self.engine.close(None).await;
        self.close_logs_aside().await;
    }

    /// As [`Io::close`], at a pace of so many sessions in a second: their clients come back elsewhere, and not all at once.
    pub async fn close_at_pace(&self, per_second: u32) {
        self.engine.close(Some(per_second.max(1))).await;
        self.close_logs_aside().await;
    }

    /// Has logs with files note that they end in order, and blocks until that is on the disk. [`Io::close`] ends with this; it is for a
    /// server that waits for that no longer. To be called when nothing is served any more: what happens later ends that order.
    pub fn close_logs(&self) {
        self.core.logs.all().iter().for_each(|log| log.close());
    }

    async fn close_logs_aside(&self) {
        if self.core.logs.all().iter().any(|log| log.is_journal()) {
            let io = self.clone();
            let closing = tokio::task::spawn_blocking(move || io.close_logs());
            if let Err(error) = closing.await {
                tracing::error!(%error, "a log was not closed in order");
            }
        }
    }

    pub(crate) fn parser(&self) -> Parser {
        self.core.config.parser
    }

    pub(crate) fn engine(&self) -> &Arc<EngineCore> {
        &self.engine
    }
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("sessions", &self.session_count()).finish_non_exhaustive()
    }
}

/// Describes an [`Io`].
pub struct IoBuilder {
    config: Config,
    io: IoConfig,
    states: States,
}

impl IoBuilder {
    engine_setters!();

    /// Whether the JavaScript client for browsers is served below the path, compressed and with source maps: `socket.io.js`
    /// and `socket.io.min.js` (a script that sets the global `io`), `socket.io.esm.min.js` (a module); default true. Where it
    /// is not, the names are answered as any other request below the path.
    #[must_use]
    pub fn serve_client(mut self, serve: bool) -> Self {
        self.config.serve_client = serve;
        self
    }

    /// A value that handlers get by [`State`](crate::State); one of each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.states.0.insert(TypeId::of::<T>(), Box::new(state));
        self
    }

    /// Speaks msgpack, as clients with `socket.io-msgpack-parser` do; default JSON. All clients of a server speak the same.
    #[must_use]
    pub fn msgpack(mut self) -> Self {
        self.io.parser = Parser::Msgpack;
        self
    }

    /// How long a client may be connected without entering a namespace; default 45 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.io.connect_timeout = timeout;
        self
    }

    /// How long `emit_with_ack` waits; default 10 s.
    #[must_use]
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.io.ack_timeout = timeout;
        self
    }

    /// How long a client may take to send the attachments of a binary packet; default 10 s.
    #[must_use]
    pub fn attachments_timeout(mut self, timeout: Duration) -> Self {
        self.io.attachments_timeout = timeout;
        self
    }

    /// How many attachments one packet of a client may have; default 10, the reference's.
    #[must_use]
    pub fn max_attachments(mut self, attachments: usize) -> Self {
        self.io.max_attachments = attachments;
        self
    }

    /// How many events of one client may wait for its handlers; default 256. At the bound the server stops reading from it.
    #[must_use]
    pub fn max_pending_events(mut self, events: usize) -> Self {
        self.io.max_pending_events = events.max(1);
        self
    }

    /// How many bytes of one client's events may wait for its handlers; default 1 MiB.
    #[must_use]
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.io.max_pending_bytes = bytes;
        self
    }

    /// How many namespaces one client may be in; default 64.
    #[must_use]
    pub fn max_namespaces(mut self, namespaces: usize) -> Self {
        self.io.max_namespaces = namespaces.max(1);
        self
    }

    /// Recovers clients in all namespaces that say nothing else; see [`Namespace::recovery`]. Default: none.
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.io.recovery = Some(recovery);
        self
    }

    /// Whether a namespace made by a pattern or a function is forgotten when its last socket leaves; default false, as in the
    /// reference. Without it each name that a client invents stays: turn it on where a check cannot bound them. One with recovery
    /// stays while a client may come back to it.
    #[must_use]
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.io.cleanup_empty_child_namespaces = cleanup;
        self
    }

    /// Told of every handler that fails: by an error, by arguments that do not fit, by a panic. Default: a log line.
    #[must_use]
    pub fn on_error(mut self, hook: impl Fn(&HandlerFailure<'_>) + Send + Sync + 'static) -> Self {
        self.io.on_error = Some(Arc::new(hook));
        self
    }

    /// Runs handlers on this runtime instead of inside their connection's task; for handlers that compute for long.
    #[must_use]
    pub fn handlers_on(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.io.handlers_on = Some(runtime);
        self
    }

    /// Makes the server.
    pub fn build(self) -> Io {
        let Self { config, io, states } = self;
        let mut made = None;
        let noticing = config.ping_interval.saturating_add(config.ping_timeout);
        let engine = EngineCore::new(config, |parts| {
            let budget = Arc::clone(&parts.budget);
            let core = Arc::new(IoCore {
                shared: Arc::new(Shared {
                    config: io,
                    parts,
                    states,
                    noticing,
                    logs: Arc::default(),
                    log_writer: Arc::default(),
                    has_history: AtomicBool::new(false),
                }),
                namespaces: Namespaces::default(),
                parents: RwLock::default(),
                root: std::sync::OnceLock::new(),
                next_namespace: AtomicU32::new(0),
                on_namespace: RwLock::default(),
                emptied: Mutex::default(),
            });
            let server = Arc::downgrade(&core);
            budget.on_shortage(move || server.upgrade().is_some_and(|server| server.give_up()));
            let swept = Arc::downgrade(&core);
            core.shared.logs.also(move || {
                if let Some(core) = swept.upgrade() {
                    core.sweep();
                }
            });
            made = Some(Arc::clone(&core));
            Box::new(IoApp(core))
        });
        let Some(core) = made else { unreachable!("the closure above has run") };
        let io = Io { core, engine };
        // `/` exists from the start, as in the reference.
        let root = io.of("/").into_core();
        io.core.root.get_or_init(|| root);
        io
    }
}

impl std::fmt::Debug for IoBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoBuilder").finish_non_exhaustive()
    }
}

struct IoApp(Arc<IoCore>);

impl App for IoApp {
    fn open(&self, session: &Arc<Session>) -> Box<dyn SessionApp> {
        self.0.shared.logs.keep_tidy();
        Box::new(Client::new(Arc::clone(&self.0), Arc::clone(session)))
    }

    fn history_of(&self, rest: &str) -> Option<Address> {
        if self.0.has_history.load(Ordering::Acquire) { Address::parse(rest) } else { None }
    }

    fn history(
        &self,
        engine: &Arc<EngineCore>,
        address: Address,
        request: &Request<()>,
        is_cross_origin: bool,
    ) -> BoxFuture<'static, Response<Payload>> {
        crate::history::answer(&self.0, engine, address, request, is_cross_origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_namespace_that_somebody_may_come_back_to_is_not_removed() {
        let recovery = Recovery::memory();
        let io = Io::builder().shards(1).recovery(recovery).cleanup_empty_child_namespaces(true).build();
        io.of_pattern("/room-{n}");
        let client = crate::testing::Client::connect(&io, "/room-1", None).await.unwrap();
        let pid = client.private_id().unwrap().to_owned();
        let core = io.of("/room-1").into_core();
        client.cut();
        while core.socket_count() > 0 {
            tokio::task::yield_now().await;
        }
        // As by one who had found it idle before this client came and went.
        assert!(!io.core.namespaces.remove_empty(&core));
        let auth = serde_json::json!({ "pid": pid });
        let back = crate::testing::Client::connect(&io, "/room-1", Some(auth)).await.unwrap();
        assert_eq!(back.private_id(), Some(&*pid));
    }
}
