//! Packets of both protocols: vectors, and encoding undone by decoding.

use proptest::prelude::*;
use serde_json::Value;
use trunkline_proto::eio::{Message, Packet, Version};

#[test]
fn vectors() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("vectors/eio/packets.json")).expect("vectors");
    assert!(!rows.is_empty());
    for row in rows {
        let version = if row["version"] == 3 { Version::V3 } else { Version::V4 };
        let text = row["text"].as_str().expect("text");
        match Packet::decode_text(version, text) {
            Ok(packet) => assert_eq!(describe(&packet), (row["type"].clone(), row["data"].clone()), "{row}"),
            Err(violation) => assert_eq!(row["error"], violation.context_name(), "{row}"),
        }
    }
}

proptest! {
    #[test]
    fn text_round_trip(packet in any_packet(), version in any_version()) {
        let mut out = Vec::new();
        packet.encode_text(version, &mut out);
        let text = String::from_utf8(out).expect("text");
        prop_assert_eq!(Packet::decode_text(version, &text), Ok(packet));
    }

    #[test]
    fn binary_round_trip(data: Vec<u8>, version in any_version()) {
        let mut out = Vec::new();
        Packet::encode_binary(version, &data, &mut out);
        prop_assert_eq!(
            Packet::decode_binary(version, &out),
            Ok(Packet::Message(Message::Binary(data.into())))
        );
    }

    #[test]
    fn any_text_is_a_packet_or_a_violation(text: String, version in any_version()) {
        let _ = Packet::decode_text(version, &text);
    }
}

fn describe(packet: &Packet<'_>) -> (Value, Value) {
    let (kind, data) = match packet {
        Packet::Open(data) => ("open", Value::from(&**data)),
        Packet::Close => ("close", Value::Null),
        Packet::Ping(data) => ("ping", Value::from(&**data)),
        Packet::Pong(data) => ("pong", Value::from(&**data)),
        Packet::Message(Message::Text(data)) => ("text", Value::from(&**data)),
        Packet::Message(Message::Binary(data)) => ("binary", Value::from(data.to_vec())),
        Packet::Upgrade => ("upgrade", Value::Null),
        Packet::Noop => ("noop", Value::Null),
    };
    (kind.into(), data)
}

fn any_version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V3), Just(Version::V4)]
}

fn any_packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        any::<String>().prop_map(|data| Packet::Open(data.into())),
        Just(Packet::Close),
        any::<String>().prop_map(|data| Packet::Ping(data.into())),
        any::<String>().prop_map(|data| Packet::Pong(data.into())),
        any::<String>().prop_map(|data| Packet::Message(Message::Text(data.into()))),
        any::<Vec<u8>>().prop_map(|data| Packet::Message(Message::Binary(data.into()))),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ]
}
