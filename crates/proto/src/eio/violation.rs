//! Every rule of Engine.IO that a peer can break, and in one table what is answered to it.

use std::borrow::Cow;
use std::fmt;

use super::CloseReason;

/// A rule that the peer broke.
///
/// [`Violation::http_status`] and its neighbours read one table (`row`, below). Handshake errors follow the
/// reference server's `Server.errors`, request errors its polling transport, packet errors its parsers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    // Handshake: refused before a session is touched.
    /// `transport` is missing, repeated, unknown or not enabled.
    TransportUnknown,
    /// The `Origin` header holds bytes that no header may hold.
    InvalidOrigin,
    /// `sid` is repeated or names no session of this server.
    SessionUnknown,
    /// `transport` is not the one that the session uses, and the request is no upgrade.
    TransportMismatch,
    /// A handshake that is not a GET.
    BadHandshakeMethod,
    /// `transport=websocket` without an upgrade, or an upgrade with `transport=polling`.
    TransportHandshake,
    /// The application's own check refused the request.
    Forbidden {
        /// What the application answered; the reference's default is "Forbidden".
        message: Cow<'static, str>,
    },
    /// `EIO` is not 4 while protocol 3 is off, or is repeated. An absent `EIO` means 3.
    UnsupportedVersion,
    /// The application's id generator failed.
    IdGeneration,
    /// A layer in front of the engine refused the request.
    Middleware,

    // Requests of an existing polling session.
    /// A GET while another GET waits.
    OverlappingGet,
    /// A POST while another POST is read.
    OverlappingPost,
    /// `application/octet-stream` under protocol 4, whose payloads are text.
    BinaryContentV4,
    /// A POST body above `maxPayload`.
    BodyTooLarge,
    /// The client dropped its waiting GET.
    GetAborted,
    /// The client dropped its POST before the end of the body.
    PostAborted,
    /// Neither GET nor POST.
    BadMethod,

    // Packets and payloads.
    /// No packet where one must be: an empty frame, an empty v4 body, two separators in a row.
    EmptyPacket,
    /// The first character (or byte) names no packet type that may stand there.
    UnknownPacketType,
    /// What follows `b` is not base64.
    InvalidBase64,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// A v3 length header is missing, is not decimal, or is not the length of what follows.
    BadPayloadLength,
    /// A JSONP body without exactly one `d` field.
    BadJsonpBody,
    /// `ping` from a client of protocol 4, `pong` from a client of protocol 3.
    HeartbeatDirection,
    /// `open` from a client, or `upgrade` outside of an upgrade.
    UnexpectedPacket,
}

impl Violation {
    /// The origin of the request is none of those that may connect.
    pub const ORIGIN_NOT_ALLOWED: Self = Self::Forbidden { message: Cow::Borrowed("Origin not allowed") };

    /// The HTTP status of the answer. A refused WebSocket upgrade is always answered 400 by the reference
    /// server, also for [`Violation::Forbidden`].
    pub fn http_status(&self) -> u16 {
        self.row().status
    }

    /// The Engine.IO error code, `None` where the reference server answers with an empty body.
    pub fn code(&self) -> Option<u8> {
        self.row().error.map(|error| error as u8)
    }

