//! Why a socket was disconnected, in the words of the reference client.

use std::fmt;

use trunkline_proto::eio::CloseReason;

/// The reason handed to disconnect handlers; [`as_str`](Self::as_str) is what `socket.io-client` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The server removed the socket from the namespace. The socket does not come back by itself.
    IoServerDisconnect,
    /// `disconnect` was called here. The socket does not come back by itself.
    IoClientDisconnect,
    /// The server was silent for longer than its ping interval and timeout.
    PingTimeout,
    /// The connection was closed: the network was lost, or the server ended it.
    TransportClose,
    /// The connection failed.
    TransportError,
    /// The server sent something that is no packet.
    ParseError,
    /// The client closed the connection, although not for this socket.
    ForcedClose,
    /// More events came than may wait, to a namespace that is not connected or before the answer that a handler waits for; or
    /// handlers stood still for too long. Not in the reference.
    InboundOverflow,
}

impl DisconnectReason {
    /// The exact string of the reference client, or ours for the reason it does not know.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IoServerDisconnect => "io server disconnect",
            Self::IoClientDisconnect => "io client disconnect",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::InboundOverflow => "inbound overflow",
        }
    }

    /// Whether the client tries to come back by itself, if reconnection is on.
    pub const fn reconnects(self) -> bool {
        !matches!(self, Self::IoServerDisconnect | Self::IoClientDisconnect | Self::ForcedClose)
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportError => Self::TransportError,
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::InboundOverflow => Self::InboundOverflow,
            CloseReason::TransportClose | CloseReason::ServerShuttingDown | CloseReason::SlowReader => {
                Self::TransportClose
            }
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
