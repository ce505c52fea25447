//! Polling bodies of both protocols: vectors in both directions, lies in lengths, round trips.

use proptest::prelude::*;
use serde_json::Value;
use trunkline_proto::eio::{
    Message, Packet, PayloadV4Encoder, Version, Violation, decode_payload_v4, fuzz, payload_v3,
};

#[test]
fn vectors() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("vectors/eio/payloads.json")).expect("vectors");
    assert!(!rows.is_empty());
    for row in rows {
        let form = row["form"].as_str().expect("form");
        let body = match row["hex"].as_str() {
            Some(hex) => unhex(hex),
            None => row["body"].as_str().expect("body").as_bytes().to_vec(),
        };
        let version = if form == "v4" { Version::V4 } else { Version::V3 };
        let texts = row["packets"].as_array().expect("packets").iter();
        let expected: Vec<_> = texts
            .map(|text| Packet::decode_text(version, text.as_str().expect("packet")).expect("good packet"))
            .collect();

        let decoded = decode(form, &body);
        let packets: Vec<_> = decoded.iter().filter_map(|packet| packet.as_ref().ok()).cloned().collect();
        assert_eq!(packets, expected, "{row}");
        let error = decoded.iter().find_map(|packet| packet.as_ref().err()).map(Violation::context_name);
        assert_eq!(error, row["error"].as_str(), "{row}");

        if error.is_none() && row["decode_only"] != true {
            assert_eq!(encode(form, &expected), body, "{row}");
        }
    }
}

#[test]
fn a_megabyte_of_digits_is_refused_at_once() {
    let mut digits = "9".repeat(1_000_000);
    digits.push(':');
    assert_eq!(payload_v3::decode_text(&digits).next(), Some(Err(Violation::BadPayloadLength)));
    let mut digits = vec![9; 1_000_000];
    digits[0] = 0;
    digits.push(0xFF);
    assert_eq!(payload_v3::decode_binary(&digits).next(), Some(Err(Violation::BadPayloadLength)));
}

#[test]
fn a_megabyte_of_empty_packets_ends() {
    assert_eq!(payload_v3::decode_text(&"0:".repeat(500_000)).count(), 0);
    assert_eq!(decode_payload_v4(&"\x1e".repeat(500_000)).count(), 1);
}

#[test]
fn content_types() {
    assert_eq!(payload_v3::Encoder::text_form().content_type(), "text/plain; charset=UTF-8");
    assert_eq!(payload_v3::Encoder::binary_form().content_type(), "application/octet-stream");
}

proptest! {
    #[test]
    fn round_trips(messages in proptest::collection::vec(any_message(), 1..8)) {
        let packets: Vec<_> = messages.into_iter().map(Packet::Message).collect();
        for form in ["v4", "v3-text", "v3-binary"] {
            let body = encode(form, &packets);
            let decoded: Result<Vec<_>, _> = decode(form, &body).into_iter().collect();
            prop_assert_eq!(decoded.as_ref(), Ok(&packets), "{}", form);
        }
    }

    #[test]
    fn lengths_count_utf16(text in "[a-zé€😀𝕏\u{10FFFF}]{0,20}") {
        let mut encoder = payload_v3::Encoder::text_form();
        encoder.text(format!("4{text}").as_bytes());
        let expected = format!("{}:4{text}", text.encode_utf16().count() + 1);
        prop_assert_eq!(encoder.finish(), expected.into_bytes());
    }

    /// A body that lies about a length by any amount never yields the packet it was made from.
    #[test]
    fn lies_are_found(text in "[a-c€😀]{1,9}", lie in 1usize..1000) {
        let length = text.encode_utf16().count() + 1 + lie;
        let body = format!("{length}:4{text}");
        prop_assert_eq!(payload_v3::decode_text(&body).next(), Some(Err(Violation::BadPayloadLength)));
    }

    #[test]
    fn any_bytes(data: Vec<u8>) {
        fuzz::fuzz_eio_payload(&data);
    }

    /// Bytes that look like bodies more often than random ones do.
    #[test]
    fn body_like_bytes(text in "([0-9]{1,2}:|[0-6]|b4?|:|\u{1e}|[A-D=]{4}|€|😀|d=|%5C|\\\\n|&|j=1){0,24}") {
        fuzz::fuzz_eio_payload(text.as_bytes());
    }

    #[test]
    fn binary_body_like_bytes(data in proptest::collection::vec(
        prop_oneof![Just(0u8), Just(1), Just(2), Just(4), Just(0xFF), Just(b'4'), Just(b'b')], 0..24,
    )) {
        fuzz::fuzz_eio_payload(&data);
    }
}

fn decode<'a>(form: &str, body: &'a [u8]) -> Vec<Result<Packet<'a>, Violation>> {
    let text = || std::str::from_utf8(body).expect("text body");
    match form {
        "v4" => decode_payload_v4(text()).collect(),
        "v3-text" => payload_v3::decode_text(text()).collect(),
        "v3-binary" => payload_v3::decode_binary(body).collect(),
        form => panic!("no form {form}"),
    }
}

fn encode(form: &str, packets: &[Packet<'_>]) -> Vec<u8> {
    let mut encoder = match form {
        "v3-text" => payload_v3::Encoder::text_form(),
        "v3-binary" => payload_v3::Encoder::binary_form(),
        _ => {
            let mut encoder = PayloadV4Encoder::new();
            for packet in packets {
                if let Packet::Message(Message::Binary(data)) = packet {
                    encoder.binary(data);
                } else {
                    let mut raw = Vec::new();
                    packet.encode_text(Version::V4, &mut raw);
                    encoder.text(&raw);
                }
            }
            return encoder.finish();
        }
    };
    for packet in packets {
        encoder.packet(packet);
    }
    encoder.finish()
}

fn any_message() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        // The separator cannot stand in a v4 text packet: JSON escapes it.
        "[^\u{1e}]{0,12}".prop_map(|text| Message::Text(text.into())),
        "[😀𝕏€é]{0,6}".prop_map(|text| Message::Text(text.into())),
        any::<Vec<u8>>().prop_map(|data| Message::Binary(data.into())),
    ]
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("a byte")).collect()
}
