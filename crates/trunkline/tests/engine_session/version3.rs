//! Engine.IO 3: its payloads and its binary packets.

use trunkline_testkit::{Frame, Polling, Received, Request, Rig, Ws};

const WEBSOCKET3: &str = "/engine.io/?EIO=3&transport=websocket";

fn rig() -> Rig {
    Rig::with(1, |b| b.allow_eio3(true))
}

#[tokio::test]
async fn the_handshake_is_a_payload_with_a_length() {
    let rig = rig();
    for query in ["EIO=3", "t=no-version"] {
        let client = Polling::open_with(rig.address(), query).await;
        let (len, packet) = client.handshake.split_once(':').expect("a length");
        assert_eq!(len.parse(), Ok(packet.len()));
        assert!(packet.starts_with("0{\"sid\":"));
    }
}

#[tokio::test]
async fn text_lengths_count_utf16_units() {
    let mut rig = rig();
    let mut client = Polling::open_with(rig.address(), "EIO=3").await;
    client.send("6:4hello4:4\u{20ac}\u{1f600}").await;
    assert_eq!(rig.received().await, Received::Text("hello".into()));
    assert_eq!(rig.received().await, Received::Text("\u{20ac}\u{1f600}".into()));
    let response = client.get().await;
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(response.text(), "6:4hello4:4\u{20ac}\u{1f600}");
    client.send("0:").await;
    assert!(rig.none_closed());
}

#[tokio::test]
async fn binary_messages_make_a_binary_payload() {
    let mut rig = rig();
    let mut client = Polling::open_with(rig.address(), "EIO=3").await;
    let body = b"\x00\x06\xff4hello\x01\x04\xff\x04\x01\x02\x03";
    let request = Request::post(&client.target, &body[..]).header("Content-Type", "application/octet-stream");
    assert_eq!(client.poster.request(&request).await.text(), "ok");
    assert_eq!(rig.received().await, Received::Text("hello".into()));
    assert_eq!(rig.received().await, Received::Binary(vec![1, 2, 3]));
    let response = client.get().await;
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    assert_eq!(response.body, body);
}

#[tokio::test]
async fn clients_without_binary_get_base64() {
    let mut rig = rig();
    let mut client = Polling::open_with(rig.address(), "EIO=3&b64=1").await;
    client.send("6:b4AQID").await;
    assert_eq!(rig.received().await, Received::Binary(vec![1, 2, 3]));
    assert_eq!(client.receive().await, "6:b4AQID");

    let mut ws = Ws::connect(rig.address(), &format!("{WEBSOCKET3}&b64=1")).await;
    ws.text().await;
    ws.send("b4AQID").await;
    assert_eq!(ws.text().await, "b4AQID");
}

#[tokio::test]
async fn binary_frames_begin_with_their_type() {
    let mut rig = rig();
    let mut ws = Ws::connect(rig.address(), WEBSOCKET3).await;
    ws.text().await;
    ws.send_binary(&[4, 1, 2, 3]).await;
    assert_eq!(rig.received().await, Received::Binary(vec![1, 2, 3]));
    assert_eq!(ws.recv().await, Frame::Binary(vec![4, 1, 2, 3]));
    ws.send_binary(&[1, 2, 3]).await;
    assert_eq!(rig.closed().await, "parse error");
}

#[tokio::test]
async fn an_upgrade_keeps_the_version() {
    let mut rig = rig();
    let mut client = Polling::open_with(rig.address(), "EIO=3").await;
    let session = rig.opened().await;
    let mut ws = Ws::connect(rig.address(), &format!("{WEBSOCKET3}&sid={}", client.sid)).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    session.send_binary(&[9]).expect("room");
    assert_eq!(client.get().await.body, b"\x01\x02\xff\x04\x09");
    ws.send("5").await;
    ws.send("2").await;
    assert_eq!(ws.text().await, "3");
    session.send_binary(&[9]).expect("room");
    assert_eq!(ws.recv().await, Frame::Binary(vec![4, 9]));
    assert_eq!(session.protocol(), 3);
}

#[tokio::test]
async fn lengths_that_lie_are_parse_errors() {
    for body in ["99999999:", "-1:4", "3:4x", "1:4x", "4x", "1x:4", ":4", "9999999999999999999999:4", ""] {
        let mut rig = rig();
        let mut client = Polling::open_with(rig.address(), "EIO=3").await;
        assert_eq!(client.post(body).await.status, 400, "{body}");
        assert_eq!(rig.closed().await, "parse error", "{body}");
        assert_eq!(rig.engine.metrics().memory, 0);
    }
    for body in
        [&b"\x00\xff"[..], b"\x00\x09\xff4", b"\x02\x01\xff4", b"\x00\x0a\xff4", b"\x00\x01", b"\x01\x00\xff"]
    {
        let mut rig = rig();
        let mut client = Polling::open_with(rig.address(), "EIO=3").await;
        let request = Request::post(&client.target, body).header("Content-Type", "application/octet-stream");
        assert_eq!(client.poster.request(&request).await.status, 400, "{body:?}");
        assert_eq!(rig.closed().await, "parse error", "{body:?}");
    }
}

/// As in the reference, which looks at `EIO` in a handshake alone.
#[tokio::test]
async fn the_handshake_decides_for_the_requests_that_follow() {
    let mut rig = rig();
    for (version, other, payload) in [("EIO=3", "EIO=4", "6:4hello"), ("EIO=4", "EIO=3", "4hello")] {
        let mut client = Polling::open_with(rig.address(), version).await;
        client.target = client.target.replace(version, other);
        client.send(payload).await;
        assert_eq!(rig.received().await, Received::Text("hello".into()));
        assert_eq!(client.receive().await, payload);
    }
    let client = Polling::open_with(rig.address(), "EIO=3").await;
    let target = client.target.replace("EIO=3", "EIO=4").replace("polling", "websocket");
    let mut ws = Ws::connect(rig.address(), &target).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    ws.send("5").await;
    // Its heartbeats are those of version 3: the client asks.
    ws.send("2").await;
    assert_eq!(ws.text().await, "3");
    assert!(rig.none_closed());
}
