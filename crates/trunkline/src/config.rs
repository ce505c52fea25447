//! The settings of the Engine.IO layer, shared by [`crate::Io`] and [`crate::engine::Engine`].

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use http::HeaderMap;
use trunkline_proto::eio::Transports;
use trunkline_proto::ws;

use crate::cors::Cors;
use crate::handshake::Handshake;
use crate::uring::Uring;

/// Refuses or admits a handshake; see `allow_request`.
pub(crate) type AllowRequest =
    Arc<dyn for<'a> Fn(&'a Handshake) -> BoxFuture<'a, Result<(), String>> + Send + Sync>;
/// Changes the headers of a handshake's answer; see `initial_headers`.
pub(crate) type InitialHeaders = Arc<dyn Fn(&mut HeaderMap, &Handshake) + Send + Sync>;
/// Learns of a refused request; see `on_connection_error`.
pub(crate) type OnConnectionError = Arc<dyn Fn(&ConnectionError) + Send + Sync>;

/// A request that was refused (the reference's `connection_error` event).
#[derive(Debug, Clone)]
pub struct ConnectionError {
    /// Engine.IO's code: 0 to 5, `None` where the protocol has none.
    pub code: Option<u8>,
    /// The message sent to the client.
    pub message: String,
    /// What exactly was wrong, such as `TRANSPORT_MISMATCH`.
    pub context: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

/// The cookie of a handshake's answer; for load balancers that keep a client at one node.
#[derive(Debug, Clone)]
pub struct Cookie {
    /// Default `io`; the value is the session's id.
    pub name: String,
    /// Default `/`.
    pub path: String,
    /// Default true: scripts of the page cannot read it.
    pub http_only: bool,
    /// Default false: also sent without TLS.
    pub secure: bool,
    /// `Strict`, `Lax` (default) or `None`.
    pub same_site: String,
    /// Default: until the browser closes.
    pub max_age: Option<Duration>,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".into(),
            path: "/".into(),
            http_only: true,
            secure: false,
            same_site: "Lax".into(),
            max_age: None,
        }
    }
}

impl Cookie {
    pub(crate) fn header(&self, value: &str) -> String {
        use std::fmt::Write;
        let mut text = format!("{}={value}; Path={}", self.name, self.path);
        if let Some(age) = self.max_age {
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        if self.secure {
            text.push_str("; Secure");
        }
        let _ = write!(text, "; SameSite={}", self.same_site);
        text
    }
}

pub(crate) struct Config {
    pub(crate) path: String,
    pub(crate) trailing_slash: bool,
    /// Whether the JavaScript client is served; Socket.IO's alone, Engine.IO has none.
    pub(crate) serve_client: bool,
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) upgrade_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) max_payload: usize,
    pub(crate) transports: Transports,
    pub(crate) allow_upgrades: bool,
    pub(crate) allow_eio3: bool,
    pub(crate) per_message_deflate: bool,
    pub(crate) http_compression: Option<usize>,
    pub(crate) cors: Cors,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) max_send_buffer: usize,
    pub(crate) max_memory: usize,
    pub(crate) max_sessions: usize,
    pub(crate) max_handshakes_per_second: Option<u32>,
    pub(crate) post_timeout: Duration,
    pub(crate) socket_send_buffer: Option<usize>,
    pub(crate) shards: usize,
    pub(crate) uring: Uring,
    pub(crate) allow_request: Option<AllowRequest>,
    pub(crate) initial_headers: Option<InitialHeaders>,
    pub(crate) on_connection_error: Option<OnConnectionError>,
}

impl Config {
    pub(crate) fn new(path: &str) -> Self {
        Self {
            path: path.trim_end_matches('/').to_owned(),
            trailing_slash: true,
            serve_client: false,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            transports: Transports::ALL,
            allow_upgrades: true,
            allow_eio3: false,
            per_message_deflate: false,
            http_compression: Some(1024),
            cors: Cors::default(),
            cookie: None,
            max_send_buffer: 4 << 20,
            max_memory: 1 << 30,
            max_sessions: usize::MAX,
            max_handshakes_per_second: None,
            post_timeout: Duration::from_secs(30),
            socket_send_buffer: None,
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            uring: Uring::default(),
            allow_request: None,
            initial_headers: None,
            on_connection_error: None,
        }
    }

