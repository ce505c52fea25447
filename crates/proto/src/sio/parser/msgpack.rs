//! The msgpack parser: one map `{type, data, nsp, id?}` per binary message (`socket.io-msgpack-parser`).

use std::borrow::Cow;

use super::Limits;
use crate::sio::msgpack_scan::{Item, NIL, Scanner, UNDEFINED};
use crate::sio::{Args, Kind, MAX_SAFE_INTEGER, Packet, RawArg, Violation, is_reserved};

const CONNECT: u64 = 0;
const DISCONNECT: u64 = 1;
const EVENT: u64 = 2;
const ACK: u64 = 3;
const CONNECT_ERROR: u64 = 4;

/// Decodes one packet. Keys may come in any order, unknown ones are skipped, `nil` is the same as absent.
pub(super) fn decode<'a>(data: &'a [u8], limits: &Limits) -> Result<Packet<'a>, Violation> {
    let fields = Fields::read(data, limits)?;
    let nsp = match fields.nsp {
        None => "/",
        Some(raw) => text(raw).filter(|nsp| nsp.starts_with('/')).ok_or(Violation::IllegalNamespace)?,
    };
    let (nsp, query) = match nsp.split_once('?') {
        Some((nsp, query)) => (nsp, Some(query)),
        None => (nsp, None),
    };
    let id = match fields.id {
        None => None,
        Some(raw) => match Scanner::new(raw).next_item() {
            Some(Item::Unsigned(id)) if id <= MAX_SAFE_INTEGER => Some(id),
            _ => return Err(Violation::IllegalId),
        },
    };
    let Some(Item::Unsigned(kind)) = fields.kind.and_then(|raw| Scanner::new(raw).next_item()) else {
        return Err(Violation::UnknownType);
    };
    let payload = fields.data.map(|raw| (raw, Scanner::new(raw).next_item()));
    let raw_arg = |raw| RawArg::msgpack(raw);
    let kind = match (kind, payload) {
        (CONNECT, None) => Kind::Connect { auth: None, query },
        (CONNECT, Some((raw, Some(Item::Map(_))))) => Kind::Connect { auth: Some(raw_arg(raw)), query },
        (CONNECT, _) => return Err(Violation::ConnectPayload),
        (DISCONNECT, None) => Kind::Disconnect,
        (DISCONNECT, _) => return Err(Violation::DisconnectPayload),
        (CONNECT_ERROR, None) => Kind::ConnectError { data: None },
        (CONNECT_ERROR, Some((raw, Some(Item::Map(_) | Item::Str(_))))) => {
            Kind::ConnectError { data: Some(raw_arg(raw)) }
        }
        (CONNECT_ERROR, _) => return Err(Violation::ConnectErrorPayload),
        (EVENT, Some((raw, Some(Item::Array(len))))) => event(raw, len, id)?,
        (ACK, Some((raw, Some(Item::Array(len))))) => {
            let mut scanner = Scanner::new(raw);
            scanner.next_item();
            Kind::Ack { id: id.ok_or(Violation::IllegalId)?, args: Args::msgpack(scanner.rest(), len) }
        }
        (EVENT | ACK, _) => return Err(Violation::NotAnArray),
        _ => return Err(Violation::UnknownType),
    };
    Ok(Packet { nsp: if nsp.is_empty() { "/" } else { nsp }, kind })
}

/// The values of the known keys, each one complete msgpack value.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
    nsp: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(data: &'a [u8], limits: &Limits) -> Result<Self, Violation> {
        if data.is_empty() {
            return Err(Violation::EmptyPacket);
        }
        let mut scanner = Scanner::new(data);
        let Some(Item::Map(len)) = scanner.next_item() else { return Err(Violation::BadMsgpack) };
        let mut fields = Self::default();
        let mut seen = 0u8;
        for _ in 0..len {
            let key = scanner.skip_value(limits.max_depth)?;
            let value = scanner.skip_value(limits.max_depth)?;
            let (bit, field) = match text(key) {
                Some("type") => (1, &mut fields.kind),
                Some("data") => (2, &mut fields.data),
                Some("nsp") => (4, &mut fields.nsp),
                Some("id") => (8, &mut fields.id),
                _ => continue,
            };
            if seen & bit != 0 {
                return Err(Violation::BadMsgpack);
            }
            seen |= bit;
            *field = (value != [NIL] && value != UNDEFINED).then_some(value);
        }
        if scanner.rest().is_empty() { Ok(fields) } else { Err(Violation::BadMsgpack) }
    }
}

fn event(raw: &[u8], len: usize, id: Option<u64>) -> Result<Kind<'_>, Violation> {
    let mut scanner = Scanner::new(raw);
    scanner.next_item();
    let name = match scanner.next_item() {
        _ if len == 0 => return Err(Violation::NoEventName),
        Some(Item::Str(name)) => match std::str::from_utf8(name) {
            Ok(name) => Cow::Borrowed(name),
            Err(_) => return Err(Violation::BadMsgpack),
        },
        Some(Item::Unsigned(n)) => Cow::Owned(n.to_string()),
        Some(Item::Negative(n)) => Cow::Owned(n.to_string()),
        Some(Item::Float(n)) => Cow::Owned(n.to_string()),
        _ => return Err(Violation::NoEventName),
    };
    if is_reserved(&name) {
        return Err(Violation::ReservedEventName);
    }
    Ok(Kind::Event { name, id, args: Args::msgpack(scanner.rest(), len - 1) })
}

fn text(raw: &[u8]) -> Option<&str> {
    match Scanner::new(raw).next_item() {
        Some(Item::Str(text)) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}
