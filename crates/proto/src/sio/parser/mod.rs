//! From messages to packets. A parser is a file here, a variant of [`Parser`] and an arm in `encode.rs`.

mod json;
mod msgpack;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::{Packet, Violation};

/// How packets are written; server and client must agree on it beforehand, nothing is negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Parser {
    /// The default parser: text with JSON, attachments as binary messages of their own (socket.io-protocol
    /// v5).
    #[default]
    Json,
    /// `socket.io-msgpack-parser`: one binary msgpack map per packet.
    Msgpack,
}

/// What one packet may cost. The size of a single message is limited by Engine.IO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Attachments per packet. Default 10, as in the reference parser since CVE-2026-33151.
    pub max_attachments: usize,
    /// Nesting levels of arrays and objects in a payload. Default and at most 128, where the JSON
    /// deserializer stops.
    pub max_depth: usize,
    /// Bytes of text and attachments held for one packet that waits for attachments. Default 10,000,000.
    pub max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_attachments: 10, max_depth: super::json::MAX_DEPTH, max_bytes: 10_000_000 }
    }
}

/// The decoder of one connection. After a [`Violation`] the connection is to be closed; a decoder used on
/// nevertheless starts anew.
pub struct Decoder {
    limits: Limits,
    parser: Parser,
    state: Option<Box<State>>,
}

/// What outlives a message. Complete packets stay until the next call, because the caller borrows them.
enum State {
    Json(json::Pending),
    Msgpack(Vec<u8>),
}

impl Decoder {
    /// A decoder that waits for the first message.
    pub fn new(parser: Parser, limits: Limits) -> Self {
        Self { limits, parser, state: None }
    }

    /// Takes one Engine.IO text message. `Ok(None)`: attachments are still to come.
    ///
    /// The packet borrows `text`. Errors: everything a text packet can do wrong, a text message while
    /// attachments are missing ("got plaintext data when reconstructing a packet"), and any text with
    /// msgpack.
    pub fn decode_text<'a>(&'a mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation> {
        let waiting = self.is_waiting();
        self.state = None;
        if self.parser == Parser::Msgpack {
            return Err(Violation::UnexpectedText);
        }
        if waiting {
            return Err(Violation::TextWhileWaiting);
        }
        let header = json::Header::parse(text, &self.limits)?;
        if header.attachments() == 0 {
            return Ok(Some(header.packet(text, &[])));
        }
        let pending = json::Pending::new(header, text, &self.limits)?;
        self.state = Some(Box::new(State::Json(pending)));
        Ok(None)
    }

    /// Takes one Engine.IO binary message: an attachment (JSON) or a whole packet (msgpack).
    ///
    /// Owned data is kept without a copy. Errors: a binary message that no packet waits for, attachments
    /// above [`Limits::max_bytes`], everything a msgpack packet can do wrong.
    pub fn decode_binary<'a>(&'a mut self, data: Cow<'a, [u8]>) -> Result<Option<Packet<'a>>, Violation> {
        if self.parser == Parser::Msgpack {
            self.state = None;
            return match data {
                Cow::Borrowed(data) => msgpack::decode(data, &self.limits).map(Some),
                Cow::Owned(data) => match &**self.state.insert(Box::new(State::Msgpack(data))) {
                    State::Msgpack(data) => msgpack::decode(data, &self.limits).map(Some),
                    State::Json(_) => Ok(None),
                },
            };
        }
        let complete = self.attach(data);
        if complete.is_err() {
            self.state = None;
        }
        if !complete? {
            return Ok(None);
        }
        match self.state.as_deref() {
            Some(State::Json(pending)) => Ok(Some(pending.packet())),
            _ => Ok(None),
        }
    }

    /// Whether a packet waits for attachments. The server gives it a deadline.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state.as_deref(), Some(State::Json(pending)) if !pending.is_complete())
    }

    /// Bytes held for a packet that waits, or for the last packet if it did not borrow its message.
    pub fn buffered(&self) -> usize {
        match self.state.as_deref() {
            None => 0,
            Some(State::Json(pending)) => pending.size(),
            Some(State::Msgpack(data)) => data.capacity(),
        }
    }

    /// Frees the last packet, so that an idle connection holds nothing. Does not touch a packet that still
    /// waits.
    pub fn release(&mut self) {
        if !self.is_waiting() {
            self.state = None;
        }
    }

    /// Adds an attachment; whether the packet is complete now.
    fn attach(&mut self, data: Cow<'_, [u8]>) -> Result<bool, Violation> {
        match self.state.as_deref_mut() {
            Some(State::Json(pending)) if !pending.is_complete() => {
                if data.len() > self.limits.max_bytes.saturating_sub(pending.size()) {
                    return Err(Violation::TooBig);
                }
                Ok(pending.push(match data {
                    Cow::Borrowed(data) => Bytes::copy_from_slice(data),
                    Cow::Owned(data) => Bytes::from(data),
                }))
            }
            _ => Err(Violation::UnexpectedBinary),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("parser", &self.parser)
            .field("waiting", &self.is_waiting())
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 48);
    }
}
