//! From values to Engine.IO messages, with room in front for the headers of the layers below.
//!
//! The common packet costs one allocation: arguments are serialized right behind the header of the packet.

use bytes::Bytes;
use serde::Serialize;

use super::binary::Scope;
use super::msgpack_scan::{Item, Scanner};
use super::shape::Shape;
use super::{EncodeError, Parser, is_reserved, json_text};

/// One packet as Engine.IO messages: the first is [`packet`](Self::packet), the attachments follow as binary
/// messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Free bytes (zero), then the packet.
    pub head: Vec<u8>,
    /// Where the packet starts; at least the headroom that was asked for.
    pub head_offset: usize,
    /// In the order of their placeholders. Empty with msgpack.
    pub attachments: Vec<Bytes>,
    /// Whether the packet is a binary message (msgpack) or text.
    pub binary: bool,
}

impl Encoded {
    /// The packet without the free bytes in front of it.
    pub fn packet(&self) -> &[u8] {
        self.head.get(self.head_offset..).unwrap_or_default()
    }

    /// Writes another offset of the same length over that of [`encode_event_with_offset`].
    pub fn set_offset(&mut self, offset: &str) {
        // In JSON a quotation mark and a bracket follow it.
        let end = self.head.len() - if self.binary { 0 } else { 2 };
        if let Some(place) = end.checked_sub(offset.len()).and_then(|start| self.head.get_mut(start..end)) {
            place.copy_from_slice(offset.as_bytes());
        }
    }
}

/// An event (types 2 and 5), with an `id` if an acknowledgement is wanted.
///
/// `args`: `()` is no argument, [`Many`](super::Many) several, anything else one. `headroom` is in bytes.
/// (`serde_json::Value::Null` serializes like `()`; `Option::None` or [`Value::Null`](super::Value::Null)
/// send `null`.)
///
/// Errors: a reserved event name, arguments that the format cannot express.
pub fn encode_event<T: Serialize + ?Sized>(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    id: Option<u64>,
    name: &str,
    args: &T,
) -> Result<Encoded, EncodeError> {
    if is_reserved(name) {
        return Err(EncodeError::ReservedName(name.to_owned()));
    }
    match parser {
        Parser::Json => json_packet(headroom, EVENT, nsp, id, Some(name), args),
        Parser::Msgpack => msgpack_packet(headroom, EVENT, nsp, id, Some(name), args),
    }
}

/// An event without an `id`, with one argument more: the text that unmodified clients take for their offset
/// (reference/socketio.md 2.3). It can be replaced by [`Encoded::set_offset`].
///
/// `offset` must be shorter than 32 bytes and need no escapes in JSON.
///
/// Errors: as [`encode_event`].
pub fn encode_event_with_offset<T: Serialize + ?Sized>(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    name: &str,
    args: &T,
    offset: &str,
) -> Result<Encoded, EncodeError> {
    debug_assert!(offset.len() < 32 && offset.bytes().all(is_plain), "no offset: {offset:?}");
    let mut encoded = encode_event(parser, headroom, nsp, None, name, args)?;
    if encoded.binary {
        msgpack_append(&mut encoded, headroom, nsp, offset);
    } else {
        // The array of the arguments is the last thing in the text.
        encoded.head.pop();
        for part in [",\"", offset, "\"]"] {
            encoded.head.extend_from_slice(part.as_bytes());
        }
    }
    Ok(encoded)
}

/// The same packet with another ack id. `packet` is an event with an id or an acknowledgement, as [`encode_event`] or [`encode_ack`]
/// made it for this `parser` and `nsp`; its attachments stay as they are. What is no such packet comes back unchanged.
pub fn with_ack_id(parser: Parser, nsp: &str, packet: &[u8], id: u64) -> Vec<u8> {
    let place = match parser {
        Parser::Json => json_id(nsp, packet),
        Parser::Msgpack => msgpack_id(nsp, packet),
    };
    let parts = place.and_then(|(start, end)| Some((packet.get(..start)?, packet.get(end..)?)));
    let Some((before, after)) = parts else { return packet.to_vec() };
    let mut changed = Vec::with_capacity(packet.len() + MAX_DIGITS);
    changed.extend_from_slice(before);
    match parser {
        Parser::Json => changed.extend_from_slice(decimal(id, &mut [0; MAX_DIGITS])),
        Parser::Msgpack => push_unsigned(&mut changed, id),
    }
    changed.extend_from_slice(after);
    changed
}

