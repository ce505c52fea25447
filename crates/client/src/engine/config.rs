//! How to reach a server, and by what transports.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::HeaderMap;
use trunkline_proto::eio::TransportKind;

use super::{Proxy, Url};

/// How to reach a server and by what transports.
#[derive(Clone, Debug)]
pub(crate) struct EngineConfig {
    /// Where the server is.
    pub(crate) url: Url,
    /// In the order in which they are tried. Default polling, then WebSocket, the reference's.
    pub(crate) transports: Vec<TransportKind>,
    /// Whether a session that began with polling moves to WebSocket, if both sides know it. Default true.
    pub(crate) upgrade: bool,
    /// Whether the next transport is tried when one cannot connect. Default false, the reference's.
    pub(crate) try_all_transports: bool,
    /// Whether WebSocket comes first once it has worked, for as long as this configuration (or a clone) is used. Default
    /// false, the reference's.
    pub(crate) remember_upgrade: bool,
    /// Sent with every request.
    pub(crate) extra_headers: HeaderMap,
    /// Sent with every request, behind the URL's own.
    pub(crate) query: Vec<(String, String)>,
    /// Own roots or client certificates; `None` trusts the system's roots.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// Through which every connection goes.
    pub(crate) proxy: Option<Proxy>,
    /// How long the answer to a POST may take; for a GET, which waits for what the server sends, the heartbeat's silence is
    /// allowed if that is longer. Default 30 s.
    pub(crate) request_timeout: Duration,
    /// From the start of one transport's attempt to the `open` packet. Default 20 s, the reference's `timeout`.
    pub(crate) connect_timeout: Duration,
    /// How long what is queued may take to leave once the session is closed. Default 5 s.
    pub(crate) close_timeout: Duration,
    /// The largest message that is accepted, in bytes, and half of the largest polling answer, which carries several.
    /// Default 16 MiB: servers send no more than their clients may hold, and none of known ones need more by default.
    pub(crate) max_payload: usize,
    /// Bytes that may wait to be sent, 64 counted for each message beside its own. Default 16 MiB.
    pub(crate) max_buffer: usize,
    /// Whether the last session was on WebSocket; see `remember_upgrade`.
    pub(crate) websocket_worked: Arc<AtomicBool>,
}

impl EngineConfig {
    /// The defaults, for a server.
    pub(crate) fn new(url: Url) -> Self {
        Self {
            url,
            transports: vec![TransportKind::Polling, TransportKind::WebSocket],
            upgrade: true,
            try_all_transports: false,
            remember_upgrade: false,
            extra_headers: HeaderMap::new(),
            query: Vec::new(),
            tls: None,
            proxy: None,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
            max_payload: 16 * 1024 * 1024,
            max_buffer: 16 * 1024 * 1024,
            websocket_worked: Arc::default(),
        }
    }
}
