//! One request below the path: the checks in the reference's order (reference/socketio.md 1.3), then a handshake, a poll, a post
//! or an upgrade. Every answer carries its CORS headers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_core::future::BoxFuture;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use trunkline_proto::eio::{self, TransportKind, Verdict, Version, Violation, jsonp};
use trunkline_proto::ws;

use crate::client_bundle;
use crate::config::{AllowRequest, ConnectionError};
use crate::cors::Judgement;
use crate::engine::EngineCore;
use crate::handler::INTERNAL;
use crate::handshake::{ConnectionInfo, Handshake, query_pairs};
use crate::history::Address;
use crate::run::{guard, guard_poll};
use crate::service::Payload;
use crate::session::{Command, PostBody, Session};
use crate::shard::{NoPoll, Polled};
use crate::transport::polling::{self, Encoding, Style};
use crate::transport::stream::{self, Opened};
use crate::transport::tcp_io::HoldHead;
use crate::transport::websocket::{WsConn, WsStream};
use crate::wire::Queue;

/// The answer to a request: most are ready at once, and the others' futures are small.
#[derive(Debug)]
pub struct Answer(Inner);

enum Inner {
    Ready(Option<Response<Bytes>>),
    Later(BoxFuture<'static, Response<Bytes>>),
    /// History, which may go on.
    Other(BoxFuture<'static, Response<Payload>>),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Ready(_)) { "Ready" } else { "Later" })
    }
}

impl Answer {
    fn ready(response: Response<Bytes>) -> Self {
        Self(Inner::Ready(Some(response)))
    }

    fn later(future: impl Future<Output = Response<Bytes>> + Send + 'static) -> Self {
        Self(Inner::Later(Box::pin(future)))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Payload>> {
        let whole = |response: Response<Bytes>| response.map(Payload::Whole);
        match &mut self.0 {
            Inner::Ready(response) => Poll::Ready(whole(response.take().unwrap_or_default())),
            Inner::Later(future) => Pin::new(future).poll(cx).map(whole),
            Inner::Other(future) => Pin::new(future).poll(cx),
        }
    }
}

/// What every answer is finished with.
struct Frame {
    core: Arc<EngineCore>,
    /// If the request does not bring it.
    info: Option<ConnectionInfo>,
    judgement: Judgement,
    is_upgrade: bool,
}

impl Frame {
    fn finish(&self, result: Result<Response<Bytes>, Refusal>) -> Response<Bytes> {
        let mut response = result.unwrap_or_else(|refusal| refuse(&self.core, &refusal, self.is_upgrade));
        self.core.config.cors.decorate(&self.judgement, response.headers_mut());
        response
    }

    fn now(&self, result: Result<Response<Bytes>, Refusal>) -> Answer {
        Answer::ready(self.finish(result))
    }

    fn later(
        self,
        future: impl Future<Output = Result<Response<Bytes>, Refusal>> + Send + 'static,
    ) -> Answer {
        Answer::later(async move {
            let result = future.await;
            self.finish(result)
        })
    }

