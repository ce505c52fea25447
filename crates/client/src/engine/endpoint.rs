//! What every request of a session says: target, query, headers, cookies; and how answers that refuse are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::timeout;
use trunkline_proto::eio::TransportKind;
use trunkline_proto::ws::ClientHandshake;

use super::config::EngineConfig;
use super::cookies::{CookieJar, Target};
use super::dial::dial;
use super::error::{ConnectError, HttpError};
use super::http::{Answer, ExchangeError, HttpConn, Upgrade, upgrade};
use super::websocket::WebSocket;

/// A server as the transports of one session see it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) config: EngineConfig,
    jar: CookieJar,
}

impl Endpoint {
    pub(super) fn new(config: EngineConfig, jar: CookieJar) -> Arc<Self> {
        Arc::new(Self { config, jar })
    }

    /// One exchange of polling: over `conn` if the server keeps it, else over a new connection, which is given back.
    pub(super) async fn poll(
        &self,
        conn: Option<Box<HttpConn>>,
        sid: Option<&str>,
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<(Answer, Box<HttpConn>), ConnectError> {
        let exchange = async {
            let request = self.polling_request(sid, body)?;
            let (answer, conn) = self.exchange(conn, request).await?;
            self.jar.store(self.target(), &answer.headers, SystemTime::now());
            Ok((answer, conn))
        };
        timeout(limit, exchange).await.unwrap_or(Err(ConnectError::Timeout { step: "a polling request" }))
    }

    /// Opens a WebSocket: for a new session, or for the upgrade of session `sid`.
    pub(super) async fn open_websocket(&self, sid: Option<&str>) -> Result<WebSocket, ConnectError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| ConnectError::Random)?;
        let handshake = ClientHandshake::new(nonce);
        let mut request = self.request(Method::GET, TransportKind::WebSocket, sid)?;
        for (name, value) in handshake.headers() {
            let value = HeaderValue::from_str(value).map_err(|e| ConnectError::Request(e.into()))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let stream = dial(&self.config).await?;
        let result = upgrade(stream, request, |status| status.as_u16() == 101).await;
        match result.map_err(|source| self.http_error(source))? {
            Upgrade::Done { status, headers, stream, early } => {
                self.jar.store(self.target(), &headers, SystemTime::now());
                let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                handshake.check(status.as_u16(), pairs)?;
                Ok(WebSocket::new(stream, early, self.config.max_payload))
            }
            Upgrade::Refused(answer) => {
                self.jar.store(self.target(), &answer.headers, SystemTime::now());
                Err(refusal(&answer))
            }
        }
    }

    async fn exchange(
        &self,
        conn: Option<Box<HttpConn>>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Answer, Box<HttpConn>), ConnectError> {
        let limit = self.config.max_payload.saturating_mul(2);
        if let Some(mut conn) = conn.filter(|conn| conn.is_reusable()) {
            match conn.exchange(request, limit).await {
                Ok(answer) => return Ok((answer, conn)),
                // The server closed it while it was idle.
                Err(ExchangeError::Unsent(unsent)) => request = *unsent,
                Err(ExchangeError::Failed(error)) => return Err(self.http_error(error)),
            }
        }
        let stream = dial(&self.config).await?;
        let mut conn = Box::new(HttpConn::new(stream).await.map_err(|error| self.http_error(error))?);
        match conn.exchange(request, limit).await {
            Ok(answer) => Ok((answer, conn)),
            Err(ExchangeError::Failed(error)) => Err(self.http_error(error)),
            Err(ExchangeError::Unsent(_)) => {
                Err(ConnectError::NotSocketIo { why: "it closed before a request" })
            }
        }
    }

    fn http_error(&self, source: HttpError) -> ConnectError {
        ConnectError::Http { host: self.config.url.host_header(), source }
    }

    fn polling_request(
        &self,
        sid: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Request<Full<Bytes>>, ConnectError> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.request(method, TransportKind::Polling, sid)?;
        if let Some(body) = body {
            let text = HeaderValue::from_static("text/plain;charset=UTF-8");
            request.headers_mut().insert(header::CONTENT_TYPE, text);
            *request.body_mut() = Full::new(body.into());
        }
        Ok(request)
    }

