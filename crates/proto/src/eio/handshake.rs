//! The first look at a request: its query, and the checks in the order of the reference server.

use std::borrow::Cow;

use super::{TransportKind, Version, Violation, urlencoded};

/// What Engine.IO reads from the query of a URL. Read as Node.js' `querystring` does: a parameter that is
/// repeated is a list there, which is no valid value for any of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query<'a> {
    transport: Param<'a>,
    eio: Param<'a>,
    sid: Param<'a>,
    j: Param<'a>,
    base64: bool,
}

impl<'a> Query<'a> {
    /// Reads the part of the URL behind `?`, not yet decoded. Never fails: what is wrong shows in [`verify`].
    pub fn parse(raw: &'a str) -> Self {
        let mut query = Self::default();
        match urlencoded::plain_pairs(raw) {
            Some(pairs) => pairs.for_each(|(name, value)| query.add(name.as_bytes(), Cow::Borrowed(value))),
            None => {
                urlencoded::pairs(raw.as_bytes()).for_each(|(name, value)| query.add(&name, lossy(value)))
            }
        }
        if let Param::Once(index) = &mut query.j
            && !index.bytes().all(|byte| byte.is_ascii_digit())
        {
            *index = Cow::Owned(index.chars().filter(char::is_ascii_digit).collect());
        }
        query
    }

    fn add(&mut self, name: &[u8], value: Cow<'a, str>) {
        match name {
            b"transport" => self.transport.add(value),
            b"EIO" => self.eio.add(value),
            b"sid" => self.sid.add(value),
            b"j" => self.j.add(value),
            // Any value counts, also "0" and "false"; that is what clients expect by now.
            b"b64" => self.base64 |= !value.is_empty(),
            _ => {}
        }
    }

    /// The transport asked for; `None` if it is missing, repeated or unknown.
    pub fn transport(&self) -> Option<TransportKind> {
        self.transport.once().and_then(TransportKind::from_name)
    }

    /// The session's id, if the request names exactly one.
    pub fn sid(&self) -> Option<&str> {
        self.sid.once().filter(|sid| !sid.is_empty())
    }

    /// The protocol: 4 if `EIO` is `4`, 3 if it is anything else or absent, `None` if it is repeated.
    pub fn version(&self) -> Option<Version> {
        match &self.eio {
            Param::Once(eio) if eio == "4" => Some(Version::V4),
            Param::Once(_) | Param::Absent => Some(Version::V3),
            Param::Repeated => None,
        }
    }

    /// The digits of `j`: present when responses must be JSONP, see [`super::jsonp`]. May be empty.
    pub fn jsonp(&self) -> Option<&str> {
        self.j.once()
    }

    /// Whether the client cannot take binary (`b64`, not empty).
    pub fn base64(&self) -> bool {
        self.base64
    }
}

/// A request, as far as the checks look at it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method is GET.
    pub method_is_get: bool,
    /// The method is POST.
    pub method_is_post: bool,
    /// The query of the URL.
    pub query: Query<'a>,
    /// The `Origin` header is absent, or holds only what a header may hold.
    pub origin_valid: bool,
    /// The request asks to become a WebSocket.
    pub upgrade: bool,
}

/// A request that passed the checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<'a> {
    /// A new session.
    Handshake {
        /// The protocol it speaks.
        version: Version,
        /// Its first transport.
        transport: TransportKind,
        /// The client cannot take binary: binary messages go as base64, also on a WebSocket.
        base64: bool,
        /// The digits of `j` (perhaps none) if polling responses must be JSONP.
        jsonp: Option<&'a str>,
    },
    /// A request of a session that exists: a poll, a post, or the WebSocket of an upgrade.
    Existing {
        /// The session's id.
        sid: &'a str,
        /// The transport of this request; with an upgrade, the one that wants to take over.
        transport: TransportKind,
    },
}

/// A set of enabled transports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Transports(u8);

impl Transports {
    /// No transport.
    pub const NONE: Self = Self(0);
    /// HTTP long-polling.
    pub const POLLING: Self = Self(1);
    /// WebSocket.
    pub const WEBSOCKET: Self = Self(2);
    /// Both, the default.
    pub const ALL: Self = Self(3);

    /// Whether `kind` is enabled.
    pub const fn contains(self, kind: TransportKind) -> bool {
        let bit = match kind {
            TransportKind::Polling => Self::POLLING.0,
            TransportKind::WebSocket => Self::WEBSOCKET.0,
        };
        self.0 & bit != 0
    }

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Default for Transports {
    fn default() -> Self {
        Self::ALL
    }
}

impl From<TransportKind> for Transports {
    fn from(kind: TransportKind) -> Self {
        match kind {
            TransportKind::Polling => Self::POLLING,
            TransportKind::WebSocket => Self::WEBSOCKET,
        }
    }
}

impl FromIterator<TransportKind> for Transports {
    fn from_iter<I: IntoIterator<Item = TransportKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, |set, kind| set.union(kind.into()))
    }
}

