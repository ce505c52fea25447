//! Why a connection of the load is over.

use std::fmt;
use std::time::Duration;

use crate::setting::Span;

/// What ended a connection before the run was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The server made it leave the namespace (DISCONNECT, socket.io-protocol v5).
    Disconnected,
    /// Nobody answered it within this time.
    Unanswered(Duration),
    /// It could not be opened, it broke, or the server broke a rule: in words.
    Failed(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the server ended the namespace (DISCONNECT)"),
            Self::Unanswered(limit) => write!(f, "no answer within {}", Span(*limit)),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<String> for Lost {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<&str> for Lost {
    fn from(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

impl From<std::io::Error> for Lost {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