    fn request(
        &self,
        method: Method,
        transport: TransportKind,
        sid: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, ConnectError> {
        let url = &self.config.url;
        let mut request = Request::builder()
            .method(method)
            .uri(self.path_and_query(transport, sid))
            .body(Full::default())
            .map_err(ConnectError::Request)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in &self.config.extra_headers {
            headers.append(name, value.clone());
        }
        let value = |text: String| HeaderValue::try_from(text).map_err(|e| ConnectError::Request(e.into()));
        if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, value(url.host_header())?);
        }
        if let Some(kept) = self.jar.header(self.target(), SystemTime::now()) {
            let own = headers.get(header::COOKIE).and_then(|own| own.to_str().ok());
            let all = own.map_or_else(|| kept.clone(), |own| format!("{own}; {kept}"));
            headers.insert(header::COOKIE, value(all)?);
        }
        Ok(request)
    }

    fn path_and_query(&self, transport: TransportKind, sid: Option<&str>) -> String {
        let mut text = format!("{}?EIO=4&transport={}", self.config.url.path, transport.as_str());
        if transport == TransportKind::Polling {
            // Against caches on the way; the reference sends it with every polling request, too.
            text.push_str("&t=");
            text.push_str(&stamp());
        }
        let own = self.config.url.query.iter().chain(&self.config.query);
        for (name, value) in
            own.map(|(name, value)| (name.as_str(), value.as_str())).chain(sid.map(|sid| ("sid", sid)))
        {
            text.push('&');
            text.extend(utf8_percent_encode(name, COMPONENT));
            text.push('=');
            text.extend(utf8_percent_encode(value, COMPONENT));
        }
        text
    }

    fn target(&self) -> Target<'_> {
        let url = &self.config.url;
        Target { host: &url.host, path: &url.path, secure: url.secure }
    }
}

/// The error that an answer other than success stands for: the server's `{"code","message"}`, or what it sent instead.
pub(super) fn refusal(answer: &Answer) -> ConnectError {
    #[derive(Deserialize)]
    struct Body {
        code: u8,
        message: String,
    }
    let status = answer.status.as_u16();
    let (code, mut message) = match serde_json::from_slice::<Body>(&answer.body) {
        Ok(body) => (Some(body.code), body.message),
        Err(_) if answer.body.is_empty() => (None, answer.status.canonical_reason().unwrap_or("").to_owned()),
        Err(_) => {
            let front = answer.body.get(..MAX_MESSAGE).unwrap_or(&answer.body);
            (None, String::from_utf8_lossy(front).into_owned())
        }
    };
    let end = (0..=MAX_MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    message.truncate(end);
    ConnectError::Handshake { status, code, message }
}

/// Another text for each request.
fn stamp() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    format!("{millis:x}.{:x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Bytes of a server's message that an error keeps.
const MAX_MESSAGE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Url;

    #[test]
    fn a_request_says_everything() {
        let mut config = EngineConfig::new(Url::parse("http://a:1/x?k=v").expect("valid"));
        config.query.push(("to ken".into(), "a&b=c/ü".into()));
        config.extra_headers.insert("cookie", HeaderValue::from_static("own=1"));
        let jar = CookieJar::default();
        let endpoint = Endpoint::new(config, jar);
        let mut set = http::HeaderMap::new();
        set.insert(header::SET_COOKIE, HeaderValue::from_static("io=2; Path=/"));
        endpoint.jar.store(endpoint.target(), &set, SystemTime::now());

        let request = endpoint.request(Method::GET, TransportKind::WebSocket, Some("a+b")).expect("valid");
        assert_eq!(
            request.uri().to_string(),
            "/x/?EIO=4&transport=websocket&k=v&to%20ken=a%26b%3Dc%2F%C3%BC&sid=a%2Bb"
        );
        assert_eq!(request.headers()["host"], "a:1");
        assert_eq!(request.headers()["cookie"], "own=1; io=2");
        let stamps = [
            endpoint.path_and_query(TransportKind::Polling, None),
            endpoint.path_and_query(TransportKind::Polling, None),
        ];
        assert!(stamps[0].contains("&t=") && stamps[0] != stamps[1]);
    }

    #[test]
    fn refusals_are_read() {
        let refusal = |status: u16, body: &'static [u8]| {
            let status = http::StatusCode::from_u16(status).expect("a status");
            match refusal(&Answer { status, headers: http::HeaderMap::new(), body: Bytes::from_static(body) })
            {
                ConnectError::Handshake { status, code, message } => (status, code, message),
                other => panic!("{other}"),
            }
        };
        assert_eq!(refusal(403, br#"{"code":4,"message":"no entry"}"#), (403, Some(4), "no entry".into()));
        assert_eq!(refusal(400, br#"{"code":"4"}"#), (400, None, r#"{"code":"4"}"#.into()));
        assert_eq!(refusal(502, b""), (502, None, "Bad Gateway".into()));
        let (_, _, message) = refusal(500, &[0xe2; 1_000]);
        assert!(message.len() <= MAX_MESSAGE, "{}", message.len());
    }
}
