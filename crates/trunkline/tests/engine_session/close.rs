//! How sessions end, from both sides.

use trunkline::EmitError;
use trunkline_testkit::{
    Conn, Frame, Http, Polling, Request, Rig, TestServer, Ws, eventually, sid_of, within,
};

use crate::{THREADS, WEBSOCKET, millis};

#[tokio::test]
async fn a_client_ends_a_polling_session_with_a_close_packet() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        let session = rig.opened().await;
        client.start_get().await;
        eventually("the GET waits", || session.is_writable()).await;
        client.send("4last\u{1e}1\u{1e}4never read").await;
        assert_eq!(rig.closed().await, "transport close");
        // The echo may have been faster than the end, or be dropped with the session.
        let rest = client.getter.response().await;
        assert!(matches!(rest.text(), "6" | "1" | "4last"), "{rest:?}");
        eventually("no session is left", || rig.engine.session_count() == 0).await;
        assert_eq!(session.send("x"), Err(EmitError::Closed));
    }
}

#[tokio::test]
async fn a_client_ends_a_websocket_in_any_way() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        for (way, reason) in [
            ("close frame", "transport close"),
            ("close packet", "transport close"),
            ("end of stream", "transport close"),
            ("reset", "transport error"),
        ] {
            let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
            ws.text().await;
            match way {
                "close frame" => {
                    ws.send_close(1001).await;
                    assert_eq!(ws.closed().await, Some(None), "answered");
                }
                "close packet" => {
                    ws.send("1").await;
                    assert_eq!(ws.closed().await, Some(None));
                }
                "end of stream" => drop(ws),
                _ => ws.into_conn().reset(),
            }
            assert_eq!(rig.closed().await, reason, "{way}");
        }
        eventually("no session is left", || rig.engine.session_count() == 0).await;
    }
}

#[tokio::test]
async fn the_server_ends_a_websocket_after_what_is_queued() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
        let session = rig.opened().await;
        ws.text().await;
        for n in 0..100 {
            session.send(&n.to_string()).expect("room");
        }
        session.close();
        for n in 0..100 {
            assert_eq!(ws.text().await, format!("4{n}"));
        }
        assert_eq!(ws.recv().await, Frame::Close(None));
        assert_eq!(ws.recv().await, Frame::End);
        assert_eq!(rig.closed().await, "forced close");
        assert_eq!(session.send("x"), Err(EmitError::Closed));
    }
}

#[tokio::test]
async fn the_server_ends_a_polling_session_with_its_next_get() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        let session = rig.opened().await;
        session.send("bye").expect("room");
        session.close();
        // The end is another thread's business: the GET may come before it.
        let mut payload = client.receive().await;
        if payload == "4bye" {
            payload = format!("4bye\u{1e}{}", client.receive().await);
        }
        assert_eq!(payload, "4bye\u{1e}1");
        assert_eq!(rig.closed().await, "forced close");
        assert_eq!(session.send("x"), Err(EmitError::Closed));

        let mut client = Polling::open(rig.address()).await;
        let session = rig.opened().await;
        client.start_get().await;
        eventually("the GET waits", || session.is_writable()).await;
        session.close();
        assert_eq!(client.getter.response().await.text(), "1");
        assert_eq!(rig.closed().await, "forced close");
    }
}

#[tokio::test]
async fn a_polling_session_that_nobody_asks_for_is_ended_after_a_time() {
    let mut rig = Rig::with(1, |b| b.close_timeout(millis(40)));
    let mut client = Polling::open(rig.address()).await;
    let session = rig.opened().await;
    session.close();
    assert_eq!(rig.closed().await, "forced close");
    assert_eq!(client.get().await.status, 400);
    assert_eq!(rig.engine.metrics().memory, 0);
}

