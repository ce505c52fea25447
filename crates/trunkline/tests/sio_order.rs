//! The order in which a socket's handlers see what happens, from connect to disconnect.

mod sio_support;

use std::sync::Arc;

use sio_support::{Log, ended, log_disconnects, logged, logged_with, raw, serve};
use tokio::sync::Notify;
use trunkline::testing::{Client, End};
use trunkline::{Data, DisconnectReason, Io, Socket, State};
use trunkline_testkit::{eventually, uring};

/// Opens a handler's way on.
#[derive(Clone, Default)]
struct Gate(Arc<Notify>);

impl Gate {
    fn open(&self) {
        self.0.notify_one();
    }
}

fn gated() -> (Io, Log, Gate) {
    let gate = Gate::default();
    let (io, log) = logged_with(|builder| builder.state(gate.clone()));
    (io, log, gate)
}

#[tokio::test]
async fn events_of_a_socket_run_one_at_a_time_in_order_of_arrival() {
    let (io, log) = logged();
    io.of("/")
        .on("slow", async |State(log): State<Log>| {
            log.say("slow begins");
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            log.say("slow ends");
        })
        .on("fast", async |Data(n): Data<u8>, State(log): State<Log>| log.say(format!("fast {n}")));
    let client = Client::connect(&io, "/", None).await.unwrap();
    client.emit("fast", 1).unwrap();
    client.emit("slow", ()).unwrap();
    client.emit("fast", 2).unwrap();
    client.emit("slow", ()).unwrap();
    client.emit("fast", 3).unwrap();
    let expected = ["fast 1", "slow begins", "slow ends", "fast 2", "slow begins", "slow ends", "fast 3"];
    assert_eq!(log.take(7).await, expected);
}

#[tokio::test]
async fn sockets_do_not_wait_for_each_other() {
    let (io, log, gate) = gated();
    io.of("/a").on("live", async || {});
    io.of("/").on("slow", async |State(gate): State<Gate>, State(log): State<Log>| {
        gate.0.notified().await;
        log.say("slow ends");
    });
    let client = Client::connect(&io, "/", None).await.unwrap();
    let other = client.enter("/a", None).await.unwrap();
    let slow = client.emit_with_ack::<()>("slow", ());
    other.emit_with_ack::<()>("live", ()).await.expect("the other socket of the connection goes on");
    assert!(log.now().is_empty());
    gate.open();
    slow.await.unwrap();
    assert_eq!(log.now(), ["slow ends"]);
}

#[tokio::test]
async fn events_wait_for_the_connect_handlers() {
    let (io, log, gate) = gated();
    io.of("/")
        .on_connect(async |socket: Socket, State(gate): State<Gate>, State(log): State<Log>| {
            socket.emit("hello", ()).unwrap();
            gate.0.notified().await;
            log.say("connected");
        })
        .on_connect(async |State(log): State<Log>| log.say("connected, too"))
        .on("x", async |Data(n): Data<u8>, State(log): State<Log>| log.say(format!("x {n}")));
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    client.emit("x", 1).unwrap();
    let second = client.emit_with_ack::<()>("x", 2);
    client.recv_event::<()>("hello").await.expect("the client is connected meanwhile");
    assert!(log.now().is_empty());
    gate.open();
    second.await.unwrap();
    assert_eq!(log.now(), ["connected", "connected, too", "x 1", "x 2"]);
}

#[tokio::test]
async fn disconnect_is_the_last_thing_even_while_a_handler_is_slow() {
    let (io, log, gate) = gated();
    io.of("/")
        .on("slow", async |socket: Socket, State(gate): State<Gate>, State(log): State<Log>| {
            log.say("slow begins");
            gate.0.notified().await;
            log.say(format!("slow ends, connected: {}", socket.is_connected()));
        })
        .on("x", async |State(log): State<Log>| log.say("x"))
        .on_disconnecting(async |State(log): State<Log>| log.say("disconnecting"))
        .on_disconnect(async |reason: DisconnectReason, State(log): State<Log>| log.say(reason.as_str()));
    let client = Client::connect(&io, "/", None).await.unwrap();
    client.emit("slow", ()).unwrap();
    client.emit("x", ()).unwrap();
    assert_eq!(log.next().await, "slow begins");
    client.close();
    eventually("the session's end", || io.session_count() == 0).await;
    assert!(log.now().is_empty(), "nothing overtakes the slow handler");
    gate.open();
    let expected = ["slow ends, connected: false", "x", "disconnecting", "transport close"];
    assert_eq!(log.take(4).await, expected);
}

#[tokio::test]
async fn disconnecting_still_sees_the_rooms_and_disconnect_does_not() {
    let (io, log) = logged();
    let say = async |socket: Socket, State(log): State<Log>| {
        let mut rooms: Vec<_> = socket.rooms().iter().map(|r| r.to_string()).collect();
        rooms.retain(|room| room != socket.id().as_str());
        rooms.sort();
        log.say(format!("{} {rooms:?}", io_of(&socket)));
    };
    fn io_of(socket: &Socket) -> usize {
        socket.io().of("/").rooms().len()
    }
    io.of("/")
        .on_connect(async |socket: Socket| socket.join(["a", "b"]))
        .on_disconnecting(say)
        .on_disconnect(say);
    let client = Client::connect(&io, "/", None).await.unwrap();
    client.disconnect();
    assert_eq!(log.take(2).await, ["0 [\"a\", \"b\"]", "0 []"]);
}

