//! Why a session could not be opened, and why an open one ended.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use trunkline_proto::eio::{self, CloseReason, OpenError};
use trunkline_proto::ws;

use super::proxy::ProxyError;
use super::url::UrlError;

/// Why no session could be opened, or no WebSocket for its upgrade.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The configuration names no transport.
    #[error("no transport is configured")]
    NoTransport,
    /// A configured query or header cannot be part of a request.
    #[error("the configured path, query or headers make no valid request")]
    Request(#[source] http::Error),
    /// The host's name has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system's resolver says.
        source: io::Error,
    },
    /// No address of the host accepts a connection; the last one that was tried.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The proxy did not connect us.
    #[error("the proxy {proxy} did not connect us")]
    Proxy {
        /// Its host and port.
        proxy: String,
        /// What it did instead.
        source: ProxyError,
    },
    /// TLS failed: most often a certificate that is not trusted.
    #[error("TLS with {host} failed")]
    Tls {
        /// The server's name.
        host: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The answer is not HTTP, is too large, or was cut short.
    #[error("the exchange with {host} failed")]
    Http {
        /// The server.
        host: String,
        /// What is wrong.
        source: HttpError,
    },
    /// The server refused: its status, and the code and message of its JSON answer if it sent one.
    #[error("the server refused with status {status}: {message}")]
    Handshake {
        /// The HTTP status.
        status: u16,
        /// The Engine.IO error code, 0 to 5.
        code: Option<u8>,
        /// The server's message, or the beginning of what it sent instead; at most 256 bytes.
        message: String,
    },
    /// The answer to a WebSocket's opening handshake breaks a rule.
    #[error("the server opened no WebSocket")]
    WebSocket(#[from] ws::HandshakeError),
    /// The server answered, but not as Socket.IO does.
    #[error("the server does not speak Engine.IO 4 at this address: {why}")]
    NotSocketIo {
        /// What came instead of the `open` packet.
        why: &'static str,
    },
    /// The `open` packet is invalid.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The connection failed before the session, or the upgrade, was complete.
    #[error("the connection failed before the session was open")]
    Transport(#[from] TransportError),
    /// A step took too long.
    #[error("{step} took too long")]
    Timeout {
        /// Which.
        step: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes")]
    Random,
}

/// Why an HTTP exchange gave no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The connection broke, or what came is not HTTP.
    #[error(transparent)]
    Protocol(#[from] hyper::Error),
    /// The answer's body is larger than accepted.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// What is accepted.
        limit: usize,
    },
}

/// Why a transport that was open is so no more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ended without a close frame.
    #[error("the server closed the connection")]
    Ended,
    /// The server sent a close frame.
    #[error("the server closed the WebSocket with code {code}: {reason}")]
    Closed {
        /// Its code; 1005 if it gave none (RFC 6455 section 7.1.5).
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// The server broke a rule of WebSocket.
    #[error(transparent)]
    Frame(#[from] ws::Violation),
    /// The server broke a rule of Engine.IO.
    #[error(transparent)]
    Packet(#[from] eio::Violation),
    /// A poll or a post failed on its way.
    #[error("a polling request failed")]
    Request(#[source] Box<ConnectError>),
    /// A polling answer is not UTF-8.
    #[error("a polling answer is not UTF-8")]
    NotText,
}

impl TransportError {
    /// The reason with which the session ends.
    pub(crate) fn close_reason(&self) -> CloseReason {
        match self {
            Self::Ended | Self::Closed { .. } => CloseReason::TransportClose,
            Self::Packet(violation) => violation.close_reason(),
            Self::NotText => CloseReason::ParseError,
            Self::Io(_) | Self::Frame(_) | Self::Request(_) => CloseReason::TransportError,
        }
    }

    /// The error and its causes, as one line for people.
    pub(crate) fn description(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let cause = error.to_string();
            // Transparent layers say what their cause says.
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            source = error.source();
        }
        text
    }
}