/// Where the digits of the id are: behind the type, the number of attachments and the namespace.
fn json_id(nsp: &str, packet: &[u8]) -> Option<(usize, usize)> {
    let is_binary = packet.first().is_some_and(|kind| *kind >= b'0' + EVENT + BINARY);
    let attachments = if is_binary { packet.iter().position(|byte| *byte == b'-')? } else { 0 };
    let start = attachments + 1 + if nsp == "/" { 0 } else { nsp.len() + 1 };
    let digits = packet.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some((start, start + digits))
}

/// Where the number of the id is: behind the namespace and the key.
fn msgpack_id(nsp: &str, packet: &[u8]) -> Option<(usize, usize)> {
    let start = msgpack_head(0, EVENT, nsp, None, 0, false).len() - SPARE + "_id".len();
    let len = match packet.get(start)? {
        0xcc => 2,
        0xcd => 3,
        0xce => 5,
        0xcf => 9,
        _ => 1,
    };
    Some((start, start + len))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

/// Adds a text to the array of name and arguments, which is the last thing in the packet.
fn msgpack_append(encoded: &mut Encoded, headroom: usize, nsp: &str, text: &str) {
    let array = encoded.head_offset + array_start(nsp);
    let mut scanner = Scanner::new(encoded.head.get(array..).unwrap_or_default());
    let Some(Item::Array(len)) = scanner.next_item() else { return };
    let elements = encoded.head.len() - scanner.rest().len();
    let (header, header_len) = array_header(len + 1);
    let longer = header_len - (elements - array);
    if longer > 0 {
        // The head moves into the spare room in front of it, or all that follows moves.
        if encoded.head_offset - longer >= headroom {
            encoded.head.copy_within(encoded.head_offset..array, encoded.head_offset - longer);
            encoded.head_offset -= longer;
        } else {
            encoded.head.splice(array..array, std::iter::repeat_n(0, longer));
        }
    }
    let end = encoded.head_offset + array_start(nsp) + header_len;
    encoded.head[end - header_len..end].copy_from_slice(&header[..header_len]);
    push_str(&mut encoded.head, text);
}

/// Where the value of `data` starts in an event without an id.
fn array_start(nsp: &str) -> usize {
    msgpack_head(0, EVENT, nsp, None, 0, true).len() - SPARE
}

/// The acknowledgement (types 3 and 6) of the event with `id`; `args` and `headroom` as in [`encode_event`].
///
/// Errors: arguments that the format cannot express.
pub fn encode_ack<T: Serialize + ?Sized>(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    id: u64,
    args: &T,
) -> Result<Encoded, EncodeError> {
    match parser {
        Parser::Json => json_packet(headroom, ACK, nsp, Some(id), None, args),
        Parser::Msgpack => msgpack_packet(headroom, ACK, nsp, Some(id), None, args),
    }
}

/// The server's CONNECT (type 0): `sid` is the socket's id in the namespace, `None` in protocol 4; `pid` its
/// private id for connection state recovery.
pub fn encode_connect(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    sid: Option<&str>,
    pid: Option<&str>,
) -> Encoded {
    connect(parser, headroom, nsp, sid, pid, None)
}

/// As [`encode_connect`], with `"once": true`: the server knows a repeated event by its ack id, if the client says that it keeps the id
/// ([`KEEPS_IDS`](super::KEEPS_IDS)). An extension of ours; other clients overlook it.
pub fn encode_connect_once(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    sid: &str,
    pid: Option<&str>,
) -> Encoded {
    connect(parser, headroom, nsp, Some(sid), pid, Some(true))
}

fn connect(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    sid: Option<&str>,
    pid: Option<&str>,
    once: Option<bool>,
) -> Encoded {
    #[derive(Serialize)]
    struct Payload<'a> {
        sid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        once: Option<bool>,
    }
    let payload = sid.map(|sid| Payload { sid, pid, once });
    infallible(plain_packet(parser, headroom, CONNECT, nsp, payload.as_ref()))
}

