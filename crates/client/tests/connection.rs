//! The life of a connection: namespaces, refusals, auth, loss, return, and end.

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::json;
use support::{builder, next, quickly, serve, until};
use tokio::sync::{mpsc, oneshot};
use trunkline::{Admission, Auth, Io, Refusal};
use trunkline_client::{
    Client, ConnectError, DisconnectReason, EmitError, Lifecycle, OfflineBuffer, Reconnection, Socket, State,
    TransportKind,
};
use trunkline_testkit::{TestServer, eventually, within};

/// Events that a server has received, in order.
type Received = mpsc::UnboundedSender<(String, u32)>;

/// A server that notes the events `n` of every namespace.
fn noting() -> (Io, mpsc::UnboundedReceiver<(String, u32)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let io = Io::builder().shards(1).state::<Received>(sender).build();
    for name in ["/", "/a", "/b"] {
        io.of(name).on(
            "n",
            async |socket: trunkline::Socket,
                   trunkline::Data(number): trunkline::Data<u32>,
                   trunkline::State(received): trunkline::State<Received>| {
                received.send((socket.namespace().name().to_owned(), number)).unwrap();
            },
        );
    }
    (io, receiver)
}

/// Serves at an address that was used before.
fn serve_again(io: &Io, address: std::net::SocketAddr) -> TestServer {
    let listener = TcpListener::bind(address).expect("the port is free again");
    let service = io.service();
    let mut server = TestServer::spawn(|_, end| {
        move || trunkline::serve(listener, service).threads(1).with_shutdown(end).run().expect("serves")
    });
    server.address = address;
    server
}

#[tokio::test]
async fn several_namespaces_share_a_connection() {
    let (io, mut received) = noting();
    let server = serve(&io);
    let client = builder(&server).build().unwrap();
    let sockets = ["/", "/a", "b"].map(|name| client.of(name));
    for socket in &sockets {
        within("the connection", socket.connected()).await.unwrap();
    }
    assert_eq!(io.session_count(), 1);
    assert_eq!(sockets[2].namespace(), "/b");
    let ids: std::collections::HashSet<_> = sockets.iter().map(Socket::id).collect();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    for (number, socket) in sockets.iter().enumerate() {
        socket.emit("n", number).unwrap();
        let (name, got) = within("an event", received.recv()).await.unwrap();
        assert_eq!((&*name, got as usize), (socket.namespace(), number));
    }
    // One leaves, the others stay; the last one takes the connection with it.
    let mut changes = sockets[0].lifecycle();
    sockets[0].disconnect();
    let left = Lifecycle::Disconnect { reason: DisconnectReason::IoClientDisconnect, description: None };
    assert_eq!(next(&mut changes).await, left);
    assert!(!sockets[0].is_active() && sockets[1].is_connected() && client.is_open());
    sockets[1].disconnect();
    sockets[2].disconnect();
    assert!(!client.is_open());
    eventually("the server's view", || io.session_count() == 0).await;
    sockets[1].connect();
    within("the connection", sockets[1].connected()).await.unwrap();
}

#[tokio::test]
async fn a_refusal_tells_message_and_data_and_is_final() {
    let io = Io::builder().shards(1).build();
    io.of("/closed").check(async |_: Admission| -> Result<(), Refusal> {
        Err(Refusal::new("not today").data(json!({ "retry": 7 })))
    });
    io.of("/open").on("x", async || {});
    let server = serve(&io);
    let client = builder(&server).build().unwrap();
    let open = client.of("/open");
    within("the connection", open.connected()).await.unwrap();
    let closed = client.of("/closed");
    let refused = within("the refusal", closed.connected()).await.unwrap_err();
    assert_eq!(
        refused,
        ConnectError::Refused { message: "not today".into(), data: Some(json!({ "retry": 7 })) }
    );
    assert!(!closed.is_active() && open.is_connected());
    let unknown = within("the refusal", client.of("/unknown").connected()).await.unwrap_err();
    assert_eq!(unknown, ConnectError::Refused { message: "Invalid namespace".into(), data: None });
}

