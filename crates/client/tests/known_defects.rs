//! What the Rust client that most people know (rust_socketio 0.6) cannot do or does wrong, one test per row, each showing that
//! this one does it.
//!
//! | row | here |
//! | --- | --- |
//! | WebTransport, wasm | absent here too |
//! | TLS without the system's library, proxy, client certificates | tests of the engine |
//! | all others | a test named after the row |

#[path = "support/script.rs"]
mod script;
mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use script::{Peer, Script, Scripted};
use serde_json::json;
use support::{builder, next, quickly, serve, until};
use tokio::sync::mpsc;
use trunkline::Io;
use trunkline_client::{
    AckError, Args, Binary, Client, ConnectError, Data, DisconnectReason, EventName, Lifecycle, Reply,
    Socket, State, TransportKind, Value,
};
use trunkline_testkit::{TestServer, within};

type Lines = mpsc::UnboundedSender<String>;

async fn connected(client: &Client) -> Socket {
    let socket = client.of("/");
    within("the connection", socket.connected()).await.expect("connects");
    socket
}

/// A server that gives back all arguments, and asks back on request.
fn echo() -> (Io, TestServer) {
    let io = Io::builder().shards(1).build();
    io.of("/")
        .on("echo", async |Args(all): Args<Vec<Value>>| trunkline::Reply(Args(all)))
        .on("ask me", async |socket: trunkline::Socket, Args(all): Args<Vec<Value>>| {
            let answer = socket.emit_with_ack::<Value>("asked", Args(all)).await;
            trunkline::Reply(answer.map_err(|error| error.to_string()))
        })
        .on("say", async |socket: trunkline::Socket, Args(all): Args<Vec<Value>>| {
            socket.emit("said", Args(all))
        })
        .on("silent", async |ack: trunkline::Ack<u8>| std::mem::forget(ack));
    let server = serve(&io);
    (io, server)
}

fn scripted(server: &Scripted) -> trunkline_client::Builder {
    Client::builder(&server.url()).transports([TransportKind::WebSocket]).reconnection(quickly())
}

#[tokio::test]
async fn polling_payloads_are_whole_however_they_arrive() {
    let (io, server) = echo();
    // Large enough for many TCP segments: what comes in pieces is one payload nevertheless.
    let client = builder(&server).transports([TransportKind::Polling]).build().unwrap();
    let socket = connected(&client).await;
    let mut events = socket.events();
    for number in 0..20 {
        io.of("/").emit("part", Args((number, "x".repeat(50_000)))).unwrap();
    }
    for number in 0..20 {
        let event = within("an event", events.next()).await.unwrap();
        let Args((got, text)) = event.data::<Args<(u32, String)>>().unwrap();
        assert_eq!((got, text.len()), (number, 50_000));
    }
}

#[tokio::test]
async fn the_upgrade_happens_while_the_connection_is_in_use() {
    let (_io, server) = echo();
    let client =
        builder(&server).transports([TransportKind::Polling, TransportKind::WebSocket]).build().unwrap();
    let mut changes = client.lifecycle();
    let socket = connected(&client).await;
    for number in 0..300 {
        let echoed: u32 = within("an answer", socket.emit_with_ack("echo", number)).await.unwrap();
        assert_eq!(echoed, number);
    }
    assert_eq!(client.transport(), Some(TransportKind::WebSocket));
    assert_eq!(next(&mut changes).await, Lifecycle::Upgraded(TransportKind::WebSocket));
}

#[tokio::test]
async fn several_namespaces_on_one_connection() {
    let (io, server) = echo();
    io.of("/other").on("x", async || {});
    let client = builder(&server).build().unwrap();
    let other = client.of("/other");
    connected(&client).await;
    within("the connection", other.connected()).await.unwrap();
    assert_eq!(io.session_count(), 1);
}