    fn other(self, future: BoxFuture<'static, Response<Payload>>) -> Answer {
        Answer(Inner::Other(Box::pin(async move {
            let mut response = future.await;
            let headers = response.headers_mut();
            self.core.config.cors.decorate(&self.judgement, headers);
            // What is kept for a page is not for one of a foreign origin, which is refused.
            if !headers.get_all(header::VARY).iter().any(|name| name == "Origin") {
                headers.append(header::VARY, HeaderValue::from_static("Origin"));
            }
            response
        })))
    }
}

/// Answers one request below the path. `info`: if the request does not bring it as an extension.
pub(crate) fn answer<B>(core: &Arc<EngineCore>, request: Request<B>, info: Option<ConnectionInfo>) -> Answer
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    // Whom it cannot judge it does not admit.
    let judge = || core.config.cors.judge(request.headers(), request.uri());
    let judgement = guard(&core.metrics, "cors", judge).unwrap_or(Judgement::Foreign);
    let frame = Frame { core: Arc::clone(core), info, is_upgrade: is_websocket_upgrade(&request), judgement };
    if request.method() == Method::OPTIONS {
        let mut response = empty(StatusCode::NO_CONTENT);
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        core.config.cors.preflight(&frame.judgement, request.headers(), response.headers_mut());
        return frame.now(Ok(response));
    }
    // Before the origin's judgement: any page may load a script. Without the CORS headers it cannot read it.
    if core.config.serve_client
        && let Some(file) = client_bundle::find(&core.config.path, request.uri().path())
    {
        return frame.now(Ok(file.answer(&request)));
    }
    if frame.judgement == Judgement::Foreign {
        return frame.now(Err(Refusal::Origin));
    }
    if let Some(address) = history_of(core, request.uri()) {
        let is_cross_origin = matches!(frame.judgement, Judgement::Allowed(_));
        let mut request = without_body(request);
        if let Some(info) = frame.info {
            request.extensions_mut().insert(info);
        }
        let answer = core.app.history(core, address, &request, is_cross_origin);
        return frame.other(answer);
    }
    route(frame, request)
}

/// The room whose history is asked for; what Engine.IO's clients ask for is never that.
fn history_of(core: &EngineCore, uri: &Uri) -> Option<Address> {
    let rest = uri.path().strip_prefix(&*core.config.path)?.strip_prefix('/')?;
    let address = core.app.history_of(rest)?;
    let is_engine = query_pairs(uri.query().unwrap_or_default()).any(|(name, _)| name == "EIO");
    (!is_engine).then_some(address)
}

/// Why a request is not served.
enum Refusal {
    Violation(Violation),
    /// A page of an origin that is not on the list.
    Origin,
    /// Closing, or too many sessions: the client shall try again later.
    Unavailable,
    /// The application's check panicked.
    Panicked,
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

fn refuse(core: &EngineCore, refusal: &Refusal, is_upgrade: bool) -> Response<Bytes> {
    core.metrics.refused.add(1);
    let (mut response, code, message, context) = match refusal {
        Refusal::Violation(violation) => {
            (polling::refusal(violation), violation.code(), violation.message(), violation.context_name())
        }
        Refusal::Origin => {
            let forbidden = &Violation::ORIGIN_NOT_ALLOWED;
            (polling::refusal(forbidden), forbidden.code(), forbidden.message(), "ORIGIN_NOT_ALLOWED")
        }
        Refusal::Unavailable => {
            let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            (response, None, "Service unavailable".into(), "UNAVAILABLE")
        }
        Refusal::Panicked => {
            (empty(StatusCode::INTERNAL_SERVER_ERROR), None, INTERNAL.into(), "MIDDLEWARE_FAILURE")
        }
    };
    if is_upgrade {
        // The reference answers a refused upgrade with the message as text, always 400.
        if matches!(refusal, Refusal::Violation(_)) {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        *response.body_mut() = Bytes::from(message.clone().into_owned());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(hook) = &core.config.on_connection_error {
        let error = ConnectionError {
            code,
            message: message.into_owned(),
            context: context.to_string(),
            status: response.status().as_u16(),
        };
        guard(&core.metrics, "on_connection_error", || hook(&error));
    }
    response
}

fn route<B>(frame: Frame, request: Request<B>) -> Answer
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    let core = Arc::clone(&frame.core);
    let description = eio::Request {
        query: eio::Query::parse(request.uri().query().unwrap_or_default()),
        method_is_get: request.method() == Method::GET,
        method_is_post: request.method() == Method::POST,
        upgrade: frame.is_upgrade,
        origin_valid: frame.judgement != Judgement::Invalid,
    };
    let mut found = None;
    let verdict = eio::verify(&description, core.config.transports, core.config.allow_eio3, |sid| {
        found = core.session(sid);
        found.as_ref().map(|session| session.transport())
    });
    match verdict {
        Ok(Verdict::Handshake { version, transport, base64, jsonp }) => {
            let wanted = Ok(Wanted { version, transport, base64, jsonp: jsonp.map(str::to_owned) });
            handshake(frame, without_body(request), wanted)
        }
        // The application's check comes before the one of the version.
        Err(Violation::UnsupportedVersion) if core.config.allow_request.is_some() => {
            handshake(frame, without_body(request), Err(Violation::UnsupportedVersion))
        }
        Err(violation) => frame.now(Err(violation.into())),
        Ok(Verdict::Existing { .. }) => {
            let Some(session) = found else { return frame.now(Err(Violation::SessionUnknown.into())) };
            if frame.is_upgrade {
                let result = upgrade_existing(&core, &mut without_body(request), session);
                return frame.now(result);
            }
            let jsonp = description.query.jsonp().map(str::to_owned);
            let style = style(&core, request.headers(), session.version, session.base64, jsonp);
            match *request.method() {
                Method::GET => get(frame, session, style),
                Method::POST => post(frame, request, session, style),
                _ => frame.now(Err(Violation::BadMethod.into())),
            }
        }
    }
}

fn without_body<B>(request: Request<B>) -> Request<()> {
    request.map(drop)
}

/// What a handshake asks for.
struct Wanted {
    version: Version,
    transport: TransportKind,
    base64: bool,
    jsonp: Option<String>,
}

fn handshake(frame: Frame, mut request: Request<()>, wanted: Result<Wanted, Violation>) -> Answer {
    let core = &frame.core;
    if !core.has_place() {
        return frame.now(Err(Refusal::Unavailable));
    }
    let info = frame.info.or_else(|| request.extensions().get().copied());
    let is_cross_origin = matches!(frame.judgement, Judgement::Allowed(_));
    let url = request.uri().path_and_query().map_or("", |p| p.as_str());
    let handshake = Handshake::new(url, request.headers(), info, is_cross_origin);
    let Some(allow) = core.config.allow_request.clone() else {
        let result = open(core, &mut request, wanted, handshake);
        return frame.now(result);
    };
    let core = Arc::clone(core);
    frame.later(async move {
        may_open(&core, &allow, &handshake).await?;
        open(&core, &mut request, wanted, handshake)
    })
}

/// Asks the application.
async fn may_open(core: &EngineCore, allow: &AllowRequest, handshake: &Handshake) -> Result<(), Refusal> {
    let asked = guard(&core.metrics, "allow_request", || allow(handshake));
    let mut decision = asked.ok_or(Refusal::Panicked)?;
    let decided = std::future::poll_fn(|cx| match guard_poll(&mut decision, cx) {
        Ok(poll) => poll.map(Ok),
        Err(()) => Poll::Ready(Err(Refusal::Panicked)),
    });
    let decided = decided.await.inspect_err(|_| core.metrics.panicked("allow_request"))?;
    decided.map_err(|message| Violation::Forbidden { message: message.into() }.into())
}

fn open(
    core: &Arc<EngineCore>,
    request: &mut Request<()>,
    wanted: Result<Wanted, Violation>,
    handshake: Handshake,
) -> Result<Response<Bytes>, Refusal> {
    let Wanted { version, transport, base64, jsonp } = wanted?;
    // Again: the application's decision may have taken its time.
    if !core.has_place() || !core.may_open_now() {
        return Err(Refusal::Unavailable);
    }
    match transport {
        TransportKind::Polling => Ok(open_polling(core, request, version, base64, jsonp, handshake)),
        TransportKind::WebSocket => open_websocket(core, request, version, base64, handshake),
    }
}

fn style(
    core: &EngineCore,
    headers: &HeaderMap,
    version: Version,
    base64: bool,
    jsonp: Option<String>,
) -> Style {
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    Style {
        version,
        base64,
        jsonp,
        encoding: core.config.http_compression.and_then(|_| Encoding::accepted(headers)),
        threshold: core.config.http_compression.unwrap_or(usize::MAX),
        no_xss_filter: agent.contains(";MSIE") || agent.contains("Trident/"),
    }
}

fn open_polling(
    core: &Arc<EngineCore>,
    request: &Request<()>,
    version: Version,
    base64: bool,
    jsonp: Option<String>,
    handshake: Handshake,
) -> Response<Bytes> {
    let style = style(core, request.headers(), version, base64, jsonp);
    let session = core.open_polling(version, base64, handshake);
    let mut response = polling::answer_open(&core.open_packet(&session), &style);
    initial_headers(core, &session, response.headers_mut());
    response
}

fn initial_headers(core: &EngineCore, session: &Session, headers: &mut HeaderMap) {
    if let Some(cookie) = &core.config.cookie
        && let Ok(value) = HeaderValue::from_str(&cookie.header(session.sid.as_str()))
    {
        headers.append(header::SET_COOKIE, value);
    }
    change_headers(core, headers, &session.handshake);
}

fn change_headers(core: &EngineCore, headers: &mut HeaderMap, handshake: &Handshake) {
    if let Some(change) = &core.config.initial_headers {
        guard(&core.metrics, "initial_headers", || change(headers, handshake));
    }
}

// --- polling requests of a session ---------------------------------------------------------------------------------

fn get(frame: Frame, session: Arc<Session>, style: Style) -> Answer {
    match session.shard.with(|state| state.poll(session.slot)) {
        Ok(Polled::Now(queue)) => frame.now(Ok(poll_answer(&session, &queue, &style))),
        Ok(Polled::Later(receiver)) => {
            // Made here: an answer that is never polled must not leave a request waiting.
            let mut guard = AbortGuard { session, reason: Some(Violation::GetAborted) };
            Answer::later(async move {
                let queue = receiver.await;
                if guard.session.posting.load(Ordering::Acquire) {
                    // Seldom, so the poll's own future need not have room for it.
                    Box::pin(after_post(&guard.session)).await;
                }
                // Until here: the packets are out of the queue, and would be lost with the request.
                guard.reason = None;
                let answer = queue.map(|queue| poll_answer(&guard.session, &queue, &style));
                frame.finish(answer.map_err(|_| Violation::SessionUnknown.into()))
            })
        }
        Err(NoPoll::Overlap) => {
            session.command(Command::Violation(Violation::OverlappingGet));
            frame.now(Err(Violation::OverlappingGet.into()))
        }
        Err(NoPoll::Upgraded) => frame.now(Err(Violation::TransportMismatch.into())),
        Err(NoPoll::Closed) => frame.now(Err(Violation::SessionUnknown.into())),
    }
}

/// Lets the answer of a POST that is under way go first, for a moment. What answers its packets must not overtake its own "ok": the
/// Python client would take a socket for connected while it still posts, and forget to post what comes next.
async fn after_post(session: &Session) {
    for _ in 0..POST_PATIENCE {
        if !session.posting.load(Ordering::Acquire) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Milliseconds that a poll's answer waits for a POST's.
const POST_PATIENCE: usize = 20;

fn poll_answer(session: &Session, queue: &Queue, style: &Style) -> Response<Bytes> {
    let response = polling::answer(queue, style);
    let packets = queue.iter().map(|p| p.count()).sum();
    session.shard.counters.sent(packets, response.body().len());
    response
}

fn post<B>(frame: Frame, request: Request<B>, session: Arc<Session>, style: Style) -> Answer
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    frame.core.budget.relieve();
    if frame.core.budget.is_over() {
        return frame.now(Err(Refusal::Unavailable));
    }
    if session.posting.swap(true, Ordering::AcqRel) {
        session.command(Command::Violation(Violation::OverlappingPost));
        return frame.now(Err(Violation::OverlappingPost.into()));
    }
    let is_binary = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"application/octet-stream"));
    if is_binary && session.version == Version::V4 {
        session.command(Command::Violation(Violation::BinaryContentV4));
        return frame.now(Err(Violation::BinaryContentV4.into()));
    }
    let (declared, body) = (declared_length(request.headers()), request.into_body());
    // Made here: an answer that is never polled must not leave the session with half a request.
    let mut guard = AbortGuard { session, reason: Some(Violation::PostAborted) };
    Answer::later(async move {
        let result = take_post(&frame.core, &mut guard, declared, body, is_binary, &style).await;
        frame.finish(result)
    })
}

/// Reads a POST and has the session take its packets.
async fn take_post<B>(
    core: &EngineCore,
    guard: &mut AbortGuard,
    declared: Option<usize>,
    body: B,
    is_binary: bool,
    style: &Style,
) -> Result<Response<Bytes>, Refusal>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    // Counted until the session has read it.
    let mut counted = Counted { core, bytes: 0 };
    let collected = within(core.config.post_timeout, collect(&mut counted, declared, body)).await;
    let body = match collected {
        Some(Ok(body)) => body,
        Some(Err(Violation::BodyTooLarge)) => {
            // The reference leaves the session open; the client gives up by itself.
            guard.reason = None;
            guard.session.posting.store(false, Ordering::Release);
            return Err(Violation::BodyTooLarge.into());
        }
        Some(Err(violation)) => return Err(violation.into()),
        None => return Err(Violation::PostAborted.into()),
    };
    let body = match (&style.jsonp, is_binary) {
        (_, true) => PostBody::Binary(body),
        (Some(_), false) => match jsonp::decode_post(&body) {
            Ok(text) => PostBody::Text(text.into()),
            Err(violation) => {
                guard.reason = None;
                guard.session.command(Command::Violation(violation.clone()));
                return Err(violation.into());
            }
        },
        (None, false) => PostBody::Text(body),
    };
    let (reply, outcome) = oneshot::channel();
    guard.session.command(Command::Post(body, reply));
    let outcome = outcome.await;
    guard.reason = None;
    guard.session.posting.store(false, Ordering::Release);
    match outcome {
        Ok(Ok(())) => Ok(polling::ok(style.no_xss_filter)),
        Ok(Err(violation)) => Err(violation.into()),
        // The session ended while it read the body.
        Err(_) => Err(Violation::SessionUnknown.into()),
    }
}

/// `None` if it takes longer. What is ready at once, as most bodies are, costs no timer.
async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let first = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(output) => Some(output),
        Poll::Pending => Box::pin(tokio::time::timeout(time, future)).await.ok(),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

/// Reads a body, at most `max_payload` bytes of it; what it holds counts in the memory budget.
async fn collect<B>(counted: &mut Counted<'_>, declared: Option<usize>, body: B) -> Result<Bytes, Violation>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let limit = counted.core.config.max_payload;
    let mut body = Box::pin(body);
    if declared.is_some_and(|n| n > limit) {
        discard(counted.core, body);
        return Err(Violation::BodyTooLarge);
    }
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Violation::PostAborted)?;
        let Ok(mut data) = frame.into_data() else { continue };
        let n = data.remaining();
        if out.len() + n > limit {
            discard(counted.core, body);
            return Err(Violation::BodyTooLarge);
        }
        counted.add(n);
        while data.has_remaining() {
            let chunk = data.chunk();
            out.extend_from_slice(chunk);
            let n = chunk.len();
            data.advance(n);
        }
    }
    Ok(out.into())
}

