//! Bytes from the peer to messages: fragments joined, masks removed, every rule of RFC 6455 section 5
//! enforced.

use std::ops::Range;

use super::frame::{Context, Header, OpCode, Parsed, Role};
use super::utf8::TextBuffer;
use super::{MAX_HEADER, Violation, deflate, mask};

/// Reads the frames of one direction of one connection.
///
/// **Call [`decode`](Self::decode) with what is left of the input until it has consumed everything and
/// returns no event.** After a [`Violation`] it repeats that violation; after [`Event::Close`] it swallows
/// what still comes (RFC 6455 section 5.5.1). Between messages it holds no buffer.
#[derive(Debug)]
pub struct Decoder {
    max_message: u32,
    max_fragments: u32,
    role: Role,
    deflate: bool,
    closed: bool,
    failed: Option<Violation>,
    /// Exists only while a frame or message is incomplete, or while the caller may look at an event held in
    /// it.
    partial: Option<Box<Partial>>,
}

/// What one message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, default 1,000,000 (the reference server's `maxHttpBufferSize`). Checked on each
    /// header before anything is allocated, on the sum of the fragments and, for a compressed message, both
    /// on its wire form and on what comes out of it. Memory in use for an incomplete message can be twice
    /// this. At most 4 GiB. Passing it is [`Violation::MessageTooBig`].
    pub max_message: usize,
    /// Frames of a message, default 16,384; empty ones count (CVE-2026-48779). Passing it is
    /// [`Violation::TooManyFragments`].
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 1_000_000, max_fragments: 16_384 }
    }
}

