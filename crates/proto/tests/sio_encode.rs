//! What encoded packets look like, byte by byte.

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::json;
use trunkline_proto::sio::{
    Binary, Decoder, DisconnectReason, EncodeError, Encoded, Kind, Limits, Many, Parser, Value, encode_ack,
    encode_client_connect, encode_connect, encode_connect_error, encode_connect_once, encode_disconnect,
    encode_error_v4, encode_event, encode_event_with_offset, is_reserved, with_ack_id,
};

use Parser::{Json, Msgpack};

/// The packet as text; also checks what holds for every packet.
fn text(encoded: &Encoded, headroom: usize) -> String {
    assert!(encoded.head_offset >= headroom);
    assert!(encoded.head[..encoded.head_offset].iter().all(|byte| *byte == 0), "free bytes are zero");
    assert!(!encoded.binary);
    String::from_utf8(encoded.packet().to_vec()).unwrap()
}

fn event<T: Serialize + ?Sized>(nsp: &str, id: Option<u64>, name: &str, args: &T) -> String {
    text(&encode_event(Json, 15, nsp, id, name, args).unwrap(), 15)
}

fn ack<T: Serialize + ?Sized>(nsp: &str, id: u64, args: &T) -> String {
    text(&encode_ack(Json, 0, nsp, id, args).unwrap(), 0)
}

