//! Arguments as the application's types, with binary data anywhere in them, for both parsers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use trunkline_proto::sio::{
    Binary, DecodeError, Decoder, Encoded, Kind, Limits, Many, OwnedArgs, Parser, Value, encode_event,
};

use Parser::{Json, Msgpack};

fn decode(parser: Parser, encoded: &Encoded) -> OwnedArgs {
    let mut decoder = Decoder::new(parser, Limits { max_attachments: 100, ..Limits::default() });
    for attachments in 0..=encoded.attachments.len() {
        let packet = match attachments.checked_sub(1) {
            Some(index) => decoder.decode_binary(Cow::Borrowed(&encoded.attachments[index])),
            None if encoded.binary => decoder.decode_binary(Cow::Borrowed(encoded.packet())),
            None => decoder.decode_text(std::str::from_utf8(encoded.packet()).unwrap()),
        };
        if let Some(packet) = packet.unwrap() {
            assert_eq!(attachments, encoded.attachments.len());
            let Kind::Event { args, .. } = packet.kind else { panic!("an event") };
            return args.to_owned();
        }
    }
    panic!("incomplete")
}

fn args_of(text: &str) -> OwnedArgs {
    decode(Json, &Encoded { head: text.as_bytes().to_vec(), ..Encoded::default() })
}

/// As the only argument, and as one of several.
#[track_caller]
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    for parser in [Json, Msgpack] {
        let args = decode(parser, &encode_event(parser, 0, "/", None, "x", value).unwrap());
        let mut args = args.as_args();
        assert_eq!(args.parser(), parser);
        assert_eq!(args.next().unwrap().deserialize::<T>().unwrap(), *value, "{parser:?}");
        assert!(args.next().is_none());

        let many = Many((Binary::from(vec![9]), value, "s"));
        let args = decode(parser, &encode_event(parser, 0, "/", None, "x", &many).unwrap());
        let (first, found, last): (Binary, T, String) = args.as_args().deserialize_all().unwrap();
        assert_eq!((&*first, &found, &*last), (&[9][..], value, "s"), "{parser:?}");
    }
}