/// CONNECT_ERROR of protocol 5 (type 4): `{"message", "data"?}`.
pub fn encode_connect_error(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    message: &str,
    data: Option<&serde_json::Value>,
) -> Encoded {
    #[derive(Serialize)]
    struct Payload<'a> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a serde_json::Value>,
    }
    infallible(plain_packet(parser, headroom, CONNECT_ERROR, nsp, Some(&Payload { message, data })))
}

/// ERROR of protocol 4 (type 4): any JSON, usually a string.
pub fn encode_error_v4(headroom: usize, nsp: &str, payload: &serde_json::Value) -> Encoded {
    infallible(plain_packet(Parser::Json, headroom, CONNECT_ERROR, nsp, Some(payload)))
}

/// DISCONNECT (type 1): the namespace is left, the connection stays.
pub fn encode_disconnect(parser: Parser, headroom: usize, nsp: &str) -> Encoded {
    infallible(plain_packet(parser, headroom, DISCONNECT, nsp, None::<&()>))
}

/// The client's CONNECT (type 0), with the auth payload if there is one.
///
/// Errors: `auth` is not an object, or the format cannot express it.
pub fn encode_client_connect<T: Serialize>(
    parser: Parser,
    headroom: usize,
    nsp: &str,
    auth: Option<&T>,
) -> Result<Encoded, EncodeError> {
    let _scope = Scope::none();
    let encoded = plain_packet(parser, headroom, CONNECT, nsp, auth)?;
    if auth.is_some() && !payload_is_object(&encoded, nsp) {
        return Err(EncodeError::AuthNotAnObject);
    }
    Ok(encoded)
}

const CONNECT: u8 = 0;
const DISCONNECT: u8 = 1;
const EVENT: u8 = 2;
const ACK: u8 = 3;
const CONNECT_ERROR: u8 = 4;
/// What is added to the type of an event or an acknowledgement with attachments.
const BINARY: u8 = 3;

/// Room in front of the type for what is known late: `N-` up to 999 attachments, or msgpack's longer array
/// header.
const SPARE: usize = 8;
/// First guess for the arguments, in bytes: most events never grow their buffer.
const ARGS: usize = 96;

fn json_packet<T: Serialize + ?Sized>(
    headroom: usize,
    kind: u8,
    nsp: &str,
    id: Option<u64>,
    name: Option<&str>,
    args: &T,
) -> Result<Encoded, EncodeError> {
    let mut head = json_head(headroom, kind, nsp, id, name.map_or(0, str::len));
    head.push(b'[');
    if let Some(name) = name {
        json_text::push_string(&mut head, name);
        head.push(b',');
    }
    let shape = Shape::write_text(args, &mut head);
    let scope = Scope::encode();
    // The bracket or the comma.
    let start = head.len() - 1;
    match shape {
        Shape::Written => head.push(b']'),
        Shape::None => {
            if name.is_some() {
                head.truncate(start);
            }
            head.push(b']');
        }
        Shape::One => {
            json(&mut head, args)?;
            head.push(b']');
        }
        Shape::Many => {
            // The array of the arguments goes on where the name stopped: its own bracket becomes the comma.
            head.truncate(start);
            json(&mut head, args)?;
            match head.get_mut(start..) {
                Some([b'[', b']']) if name.is_some() => {
                    head.truncate(start);
                    head.push(b']');
                }
                Some([bracket @ b'[', ..]) if name.is_some() => *bracket = b',',
                Some([b'[', ..]) => {}
                _ => return Err(EncodeError::NotASequence),
            }
        }
    }
    let attachments = scope.finish();
    let head_offset = headroom + SPARE;
    let mut encoded = Encoded { head, head_offset, attachments, binary: false };
    if !encoded.attachments.is_empty() {
        make_binary(&mut encoded, kind);
    }
    Ok(encoded)
}