    /// The text beside the code; for a violation without a code, a description for logs.
    pub fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Forbidden { message } => Cow::Borrowed(message),
            _ => Cow::Borrowed(self.row().message),
        }
    }

    /// The response body, of type `application/json`, e.g. `{"code":0,"message":"Transport unknown"}`;
    /// `None` for an empty body. Allocates for what an application's check says in its own words only.
    pub fn body(&self) -> Option<Cow<'static, str>> {
        let row = self.row();
        let error = row.error?;
        Some(match self {
            Self::Forbidden { message } if message != error.message() => {
                if *self == Self::ORIGIN_NOT_ALLOWED {
                    return Some(Cow::Borrowed(r#"{"code":4,"message":"Origin not allowed"}"#));
                }
                // Serialising a string cannot fail; the fallback keeps the answer well-formed all the same.
                let text = serde_json::to_string(message).unwrap_or_else(|_| String::from("\"Forbidden\""));
                Cow::Owned(format!("{{\"code\":{},\"message\":{text}}}", error as u8))
            }
            _ => Cow::Borrowed(error.body()),
        })
    }

    /// Whether an existing session ends. Handshake errors, a body that is too large and a bad method leave
    /// sessions alone, as in the reference server.
    pub fn closes_session(&self) -> bool {
        self.row().close.is_some()
    }

    /// The reason with which the session ends. Where none ends ([`Violation::closes_session`] is false) it is
    /// [`CloseReason::TransportError`], for the caller that wants to end the session nevertheless.
    pub fn close_reason(&self) -> CloseReason {
        self.row().close.unwrap_or(CloseReason::TransportError)
    }

    /// The name in the `context` of a `connection_error` event and in logs, e.g. `TRANSPORT_MISMATCH`.
    /// Where the reference server gives data instead of a name (the transport, the sid, the method), it is
    /// the error's name.
    pub fn context_name(&self) -> &'static str {
        self.row().name
    }

    fn row(&self) -> Row {
        use CloseReason::{ParseError, TransportError};
        use Code::*;
        match self {
            Self::TransportUnknown => refuse(400, UnknownTransport, "UNKNOWN_TRANSPORT"),
            Self::InvalidOrigin => refuse(400, BadRequest, "INVALID_ORIGIN"),
            Self::SessionUnknown => refuse(400, UnknownSid, "UNKNOWN_SID"),
            Self::TransportMismatch => refuse(400, BadRequest, "TRANSPORT_MISMATCH"),
            Self::BadHandshakeMethod => refuse(400, HandshakeMethod, "BAD_HANDSHAKE_METHOD"),
            Self::TransportHandshake => refuse(400, BadRequest, "TRANSPORT_HANDSHAKE_ERROR"),
            Self::Forbidden { .. } => refuse(403, Forbidden, "FORBIDDEN"),
            Self::UnsupportedVersion => refuse(400, UnsupportedProtocol, "UNSUPPORTED_PROTOCOL_VERSION"),
            Self::IdGeneration => refuse(400, BadRequest, "ID_GENERATION_ERROR"),
            Self::Middleware => refuse(400, BadRequest, "MIDDLEWARE_FAILURE"),

            Self::OverlappingGet => close(400, TransportError, "OVERLAPPING_GET", "overlap from client"),
            Self::OverlappingPost => {
                close(400, TransportError, "OVERLAPPING_POST", "data request overlap from client")
            }
            Self::BinaryContentV4 => close(400, TransportError, "INVALID_CONTENT", "invalid content"),
            Self::BodyTooLarge => keep(413, "BODY_TOO_LARGE", "request body too large"),
            Self::GetAborted => {
                close(400, TransportError, "GET_ABORTED", "poll connection closed prematurely")
            }
            Self::PostAborted => {
                close(400, TransportError, "POST_ABORTED", "data request connection closed prematurely")
            }
            Self::BadMethod => keep(500, "BAD_METHOD", "neither GET nor POST"),

            Self::EmptyPacket => close(400, ParseError, "EMPTY_PACKET", "empty packet"),
            Self::UnknownPacketType => close(400, ParseError, "UNKNOWN_PACKET_TYPE", "unknown packet type"),
            Self::InvalidBase64 => close(400, ParseError, "INVALID_BASE64", "invalid base64"),
            Self::InvalidUtf8 => close(400, ParseError, "INVALID_UTF8", "invalid UTF-8"),
            Self::BadPayloadLength => close(400, ParseError, "BAD_PAYLOAD_LENGTH", "bad payload length"),
            Self::BadJsonpBody => {
                close(400, ParseError, "BAD_JSONP_BODY", "JSONP body without one field 'd'")
            }
            Self::HeartbeatDirection => {
                close(400, TransportError, "HEARTBEAT_DIRECTION", "invalid heartbeat direction")
            }
            Self::UnexpectedPacket => close(400, TransportError, "UNEXPECTED_PACKET", "unexpected packet"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Violation {}

/// What is answered to one violation.
struct Row {
    status: u16,
    error: Option<Code>,
    message: &'static str,
    /// `None`: sessions stay.
    close: Option<CloseReason>,
    name: &'static str,
}

/// `Server.errors` of the reference server.
#[derive(Clone, Copy)]
enum Code {
    UnknownTransport = 0,
    UnknownSid = 1,
    HandshakeMethod = 2,
    BadRequest = 3,
    Forbidden = 4,
    UnsupportedProtocol = 5,
}

impl Code {
    /// `Server.errorMessages` of the reference server.
    fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSid => "Session ID unknown",
            Self::HandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedProtocol => "Unsupported protocol version",
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::UnknownTransport => r#"{"code":0,"message":"Transport unknown"}"#,
            Self::UnknownSid => r#"{"code":1,"message":"Session ID unknown"}"#,
            Self::HandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Self::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            Self::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            Self::UnsupportedProtocol => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        }
    }
}

fn refuse(status: u16, error: Code, name: &'static str) -> Row {
    Row { status, error: Some(error), message: error.message(), close: None, name }
}

fn close(status: u16, reason: CloseReason, name: &'static str, message: &'static str) -> Row {
    Row { status, error: None, message, close: Some(reason), name }
}

fn keep(status: u16, name: &'static str, message: &'static str) -> Row {
    Row { status, error: None, message, close: None, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_agree_with_code_and_message() {
        let coded = [
            Violation::TransportUnknown,
            Violation::SessionUnknown,
            Violation::BadHandshakeMethod,
            Violation::InvalidOrigin,
            Violation::Forbidden { message: "no \"entry\"\n".into() },
            Violation::UnsupportedVersion,
        ];
        for (violation, code) in coded.into_iter().zip(0u8..) {
            assert_eq!(violation.code(), Some(code));
            let body = violation.body().expect("a coded violation has a body");
            let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(value, serde_json::json!({"code": code, "message": violation.message()}));
            assert!(!violation.closes_session());
        }
    }

    #[test]
    fn only_an_applications_own_words_are_encoded() {
        for (violation, is_ready) in [
            (Violation::SessionUnknown, true),
            (Violation::Forbidden { message: "Forbidden".into() }, true),
            (Violation::Forbidden { message: String::from("Forbidden").into() }, true),
            (Violation::ORIGIN_NOT_ALLOWED, true),
            (Violation::Forbidden { message: "no entry".into() }, false),
        ] {
            let body = violation.body().expect("a coded violation has a body");
            assert_eq!(matches!(body, Cow::Borrowed(_)), is_ready, "{body}");
            let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(value, serde_json::json!({"code": violation.code(), "message": violation.message()}));
        }
    }

    #[test]
    fn request_errors_have_no_body() {
        for (violation, status, closes) in [
            (Violation::OverlappingGet, 400, true),
            (Violation::OverlappingPost, 400, true),
            (Violation::BinaryContentV4, 400, true),
            (Violation::BodyTooLarge, 413, false),
            (Violation::BadMethod, 500, false),
        ] {
            assert_eq!(violation.http_status(), status, "{violation}");
            assert_eq!((violation.code(), violation.body()), (None, None), "{violation}");
            assert_eq!(violation.closes_session(), closes, "{violation}");
            assert_eq!(violation.close_reason(), CloseReason::TransportError, "{violation}");
        }
    }

    #[test]
    fn packet_errors_are_parse_errors_and_heartbeat_errors_are_not() {
        for violation in [
            Violation::EmptyPacket,
            Violation::UnknownPacketType,
            Violation::InvalidBase64,
            Violation::InvalidUtf8,
            Violation::BadPayloadLength,
            Violation::BadJsonpBody,
        ] {
            assert_eq!(violation.close_reason(), CloseReason::ParseError);
        }
        assert_eq!(Violation::HeartbeatDirection.close_reason(), CloseReason::TransportError);
        assert_eq!(Violation::UnexpectedPacket.close_reason(), CloseReason::TransportError);
    }
}
