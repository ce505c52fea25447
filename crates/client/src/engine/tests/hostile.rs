//! Servers that break every rule: a typed error each, never a panic, never a hang.

use trunkline_proto::eio::OpenError;
use trunkline_proto::ws::{HandshakeError, Violation};

use super::raw::{RawServer, Reply, answer, open, switch, text};
use super::support::{POLLING, WEBSOCKET, closed, config, connect};
use crate::engine::error::{HttpError, TransportError};
use crate::engine::{CloseReason, ConnectError};

type Answer = fn(&str) -> Reply;
type Expected = fn(&ConnectError) -> bool;

#[tokio::test]
async fn a_websocket_handshake_that_breaks_a_rule() {
    let rows: &[(&str, Answer, Expected)] = &[
        (
            "garbage",
            |_| Reply::Close(b"\0\xff garbage\r\n\r\n".to_vec()),
            |e| matches!(e, ConnectError::Http { source: HttpError::Protocol(_), .. }),
        ),
        ("nothing", |_| Reply::Close(Vec::new()), |e| matches!(e, ConnectError::Http { .. })),
        (
            "half a head",
            |_| Reply::Close(b"HTTP/1.1 101 Switch".to_vec()),
            |e| matches!(e, ConnectError::Http { .. }),
        ),
        (
            "huge headers",
            |head| Reply::Close(switch(head, &huge_headers(), &[])),
            |e| matches!(e, ConnectError::Http { .. }),
        ),
        (
            "many headers",
            |head| Reply::Close(switch(head, &"a: b\r\n".repeat(500), &[])),
            |e| matches!(e, ConnectError::Http { .. }),
        ),
        (
            "another key",
            |_| Reply::Hold(switch("Sec-WebSocket-Key: other\r\n", "", &[])),
            |e| matches!(e, ConnectError::WebSocket(HandshakeError::Accept)),
        ),
        (
            "an extension",
            |head| Reply::Hold(switch(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n", &[])),
            |e| matches!(e, ConnectError::WebSocket(HandshakeError::Extension)),
        ),
        (
            "a subprotocol",
            |head| Reply::Hold(switch(head, "Sec-WebSocket-Protocol: chat\r\n", &[])),
            |e| matches!(e, ConnectError::WebSocket(HandshakeError::Subprotocol)),
        ),
        (
            "a refusal with JSON",
            |_| {
                Reply::Close(answer(
                    "400 Bad Request",
                    "",
                    r#"{"code":5,"message":"Unsupported protocol version"}"#,
                ))
            },
            |e| {
                matches!(e, ConnectError::Handshake { status: 400, code: Some(5), message }
                    if message == "Unsupported protocol version")
            },
        ),
        (
            "an endless refusal",
            |_| Reply::Close(answer("400 Bad Request", "", &"x".repeat(100_000))),
            |e| matches!(e, ConnectError::Http { source: HttpError::TooLarge { .. }, .. }),
        ),
        (
            "a page",
            |_| Reply::Close(answer("200 OK", "", "<html>")),
            |e| matches!(e, ConnectError::Handshake { status: 200, .. }),
        ),
        (
            "a redirect",
            |_| Reply::Close(answer("302 Found", "Location: http://127.0.0.1:1/\r\n", "")),
            |e| matches!(e, ConnectError::Handshake { status: 302, .. }),
        ),
        (
            "closed after the 101",
            |head| Reply::Close(switch(head, "", &[])),
            |e| matches!(e, ConnectError::Transport(TransportError::Ended | TransportError::Io(_))),
        ),
        (
            "a message first",
            |head| Reply::Hold(switch(head, "", &text("4hello"))),
            |e| matches!(e, ConnectError::NotSocketIo { .. }),
        ),
        (
            "no packet",
            |head| Reply::Hold(switch(head, "", &text(""))),
            |e| matches!(e, ConnectError::NotSocketIo { .. }),
        ),
        (
            "absurd numbers",
            |head| Reply::Hold(switch(head, "", &text(&open("", u64::MAX, 1)))),
            |e| matches!(e, ConnectError::Open(OpenError::InvalidHeartbeat)),
        ),
        (
            "an open packet of another shape",
            |head| Reply::Hold(switch(head, "", &text("0[]"))),
            |e| matches!(e, ConnectError::Open(OpenError::Malformed)),
        ),
        (
            "a masked frame",
            |head| Reply::Hold(switch(head, "", b"\x81\x81\0\0\0\x000")),
            |e| matches!(e, ConnectError::Transport(TransportError::Frame(Violation::MaskedFrame))),
        ),
        (
            "a huge length",
            |head| Reply::Hold(switch(head, "", b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff")),
            |e| matches!(e, ConnectError::Transport(TransportError::Frame(Violation::MessageTooBig))),
        ),
    ];
    for (name, reply, is_expected) in rows {
        let server = RawServer::start(*reply).await;
        let error = connect(&config(server.address, WEBSOCKET)).await.err().expect(name);
        assert!(is_expected(&error), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_polling_handshake_that_breaks_a_rule() {
    let rows: &[(&str, Answer, Expected)] = &[
        ("garbage", |_| Reply::Close(b"SSH-2.0-x\r\n".to_vec()), |e| matches!(e, ConnectError::Http { .. })),
        (
            "nothing",
            |_| Reply::Close(Vec::new()),
            |e| matches!(e, ConnectError::Http { .. } | ConnectError::NotSocketIo { .. }),
        ),
        (
            "huge headers",
            |_| Reply::Close(answer("200 OK", &huge_headers(), "")),
            |e| matches!(e, ConnectError::Http { .. }),
        ),
        (
            "a length that lies",
            |_| Reply::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n0{}".to_vec()),
            |e| matches!(e, ConnectError::Http { .. }),
        ),
        (
            "a length without end",
            |_| Reply::Hold(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec()),
            |e| matches!(e, ConnectError::Http { source: HttpError::TooLarge { .. }, .. }),
        ),
        (
            "a body without end",
            |_| {
                let start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                Reply::Hold([start, b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat())
            },
            |e| matches!(e, ConnectError::Http { source: HttpError::TooLarge { .. }, .. }),
        ),
        (
            "not UTF-8",
            |_| Reply::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n0\xff".to_vec()),
            |e| matches!(e, ConnectError::NotSocketIo { .. }),
        ),
        (
            "an empty body",
            |_| Reply::Close(answer("200 OK", "", "")),
            |e| matches!(e, ConnectError::NotSocketIo { .. }),
        ),
        (
            "a page",
            |_| Reply::Close(answer("200 OK", "", "<html>")),
            |e| matches!(e, ConnectError::NotSocketIo { .. }),
        ),
        (
            "a 101",
            |head| Reply::Hold(switch(head, "", &[])),
            |e| matches!(e, ConnectError::Handshake { status: 101, .. } | ConnectError::Http { .. }),
        ),
        (
            "a sid that ends the header",
            |_| {
                let json = r#"0{"sid":"a\r\nb","upgrades":[],"pingInterval":1,"pingTimeout":1}"#;
                Reply::Close(answer("200 OK", "", json))
            },
            |e| matches!(e, ConnectError::Open(OpenError::InvalidSid)),
        ),
        (
            "forbidden",
            |_| Reply::Close(answer("403 Forbidden", "", r#"{"code":4,"message":"no entry"}"#)),
            |e| matches!(e, ConnectError::Handshake { status: 403, code: Some(4), message } if message == "no entry"),
        ),
    ];
    for (name, reply, is_expected) in rows {
        let server = RawServer::start(*reply).await;
        let mut config = config(server.address, POLLING);
        config.max_payload = 10_000;
        let error = connect(&config).await.err().expect(name);
        assert!(is_expected(&error), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn an_open_websocket_that_breaks_a_rule() {
    let long: &'static [u8] = b"\x82\x7e\x40\x00";
    let rows: &[(&str, &'static [u8], CloseReason)] = &[
        ("a masked frame", b"\x81\x82\0\0\0\x004a", CloseReason::TransportError),
        ("a compressed frame", b"\xc1\x02\x04\x00", CloseReason::TransportError),
        ("a reserved opcode", b"\x83\x00", CloseReason::TransportError),
        ("a length above the limit", long, CloseReason::TransportError),
        ("a length of 2^63", b"\x82\x7f\x80\0\0\0\0\0\0\0", CloseReason::TransportError),
        ("text that is not UTF-8", b"\x81\x02\x34\xff", CloseReason::TransportError),
        ("no packet", b"\x81\x00", CloseReason::ParseError),
        ("an unknown packet", b"\x81\x01x", CloseReason::ParseError),
        ("base64 that is none", b"\x81\x02b*", CloseReason::ParseError),
        ("a second open packet", b"\x81\x030{}", CloseReason::TransportError),
        ("an upgrade", b"\x81\x015", CloseReason::TransportError),
        ("a pong", b"\x81\x013", CloseReason::TransportError),
        ("a close packet", b"\x81\x011", CloseReason::TransportClose),
        ("a close frame", b"\x88\x05\x03\xe9bye", CloseReason::TransportClose),
        ("half a frame and the end", b"\x81\x054a", CloseReason::TransportClose),
    ];
    for (name, bytes, expected) in rows {
        let bytes: &'static [u8] = bytes;
        let server = RawServer::start(move |head| {
            let open = text(&open("", 25_000, 20_000));
            Reply::Close(switch(head, "", &[&open, bytes].concat()))
        })
        .await;
        let mut config = config(server.address, WEBSOCKET);
        config.max_payload = 10_000;
        let mut engine = connect(&config).await.expect(name);
        let (reason, description) = closed(&mut engine).await;
        assert_eq!(reason, *expected, "{name}: {description:?}");
    }
}

#[tokio::test]
async fn an_open_polling_session_that_breaks_a_rule() {
    type Row = (&'static str, fn() -> Reply, CloseReason, &'static str);
    let rows: &[Row] = &[
        ("garbage", || Reply::Close(b"\0\0\0\0".to_vec()), CloseReason::TransportError, ""),
        ("an empty body", || Reply::Bytes(answer("200 OK", "", "")), CloseReason::ParseError, "empty packet"),
        (
            "an unknown packet",
            || Reply::Bytes(answer("200 OK", "", "4a\x1ex")),
            CloseReason::ParseError,
            "unknown",
        ),
        (
            "an unknown session",
            || Reply::Bytes(answer("400 Bad Request", "", r#"{"code":1,"message":"Session ID unknown"}"#)),
            CloseReason::TransportError,
            "Session ID unknown",
        ),
        ("a close packet", || Reply::Bytes(answer("200 OK", "", "1")), CloseReason::TransportClose, ""),
        (
            "not UTF-8",
            || Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n4\xff".to_vec()),
            CloseReason::ParseError,
            "UTF-8",
        ),
        (
            "too much",
            || Reply::Bytes(answer("200 OK", "", &"4".repeat(30_000))),
            CloseReason::TransportError,
            "larger than 20000",
        ),
    ];
    for (name, reply, expected, words) in rows {
        let reply = *reply;
        let server = RawServer::start(move |head| {
            if head.contains("sid=") {
                reply()
            } else {
                Reply::Bytes(answer("200 OK", "", &open("", 25_000, 20_000)))
            }
        })
        .await;
        let mut config = config(server.address, POLLING);
        config.max_payload = 10_000;
        let mut engine = connect(&config).await.expect(name);
        let (reason, description) = closed(&mut engine).await;
        assert_eq!(reason, *expected, "{name}: {description:?}");
        let description = description.unwrap_or_default();
        assert!(description.contains(words), "{name}: {description}");
    }
}

#[tokio::test]
async fn a_flood_of_pings_makes_no_work_pile_up() {
    let server = RawServer::start(|head| {
        let mut frames = text(&open("", 25_000, 20_000));
        for _ in 0..20_000 {
            frames.extend_from_slice(b"\x89\x04ping\x81\x012");
        }
        frames.extend_from_slice(&text("4end"));
        Reply::Hold(switch(head, "", &frames))
    })
    .await;
    let mut engine = connect(&config(server.address, WEBSOCKET)).await.expect("connects");
    assert_eq!(super::support::message(&mut engine).await, b"end");
    // What waits is what the kernel has not taken, not twenty thousand answers of 70 bytes.
    assert!(engine.buffered() < 1_000_000, "{}", engine.buffered());
}

fn huge_headers() -> String {
    format!("X-Long: {}\r\n", "x".repeat(200_000))
}