/// Reads on, as much again as is allowed, and keeps nothing: closing with unread bytes would reset the connection, and the
/// client would not see the answer 413.
fn discard<B>(core: &EngineCore, mut body: Pin<Box<B>>)
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let (mut left, within) = (core.config.max_payload, core.config.post_timeout);
    tokio::spawn(tokio::time::timeout(within, async move {
        while let Some(Ok(frame)) = body.frame().await {
            let n = frame.data_ref().map_or(0, Buf::remaining);
            let Some(rest) = left.checked_sub(n) else { return };
            left = rest;
        }
    }));
}

/// Bytes that a request holds in the memory budget, until it is dropped.
struct Counted<'a> {
    core: &'a EngineCore,
    bytes: usize,
}

impl Counted<'_> {
    fn add(&mut self, bytes: usize) {
        self.core.budget.add(bytes);
        self.bytes += bytes;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.core.budget.sub(self.bytes);
    }
}

/// Closes the session if the request is dropped before its answer.
struct AbortGuard {
    session: Arc<Session>,
    reason: Option<Violation>,
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        if let Some(violation) = self.reason.take() {
            self.session.command(Command::Violation(violation));
        }
    }
}

// --- WebSocket -----------------------------------------------------------------------------------------------------

fn is_websocket_upgrade<B>(request: &Request<B>) -> bool {
    let has = |name: header::HeaderName, token: &str| {
        request
            .headers()
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .any(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    };
    request.method() == Method::GET && has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade")
}

/// The 101, or what is wrong with the WebSocket handshake (RFC 6455, 4.2.1).
fn switch_protocols(
    request: &Request<()>,
    deflate: Option<&ws::DeflateAgreement>,
) -> Result<Response<Bytes>, Violation> {
    let mut keys = request.headers().get_all(header::SEC_WEBSOCKET_KEY).iter();
    let key = match (keys.next().and_then(|k| k.to_str().ok()), keys.next()) {
        (Some(key), None) if ws::is_valid_key(key) => key,
        _ => return Err(Violation::TransportHandshake),
    };
    let version = request.headers().get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if version != Some(b"13") {
        return Err(Violation::TransportHandshake);
    }
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&ws::accept_key(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(value) = deflate.and_then(|d| HeaderValue::from_str(&d.response()).ok()) {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, value);
    }
    Ok(response)
}

fn negotiate(core: &EngineCore, request: &Request<()>) -> Option<ws::DeflateAgreement> {
    if !core.config.per_message_deflate {
        return None;
    }
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    ws::negotiate_deflate(offers.filter_map(|v| v.to_str().ok()))
}

fn open_websocket(
    core: &Arc<EngineCore>,
    request: &mut Request<()>,
    version: Version,
    base64: bool,
    handshake: Handshake,
) -> Result<Response<Bytes>, Refusal> {
    let deflate = negotiate(core, request);
    let mut response = switch_protocols(request, deflate.as_ref())?;
    change_headers(core, response.headers_mut(), &handshake);
    response.extensions_mut().insert(HoldHead);
    let upgrade = hyper::upgrade::on(request);
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let Opened { stream, early, head, way } = stream::open(upgraded);
        core.metrics.stream_opened(way);
        configure(&core, &stream);
        let bits = deflate.as_ref().map(|d| d.server_max_window_bits);
        let decoder = ws::Decoder::new(ws::Role::Server, core.config.ws_limits(), deflate.is_some());
        let wire = crate::session_task::ws_wire(version, base64, bits);
        let conn = WsConn { stream, decoder, wire };
        core.open_websocket(version, base64, handshake, conn, early, head);
    });
    Ok(response)
}

