//! A polling body of protocol 3: packets with lengths, in a text form and in a binary form.
//!
//! Lengths of the text form count UTF-16 code units, because JavaScript strings do; lengths of the binary
//! form count bytes (engine.io-protocol v3, "Payload"). Text that very old clients encoded as UTF-8 twice
//! is passed on as it is, which is also what the reference server does.

use super::packet::{BINARY_MESSAGE_V3, base64_prefix};
use super::{Message, Packet, Version, Violation, base64};

/// Decodes a body of the text form: `<length>:<packet>…`. The iterator ends after the first error; an empty
/// body is one. `0:` is a body without packets.
pub fn decode_text(body: &str) -> TextPayload<'_> {
    TextPayload { rest: (!body.is_empty()).then_some(body).ok_or(Violation::EmptyPacket) }
}

/// Decodes a body of the binary form (`application/octet-stream`): `<0 = text, 1 = binary><digits, a byte
/// each>0xFF<packet>…`. The iterator ends after the first error; an empty body holds no packets.
pub fn decode_binary(body: &[u8]) -> BinaryPayload<'_> {
    BinaryPayload { rest: body }
}

/// The packets of a text body; see [`decode_text`].
#[derive(Clone, Debug)]
pub struct TextPayload<'a> {
    /// What is left, or the error that is given next.
    rest: Result<&'a str, Violation>,
}

impl<'a> TextPayload<'a> {
    /// What was not read yet, to go on with later; `None` after the last packet or an error.
    pub fn rest(&self) -> Option<&'a str> {
        self.rest.as_ref().ok().copied().filter(|rest| !rest.is_empty())
    }
}

impl<'a> Iterator for TextPayload<'a> {
    type Item = Result<Packet<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        // Each turn takes at least a digit and a colon away, so empty packets end.
        loop {
            let rest = match std::mem::replace(&mut self.rest, Ok("")) {
                Ok("") => return None,
                Ok(rest) => rest,
                Err(violation) => return Some(Err(violation)),
            };
            let (packet, tail) = match split_text(rest) {
                Ok(parts) => parts,
                Err(violation) => return Some(Err(violation)),
            };
            if packet.is_empty() {
                self.rest = Ok(tail);
                continue;
            }
            let decoded = Packet::decode_text(Version::V3, packet);
            if decoded.is_ok() {
                self.rest = Ok(tail);
            }
            return Some(decoded);
        }
    }
}

impl std::iter::FusedIterator for TextPayload<'_> {}

/// The packets of a binary body; see [`decode_binary`].
#[derive(Clone, Debug)]
pub struct BinaryPayload<'a> {
    rest: &'a [u8],
}

impl<'a> BinaryPayload<'a> {
    /// What was not read yet, to go on with later; `None` after the last packet or an error.
    pub fn rest(&self) -> Option<&'a [u8]> {
        Some(self.rest).filter(|rest| !rest.is_empty())
    }
}

impl<'a> Iterator for BinaryPayload<'a> {
    type Item = Result<Packet<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let decoded = split_binary(rest).and_then(|(is_binary, packet, tail)| {
            let decoded = if is_binary {
                Packet::decode_binary(Version::V3, packet)
            } else {
                let text = std::str::from_utf8(packet).map_err(|_| Violation::InvalidUtf8)?;
                Packet::decode_text(Version::V3, text)
            }?;
            self.rest = tail;
            Ok(decoded)
        });
        Some(decoded)
    }
}

impl std::iter::FusedIterator for BinaryPayload<'_> {}

/// Writes a v3 body: append packets, then [`Encoder::finish`].
#[derive(Clone, Debug)]
pub struct Encoder {
    out: Vec<u8>,
    form: Form,
}

impl Encoder {
    /// The text form, in which binary messages are base64. For clients that cannot take binary (`b64` or
    /// JSONP), and for bodies without binary messages.
    pub fn text_form() -> Self {
        Self { out: Vec::new(), form: Form::Text }
    }

    /// The binary form. The reference server uses it only if the client takes binary and some packet is
    /// binary.
    pub fn binary_form() -> Self {
        Self { out: Vec::new(), form: Form::Binary }
    }

