//! The errors of the public API, one enum per operation.

use std::fmt;
use std::sync::Arc;

use crate::engine::{ConnectError as EngineError, UrlError};
use crate::reason::DisconnectReason;

/// Why a client cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The address is no http, https, ws or wss URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// There is no Tokio runtime here; see [`blocking`](crate::blocking) for programs without one.
    #[error("no Tokio runtime: build the client inside one, or use `trunkline_client::blocking`")]
    NoRuntime,
    /// The auth payload is not an object.
    #[error("the auth payload is not an object")]
    AuthNotAnObject,
    /// A header name or value is illegal.
    #[error("illegal header: {0}")]
    Header(String),
    /// The proxy's address cannot be used.
    #[error("the proxy: {0}")]
    Proxy(UrlError),
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// Why a socket did not connect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server refused the namespace (CONNECT_ERROR). The socket stays away until `connect` is called.
    #[error("{message}")]
    Refused {
        /// The server's words.
        message: String,
        /// What the server sent with them.
        data: Option<serde_json::Value>,
    },
    /// No connection to the server.
    #[error(transparent)]
    Transport(#[from] OpenError),
    /// The connection was lost before the server let the socket in.
    #[error("the connection was lost: {0}")]
    Lost(DisconnectReason),
    /// The server did not answer in time. The socket stays away until `connect` is called.
    #[error("the server did not answer in time")]
    Timeout,
    /// The auth function failed. The socket stays away until `connect` is called.
    #[error("auth: {0}")]
    Auth(String),
    /// The answer is that of a server older than Socket.IO 3.
    #[error("the server speaks Socket.IO 2, this client 3 and newer")]
    OldServer,
    /// The attempts to reconnect are used up.
    #[error("gave up reconnecting")]
    GaveUp,
    /// The socket or the whole client was closed here.
    #[error("the client was closed")]
    Closed,
}

/// Why there is no connection to the server, in all detail; shown with its causes.
#[derive(Debug, Clone)]
pub struct OpenError(Arc<EngineError>);

impl OpenError {
    /// What went wrong, to match on.
    pub fn cause(&self) -> &EngineError {
        &self.0
    }
}

impl From<EngineError> for OpenError {
    fn from(error: EngineError) -> Self {
        Self(Arc::new(error))
    }
}

impl PartialEq for OpenError {
    /// The same occurrence; the causes cannot be compared.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OpenError {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&*self.0))
    }
}

impl std::error::Error for OpenError {}

/// An error with its causes, as one line for people.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
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

/// Why an emit was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// What waits to be sent has reached its bound; nothing was queued.
    #[error("the send buffer is full")]
    Full,
    /// The client was closed, or the socket is offline and keeps nothing.
    #[error("the socket is not connected")]
    Closed,
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why arguments cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(String);

impl From<trunkline_proto::sio::EncodeError> for EncodeError {
    fn from(error: trunkline_proto::sio::EncodeError) -> Self {
        Self(error.to_string())
    }
}

/// Why an awaited acknowledgement did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The server did not answer in time.
    #[error("no acknowledgement within the timeout")]
    Timeout,
    /// The socket disconnected before the answer, the event was dropped while offline, or nobody tries to connect any more.
    #[error("the socket disconnected before it was answered")]
    Disconnected,
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The answer has another type.
    #[error("the acknowledgement cannot be decoded: {0}")]
    Decode(String),
}