#[tokio::test]
async fn each_end_has_its_reason() {
    let (io, log) = logged_with(|builder| {
        builder
            .ping_interval(std::time::Duration::from_millis(40))
            .ping_timeout(std::time::Duration::from_millis(40))
    });
    log_disconnects(io.of("/"))
        .on("out", async |socket: Socket, Data(close): Data<bool>| socket.disconnect(close));
    let connect = async || Client::connect(&io, "/", None).await.unwrap();
    connect().await.disconnect();
    assert_eq!(log.next().await, "/: client namespace disconnect");
    connect().await.close();
    assert_eq!(log.next().await, "/: transport close");
    connect().await.cut();
    assert_eq!(log.next().await, "/: transport close");
    for close in [false, true] {
        let mut client = connect().await;
        client.emit("out", close).unwrap();
        assert_eq!(client.ended().await, Ok(End::Namespace));
        assert_eq!(log.next().await, "/: server namespace disconnect");
    }
    let silent = connect().await;
    silent.hold_reading(true);
    assert_eq!(log.next().await, "/: ping timeout");
    let _two = (connect().await, connect().await);
    io.close().await;
    assert_eq!(log.take(2).await, ["/: server shutting down", "/: server shutting down"]);
}

#[tokio::test]
async fn a_reset_connection_is_a_transport_error() {
    let (io, log) = logged();
    log_disconnects(io.of("/"));
    let server = serve(&io, 1);
    let (mut ws, _) = raw(&server, 4).await;
    ws.send("40").await;
    ws.text().await;
    ws.into_conn().reset();
    assert_eq!(log.next().await, "/: transport error");
    let (mut ws, _) = raw(&server, 4).await;
    ws.send("40").await;
    ws.text().await;
    ws.send_close(1000).await;
    ended(&mut ws).await;
    assert_eq!(log.next().await, "/: transport close");
}

#[tokio::test]
async fn what_is_emitted_before_a_disconnect_arrives_before_it() {
    let (io, _) = logged();
    io.of("/").on("bye", async |socket: Socket| {
        for n in 0..100u8 {
            socket.emit("n", n).unwrap();
        }
        socket.disconnect(true);
        assert_eq!(socket.emit("n", 100), Err(trunkline::EmitError::Closed));
    });
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    client.emit("bye", ()).unwrap();
    for n in 0..100u8 {
        assert_eq!(client.recv_event::<u8>("n").await.unwrap(), n);
    }
    assert_eq!(client.ended().await, Ok(End::Namespace));
    assert!(client.received().is_empty());
}

#[tokio::test]
async fn a_socket_disconnected_by_its_connect_handler_sees_a_whole_life() {
    let (io, log) = logged();
    log_disconnects(io.of("/"))
        .on_connect(async |socket: Socket, State(log): State<Log>| {
            socket.disconnect(false);
            log.say(format!("connect ends, connected: {}", socket.is_connected()));
        })
        .on("x", async |State(log): State<Log>| log.say("x"));
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    drop(client.emit("x", ()));
    assert_eq!(client.ended().await, Ok(End::Namespace));
    let expected = ["connect ends, connected: false", "/: server namespace disconnect"];
    assert_eq!(log.take(2).await, expected);
}

/// The application, the client and the connection end a socket at the same time: its handlers are told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_end_a_socket_its_handlers_are_told_once() {
    const SOCKETS: usize = 400;
    let log = Log::default();
    let io = Io::builder().uring(uring()).shards(2).state(log.clone()).build();
    io.of("/a");
    for name in ["/", "/a"] {
        io.of(name)
            .on_connect(async |socket: Socket, State(log): State<Log>| log.say(format!("+{}", socket.id())))
            .on_disconnect(async |socket: Socket, State(log): State<Log>| {
                log.say(format!("-{}", socket.id()))
            });
    }
    for n in 0..SOCKETS / 2 {
        let client = Client::connect(&io, "/", None).await.unwrap();
        let other = client.enter("/a", None).await.unwrap();
        let socket = io.socket(client.id()).unwrap();
        let end = tokio::spawn(async move { socket.disconnect(n % 2 == 0) });
        match n % 3 {
            0 => client.disconnect(),
            1 => client.cut(),
            _ => client.send_text("0/a,"),
        }
        drop(other);
        end.await.unwrap();
    }
    let lines = log.take(2 * SOCKETS).await;
    let count = |sign: char| {
        let mut ids: Vec<_> = lines.iter().filter_map(|l| l.strip_prefix(sign)).collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        (all, ids.len())
    };
    assert_eq!((count('+'), count('-')), ((SOCKETS, SOCKETS), (SOCKETS, SOCKETS)));
    eventually("the sessions end", || io.session_count() == 0).await;
    assert!(log.now().is_empty() && io.of("/").rooms().is_empty());
}

/// A client may come back as soon as it is told that it was taken out, though the server is not yet done with that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_taken_out_may_come_back_at_once() {
    let io = Io::builder().uring(uring()).shards(1).build();
    io.of("/a");
    let client = Client::connect(&io, "/", None).await.unwrap();
    for _ in 0..500 {
        let mut a = client.enter("/a", None).await.unwrap();
        let socket = io.of("/a").socket(a.id()).unwrap();
        let end = tokio::spawn(async move { socket.disconnect(false) });
        drop(a.emit("under way", ()));
        assert_eq!(a.ended().await, Ok(End::Namespace));
        drop(a);
        let again = client.enter("/a", None).await.expect("may come back");
        again.disconnect();
        end.await.unwrap();
    }
    assert_eq!(io.metrics().violations, 0);
}
