//! What a client's first request said; copied once into one allocation, so that nothing pins the HTTP server's buffers.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
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
pub struct Handshake(Arc<[u8]>);

/// What stands in front of the texts. In the allocation: 13 bytes, then the address, then the URL, then for each header the name
/// and the value, each with a NUL behind it; a name of [`NAMES`] is one byte.
struct Head {
    /// Milliseconds since 1970.
    issued: u64,
    url_len: u32,
    cross_origin: bool,
    info: Option<ConnectionInfo>,
}

impl Handshake {
    pub(crate) fn new(
        url: &str,
        headers: &HeaderMap,
        info: Option<ConnectionInfo>,
        cross_origin: bool,
    ) -> Self {
        let size = headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 2).sum::<usize>();
        let mut out = Vec::with_capacity(MAX_HEAD + url.len() + size);
        let issued = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let issued = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
        let url_len = u32::try_from(url.len()).unwrap_or(0);
        Head { issued, url_len, cross_origin, info }.write(&mut out);
        out.extend_from_slice(url.as_bytes());
        for (name, value) in headers {
            match NAMES.iter().position(|known| *known == name.as_str()) {
                Some(index) => out.push(KNOWN | index as u8),
                None => {
                    out.extend_from_slice(name.as_str().as_bytes());
                    out.push(0);
                }
            }
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
        Self(out.into())
    }

    fn parts(&self) -> (Head, &[u8]) {
        // Only `Head::write` writes it.
        Head::read(&self.0).unwrap_or((Head { issued: 0, url_len: 0, cross_origin: false, info: None }, &[]))
    }

    /// Path and query of the request, as sent.
    pub fn url(&self) -> &str {
        let (head, text) = self.parts();
        text.get(..head.url_len as usize).and_then(|u| std::str::from_utf8(u).ok()).unwrap_or_default()
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
        let (head, text) = self.parts();
        let mut rest = text.get(head.url_len as usize..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (first, after) = rest.split_first()?;
            let name = if first & KNOWN == 0 {
                std::str::from_utf8(until_nul(&mut rest)?).ok()?
            } else {
                rest = after;
                NAMES.get(usize::from(first & !KNOWN))?
            };
            Some((name, until_nul(&mut rest)?))
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
        self.parts().0.info.map(|info| info.address)
    }

    /// Whether the connection is TLS, as far as the server told it.
    pub fn is_secure(&self) -> bool {
        self.parts().0.info.is_some_and(|info| info.secure)
    }

    /// Whether a page of another origin made the request.
    pub fn is_cross_origin(&self) -> bool {
        self.parts().0.cross_origin
    }

    /// When the request came.
    pub fn issued(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.parts().0.issued)
    }
}

impl Head {
    fn write(&self, out: &mut Vec<u8>) {
        let mut flags = if self.cross_origin { CROSS_ORIGIN } else { 0 };
        if let Some(info) = &self.info {
            flags |= if info.address.is_ipv6() { V6 } else { V4 } | if info.secure { SECURE } else { 0 };
        }
        out.extend_from_slice(&self.issued.to_le_bytes());
        out.extend_from_slice(&self.url_len.to_le_bytes());
        out.push(flags);
        match self.info.map(|info| info.address) {
            None => {}
            Some(SocketAddr::V4(address)) => {
                out.extend_from_slice(&address.ip().octets());
                out.extend_from_slice(&address.port().to_le_bytes());
            }
            Some(SocketAddr::V6(address)) => {
                out.extend_from_slice(&address.ip().octets());
                out.extend_from_slice(&address.port().to_le_bytes());
                out.extend_from_slice(&address.flowinfo().to_le_bytes());
                out.extend_from_slice(&address.scope_id().to_le_bytes());
            }
        }
    }

    /// With what follows.
    fn read(mut from: &[u8]) -> Option<(Self, &[u8])> {
        let from = &mut from;
        let issued = u64::from_le_bytes(take(from)?);
        let url_len = u32::from_le_bytes(take(from)?);
        let [flags] = take(from)?;
        let address = if flags & V4 != 0 {
            let ip = Ipv4Addr::from(take::<4>(from)?);
            Some(SocketAddr::from((ip, u16::from_le_bytes(take(from)?))))
        } else if flags & V6 != 0 {
            let ip = Ipv6Addr::from(take::<16>(from)?);
            let (port, flow) = (u16::from_le_bytes(take(from)?), u32::from_le_bytes(take(from)?));
            Some(SocketAddrV6::new(ip, port, flow, u32::from_le_bytes(take(from)?)).into())
        } else {
            None
        };
        let info = address.map(|address| ConnectionInfo { address, secure: flags & SECURE != 0 });
        Some((Self { issued, url_len, cross_origin: flags & CROSS_ORIGIN != 0, info }, *from))
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

fn until_nul<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(from.iter().position(|c| *c == 0)?)?;
    *from = &rest[1..];
    Some(taken)
}

const CROSS_ORIGIN: u8 = 1;
const SECURE: u8 = 2;
const V4: u8 = 4;
const V6: u8 = 8;
/// Bytes of a head at most.
const MAX_HEAD: usize = 13 + 26;
/// The bit that tells a name of `NAMES` from a name's first character.
const KNOWN: u8 = 0x80;
/// What clients send with nearly every request.
const NAMES: [&str; 32] = [
    "host",
    "connection",
    "upgrade",
    "sec-websocket-version",
    "sec-websocket-key",
    "sec-websocket-extensions",
    "origin",
    "user-agent",
    "cookie",
    "accept-encoding",
    "accept-language",
    "accept",
    "cache-control",
    "pragma",
    "referer",
    "authorization",
    "content-type",
    "content-length",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-gpc",
    "dnt",
    "te",
    "priority",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "forwarded",
    "via",
    "sec-websocket-protocol",
];

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
        assert_eq!((h.address(), h.is_secure(), h.is_cross_origin()), (None, false, false));
    }

    #[test]
    fn known_names_and_addresses_come_back() {
        let mut headers = HeaderMap::new();
        for name in NAMES {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(name));
        }
        for (address, secure, cross_origin) in
            [("192.0.2.7:65535", true, false), ("[2001:db8::7%9]:80", false, true)]
        {
            let info = ConnectionInfo { address: address.parse().unwrap(), secure };
            let before = SystemTime::now();
            let h = Handshake::new("/socket.io/", &headers, Some(info), cross_origin);
            assert_eq!((h.address(), h.is_secure()), (Some(info.address), secure));
            assert_eq!(h.is_cross_origin(), cross_origin);
            assert!(
                h.issued().duration_since(before).is_ok_and(|d| d < Duration::from_secs(60))
                    || h.issued() < before
            );
            assert_eq!(h.url(), "/socket.io/");
            assert_eq!(h.headers().count(), NAMES.len());
            assert!(h.headers().all(|(name, value)| name.as_bytes() == value));
        }
    }
}
