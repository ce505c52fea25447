//! Why a socket was disconnected, in the words of the reference server.

use std::fmt;

/// The reason handed to `disconnect` handlers; [`as_str`](Self::as_str) is what a Node.js server reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The transport failed.
    TransportError,
    /// The peer closed the transport.
    TransportClose,
    /// The server closed the connection, e.g. after a protocol violation.
    ForcedClose,
    /// No answer to heartbeats.
    PingTimeout,
    /// The peer sent something that is no packet.
    ParseError,
    /// The whole server closes.
    ServerShuttingDown,
    /// The application closed the connection with all its namespaces.
    ForcedServerClose,
    /// The peer left the namespace.
    ClientNamespaceDisconnect,
    /// The application removed the socket from the namespace.
    ServerNamespaceDisconnect,
    /// The peer does not read what it is sent, and its queue is full. Not in the reference server.
    SlowReader,
    /// The peer sends faster than its events are handled. Not in the reference server.
    InboundOverflow,
}

impl DisconnectReason {
    /// The exact string of the reference server (`socket.ts`), or ours for the two reasons it does not know.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ServerShuttingDown => "server shutting down",
            Self::ForcedServerClose => "forced server close",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::SlowReader => "slow reader",
            Self::InboundOverflow => "inbound overflow",
        }
    }

    /// Whether the session may be restored later (connection state recovery). The reference server keeps
    /// sessions for six reasons; for our own two it is kept too, since for the client they are a transport
    /// that went away.
    pub const fn recoverable(self) -> bool {
        match self {
            Self::TransportError
            | Self::TransportClose
            | Self::ForcedClose
            | Self::PingTimeout
            | Self::ServerShuttingDown
            | Self::ForcedServerClose
            | Self::SlowReader
            | Self::InboundOverflow => true,
            Self::ParseError | Self::ClientNamespaceDisconnect | Self::ServerNamespaceDisconnect => false,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
