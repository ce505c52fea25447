//! A polling body of protocol 4: packets joined by the record separator.

use super::packet::base64_prefix;
use super::{Packet, Version, Violation, base64};

/// Decodes the packets of a v4 body (engine.io-protocol v4, "HTTP long-polling"). The iterator ends after
/// the first error; an empty body is one, as is an empty packet between two separators.
pub fn decode_payload_v4(body: &str) -> PayloadV4<'_> {
    PayloadV4 { rest: Some(body) }
}

/// The packets of a v4 body; see [`decode_payload_v4`].
#[derive(Clone, Debug)]
pub struct PayloadV4<'a> {
    /// `None` once the last packet or an error was given.
    rest: Option<&'a str>,
}

impl<'a> PayloadV4<'a> {
    /// What was not read yet, to go on with later; `None` after the last packet or an error.
    pub fn rest(&self) -> Option<&'a str> {
        self.rest
    }
}

impl<'a> Iterator for PayloadV4<'a> {
    type Item = Result<Packet<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let packet = match rest.split_once(SEPARATOR) {
            Some((packet, tail)) => {
                self.rest = Some(tail);
                packet
            }
            None => rest,
        };
        let decoded = Packet::decode_text(Version::V4, packet);
        if decoded.is_err() {
            self.rest = None;
        }
        Some(decoded)
    }
}

impl std::iter::FusedIterator for PayloadV4<'_> {}

/// Writes a v4 body: append packets, then [`PayloadV4Encoder::finish`].
#[derive(Clone, Default, Debug)]
pub struct PayloadV4Encoder {
    out: Vec<u8>,
}

impl PayloadV4Encoder {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty body with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// Appends an encoded text packet, type included: `4hello`, `2`.
    pub fn text(&mut self, raw_packet: &[u8]) {
        self.separate();
        self.out.extend_from_slice(raw_packet);
    }

    /// Appends a text message, given without its packet type.
    pub fn message(&mut self, text: &[u8]) {
        self.separate();
        self.out.push(b'4');
        self.out.extend_from_slice(text);
    }

    /// Appends a binary message; a v4 body holds it as `b` and base64.
    pub fn binary(&mut self, data: &[u8]) {
        self.separate();
        self.out.extend_from_slice(base64_prefix(Version::V4));
        base64::encode(data, &mut self.out);
    }

    /// The size that the body would have with a text message of `len` bytes more. A client keeps it within the server's
    /// `maxPayload` by beginning another body, unless this one is empty.
    pub fn len_with_message(&self, len: usize) -> usize {
        self.len_with(1usize.saturating_add(len))
    }

    /// The size that the body would have with a binary message of `len` bytes more.
    pub fn len_with_binary(&self, len: usize) -> usize {
        self.len_with(base64_prefix(Version::V4).len().saturating_add(base64::encoded_len(len)))
    }

    /// The size of the body so far, in bytes.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The body.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn len_with(&self, packet: usize) -> usize {
        let separator = usize::from(!self.out.is_empty());
        self.out.len().saturating_add(separator).saturating_add(packet)
    }

    fn separate(&mut self) {
        if !self.out.is_empty() {
            self.out.push(SEPARATOR as u8);
        }
    }
}

/// The record separator (engine.io-protocol v4, "HTTP long-polling").
const SEPARATOR: char = '\x1e';

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eio::Message;

    #[test]
    fn stops_after_the_first_error() {
        let mut packets = decode_payload_v4("4a\x1ex\x1e4b");
        assert_eq!(packets.next(), Some(Ok(Packet::Message(Message::Text("a".into())))));
        assert_eq!(packets.next(), Some(Err(Violation::UnknownPacketType)));
        assert_eq!(packets.next(), None);
        assert_eq!(packets.next(), None);
    }

    #[test]
    fn emptiness_is_an_error() {
        for body in ["", "\x1e", "\x1e4a"] {
            assert_eq!(decode_payload_v4(body).next(), Some(Err(Violation::EmptyPacket)), "{body:?}");
        }
        assert_eq!(decode_payload_v4("4a\x1e").last(), Some(Err(Violation::EmptyPacket)));
    }

    #[test]
    fn sizes_are_foretold() {
        let mut encoder = PayloadV4Encoder::new();
        for len in [0, 1, 2, 3, 4, 100] {
            let foretold = encoder.len_with_message(len);
            encoder.message(&vec![b'a'; len]);
            assert_eq!(encoder.len(), foretold);
            let foretold = encoder.len_with_binary(len);
            encoder.binary(&vec![7; len]);
            assert_eq!(encoder.len(), foretold);
        }
        assert_eq!(encoder.len_with_message(usize::MAX), usize::MAX);
    }

    #[test]
    fn the_encoder_joins() {
        let mut encoder = PayloadV4Encoder::new();
        encoder.text(b"4hello");
        encoder.text(b"2");
        encoder.binary(&[1, 2, 3, 4]);
        assert_eq!(encoder.finish(), b"4hello\x1e2\x1ebAQIDBA==");
    }
}
