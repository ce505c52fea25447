//! Messages over each transport against the real server, with one thread and with four.

use bytes::Bytes;
use trunkline_testkit::{Received, Rig};

use super::support::{
    BOTH, POLLING, WEBSOCKET, closed, config, connect, echoes, message, next, tls, upgraded,
};
use crate::engine::{CloseReason, EngineEvent, Opened, TransportKind, Url};

#[tokio::test]
async fn every_transport_carries_text_and_bytes() {
    for threads in [1, 4] {
        let rig = Rig::start(threads);
        for transports in [POLLING, WEBSOCKET, BOTH] {
            let mut engine = connect(&config(rig.address(), transports)).await.expect("connects");
            echoes(&mut engine).await;
            let opened: &Opened = engine.opened();
            assert_eq!((opened.sid.len(), opened.max_payload), (20, Some(1_000_000)));
            engine.close().await;
        }
    }
}

#[tokio::test]
async fn every_transport_works_over_tls() {
    let rig = Rig::tls(1, |builder| builder);
    for transports in [POLLING, WEBSOCKET, BOTH] {
        let mut config = config(rig.address(), transports);
        config.url =
            Url::parse(&format!("https://localhost:{}/engine.io/", rig.address().port())).expect("valid");
        config.tls = Some(tls());
        let mut engine = connect(&config).await.expect("connects");
        echoes(&mut engine).await;
        if transports == BOTH {
            while engine.transport() == TransportKind::Polling {
                upgraded(&mut engine).await;
            }
            echoes(&mut engine).await;
        }
        engine.close().await;
    }
}

#[tokio::test]
async fn ten_thousand_messages_keep_their_order_across_the_upgrade() {
    const COUNT: usize = 10_000;
    for threads in [1, 4] {
        let rig = Rig::start(threads);
        let mut engine = connect(&config(rig.address(), BOTH)).await.expect("connects");
        let (mut sent, mut received, mut upgrades, mut polled) = (0, 0, 0, 0);
        while received < COUNT {
            // The window keeps messages under way in both directions for the whole time.
            while sent < COUNT && sent < received + 200 {
                assert!(engine.send_text(Bytes::from(sent.to_string())));
                sent += 1;
            }
            match next(&mut engine).await {
                EngineEvent::Text(text) => {
                    assert_eq!(text, received.to_string());
                    received += 1;
                    polled += usize::from(engine.transport() == TransportKind::Polling);
                }
                EngineEvent::Upgraded => upgrades += 1,
                EngineEvent::Ping => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(upgrades, 1);
        assert!(polled < COUNT, "the upgrade came while messages were under way");
        engine.close().await;
    }
}

#[tokio::test]
async fn a_large_message_passes_whole() {
    let rig = Rig::start(1);
    let large: Vec<u8> = (0..700_000u32).map(|i| (i % 251) as u8).collect();
    for transports in [POLLING, WEBSOCKET] {
        let mut engine = connect(&config(rig.address(), transports)).await.expect("connects");
        assert!(engine.send_binary(Bytes::from(large.clone())));
        assert!(engine.buffered() >= large.len());
        assert!(message(&mut engine).await == large, "{transports:?}");
        assert_eq!(engine.buffered(), 0);
        engine.close().await;
    }
}

#[tokio::test]
async fn posts_keep_the_servers_limit() {
    let rig = Rig::with(1, |builder| builder.max_payload(1_000));
    let mut engine = connect(&config(rig.address(), POLLING)).await.expect("connects");
    for i in 0..100 {
        assert!(engine.send_text(Bytes::from(format!("{i:0>90}"))));
    }
    for i in 0..100 {
        assert_eq!(message(&mut engine).await, format!("{i:0>90}").into_bytes());
    }
    // A single message above the limit is sent all the same, and refused by the server.
    assert!(engine.send_text(Bytes::from(vec![b'a'; 2_000])));
    let (reason, description) = closed(&mut engine).await;
    assert_eq!(reason, CloseReason::TransportError);
    assert!(description.is_some_and(|text| text.contains("413")));
}

#[tokio::test]
async fn a_close_sends_what_is_queued_first() {
    for transports in [POLLING, WEBSOCKET, BOTH] {
        let mut rig = Rig::start(1);
        let mut engine = connect(&config(rig.address(), transports)).await.expect("connects");
        for i in 0..50 {
            assert!(engine.send_text(Bytes::from(format!("quiet {i}"))));
        }
        engine.close().await;
        for i in 0..50 {
            assert_eq!(rig.received().await, Received::Text(format!("quiet {i}")));
        }
        assert_eq!(rig.closed().await, "transport close");
    }
}

#[tokio::test]
async fn the_servers_close_is_told_once() {
    for transports in [POLLING, WEBSOCKET] {
        let mut rig = Rig::start(1);
        let mut engine = connect(&config(rig.address(), transports)).await.expect("connects");
        rig.opened().await.close();
        assert_eq!(closed(&mut engine).await.0, CloseReason::TransportClose);
        // Pending from now on: a single poll shows it.
        let mut again = std::pin::pin!(engine.next());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(again.as_mut().poll(&mut cx).is_pending());
    }
}

#[tokio::test]
async fn the_buffer_is_bounded() {
    let rig = Rig::start(1);
    let mut config = config(rig.address(), WEBSOCKET);
    config.max_buffer = 1_000;
    let mut engine = connect(&config).await.expect("connects");
    assert!(engine.has_room(1, 936) && !engine.has_room(1, 937) && !engine.has_room(2, 873));
    assert!(engine.send_binary(vec![1; 500].into()));
    assert!(!engine.send_text(vec![b'a'; 500].into()), "no room");
    assert_eq!(message(&mut engine).await, [1; 500]);
    assert!(engine.is_writable() && engine.send_text(vec![b'a'; 500].into()));
    assert_eq!(message(&mut engine).await, [b'a'; 500]);
}