/// To leave what is not entered yet ends the whole connection at the reference's server as at ours.
#[tokio::test]
async fn a_namespace_may_be_left_while_it_is_being_entered() {
    let (io, mut received) = noting();
    let (asks, mut asked) = mpsc::unbounded_channel();
    io.of("/slow").check(move |_: Admission| {
        let (go_on, may_go_on) = oneshot::channel::<()>();
        asks.send(go_on).unwrap();
        async move { may_go_on.await.map_err(|_| Refusal::new("the test is over")) }
    });
    let server = serve(&io);
    let client = builder(&server).build().unwrap();
    let other = client.of("/a");
    within("the connection", other.connected()).await.unwrap();
    let id = other.id();
    let slow = client.of("/slow");
    let first = within("the first check", asked.recv()).await.unwrap();
    slow.disconnect();
    slow.connect();
    // What was sent until now has arrived.
    other.emit("n", 1).unwrap();
    within("the event", received.recv()).await.unwrap();
    first.send(()).unwrap();
    let second = within("the second check", asked.recv()).await.unwrap();
    second.send(()).unwrap();
    within("the connection", slow.connected()).await.unwrap();
    let count = || io.of("/slow").sockets().len();
    eventually("one socket", || count() == 1).await;
    slow.disconnect();
    slow.connect();
    let third = within("the third check", asked.recv()).await.unwrap();
    slow.disconnect();
    other.emit("n", 2).unwrap();
    within("the event", received.recv()).await.unwrap();
    third.send(()).unwrap();
    eventually("no socket", || count() == 0).await;
    within("the connection", client.of("/b").connected()).await.unwrap();
    assert_eq!(other.id(), id, "all on one connection");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Token {
    token: usize,
}

#[tokio::test]
async fn auth_is_asked_again_on_every_attempt_and_per_namespace() {
    let (sender, mut seen) = mpsc::unbounded_channel::<usize>();
    let io = Io::builder().shards(1).state(sender).build();
    for name in ["/", "/a"] {
        io.of(name)
            .on_connect(
                async |Auth(token): Auth<Token>,
                       trunkline::State(seen): trunkline::State<mpsc::UnboundedSender<usize>>| {
                    seen.send(token.token).unwrap();
                },
            )
            .on("drop me", async |socket: trunkline::Socket| socket.disconnect(true));
    }
    let server = serve(&io);
    let count = Arc::new(AtomicUsize::new(0));
    let client = builder(&server)
        .auth_with(move || {
            let token = count.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, std::convert::Infallible>(Token { token }) }
        })
        .build()
        .unwrap();
    let socket = client.of("/");
    assert_eq!(within("a token", seen.recv()).await, Some(0));
    socket.disconnect();
    socket.connect();
    assert_eq!(within("a token", seen.recv()).await, Some(1));
    let other = client.socket("/a").auth(json!({ "token": 100 })).unwrap().connect();
    assert_eq!(within("a token", seen.recv()).await, Some(100));
    other.set_auth(Token { token: 101 }).unwrap();
    other.disconnect();
    other.connect();
    assert_eq!(within("a token", seen.recv()).await, Some(101));
    assert!(other.set_auth(5).is_err());
}

#[tokio::test]
async fn an_auth_function_that_fails_or_panics_is_a_connect_error() {
    let server = serve(&Io::new());
    let client = builder(&server).build().unwrap();
    let failing = client.socket("/a").auth_with(async || Err::<Token, _>("no token")).connect();
    assert_eq!(within("the error", failing.connected()).await, Err(ConnectError::Auth("no token".into())));
    let panicking =
        client.socket("/b").auth_with(async || -> Result<Token, String> { panic!("on purpose") }).connect();
    let error = within("the error", panicking.connected()).await.unwrap_err();
    assert_eq!(error, ConnectError::Auth("the auth function panicked".into()));
    let wrong = client.socket("/c").auth_with(async || Ok::<_, String>(5)).connect();
    assert!(matches!(within("the error", wrong.connected()).await, Err(ConnectError::Auth(_))));
}

