//! Long-polling.

use trunkline_testkit::{Polling, Received, Rig, eventually};

use crate::THREADS;

#[tokio::test]
async fn messages_come_back_in_order() {
    for threads in THREADS {
        let rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        for round in 0..20 {
            client.send(format!("4a{round}\u{1e}4b{round}")).await;
            assert_eq!(client.receive().await, format!("4a{round}\u{1e}4b{round}"));
        }
        client.send("4").await;
        assert_eq!(client.receive().await, "4", "an empty message is a message");
    }
}

#[tokio::test]
async fn the_handshake_tells_what_the_client_must_know() {
    let rig = Rig::with(1, |b| {
        b.ping_interval(crate::millis(300)).ping_timeout(crate::millis(200)).max_payload(1_000_000)
    });
    let client = Polling::open(rig.address()).await;
    assert_eq!(client.sid.len(), 20);
    let expected = format!(
        r#"0{{"sid":"{}","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}}"#,
        client.sid
    );
    assert_eq!(client.handshake, expected);
}

#[tokio::test]
async fn binary_messages_travel_as_base64() {
    let mut rig = Rig::start(1);
    let mut client = Polling::open(rig.address()).await;
    client.send("bAQIDBA==\u{1e}4text").await;
    assert_eq!(rig.received().await, Received::Binary(vec![1, 2, 3, 4]));
    assert_eq!(client.receive().await, "bAQIDBA==\u{1e}4text");
}

#[tokio::test]
async fn a_get_that_waits_is_answered_by_the_next_message() {
    for threads in THREADS {
        let mut rig = Rig::start(threads);
        let mut client = Polling::open(rig.address()).await;
        let session = rig.opened().await;
        for text in ["one", "two", "three"] {
            client.start_get().await;
            eventually("the GET waits", || session.is_writable()).await;
            session.send(text).expect("room");
            assert_eq!(client.getter.response().await.text(), format!("4{text}"));
        }
    }
}

#[tokio::test]
async fn what_comes_between_two_gets_goes_with_the_next_one() {
    let mut rig = Rig::start(1);
    let mut client = Polling::open(rig.address()).await;
    let session = rig.opened().await;
    for n in 0..5 {
        session.send(&n.to_string()).expect("room");
    }
    session.send_binary(&[255]).expect("room");
    assert_eq!(client.receive().await, "40\u{1e}41\u{1e}42\u{1e}43\u{1e}44\u{1e}b/w==");
}

#[tokio::test]
async fn many_clients_do_not_disturb_each_other() {
    for threads in THREADS {
        let rig = Rig::start(threads);
        let mut clients = Vec::new();
        for _ in 0..30 {
            clients.push(Polling::open(rig.address()).await);
        }
        assert_eq!(rig.engine.session_count(), 30);
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(format!("4{n}")).await;
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.receive().await, format!("4{n}"));
        }
    }
}
