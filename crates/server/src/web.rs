//! The pages beside Socket.IO: the gallery with its apps and numbers, health, and the metrics of the internal
//! listener.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use tokio::sync::watch;
use trunkline::Io;

use crate::apps::chat;
use crate::config::Config;

/// What the pages are about; shared by both listeners.
#[derive(Clone)]
pub(crate) struct Site(Arc<Inner>);

struct Inner {
    io: Io,
    draining: watch::Receiver<bool>,
    started: Instant,
    path: String,
    start_page: bool,
    has_chat: bool,
    shards: usize,
    /// The numbers of the last second: counting rooms visits them all, and everybody may ask.
    counted: Mutex<Option<(Instant, Arc<str>)>>,
}

/// The numbers, `/stats`.
#[derive(Debug, Serialize)]
struct Stats<'a> {
    version: &'static str,
    /// Seconds since the start.
    uptime: u64,
    shards: usize,
    path: &'a str,
    /// Open sessions, and those of them on WebSocket.
    sessions: u64,
    websocket: u64,
    sessions_opened: u64,
    namespaces: usize,
    /// Sockets and rooms in all namespaces.
    sockets: usize,
    rooms: usize,
    /// People in the chat; none where it is not served.
    chat: Option<usize>,
    packets_in: u64,
    packets_out: u64,
    bytes_out: u64,
    /// Bytes that queued packets and partial messages hold.
    memory: u64,
}

impl Site {
    pub(crate) fn new(io: &Io, config: &Config, draining: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Inner {
            io: io.clone(),
            draining,
            started: Instant::now(),
            path: config.path.0.clone(),
            start_page: config.start_page,
            has_chat: config.has_chat(),
            shards: config.shard_count(),
            counted: Mutex::new(None),
        }))
    }

    fn stats(&self) -> Arc<str> {
        let now = Instant::now();
        let mut counted = self.0.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = counted.as_ref().filter(|(at, _)| now.duration_since(*at) < FRESH) {
            return Arc::clone(text);
        }
        let text: Arc<str> = self.count(now).into();
        *counted = Some((now, Arc::clone(&text)));
        text
    }

    fn count(&self, now: Instant) -> String {
        let Inner { io, started, path, shards, has_chat, .. } = &*self.0;
        let metrics = io.metrics();
        let namespaces = io.namespaces();
        let stats = Stats {
            version: env!("CARGO_PKG_VERSION"),
            uptime: now.duration_since(*started).as_secs(),
            shards: *shards,
            path,
            sessions: metrics.sessions,
            websocket: metrics.websocket_sessions,
            sessions_opened: metrics.sessions_opened,
            sockets: namespaces.iter().map(trunkline::Namespace::socket_count).sum(),
            rooms: namespaces.iter().map(|namespace| namespace.rooms().len()).sum(),
            chat: has_chat.then(|| io.of(chat::NAMESPACE).socket_count()),
            namespaces: namespaces.len(),
            packets_in: metrics.packets_in,
            packets_out: metrics.packets_out,
            bytes_out: metrics.bytes_out,
            memory: metrics.memory,
        };
        serde_json::to_string(&stats).unwrap_or_default()
    }
}

/// How long counted numbers are shown.
const FRESH: Duration = Duration::from_millis(900);
/// The page loads nothing from elsewhere and is shown in no other page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of a page: where it is, and what.
type File = (&'static str, &'static str, &'static str);

/// The files of `page/`, which the program carries.
macro_rules! files {
    ($($path:literal $file:literal;)*) => {
        &[$(($path, content_type($file), include_str!(concat!("page/", $file)))),*]
    };
}

/// The gallery and the page of numbers.
const GALLERY: &[File] = files! {
    "/" "index.html";
    "/base.css" "base.css";
    "/gallery.css" "gallery.css";
    "/gallery.js" "gallery.js";
    "/stats.html" "stats.html";
    "/stats.css" "stats.css";
    "/stats.js" "stats.js";
};

/// The chat's page.
const CHAT: &[File] = files! {
    "/chat.html" "chat.html";
    "/chat.css" "chat.css";
    "/chat/main.js" "chat/main.js";
    "/chat/conversation.js" "chat/conversation.js";
    "/chat/dom.js" "chat/dom.js";
    "/chat/line.js" "chat/line.js";
    "/chat/session.js" "chat/session.js";
    "/chat/view.js" "chat/view.js";
};

const fn content_type(file: &str) -> &'static str {
    match file.as_bytes() {
        [.., b'h', b't', b'm', b'l'] => "text/html; charset=utf-8",
        [.., b'c', b's', b's'] => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    }
}

/// What the public port shows beside Socket.IO.
pub(crate) fn public(site: &Site) -> Router {
    let mut router = Router::new().route("/healthz", get(health));
    if site.0.start_page {
        router = with_files(router, GALLERY).route("/stats", get(stats));
    }
    if site.0.has_chat {
        router = with_files(router, CHAT);
    }
    router.fallback(not_found).with_state(site.clone())
}

fn with_files(router: Router<Site>, files: &'static [File]) -> Router<Site> {
    files
        .iter()
        .fold(router, |router, (path, kind, body)| router.route(path, get(|| async { file(kind, body) })))
}

/// What the internal port shows.
pub(crate) fn internal(site: &Site) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .with_state(site.clone())
}

async fn health(State(site): State<Site>) -> impl IntoResponse {
    // A load balancer sends nobody here from now on.
    if *site.0.draining.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, text("text/plain; charset=utf-8", "draining\n"))
    } else {
        (StatusCode::OK, text("text/plain; charset=utf-8", "ok\n"))
    }
}

async fn stats(State(site): State<Site>) -> impl IntoResponse {
    text("application/json", site.stats().to_string())
}

async fn metrics(State(site): State<Site>) -> impl IntoResponse {
    text("text/plain; version=0.0.4; charset=utf-8", site.0.io.metrics().prometheus())
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, text("text/plain; charset=utf-8", "not found\n"))
}

fn file(kind: &'static str, body: &'static str) -> impl IntoResponse {
    ([(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")], text(kind, body))
}

fn text<B>(kind: &'static str, body: B) -> ([(HeaderName, &'static str); 3], B) {
    ([(CONTENT_TYPE, kind), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-cache")], body)
}
