//! The upgrade from polling to WebSocket: nothing lost, nothing twice, nothing out of order; and when it fails.

use std::net::SocketAddr;

use trunkline_proto::ws::OpCode;
use trunkline_testkit::{Conn, Frame, Polling, Request, Rig, Ws, client_frame, eventually, within};

use crate::{THREADS, millis};

/// The WebSocket of an upgrade, after its probe.
async fn probe(address: SocketAddr, sid: &str) -> Ws {
    let mut ws = Ws::connect(address, &format!("/engine.io/?EIO=4&transport=websocket&sid={sid}")).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    ws
}

#[tokio::test]
async fn messages_before_during_and_after_it_arrive_once_and_in_order() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |b| b.upgrade_timeout(millis(60_000)));
        // The streams are dealt to the threads in turn: in each round the WebSocket meets another one.
        for round in 0..5 {
            let mut client = Polling::open(rig.address()).await;
            let session = rig.opened().await;
            for n in 0..10 {
                session.send(&n.to_string()).expect("room");
            }
            let mut ws = probe(rig.address(), &client.sid).await;
            for n in 10..20 {
                session.send(&n.to_string()).expect("room");
            }
            if round % 2 == 0 {
                let expected: Vec<_> = (0..20).map(|n| format!("4{n}")).collect();
                assert_eq!(client.receive().await, expected.join("\u{1e}"));
            }
            ws.send("5").await;
            for n in 20..30 {
                session.send(&n.to_string()).expect("room");
            }
            for n in if round % 2 == 0 { 20 } else { 0 }..30 {
                assert_eq!(ws.text().await, format!("4{n}"));
            }
            ws.send("4and back").await;
            assert_eq!(ws.text().await, "4and back");
            assert_eq!(session.transport().as_str(), "websocket");
        }
        assert_eq!(rig.engine.metrics().upgrades, 5);
    }
}

#[tokio::test]
async fn a_stream_of_messages_survives_it() {
    const COUNT: usize = 5000;
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        let session = rig.opened().await;
        let emitter = std::thread::spawn(move || {
            for n in 0..COUNT {
                session.send(&n.to_string()).expect("room for all");
                std::thread::yield_now();
            }
        });
        let mut seen = Vec::new();
        let take = |seen: &mut Vec<usize>, payload: &str| {
            let packets = payload.split('\u{1e}').filter_map(|packet| packet.strip_prefix('4'));
            seen.extend(packets.map(|n| n.parse::<usize>().expect("a number")));
        };
        for _ in 0..3 {
            let payload = client.receive().await;
            take(&mut seen, &payload);
        }
        client.start_get().await;
        let mut ws = probe(rig.address(), &client.sid).await;
        // As clients do it: the GET that waits must come back before the upgrade is completed.
        let payload = client.getter.response().await.text().to_owned();
        take(&mut seen, &payload);
        ws.send("5").await;
        while seen.len() < COUNT {
            take(&mut seen, &ws.text().await);
        }
        assert!(seen.iter().copied().eq(0..COUNT), "lost, doubled or out of order");
        emitter.join().expect("the emitter");
    }
}

#[tokio::test]
async fn a_get_that_waits_is_ended_by_the_probe_and_again_until_the_upgrade() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        let session = rig.opened().await;
        client.start_get().await;
        eventually("the GET waits", || session.is_writable()).await;
        let mut ws = probe(rig.address(), &client.sid).await;
        assert_eq!(client.getter.response().await.text(), "6");
        // A client that had not yet stopped polling.
        assert_eq!(client.receive().await, "6");
        assert_eq!(client.receive().await, "6");
        ws.send("5").await;
        ws.send("4x").await;
        assert_eq!(ws.text().await, "4x");
        let late = client.get().await;
        assert_eq!((late.status, late.text()), (400, r#"{"code":3,"message":"Bad request"}"#));
        assert!(rig.none_closed());
    }
}

#[tokio::test]
async fn a_get_that_waits_at_its_completion_is_answered() {
    // No timer may be what has the WebSocket read.
    let mut rig = Rig::with(1, |b| b.upgrade_timeout(millis(60_000)));
    let mut client = Polling::open(rig.address()).await;
    let session = rig.opened().await;
    let mut ws =
        Ws::connect(rig.address(), &format!("/engine.io/?EIO=4&transport=websocket&sid={}", client.sid))
            .await;
    client.start_get().await;
    eventually("the GET waits", || session.is_writable()).await;
    // No probe, as the reference server allows.
    ws.send("5").await;
    assert_eq!(client.getter.response().await.text(), "6");
    ws.send("4x").await;
    assert_eq!(ws.text().await, "4x");
}

#[tokio::test]
async fn the_whole_upgrade_may_come_in_one_piece() {
    for threads in THREADS {
        let rig = Rig::start(threads);
        for _ in 0..4 {
            let client = Polling::open(rig.address()).await;
            let request =
                Request::upgrade(&format!("/engine.io/?EIO=4&transport=websocket&sid={}", client.sid));
            let early: Vec<u8> =
                ["2probe", "5", "4x"].iter().flat_map(|t| client_frame(OpCode::Text, t.as_bytes())).collect();
            let conn = Conn::open(rig.address()).await;
            let mut ws = Ws::request_with(conn, &request, &early).await.expect("101");
            assert_eq!(ws.text().await, "3probe");
            assert_eq!(ws.text().await, "4x");
        }
    }
}

