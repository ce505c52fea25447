//! Describes a client.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use trunkline_proto::sio::{self, Parser};

use crate::auth::Auth;
use crate::client::{Client, Handle};
use crate::config::{Limits, OfflineBuffer, Reconnection, Sending};
use crate::engine::{EngineConfig, Proxy, TransportKind, Url};
use crate::error::BuildError;
use crate::extract::States;
use crate::manager::{Manager, Settings};
use crate::shared::{ErrorHook, HandlerFailure, Shared};
use crate::task::Task;

/// Describes a client; made by [`Client::builder`]. What is wrong is told by [`build`](Self::build).
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    engine: Result<EngineConfig, BuildError>,
    parser: Parser,
    decoder: sio::Limits,
    reconnection: Reconnection,
    limits: Limits,
    sending: Sending,
    auth: Result<Option<Auth>, BuildError>,
    auto_connect: bool,
    states: States,
    on_error: Option<Box<ErrorHook>>,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            engine: Url::parse(url).map(EngineConfig::new).map_err(BuildError::Url),
            parser: Parser::Json,
            decoder: sio::Limits::default(),
            reconnection: Reconnection::default(),
            limits: Limits::default(),
            sending: Sending::default(),
            auth: Ok(None),
            auto_connect: true,
            states: States::default(),
            on_error: None,
        }
    }

    /// The path at which the server answers. Default `/socket.io/`, or that of the URL.
    pub fn path(self, path: &str) -> Self {
        self.try_engine(|engine| {
            // Checked as part of an address, where `?` and `#` would end it.
            let slash = if path.starts_with('/') { "" } else { "/" };
            engine.url.path = Url::parse(&format!("http://path{slash}{path}"))?.path;
            Ok(())
        })
    }

    /// Adds a pair to the query of every request.
    pub fn query(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.engine(|engine| engine.query.push((name.into(), value.into())))
    }

    /// Adds a header to every request.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.try_engine(|engine| {
            let header = HeaderName::try_from(name).map_err(|error| BuildError::Header(error.to_string()))?;
            let value =
                HeaderValue::try_from(value).map_err(|error| BuildError::Header(error.to_string()))?;
            engine.extra_headers.append(header, value);
            Ok(())
        })
    }

    /// Adds headers to every request.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.engine(|engine| engine.extra_headers.extend(headers))
    }

    /// The transports, in the order in which they are tried. Default polling, then WebSocket.
    pub fn transports(self, transports: impl Into<Vec<TransportKind>>) -> Self {
        self.engine(|engine| engine.transports = transports.into())
    }

    /// Whether a connection that began with polling goes on with WebSocket. Default true.
    pub fn upgrade(self, upgrade: bool) -> Self {
        self.engine(|engine| engine.upgrade = upgrade)
    }

    /// Whether the other transports are tried if the first cannot connect. Default false.
    pub fn try_all_transports(self, try_all: bool) -> Self {
        self.engine(|engine| engine.try_all_transports = try_all)
    }

    /// Whether a reconnection begins with WebSocket if that worked before. Default false.
    pub fn remember_upgrade(self, remember: bool) -> Self {
        self.engine(|engine| engine.remember_upgrade = remember)
    }

    /// TLS with roots or client certificates of one's own. Default: the system's roots.
    pub fn tls(self, config: Arc<rustls::ClientConfig>) -> Self {
        self.engine(|engine| engine.tls = Some(config))
    }

    /// Connects through an HTTP (`http://user:password@host:port`, by CONNECT) or SOCKS5 (`socks5://`, `socks5h://`) proxy.
    pub fn proxy(self, proxy: &str) -> Self {
        self.try_engine(|engine| {
            engine.proxy = Some(Proxy::parse(proxy).map_err(BuildError::Proxy)?);
            Ok(())
        })
    }

    /// How long opening a connection may take; also how long a namespace's CONNECT and the auth function may. Default 20 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self.engine(|engine| engine.connect_timeout = timeout)
    }

    /// How long the answer to a polling request that sends may take. Default 30 s.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.engine(|engine| engine.request_timeout = timeout)
    }

    /// How long what is queued may take to leave when a connection is closed. Default 5 s. See [`Client::close`].
    pub fn close_timeout(self, timeout: Duration) -> Self {
        self.engine(|engine| engine.close_timeout = timeout)
    }

    /// The largest message accepted from the server, in bytes. Default 16 MiB.
    pub fn max_payload(self, bytes: usize) -> Self {
        self.engine(|engine| engine.max_payload = bytes)
    }

    /// Attachments accepted per packet. Default 10, the reference's.
    pub fn max_attachments(mut self, attachments: usize) -> Self {
        self.decoder.max_attachments = attachments;
        self
    }

    /// When and how often a lost connection is tried again.
    pub fn reconnection(mut self, reconnection: Reconnection) -> Self {
        self.reconnection = reconnection;
        self
    }

    /// What is kept of events emitted while offline. Default all.
    pub fn offline_buffer(mut self, policy: OfflineBuffer) -> Self {
        self.sending.offline = policy;
        self
    }

    /// Bytes of a socket's events kept while offline or until they are acknowledged (with retries), 64 counted for each event
    /// beside its own. Default 1 MiB.
    pub fn max_offline_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_offline = bytes;
        self
    }

    /// Bytes that wait to be sent while connected, counted in the same way; beyond them `emit` says `Full`. Default 4 MiB.
    pub fn max_send_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_send_buffer = bytes;
        self
    }

    /// Events that wait for handlers, and events of a namespace that come before it is connected. At the bound reading
    /// stops; while somebody waits for an answer, at four times as many, and if handlers do not go on then, the connection is
    /// closed. Default 256.
    ///
    /// While reading has stopped, what is sent leaves as ever, and the server's silence means nothing. Its pings are behind
    /// what is not read: if handlers need longer than its ping timeout for that, the server closes the connection.
    pub fn max_pending_events(mut self, events: usize) -> Self {
        self.limits.max_pending_events = events.max(1);
        self
    }

    /// The same in bytes of their arguments. Default 1 MiB.
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_pending_bytes = bytes.max(1);
        self
    }

    /// How long reading may have stopped without any handler's being done; then the connection is closed with
    /// [`DisconnectReason::InboundOverflow`](crate::DisconnectReason::InboundOverflow), and opened again. Default 5 min.
    pub fn max_pause(mut self, time: Duration) -> Self {
        self.limits.max_pause = time;
        self
    }

    /// Sends every event until it is acknowledged: one at a time, in order, again after the ack timeout and after a
    /// reconnection, at most `retries` times beyond the first; then it is dropped. Each try has an ack id of its own, and the
    /// answer to one that was given up counts for nothing. The server may receive an event more than once; one of trunkline that
    /// says that it handles each event once does so: all tries have one id there. Default: events are sent once, without waiting.
    pub fn retries(mut self, retries: u32) -> Self {
        self.sending.retries = Some(retries);
        self
    }

    /// How long an answer is waited for. Default 10 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.sending.ack_timeout = timeout;
        self
    }

    /// Packets by msgpack (`socket.io-msgpack-parser`); the server must do the same. Default JSON.
    pub fn msgpack(mut self) -> Self {
        self.parser = Parser::Msgpack;
        self
    }

    /// Whether [`Client::of`] connects at once. Default true.
    pub fn auto_connect(mut self, auto_connect: bool) -> Self {
        self.auto_connect = auto_connect;
        self
    }

    /// What the server is told on every CONNECT: a value that serializes to an object.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.auth = Auth::value(&auth).map(Some);
        self
    }

    /// An async function that is asked for such a value on every CONNECT, so that a token can be fresh. If it fails, panics
    /// or takes longer than the connect timeout, the socket gets a connect error and stays away until `connect` is called.
    pub fn auth_with<F, Fut, T, E>(mut self, function: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: std::fmt::Display,
    {
        self.auth = Ok(Some(Auth::function(function)));
        self
    }

    /// A value for handlers that ask for [`State<T>`](crate::State).
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.states.insert(state);
        self
    }

    /// Told of errors and panics in handlers, which are logged anyway. It must not block.
    pub fn on_error(mut self, hook: impl Fn(&HandlerFailure<'_>) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Box::new(hook));
        self
    }

    /// The client. It performs no IO before a socket or [`Client::connect`] asks for it. To be called inside a Tokio
    /// runtime, where it runs from then on.
    ///
    /// # Errors
    /// What cannot be used, and [`BuildError::NoRuntime`].
    pub fn build(self) -> Result<Client, BuildError> {
        let (engine, auth) = (self.engine?, self.auth?);
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| BuildError::Random(error.to_string()))?;
        let settings = Settings {
            parser: self.parser,
            decoder: self.decoder,
            reconnection: self.reconnection,
            limits: self.limits,
            seed: u64::from_ne_bytes(seed),
        };
        let handle = Arc::new_cyclic(|handle| {
            Handle::new(Shared {
                manager: Mutex::new(Manager::new(settings)),
                wake: Notify::new(),
                handle: handle.clone(),
                sockets: parking_lot::RwLock::default(),
                parser: self.parser,
                limits: self.limits,
                states: self.states,
                sending: self.sending,
                auto_connect: self.auto_connect,
                auth,
                on_error: self.on_error,
                changes: Mutex::default(),
                progress: watch::Sender::new(0),
                inbound: crate::shared::Inbound::default(),
                runtime: runtime.clone(),
                ended: watch::Sender::new(false),
                connection: Mutex::default(),
            })
        });
        runtime.spawn(Task::new(Arc::clone(handle.shared()), engine).run());
        Ok(Client::new(handle))
    }

    fn engine(mut self, set: impl FnOnce(&mut EngineConfig)) -> Self {
        if let Ok(engine) = &mut self.engine {
            set(engine);
        }
        self
    }

    fn try_engine(mut self, set: impl FnOnce(&mut EngineConfig) -> Result<(), BuildError>) -> Self {
        if let Ok(engine) = &mut self.engine
            && let Err(error) = set(engine)
        {
            self.engine = Err(error);
        }
        self
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("parser", &self.parser).finish_non_exhaustive()
    }
}
