//! One Engine.IO packet: decoding and encoding, as text and as a binary WebSocket frame.

use std::borrow::Cow;

use super::{Violation, base64};

/// The protocol revision that a session speaks, fixed by `EIO` in its handshake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// Engine.IO protocol 3 (Socket.IO clients 1.x and 2.x): the client pings.
    V3,
    /// Engine.IO protocol 4 (Socket.IO clients 3.x and 4.x): the server pings.
    V4,
}

impl Version {
    /// The number in the `EIO` query parameter.
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// What carries a session's packets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TransportKind {
    /// HTTP long-polling, JSONP included.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl TransportKind {
    /// The name in the `transport` query parameter and in `upgrades`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }

    /// The transport of that exact name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "polling" => Some(Self::Polling),
            "websocket" => Some(Self::WebSocket),
            _ => None,
        }
    }
}

/// What the application sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
}

impl Message<'_> {
    /// The same message, owning its data.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(data) => Message::Binary(Cow::Owned(data.into_owned())),
        }
    }
}

/// One packet (engine.io-protocol v4, "Packet encoding"; v3, "Encoding"). Data behind `close`, `upgrade`
/// and `noop` is dropped when decoding, as the reference server drops it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// `0`: the handshake, JSON.
    Open(Cow<'a, str>),
    /// `1`: the session ends.
    Close,
    /// `2`: heartbeat, or the probe of an upgrade (`2probe`).
    Ping(Cow<'a, str>),
    /// `3`: the answer to a ping, with its data.
    Pong(Cow<'a, str>),
    /// `4`, or base64 after `b`, or a binary frame.
    Message(Message<'a>),
    /// `5`: the last step of an upgrade.
    Upgrade,
    /// `6`: ends a waiting poll.
    Noop,
}

impl<'a> Packet<'a> {
    /// Decodes a WebSocket text frame or one packet of a text payload. Binary messages are `b` and base64
    /// under v4, `b4` and base64 under v3.
    pub fn decode_text(version: Version, text: &'a str) -> Result<Self, Violation> {
        let kind = *text.as_bytes().first().ok_or(Violation::EmptyPacket)?;
        // One byte is one character here, or the type is unknown anyway.
        let data = text.get(1..).ok_or(Violation::UnknownPacketType)?;
        match kind {
            b'0' => Ok(Self::Open(Cow::Borrowed(data))),
            b'1' => Ok(Self::Close),
            b'2' => Ok(Self::Ping(Cow::Borrowed(data))),
            b'3' => Ok(Self::Pong(Cow::Borrowed(data))),
            b'4' => Ok(Self::Message(Message::Text(Cow::Borrowed(data)))),
            b'5' => Ok(Self::Upgrade),
            b'6' => Ok(Self::Noop),
            b'b' => {
                let encoded = match version {
                    Version::V4 => data,
                    // Only messages carry binary; no client sends another type behind `b`.
                    Version::V3 => data.strip_prefix('4').ok_or(Violation::UnknownPacketType)?,
                };
                Ok(Self::Message(Message::Binary(Cow::Owned(base64::decode(encoded)?))))
            }
            _ => Err(Violation::UnknownPacketType),
        }
    }

    /// Decodes a binary WebSocket frame: under v4 the whole frame is the message, under v3 its first byte
    /// is the type, which must be 4, for message.
    pub fn decode_binary(version: Version, data: &'a [u8]) -> Result<Self, Violation> {
        let message = match version {
            Version::V4 => data,
            Version::V3 => match data.split_first() {
                None => return Err(Violation::EmptyPacket),
                Some((&BINARY_MESSAGE_V3, message)) => message,
                Some(_) => return Err(Violation::UnknownPacketType),
            },
        };
        Ok(Self::Message(Message::Binary(Cow::Borrowed(message))))
    }

    /// Appends the text form to `out`; a binary message becomes base64.
    pub fn encode_text(&self, version: Version, out: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::Open(data) => (b'0', &**data),
            Self::Close => (b'1', ""),
            Self::Ping(data) => (b'2', &**data),
            Self::Pong(data) => (b'3', &**data),
            Self::Message(Message::Text(data)) => (b'4', &**data),
            Self::Message(Message::Binary(data)) => {
                out.extend_from_slice(base64_prefix(version));
                return base64::encode(data, out);
            }
            Self::Upgrade => (b'5', ""),
            Self::Noop => (b'6', ""),
        };
        out.push(kind);
        out.extend_from_slice(data.as_bytes());
    }

    /// Appends a binary message as a binary WebSocket frame's content.
    pub fn encode_binary(version: Version, data: &[u8], out: &mut Vec<u8>) {
        if version == Version::V3 {
            out.push(BINARY_MESSAGE_V3);
        }
        out.extend_from_slice(data);
    }

    /// The same packet, owning its data.
    pub fn into_owned(self) -> Packet<'static> {
        match self {
            Self::Open(data) => Packet::Open(Cow::Owned(data.into_owned())),
            Self::Close => Packet::Close,
            Self::Ping(data) => Packet::Ping(Cow::Owned(data.into_owned())),
            Self::Pong(data) => Packet::Pong(Cow::Owned(data.into_owned())),
            Self::Message(message) => Packet::Message(message.into_owned()),
            Self::Upgrade => Packet::Upgrade,
            Self::Noop => Packet::Noop,
        }
    }
}

/// What stands before the base64 of a binary message: v3 keeps the packet type, v4 does not.
pub(super) const fn base64_prefix(version: Version) -> &'static [u8] {
    match version {
        Version::V3 => b"b4",
        Version::V4 => b"b",
    }
}

/// The first byte of a v3 binary message (engine.io-protocol v3, "Encoding").
pub(super) const BINARY_MESSAGE_V3: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multibyte_first_character_is_an_unknown_type() {
        for version in [Version::V3, Version::V4] {
            assert_eq!(Packet::decode_text(version, "é4"), Err(Violation::UnknownPacketType));
            assert_eq!(Packet::decode_text(version, "😀"), Err(Violation::UnknownPacketType));
        }
    }

    #[test]
    fn text_is_borrowed() {
        let Ok(Packet::Message(Message::Text(Cow::Borrowed(text)))) =
            Packet::decode_text(Version::V4, "4hello")
        else {
            panic!("a text message must not be copied");
        };
        assert_eq!(text, "hello");
    }

    #[test]
    fn v3_binary_needs_the_message_type() {
        assert_eq!(Packet::decode_binary(Version::V3, &[]), Err(Violation::EmptyPacket));
        assert_eq!(Packet::decode_binary(Version::V3, &[2, 1]), Err(Violation::UnknownPacketType));
        assert_eq!(
            Packet::decode_binary(Version::V3, &[4, 1]),
            Ok(Packet::Message(Message::Binary(Cow::Borrowed(&[1]))))
        );
        assert_eq!(
            Packet::decode_binary(Version::V4, &[4, 1]),
            Ok(Packet::Message(Message::Binary(Cow::Borrowed(&[4, 1]))))
        );
    }
}