#[tokio::test]
async fn the_server_gets_its_acknowledgement() {
    let (_io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    socket.on("asked", async |Data(number): Data<u32>| Reply(number + 1));
    let answer: serde_json::Value = within("an answer", socket.emit_with_ack("ask me", 1)).await.unwrap();
    assert_eq!(answer, json!({ "Ok": 2 }));
}

#[tokio::test]
async fn an_event_without_arguments_is_that_event() {
    let (lines, mut said) = mpsc::unbounded_channel::<String>();
    let (_io, server) = echo();
    let client = builder(&server).state::<Lines>(lines).build().unwrap();
    let socket = connected(&client).await;
    socket.on(
        "said",
        async |Args(args): Args<Vec<Value>>, EventName(name): EventName, State(lines): State<Lines>| {
            lines.send(format!("{name} {}", args.len())).unwrap();
        },
    );
    socket.emit("say", ()).unwrap();
    assert_eq!(within("the event", said.recv()).await.unwrap(), "said 0");
}

#[tokio::test]
async fn binary_mixed_with_json_and_several_attachments() {
    let (_io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = connected(&client).await;
    let mut events = socket.events();
    let bytes = |byte| Binary::from(vec![byte; 3]);
    socket.emit("say", Args((1, bytes(1), json!({ "a": [true] }), vec![bytes(2), bytes(3)]))).unwrap();
    let event = within("the event", events.next()).await.unwrap();
    assert_eq!(event.name(), "said");
    type All = (u32, Binary, serde_json::Value, Vec<Binary>);
    let Args((number, first, object, rest)) = event.data::<Args<All>>().unwrap();
    assert_eq!(
        (number, first, object, rest),
        (1, bytes(1), json!({ "a": [true] }), vec![bytes(2), bytes(3)])
    );
}

#[tokio::test]
async fn binary_emitted_with_an_acknowledgement_is_a_binary_event() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        assert_eq!(peer.text(), r#"451-0["bytes",{"_placeholder":true,"num":0}]"#);
        assert_eq!(peer.binary(), [7]);
        peer.send(r#"461-0[{"_placeholder":true,"num":0}]"#);
        peer.send_binary(&[8]);
        peer.closed();
    }) as Script]);
    let client = scripted(&server).build().unwrap();
    let socket = connected(&client).await;
    let answer: Binary =
        within("an answer", socket.emit_with_ack("bytes", Binary::from(vec![7]))).await.unwrap();
    assert_eq!(&*answer, [8]);
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn ack_ids_never_collide() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        let mut ids = HashSet::new();
        for _ in 0..2_000 {
            let text = peer.text();
            let id = text.strip_prefix("42").unwrap().split('[').next().unwrap().to_owned();
            assert!(ids.insert(id), "{text}");
        }
        peer.closed();
    }) as Script]);
    let client = scripted(&server).build().unwrap();
    let socket = connected(&client).await;
    let waits: Vec<_> = (0..2_000).map(|number| socket.emit_with_ack::<u32>("x", number)).collect();
    client.close().await;
    for wait in waits {
        assert_eq!(wait.await, Err(AckError::Disconnected));
    }
    server.finish();
}

#[tokio::test]
async fn an_acknowledgement_that_never_comes_ends_in_a_timeout() {
    let (_io, server) = echo();
    let client = builder(&server).ack_timeout(Duration::from_millis(30)).build().unwrap();
    let socket = connected(&client).await;
    assert_eq!(within("the timeout", socket.emit_with_ack::<u8>("silent", ())).await, Err(AckError::Timeout));
}

/// Two connections: the first is lost.
fn lost_and_found() -> Scripted {
    Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"first"}"#);
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"second"}"#);
            peer.closed();
        }),
    ])
}

#[tokio::test]
async fn reconnection_tells_its_attempts() {
    let server = lost_and_found();
    let client = scripted(&server).build().unwrap();
    let mut changes = client.lifecycle();
    let socket = client.of("/");
    let planned = next(&mut changes).await;
    let Lifecycle::ReconnectIn { attempt: 1, delay } = planned else { panic!("{planned:?}") };
    assert!(delay <= Duration::from_millis(10), "{delay:?}");
    assert_eq!(next(&mut changes).await, Lifecycle::ReconnectAttempt(1));
    assert_eq!(next(&mut changes).await, Lifecycle::Reconnect(1));
    within("the return", socket.connected()).await.unwrap();
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn what_is_emitted_offline_is_sent_later() {
    let (_io, server) = echo();
    let client = builder(&server).auto_connect(false).build().unwrap();
    let socket = client.of("/");
    let answer = socket.emit_with_ack::<u32>("echo", 5);
    socket.connect();
    assert_eq!(within("an answer", answer).await, Ok(5));
}

#[tokio::test]
async fn retries_send_again_what_was_not_acknowledged() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"a"}"#);
            assert_eq!(peer.text(), r#"420["n",1]"#);
            // Each try has an id of its own; 1 belongs to the event that waits.
            assert_eq!(peer.text(), r#"422["n",1]"#);
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"b"}"#);
            assert_eq!(peer.text(), r#"423["n",1]"#);
            peer.send("433[]");
            assert_eq!(peer.text(), r#"421["n",2]"#);
            peer.send("431[]");
            peer.closed();
        }),
    ]);
    let client = scripted(&server).retries(10).ack_timeout(Duration::from_millis(50)).build().unwrap();
    let socket = client.of("/");
    let answers =
        [1, 2].map(|number| socket.timeout(Duration::from_millis(50)).emit_with_ack::<()>("n", number));
    for answer in answers {
        assert_eq!(within("an answer", answer).await, Ok(()));
    }
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn a_session_is_recovered() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"a","pid":"p"}"#);
            peer.send(r#"42["x","1"]"#);
        }) as Script,
        Box::new(|peer: &mut Peer| {
            assert_eq!(peer.admit(r#"{"sid":"a","pid":"p"}"#), r#"40{"offset":"1","pid":"p"}"#);
            peer.closed();
        }),
    ]);
    let client = scripted(&server).build().unwrap();
    let socket = client.socket("/").build();
    let mut changes = socket.lifecycle();
    socket.connect();
    until(&mut changes, |change| *change == Lifecycle::Connect { recovered: false }).await;
    until(&mut changes, |change| *change == Lifecycle::Connect { recovered: true }).await;
    assert!(socket.is_recovered());
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn auth_is_fresh_on_each_connection() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| assert_eq!(peer.admit(r#"{"sid":"a"}"#), r#"40{"token":0}"#)) as Script,
        Box::new(|peer: &mut Peer| {
            assert_eq!(peer.admit(r#"{"sid":"b"}"#), r#"40{"token":1}"#);
            peer.closed();
        }),
    ]);
    let token = Arc::new(AtomicU32::new(0));
    let client = scripted(&server)
        .auth_with(move || {
            let token = token.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, String>(json!({ "token": token })) }
        })
        .build()
        .unwrap();
    let mut changes = client.of("/").lifecycle();
    until(&mut changes, |change| matches!(change, Lifecycle::Reconnect(_))).await;
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn a_connect_error_has_its_data() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.open();
        peer.text();
        peer.send(r#"44{"message":"no","data":{"code":7}}"#);
        peer.closed();
    }) as Script]);
    let client = scripted(&server).build().unwrap();
    let error = within("the error", client.of("/").connected()).await.unwrap_err();
    assert_eq!(error, ConnectError::Refused { message: "no".into(), data: Some(json!({ "code": 7 })) });
    server.finish();
}

