//! Upgrades that fail leave polling as it was; which transport comes first.

use std::time::Duration;

use super::raw::{RawServer, Reply, answer, open, switch, text};
use super::support::{BOTH, POLLING, WEBSOCKET, config, connect, echoes, message, next, upgraded};
use crate::engine::{ConnectError, CookieJar, Engine, EngineEvent, TransportKind};
use trunkline_testkit::{Rig, within};

/// A polling server that answers an upgrade with `on_upgrade` and each later GET with the same message.
async fn polling_server(on_upgrade: impl Fn(&str) -> Reply + Send + Sync + 'static) -> RawServer {
    RawServer::start(move |head| {
        if head.contains("transport=websocket") {
            on_upgrade(head)
        } else if head.starts_with("POST") {
            Reply::Bytes(answer("200 OK", "", "ok"))
        } else if head.contains("sid=") {
            Reply::Bytes(answer("200 OK", "", "4tick"))
        } else {
            Reply::Bytes(answer("200 OK", "", &open("\"websocket\"", 25_000, 20_000)))
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_upgrade_leaves_polling_as_it_was() {
    type Row = (fn(&str) -> Reply, fn(&ConnectError) -> bool);
    let rows: [Row; 4] = [
        (
            |_| Reply::Bytes(answer("400 Bad Request", "", r#"{"code":3,"message":"Bad request"}"#)),
            |error| matches!(error, ConnectError::Handshake { status: 400, code: Some(3), .. }),
        ),
        (|_| Reply::Close(Vec::new()), |error| matches!(error, ConnectError::Http { .. })),
        (
            |head| Reply::Hold(switch(head, "", &text("3wrong"))),
            |error| matches!(error, ConnectError::NotSocketIo { .. }),
        ),
        (|head| Reply::Close(switch(head, "", &[])), |error| matches!(error, ConnectError::Transport(_))),
    ];
    for (index, (on_upgrade, is_expected)) in rows.into_iter().enumerate() {
        let server = polling_server(on_upgrade).await;
        let mut engine = connect(&config(server.address, BOTH)).await.expect("connects");
        let error = loop {
            match next(&mut engine).await {
                EngineEvent::UpgradeFailed(error) => break error,
                EngineEvent::Text(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(is_expected(&error), "row {index}: {error:?}");
        assert_eq!(
            (message(&mut engine).await, engine.transport()),
            (b"tick".to_vec(), TransportKind::Polling)
        );
    }
}

#[tokio::test]
async fn polling_goes_on_over_new_connections() {
    for close in ["Connection: close\r\n", ""] {
        let mut server = RawServer::start(move |head| {
            let body = match (head.starts_with("POST"), head.contains("sid=")) {
                (true, _) => "ok".to_owned(),
                (false, true) => "4tick".to_owned(),
                (false, false) => open("", 25_000, 20_000),
            };
            Reply::Close(answer("200 OK", close, &body))
        })
        .await;
        let mut engine = connect(&config(server.address, POLLING)).await.expect("connects");
        for _ in 0..5 {
            assert!(engine.send_text("tock".into()));
            assert_eq!(message(&mut engine).await, b"tick");
        }
        for _ in 0..6 {
            server.head().await;
        }
    }
}

#[tokio::test]
async fn no_upgrade_unless_both_sides_want_it() {
    let rig = Rig::start(1);
    for (transports, upgrade) in [(BOTH, false), (POLLING, true)] {
        let mut config = config(rig.address(), transports);
        config.upgrade = upgrade;
        let mut engine = connect(&config).await.expect("connects");
        echoes(&mut engine).await;
        assert_eq!(engine.transport(), TransportKind::Polling);
        engine.close().await;
    }
}

#[tokio::test]
async fn another_transport_is_tried_only_when_asked_for() {
    let server = polling_server(|_| Reply::Bytes(answer("400 Bad Request", "", ""))).await;
    let mut config = config(server.address, &[TransportKind::WebSocket, TransportKind::Polling]);
    let error = connect(&config).await.err().expect("no WebSocket");
    assert!(matches!(error, ConnectError::Handshake { status: 400, .. }), "{error:?}");
    config.try_all_transports = true;
    let engine = connect(&config).await.expect("polling works");
    assert_eq!(engine.transport(), TransportKind::Polling);
    config.transports.clear();
    assert!(matches!(connect(&config).await, Err(ConnectError::NoTransport)));
}

#[tokio::test]
async fn a_websocket_that_worked_comes_first_when_remembered() {
    let rig = Rig::start(1);
    let mut config = config(rig.address(), BOTH);
    config.remember_upgrade = true;
    let mut engine = connect(&config).await.expect("connects");
    assert_eq!(engine.transport(), TransportKind::Polling);
    upgraded(&mut engine).await;
    engine.close().await;
    let engine = connect(&config).await.expect("connects");
    assert_eq!(engine.transport(), TransportKind::WebSocket);
    engine.close().await;
}

#[tokio::test]
async fn connecting_has_a_deadline() {
    let server = RawServer::start(|_| Reply::Hold(Vec::new())).await;
    for transports in [POLLING, WEBSOCKET] {
        let mut config = config(server.address, transports);
        config.connect_timeout = Duration::from_millis(50);
        assert!(matches!(connect(&config).await, Err(ConnectError::Timeout { .. })));
    }
}

#[tokio::test]
async fn a_post_has_a_deadline() {
    let server = RawServer::start(|head| {
        if head.contains("sid=") {
            Reply::Hold(Vec::new())
        } else {
            Reply::Bytes(answer("200 OK", "", &open("", 25_000, 20_000)))
        }
    })
    .await;
    let mut config = config(server.address, POLLING);
    config.request_timeout = Duration::from_millis(50);
    let mut engine = connect(&config).await.expect("connects");
    assert!(engine.send_text("hello".into()));
    let (reason, description) = super::support::closed(&mut engine).await;
    assert_eq!(reason.as_str(), "transport error");
    assert!(description.is_some_and(|text| text.contains("took too long")));
}

#[tokio::test]
async fn nothing_listens_there() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("a bound listener")
    };
    for transports in [POLLING, WEBSOCKET] {
        let result = connect(&config(address, transports)).await;
        assert!(matches!(result, Err(ConnectError::Connect { address: at, .. }) if at == address));
    }
}

/// The owner may be any task of any runtime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_can_be_sent_to_another_thread() {
    let rig = Rig::start(1);
    let config = config(rig.address(), BOTH);
    let task = tokio::spawn(async move {
        let mut engine = Engine::connect(&config, &mut CookieJar::default()).await.expect("connects");
        echoes(&mut engine).await;
        engine.close().await;
    });
    within("the task", task).await.expect("no panic");
}