/// Something complete that the peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message, possibly empty.
    Text(&'a str),
    /// A binary message, possibly empty.
    Binary(&'a [u8]),
    /// Wants a pong with exactly these bytes (RFC 6455 section 5.5.2).
    Ping(&'a [u8]),
    /// Answers a ping, or comes unasked (RFC 6455 section 5.5.3).
    Pong(&'a [u8]),
    /// The peer's last frame, with its code and reason if it gave one (RFC 6455 section 5.5.1).
    Close(Option<(u16, &'a str)>),
}

impl Decoder {
    /// A decoder at the start of the connection; `deflate` says whether permessage-deflate was agreed (RFC
    /// 7692).
    pub fn new(role: Role, limits: Limits, deflate: bool) -> Self {
        let max_message = u32::try_from(limits.max_message).unwrap_or(u32::MAX);
        let max_fragments = limits.max_fragments;
        Self { max_message, max_fragments, role, deflate, closed: false, failed: None, partial: None }
    }

    fn max_message(&self) -> usize {
        usize::try_from(self.max_message).unwrap_or(usize::MAX)
    }

    /// Takes bytes from the front of `input` and returns how many, with at most one event.
    ///
    /// Without an event all of `input` was consumed. Payloads are unmasked in place: consumed bytes must not
    /// be given again. A whole unfragmented uncompressed frame inside `input` comes back as a slice of it,
    /// without copy or allocation; a partial one is copied, and memory grows with what arrived, never with
    /// the declared length.
    ///
    /// # Errors
    /// The first rule the peer broke. The connection is over: every further call returns the same.
    pub fn decode<'a>(&'a mut self, input: &'a mut [u8]) -> Result<(usize, Option<Event<'a>>), Violation> {
        if let Some(violation) = self.failed {
            return Err(violation);
        }
        self.release();
        if self.closed {
            return Ok((input.len(), None));
        }

        let mut at = 0;
        let found = match self.advance(input, &mut at) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok((at, None)),
            Err(violation) => {
                self.partial = None;
                self.failed = Some(violation);
                return Err(violation);
            }
        };
        self.closed = found.opcode == OpCode::Close;

        let event = match (found.place, self.partial.as_deref().map(|partial| &partial.done)) {
            (Place::Input(range), _) => {
                Event::from_payload(found.opcode, input.get(range).unwrap_or_default())
            }
            (Place::Held, Some(Done::Text(text))) => Ok(Event::Text(text)),
            (Place::Held, Some(Done::Bytes(bytes))) => Event::from_payload(found.opcode, bytes),
            // `advance` reports `Held` only after filling `done`.
            (Place::Held, _) => Event::from_payload(found.opcode, &[]),
        };
        match event {
            Ok(event) => Ok((at, Some(event))),
            Err(violation) => {
                self.failed = Some(violation);
                Err(violation)
            }
        }
    }

    /// Bytes held of an incomplete header, control frame or message. Never more than
    /// [`Limits::max_message`] and 139 bytes.
    pub fn buffered(&self) -> usize {
        self.partial.as_deref().map_or(0, |partial| {
            usize::from(partial.head_len)
                + partial.control.len()
                + partial.message.as_ref().map_or(0, |message| message.body.len())
        })
    }

    /// Lets go of the event of the call before, and of the whole box when nothing is under way.
    fn release(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.done = Done::Nothing;
            if partial.is_idle() {
                self.partial = None;
            }
        }
    }

    /// Goes on to the next event or the end of `input`.
    fn advance(&mut self, input: &mut [u8], at: &mut usize) -> Result<Option<Found>, Violation> {
        loop {
            let frame = match self.partial.as_mut().and_then(|partial| partial.frame.take()) {
                Some(frame) => frame,
                None => match self.take_header(input, at)? {
                    Some(header) => Frame { header, received: 0 },
                    None => return Ok(None),
                },
            };
            match self.take_payload(frame, input, at)? {
                Progress::Event(found) => return Ok(Some(found)),
                Progress::Fragment => {}
                Progress::Starved => return Ok(None),
            }
        }
    }

    /// The next header, or `None` when `input` ends before it does.
    fn take_header(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Header>, Violation> {
        let context = self.context();
        let rest = input.get(*at..).unwrap_or_default();
        let header = match &mut self.partial {
            Some(partial) if partial.head_len > 0 => match partial.continue_head(rest, &context, at)? {
                Some(header) => header,
                None => return Ok(None),
            },
            _ if rest.is_empty() => return Ok(None),
            _ => match Header::parse(rest, &context)? {
                Parsed::Complete(header) => {
                    *at += header.wire_len;
                    header
                }
                Parsed::Incomplete(_) => {
                    self.partial_mut().keep_head(rest);
                    *at = input.len();
                    return Ok(None);
                }
            },
        };
        if let Some(partial) = &mut self.partial
            && let (OpCode::Continuation, Some(message)) = (header.opcode, &mut partial.message)
        {
            message.fragments += 1;
        }
        Ok(Some(header))
    }

    /// The next piece of the payload of `frame`.
    fn take_payload(
        &mut self,
        mut frame: Frame,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Progress, Violation> {
        let Header { opcode, fin, compressed, mask: key, len, .. } = frame.header;
        let missing = len - frame.received;
        let range = *at..*at + missing.min(input.len() - *at);
        *at = range.end;
        let complete = range.len() == missing;
        let piece = input.get_mut(range.clone()).unwrap_or_default();
        if let Some(key) = key {
            mask::apply(piece, key, frame.received);
        }

        // What is whole in the input is lent from there.
        if complete && frame.received == 0 {
            match opcode {
                OpCode::Text | OpCode::Binary if fin && compressed => {
                    return self.finish(opcode, Body::Compressed(Vec::new()), piece).map(Progress::Event);
                }
                OpCode::Continuation => {}
                OpCode::Text | OpCode::Binary if !fin => {}
                OpCode::Close => {
                    parse_close(piece)?;
                    return Ok(Progress::Event(Found { opcode, place: Place::Input(range) }));
                }
                _ => return Ok(Progress::Event(Found { opcode, place: Place::Input(range) })),
            }
        }

        frame.received += piece.len();
        let partial = self.partial_mut();
        if !complete && piece.is_empty() {
            // Nothing is begun before its first byte: the rest may still be lent as a whole.
            partial.frame = Some(frame);
            return Ok(Progress::Starved);
        }
        if opcode.is_control() {
            partial.control.extend_from_slice(piece);
            if !complete {
                partial.frame = Some(frame);
                return Ok(Progress::Starved);
            }
            if opcode == OpCode::Close {
                parse_close(&partial.control)?;
            }
            partial.done = Done::Bytes(std::mem::take(&mut partial.control));
            return Ok(Progress::Event(Found { opcode, place: Place::Held }));
        }

        let message = partial.message.get_or_insert_with(|| Message::new(opcode, compressed));
        if complete && fin {
            let Some(message) = partial.message.take() else { return Ok(Progress::Starved) };
            return self.finish(message.opcode, message.body, piece).map(Progress::Event);
        }
        message.body.push(piece)?;
        if complete {
            return Ok(Progress::Fragment);
        }
        partial.frame = Some(frame);
        Ok(Progress::Starved)
    }

    /// Completes a message whose last piece is `piece` and keeps it for the caller to look at.
    fn finish(&mut self, opcode: OpCode, body: Body, piece: &[u8]) -> Result<Found, Violation> {
        let done = match body {
            Body::Text(mut text) => {
                text.push(piece)?;
                Done::Text(text.finish()?)
            }
            Body::Binary(mut bytes) => {
                bytes.extend_from_slice(piece);
                Done::Bytes(bytes)
            }
            Body::Compressed(mut bytes) => {
                let mut inflated = Vec::new();
                // The usual compressed message is one whole frame: it is read where it lies.
                let packed = if bytes.is_empty() {
                    piece
                } else {
                    bytes.extend_from_slice(piece);
                    &bytes
                };
                deflate::inflate(packed, self.max_message(), &mut inflated)?;
                match opcode {
                    OpCode::Text => {
                        Done::Text(String::from_utf8(inflated).map_err(|_| Violation::InvalidUtf8)?)
                    }
                    _ => Done::Bytes(inflated),
                }
            }
        };
        self.partial_mut().done = done;
        Ok(Found { opcode, place: Place::Held })
    }

    fn context(&self) -> Context {
        let open = self.partial.as_deref().and_then(|partial| partial.message.as_ref());
        Context {
            role: self.role,
            deflate: self.deflate,
            open: open.is_some(),
            may_continue: open.is_some_and(|message| message.fragments < self.max_fragments),
            room: self.max_message().saturating_sub(open.map_or(0, |message| message.body.len())),
        }
    }

    fn partial_mut(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }
}

impl<'a> Event<'a> {
    fn from_payload(opcode: OpCode, payload: &'a [u8]) -> Result<Self, Violation> {
        Ok(match opcode {
            OpCode::Text => Self::Text(std::str::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?),
            OpCode::Ping => Self::Ping(payload),
            OpCode::Pong => Self::Pong(payload),
            OpCode::Close => Self::Close(parse_close(payload)?),
            OpCode::Binary | OpCode::Continuation => Self::Binary(payload),
        })
    }
}

/// Everything that is needed only between the first and the last byte of a frame or message.
#[derive(Debug, Default)]
struct Partial {
    head: [u8; MAX_HEADER],
    head_len: u8,
    frame: Option<Frame>,
    control: Vec<u8>,
    message: Option<Message>,
    /// The payload of the event of the last call.
    done: Done,
}

impl Partial {
    fn is_idle(&self) -> bool {
        self.head_len == 0
            && self.frame.is_none()
            && self.message.is_none()
            && matches!(self.done, Done::Nothing)
    }

    /// Stores the beginning of a header; an incomplete one always fits.
    fn keep_head(&mut self, bytes: &[u8]) {
        for (slot, byte) in self.head.iter_mut().zip(bytes) {
            *slot = *byte;
            self.head_len += 1;
        }
    }

    /// Adds to a header kept before, taking not one byte more than it needs.
    fn continue_head(
        &mut self,
        mut rest: &[u8],
        context: &Context,
        at: &mut usize,
    ) -> Result<Option<Header>, Violation> {
        loop {
            let have = usize::from(self.head_len);
            let needed = match Header::parse(self.head.get(..have).unwrap_or_default(), context)? {
                Parsed::Complete(header) => {
                    self.head_len = 0;
                    return Ok(Some(header));
                }
                Parsed::Incomplete(needed) => needed,
            };
            let (Some(slots), false) = (self.head.get_mut(have..needed), rest.is_empty()) else {
                return Ok(None);
            };
            let mut taken = 0;
            for (slot, byte) in slots.iter_mut().zip(rest) {
                *slot = *byte;
                taken += 1;
            }
            self.head_len += taken;
            *at += usize::from(taken);
            rest = rest.get(usize::from(taken)..).unwrap_or_default();
        }
    }
}

/// A frame whose header is complete and whose payload is not.
#[derive(Debug)]
struct Frame {
    header: Header,
    /// Bytes of payload taken.
    received: usize,
}

#[derive(Debug)]
struct Message {
    opcode: OpCode,
    /// Frames begun.
    fragments: u32,
    body: Body,
}

impl Message {
    fn new(opcode: OpCode, compressed: bool) -> Self {
        let body = match opcode {
            _ if compressed => Body::Compressed(Vec::new()),
            OpCode::Text => Body::Text(TextBuffer::default()),
            _ => Body::Binary(Vec::new()),
        };
        Self { opcode, fragments: 1, body }
    }
}

#[derive(Debug)]
enum Body {
    Text(TextBuffer),
    Binary(Vec<u8>),
    /// Inflated when whole: a state between fragments would be memory per connection.
    Compressed(Vec<u8>),
}

impl Body {
    fn push(&mut self, piece: &[u8]) -> Result<(), Violation> {
        match self {
            Self::Text(text) => text.push(piece)?,
            Self::Binary(bytes) | Self::Compressed(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Compressed(bytes) => bytes.len(),
        }
    }
}

#[derive(Debug, Default)]
enum Done {
    #[default]
    Nothing,
    Text(String),
    Bytes(Vec<u8>),
}

/// An event without its borrow.
struct Found {
    opcode: OpCode,
    place: Place,
}

enum Place {
    /// In the caller's input.
    Input(Range<usize>),
    /// In [`Partial::done`].
    Held,
}

enum Progress {
    Event(Found),
    /// A frame of an open message is complete; there may be more input.
    Fragment,
    /// The input is used up.
    Starved,
}

fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::TruncatedCloseCode) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_valid_close_code(code) {
        return Err(Violation::InvalidCloseCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::InvalidCloseReason)?;
    Ok(Some((code, reason)))
}

/// Codes that may be on the wire: RFC 6455 section 7.4, and the registry of its section 11.7 up to 1014.
pub(super) fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

const _: () =
    assert!(size_of::<Decoder>() <= 24, "a decoder must stay small: a server has one for each client");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_decoder_is_small_and_owns_nothing() {
        assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());

        let mut decoder = Decoder::new(Role::Client, Limits::default(), false);
        let mut bytes = *b"\x81\x05He";
        assert_eq!(decoder.decode(&mut bytes), Ok((4, None)));
        assert!(decoder.partial.is_some());
        assert_eq!(decoder.decode(&mut b"llo".to_owned()), Ok((3, Some(Event::Text("Hello")))));
        assert_eq!(decoder.decode(&mut []), Ok((0, None)));
        assert!(decoder.partial.is_none());
    }

    #[test]
    fn a_whole_frame_is_lent_from_the_input() {
        let mut decoder = Decoder::new(Role::Server, Limits::default(), false);
        let mut bytes = *b"\x82\x84\x01\x02\x03\x04\x01\x02\x03\x04rest";
        let payload = bytes.as_ptr_range().start.wrapping_add(6);
        let (consumed, event) = decoder.decode(&mut bytes[..10]).unwrap();
        let Some(Event::Binary(lent)) = event else { panic!("{event:?}") };
        assert_eq!((consumed, lent, lent.as_ptr()), (10, &[0; 4][..], payload));
        assert!(decoder.partial.is_none());
    }

    #[test]
    fn memory_follows_what_arrived_not_what_was_declared() {
        let mut decoder = Decoder::new(Role::Client, Limits::default(), false);
        let mut bytes = *b"\x82\x7f\x00\x00\x00\x00\x00\x0f\x42\x40ab"; // declares 1,000,000 bytes, sends two
        assert_eq!(decoder.decode(&mut bytes), Ok((12, None)));
        assert_eq!(decoder.buffered(), 2);
        let Some(Body::Binary(held)) =
            decoder.partial.as_ref().and_then(|p| p.message.as_ref()).map(|m| &m.body)
        else {
            panic!("no message")
        };
        assert!(held.capacity() < 64, "{}", held.capacity());
    }
}