#[tokio::test]
async fn a_probe_that_fails_leaves_polling_as_it_was() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        let target = format!("/engine.io/?EIO=4&transport=websocket&sid={}", client.sid);
        // It ends without a word, is reset, is closed, sends what is no packet, no UTF-8, no probe, or speaks too early.
        for attempt in 0..7 {
            let mut ws = Ws::connect(rig.address(), &target).await;
            match attempt {
                0 => drop(ws),
                1 => ws.into_conn().reset(),
                2 => ws.send_close(1000).await,
                3 => ws.send("x").await,
                4 => ws.send_raw(&client_frame(OpCode::Text, b"\xff")).await,
                5 => ws.send("2other").await,
                _ => ws.send("4message").await,
            }
            client.send("4x").await;
            assert_eq!(client.receive().await, "4x", "attempt {attempt}");
            // Half of a frame must not stay in the account of memory.
            eventually("no memory in use", || rig.engine.metrics().memory == 0).await;
        }
        // Refused while another probe is under way, else admitted.
        let mut ws = loop {
            let mut ws = Ws::connect(rig.address(), &target).await;
            ws.send("2probe").await;
            match ws.recv().await {
                Frame::Text(text) => {
                    assert_eq!(text, "3probe");
                    break ws;
                }
                other => assert!(matches!(other, Frame::Close(None) | Frame::End), "{other:?}"),
            }
        };
        ws.send("5").await;
        ws.send("4y").await;
        assert_eq!(ws.text().await, "4y");
        assert!(rig.none_closed());
    }
}

#[tokio::test]
async fn a_second_websocket_is_refused_while_one_probes() {
    let rig = Rig::start(1);
    let client = Polling::open(rig.address()).await;
    let mut first = probe(rig.address(), &client.sid).await;
    let target = format!("/engine.io/?EIO=4&transport=websocket&sid={}", client.sid);
    let mut second = Ws::connect(rig.address(), &target).await;
    assert_eq!(second.closed().await, Some(None));
    first.send("5").await;
    first.send("4x").await;
    assert_eq!(first.text().await, "4x");
}

#[tokio::test]
async fn a_probe_that_takes_too_long_is_closed_and_polling_goes_on() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |b| b.upgrade_timeout(millis(40)));
        let mut client = Polling::open(rig.address()).await;
        let target = format!("/engine.io/?EIO=4&transport=websocket&sid={}", client.sid);
        let mut silent = Ws::connect(rig.address(), &target).await;
        silent.send_raw(&client_frame(OpCode::Text, b"half of a frame")[..9]).await;
        assert_eq!(silent.closed().await, Some(None));
        let mut answered = probe(rig.address(), &client.sid).await;
        assert_eq!(answered.closed().await, Some(None));
        client.send("4x").await;
        assert_eq!(client.receive().await, "4x");
        eventually("no memory in use", || rig.engine.metrics().memory == 0).await;
        assert!(rig.none_closed());
        assert_eq!(rig.engine.metrics().upgrades_timed_out, 2);
    }
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_ends_its_probe() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        let mut ws = probe(rig.address(), &client.sid).await;
        assert_eq!(client.post("1").await.status, 200);
        assert_eq!(ws.closed().await, Some(None));
        assert_eq!(rig.closed().await, "transport close");
        assert_eq!(rig.engine.metrics().upgrades_timed_out, 0);
    }
}

#[tokio::test]
async fn polling_requests_that_end_after_it_do_no_harm() {
    let mut rig = Rig::start(1);
    let mut client = Polling::open(rig.address()).await;
    let half = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n4a", client.target);
    client.poster.send_raw(half.as_bytes()).await;
    let mut ws = probe(rig.address(), &client.sid).await;
    ws.send("5").await;
    ws.send("4x").await;
    assert_eq!(ws.text().await, "4x");
    drop(client);
    for n in 0..20 {
        ws.send(&format!("4{n}")).await;
        assert_eq!(ws.text().await, format!("4{n}"));
    }
    assert!(rig.none_closed());
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let rig = Rig::with(1, |b| b.allow_upgrades(false));
    let client = Polling::open(rig.address()).await;
    assert!(client.handshake.contains(r#""upgrades":[]"#), "{}", client.handshake);
    let request = Request::upgrade(&format!("/engine.io/?EIO=4&transport=websocket&sid={}", client.sid));
    let refused = Ws::request(Conn::open(rig.address()).await, &request).await.expect_err("refused");
    assert_eq!((refused.status, refused.text()), (400, "Bad request"));
}

#[tokio::test]
async fn a_websocket_does_not_overtake_a_post_that_is_under_way() {
    const COUNT: usize = 40_000;
    for threads in THREADS {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let rig = Rig::with(threads, |b| {
            b.on_message(move |_, message| {
                let trunkline::engine::Message::Text(text) = message else { return };
                drop(tell.send(text.to_owned()));
                if text == "first" {
                    // Until the WebSocket's part is on its way too.
                    wait.lock().expect("no panic").recv().expect("told to go on");
                }
            })
        });
        let mut client = Polling::open(rig.address()).await;
        let mut ws = probe(rig.address(), &client.sid).await;
        let body = format!("4first{}", "\u{1e}4x".repeat(COUNT));
        let target = format!("/engine.io/?EIO=4&transport=polling&sid={}", client.sid);
        let mut http = trunkline_testkit::Http::connect(rig.address()).await;
        http.send(&Request::post(&target, body)).await;
        assert_eq!(within("a message", told.recv()).await.as_deref(), Some("first"));
        ws.send("5").await;
        ws.send("4last").await;
        go.send(()).expect("the server waits");
        let mut before = 0;
        while within("a message", told.recv()).await.expect("the server lives") != "last" {
            before += 1;
        }
        assert_eq!(before, COUNT);
        assert_eq!(http.response().await.text(), "ok");
        drop(client.get().await);
    }
}