/// Writes type and `N-` of a binary packet over its plain type.
fn make_binary(encoded: &mut Encoded, kind: u8) {
    let mut prefix = [0; 2 + MAX_DIGITS];
    let mut digits = [0; MAX_DIGITS];
    let digits = decimal(encoded.attachments.len() as u64, &mut digits);
    let len = digits.len() + 2;
    prefix[0] = b'0' + kind + BINARY;
    prefix[1..len - 1].copy_from_slice(digits);
    prefix[len - 1] = b'-';
    if len - 1 > SPARE {
        // More attachments than any peer takes; correct all the same.
        let start = encoded.head_offset;
        encoded.head.splice(start..start, std::iter::repeat_n(0, len));
        encoded.head_offset += len;
    }
    encoded.head_offset -= len - 1;
    let start = encoded.head_offset;
    encoded.head[start..start + len].copy_from_slice(&prefix[..len]);
}

/// `<type>[<namespace>,][<id>]` behind the free bytes.
fn json_head(headroom: usize, kind: u8, nsp: &str, id: Option<u64>, name_len: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(headroom + SPARE + nsp.len() + name_len + ARGS);
    head.resize(headroom + SPARE, 0);
    head.push(b'0' + kind);
    if nsp != "/" {
        head.extend_from_slice(nsp.as_bytes());
        head.push(b',');
    }
    if let Some(id) = id {
        head.extend_from_slice(decimal(id, &mut [0; MAX_DIGITS]));
    }
    head
}

fn json<T: Serialize + ?Sized>(head: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    Ok(serde_json::to_writer(head, value)?)
}

fn msgpack_packet<T: Serialize + ?Sized>(
    headroom: usize,
    kind: u8,
    nsp: &str,
    id: Option<u64>,
    name: Option<&str>,
    args: &T,
) -> Result<Encoded, EncodeError> {
    let shape = Shape::of(args);
    let mut head = msgpack_head(headroom, kind, nsp, id, name.map_or(0, str::len), true);
    // In front of the array of name and arguments.
    let fixed = head.len();
    head.push(FIXARRAY + u8::from(name.is_some()) + u8::from(shape == Shape::One));
    if let Some(name) = name {
        push_str(&mut head, name);
    }
    let mut head_offset = headroom + SPARE;
    let start = head.len();
    match shape {
        Shape::None => {}
        Shape::One | Shape::Written => msgpack(&mut head, args)?,
        Shape::Many => {
            msgpack(&mut head, args)?;
            let mut scanner = Scanner::new(&head[start..]);
            let Some(Item::Array(len)) = scanner.next_item() else { return Err(EncodeError::NotASequence) };
            let elements = head.len() - scanner.rest().len();
            // The arguments stay; the little in front of them moves over the header of their array.
            let (header, header_len) = array_header(len + usize::from(name.is_some()));
            let name_start = elements - (start - fixed - 1);
            head.copy_within(fixed + 1..start, name_start);
            let array_start = name_start - header_len;
            head.copy_within(head_offset..fixed, head_offset + array_start - fixed);
            head[array_start..name_start].copy_from_slice(&header[..header_len]);
            head_offset = head_offset + array_start - fixed;
            head[headroom..head_offset].fill(0);
        }
    }
    Ok(Encoded { head, head_offset, attachments: Vec::new(), binary: true })
}

/// The map up to the value of `data`, which is the last key (if there is any).
fn msgpack_head(
    headroom: usize,
    kind: u8,
    nsp: &str,
    id: Option<u64>,
    name_len: usize,
    data: bool,
) -> Vec<u8> {
    let mut head = Vec::with_capacity(headroom + SPARE + nsp.len() + name_len + ARGS);
    head.resize(headroom + SPARE, 0);
    head.push(FIXMAP + 2 + u8::from(id.is_some()) + u8::from(data));
    push_str(&mut head, "type");
    head.push(kind);
    push_str(&mut head, "nsp");
    push_str(&mut head, nsp);
    if let Some(id) = id {
        push_str(&mut head, "id");
        push_unsigned(&mut head, id);
    }
    if data {
        push_str(&mut head, "data");
    }
    head
}