#[test]
fn json_events() {
    assert_eq!(event("/", None, "hi", &()), r#"2["hi"]"#);
    assert_eq!(event("/", None, "hi", "there"), r#"2["hi","there"]"#);
    assert_eq!(event("/chat", Some(12), "post", &json!({"a": 1})), r#"2/chat,12["post",{"a":1}]"#);
    assert_eq!(event("/", Some(0), "x", &(1, 2)), r#"20["x",[1,2]]"#);
    assert_eq!(event("/", None, "x", &Many((1, "b", None::<u8>))), r#"2["x",1,"b",null]"#);
    assert_eq!(event("/", None, "x", &Many(vec![1, 2])), r#"2["x",1,2]"#);
    assert_eq!(event("/", None, "x", &Many(Vec::<u8>::new())), r#"2["x"]"#);
    assert_eq!(event("/", None, "x", &Many([Vec::<u8>::new()])), r#"2["x",[]]"#);
    assert_eq!(event("/", None, "x", &None::<u8>), r#"2["x",null]"#);
    assert_eq!(event("/", Some(u64::MAX), "x", &Value::Null), r#"218446744073709551615["x",null]"#);
    assert_eq!(event("/", None, "a\"\n\u{1}é", &()), "2[\"a\\\"\\n\\u0001é\"]");
}

#[test]
fn json_acks() {
    assert_eq!(ack("/", 12, &()), "312[]");
    assert_eq!(ack("/admin", 0, "ok"), r#"3/admin,0["ok"]"#);
    assert_eq!(ack("/", 1, &Many(("a", 1))), r#"31["a",1]"#);
    assert_eq!(ack("/", 1, &Many::<[u8; 0]>([])), "31[]");
    assert_eq!(ack("/", 1, &[1, 2]), "31[[1,2]]");
}

#[test]
fn json_attachments() {
    let data = |byte| Binary::from(vec![byte; 2]);
    let encoded = encode_event(Json, 4, "/", Some(1), "x", &data(1)).unwrap();
    assert_eq!(text(&encoded, 4), r#"51-1["x",{"_placeholder":true,"num":0}]"#);
    assert_eq!(encoded.attachments, [vec![1, 1]]);

    let encoded = encode_ack(Json, 0, "/b", 3, &Many((data(1), "s", [data(2)]))).unwrap();
    assert_eq!(
        text(&encoded, 0),
        r#"62-/b,3[{"_placeholder":true,"num":0},"s",[{"_placeholder":true,"num":1}]]"#
    );
    assert_eq!(encoded.attachments, [vec![1, 1], vec![2, 2]]);

    for (count, prefix) in
        [(9, "59-["), (10, "510-["), (999, "5999-["), (1000, "51000-["), (123_456, "5123456-[")]
    {
        let encoded = encode_event(Json, 2, "/", None, "x", &Many(vec![data(0); count])).unwrap();
        assert!(text(&encoded, 2).starts_with(prefix));
        assert_eq!(encoded.attachments.len(), count);
    }
}

#[test]
fn connection_packets() {
    assert_eq!(text(&encode_connect(Json, 3, "/", Some("s"), None), 3), r#"0{"sid":"s"}"#);
    assert_eq!(text(&encode_connect(Json, 3, "/a", Some("s"), Some("p")), 3), r#"0/a,{"sid":"s","pid":"p"}"#);
    assert_eq!(text(&encode_connect(Json, 3, "/", None, None), 3), "0");
    assert_eq!(text(&encode_connect(Json, 3, "/a", None, None), 3), "0/a,");
    assert_eq!(text(&encode_disconnect(Json, 3, "/"), 3), "1");
    assert_eq!(text(&encode_disconnect(Json, 3, "/a"), 3), "1/a,");
    assert_eq!(text(&encode_connect_error(Json, 3, "/", "no \"x\"", None), 3), r#"4{"message":"no \"x\""}"#);
    assert_eq!(
        text(&encode_connect_error(Json, 3, "/a", "no", Some(&json!({"code": 1}))), 3),
        r#"4/a,{"message":"no","data":{"code":1}}"#
    );
    assert_eq!(text(&encode_error_v4(3, "/", &json!("no")), 3), r#"4"no""#);
    assert_eq!(text(&encode_error_v4(3, "/a", &json!({"a": 1})), 3), r#"4/a,{"a":1}"#);
}

#[test]
fn client_connect() {
    let connect = |nsp: &str, auth: Option<&serde_json::Value>| encode_client_connect(Json, 1, nsp, auth);
    assert_eq!(text(&connect("/", None).unwrap(), 1), "0");
    assert_eq!(text(&connect("/a", Some(&json!({"t": 1}))).unwrap(), 1), r#"0/a,{"t":1}"#);
    for parser in [Json, Msgpack] {
        for auth in [json!([1]), json!("a"), json!(null)] {
            let result = encode_client_connect(parser, 0, "/", Some(&auth));
            assert!(matches!(result, Err(EncodeError::AuthNotAnObject)), "{auth}");
        }
    }
    let encoded = encode_client_connect(Msgpack, 0, "/", Some(&json!({"t": 1}))).unwrap();
    assert_eq!(encoded.packet(), b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa1t\x01");
}

#[test]
fn msgpack_packets() {
    let packet = |encoded: Encoded| {
        assert!(encoded.binary && encoded.head_offset >= 5 && encoded.attachments.is_empty());
        assert!(encoded.head[..encoded.head_offset].iter().all(|byte| *byte == 0), "free bytes are zero");
        encoded.packet().to_vec()
    };
    fn event<T: Serialize>(id: Option<u64>, args: &T) -> Encoded {
        encode_event(Msgpack, 5, "/", id, "x", args).unwrap()
    }
    assert_eq!(packet(event(None, &())), b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1x");
    assert_eq!(
        packet(event(Some(300), &1)),
        b"\x84\xa4type\x02\xa3nsp\xa1/\xa2id\xcd\x01\x2c\xa4data\x92\xa1x\x01"
    );
    assert_eq!(packet(event(None, &Many((1, 2)))), b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x93\xa1x\x01\x02");
    assert_eq!(packet(event(None, &Many::<[u8; 0]>([]))), b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1x");
    let bin = Binary::from(&b"\x07"[..]);
    assert_eq!(packet(event(None, &bin)), b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x\xc4\x01\x07");
    let ack = |args: &Many<Vec<u8>>| packet(encode_ack(Msgpack, 5, "/", 1, args).unwrap());
    assert_eq!(ack(&Many(vec![])), b"\x84\xa4type\x03\xa3nsp\xa1/\xa2id\x01\xa4data\x90");
    assert_eq!(ack(&Many(vec![5])), b"\x84\xa4type\x03\xa3nsp\xa1/\xa2id\x01\xa4data\x91\x05");
    assert_eq!(packet(encode_disconnect(Msgpack, 5, "/a")), b"\x82\xa4type\x01\xa3nsp\xa2/a");
    assert_eq!(packet(encode_connect(Msgpack, 5, "/", None, None)), b"\x82\xa4type\x00\xa3nsp\xa1/");
    assert_eq!(
        packet(encode_connect(Msgpack, 5, "/", Some("s"), None)),
        b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa3sid\xa1s"
    );
    assert_eq!(
        packet(encode_connect_error(Msgpack, 5, "/", "no", Some(&json!(1)))),
        b"\x83\xa4type\x04\xa3nsp\xa1/\xa4data\x82\xa7message\xa2no\xa4data\x01"
    );

    // The header of the array grows with the name in front: 15 -> 16, 65,535 -> 65,536 elements.
    for (count, header) in [
        (14, &[0x9f][..]),
        (15, &[0xdc, 0, 16]),
        (16, &[0xdc, 0, 17]),
        (65_534, &[0xdc, 0xff, 0xff]),
        (65_535, &[0xdd, 0, 1, 0, 0]),
    ] {
        let found = packet(event(None, &Many(vec![7u8; count])));
        let mut expected = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec();
        expected.extend_from_slice(header);
        expected.extend_from_slice(b"\xa1x");
        expected.resize(expected.len() + count, 7);
        assert_eq!(found, expected, "{count} arguments");
    }
}

#[test]
fn long_strings_in_msgpack_headers() {
    for len in [30, 31, 32, 255, 256, 65_535, 65_536] {
        let name = "n".repeat(len);
        let encoded = encode_event(Msgpack, 0, "/", None, &name, &Many((1, 2))).unwrap();
        let value: serde_json::Value = rmp_serde::from_slice(encoded.packet()).unwrap();
        assert_eq!(value, json!({"type": 2, "nsp": "/", "data": [name, 1, 2]}));
    }
    for id in [0, 127, 128, 255, 256, 65_535, 65_536, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX]
    {
        let encoded = encode_ack(Msgpack, 0, "/", id, &()).unwrap();
        let value: serde_json::Value = rmp_serde::from_slice(encoded.packet()).unwrap();
        assert_eq!(value, json!({"type": 3, "nsp": "/", "id": id, "data": []}));
    }
}

#[test]
fn structs_are_maps_in_both_formats() {
    #[derive(Serialize)]
    struct Point {
        x: i32,
        y: Option<i32>,
    }
    assert_eq!(event("/", None, "p", &Point { x: 1, y: None }), r#"2["p",{"x":1,"y":null}]"#);
    let encoded = encode_event(Msgpack, 0, "/", None, "p", &Point { x: -1, y: Some(2) }).unwrap();
    let value: serde_json::Value = rmp_serde::from_slice(encoded.packet()).unwrap();
    assert_eq!(value["data"], json!(["p", {"x": -1, "y": 2}]));
}

#[test]
fn errors() {
    for parser in [Json, Msgpack] {
        for name in
            ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
        {
            assert!(is_reserved(name));
            let result = encode_event(parser, 0, "/", None, name, &());
            assert!(matches!(result, Err(EncodeError::ReservedName(found)) if found == name));
        }
        let map = HashMap::from([("a", 1)]);
        assert!(matches!(
            encode_event(parser, 0, "/", None, "x", &Many(&map)),
            Err(EncodeError::NotASequence)
        ));
        assert!(matches!(
            encode_event(parser, 0, "/", None, "x", &Many("[]")),
            Err(EncodeError::NotASequence)
        ));
        assert!(matches!(encode_ack(parser, 0, "/", 1, &Many(5)), Err(EncodeError::NotASequence)));
    }
    let odd_keys = HashMap::from([((1, 2), 1)]);
    assert!(matches!(encode_event(Json, 0, "/", None, "x", &odd_keys), Err(EncodeError::Json(_))));

    /// Fails after it has attached something.
    struct Failing;
    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            Many((Binary::default(), 1)).serialize(serializer)?;
            Err(serde::ser::Error::custom("no"))
        }
    }
    assert!(encode_event(Json, 0, "/", None, "x", &Failing).is_err());
    assert_eq!(event("/", None, "x", &()), r#"2["x"]"#);
    assert_eq!(serde_json::to_string(&Binary::from(vec![1])).unwrap(), "[1]", "the scope has ended");
}

#[test]
fn small_packets_fit_their_first_buffer() {
    for parser in [Json, Msgpack] {
        let args = Many(("a message of some length, as people write them", 12, json!({"room": "general"})));
        let encoded = encode_event(parser, 15, "/chat", Some(12), "message", &args).unwrap();
        assert!(encoded.head.capacity() < 160, "{}", encoded.head.capacity());
        assert_eq!(encoded.attachments.capacity(), 0);
    }
}

#[test]
fn reasons() {
    use DisconnectReason::*;
    let table = [
        (TransportError, "transport error", true),
        (TransportClose, "transport close", true),
        (ForcedClose, "forced close", true),
        (PingTimeout, "ping timeout", true),
        (ParseError, "parse error", false),
        (ServerShuttingDown, "server shutting down", true),
        (ForcedServerClose, "forced server close", true),
        (ClientNamespaceDisconnect, "client namespace disconnect", false),
        (ServerNamespaceDisconnect, "server namespace disconnect", false),
        (SlowReader, "slow reader", true),
        (InboundOverflow, "inbound overflow", true),
    ];
    for (reason, text, recoverable) in table {
        assert_eq!((reason.to_string().as_str(), reason.recoverable()), (text, recoverable));
    }
}

#[test]
fn an_offset_is_the_last_argument_and_can_be_replaced() {
    const FIRST: &str = "000000.00000000000";
    const SECOND: &str = "abc123.00000000zz9";
    let counts = [0, 1, 2, 13, 14, 15, 16, 40, 65_534, 65_535];
    for parser in [Json, Msgpack] {
        for nsp in ["/", "/a-namespace-of-more-than-31-characters"] {
            for count in counts {
                let args: Vec<u32> = (0..count).collect();
                let mut encoded =
                    encode_event_with_offset(parser, 7, nsp, "e", &Many(args.clone()), FIRST).unwrap();
                assert!(encoded.head_offset >= 7, "{parser:?} {nsp} {count}");
                for offset in [FIRST, SECOND] {
                    encoded.set_offset(offset);
                    let (found_nsp, mut found) = decoded(parser, &encoded);
                    assert_eq!(found_nsp, nsp);
                    assert_eq!(found.pop(), Some(offset.into()), "{parser:?} {nsp} {count}");
                    assert_eq!(found, args.iter().map(|n| (*n).into()).collect::<Vec<serde_json::Value>>());
                }
            }
        }
        let one = encode_event_with_offset(parser, 0, "/", "e", &"x", FIRST).unwrap();
        assert_eq!(decoded(parser, &one).1, ["x", FIRST]);
        let none = encode_event_with_offset(parser, 0, "/", "e", &(), FIRST).unwrap();
        assert_eq!(decoded(parser, &none).1, [FIRST]);
    }
    let binary = Many((Binary::from(vec![1, 2]), 3));
    let encoded = encode_event_with_offset(Json, 0, "/", "e", &binary, FIRST).unwrap();
    assert_eq!(encoded.attachments.len(), 1);
    let expected = format!(r#"51-["e",{{"_placeholder":true,"num":0}},3,"{FIRST}"]"#);
    assert_eq!(std::str::from_utf8(encoded.packet()).unwrap(), expected);
}

fn decoded(parser: Parser, encoded: &Encoded) -> (String, Vec<serde_json::Value>) {
    let mut decoder = Decoder::new(parser, Limits::default());
    let bytes = encoded.packet();
    let packet = match parser {
        Json => decoder.decode_text(std::str::from_utf8(bytes).unwrap()),
        Msgpack => decoder.decode_binary(bytes.into()),
    };
    let packet = packet.unwrap().unwrap();
    let Kind::Event { name, id: None, args } = packet.kind else { panic!("{packet:?}") };
    assert_eq!(name, "e");
    (packet.nsp.to_string(), args.deserialize_all().unwrap())
}

#[test]
fn an_acknowledgement_is_renumbered() {
    let long = vec![7u8; 40];
    for parser in [Json, Msgpack] {
        for nsp in ["/", "/chat"] {
            for (old, new) in [(0, 0), (7, 1234), (1 << 40, 9), (127, 128)] {
                let check = |args: &dyn Fn(u64) -> Encoded| {
                    let made = with_ack_id(parser, nsp, args(old).packet(), new);
                    assert_eq!(made, args(new).packet(), "{parser:?} {nsp} {old} {new}");
                };
                check(&|id| encode_ack(parser, 20, nsp, id, &()).unwrap());
                check(&|id| encode_ack(parser, 20, nsp, id, &Many((1, "x".repeat(40)))).unwrap());
                check(&|id| encode_ack(parser, 20, nsp, id, &Many((0..40).collect::<Vec<_>>())).unwrap());
                check(&|id| {
                    let parts = Many((Binary::from(long.clone()), Binary::from(vec![1])));
                    encode_ack(parser, 20, nsp, id, &parts).unwrap()
                });
            }
        }
    }
}

#[test]
fn a_server_that_knows_repeats_says_so_when_connecting() {
    assert_eq!(text(&encode_connect_once(Json, 3, "/a", "s", None), 3), r#"0/a,{"sid":"s","once":true}"#);
}
