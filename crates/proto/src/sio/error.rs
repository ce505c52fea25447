//! What can go wrong between raw arguments and the application's types.

use std::fmt;

/// An argument that is not what the application asked for. The peer kept to the protocol; only the types
/// disagree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A JSON argument does not fit the type.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A msgpack argument does not fit the type.
    #[error(transparent)]
    Msgpack(#[from] rmp_serde::decode::Error),
    /// The argument with this number (from 0) was asked for but not sent.
    #[error("argument {0} is missing")]
    MissingArgument(usize),
    /// The list of arguments does not fit the type.
    #[error("{0}")]
    Arguments(String),
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Arguments(message.to_string())
    }
}

/// A packet that cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The event name is reserved, see [`is_reserved`](super::is_reserved).
    #[error("{0:?} is a reserved event name")]
    ReservedName(String),
    /// [`Many`](super::Many) around something that is not a sequence.
    #[error("the arguments are not a sequence")]
    NotASequence,
    /// The auth payload of CONNECT is not an object.
    #[error("the auth payload is not an object")]
    AuthNotAnObject,
    /// A value that JSON cannot express, e.g. a map whose keys are no strings.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A value that msgpack cannot express.
    #[error(transparent)]
    Msgpack(#[from] rmp_serde::encode::Error),
}
