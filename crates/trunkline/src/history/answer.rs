//! One request for history: may it be answered, and with what.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tokio::time::Instant;
use trunkline_proto::sio::OwnedArgs;

use super::counted::{self, CountedBody};
use super::query::Query;
use super::readers::Bound;
use super::stream::{EventStream, Feed};
use super::{Address, REFRESH, Served, page};
use crate::admission::{Admission, Refusal, ask};
use crate::client_bundle::is_named;
use crate::config::ConnectionError;
use crate::engine::EngineCore;
use crate::handler::INTERNAL;
use crate::handshake::{ConnectionInfo, Handshake};
use crate::io::IoCore;
use crate::log::{Page, Reading, Start};
use crate::metrics::HistoryKind;
use crate::namespace::Hold;
use crate::run::{Panicked, guard, guard_poll};
use crate::serve::Abort;
use crate::service::Payload;
use crate::sid::Id;

/// What of a request is kept.
struct Asked {
    address: Address,
    query: Result<Query, &'static str>,
    handshake: Handshake,
    is_read: bool,
    is_head: bool,
}

/// Why a request is not served.
enum Refused {
    Method,
    Query(&'static str),
    /// By `allow_request`.
    Handshake(String),
    /// No such namespace, no history of it, or none of this room.
    Nothing,
    Check(Refusal),
    /// Too many wait, memory is short, or the server is about to end.
    Unavailable,
    Panicked,
}

/// Answers a request for history of the room at `address`.
pub(crate) fn answer(
    io: &Arc<IoCore>,
    engine: &Arc<EngineCore>,
    address: Address,
    request: &Request<()>,
    is_cross_origin: bool,
) -> BoxFuture<'static, Response<Payload>> {
    let info = request.extensions().get::<ConnectionInfo>().copied();
    let url = request.uri().path_and_query().map_or("", |p| p.as_str());
    let asked = Asked {
        address,
        query: Query::parse(request.uri().query().unwrap_or_default(), request.headers()),
        handshake: Handshake::new(url, request.headers(), info, is_cross_origin),
        is_read: matches!(*request.method(), Method::GET | Method::HEAD),
        is_head: *request.method() == Method::HEAD,
    };
    let (io, engine) = (Arc::clone(io), Arc::clone(engine));
    Box::pin(async move {
        let is_head = asked.is_head;
        let result = asked.serve(&io, &engine).await;
        let mut response = result.unwrap_or_else(|refused| refuse(&engine, refused));
        let len = match response.body() {
            Payload::Whole(body) => Some(body.len()),
            Payload::Counted(body) => Some(body.rest()),
            Payload::Events(_) => None,
        };
        if is_head && let Some(len) = len {
            *response.body_mut() = Payload::Whole(Bytes::new());
            let len = HeaderValue::from(len);
            response.headers_mut().insert(header::CONTENT_LENGTH, len);
        }
        response
    })
}

