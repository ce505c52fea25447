//! Servers that break rules, or fall silent: each ends in a typed reason, never in a panic or a hang, and the client comes back.

#[path = "support/script.rs"]
mod script;
mod support;

use script::{Peer, Script, Scripted};
use support::{next, quickly, until};
use trunkline_client::{
    Args, Builder, Client, ConnectError, Data, DisconnectReason, Lifecycle, Reconnection, Reply, Socket,
    State, TransportKind, Value,
};
use trunkline_testkit::within;

fn builder(server: &Scripted) -> Builder {
    Client::builder(&server.url()).transports([TransportKind::WebSocket]).reconnection(quickly())
}

/// Runs one broken script and then a good one; gives why the client was disconnected in between.
async fn survives(broken: impl FnOnce(&mut Peer) + Send + 'static) -> (DisconnectReason, Option<String>) {
    let server = Scripted::start([
        Box::new(move |peer: &mut Peer| {
            peer.admit(r#"{"sid":"a"}"#);
            broken(peer);
            peer.closed();
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"b"}"#);
            peer.closed();
        }),
    ]);
    let client = builder(&server).build().unwrap();
    let socket = client.socket("/").build();
    let mut changes = socket.lifecycle();
    socket.connect();
    assert_eq!(next(&mut changes).await, Lifecycle::Connect { recovered: false });
    let Lifecycle::Disconnect { reason, description } = next(&mut changes).await else {
        panic!("no disconnect")
    };
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    assert_eq!(socket.id().as_deref(), Some("b"));
    client.close().await;
    server.finish();
    (reason, description.map(|text| text.to_string()))
}

#[tokio::test]
async fn packets_that_are_none_are_parse_errors() {
    let deep = format!("42[\"x\",{}{}]", "[".repeat(500), "]".repeat(500));
    let broken = [
        "4",
        "49",
        "42",
        "42[",
        "42{}",
        "42[]",
        "42[null]",
        r#"42["connect"]"#,
        "43[1]",
        "451-",
        "459999999999-[\"x\"]",
        r#"451-["x",{"_placeholder":true,"num":7}]"#,
        "4299999999999999999999[\"x\"]",
        "44[]",
        &deep,
    ];
    for text in broken {
        let owned = text.to_owned();
        let (reason, description) = survives(move |peer| peer.send(&owned)).await;
        assert_eq!(reason, DisconnectReason::ParseError, "{text}: {description:?}");
    }
    let (reason, _) = survives(|peer| peer.send_binary(b"out of the blue")).await;
    assert_eq!(reason, DisconnectReason::ParseError);
}

#[tokio::test]
async fn a_server_that_closes_is_a_transport_close() {
    for goodbye in [true, false] {
        let server = Scripted::start([
            Box::new(move |peer: &mut Peer| {
                peer.admit(r#"{"sid":"a"}"#);
                if goodbye {
                    peer.send("1");
                }
            }) as Script,
            Box::new(|peer: &mut Peer| {
                peer.admit(r#"{"sid":"b"}"#);
                peer.closed();
            }),
        ]);
        let client = builder(&server).build().unwrap();
        let mut changes = client.of("/").lifecycle();
        let lost = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
        let Lifecycle::Disconnect { reason, .. } = lost else { unreachable!() };
        assert_eq!(reason, DisconnectReason::TransportClose);
        until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
        client.close().await;
        server.finish();
    }
}

#[tokio::test]
async fn silence_is_found_within_interval_and_timeout() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.open_with(50, 50);
            peer.text();
            peer.send(r#"40{"sid":"a"}"#);
            peer.closed();
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"b"}"#);
            peer.closed();
        }),
    ]);
    let client = builder(&server).build().unwrap();
    let socket = client.of("/");
    let mut changes = socket.lifecycle();
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    let begun = std::time::Instant::now();
    let lost = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    assert!(matches!(lost, Lifecycle::Disconnect { reason: DisconnectReason::PingTimeout, .. }), "{lost:?}");
    assert!(begun.elapsed().as_secs() < 10);
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn an_old_server_is_told_apart() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit("");
        peer.closed();
    }) as Script]);
    let client = builder(&server).build().unwrap();
    assert_eq!(within("the error", client.of("/").connected()).await, Err(ConnectError::OldServer));
    server.finish();
}

#[tokio::test]
async fn a_namespace_that_is_never_answered_is_given_up() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.open();
        assert_eq!(peer.text(), "40");
        // To leave what was not entered would be a violation; the connection, which nobody needs now, says it all.
        peer.closed_without_a_word();
    }) as Script]);
    let timeout = std::time::Duration::from_millis(300);
    let client = builder(&server).connect_timeout(timeout).build().unwrap();
    assert_eq!(within("the error", client.of("/").connected()).await, Err(ConnectError::Timeout));
    server.finish();
}

/// Answers are bounded by what is read, so a server that asks and does not listen fills the last bound.
#[tokio::test]
async fn a_connection_that_is_given_up_for_its_answers_has_no_transport() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let server = Scripted::start([Box::new(move |peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        for id in 0..64 {
            peer.send(&format!(r#"42{id}["more"]"#));
        }
        assert!(ended.recv().is_err(), "nothing is sent here");
    }) as Script]);
    let client = builder(&server).reconnection(Reconnection::none()).build().unwrap();
    let socket = client.socket("/").build();
    let mut changes = socket.lifecycle();
    let answer = "x".repeat(1 << 20);
    socket.on("more", move || {
        let answer = answer.clone();
        async move { Reply(answer) }
    });
    socket.connect();
    let change = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    let Lifecycle::Disconnect { reason, description } = change else { unreachable!() };
    assert_eq!(reason, DisconnectReason::TransportError);
    assert_eq!(description.as_deref(), Some("more to send than may be held"));
    assert_eq!((client.is_open(), client.transport()), (false, None));
    assert!(!client.close().await, "something was not sent");
    drop(end);
    server.finish();
}