#[tokio::test]
async fn closing_the_engine_ends_all_sessions_and_refuses_new_ones() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut sockets = Vec::new();
        for _ in 0..8 {
            let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
            ws.text().await;
            sockets.push(ws);
        }
        let mut waiting = Polling::open(rig.address()).await;
        let mut idle = Polling::open(rig.address()).await;
        waiting.start_get().await;

        let engine = rig.engine.clone();
        let closing = tokio::spawn(async move { engine.close().await });
        for ws in &mut sockets {
            assert_eq!(ws.closed().await, Some(None));
        }
        assert_eq!(waiting.getter.response().await.text(), "1");

        let mut http = Http::connect(rig.address()).await;
        let response = http.request(&Request::get("/engine.io/?EIO=4&transport=polling")).await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        let conn = Conn::open(rig.address()).await;
        let response = Ws::request(conn, &Request::upgrade(WEBSOCKET)).await.expect_err("refused");
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));

        assert!(!closing.is_finished(), "one client has not fetched its last packet");
        assert_eq!(idle.receive().await, "1");
        within("the engine is closed", closing).await.expect("no panic");
        for _ in 0..10 {
            assert_eq!(rig.closed().await, "server shutting down");
        }
        assert_eq!(rig.engine.session_count(), 0);
    }
}

#[tokio::test]
async fn a_server_that_closes_its_engine_before_it_ends_says_goodbye_to_all() {
    for threads in THREADS {
        let mut rig = Rig::serving(
            |b| b.shards(threads),
            |engine| {
                let (closing, service) = (engine.clone(), engine.service());
                TestServer::spawn(move |listener, end| {
                    move || {
                        let shutdown = async move {
                            end.await;
                            closing.close().await;
                        };
                        let serve = trunkline::serve(listener, service).threads(threads);
                        serve.with_shutdown(shutdown).run().expect("serves");
                    }
                })
            },
        );
        let mut sockets = Vec::new();
        let mut pollers = Vec::new();
        for _ in 0..16 {
            let mut client = Polling::open(rig.address()).await;
            let session = rig.opened().await;
            client.start_get().await;
            eventually("the GET waits", || session.is_writable()).await;
            pollers.push(client);
            let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
            ws.text().await;
            rig.opened().await;
            sockets.push(ws);
        }
        rig.server.stop();
        for client in &mut pollers {
            assert_eq!(client.getter.response().await.text(), "1");
        }
        for ws in &mut sockets {
            assert_eq!(ws.closed().await, Some(None));
        }
        for _ in 0..32 {
            assert_eq!(rig.closed().await, "server shutting down");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_stopped_while_clients_are_connected_ends() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
        ws.text().await;
        let mut client = Polling::open(rig.address()).await;
        client.start_get().await;
        rig.server.stop();
        assert_eq!(ws.closed().await, Some(None));
        assert!(client.getter.try_response().await.is_err());
        for _ in 0..2 {
            assert_eq!(rig.closed().await, "server shutting down");
        }
        assert_eq!((rig.engine.session_count(), rig.engine.metrics().memory), (0, 0));
    }
}

/// A WebSocket that was refused is read on for a moment, too; it must not take the place of the session's own.
#[tokio::test]
async fn a_goodbye_is_not_reset_though_another_websocket_was_refused_just_before() {
    for threads in THREADS {
        let mut rig = Rig::with(threads, |builder| builder.max_payload(1000));
        let mut ws = Ws::connect(rig.address(), WEBSOCKET).await;
        let sid = sid_of(&ws.text().await);
        let mut refused = Ws::connect(rig.address(), &format!("{WEBSOCKET}&sid={sid}")).await;
        assert_eq!(refused.recv().await, Frame::Close(None));
        // A message that is too long, of which more is under way when that is noticed than any buffer holds.
        let mut message = vec![0x82, 0xff];
        message.extend_from_slice(&(16u64 << 20).to_be_bytes());
        message.resize(16 << 20, 0);
        let mut conn = ws.into_conn();
        conn.try_write(&message).await.expect("no reset");
        conn.finish().await;
        let mut end = Vec::new();
        while conn.read(&mut end).await.expect("no reset") > 0 {}
        assert_eq!(end, [0x88, 2, 0x03, 0xf1], "1009");
        assert_eq!(rig.closed().await, "transport error");
    }
}