impl Asked {
    async fn serve(self, io: &Arc<IoCore>, engine: &Arc<EngineCore>) -> Result<Response<Payload>, Refused> {
        if !self.is_read {
            return Err(Refused::Method);
        }
        let query = self.query.clone().map_err(Refused::Query)?;
        if engine.is_closing() || io.parts.budget.is_exhausted() {
            return Err(Refused::Unavailable);
        }
        let (hold, served) = self.admit(io, engine).await?;
        let Some(log) = hold.namespace().log() else { return Err(Refused::Nothing) };
        let metrics = &io.parts.metrics.history;
        let room: Arc<str> = Arc::from(&*self.address.room);
        let watch = |place, bound| hold.namespace().readers.watch(&room, place, bound);
        if query.is_stream && !self.is_head {
            let place = served.wait(engine).ok_or(Refused::Unavailable)?;
            let abort = Abort::default();
            let bound = Bound {
                lag: served.history.max_lag,
                abort: abort.clone(),
                metrics: Arc::clone(&io.parts.metrics),
            };
            let watch = watch(place, Some(bound));
            metrics.asked(HistoryKind::Stream);
            let (engine, start) = (Arc::clone(engine), query.start);
            let feed = Feed { engine, served, hold, room, watch, start, is_begun: false };
            let mut response = stream(EventStream::new(feed));
            response.extensions_mut().insert(abort);
            return Ok(response);
        }

        let is_open = engine.config.allow_request.is_none()
            && hold.namespace().table.read().checks.is_empty()
            && served.history.check.is_none();
        let wait = query.wait.min(served.history.max_wait);
        let reading = Reading {
            room: &room,
            start: query.start,
            limit: query.limit.min(served.history.max_events),
            bytes: served.history.max_bytes,
            excepted: served.history.excepted,
        };
        let is_news = |page: &Page| (page.gap || !page.events.is_empty()) && !self.knows(&page::etag(page));
        let first = log.read(&reading);
        if wait.is_zero() || self.is_head || is_news(&first) {
            metrics.asked(HistoryKind::Poll);
            return self.give(io, &served, &first, reading.start, is_open);
        }
        metrics.asked(HistoryKind::Wait);
        let place = served.wait(engine).ok_or(Refused::Unavailable)?;
        let watch = watch(place, None);
        let until = Instant::now() + wait;
        let mut reading = reading;
        let mut is_over = false;
        let mut last = first;
        let page = loop {
            // On from here: what the log gives up of other rooms meanwhile is no gap. "Since" may be a time to come.
            let is_fixed = matches!(reading.start, Start::Since(_)) || !last.events.is_empty();
            if !is_fixed {
                reading.start = Start::After(last.next);
            }
            let released = log.news().notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let page = log.read(&reading);
            if is_over || is_news(&page) {
                break page;
            }
            tokio::select! {
                () = watch.news() => {}
                () = &mut released, if page.held => {}
                () = tokio::time::sleep(REFRESH) => {}
                () = tokio::time::sleep_until(until) => is_over = true,
                () = engine.closing() => is_over = true,
            }
            last = page;
        };
        self.give(io, &served, &page, reading.start, is_open)
    }

    /// Finds the namespace, and asks who may decide.
    async fn admit(
        &self,
        io: &Arc<IoCore>,
        engine: &Arc<EngineCore>,
    ) -> Result<(Hold, Arc<Served>), Refused> {
        let mut decision: BoxFuture<'static, _> = {
            let (io, engine) = (Arc::clone(io), Arc::clone(engine));
            let (address, handshake) = (self.address.clone(), self.handshake.clone());
            Box::pin(async move { decide(&io, &engine, &address, handshake).await })
        };
        let guarded = std::future::poll_fn(|cx| match guard_poll(&mut decision, cx) {
            Ok(poll) => poll,
            Err(()) => {
                io.failed("check", None, &Panicked.into(), true);
                std::task::Poll::Ready(Err(Refused::Panicked))
            }
        });
        let decided = tokio::time::timeout(io.config.connect_timeout, guarded).await;
        decided.unwrap_or(Err(Refused::Unavailable))
    }

    /// Whether `If-None-Match` names it.
    fn knows(&self, etag: &HeaderValue) -> bool {
        let headers = self.handshake.headers().filter(|(name, _)| *name == "if-none-match");
        is_named(headers.filter_map(|(_, value)| std::str::from_utf8(value).ok()), etag)
    }

    fn give(
        &self,
        io: &IoCore,
        served: &Served,
        page: &Page,
        start: Start,
        is_open: bool,
    ) -> Result<Response<Payload>, Refused> {
        let mut response = Response::new(Payload::Whole(Bytes::new()));
        let etag = page::etag(page);
        let is_unchanged = self.knows(&etag);
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag);
        // Kept and asked for again each time: the log goes on. Where access depends on who asks, by nobody but who asked.
        let cache = if is_open { "no-cache" } else { "private, no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        vary(headers, "Accept");
        if !is_open {
            vary(headers, "Authorization");
            vary(headers, "Cookie");
        }
        if is_unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let text = page::json(page, start, io.config.parser);
        let (body, sent) = CountedBody::new(text, &io.parts.budget).ok_or(Refused::Unavailable)?;
        let metrics = &io.parts.metrics;
        metrics.history.read(page);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let abort = Abort::default();
        counted::watch(sent, served.history.max_sending, abort.clone(), metrics);
        response.extensions_mut().insert(abort);
        *response.body_mut() = Payload::Counted(body);
        Ok(response)
    }
}