fn msgpack<T: Serialize + ?Sized>(head: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    let _scope = Scope::none();
    // Maps and human-readable forms, so that the peer sees the same objects as with JSON.
    let mut serializer = rmp_serde::Serializer::new(head).with_struct_map().with_human_readable();
    Ok(value.serialize(&mut serializer)?)
}

/// A packet with at most one payload and nothing else.
fn plain_packet<T: Serialize + ?Sized>(
    parser: Parser,
    headroom: usize,
    kind: u8,
    nsp: &str,
    payload: Option<&T>,
) -> Result<Encoded, EncodeError> {
    let binary = parser == Parser::Msgpack;
    let mut head = match parser {
        Parser::Json => json_head(headroom, kind, nsp, None, 0),
        Parser::Msgpack => msgpack_head(headroom, kind, nsp, None, 0, payload.is_some()),
    };
    match (payload, parser) {
        (None, _) => {}
        (Some(payload), Parser::Json) => json(&mut head, payload)?,
        (Some(payload), Parser::Msgpack) => msgpack(&mut head, payload)?,
    }
    Ok(Encoded { head, head_offset: headroom + SPARE, attachments: Vec::new(), binary })
}

/// For payloads of strings and JSON values, which both formats express, into memory, which takes them.
fn infallible(encoded: Result<Encoded, EncodeError>) -> Encoded {
    encoded.expect("strings and JSON values can be encoded")
}

fn payload_is_object(encoded: &Encoded, nsp: &str) -> bool {
    let headless = match encoded.binary {
        false => json_head(0, CONNECT, nsp, None, 0).len() - SPARE,
        true => msgpack_head(0, CONNECT, nsp, None, 0, true).len() - SPARE,
    };
    let payload = encoded.packet().get(headless..).unwrap_or_default();
    match encoded.binary {
        false => payload.first() == Some(&b'{'),
        true => matches!(Scanner::new(payload).next_item(), Some(Item::Map(_))),
    }
}

/// The digits of `n`, at the end of `buffer`.
fn decimal(mut n: u64, buffer: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let mut start = MAX_DIGITS;
    loop {
        start -= 1;
        buffer[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &buffer[start..];
        }
    }
}

/// Of a `u64`.
const MAX_DIGITS: usize = 20;

const FIXMAP: u8 = 0x80;
const FIXARRAY: u8 = 0x90;

fn array_header(len: usize) -> ([u8; 5], usize) {
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..16), _) => ([FIXARRAY | len, 0, 0, 0, 0], 1),
        (_, Ok(len)) => {
            let [a, b] = len.to_be_bytes();
            ([0xdc, a, b, 0, 0], 3)
        }
        // An array of more elements could not have been serialized before.
        _ => {
            let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
            ([0xdd, a, b, c, d], 5)
        }
    }
}

fn push_str(head: &mut Vec<u8>, text: &str) {
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(len @ 0..32), _) => head.push(0xa0 | len),
        (Ok(len), _) => head.extend_from_slice(&[0xd9, len]),
        (_, Ok(len)) => {
            head.push(0xda);
            head.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            head.push(0xdb);
            head.extend_from_slice(&(text.len() as u32).to_be_bytes());
        }
    }
    head.extend_from_slice(text.as_bytes());
}

fn push_unsigned(head: &mut Vec<u8>, n: u64) {
    match (u8::try_from(n), u16::try_from(n), u32::try_from(n)) {
        (Ok(n @ 0..128), ..) => head.push(n),
        (Ok(n), ..) => head.extend_from_slice(&[0xcc, n]),
        (_, Ok(n), _) => {
            head.push(0xcd);
            head.extend_from_slice(&n.to_be_bytes());
        }
        (_, _, Ok(n)) => {
            head.push(0xce);
            head.extend_from_slice(&n.to_be_bytes());
        }
        _ => {
            head.push(0xcf);
            head.extend_from_slice(&n.to_be_bytes());
        }
    }
}
