//! What a client's first request said; copied once into one allocation, so that nothing pins the HTTP server's buffers.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// What a server knows of a connection; a request extension. [`crate::serve`] sets it. Who serves in another way inserts
/// it into each request's extensions, or [`Handshake::address`] is `None`.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionInfo {
    /// The peer's address.
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub secure: bool,
}

/// The request that opened a session (reference/socketio.md 2.2, `handshake`). Cheap to clone.
#[derive(Clone)]
pub struct Handshake {
    /// The URL, then for each header: name, NUL, value, NUL.
    text: std::sync::Arc<[u8]>,
    url_len: u32,
    /// Milliseconds since 1970.
    issued: u64,
    info: Option<ConnectionInfo>,
    cross_origin: bool,
}

impl Handshake {
    pub(crate) fn new(
        url: &str,
        headers: &HeaderMap,
        info: Option<ConnectionInfo>,
        cross_origin: bool,
    ) -> Self {
        let size = headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 2).sum::<usize>();
        let mut text = Vec::with_capacity(url.len() + size);
        text.extend_from_slice(url.as_bytes());
        for (name, value) in headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.push(0);
            text.extend_from_slice(value.as_bytes());
            text.push(0);
        }
        let issued = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            text: text.into(),
            url_len: u32::try_from(url.len()).unwrap_or(0),
            issued: u64::try_from(issued.as_millis()).unwrap_or(u64::MAX),
            info,
            cross_origin,
        }
    }

    /// Path and query of the request, as sent.
    pub fn url(&self) -> &str {
        self.text.get(..self.url_len as usize).and_then(|u| std::str::from_utf8(u).ok()).unwrap_or_default()
    }

    /// The parameters of the Engine.IO request's query, decoded, in order; application parameters among them.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        query_pairs(self.url().split_once('?').map_or("", |(_, query)| query))
    }

    /// The first query parameter of this name.
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The first header of this name (names are compared without case); `None` also where its value is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .and_then(|(_, v)| std::str::from_utf8(v).ok())
    }

    /// All headers, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut parts = self.text.get(self.url_len as usize..).unwrap_or_default().split(|c| *c == 0);
        std::iter::from_fn(move || {
            let name = std::str::from_utf8(parts.next()?).ok()?;
            Some((name, parts.next()?))
        })
    }

    /// A cookie of the request.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let cookies =
            self.headers().filter(|(n, _)| *n == "cookie").filter_map(|(_, v)| std::str::from_utf8(v).ok());
        cookies.flat_map(|c| c.split(';')).find_map(|pair| {
            let (n, value) = pair.trim().split_once('=')?;
            (n == name).then_some(value)
        })
    }

    /// The peer's address, if the server told it ([`ConnectionInfo`]).
    pub fn address(&self) -> Option<SocketAddr> {
        self.info.map(|info| info.address)
    }

    /// Whether the connection is TLS, as far as the server told it.
    pub fn is_secure(&self) -> bool {
        self.info.is_some_and(|info| info.secure)
    }

    /// Whether a page of another origin made the request.
    pub fn is_cross_origin(&self) -> bool {
        self.cross_origin
    }

    /// When the request came.
    pub fn issued(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.issued)
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Header values hold credentials: they are not for logs.
        f.debug_struct("Handshake").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Decodes `a=b&c=d`.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn handshake() -> Handshake {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1; io=abc"));
        headers.append(
            HeaderName::from_static("x-raw"),
            HeaderValue::from_bytes(b"\xff").expect("a valid value"),
        );
        headers.append("x-empty", HeaderValue::from_static(""));
        headers.append("x-last", HeaderValue::from_static("end"));
        Handshake::new("/socket.io/?EIO=4&name=J%C3%BCrg+A", &headers, None, false)
    }

    #[test]
    fn query_headers_and_cookies_are_found() {
        let h = handshake();
        assert_eq!(h.query_param("name").as_deref(), Some("Jürg A"));
        assert_eq!(h.query_param("none"), None);
        assert_eq!(h.header("X-LAST"), Some("end"));
        assert_eq!(h.header("x-empty"), Some(""));
        assert_eq!(h.header("x-raw"), None, "not UTF-8");
        assert_eq!(h.cookie("io"), Some("abc"));
        assert_eq!(h.cookie("b"), None);
        assert_eq!(h.headers().count(), 4);
    }
}