#[tokio::test]
async fn recovery_sends_pid_and_offset_and_hands_out_what_was_missed() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            assert_eq!(peer.admit(r#"{"sid":"a","pid":"p"}"#), r#"40{"token":1}"#);
            peer.send(r#"42["n",1,"offset 1"]"#);
            // With an id the last argument is no offset.
            peer.send(r#"420["n",2,"no offset"]"#);
            assert_eq!(peer.text(), "430[]");
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.open();
            assert_eq!(peer.text(), r#"40{"offset":"offset 1","pid":"p","token":1}"#);
            peer.send(r#"42["n",3,"offset 3"]"#);
            peer.send(r#"40{"sid":"a","pid":"p"}"#);
            peer.send(r#"42["n",4,"offset 4"]"#);
            assert_eq!(peer.text(), r#"42["done"]"#);
        }),
        Box::new(|peer: &mut Peer| {
            peer.open();
            assert_eq!(peer.text(), r#"40{"offset":"offset 4","pid":"p","token":1}"#);
            // Too late: a new session.
            peer.send(r#"40{"sid":"b","pid":"q"}"#);
            peer.closed();
        }),
    ]);
    let (sender, mut numbers) = tokio::sync::mpsc::unbounded_channel::<u32>();
    let client = builder(&server).auth(serde_json::json!({ "token": 1 })).state(sender).build().unwrap();
    let socket = client.socket("/").build();
    socket.on(
        "n",
        async |socket: Socket,
               Data(number): Data<u32>,
               State(sender): State<tokio::sync::mpsc::UnboundedSender<u32>>| {
            sender.send(number).unwrap();
            if number == 4 {
                socket.emit("done", ()).unwrap();
            }
        },
    );
    let mut changes = socket.lifecycle();
    socket.connect();
    for recovered in [false, true, false] {
        let change = until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
        assert_eq!(change, Lifecycle::Connect { recovered });
    }
    assert!(!socket.is_recovered());
    for expected in 1..=4 {
        assert_eq!(within("an event", numbers.recv()).await, Some(expected));
    }
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn answers_nobody_asked_for_and_foreign_namespaces_are_ignored() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        peer.send("4399[1]");
        peer.send(r#"42/elsewhere,["x"]"#);
        peer.send("41/elsewhere,");
        peer.send(r#"40{"sid":"again"}"#);
        peer.send(r#"44{"message":"late"}"#);
        assert_eq!(peer.text(), r#"420["ask",1]"#);
        // An answer with the wrong type, then one nobody waits for any more.
        peer.send(r#"430["text"]"#);
        peer.send(r#"430[1]"#);
        assert_eq!(peer.text(), r#"42["still","here"]"#);
        peer.closed();
    }) as Script]);
    let client = builder(&server).build().unwrap();
    let socket = client.of("/");
    within("the connection", socket.connected()).await.unwrap();
    let wrong = within("the answer", socket.emit_with_ack::<u32>("ask", 1)).await;
    assert!(matches!(wrong, Err(trunkline_client::AckError::Decode(_))), "{wrong:?}");
    socket.emit("still", "here").unwrap();
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn a_flood_before_connect_ends_the_connection() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.open();
            peer.text();
            for _ in 0..=8 {
                peer.send(r#"42["x"]"#);
            }
            peer.closed();
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"b"}"#);
            peer.closed();
        }),
    ]);
    let client = builder(&server).max_pending_events(8).build().unwrap();
    let mut changes = client.of("/").lifecycle();
    let lost = until(&mut changes, |change| matches!(change, Lifecycle::ConnectError(_))).await;
    assert_eq!(lost, Lifecycle::ConnectError(ConnectError::Lost(DisconnectReason::InboundOverflow)));
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn the_wire_is_that_of_the_reference() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        assert_eq!(peer.text(), r#"42["none"]"#);
        assert_eq!(peer.text(), r#"42["two",1,"x"]"#);
        assert_eq!(peer.text(), r#"451-["bytes",{"_placeholder":true,"num":0}]"#);
        assert_eq!(peer.binary(), [1, 2]);
        assert_eq!(peer.text(), r#"420["asked"]"#);
        assert_eq!(peer.text(), r#"421["again",null]"#);
        peer.send(r#"452-7["both",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#);
        peer.send_binary(b"a");
        peer.send_binary(b"b");
        assert_eq!(peer.text(), r#"462-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
        assert_eq!((peer.binary(), peer.binary()), (b"b".to_vec(), b"a".to_vec()));
        peer.send(r#"42["bye"]"#);
        assert_eq!(peer.text(), "41");
        peer.closed();
    }) as Script]);
    let client = builder(&server).build().unwrap();
    let socket = client.of("/");
    socket.on("both", async |Args((first, second)): Args<(Value, Value)>| Reply(Args((first, second))));
    within("the connection", socket.connected()).await.unwrap();
    socket.emit("none", ()).unwrap();
    socket.emit("two", Args((1, "x"))).unwrap();
    socket.emit("bytes", trunkline_client::Binary::from(vec![1, 2])).unwrap();
    let mut events = socket.events();
    drop(socket.emit_with_ack::<()>("asked", ()));
    drop(socket.emit_with_ack::<()>("again", None::<u8>));
    for name in ["both", "bye"] {
        assert_eq!(within("an event", events.next()).await.unwrap().name(), name);
    }
    client.close().await;
    server.finish();
}