#[tokio::test]
async fn the_sockets_id_is_known() {
    let (io, server) = echo();
    let client = builder(&server).build().unwrap();
    let socket = client.of("/");
    assert_eq!(socket.id(), None);
    within("the connection", socket.connected()).await.unwrap();
    let ids: Vec<String> =
        io.of("/").sockets().iter().map(|socket| socket.id().as_str().to_owned()).collect();
    assert_eq!(Some(&ids[0]), socket.id().as_ref());
}

#[tokio::test]
async fn handlers_come_and_go_while_connected() {
    let (lines, mut said) = mpsc::unbounded_channel::<String>();
    let (_io, server) = echo();
    let client = builder(&server).state::<Lines>(lines).build().unwrap();
    let socket = connected(&client).await;
    socket.once("said", async |State(lines): State<Lines>| lines.send("once".into()).unwrap());
    socket.on_any(async |State(lines): State<Lines>| lines.send("any".into()).unwrap());
    for _ in 0..2 {
        socket.emit("say", 1).unwrap();
    }
    for expected in ["any", "once", "any"] {
        assert_eq!(within("a call", said.recv()).await.unwrap(), expected);
    }
    socket.off_any();
    socket.emit("say", 1).unwrap();
    within("an answer", socket.emit_with_ack::<Value>("echo", 1)).await.unwrap();
    assert!(said.try_recv().is_err());
}

#[tokio::test]
async fn disconnects_have_the_references_reasons() {
    let server = lost_and_found();
    let client = scripted(&server).build().unwrap();
    let socket = client.of("/");
    let mut changes = socket.lifecycle();
    let lost = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    assert!(
        matches!(lost, Lifecycle::Disconnect { reason: DisconnectReason::TransportClose, .. }),
        "{lost:?}"
    );
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    socket.disconnect();
    let left = Lifecycle::Disconnect { reason: DisconnectReason::IoClientDisconnect, description: None };
    assert_eq!(next(&mut changes).await, left);
    server.finish();
}

#[tokio::test]
async fn query_and_headers_reach_the_server() {
    let (io, server) = echo();
    let client = builder(&server).query("tenant", "a b").header("x-key", "secret").build().unwrap();
    connected(&client).await;
    let sockets = io.of("/").sockets();
    let handshake = sockets[0].handshake();
    assert_eq!(handshake.header("x-key"), Some("secret"));
    assert_eq!(handshake.query_param("tenant").as_deref(), Some("a b"));
}

#[tokio::test]
async fn msgpack_is_spoken() {
    let io = Io::builder().shards(1).msgpack().build();
    io.of("/").on("echo", async |Args(all): Args<Vec<Value>>| trunkline::Reply(Args(all)));
    let server = serve(&io);
    let client = builder(&server).msgpack().build().unwrap();
    let socket = connected(&client).await;
    let Args((number, bytes)) = within(
        "an answer",
        socket.emit_with_ack::<Args<(i32, Binary)>>("echo", Args((-1, Binary::from(vec![1])))),
    )
    .await
    .unwrap();
    assert_eq!((number, &*bytes), (-1, &[1][..]));
}
