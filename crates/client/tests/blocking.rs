//! The client from threads without an async runtime.

mod support;

use serde_json::json;
use support::{builder, serve};
use trunkline::Io;
use trunkline_client::{AckError, ConnectError, Lifecycle, Reply, blocking};
use trunkline_testkit::{DEADLINE, TestServer};

fn server() -> (Io, TestServer) {
    let io = Io::builder().shards(1).build();
    io.of("/")
        .on("double", async |trunkline::Data(number): trunkline::Data<u32>| trunkline::Reply(number * 2))
        .on("silent", async |ack: trunkline::Ack<u8>| std::mem::forget(ack))
        .on("ask me", async |socket: trunkline::Socket| {
            let answer: Result<u32, _> = socket.emit_with_ack("asked", ()).await;
            trunkline::Reply(answer.unwrap_or_default())
        });
    let server = serve(&io);
    (io, server)
}

#[test]
fn calls_wait_and_handlers_run_beside_them() {
    let (io, server) = server();
    let client = blocking::Client::new(builder(&server)).unwrap();
    let socket = client.of("/");
    socket.connected().unwrap();
    assert_eq!(socket.emit_with_ack::<u32>("double", 4), Ok(8));
    socket.on("asked", async || Reply(11));
    assert_eq!(socket.emit_with_ack::<u32>("ask me", ()), Ok(11));
    let timeout = std::time::Duration::from_millis(30);
    assert_eq!(socket.emit_with_ack_timeout::<u32>(timeout, "silent", ()), Err(AckError::Timeout));
    let mut events = socket.events();
    assert!(events.next_timeout(timeout).is_none());
    io.of("/").emit("news", json!({ "x": 1 })).unwrap();
    let event = events.next_timeout(DEADLINE).expect("an event");
    assert_eq!((event.name(), event.data::<serde_json::Value>().unwrap()), ("news", json!({ "x": 1 })));
    assert!(matches!(client.of("/unknown").connected(), Err(ConnectError::Refused { .. })));
    let mut changes = socket.lifecycle();
    client.close();
    assert!(matches!(changes.next(), Some(Lifecycle::Disconnect { .. })));
    assert!(changes.next().is_none() && events.next_timeout(timeout).is_none());
    assert_eq!(
        socket.emit_with_ack::<u32>("double", 4),
        Err(AckError::Emit(trunkline_client::EmitError::Closed))
    );
}

#[test]
fn the_last_handle_ends_the_connection_after_what_was_sent() {
    let (io, server) = server();
    let client = blocking::Client::new(builder(&server)).unwrap();
    let socket = client.of("/");
    socket.connected().unwrap();
    drop((client, socket));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(trunkline_testkit::eventually("the server's view", || io.session_count() == 0));
}
