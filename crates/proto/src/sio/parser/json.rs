//! The default parser: `<type>[<attachments>-][<namespace>,][<id>][<JSON>]` (socket.io-protocol v5).

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::Limits;
use crate::sio::json::{self, Payload};
use crate::sio::json_text::unescape;
use crate::sio::{Args, Kind, MAX_SAFE_INTEGER, Packet, RawArg, Violation, is_reserved};

/// A validated text packet as offsets into its text, so that text and offsets can be kept together.
pub(super) struct Header {
    kind: u8,
    attachments: usize,
    /// With the query part, empty if absent.
    nsp: Range<usize>,
    id: Option<u64>,
    /// The whole JSON value, if there is one.
    payload: Option<Range<usize>>,
    /// The event name, a string with its quotes or a number.
    name: Range<usize>,
    /// The arguments with the commas between them, without brackets.
    args: Range<usize>,
    /// Number of arguments.
    len: usize,
}

/// A packet whose attachments arrive as messages of their own.
pub(super) struct Pending {
    header: Header,
    text: Box<str>,
    attachments: Vec<Bytes>,
    /// Text and attachments so far, in bytes.
    size: usize,
}

const CONNECT: u8 = b'0';
const DISCONNECT: u8 = b'1';
const EVENT: u8 = b'2';
const ACK: u8 = b'3';
const CONNECT_ERROR: u8 = b'4';
const BINARY_EVENT: u8 = b'5';
const BINARY_ACK: u8 = b'6';

impl Header {
    /// Validates everything that does not need the attachments themselves: placeholders are checked against
    /// their announced number.
    pub(super) fn parse(text: &str, limits: &Limits) -> Result<Self, Violation> {
        let bytes = text.as_bytes();
        let kind = *bytes.first().ok_or(Violation::EmptyPacket)?;
        if !(CONNECT..=BINARY_ACK).contains(&kind) {
            return Err(Violation::UnknownType);
        }
        let binary = kind >= BINARY_EVENT;
        let (attachments, i) = if binary { parse_attachments(bytes, limits)? } else { (0, 1) };
        let (nsp, i) = parse_namespace(bytes, i);
        let (id, i) = parse_id(bytes, i)?;

        let mut header = Self { kind, attachments, nsp, id, payload: None, name: 0..0, args: 0..0, len: 0 };
        if i == bytes.len() {
            header.check(text, None)?;
            return Ok(header);
        }
        let payload = if binary {
            json::scan::<true>(text, i, limits.max_depth, attachments)?
        } else {
            json::scan::<false>(text, i, limits.max_depth, 0)?
        };
        header.payload = Some(payload.value.clone());
        header.check(text, Some(payload))?;
        Ok(header)
    }

    pub(super) fn attachments(&self) -> usize {
        self.attachments
    }

    /// The packet, given the very text that was parsed.
    pub(super) fn packet<'a>(&self, text: &'a str, attachments: &'a [Bytes]) -> Packet<'a> {
        let (nsp, query) = match text[self.nsp.clone()].split_once('?') {
            Some((nsp, query)) => (nsp, Some(query)),
            None => (&text[self.nsp.clone()], None),
        };
        let payload = || self.payload.clone().map(|range| RawArg::json(&text[range], attachments));
        let args = Args::json(&text[self.args.clone()], self.len, attachments);
        let kind = match self.kind {
            CONNECT => Kind::Connect { auth: payload(), query },
            DISCONNECT => Kind::Disconnect,
            EVENT | BINARY_EVENT => {
                Kind::Event { name: event_name(&text[self.name.clone()]), id: self.id, args }
            }
            CONNECT_ERROR => Kind::ConnectError { data: payload() },
            // `check` lets no acknowledgement without id pass.
            _ => Kind::Ack { id: self.id.unwrap_or_default(), args },
        };
        Packet { nsp: if nsp.is_empty() { "/" } else { nsp }, kind }
    }