#[tokio::test]
async fn a_restarted_server_gets_what_was_kept_once_and_in_order() {
    let (io, mut received) = noting();
    let mut server = serve(&io);
    let client = builder(&server).build().unwrap();
    let (a, b) = (client.of("/a"), client.of("/b"));
    for socket in [&a, &b] {
        within("the connection", socket.connected()).await.unwrap();
    }
    let mut changes = a.lifecycle();
    let address = server.address;
    server.stop();
    let lost = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    let Lifecycle::Disconnect { reason, .. } = lost else { unreachable!() };
    assert!(reason.reconnects(), "{reason}");
    for number in 0..100 {
        a.emit("n", number).unwrap();
        b.emit("n", number).unwrap();
    }
    let error = until(&mut changes, |change| matches!(change, Lifecycle::ReconnectError(_))).await;
    assert!(matches!(error, Lifecycle::ReconnectError(ConnectError::Transport(_))), "{error:?}");
    let _server = serve_again(&io, address);
    let back = until(&mut changes, |change| matches!(change, Lifecycle::Reconnect(_))).await;
    assert!(matches!(back, Lifecycle::Reconnect(1..)));
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { recovered: false })).await;
    a.emit("n", 100).unwrap();
    b.emit("n", 100).unwrap();
    let mut all = std::collections::HashMap::<String, Vec<u32>>::new();
    for _ in 0..202 {
        let (name, number) = within("an event", received.recv()).await.unwrap();
        all.entry(name).or_default().push(number);
    }
    let expected: Vec<u32> = (0..=100).collect();
    assert_eq!((&all["/a"], &all["/b"]), (&expected, &expected));
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn attempts_are_counted_and_end() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::builder(&format!("http://{unused}"))
        .reconnection(quickly().attempts(3))
        .auto_connect(false)
        .build()
        .unwrap();
    let socket = client.of("/");
    let mut changes = client.lifecycle();
    socket.connect();
    let error = within("the end of the attempts", socket.connected()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Transport(_)), "{error:?}");
    for number in 1..=3 {
        let planned = next(&mut changes).await;
        assert!(
            matches!(planned, Lifecycle::ReconnectIn { attempt, .. } if attempt == number),
            "{planned:?}"
        );
        assert_eq!(next(&mut changes).await, Lifecycle::ReconnectAttempt(number));
        if number == 3 {
            assert_eq!(next(&mut changes).await, Lifecycle::ReconnectFailed);
        }
        assert!(matches!(next(&mut changes).await, Lifecycle::ReconnectError(_)));
    }
    // Without reconnection the first failure is the last.
    let client =
        Client::builder(&format!("http://{unused}")).reconnection(Reconnection::none()).build().unwrap();
    assert!(matches!(within("a failure", client.connect()).await, Err(ConnectError::Transport(_))));
    let error = within("a failure", client.of("/").connected()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Transport(_)), "{error:?}");
}

