//! The ways a peer can break the Socket.IO protocol: one variant per rule.

/// A rule broken by the peer. The reference server closes the whole connection for each of them (`parse
/// error` or `forced close`), and so does trunkline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A message of zero bytes: the type digit is missing.
    #[error("empty packet")]
    EmptyPacket,
    /// The type is not one of 0 to 6 (0 to 4 with msgpack).
    #[error("unknown packet type")]
    UnknownType,
    /// Types 5 and 6 need decimal digits and `-` after the type.
    #[error("illegal number of attachments")]
    IllegalAttachmentCount,
    /// More attachments announced than allowed (CVE-2026-33151).
    #[error("more than {limit} attachments announced")]
    TooManyAttachments {
        /// What [`Limits::max_attachments`](super::Limits::max_attachments) allows.
        limit: usize,
    },
    /// A namespace that is not text or does not start with `/` (msgpack only: the text form cannot express
    /// it).
    #[error("illegal namespace")]
    IllegalNamespace,
    /// An id above 2^53 - 1, not an integer, or missing in an acknowledgement.
    #[error("illegal packet id")]
    IllegalId,
    /// The payload is not JSON (RFC 8259).
    #[error("invalid JSON payload")]
    InvalidJson,
    /// Arrays and objects nested deeper than [`Limits::max_depth`](super::Limits::max_depth).
    #[error("payload nested too deeply")]
    TooDeep,
    /// The payload of an event or an acknowledgement is not an array.
    #[error("the payload is not an array")]
    NotAnArray,
    /// The first element of an event is missing or neither text nor number (CVE-2023-32695).
    #[error("the event has no name")]
    NoEventName,
    /// The event name is one that only the library itself may emit, see [`is_reserved`](super::is_reserved).
    #[error("reserved event name")]
    ReservedEventName,
    /// A placeholder whose `num` names no attachment of its packet (CVE-2022-2421).
    #[error("illegal attachment placeholder")]
    IllegalPlaceholder,
    /// A binary message while no packet waits for attachments.
    #[error("binary message without a packet waiting for it")]
    UnexpectedBinary,
    /// A text message although the parser agreed on is binary only (msgpack).
    #[error("text message with a binary parser")]
    UnexpectedText,
    /// A text message while attachments of the packet before are still missing.
    #[error("text message while waiting for attachments")]
    TextWhileWaiting,
    /// Not well-formed msgpack, bytes after the packet, a repeated key, or not a map.
    #[error("invalid msgpack packet")]
    BadMsgpack,
    /// Text and attachments of one packet exceed [`Limits::max_bytes`](super::Limits::max_bytes).
    #[error("packet with attachments too big")]
    TooBig,
    /// The payload of CONNECT is not an object.
    #[error("the payload of CONNECT is not an object")]
    ConnectPayload,
    /// DISCONNECT with a payload.
    #[error("DISCONNECT with a payload")]
    DisconnectPayload,
    /// The payload of CONNECT_ERROR is neither a string nor an object.
    #[error("the payload of CONNECT_ERROR is neither a string nor an object")]
    ConnectErrorPayload,
    /// CONNECT for a namespace that is already joined. Detected by the session, not the decoder.
    #[error("second CONNECT for a namespace")]
    DuplicateConnect,
    /// A packet for a namespace that was not joined. Detected by the session, not the decoder.
    #[error("packet for a namespace that is not connected")]
    NotConnectedToNamespace,
    /// A client sent CONNECT_ERROR, which only servers may. Detected by the session, not the decoder.
    #[error("CONNECT_ERROR from a client")]
    ConnectErrorFromClient,
}