/// In the order of a client that connects: `allow_request`, the namespace, its checks; then the check of its history.
async fn decide(
    io: &Arc<IoCore>,
    engine: &Arc<EngineCore>,
    address: &Address,
    handshake: Handshake,
) -> Result<(Hold, Arc<Served>), Refused> {
    if let Some(allow) = &engine.config.allow_request {
        allow(&handshake).await.map_err(Refused::Handshake)?;
    }
    let hold = io.enter_to_read(&address.namespace).ok_or(Refused::Nothing)?;
    let namespace = hold.namespace();
    let table = namespace.table.read();
    let served = table.history.clone().ok_or(Refused::Nothing)?;
    if !served.history.socket_rooms && is_like_an_id(&address.room) {
        return Err(Refused::Nothing);
    }
    let auth = bearer(&handshake);
    let room = Arc::from(&*address.room);
    let admission = Admission::to_read(Arc::clone(&namespace.name), handshake, room, auth);
    ask(io, engine, namespace, &admission, &table.checks).await.map_err(Refused::Check)?;
    let own = served.history.check.as_slice();
    ask(io, engine, namespace, &admission, own).await.map_err(Refused::Check)?;
    Ok((hold, served))
}

/// What a client would send as `auth`.
fn bearer(handshake: &Handshake) -> Option<OwnedArgs> {
    let (scheme, token) = handshake.header("authorization")?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| OwnedArgs::from_value(&serde_json::json!({ "token": token.trim() })))
}

/// Ids of sockets have 20 characters; those of clients of Engine.IO 3 may have a namespace in front (`/chat#`).
fn is_like_an_id(room: &str) -> bool {
    room.rsplit('#').next().is_some_and(|id| id.parse::<Id>().is_ok())
}

fn stream(body: EventStream) -> Response<Payload> {
    let mut response = Response::new(Payload::Events(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would keep the events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn refuse(engine: &EngineCore, refused: Refused) -> Response<Payload> {
    engine.metrics.refused.add(1);
    let (status, context, refusal) = match refused {
        Refused::Method => (405, "BAD_HANDSHAKE_METHOD", "only GET and HEAD".into()),
        Refused::Query(message) => (400, "BAD_REQUEST", message.into()),
        Refused::Handshake(message) => (403, "FORBIDDEN", message.into()),
        Refused::Nothing => (404, "NOT_FOUND", "there is no such history".into()),
        Refused::Check(refusal) => (403, "FORBIDDEN", refusal),
        Refused::Unavailable => (503, "UNAVAILABLE", "try again later".into()),
        Refused::Panicked => (500, "INTERNAL", INTERNAL.into()),
    };
    let Refusal { message, data } = refusal;
    let mut error = serde_json::json!({ "message": message });
    if let Some(data) = data {
        error["data"] = data;
    }
    let body = serde_json::json!({ "error": error }).to_string();
    let mut response = Response::new(Payload::Whole(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match status {
        405 => drop(headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"))),
        503 => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))),
        _ => {}
    }
    if let Some(hook) = &engine.config.on_connection_error {
        let error = ConnectionError { code: None, message, context: context.to_owned(), status };
        guard(&engine.metrics, "on_connection_error", || hook(&error));
    }
    response
}

fn vary(headers: &mut HeaderMap, name: &'static str) {
    headers.append(header::VARY, HeaderValue::from_static(name));
}
