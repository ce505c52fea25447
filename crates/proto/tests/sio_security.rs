//! Inputs that have broken other Socket.IO servers: memory stays bounded and every answer comes at once.

use std::borrow::Cow;
use std::fmt::Write;

use trunkline_proto::sio::{Decoder, Kind, Limits, Parser, Value, Violation};

fn decoder() -> Decoder {
    Decoder::new(Parser::Json, Limits::default())
}

fn refused(text: &str) -> Violation {
    let mut decoder = decoder();
    let violation = decoder.decode_text(text).expect_err("a violation");
    assert_eq!((decoder.is_waiting(), decoder.buffered()), (false, 0));
    violation
}

/// CVE-2020-36049: digits were appended one by one.
#[test]
fn a_megabyte_of_digits_is_refused_without_being_read() {
    let digits = "1".repeat(1 << 20);
    for _ in 0..20_000 {
        // 20 GB of digits in all (type 1, then an id): only possible in time if they are not read.
        assert_eq!(refused(&digits), Violation::IllegalId);
    }
    assert_eq!(refused(&format!("2{digits}[\"a\"]")), Violation::IllegalId);
    assert_eq!(refused(&format!("5{digits}-[\"a\"]")), Violation::IllegalAttachmentCount);
    assert_eq!(refused(&format!("2{}1[\"a\"]", "0".repeat(1 << 20))), Violation::IllegalId);
}

#[test]
fn a_huge_namespace_is_borrowed_not_copied() {
    let nsp = format!("/{}", "n".repeat(1 << 20));
    let text = format!("0{nsp},{{}}");
    let mut decoder = decoder();
    let packet = decoder.decode_text(&text).unwrap().unwrap();
    assert!(std::ptr::eq(packet.nsp.as_ptr(), text[1..].as_ptr()));
    assert_eq!(packet.nsp.len(), nsp.len());
    assert_eq!(decoder.buffered(), 0);
}

