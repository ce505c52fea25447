//! Messages from files, and the packets or violations they must decode to.

use std::borrow::Cow;

use trunkline_proto::sio::{Args, Decoder, Kind, Limits, Packet, Parser, RawArg};

#[test]
fn json() {
    check_file(include_str!("vectors/sio/decode_json.txt"), |input| {
        let mut decoder = Decoder::new(Parser::Json, Limits::default());
        let mut parts = input.split(" + ");
        let text = parts.next().unwrap();
        let mut last = match decoder.decode_text(text) {
            Ok(packet) => describe(packet),
            Err(violation) => return format!("! {violation:?}"),
        };
        for hex in parts {
            last = match decoder.decode_binary(Cow::Owned(unhex(hex))) {
                Ok(packet) => describe(packet),
                Err(violation) => return format!("! {violation:?}"),
            };
        }
        last
    });
}

#[test]
fn msgpack() {
    check_file(include_str!("vectors/sio/decode_msgpack.txt"), |input| {
        let mut decoder = Decoder::new(Parser::Msgpack, Limits::default());
        let data = unhex(input);
        match decoder.decode_binary(Cow::Borrowed(&data)) {
            Ok(packet) => describe(packet),
            Err(violation) => format!("! {violation:?}"),
        }
    });
}

fn check_file(file: &str, decode: impl Fn(&str) -> String) {
    let mut failures = Vec::new();
    let mut count = 0;
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (input, expected) = line.split_once(" => ").unwrap();
        let found = decode(input);
        count += 1;
        if found != expected {
            failures.push(format!("{input}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(count > 50, "only {count} vectors");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn describe(packet: Option<Packet<'_>>) -> String {
    let Some(Packet { nsp, kind }) = packet else { return "...".into() };
    let id = |id: Option<u64>| id.map_or(String::new(), |id| format!(" {id}"));
    match kind {
        Kind::Connect { auth, query } => {
            let auth = auth.map_or(String::new(), |auth| format!(" auth={}", raw(auth)));
            let query = query.map_or(String::new(), |query| format!(" query={query}"));
            format!("connect {nsp}{auth}{query}")
        }
        Kind::Disconnect => format!("disconnect {nsp}"),
        Kind::Event { name, id: i, args } => format!("event {nsp}{} {name:?} {}", id(i), list(args)),
        Kind::Ack { id, args } => format!("ack {nsp} {id} {}", list(args)),
        Kind::ConnectError { data } => {
            format!("connect_error {nsp}{}", data.map_or(String::new(), |data| format!(" {}", raw(data))))
        }
    }
}

fn list(args: Args<'_>) -> String {
    assert_eq!(args.count(), args.len());
    let attachments = args.attachments().iter().map(|bytes| match hex(bytes) {
        empty if empty.is_empty() => " -".to_owned(),
        hex => format!(" {hex}"),
    });
    format!("[{}]{}", args.map(raw).collect::<Vec<_>>().join("|"), attachments.collect::<String>())
}

fn raw(arg: RawArg<'_>) -> String {
    match (arg.as_json(), arg.as_msgpack()) {
        (Some(text), _) => text.to_owned(),
        (_, bytes) => hex(bytes.unwrap()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.trim().chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
