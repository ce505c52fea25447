//! Entry points for fuzzers and property tests: each takes any bytes and panics if a promise is broken.

use std::borrow::Cow;

use super::json::{self, MAX_DEPTH};
use super::json_text;
use super::{
    Args, Decoder, Encoded, Kind, Limits, Many, Packet, Parser, Value, Violation, encode_ack, encode_event,
};

/// The JSON scanner agrees with serde_json, and text packets survive a round trip.
pub fn fuzz_sio_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    compare_with_serde_json(text);
    let mut decoder = Decoder::new(Parser::Json, Limits::default());
    if let Ok(Some(packet)) = decoder.decode_text(text) {
        round_trip(&packet);
    }
}

/// Any bytes as a msgpack packet; what is accepted survives a round trip.
pub fn fuzz_sio_msgpack(data: &[u8]) {
    let mut borrowed = Decoder::new(Parser::Msgpack, Limits::default());
    let mut owned = Decoder::new(Parser::Msgpack, Limits::default());
    let first = borrowed.decode_binary(Cow::Borrowed(data));
    let second = owned.decode_binary(Cow::Owned(data.to_vec()));
    assert_eq!(format!("{first:?}"), format!("{second:?}"), "borrowed and owned data decode alike");
    if let Ok(Some(packet)) = first {
        round_trip(&packet);
    }
}

/// A sequence of messages: each starts with a byte for its type (odd: binary) and one for its length.
pub fn fuzz_sio_sequence(data: &[u8]) {
    let limits = Limits { max_attachments: 3, max_depth: 8, max_bytes: 256 };
    let mut decoder = Decoder::new(Parser::Json, limits);
    let mut rest = data;
    while let [kind, len, tail @ ..] = rest {
        let (message, tail) = tail.split_at(tail.len().min((*len).into()));
        rest = tail;
        let was_waiting = decoder.is_waiting();
        let result = match (kind & 1, std::str::from_utf8(message)) {
            (0, Ok(text)) => decoder.decode_text(text),
            _ => decoder.decode_binary(Cow::Borrowed(message)),
        };
        let failed = match result {
            Ok(Some(packet)) => {
                round_trip(&packet);
                false
            }
            Ok(None) => false,
            Err(Violation::UnexpectedBinary) => {
                assert!(!was_waiting, "attachments that are waited for are taken");
                true
            }
            Err(_) => true,
        };
        assert!(decoder.buffered() <= limits.max_bytes, "the limit holds");
        assert!(!(failed && decoder.is_waiting()), "nothing is kept after a violation");
    }
}

/// Valid for serde_json exactly if valid for the scanner, apart from depth, lone surrogates and the range of
/// numbers.
fn compare_with_serde_json(text: &str) {
    let ours = json::scan::<false>(text, 0, MAX_DEPTH, 0);
    if let Ok(payload) = &ours {
        assert_eq!(&text[payload.value.clone()], text.trim_matches([' ', '\n', '\r', '\t']));
        assert_eq!(json::skip_valid_value(text.as_bytes(), payload.value.start), payload.value.end);
    }
    let checked = json::scan::<true>(text, 0, MAX_DEPTH, usize::MAX);
    assert!(checked == ours || checked == Err(Violation::IllegalPlaceholder));
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => {
            let payload = ours.expect("what serde_json accepts, the scanner accepts");
            assert_eq!(payload.len, value.as_array().map_or(0, Vec::len));
        }
        Err(error) => {
            let Ok(_) = ours else { return };
            let Some(clean) = json_text::replace_lone_surrogates(text) else {
                assert!(excused(&error), "the scanner accepts {text:?}, serde_json does not: {error}");
                return;
            };
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&clean) {
                assert!(excused(&error), "the scanner accepts {clean:?}, serde_json does not: {error}");
            }
        }
    }
}

fn excused(error: &serde_json::Error) -> bool {
    let message = error.to_string();
    message.starts_with("number out of range") || message.starts_with("recursion limit exceeded")
}

/// Deserializes the arguments, encodes them for both parsers, decodes that and compares.
fn round_trip(packet: &Packet<'_>) {
    let (name, id, args) = match &packet.kind {
        Kind::Event { name, id, args } => (Some(&**name), *id, *args),
        Kind::Ack { id, args } => (None, Some(*id), *args),
        Kind::Connect { auth: Some(raw), .. } | Kind::ConnectError { data: Some(raw) } => {
            let _: Result<Value, _> = raw.deserialize();
            return;
        }
        _ => return,
    };
    assert_eq!(args.count(), args.len(), "the iterator keeps its word");
    let owned = args.to_owned();
    let Ok(values) = owned.as_args().deserialize_all::<Vec<Value>>() else { return };
    assert_eq!(values.len(), args.len());
    // Such data is not told from an attachment in a packet that has attachments; and numbers may lose digits.
    let special = values.iter().any(contains_special);
    let too_deep_as_json = values.iter().any(|value| json_depth(value) >= MAX_DEPTH);
    for parser in [Parser::Json, Parser::Msgpack] {
        let encoded = match name {
            Some(name) => encode_event(parser, 3, packet.nsp, id, name, &Many(&values)),
            None => encode_ack(parser, 3, packet.nsp, id.unwrap_or_default(), &Many(&values)),
        };
        let encoded = encoded.expect("values can be encoded");
        if packet.nsp.contains(',') || special || (parser == Parser::Json && too_deep_as_json) {
            continue;
        }
        let limits = Limits { max_attachments: usize::MAX, ..Limits::default() };
        let mut decoder = Decoder::new(parser, limits);
        let again = decode(&mut decoder, &encoded).expect("what was encoded decodes").expect("complete");
        assert_eq!(again.nsp, packet.nsp);
        let (again_name, again_id, again_args): (_, _, Args<'_>) = match again.kind {
            Kind::Event { name, id, args } => (Some(name), id, args),
            Kind::Ack { id, args } => (None, Some(id), args),
            kind => panic!("{kind:?}"),
        };
        assert_eq!((again_name.as_deref(), again_id), (name, id));
        assert_eq!(again_args.deserialize_all::<Vec<Value>>().expect("same values"), values);
    }
}

/// Feeds all messages of one packet to a decoder.
pub fn decode<'a>(decoder: &'a mut Decoder, encoded: &'a Encoded) -> Result<Option<Packet<'a>>, Violation> {
    if encoded.binary {
        return decoder.decode_binary(Cow::Borrowed(encoded.packet()));
    }
    let text = std::str::from_utf8(encoded.packet()).expect("text packets are text");
    let Some((last, attachments)) = encoded.attachments.split_last() else {
        return decoder.decode_text(text);
    };
    assert!(decoder.decode_text(text)?.is_none());
    for attachment in attachments {
        assert!(decoder.decode_binary(Cow::Borrowed(attachment))?.is_none());
    }
    decoder.decode_binary(Cow::Borrowed(last))
}

fn contains_special(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(elements) => elements.iter().any(contains_special),
        Value::Object(map) => map.contains_key("_placeholder") || map.values().any(contains_special),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Binary(_) => false,
    }
}

/// Nesting levels of a value as JSON, where binary data is a level of its own: the placeholder object.
fn json_depth(value: &Value) -> usize {
    match value {
        Value::Binary(_) => 1,
        Value::Array(elements) => 1 + elements.iter().map(json_depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(json_depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