/// Checks a request in the order of the reference server (`verify`, then `handshake`), so that a request
/// that is wrong in two ways gets the same answer. `lookup` gives the current transport of a session.
///
/// The application's own check belongs between the last two: call it when the result is a handshake, or the
/// error [`Violation::UnsupportedVersion`].
pub fn verify<'a>(
    req: &'a Request<'_>,
    allowed: Transports,
    allow_eio3: bool,
    lookup: impl FnOnce(&str) -> Option<TransportKind>,
) -> Result<Verdict<'a>, Violation> {
    let query = &req.query;
    let transport =
        query.transport().filter(|&kind| allowed.contains(kind)).ok_or(Violation::TransportUnknown)?;
    if !req.origin_valid {
        return Err(Violation::InvalidOrigin);
    }
    if query.sid == Param::Repeated {
        return Err(Violation::SessionUnknown);
    }
    match query.sid() {
        Some(sid) => verify_existing(req, sid, transport, lookup),
        None => verify_handshake(req, transport, allow_eio3),
    }
}

fn verify_existing<'a>(
    req: &'a Request<'_>,
    sid: &'a str,
    transport: TransportKind,
    lookup: impl FnOnce(&str) -> Option<TransportKind>,
) -> Result<Verdict<'a>, Violation> {
    let current = lookup(sid).ok_or(Violation::SessionUnknown)?;
    if req.upgrade {
        // A WebSocket can only become a WebSocket, whatever its query says.
        return match transport {
            TransportKind::WebSocket => Ok(Verdict::Existing { sid, transport }),
            TransportKind::Polling => Err(Violation::TransportMismatch),
        };
    }
    if transport != current {
        return Err(Violation::TransportMismatch);
    }
    if transport == TransportKind::WebSocket {
        // A plain request on a session that lives on a WebSocket: the reference server never answers it.
        return Err(Violation::TransportHandshake);
    }
    if !req.method_is_get && !req.method_is_post {
        return Err(Violation::BadMethod);
    }
    Ok(Verdict::Existing { sid, transport })
}

fn verify_handshake<'a>(
    req: &'a Request<'_>,
    transport: TransportKind,
    allow_eio3: bool,
) -> Result<Verdict<'a>, Violation> {
    if !req.method_is_get {
        return Err(Violation::BadHandshakeMethod);
    }
    if req.upgrade != (transport == TransportKind::WebSocket) {
        return Err(Violation::TransportHandshake);
    }
    let version = req.query.version().ok_or(Violation::UnsupportedVersion)?;
    if version == Version::V3 && !allow_eio3 {
        return Err(Violation::UnsupportedVersion);
    }
    let jsonp = req.query.jsonp().filter(|_| transport == TransportKind::Polling);
    Ok(Verdict::Handshake { version, transport, base64: req.query.base64(), jsonp })
}

/// Appends the `open` packet (engine.io-protocol v4, "Handshake"), for example
/// `0{"sid":"…","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`.
/// `max_payload` is in bytes. Protocol 3 gets the same, as from the reference server.
pub fn open_packet(
    out: &mut Vec<u8>,
    sid: &str,
    upgrades: &[TransportKind],
    ping_interval_ms: u64,
    ping_timeout_ms: u64,
    max_payload: u64,
) {
    // Serialising a string cannot fail; without a sid the client would refuse the handshake.
    let sid = serde_json::to_string(sid).unwrap_or_else(|_| String::from("\"\""));
    out.extend_from_slice(b"0{\"sid\":");
    out.extend_from_slice(sid.as_bytes());
    out.extend_from_slice(b",\"upgrades\":[");
    for (index, kind) in upgrades.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(kind.as_str().as_bytes());
        out.push(b'"');
    }
    let heartbeat = format!("\"pingInterval\":{ping_interval_ms},\"pingTimeout\":{ping_timeout_ms}");
    out.extend_from_slice(format!("],{heartbeat},\"maxPayload\":{max_payload}}}").as_bytes());
}

/// A parameter of a query.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Param<'a> {
    #[default]
    Absent,
    Once(Cow<'a, str>),
    Repeated,
}

impl<'a> Param<'a> {
    fn add(&mut self, value: Cow<'a, str>) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }

    fn once(&self) -> Option<&str> {
        match self {
            Self::Once(value) => Some(value),
            Self::Absent | Self::Repeated => None,
        }
    }
}

/// Bytes that are not UTF-8 can be no known value, so losing them is harmless.
fn lossy(value: Cow<'_, [u8]>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
        }
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