fn binary(text: &'static str) -> Binary {
    text.as_bytes().into()
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct File {
    name: String,
    data: Binary,
    preview: Option<Binary>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    file: File,
    #[serde(flatten)]
    more: BTreeMap<String, Binary>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Number(f64),
    Bytes(Binary),
    Text(String),
    Both { a: Binary, b: Binary },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
enum External {
    Nothing,
    One(Binary),
    Two(Binary, u8),
    Named { data: Binary },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "type")]
enum Internal {
    File(File),
    Raw { data: Binary },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Data(Binary),
    Pair(Binary, Binary),
}

#[test]
fn binary_anywhere() {
    survives(&binary(""));
    survives(&binary("abc"));
    survives(&Some(binary("abc")));
    survives(&None::<Binary>);
    survives(&vec![binary("a"), binary("b"), binary("")]);
    survives(&(1, binary("a"), (binary("b"), "text".to_owned())));
    survives(&BTreeMap::from([("k".to_owned(), vec![Some(binary("a")), None])]));
    let file = || File { name: "f".into(), data: binary("data"), preview: None };
    survives(&file());
    survives(&File { preview: Some(binary("p")), ..file() });
    survives(&Box::new(file()));
}

#[test]
fn binary_under_flatten() {
    let file = File { name: "f".into(), data: binary("data"), preview: Some(binary("p")) };
    let more = BTreeMap::from([("x".to_owned(), binary("1")), ("y".to_owned(), binary(""))]);
    // The inner flattened map takes every member, so the outer one is checked without the text.
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct OnlyBinary {
        #[serde(flatten)]
        more: BTreeMap<String, Binary>,
    }
    survives(&OnlyBinary { more });
    survives(&Flat { id: 7, file, more: BTreeMap::new() });
}

#[test]
fn binary_in_enums() {
    survives(&Untagged::Number(1.5));
    survives(&Untagged::Bytes(binary("a")));
    survives(&Untagged::Text("a".into()));
    survives(&Untagged::Both { a: binary("a"), b: binary("b") });
    survives(&vec![External::Nothing, External::One(binary("1")), External::Two(binary("2"), 3)]);
    survives(&External::Named { data: binary("d") });
    survives(&Internal::File(File { name: "f".into(), data: binary("d"), preview: Some(binary("p")) }));
    survives(&Internal::Raw { data: binary("d") });
    survives(&vec![Adjacent::Data(binary("d")), Adjacent::Pair(binary("a"), binary("b"))]);
}

#[test]
fn any_value() {
    let object: Value =
        [("b", Value::from(Bytes::from_static(b"\0\xff"))), ("n", Value::Null)].into_iter().collect();
    let values =
        vec![true.into(), (-5).into(), u64::MAX.into(), 1.5.into(), "é".into(), object, Value::Array(vec![])];
    survives(&Value::from(values));
    survives(&Value::Null);
    survives(&Value::from(serde_json::json!({"a": [1, {"b": null}]})));
    let found = args_of(r#"2["x",{"a":["t"]}]"#).as_args().next().unwrap().deserialize::<Value>().unwrap();
    assert_eq!(found.get("a").and_then(Value::as_array).and_then(|list| list[0].as_str()), Some("t"));
}

#[test]
fn placeholder_like_data_of_a_plain_event_is_left_alone() {
    let args = args_of(r#"2["x",{"_placeholder":true,"num":0}]"#);
    let value: Value = args.as_args().next().unwrap().deserialize().unwrap();
    assert_eq!(
        value,
        [("_placeholder", Value::from(true)), ("num", Value::from(0u64))].into_iter().collect()
    );
    let error = args.as_args().next().unwrap().deserialize::<Binary>().unwrap_err();
    assert!(error.to_string().contains("binary data"), "{error}");
}

#[test]
fn attachments_are_shared_not_copied() {
    let data = Bytes::from(vec![1; 100]);
    let encoded = encode_event(Json, 0, "/", None, "x", &Binary(data.clone())).unwrap();
    assert_eq!(encoded.attachments[0].as_ptr(), data.as_ptr());
    let args = decode(Json, &encoded);
    let found: Binary = args.as_args().next().unwrap().deserialize().unwrap();
    assert_eq!(found.0.as_ptr(), args.as_args().attachments()[0].as_ptr());
    assert_eq!(args.size(), r#"{"_placeholder":true,"num":0}"#.len() + 100);
}

#[test]
fn missing_and_surplus_arguments() {
    let args = args_of(r#"2["x","a",2]"#);
    let args = args.as_args();
    assert_eq!(args.deserialize_all::<(String, u32)>().unwrap(), ("a".into(), 2));
    assert_eq!(args.deserialize_all::<(String,)>().unwrap(), ("a".into(),));
    args.deserialize_all::<()>().unwrap();
    assert_eq!(args.deserialize_all::<(String, u32, Option<u8>)>().unwrap(), ("a".into(), 2, None));
    let error = args.deserialize_all::<(String, u32, u8)>().unwrap_err();
    assert!(matches!(error, DecodeError::MissingArgument(2)), "{error}");
    assert!(matches!(args.deserialize_all::<(u8, u32)>(), Err(DecodeError::Json(_))));

    #[derive(Deserialize, PartialEq, Debug)]
    struct Named {
        text: String,
        number: u32,
        more: Option<u8>,
    }
    let named = Named { text: "a".into(), number: 2, more: None };
    assert_eq!(args.deserialize_all::<Named>().unwrap(), named);
    assert_eq!(args.deserialize_all::<Vec<Value>>().unwrap(), ["a".into(), 2u64.into()]);

    let mut rest = args;
    rest.next();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest.deserialize_all::<(u32,)>().unwrap(), (2,));
    assert_eq!(rest.to_owned().as_args().deserialize_all::<Vec<u32>>().unwrap(), [2]);
    let empty = args_of(r#"2["x"]"#);
    assert!(empty.as_args().is_empty());
    empty.as_args().deserialize_all::<()>().unwrap();
    assert!(empty.as_args().deserialize_all::<Vec<u32>>().unwrap().is_empty());
}

#[test]
fn lone_surrogates_become_replacement_characters() {
    let args = args_of(r#"2["x","a\ud83d",{"\udc00":"\n\ud83d\ude00"}]"#);
    let args = args.as_args();
    assert_eq!(args.clone().next().unwrap().deserialize::<String>().unwrap(), "a\u{fffd}");
    let (text, map): (String, BTreeMap<String, String>) = args.deserialize_all().unwrap();
    assert_eq!(text, "a\u{fffd}");
    assert_eq!(map, BTreeMap::from([("\u{fffd}".into(), "\n😀".into())]));
}

#[test]
fn timestamps_of_msgpack() {
    let packet = b"\x82\xa4type\x02\xa4data\x94\xa1x\xd6\xff\x5a\x4a\xf6\xa5\xd4\x05\x07\xc0";
    let args = decode(Msgpack, &Encoded { head: packet.to_vec(), binary: true, ..Encoded::default() });
    let values: Vec<Value> = args.as_args().deserialize_all().unwrap();
    assert_eq!(values, [1_514_862_245_000.0.into(), Bytes::from_static(&[7]).into(), Value::Null]);
}

/// What the reference server sends on a connection without recovery: `{sid, pid: undefined}`.
#[test]
fn undefined_in_msgpack_objects_is_absent() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Connected {
        sid: String,
        pid: Option<String>,
        bytes: Binary,
        list: Vec<Option<u8>>,
    }
    let object = b"\x84\xa3sid\xa1a\xa3pid\xd4\0\0\xa5bytes\xc4\x03\xd4\0\0\xa4list\x92\x07\xd4\0\0";
    let packet = [b"\x82\xa4type\x02\xa4data\x92\xa1x", &object[..]].concat();
    let args = decode(Msgpack, &Encoded { head: packet, binary: true, ..Encoded::default() });
    let bytes = Bytes::from_static(&[0xd4, 0, 0]);
    let expected =
        Connected { sid: "a".into(), pid: None, bytes: Binary(bytes.clone()), list: vec![Some(7), None] };
    assert_eq!(args.as_args().next().unwrap().deserialize::<Connected>().unwrap(), expected);
    let (value,): (Value,) = args.as_args().deserialize_all().unwrap();
    assert_eq!(value.get("pid"), Some(&Value::Null));
    assert_eq!(value.get("bytes"), Some(&Value::Binary(bytes)));
}

#[test]
fn outside_of_packets_binary_is_a_byte_string() {
    assert_eq!(serde_json::to_string(&binary("a")).unwrap(), "[97]");
    assert_eq!(serde_json::from_str::<Binary>("[97]").unwrap(), binary("a"));
    assert!(serde_json::from_str::<Binary>(r#"{"_placeholder":true,"num":0}"#).is_err());
    let packed = rmp_serde::to_vec(&binary("a")).unwrap();
    assert_eq!(packed, [0xc4, 1, b'a']);
    assert_eq!(rmp_serde::from_slice::<Binary>(&packed).unwrap(), binary("a"));
}