    /// The `Content-Type` of the response.
    pub fn content_type(&self) -> &'static str {
        match self.form {
            Form::Text => "text/plain; charset=UTF-8",
            Form::Binary => "application/octet-stream",
        }
    }

    /// Appends an encoded text packet, type included: `4hello`, `3`. It must be UTF-8.
    pub fn text(&mut self, raw_packet: &[u8]) {
        match self.form {
            Form::Text => self.text_header(utf16_len(raw_packet)),
            Form::Binary => self.binary_header(TEXT_MARK, raw_packet.len()),
        }
        self.out.extend_from_slice(raw_packet);
    }

    /// Appends a binary message.
    pub fn binary(&mut self, data: &[u8]) {
        match self.form {
            Form::Text => {
                let prefix = base64_prefix(Version::V3);
                self.text_header(prefix.len() + base64::encoded_len(data.len()));
                self.out.extend_from_slice(prefix);
                base64::encode(data, &mut self.out);
            }
            Form::Binary => {
                self.binary_header(BINARY_MARK, data.len() + 1);
                self.out.push(BINARY_MESSAGE_V3);
                self.out.extend_from_slice(data);
            }
        }
    }

    /// Appends a packet of any kind.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        if let Packet::Message(Message::Binary(data)) = packet {
            return self.binary(data);
        }
        let mut raw = Vec::new();
        packet.encode_text(Version::V3, &mut raw);
        self.text(&raw);
    }

    /// The size of the body so far, in bytes.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The body; without packets it is `0:` in the text form, and empty in the binary form.
    pub fn finish(mut self) -> Vec<u8> {
        if self.out.is_empty() && self.form == Form::Text {
            self.text_header(0);
        }
        self.out
    }

    fn text_header(&mut self, length: usize) {
        self.out.extend_from_slice(length.to_string().as_bytes());
        self.out.push(b':');
    }

    fn binary_header(&mut self, mark: u8, length: usize) {
        self.out.push(mark);
        self.out.extend(length.to_string().bytes().map(|digit| digit - b'0'));
        self.out.push(LENGTH_END);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Text,
    Binary,
}

/// Splits the first packet of a text body from the rest.
fn split_text(body: &str) -> Result<(&str, &str), Violation> {
    let bytes = body.as_bytes();
    // A bounded search: a megabyte of digits is not read to its end.
    let head = bytes.get(..=MAX_DIGITS).unwrap_or(bytes);
    let colon = memchr::memchr(b':', head).ok_or(Violation::BadPayloadLength)?;
    let length =
        head.get(..colon).and_then(|digits| number(digits.iter().map(|digit| digit.wrapping_sub(b'0'))));
    let length = length.ok_or(Violation::BadPayloadLength)?;
    let rest = body.get(colon + 1..).ok_or(Violation::BadPayloadLength)?;
    let end = utf16_offset(rest, length).ok_or(Violation::BadPayloadLength)?;
    rest.split_at_checked(end).ok_or(Violation::BadPayloadLength)
}

/// Splits the first packet of a binary body from the rest, and says whether it is binary.
fn split_binary(body: &[u8]) -> Result<(bool, &[u8], &[u8]), Violation> {
    let (&mark, body) = body.split_first().ok_or(Violation::BadPayloadLength)?;
    if mark != TEXT_MARK && mark != BINARY_MARK {
        return Err(Violation::BadPayloadLength);
    }
    let head = body.get(..=MAX_DIGITS).unwrap_or(body);
    let end = memchr::memchr(LENGTH_END, head).ok_or(Violation::BadPayloadLength)?;
    let length = head.get(..end).and_then(|digits| number(digits.iter().copied()));
    let length = length.ok_or(Violation::BadPayloadLength)?;
    let rest = body.get(end + 1..).ok_or(Violation::BadPayloadLength)?;
    let (packet, tail) = rest.split_at_checked(length).ok_or(Violation::BadPayloadLength)?;
    Ok((mark == BINARY_MARK, packet, tail))
}

/// A decimal number, given as digit values; `None` without digits, for anything else than digits, or on
/// overflow.
fn number(digits: impl ExactSizeIterator<Item = u8>) -> Option<usize> {
    if digits.len() == 0 {
        return None;
    }
    digits.into_iter().try_fold(0usize, |value, digit| {
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The byte offset behind the first `units` UTF-16 code units of `text`; `None` if there are fewer, or if
/// the last one is half of a surrogate pair.
fn utf16_offset(text: &str, units: usize) -> Option<usize> {
    // A character has at least as many bytes as code units.
    let ascii = text.as_bytes().get(..units)?;
    if ascii.is_ascii() {
        return Some(units);
    }
    let mut left = units;
    for (offset, character) in text.char_indices() {
        if left == 0 {
            return Some(offset);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// The length of UTF-8 `text` in UTF-16 code units: one per character, two for those of four bytes.
fn utf16_len(text: &[u8]) -> usize {
    text.iter().map(|&byte| usize::from(byte & 0xC0 != 0x80) + usize::from(byte >= 0xF0)).sum()
}

const TEXT_MARK: u8 = 0;
const BINARY_MARK: u8 = 1;
const LENGTH_END: u8 = 0xFF;
/// Longer lengths cannot be true: more digits than 2^64 has.
const MAX_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_lengths() {
        for text in ["", "a", "é", "€", "😀", "a€😀é"] {
            assert_eq!(utf16_len(text.as_bytes()), text.encode_utf16().count(), "{text}");
            assert_eq!(utf16_offset(text, text.encode_utf16().count()), Some(text.len()), "{text}");
        }
        assert_eq!(utf16_offset("😀", 1), None, "half of a pair");
        assert_eq!(utf16_offset("a😀b", 3), Some(5));
        assert_eq!(utf16_offset("é", 2), None, "bytes are not units");
    }

    #[test]
    fn an_empty_body_is_zero() {
        assert_eq!(Encoder::text_form().finish(), b"0:");
        assert_eq!(decode_text("0:").next(), None);
        assert_eq!(decode_text("0:0:1:2").count(), 1);
        assert_eq!(Encoder::binary_form().finish(), b"");
        assert_eq!(decode_binary(b"").next(), None);
    }
}
