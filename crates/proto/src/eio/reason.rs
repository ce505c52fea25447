//! Why a session ended, in the words that applications of the reference server compare with.

use std::fmt;

/// Why a session ended. The first five come from the reference server, `ServerShuttingDown` from Socket.IO's
/// `io.close()`, the last two are limits of our own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The transport failed, or the peer broke a rule of the transport or of the heartbeat.
    TransportError,
    /// The peer closed its transport or sent a `close` packet.
    TransportClose,
    /// This side closed the session.
    ForcedClose,
    /// The peer was silent for too long.
    PingTimeout,
    /// The peer sent something that is no packet.
    ParseError,
    /// The whole server is stopping.
    ServerShuttingDown,
    /// The peer reads too slowly: what waits for it went over its limit.
    SlowReader,
    /// The peer sends faster than the application handles: its inbound queue went over its limit.
    InboundOverflow,
}

impl CloseReason {
    /// The exact text that handlers, logs and metrics show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ServerShuttingDown => "server shutting down",
            Self::SlowReader => "slow reader",
            Self::InboundOverflow => "inbound overflow",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::CloseReason::*;

    #[test]
    fn texts_are_those_of_the_reference() {
        let rows = [
            (TransportError, "transport error"),
            (TransportClose, "transport close"),
            (ForcedClose, "forced close"),
            (PingTimeout, "ping timeout"),
            (ParseError, "parse error"),
            (ServerShuttingDown, "server shutting down"),
            (SlowReader, "slow reader"),
            (InboundOverflow, "inbound overflow"),
        ];
        for (reason, text) in rows {
            assert_eq!(reason.to_string(), text);
        }
    }
}
