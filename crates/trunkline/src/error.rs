//! The errors of the public API, one enum per operation.

/// Why an emit to one socket was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The client's send buffer is full: nothing was queued and the connection is kept. `drained()` tells when to go on.
    #[error("the send buffer is full")]
    Full,
    /// The socket is not connected (any more).
    #[error("the socket is not connected")]
    Closed,
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why a broadcast was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The memory bound of the server is reached.
    #[error("the server's memory bound is reached")]
    Overloaded,
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
    /// The client did not answer in time.
    #[error("no acknowledgement within the timeout")]
    Timeout,
    /// The socket disconnected before it answered.
    #[error("the socket disconnected before it answered")]
    Disconnected,
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The answer has another type.
    #[error("the acknowledgement cannot be decoded: {0}")]
    Decode(String),
}
