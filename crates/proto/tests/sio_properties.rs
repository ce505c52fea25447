//! Properties over random values and random, mostly broken, messages.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use trunkline_proto::sio::fuzz::{decode, fuzz_sio_json, fuzz_sio_msgpack, fuzz_sio_sequence};
use trunkline_proto::sio::{
    Decoder, Encoded, Kind, Limits, Many, Parser, Value, encode_ack, encode_event, is_reserved, with_ack_id,
};

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Halves print and parse exactly.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 2.0)),
        any::<String>().prop_map(Value::from),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Value::from(Bytes::from(bytes))),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            btree_map(any::<String>(), inner, 0..6).prop_map(Value::Object),
        ]
    })
}

fn any_nsp() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[a-z0-9/é-]{1,12}"]
}

fn any_id() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, 0..1u64 << 53]
}

fn check_round_trip(
    parser: Parser,
    encoded: &Encoded,
    nsp: &str,
    id: Option<u64>,
    name: Option<&str>,
    args: &[Value],
) {
    let mut decoder = Decoder::new(parser, Limits { max_attachments: 1000, ..Limits::default() });
    let packet = decode(&mut decoder, encoded).expect("valid").expect("complete");
    assert_eq!(packet.nsp, nsp);
    let (found_name, found_id, found) = match packet.kind {
        Kind::Event { name, id, args } => (Some(name), id, args),
        Kind::Ack { id, args } => (None, Some(id), args),
        kind => panic!("{kind:?}"),
    };
    assert_eq!((found_name.as_deref(), found_id), (name, id));
    assert_eq!(found.deserialize_all::<Vec<Value>>().unwrap(), args);
    let one_by_one: Vec<Value> = found.map(|arg| arg.deserialize().unwrap()).collect();
    assert_eq!(one_by_one, args);
}

/// JSON-like text, so that random changes stay interesting.
fn nearly_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\"a\""),
        Just("\\"),
        Just("\\u00e9"),
        Just("\\ud83d"),
        Just("\\ude00"),
        Just(" "),
        Just("\n"),
        Just("0"),
        Just("-"),
        Just("1"),
        Just("."),
        Just("e"),
        Just("E+"),
        Just("true"),
        Just("false"),
        Just("null"),
        Just("nul"),
        Just("é"),
        Just("\u{1}"),
        Just("/a,"),
        Just("2"),
        Just("[\"a\","),
        Just("51-"),
        Just("{\"_placeholder\":true,\"num\":"),
        Just("\"12345678901234567890\""),
        Just("{\"b\":"),
    ];
    vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

/// A valid message with a few bytes changed, cut or doubled.
fn broken(parser: Parser) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 0..4);
    (any_nsp(), proptest::option::of(any_id()), vec(any_value(), 0..4), edits).prop_map(
        move |(nsp, id, args, edits)| {
            let mut bytes = encode_event(parser, 0, &nsp, id, "name", &Many(args)).unwrap().packet().to_vec();
            for (index, kind, byte) in edits {
                if bytes.is_empty() {
                    break;
                }
                let index = index.index(bytes.len());
                match kind {
                    0 => bytes[index] = byte,
                    1 => bytes.insert(index, byte),
                    _ => bytes.truncate(index),
                }
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_and_acks_survive(
        nsp in any_nsp(),
        id in proptest::option::of(any_id()),
        other in any_id(),
        name in any::<String>(),
        args in vec(any_value(), 0..5),
        headroom in 0..40usize,
    ) {
        prop_assume!(!is_reserved(&name));
        for parser in [Parser::Json, Parser::Msgpack] {
            let event = encode_event(parser, headroom, &nsp, id, &name, &Many(&args)).unwrap();
            prop_assert!(event.head_offset >= headroom);
            check_round_trip(parser, &event, &nsp, id, Some(&name), &args);
            let id = id.unwrap_or(0);
            let with_id = |id| encode_event(parser, headroom, &nsp, Some(id), &name, &Many(&args)).unwrap();
            let (old, new) = (with_id(id), with_id(other));
            let changed = with_ack_id(parser, &nsp, old.packet(), other);
            prop_assert_eq!(&changed[..], new.packet());
            let ack = encode_ack(parser, headroom, &nsp, id, &Many(&args)).unwrap();
            check_round_trip(parser, &ack, &nsp, Some(id), None, &args);
            if let [only, ..] = &args[..] {
                let event = encode_event(parser, headroom, &nsp, None, &name, only).unwrap();
                check_round_trip(parser, &event, &nsp, None, Some(&name), &args[..1]);
            }
        }
    }

    #[test]
    fn any_text(text in any::<String>()) {
        fuzz_sio_json(text.as_bytes());
    }

    #[test]
    fn nearly_json_text(text in nearly_json()) {
        fuzz_sio_json(text.as_bytes());
        fuzz_sio_json(format!("2[\"a\",{text}]").as_bytes());
        fuzz_sio_json(format!("[{text}]").as_bytes());
        fuzz_sio_json(format!("\"{text}\"").as_bytes());
    }

    #[test]
    fn valid_json_is_accepted(value in any_value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        fuzz_sio_json(text.as_bytes());
        fuzz_sio_json(format!("2[\"a\",{text} ] ").as_bytes());
    }

    #[test]
    fn broken_json(bytes in broken(Parser::Json)) {
        fuzz_sio_json(&bytes);
        fuzz_sio_json(bytes.get(1..).unwrap_or_default());
    }

    #[test]
    fn broken_msgpack(bytes in broken(Parser::Msgpack)) {
        fuzz_sio_msgpack(&bytes);
    }

    #[test]
    fn any_msgpack(bytes in vec(any::<u8>(), 0..64)) {
        fuzz_sio_msgpack(&bytes);
        // Behind a valid start.
        let mut data = b"\x82\xa4type\x02\xa4data\x94\xa1a".to_vec();
        data.extend_from_slice(&bytes);
        fuzz_sio_msgpack(&data);
    }

    #[test]
    fn sequences(messages in vec((any::<u8>(), prop_oneof![
        nearly_json(),
        Just("51-[\"a\",{\"_placeholder\":true,\"num\":0}]".to_owned()),
        Just("53-1[\"a\"]".to_owned()),
        Just("63-1[]".to_owned()),
        Just("2[\"a\"]".to_owned()),
        Just("x".repeat(100)),
    ]), 0..12)) {
        let mut data = Vec::new();
        for (kind, message) in messages {
            data.extend_from_slice(&[kind, message.len().min(255) as u8]);
            data.extend_from_slice(&message.as_bytes()[..message.len().min(255)]);
        }
        fuzz_sio_sequence(&data);
    }
}

#[test]
fn maps_keep_what_looks_like_a_placeholder() {
    let object = Value::Object(BTreeMap::from([("_placeholder".to_owned(), true.into())]));
    for parser in [Parser::Json, Parser::Msgpack] {
        let event = encode_event(parser, 0, "/", None, "x", &object).unwrap();
        check_round_trip(parser, &event, "/", None, Some("x"), std::slice::from_ref(&object));
    }
}
