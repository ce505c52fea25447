//! Clients that read late, slowly or never.

use trunkline::EmitError;
use trunkline::engine::EngineSession;
use trunkline_proto::ws::OpCode;
use trunkline_testkit::{Conn, Frame, Polling, Request, Rig, Ws, client_frame, eventually};

use crate::{THREADS, WEBSOCKET};

/// Bytes of a large message.
const LARGE: usize = 1 << 20;

/// A client whose kernel takes little while it does not read.
async fn open_narrow(rig: &mut Rig) -> (Ws, EngineSession) {
    let conn = Conn::open_narrow(rig.address(), 4096).await;
    let ws = Ws::request(conn, &Request::upgrade(WEBSOCKET)).await.expect("101");
    (ws, rig.opened().await)
}

#[tokio::test]
async fn twenty_megabytes_to_a_late_reader_arrive_whole_and_in_order() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |b| b.max_send_buffer(64 << 20));
        let (mut ws, session) = open_narrow(&mut rig).await;
        send_large(&session);
        eventually("the line is blocked", || !session.is_writable()).await;
        ws.text().await;
        receive_large(&mut ws).await;
        ws.send("4and on").await;
        assert_eq!(ws.text().await, "4and on");
        eventually("nothing is kept", || rig.engine.metrics().memory == 0).await;
        assert!(session.is_writable());
    }
}

#[tokio::test]
async fn twenty_megabytes_over_tls_arrive_whole_and_in_order() {
    for threads in THREADS {
        let mut rig = Rig::tls(threads, |b| b.max_send_buffer(64 << 20));
        let conn = Conn::open_tls(rig.address()).await;
        let mut ws = Ws::request(conn, &Request::upgrade(WEBSOCKET)).await.expect("101");
        let session = rig.opened().await;
        send_large(&session);
        eventually("the line is blocked", || !session.is_writable()).await;
        ws.text().await;
        receive_large(&mut ws).await;
        eventually("nothing is kept", || rig.engine.metrics().memory == 0).await;
    }
}

/// Large and small, text and binary.
fn send_large(session: &EngineSession) {
    for n in 0..20u8 {
        session.send(&format!("{n}{}", "x".repeat(LARGE))).expect("room");
        session.send_binary(&[n]).expect("room");
    }
}

async fn receive_large(ws: &mut Ws) {
    for n in 0..20u8 {
        let text = ws.text().await;
        let prefix = format!("4{n}x");
        assert!(text.starts_with(&prefix) && text.len() == prefix.len() + LARGE - 1, "{n}: {}", text.len());
        assert!(text[prefix.len()..].bytes().all(|b| b == b'x'), "{n} is damaged");
        assert_eq!(ws.recv().await, Frame::Binary(vec![n]));
    }
}

#[tokio::test]
async fn a_full_buffer_refuses_messages_and_keeps_the_client() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |b| b.max_send_buffer(100_000).socket_send_buffer(4096));
        let (mut ws, session) = open_narrow(&mut rig).await;
        let text = "x".repeat(1000);
        let mut taken = 0;
        // The flusher empties the buffer until the line is blocked.
        loop {
            match session.send(&text) {
                Ok(()) => taken += 1,
                Err(error) => {
                    assert_eq!(error, EmitError::Full);
                    if !session.is_writable() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
        assert!(rig.engine.metrics().memory <= 101_100, "{}", rig.engine.metrics().memory);
        ws.text().await;
        for n in 0..taken {
            assert_eq!(ws.text().await.len(), 1001, "{n} of {taken}");
        }
        session.send("room again").expect("room");
        assert_eq!(ws.text().await, "4room again");
        assert!(rig.none_closed());
    }
}

#[tokio::test]
async fn a_polling_client_that_does_not_come_is_bounded_too() {
    let mut rig = Rig::with(1, |b| b.max_send_buffer(10_000));
    let mut client = Polling::open(rig.address()).await;
    let session = rig.opened().await;
    let text = "x".repeat(936);
    let taken = (0..100).take_while(|_| session.send(&text).is_ok()).count();
    assert_eq!(taken, 9);
    assert_eq!(client.receive().await.split('\u{1e}').count(), 9);
    session.send(&text).expect("room again");
}

#[tokio::test]
async fn one_message_over_the_bound_is_taken_by_an_empty_buffer() {
    let mut rig = Rig::with(1, |b| b.max_send_buffer(10_000));
    let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
    let session = rig.opened().await;
    ws.text().await;
    eventually("the handshake is sent", || rig.engine.metrics().packets_out == 1).await;
    eventually("the buffer is empty", || session.send(&"x".repeat(100_000)).is_ok()).await;
    assert_eq!(ws.text().await.len(), 100_001);
}

#[tokio::test]
async fn a_client_that_only_asks_and_never_reads_is_a_slow_reader() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |b| b.max_send_buffer(100_000).socket_send_buffer(4096));
        let mut other = Ws::connect(rig.address(), WEBSOCKET).await;
        other.text().await;
        rig.opened().await;
        let (mut ws, _) = open_narrow(&mut rig).await;
        let pings = client_frame(OpCode::Ping, &[7; 125]).repeat(100);
        // Every ping is answered until the answers fill the buffer.
        while ws.try_send_raw(&pings).await.is_ok() {
            let memory = rig.engine.metrics().memory;
            assert!(memory < 100_000 + 80_000, "{memory}");
            other.send("4x").await;
            assert_eq!(other.text().await, "4x");
            // The closed connection is still read for a moment, so that its end is not a reset.
            if !rig.none_closed() {
                break;
            }
        }
        assert_eq!(rig.closed().await, "slow reader");
        other.send("4unaffected").await;
        assert_eq!(other.text().await, "4unaffected");
        eventually("nothing is kept", || rig.engine.metrics().memory == 0).await;
    }
}

#[tokio::test]
async fn short_of_memory_the_oldest_unsent_byte_goes_first() {
    let mut rig = Rig::with(1, |b| b.max_send_buffer(4 << 20).max_memory(2 << 20).socket_send_buffer(4096));
    let (mut oldest, first) = open_narrow(&mut rig).await;
    let (_newer, second) = open_narrow(&mut rig).await;
    let mut reader = Ws::connect(rig.address(), WEBSOCKET).await;
    reader.text().await;
    let text = "x".repeat(900_000);
    for session in [&first, &second] {
        session.send(&text).expect("room");
        eventually("the line is blocked", || !session.is_writable()).await;
    }
    assert!(rig.none_closed());
    second.send(&text).expect("room of its own");
    assert_eq!(rig.closed().await, "slow reader");
    assert_eq!(first.send("x"), Err(EmitError::Closed));
    eventually("memory suffices", || rig.engine.metrics().memory < 2 << 20).await;
    reader.send("4unaffected").await;
    assert_eq!(reader.text().await, "4unaffected");
    assert_eq!(second.send("still open"), Ok(()));
    assert!(rig.none_closed());
    // What was begun is not finished, and no close frame stands in the middle of it.
    oldest.text().await;
    assert_eq!(oldest.recv().await, Frame::End);
}