    /// The payload rules of each type (`isPayloadValid` of the reference parser).
    fn check(&mut self, text: &str, payload: Option<Payload>) -> Result<(), Violation> {
        let bytes = text.as_bytes();
        let first = payload.as_ref().map(|payload| bytes[payload.value.start]);
        match (self.kind, payload) {
            (CONNECT, _) if !matches!(first, None | Some(b'{')) => Err(Violation::ConnectPayload),
            (DISCONNECT, Some(_)) => Err(Violation::DisconnectPayload),
            (CONNECT_ERROR, _) if !matches!(first, None | Some(b'{' | b'"')) => {
                Err(Violation::ConnectErrorPayload)
            }
            (CONNECT | DISCONNECT | CONNECT_ERROR, _) => Ok(()),
            (ACK | BINARY_ACK, Some(payload)) if first == Some(b'[') => {
                self.args = payload.value.start + 1..payload.value.end - 1;
                self.len = payload.len;
                if self.id.is_some() { Ok(()) } else { Err(Violation::IllegalId) }
            }
            (EVENT | BINARY_EVENT, Some(payload)) if first == Some(b'[') => {
                self.name = payload.first.ok_or(Violation::NoEventName)?;
                self.args = payload.second..payload.value.end - 1;
                self.len = payload.len - 1;
                if !matches!(bytes[self.name.start], b'"' | b'-' | b'0'..=b'9') {
                    return Err(Violation::NoEventName);
                }
                if is_reserved(&event_name(&text[self.name.clone()])) {
                    return Err(Violation::ReservedEventName);
                }
                Ok(())
            }
            _ => Err(Violation::NotAnArray),
        }
    }
}

impl Pending {
    pub(super) fn new(header: Header, text: &str, limits: &Limits) -> Result<Self, Violation> {
        if text.len() > limits.max_bytes {
            return Err(Violation::TooBig);
        }
        // `header.attachments` is at most `Limits::max_attachments`, but that may be configured high.
        let attachments = Vec::with_capacity(header.attachments.min(16));
        Ok(Self { header, text: text.into(), attachments, size: text.len() })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.attachments.len() >= self.header.attachments
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the packet is complete now.
    pub(super) fn push(&mut self, data: Bytes) -> bool {
        self.size += data.len();
        self.attachments.push(data);
        self.is_complete()
    }

    pub(super) fn packet(&self) -> Packet<'_> {
        self.header.packet(&self.text, &self.attachments)
    }
}

/// Digits and `-` after the type of a binary packet.
fn parse_attachments(bytes: &[u8], limits: &Limits) -> Result<(usize, usize), Violation> {
    let digits = bytes[1..].iter().take(MAX_COUNT_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > MAX_COUNT_DIGITS || bytes.get(1 + digits) != Some(&b'-') {
        return Err(Violation::IllegalAttachmentCount);
    }
    let count = bytes[1..=digits].iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    match usize::try_from(count) {
        Ok(count) if count <= limits.max_attachments => Ok((count, digits + 2)),
        _ => Err(Violation::TooManyAttachments { limit: limits.max_attachments }),
    }
}

/// From `/` to the next comma or the end; the offset after the comma.
fn parse_namespace(bytes: &[u8], start: usize) -> (Range<usize>, usize) {
    if bytes.get(start) != Some(&b'/') {
        return (start..start, start);
    }
    match memchr::memchr(b',', &bytes[start..]) {
        Some(len) => (start..start + len, start + len + 1),
        None => (start..bytes.len(), bytes.len()),
    }
}

fn parse_id(bytes: &[u8], start: usize) -> Result<(Option<u64>, usize), Violation> {
    let (mut id, mut i) = (0u64, start);
    while let Some(digit @ b'0'..=b'9') = bytes.get(i) {
        if i - start == MAX_ID_DIGITS {
            return Err(Violation::IllegalId);
        }
        id = id * 10 + u64::from(digit - b'0');
        i += 1;
    }
    match id {
        _ if i == start => Ok((None, start)),
        0..=MAX_SAFE_INTEGER => Ok((Some(id), i)),
        _ => Err(Violation::IllegalId),
    }
}

/// Numbers are taken as they were written.
fn event_name(raw: &str) -> Cow<'_, str> {
    match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
        Some(body) => unescape(body),
        None => Cow::Borrowed(raw),
    }
}

/// Enough for 2^32; longer runs of digits are refused without being read (CVE-2020-36049).
const MAX_COUNT_DIGITS: usize = 10;
/// 2^53 has 16 digits, and one digit more still fits the 64 bits of the sum.
const MAX_ID_DIGITS: usize = 16;
