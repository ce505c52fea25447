//! What a WebSocket peer did wrong: one variant per rule, and the close code that tells it so.

use thiserror::Error;

/// The rule a peer broke. The connection cannot go on; [`Violation::close_code`] is what the close frame
/// says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// RSV2, RSV3, or RSV1 without permessage-deflate, is set (RFC 6455 section 5.2).
    #[error("a reserved bit is set")]
    ReservedBits,
    /// RSV1 on a control frame or a continuation (RFC 7692 section 6.1).
    #[error("the compression bit is set on a frame other than the first of a data message")]
    MisplacedCompressionBit,
    /// An opcode of 3..=7 or 11..=15 (RFC 6455 section 5.2).
    #[error("reserved opcode {0}")]
    ReservedOpCode(u8),
    /// A control frame without FIN (RFC 6455 section 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455 section 5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A continuation while no message is open (RFC 6455 section 5.4).
    #[error("a continuation without a message to continue")]
    UnexpectedContinuation,
    /// A new data message before the open one is complete (RFC 6455 section 5.4).
    #[error("a new message inside an unfinished one")]
    InterleavedMessage,
    /// A frame from a client is not masked (RFC 6455 section 5.1).
    #[error("a client frame is not masked")]
    UnmaskedFrame,
    /// A frame from a server is masked (RFC 6455 section 5.1).
    #[error("a server frame is masked")]
    MaskedFrame,
    /// The length is not written in its shortest form (RFC 6455 section 5.2).
    #[error("the payload length is not minimally encoded")]
    LengthNotMinimal,
    /// The top bit of a 64-bit length is set (RFC 6455 section 5.2).
    #[error("the payload length exceeds 63 bits")]
    LengthOverflow,
    /// The message passes [`Limits::max_message`](super::Limits::max_message), on the wire or inflated.
    #[error("the message is too big")]
    MessageTooBig,
    /// The message passes [`Limits::max_fragments`](super::Limits::max_fragments).
    #[error("the message has too many fragments")]
    TooManyFragments,
    /// A text message is not UTF-8 (RFC 6455 section 8.1).
    #[error("a text message is not UTF-8")]
    InvalidUtf8,
    /// A close frame of one byte (RFC 6455 section 5.5.1).
    #[error("a close frame has a payload of one byte")]
    TruncatedCloseCode,
    /// A close code that must not appear on the wire (RFC 6455 section 7.4).
    #[error("close code {0} is not allowed")]
    InvalidCloseCode(u16),
    /// A close reason is not UTF-8 (RFC 6455 section 5.5.1).
    #[error("a close reason is not UTF-8")]
    InvalidCloseReason,
    /// A compressed message is not a DEFLATE stream, or is cut short (RFC 7692 section 7.2.2).
    #[error("a compressed message is corrupt")]
    CorruptDeflate,
}

impl Violation {
    /// The status code for the close frame (RFC 6455 section 7.4.1): 1002, 1007 for bad content, 1009 for too
    /// much.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidCloseReason | Self::CorruptDeflate => 1007,
            Self::MessageTooBig | Self::TooManyFragments => 1009,
            _ => 1002,
        }
    }
}
