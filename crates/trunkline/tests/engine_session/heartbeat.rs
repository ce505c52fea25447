//! Heartbeats of both versions.

use std::time::Instant;

use trunkline_proto::ws::OpCode;
use trunkline_testkit::{Frame, Polling, Rig, Ws, client_frame, eventually};

use crate::{THREADS, WEBSOCKET, millis};

const WEBSOCKET3: &str = "/engine.io/?EIO=3&transport=websocket";

#[tokio::test]
async fn the_server_pings_after_each_interval_and_never_at_once() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |b| b.ping_interval(millis(60)));
        let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
        let mut last = Instant::now();
        ws.text().await;
        for _ in 0..3 {
            assert_eq!(ws.text().await, "2");
            // The server's clock started a little before ours.
            assert!(last.elapsed() >= millis(50), "{:?}", last.elapsed());
            last = Instant::now();
            ws.send("3").await;
        }
        assert!(rig.none_closed());
    }
}

#[tokio::test]
async fn a_ping_answers_a_get() {
    let rig = Rig::with(1, |b| b.ping_interval(millis(30)));
    let mut client = Polling::open(rig.address()).await;
    for _ in 0..3 {
        assert_eq!(client.receive().await, "2");
        client.send("3").await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_gone() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |b| b.ping_interval(millis(20)).ping_timeout(millis(40)));
        let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
        ws.text().await;
        assert_eq!(ws.text().await, "2");
        ws.send("4messages are no answer").await;
        assert_eq!(rig.closed().await, "ping timeout");
        assert_eq!(ws.closed().await, Some(None));

        let _silent = Polling::open(rig.address()).await;
        assert_eq!(rig.closed().await, "ping timeout");
        eventually("no session is left", || rig.engine.session_count() == 0).await;
    }
}

#[tokio::test]
async fn pongs_that_nobody_asked_for_put_nothing_off() {
    let mut rig = Rig::with(1, |b| b.ping_interval(millis(60)).ping_timeout(millis(60)));
    let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
    ws.text().await;
    for _ in 0..100 {
        ws.send("3").await;
    }
    assert_eq!(ws.text().await, "2");
    // A WebSocket pong is no Engine.IO pong.
    ws.send_frame(OpCode::Pong, b"").await;
    assert_eq!(rig.closed().await, "ping timeout");
}

#[tokio::test]
async fn under_version_3_the_client_pings() {
    for threads in THREADS {
        let mut rig =
            Rig::with(threads, |b| b.allow_eio3(true).ping_interval(millis(40)).ping_timeout(millis(40)));
        let mut ws = Ws::connect(rig.address(), WEBSOCKET3).await;
        ws.text().await;
        let start = Instant::now();
        while start.elapsed() < millis(200) {
            ws.send("2").await;
            assert_eq!(ws.text().await, "3");
        }
        let silent = Instant::now();
        assert_eq!(rig.closed().await, "ping timeout");
        assert!(silent.elapsed() >= millis(70), "{:?}", silent.elapsed());
        assert_eq!(ws.recv().await, Frame::Close(None), "the server itself never pings");
    }
}

#[tokio::test]
async fn a_heartbeat_in_the_wrong_direction_ends_the_session() {
    let mut rig = Rig::with(1, |b| b.allow_eio3(true));
    for (target, packet) in [(WEBSOCKET, "2"), (WEBSOCKET3, "3")] {
        let mut ws = Ws::connect(rig.address(), target).await;
        ws.text().await;
        ws.send(packet).await;
        assert_eq!(rig.closed().await, "transport error", "{target}");
    }
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_without_piling_up() {
    let rig = Rig::with(1, |b| b.allow_eio3(true));
    let mut ws = Ws::connect(rig.address(), WEBSOCKET3).await;
    ws.text().await;
    let flood = client_frame(OpCode::Text, b"2").repeat(1000);
    ws.send_raw(&flood).await;
    ws.send("4x").await;
    let mut pongs = 0;
    loop {
        match ws.text().await.as_str() {
            "3" => pongs += 1,
            other => break assert_eq!(other, "4x"),
        }
    }
    assert_eq!(pongs, 1000);
}