    pub(crate) fn ws_limits(&self) -> ws::Limits {
        ws::Limits { max_message: self.max_payload, ..ws::Limits::default() }
    }

    /// Whether `path` is ours: the reference compares the prefix, up to the slash.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(self.path.as_str()) else { return false };
        if self.trailing_slash { rest.starts_with('/') } else { rest.is_empty() || rest.starts_with('/') }
    }
}

/// A year. A longer time is as good as none, and sums with it must not overflow: all times that can be set are cut to this.
pub(crate) const LONGEST: Duration = Duration::from_secs(31_536_000);

/// The setters that `Io` and `Engine` have in common, declared once.
macro_rules! engine_setters {
    () => {
        /// Where the server answers; default `/socket.io` for `Io`, `/engine.io` for `Engine`. Everything below
        /// `<path>/` is ours.
        #[must_use]
        pub fn path(mut self, path: &str) -> Self {
            self.config.path = path.trim_end_matches('/').to_owned();
            self
        }

        /// Whether the path must end in a slash; default true, as the clients send it.
        #[must_use]
        pub fn trailing_slash(mut self, required: bool) -> Self {
            self.config.trailing_slash = required;
            self
        }

        /// How long after the last heartbeat the next one is sent; default 25 s. Longer saves traffic, shorter finds dead
        /// lines sooner; proxies must allow idle times longer than this.
        #[must_use]
        pub fn ping_interval(mut self, interval: ::std::time::Duration) -> Self {
            self.config.ping_interval = interval.min($crate::config::LONGEST);
            self
        }

        /// How long a client may take to answer a heartbeat; default 20 s. After that: `ping timeout`.
        #[must_use]
        pub fn ping_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.config.ping_timeout = timeout.min($crate::config::LONGEST);
            self
        }

        /// How long an upgrade from polling to WebSocket may take; default 10 s. After that the WebSocket is closed and
        /// polling goes on.
        #[must_use]
        pub fn upgrade_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.config.upgrade_timeout = timeout.min($crate::config::LONGEST);
            self
        }

        /// How long a closing session waits for its last packets to be fetched; default 30 s.
        #[must_use]
        pub fn close_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.config.close_timeout = timeout.min($crate::config::LONGEST);
            self
        }

        /// The longest message or polling body taken from a client, in bytes; default 1,000,000. Told to clients as
        /// `maxPayload`; longer ones end with 413 (polling) or close code 1009 (WebSocket).
        #[must_use]
        pub fn max_payload(mut self, bytes: usize) -> Self {
            self.config.max_payload = bytes;
            self
        }

        /// The transports offered; default all.
        #[must_use]
        pub fn transports(mut self, kinds: &[$crate::Transport]) -> Self {
            self.config.transports = kinds.iter().map(|kind| kind.kind()).collect();
            self
        }

        /// Whether a polling session may change to WebSocket; default true.
        #[must_use]
        pub fn allow_upgrades(mut self, allow: bool) -> Self {
            self.config.allow_upgrades = allow;
            self
        }

        /// Whether clients of Engine.IO 3 (Socket.IO 1.x and 2.x) are served; default false.
        #[must_use]
        pub fn allow_eio3(mut self, allow: bool) -> Self {
            self.config.allow_eio3 = allow;
            self
        }

        /// Whether WebSocket messages from 1,024 bytes on are compressed (RFC 7692) for clients that offer it; default
        /// false. No context is kept between messages, so an idle connection costs nothing more.
        #[must_use]
        pub fn per_message_deflate(mut self, enable: bool) -> Self {
            self.config.per_message_deflate = enable;
            self
        }

        /// From which length in bytes polling answers are compressed for clients that accept gzip or deflate; default
        /// 1,024. `None`: never.
        #[must_use]
        pub fn http_compression(mut self, threshold: Option<usize>) -> Self {
            self.config.http_compression = threshold;
            self
        }

        /// Which pages of other origins may connect, by polling *and* by WebSocket; default none. See [`Cors`](crate::Cors).
        #[must_use]
        pub fn cors(mut self, cors: $crate::Cors) -> Self {
            self.config.cors = cors;
            self
        }

        /// Sets a cookie with the session's id on the handshake's answer; default none.
        #[must_use]
        pub fn cookie(mut self, cookie: $crate::Cookie) -> Self {
            self.config.cookie = Some(cookie);
            self
        }

        /// What may wait for one client, in bytes, counted as wire length and 64 for each packet; default 4 MiB. A direct
        /// emit over it gives `Full`; a broadcast's receiver over it is disconnected (`slow reader`).
        #[must_use]
        pub fn max_send_buffer(mut self, bytes: usize) -> Self {
            self.config.max_send_buffer = bytes;
            self
        }

        /// What packets, partial reads and bodies may hold over all clients, in bytes; default 1 GiB. Over it the clients
        /// with the oldest unsent bytes are disconnected first.
        #[must_use]
        pub fn max_memory(mut self, bytes: usize) -> Self {
            self.config.max_memory = bytes;
            self
        }

        /// How many sessions may be open; default unlimited. Further handshakes are answered 503 with `Retry-After`.
        #[must_use]
        pub fn max_sessions(mut self, sessions: usize) -> Self {
            self.config.max_sessions = sessions;
            self
        }

        /// How many sessions may be opened in a second, in a burst at once; default unlimited. Further handshakes are answered 503
        /// with `Retry-After`: when another node ends, its clients come all together.
        #[must_use]
        pub fn max_handshakes_per_second(mut self, handshakes: u32) -> Self {
            self.config.max_handshakes_per_second = Some(handshakes.max(1));
            self
        }

        /// How long a client may take to send the body of a POST; default 30 s.
        #[must_use]
        pub fn post_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.config.post_timeout = timeout.min($crate::config::LONGEST);
            self
        }

        /// The kernel's send buffer of each WebSocket, in bytes; default the system's. The kernel's memory counts too. Nothing for TLS
        /// that is not [`serve_tls`](crate::serve_tls)'s.
        #[must_use]
        pub fn socket_send_buffer(mut self, bytes: usize) -> Self {
            self.config.socket_send_buffer = Some(bytes);
            self
        }

        /// How many shards share the sessions, 1 to 64; default one per core.
        #[must_use]
        pub fn shards(mut self, shards: usize) -> Self {
            self.config.shards = shards.clamp(1, 64);
            self
        }

        /// Whether broadcasts are sent through io_uring, where Linux has it. See [`Uring`](crate::Uring).
        #[must_use]
        pub fn uring(mut self, uring: $crate::Uring) -> Self {
            self.config.uring = uring;
            self
        }

        /// Asked for each handshake (not for later requests of a session); an `Err` refuses it: 403 with code 4 and the
        /// message, 400 for a WebSocket.
        #[must_use]
        pub fn allow_request<F>(mut self, check: F) -> Self
        where
            F: for<'a> Fn(
                    &'a $crate::Handshake,
                ) -> ::std::pin::Pin<
                    Box<dyn ::std::future::Future<Output = Result<(), String>> + Send + 'a>,
                > + Send
                + Sync
                + 'static,
        {
            self.config.allow_request = Some(::std::sync::Arc::new(check));
            self
        }

        /// Changes the headers of each handshake's answer; for cookies and the like.
        #[must_use]
        pub fn initial_headers<F>(mut self, change: F) -> Self
        where
            F: Fn(&mut ::http::HeaderMap, &$crate::Handshake) + Send + Sync + 'static,
        {
            self.config.initial_headers = Some(::std::sync::Arc::new(change));
            self
        }

        /// Learns of every refused request.
        #[must_use]
        pub fn on_connection_error<F>(mut self, hook: F) -> Self
        where
            F: Fn(&$crate::ConnectionError) + Send + Sync + 'static,
        {
            self.config.on_connection_error = Some(::std::sync::Arc::new(hook));
            self
        }
    };
}
pub(crate) use engine_setters;

/// A way in which packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    pub(crate) fn kind(self) -> trunkline_proto::eio::TransportKind {
        match self {
            Self::Polling => trunkline_proto::eio::TransportKind::Polling,
            Self::WebSocket => trunkline_proto::eio::TransportKind::WebSocket,
        }
    }

    pub(crate) fn of(kind: trunkline_proto::eio::TransportKind) -> Self {
        match kind {
            trunkline_proto::eio::TransportKind::Polling => Self::Polling,
            trunkline_proto::eio::TransportKind::WebSocket => Self::WebSocket,
        }
    }

    /// `polling` or `websocket`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}
