//! WebSocket, without an upgrade.

use std::io::{Read, Write};

use trunkline_proto::ws::{MAX_HEADER, OpCode, write_header};
use trunkline_testkit::{Conn, Frame, Received, Request, Rig, Ws, client_frame, eventually};

use crate::{THREADS, WEBSOCKET};

/// A WebSocket whose handshake packet is read.
async fn open(rig: &Rig) -> Ws {
    let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
    assert!(ws.text().await.starts_with("0{\"sid\":"));
    ws
}

#[tokio::test]
async fn messages_come_back_in_order() {
    for threads in THREADS {
        let rig = Rig::start(threads);
        let mut ws = open(&rig).await;
        for n in 0..50 {
            ws.send(&format!("4{n}")).await;
            ws.send_binary(&[n]).await;
        }
        for n in 0..50 {
            assert_eq!(ws.recv().await, Frame::Text(format!("4{n}")));
            assert_eq!(ws.recv().await, Frame::Binary(vec![n]));
        }
        let metrics = rig.engine.metrics();
        assert_eq!((metrics.websocket_sessions, metrics.packets_in), (1, 100));
    }
}

#[tokio::test]
async fn the_handshake_offers_no_upgrade() {
    let rig = Rig::start(1);
    let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
    assert_eq!(ws.response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(ws.text().await.contains(r#""upgrades":[]"#));
}

/// Held back, the answer's head leaves in one send with the handshake packet.
#[tokio::test]
async fn the_handshake_comes_in_one_piece_with_the_answer() {
    let rig = Rig::start(1);
    let bytes = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(rig.address()).expect("connects");
        stream.write_all(&Request::upgrade(WEBSOCKET).bytes()).expect("writes");
        let mut bytes = vec![0; 4096];
        let n = stream.read(&mut bytes).expect("reads");
        bytes[..n].to_vec()
    });
    let text = String::from_utf8_lossy(&bytes.await.expect("no panic")).into_owned();
    assert!(text.starts_with("HTTP/1.1 101 ") && text.contains("0{\"sid\":"), "{text}");
}

#[tokio::test]
async fn tokens_of_the_upgrade_are_found_in_lists_and_without_case() {
    let rig = Rig::start(1);
    let request = Request::upgrade(WEBSOCKET)
        .without("Connection")
        .without("Upgrade")
        .header("Connection", "keep-alive, UPGRADE")
        .header("Upgrade", "WebSocket");
    let mut ws = Ws::request(Conn::open(rig.address()).await, &request).await.expect("101");
    ws.text().await;
}

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let rig = Rig::start(1);
    let mut ws = open(&rig).await;
    let frames =
        [client_frame(OpCode::Text, "4h\u{e9}llo".as_bytes()), client_frame(OpCode::Binary, &[7; 300])];
    ws.send_split(&frames.concat(), 1).await;
    assert_eq!(ws.text().await, "4h\u{e9}llo");
    assert_eq!(ws.recv().await, Frame::Binary(vec![7; 300]));
    // The flusher lets go of what it has sent a moment after that arrives.
    eventually("memory is given back", || rig.engine.metrics().memory == 0).await;
}

#[tokio::test]
async fn fragments_are_joined_and_pings_between_them_answered() {
    let rig = Rig::start(1);
    let mut ws = open(&rig).await;
    ws.send_raw(&fragment(OpCode::Text, false, b"4he")).await;
    ws.send_frame(OpCode::Ping, b"exactly these bytes").await;
    assert_eq!(ws.recv().await, Frame::Pong(b"exactly these bytes".to_vec()));
    ws.send_raw(&fragment(OpCode::Continuation, false, b"ll")).await;
    ws.send_frame(OpCode::Pong, b"nobody asked").await;
    ws.send_raw(&fragment(OpCode::Continuation, true, b"o")).await;
    assert_eq!(ws.text().await, "4hello");
}

#[tokio::test]
async fn frames_that_come_with_the_handshake_are_read() {
    for threads in THREADS {
        let rig = Rig::start(threads);
        let early: Vec<u8> =
            (0..10).flat_map(|n| client_frame(OpCode::Text, format!("4{n}").as_bytes())).collect();
        let conn = Conn::open(rig.address()).await;
        let mut ws = Ws::request_with(conn, &Request::upgrade(WEBSOCKET), &early).await.expect("101");
        ws.text().await;
        for n in 0..10 {
            assert_eq!(ws.text().await, format!("4{n}"));
        }
    }
}

#[tokio::test]
async fn messages_up_to_the_limit_are_taken() {
    let rig = Rig::with(1, |b| b.max_payload(1_000_000));
    let mut ws = open(&rig).await;
    let text = format!("4{}", "x".repeat(999_999));
    ws.send(&text).await;
    assert_eq!(ws.text().await, text);
    ws.send(&format!("{text}x")).await;
    assert_eq!(ws.recv().await, Frame::Close(Some(1009)));
}

#[tokio::test]
async fn clients_without_binary_get_base64() {
    let mut rig = Rig::start(1);
    let mut ws = Ws::connect(rig.address(), &format!("{WEBSOCKET}&b64=1")).await;
    ws.text().await;
    ws.send("bAQID").await;
    assert_eq!(rig.received().await, Received::Binary(vec![1, 2, 3]));
    assert_eq!(ws.text().await, "bAQID");
    ws.send("4text").await;
    assert_eq!(ws.text().await, "4text");
}

#[tokio::test]
async fn each_broken_rule_has_its_close_code_and_reason() {
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = client_frame(OpCode::Text, payload);
        frame[0] = first;
        frame
    };
    let rows: [(&str, Vec<u8>, Option<u16>, &str); 12] = [
        ("RSV1", masked(0xc1, b"4x"), Some(1002), "transport error"),
        ("RSV2", masked(0xa1, b"4x"), Some(1002), "transport error"),
        ("RSV3", masked(0x91, b"4x"), Some(1002), "transport error"),
        ("opcode 3", masked(0x83, b"4x"), Some(1002), "transport error"),
        ("opcode 11", masked(0x8b, b"4x"), Some(1002), "transport error"),
        ("no mask", b"\x81\x024x".to_vec(), Some(1002), "transport error"),
        ("stray continuation", masked(0x80, b"4x"), Some(1002), "transport error"),
        ("fragmented ping", masked(0x09, b"4x"), Some(1002), "transport error"),
        ("no UTF-8", client_frame(OpCode::Text, b"4\xff"), Some(1007), "transport error"),
        ("unknown packet", client_frame(OpCode::Text, b"x"), None, "parse error"),
        ("empty packet", client_frame(OpCode::Text, b""), None, "parse error"),
        ("bad base64", client_frame(OpCode::Text, b"b*"), None, "parse error"),
    ];
    let mut rig = Rig::start(1);
    for (what, bytes, code, reason) in rows {
        let mut ws = open(&rig).await;
        ws.send_raw(&bytes).await;
        assert_eq!(ws.closed().await, Some(code), "{what}");
        assert_eq!(rig.closed().await, reason, "{what}");
    }
    assert_eq!(rig.engine.metrics().violations, 12);
    eventually("no session is left", || rig.engine.session_count() == 0).await;
}

/// A frame of a fragmented message, its mask all zeros.
fn fragment(opcode: OpCode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; MAX_HEADER];
    let n = write_header(&mut header, opcode, fin, false, payload.len(), Some([0; 4]));
    [&header[..n], payload].concat()
}
