//! Pings are answered; a server that falls silent is noticed within its interval and timeout.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use trunkline_proto::ws::{Decoder, Event, Limits, Role};
use trunkline_testkit::{Rig, within};

use super::raw::{RawServer, Reply, answer, open, read_request, switch, text};
use super::support::{POLLING, WEBSOCKET, closed, config, connect, next};
use crate::engine::{CloseReason, EngineEvent};

#[tokio::test]
async fn pings_keep_a_session_alive() {
    let mut rig = Rig::with(1, |builder| {
        builder.ping_interval(Duration::from_millis(30)).ping_timeout(Duration::from_secs(10))
    });
    for transports in [POLLING, WEBSOCKET] {
        let mut engine = connect(&config(rig.address(), transports)).await.expect("connects");
        for _ in 0..5 {
            // The server pings again only once it has the pong.
            assert!(matches!(next(&mut engine).await, EngineEvent::Ping));
        }
        assert!(rig.none_closed());
        engine.close().await;
        assert_eq!(rig.closed().await, "transport close");
    }
}

#[tokio::test]
async fn silence_is_noticed_in_time() {
    let server = RawServer::start(|head| {
        let open = open("", 60, 40);
        match (head.contains("transport=websocket"), head.contains("sid=")) {
            (true, _) => Reply::Hold(switch(head, "", &text(&open))),
            (false, false) => Reply::Bytes(answer("200 OK", "", &open)),
            (false, true) => Reply::Hold(Vec::new()),
        }
    })
    .await;
    for transports in [POLLING, WEBSOCKET] {
        let before = Instant::now();
        let mut engine = connect(&config(server.address, transports)).await.expect("connects");
        assert!(!engine.is_expired(before));
        assert!(engine.is_expired(Instant::now() + Duration::from_millis(100)));
        assert_eq!(closed(&mut engine).await.0, CloseReason::PingTimeout);
        assert!(before.elapsed() >= Duration::from_millis(100));
        assert!(!engine.is_writable());
    }
}

#[tokio::test]
async fn what_is_sent_to_an_expired_session_is_not_writable() {
    let server = RawServer::start(|head| Reply::Hold(switch(head, "", &text(&open("", 1, 1))))).await;
    let engine = connect(&config(server.address, WEBSOCKET)).await.expect("connects");
    trunkline_testkit::eventually("the heartbeat is over", || engine.is_expired(Instant::now())).await;
    assert!(!engine.is_writable());
}

#[tokio::test]
async fn a_websockets_own_ping_and_close_are_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let head = read_request(&mut stream).await.expect("a request");
        let bytes = switch(&head, "", &text(&open("", 25_000, 20_000)));
        stream.write_all(&bytes).await.expect("the client reads");
        let mut decoder = Decoder::new(Role::Server, Limits::default(), false);
        // Later ones find a client that waits for nothing but to read.
        for _ in 0..3 {
            stream.write_all(b"\x89\x04ping").await.expect("the client reads");
            // Ten bytes are a masked pong of four; eight, below, a close frame with a code.
            let mut pong = [0; 10];
            stream.read_exact(&mut pong).await.expect("a pong");
            assert_eq!(decoder.decode(&mut pong), Ok((10, Some(Event::Pong(b"ping")))));
        }
        stream.write_all(b"\x88\x02\x03\xe9").await.expect("the client reads");
        let mut close = [0; 8];
        stream.read_exact(&mut close).await.expect("a close frame");
        assert_eq!(decoder.decode(&mut close), Ok((8, Some(Event::Close(Some((1001, "")))))));
    };
    // A task of its own: nothing but the ping wakes it.
    let client = tokio::spawn(async move {
        let mut engine = connect(&config(address, WEBSOCKET)).await.expect("connects");
        closed(&mut engine).await.0
    });
    within("both answers", server).await;
    assert_eq!(within("the end", client).await.expect("no panic"), CloseReason::TransportClose);
}