/// CVE-2026-33151.
#[test]
fn attachments_are_counted() {
    assert_eq!(
        refused("459999999-[\"x\"]"),
        Violation::InvalidJson,
        "an engine type is not part of the packet"
    );
    assert_eq!(refused("59999999-[\"x\"]"), Violation::TooManyAttachments { limit: 10 });
    let mut decoder = decoder();
    assert!(decoder.decode_text("510-[\"x\"]").unwrap().is_none());
    for _ in 0..9 {
        assert!(decoder.decode_binary(Cow::Borrowed(b"a")).unwrap().is_none());
    }
    assert!(decoder.is_waiting());
    assert!(decoder.decode_binary(Cow::Borrowed(b"a")).unwrap().is_some());
    assert!(!decoder.is_waiting());
    assert!(matches!(decoder.decode_binary(Cow::Borrowed(b"a")), Err(Violation::UnexpectedBinary)));
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn text_between_attachments_is_refused() {
    let mut decoder = decoder();
    assert!(decoder.decode_text("52-[\"x\"]").unwrap().is_none());
    assert!(decoder.decode_binary(Cow::Borrowed(b"a")).unwrap().is_none());
    assert!(matches!(decoder.decode_text("2[\"y\"]"), Err(Violation::TextWhileWaiting)));
    assert_eq!((decoder.is_waiting(), decoder.buffered()), (false, 0));
}

#[test]
fn waiting_packets_are_bounded_in_bytes() {
    let limits = Limits { max_bytes: 100, ..Limits::default() };
    let mut decoder = Decoder::new(Parser::Json, limits);
    let text = format!("52-[\"x\",\"{}\"]", "y".repeat(80));
    assert!(decoder.decode_text(&text).unwrap().is_none());
    assert_eq!(decoder.buffered(), text.len());
    let rest = limits.max_bytes - text.len();
    assert!(decoder.decode_binary(Cow::Owned(vec![0; rest])).unwrap().is_none());
    assert_eq!(decoder.buffered(), limits.max_bytes);
    assert!(matches!(decoder.decode_binary(Cow::Owned(vec![0; 1])), Err(Violation::TooBig)));
    assert_eq!(decoder.buffered(), 0);

    let text = format!("51-[\"x\",\"{}\"]", "y".repeat(100));
    assert!(matches!(decoder.decode_text(&text), Err(Violation::TooBig)));
    // A packet that waits for nothing is not held, so its size is not ours to judge.
    assert!(decoder.decode_text(&text.replace("51-", "2")).unwrap().is_some());
}

#[test]
fn a_complete_packet_is_freed() {
    let mut decoder = decoder();
    assert!(decoder.decode_text("51-[\"x\"]").unwrap().is_none());
    decoder.release();
    assert!(decoder.is_waiting(), "release leaves a waiting packet alone");
    assert!(decoder.decode_binary(Cow::Owned(vec![7; 1000])).unwrap().is_some());
    assert_eq!(decoder.buffered(), 1008);
    decoder.release();
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn owned_attachments_are_not_copied() {
    let mut decoder = decoder();
    assert!(decoder.decode_text("51-[\"x\"]").unwrap().is_none());
    let data = vec![7; 1000];
    let address = data.as_ptr();
    let packet = decoder.decode_binary(Cow::Owned(data)).unwrap().unwrap();
    let Kind::Event { args, .. } = packet.kind else { panic!("an event") };
    assert_eq!(args.attachments()[0].as_ptr(), address);
}

#[test]
fn nesting_is_limited_and_needs_no_stack() {
    for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
        let nested =
            |levels: usize| format!("2[\"a\",{}{inner}{}]", open.repeat(levels), close.repeat(levels));
        let text = nested(127);
        let mut decoder = decoder();
        let Kind::Event { mut args, .. } = decoder.decode_text(&text).unwrap().unwrap().kind else {
            panic!("an event")
        };
        args.next()
            .unwrap()
            .deserialize::<Value>()
            .expect("what the scanner accepts is not too deep for serde_json");
        assert_eq!(refused(&nested(128)), Violation::TooDeep);
        assert_eq!(refused(&nested(500_000)), Violation::TooDeep);
    }
    let mut shallow = Decoder::new(Parser::Json, Limits { max_depth: 2, ..Limits::default() });
    assert!(shallow.decode_text("2[\"a\",[],{}]").is_ok());
    assert!(matches!(shallow.decode_text("2[\"a\",[[]]]"), Err(Violation::TooDeep)));
    let mut excessive = Decoder::new(Parser::Json, Limits { max_depth: usize::MAX, ..Limits::default() });
    assert!(matches!(excessive.decode_text(&format!("2{}", "[".repeat(1000))), Err(Violation::TooDeep)));
}

#[test]
fn nesting_in_msgpack_is_limited() {
    let nested = |levels: usize| {
        let mut data = b"\x82\xa4type\x02\xa4data\x92\xa1a".to_vec();
        data.extend(std::iter::repeat_n(0x91, levels));
        data.push(0xc0);
        data
    };
    let mut decoder = Decoder::new(Parser::Msgpack, Limits::default());
    let Kind::Event { args, .. } = decoder.decode_binary(Cow::Owned(nested(127))).unwrap().unwrap().kind
    else {
        panic!("an event")
    };
    args.deserialize_all::<(Value,)>().unwrap();
    assert!(matches!(decoder.decode_binary(Cow::Owned(nested(128))), Err(Violation::TooDeep)));
    assert!(matches!(decoder.decode_binary(Cow::Owned(nested(500_000))), Err(Violation::TooDeep)));
}

#[test]
fn text_for_a_binary_parser_is_refused() {
    let mut decoder = Decoder::new(Parser::Msgpack, Limits::default());
    assert!(matches!(decoder.decode_text("2[\"a\"]"), Err(Violation::UnexpectedText)));
}

#[test]
fn many_small_arguments_cost_nothing_until_asked_for() {
    let mut text = String::from("2[\"a\"");
    for i in 0..100_000 {
        write!(text, ",{i}").unwrap();
    }
    text.push(']');
    let mut decoder = decoder();
    let Kind::Event { args, .. } = decoder.decode_text(&text).unwrap().unwrap().kind else {
        panic!("an event")
    };
    assert_eq!(args.len(), 100_000);
    assert_eq!(args.deserialize_all::<(u32, u32)>().unwrap(), (0, 1));
    assert_eq!(args.last().unwrap().deserialize::<u32>().unwrap(), 99_999);
}