#[tokio::test]
async fn who_was_sent_away_stays_away_and_others_come_back() {
    let io = Io::builder().shards(1).build();
    io.of("/a").on("x", async || {});
    io.of("/b").on("x", async || {});
    let server = serve(&io);
    let client = builder(&server).build().unwrap();
    let (a, b) = (client.of("/a"), client.of("/b"));
    for socket in [&a, &b] {
        within("the connection", socket.connected()).await.unwrap();
    }
    let (mut a_changes, mut b_changes) = (a.lifecycle(), b.lifecycle());
    io.of("/a").disconnect_sockets(false);
    let away = Lifecycle::Disconnect { reason: DisconnectReason::IoServerDisconnect, description: None };
    assert_eq!(next(&mut a_changes).await, away);
    assert!(!a.is_active() && b.is_connected());
    // The server closes the whole connection: that is a loss for `/b`, which was not sent away itself.
    a.connect();
    within("the connection", a.connected()).await.unwrap();
    io.of("/a").disconnect_sockets(true);
    until(&mut b_changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    if b.is_active() {
        within("the return", b.connected()).await.unwrap();
    }
}

#[tokio::test]
async fn offline_policies() {
    let (io, mut received) = noting();
    let server = serve(&io);
    let client = builder(&server).auto_connect(false).max_offline_buffer(200).build().unwrap();
    let none = client.socket("/").offline_buffer(OfflineBuffer::None).build();
    assert_eq!(none.emit("n", 1), Err(EmitError::Closed));
    let last = client.socket("/a").offline_buffer(OfflineBuffer::Last(2)).build();
    let answer = last.emit_with_ack::<()>("n", 1);
    for number in 2..=4 {
        last.emit("n", number).unwrap();
    }
    assert_eq!(within("the drop", answer).await, Err(trunkline_client::AckError::Disconnected));
    let all = client.socket("/b").build();
    all.emit("n", 7).unwrap();
    assert_eq!(all.emit("n", "x".repeat(300)), Err(EmitError::Full));
    // A volatile event is for now or never.
    all.volatile().emit("n", 8).unwrap();
    last.connect();
    for expected in [3, 4] {
        assert_eq!(within("an event", received.recv()).await.unwrap(), ("/a".into(), expected));
    }
    all.connect();
    assert_eq!(within("an event", received.recv()).await.unwrap(), ("/b".into(), 7));
    within("the connection", all.connected()).await.unwrap();
    all.emit("n", 9).unwrap();
    assert_eq!(within("an event", received.recv()).await.unwrap(), ("/b".into(), 9));
}

#[tokio::test]
async fn the_last_handle_ends_the_connection_after_what_was_sent() {
    let (io, mut received) = noting();
    let server = serve(&io);
    let client = builder(&server).build().unwrap();
    let socket = client.of("/a");
    within("the connection", socket.connected()).await.unwrap();
    let mut changes = client.lifecycle();
    let clone = socket.clone();
    drop(socket);
    drop(client);
    assert!(clone.is_connected(), "one handle is left");
    for number in 0..20 {
        clone.emit("n", number).unwrap();
    }
    drop(clone);
    for number in 0..20 {
        assert_eq!(within("an event", received.recv()).await.unwrap(), ("/a".into(), number));
    }
    eventually("the server's view", || io.session_count() == 0).await;
    // The stream of a client whose task has ended is over.
    assert_eq!(within("the end of the task", changes.next()).await, None);
}

#[tokio::test]
async fn retries_deliver_in_order_over_a_reconnection() {
    let (sender, mut received) = mpsc::unbounded_channel::<u32>();
    let io = Io::builder().shards(1).state(sender).build();
    io.of("/").on(
        "n",
        async |socket: trunkline::Socket,
               trunkline::Data(number): trunkline::Data<u32>,
               trunkline::State(received): trunkline::State<mpsc::UnboundedSender<u32>>,
               ack: trunkline::Ack<u32>| {
            received.send(number).unwrap();
            if number == 1 && socket.io().metrics().sessions_opened == 1 {
                // The first connection loses the answer, and itself.
                std::mem::forget(ack);
                socket.disconnect(true);
            } else {
                ack.send(number * 10).unwrap();
            }
        },
    );
    let server = serve(&io);
    let client = builder(&server).retries(3).build().unwrap();
    let socket = client.of("/");
    let answers: Vec<_> = (0..3).map(|number| socket.emit_with_ack::<u32>("n", number)).collect();
    let mut changes = socket.lifecycle();
    until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    if !socket.is_active() {
        socket.connect();
    }
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(within("an answer", answer).await, Ok(number as u32 * 10));
    }
    let mut seen = Vec::new();
    while let Ok(number) = received.try_recv() {
        seen.push(number);
    }
    assert_eq!(seen, [0, 1, 1, 2]);
}