fn upgrade_existing(
    core: &Arc<EngineCore>,
    request: &mut Request<()>,
    session: Arc<Session>,
) -> Result<Response<Bytes>, Refusal> {
    if !core.config.allow_upgrades {
        return Err(Violation::TransportMismatch.into());
    }
    let deflate = negotiate(core, request);
    let response = switch_protocols(request, deflate.as_ref())?;
    let upgrade = hyper::upgrade::on(request);
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        // Nothing of its head is held: the client speaks first.
        let Opened { mut stream, early, way, .. } = stream::open(upgraded);
        core.metrics.stream_opened(way);
        configure(&core, &stream);
        // The session's task lives on its shard's runtime: the connection moves there (design 8.4).
        if crate::serve::worker().is_some_and(|w| w % core.shards.len() != session.shard.index) {
            stream = stream.detach();
        }
        let bits = deflate.as_ref().map(|d| d.server_max_window_bits);
        let decoder = ws::Decoder::new(ws::Role::Server, core.config.ws_limits(), deflate.is_some());
        let wire = crate::session_task::ws_wire(session.version, session.base64, bits);
        session.command(Command::Probe(Box::new(WsConn { stream, decoder, wire }), early));
    });
    Ok(response)
}

fn configure(core: &EngineCore, stream: &WsStream) {
    if let Some(bytes) = core.config.socket_send_buffer {
        stream.set_send_buffer(bytes);
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