#[tokio::test]
async fn connect_disconnect_and_error_handlers_are_called_in_order() {
    let (told, mut lines) = mpsc::unbounded_channel::<String>();
    type Told = mpsc::UnboundedSender<String>;
    let (io, _received) = noting();
    let server = serve(&io);
    let client = builder(&server).state::<Told>(told).auto_connect(false).build().unwrap();
    let socket = client.of("/a");
    socket
        .on_connect(async |socket: Socket, State(told): State<Told>| {
            told.send(format!("connect {}", socket.is_connected())).unwrap();
        })
        .on_disconnect(async |reason: DisconnectReason, State(told): State<Told>| {
            told.send(format!("disconnect {reason}")).unwrap();
        });
    let refused = client.of("/nowhere");
    refused.on_connect_error(async |error: ConnectError, State(told): State<Told>| {
        told.send(format!("error {error}")).unwrap();
    });
    socket.connect();
    assert_eq!(within("a line", lines.recv()).await.unwrap(), "connect true");
    refused.connect();
    assert_eq!(within("a line", lines.recv()).await.unwrap(), "error Invalid namespace");
    client.close().await;
    assert_eq!(within("a line", lines.recv()).await.unwrap(), "disconnect io client disconnect");
}

#[tokio::test]
async fn every_way_of_transport_carries_events() {
    let (io, mut received) = noting();
    let server = serve(&io);
    let ways: [(&[TransportKind], bool, TransportKind); 3] = [
        (&[TransportKind::Polling], true, TransportKind::Polling),
        (&[TransportKind::Polling, TransportKind::WebSocket], true, TransportKind::WebSocket),
        (&[TransportKind::Polling, TransportKind::WebSocket], false, TransportKind::Polling),
    ];
    for (transports, upgrade, expected) in ways {
        let client = builder(&server).transports(transports).upgrade(upgrade).build().unwrap();
        let socket = client.of("/a");
        within("the connection", socket.connected()).await.unwrap();
        for number in 0..200 {
            socket.emit("n", number).unwrap();
        }
        for number in 0..200 {
            assert_eq!(within("an event", received.recv()).await.unwrap(), ("/a".into(), number));
        }
        eventually("the final transport", || client.transport() == Some(expected)).await;
        socket.emit("n", 200).unwrap();
        assert!(client.close().await, "all has left");
        assert_eq!(within("the last event", received.recv()).await.unwrap(), ("/a".into(), 200));
    }
}

#[tokio::test]
async fn what_was_kept_while_offline_has_not_left_at_the_end() {
    let server = serve(&Io::builder().shards(1).build());
    for (emits, expected) in [(false, true), (true, false)] {
        let client = builder(&server).auto_connect(false).build().unwrap();
        if emits {
            client.of("/").emit("n", 1).unwrap();
        }
        assert_eq!(within("the end", client.close()).await, expected);
    }
}

#[tokio::test]
async fn a_builder_says_what_cannot_be() {
    use trunkline_client::BuildError;
    let fails = |builder: trunkline_client::Builder| builder.build().unwrap_err();
    assert!(matches!(fails(Client::builder("ftp://x")), BuildError::Url(_)));
    assert!(matches!(fails(Client::builder("http://x").header("a b", "c")), BuildError::Header(_)));
    assert!(matches!(fails(Client::builder("http://x").proxy("gopher://x")), BuildError::Proxy(_)));
    assert_eq!(fails(Client::builder("http://x").auth("text")), BuildError::AuthNotAnObject);
    let outside = std::thread::spawn(|| Client::builder("http://x").build().unwrap_err()).join().unwrap();
    assert_eq!(outside, BuildError::NoRuntime);
}
