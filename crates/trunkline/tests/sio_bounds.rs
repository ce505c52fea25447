//! The bounds: what a client may make wait in either direction, and what happens beyond.

mod sio_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sio_support::{LIMIT, Log, block, connect, kib, log_disconnects, logged, logged_with, narrow, settle};
use tokio::sync::Semaphore;
use trunkline::testing::End;
use trunkline::{AckError, Binary, Data, EmitError, HandlerError, Io, Socket, State};
use trunkline_testkit::{eventually, within};

#[tokio::test]
async fn a_full_queue_takes_nothing_and_tells_when_it_is_drained() {
    let (io, log) = narrow();
    let (mut client, socket) = connect(&io).await;
    client.hold_reading(true);
    let mut sent = 0u32;
    let full = loop {
        match socket.emit("n", (sent, kib())) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        settle().await;
        assert!(sent < 100, "the bound holds");
    };
    assert_eq!(full, EmitError::Full);
    assert!(sent >= 10 && log.now().is_empty() && socket.is_connected(), "{sent}");
    let drained = tokio::spawn(socket.drained());
    settle().await;
    assert!(!drained.is_finished());
    client.hold_reading(false);
    within("drained", drained).await.unwrap().unwrap();
    socket.emit("n", (sent, kib())).expect("there is room again");
    for n in 0..=sent {
        assert_eq!(
            client.recv_event::<(u32, String)>("n").await.unwrap().0,
            n,
            "nothing lost, nothing twice"
        );
    }
    within("drained", socket.drained()).await.unwrap();
}

#[tokio::test]
async fn acks_of_a_full_queue_are_told_so() {
    let (io, _) = narrow();
    let (client, socket) = connect(&io).await;
    block(&client, &socket).await;
    while socket.emit("fill", kib()).is_ok() {}
    assert_eq!(socket.emit_with_ack::<u8>("q", kib()).await, Err(AckError::Emit(EmitError::Full)));
}

#[tokio::test]
async fn one_message_longer_than_the_bound_is_taken_by_an_empty_queue() {
    let (io, _) = narrow();
    let (mut client, socket) = connect(&io).await;
    let long = "x".repeat(3 * LIMIT);
    socket.emit("long", &long).unwrap();
    assert_eq!(client.recv_event::<String>("long").await.unwrap(), long);
}

#[tokio::test]
async fn a_broadcast_disconnects_the_slow_reader_and_nobody_else() {
    let (io, log) = narrow();
    let (slow, socket) = connect(&io).await;
    let (mut good, _) = connect(&io).await;
    slow.hold_reading(true);
    let slow_id = slow.id().clone();
    for n in 0..40u32 {
        io.emit("n", (n, kib())).unwrap();
        assert_eq!(good.recv_event::<(u32, String)>("n").await.unwrap().0, n);
    }
    assert_eq!(log.next().await, "/: slow reader");
    assert!(!socket.is_connected() && io.socket(&slow_id).is_none());
    assert!(io.metrics().dropped_full >= 1);
    good.emit("x", ()).unwrap();
    assert!(log.now().is_empty());
    drop((slow, socket));
    eventually("memory is given back", || io.metrics().memory == 0).await;
}

#[tokio::test]
async fn volatile_events_are_dropped_only_while_the_line_is_blocked() {
    let (io, _) = narrow();
    let (mut client, socket) = connect(&io).await;
    let (mut good, other) = connect(&io).await;
    socket.volatile().emit("v", 1).unwrap();
    assert_eq!(client.recv_event::<u8>("v").await.unwrap(), 1);
    block(&client, &socket).await;
    socket.volatile().emit("v", 2).expect("dropped without a word");
    io.volatile().emit("v", 3).unwrap();
    assert_eq!(io.metrics().dropped_volatile, 2);
    assert_eq!(good.recv_event::<u8>("v").await.unwrap(), 3);
    other.volatile().emit("v", 4).unwrap();
    assert_eq!(good.recv_event::<u8>("v").await.unwrap(), 4);
    client.hold_reading(false);
    within("drained", socket.drained()).await.unwrap();
    socket.volatile().emit("v", 5).unwrap();
    assert_eq!(client.recv_event::<u8>("v").await.unwrap(), 5);
}

/// Lets handlers go on.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

#[derive(Clone, Default)]
struct Count(Arc<AtomicU32>);

#[tokio::test]
async fn at_the_bound_of_waiting_events_reading_stops_and_nothing_is_lost() {
    const EVENTS: u32 = 10_000;
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let count = Count::default();
    let io = Io::builder().shards(1).max_pending_events(32).state(gate.clone()).state(count.clone()).build();
    io.of("/").on("n", async |Data(n): Data<u32>, State(gate): State<Gate>, State(count): State<Count>| {
        gate.0.acquire().await.expect("open").forget();
        assert_eq!(count.0.fetch_add(1, Ordering::Relaxed), n);
    });
    let (client, _socket) = connect(&io).await;
    for n in 0..EVENTS {
        client.emit("n", n).unwrap();
    }
    settle().await;
    let held = io.metrics().memory;
    assert!(io.metrics().packets_in < 1_000, "reading has stopped: {}", io.metrics().packets_in);
    assert!(held > 0 && held < 200_000, "{held}");
    assert_eq!(io.metrics().reading_stopped, 1);
    gate.0.add_permits(EVENTS as usize);
    eventually("all events", || count.0.load(Ordering::Relaxed) == EVENTS).await;
    assert_eq!(io.metrics().handler_panics, 0);
    eventually("memory is given back", || io.metrics().memory == 0).await;
}

#[tokio::test]
async fn the_bound_in_bytes_counts_too() {
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let io = Io::builder().shards(1).max_pending_bytes(8 * 1024).state(gate.clone()).build();
    io.of("/").on("x", async |State(gate): State<Gate>| gate.0.acquire().await.expect("open").forget());
    let (client, _socket) = connect(&io).await;
    for _ in 0..200 {
        client.emit("x", kib()).unwrap();
    }
    settle().await;
    assert!(io.metrics().packets_in < 100, "{}", io.metrics().packets_in);
    assert_eq!(io.metrics().reading_stopped, 1);
    gate.0.add_permits(200);
    eventually("all events", || io.metrics().packets_in == 201).await;
}

#[tokio::test]
async fn the_heartbeat_waits_while_reading_is_stopped() {
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let log = Log::default();
    let io = Io::builder()
        .shards(1)
        .max_pending_events(1)
        .ping_interval(Duration::from_millis(20))
        .ping_timeout(Duration::from_millis(20))
        .state(gate.clone())
        .state(log.clone())
        .build();
    log_disconnects(io.of("/"))
        .on("x", async |State(gate): State<Gate>| gate.0.acquire().await.expect("open").forget());
    let (client, _socket) = connect(&io).await;
    let acks: Vec<_> = (0..3).map(|_| client.emit_with_ack::<()>("x", ())).collect();
    tokio::time::timeout(Duration::from_millis(150), log.next()).await.expect_err("it lives on");
    gate.0.add_permits(10);
    for ack in acks {
        ack.await.unwrap();
    }
}

#[tokio::test]
async fn a_handler_that_waits_for_its_own_flooding_client_ends_the_connection() {
    let (io, log) = logged_with(|builder| builder.max_pending_events(8));
    log_disconnects(io.of("/")).on("ask", async |socket: Socket| {
        socket.emit_with_ack::<u8>("q", ()).await?;
        Ok::<_, HandlerError>(())
    });
    let (mut client, _) = connect(&io).await;
    client.emit("ask", ()).unwrap();
    for _ in 0..20 {
        client.emit("flood", ()).unwrap();
    }
    assert_eq!(client.ended().await, Ok(End::Connection));
    assert_eq!(log.next().await, "error in ask: the socket disconnected before it answered");
    assert_eq!(log.next().await, "/: inbound overflow");
}

#[tokio::test]
async fn so_does_one_that_asks_when_reading_has_stopped_already() {
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let (io, log) = logged_with(|builder| builder.max_pending_events(8).state(gate.clone()));
    log_disconnects(io.of("/")).on("ask", async |socket: Socket, State(gate): State<Gate>| {
        gate.0.acquire().await.expect("open").forget();
        socket.emit_with_ack::<u8>("q", ()).await?;
        Ok::<_, HandlerError>(())
    });
    let (mut client, _) = connect(&io).await;
    client.emit("ask", ()).unwrap();
    for _ in 0..20 {
        client.emit("flood", ()).unwrap();
    }
    eventually("the flood", || io.metrics().packets_in >= 9).await;
    gate.0.add_permits(1);
    assert_eq!(client.ended().await, Ok(End::Connection));
    assert_eq!(log.take(2).await[1], "/: inbound overflow");
}

#[tokio::test]
async fn an_ack_asked_from_outside_its_handlers_is_no_reason_to_end_a_busy_client() {
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let (io, log) = logged_with(|builder| builder.max_pending_events(8).state(gate.clone()));
    log_disconnects(io.of("/"))
        .on("work", async |State(gate): State<Gate>| gate.0.acquire().await.expect("open").forget());
    let (mut client, socket) = connect(&io).await;
    let answer = tokio::spawn(socket.emit_with_ack::<u8>("q", ()));
    for _ in 0..20 {
        client.emit("work", ()).unwrap();
    }
    eventually("the work", || io.metrics().packets_in >= 9).await;
    client.recv().await.unwrap().answer(3).unwrap();
    gate.0.add_permits(20);
    assert_eq!(answer.await.unwrap(), Ok(3));
    assert!(log.now().is_empty());
}

#[tokio::test]
async fn events_without_a_handler_cost_nothing() {
    let (io, _) = logged();
    let (client, _) = connect(&io).await;
    for n in 0..1000 {
        client.emit("nobody", n).unwrap();
    }
    eventually("all events", || io.metrics().packets_in == 1001).await;
    assert_eq!(io.metrics().reading_stopped, 0);
    eventually("memory is given back", || io.metrics().memory == 0).await;
}

/// Bytes of the application whose end asks the server something, as a buffer's that goes back to a pool may.
struct Asking {
    io: Io,
    /// How many have ended, and how many of them got no answer.
    ended: Arc<[AtomicU32; 2]>,
}

impl AsRef<[u8]> for Asking {
    fn as_ref(&self) -> &[u8] {
        &[7; 4096]
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let (answer, answered) = std::sync::mpsc::channel();
        let io = self.io.clone();
        std::thread::spawn(move || answer.send(io.to("room").count()));
        self.ended[0].fetch_add(1, Ordering::Relaxed);
        // Whoever drops it must not hold what the other thread waits for.
        if answered.recv_timeout(Duration::from_secs(2)).is_err() {
            self.ended[1].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn attachments_end_outside_of_all_locks_when_memory_is_short() {
    let (io, log) = logged_with(|builder| builder.max_memory(64 * 1024));
    log_disconnects(io.of("/"));
    let (client, socket) = connect(&io).await;
    client.hold_reading(true);
    let ended = Arc::<[AtomicU32; 2]>::default();
    let asking = || Bytes::from_owner(Asking { io: io.clone(), ended: Arc::clone(&ended) });
    while socket.emit("n", Binary::from(asking())).is_ok() {
        settle().await;
    }
    assert_eq!(log.next().await, "/: slow reader");
    drop((client, socket));
    eventually("memory is given back", || io.metrics().memory == 0).await;
    let [all, unanswered] = &*ended;
    assert!(all.load(Ordering::Relaxed) >= 10, "{ended:?}");
    assert_eq!(unanswered.load(Ordering::Relaxed), 0, "{ended:?}");
}

/// An attachment whose end is a mistake of the application's.
struct Mistaken;

impl AsRef<[u8]> for Mistaken {
    fn as_ref(&self) -> &[u8] {
        &[7]
    }
}

impl Drop for Mistaken {
    fn drop(&mut self) {
        panic!("an attachment's end (a test)");
    }
}

#[tokio::test]
async fn an_attachment_that_panics_at_its_end_ends_nothing() {
    let (io, _) = logged();
    let (mut client, socket) = connect(&io).await;
    for n in 0..3 {
        let mistaken = Bytes::from_owner(Mistaken);
        socket.emit("n", trunkline::Args((n, Binary::from(mistaken)))).expect("room");
        let (number, bytes) = client.recv_event::<(u8, Binary)>("n").await.unwrap();
        assert_eq!((number, bytes.as_ref()), (n, &[7][..]));
        io.emit("after", n).expect("encodes");
        assert_eq!(client.recv_event::<u8>("after").await.unwrap(), n);
    }
    eventually("memory is given back", || io.metrics().memory == 0).await;
}

#[tokio::test]
async fn a_send_buffer_may_be_without_bound() {
    let (io, _) = logged_with(|builder| builder.max_send_buffer(usize::MAX));
    io.of("/").on("ask", async || {});
    let (mut client, socket) = connect(&io).await;
    client.hold_reading(true);
    for n in 0..100 {
        socket.emit("n", (n, kib())).expect("there is no bound");
        settle().await;
    }
    // An answer counts as control, whose bound is above that of events.
    let answer = client.emit_with_ack::<()>("ask", ());
    settle().await;
    client.hold_reading(false);
    for n in 0..100 {
        assert_eq!(client.recv_event::<(u32, String)>("n").await.unwrap().0, n);
    }
    within("the answer", answer).await.expect("nobody was closed");
}

#[tokio::test]
async fn answers_to_a_broadcast_count_in_the_memory() {
    let (io, _) = logged();
    let (mut first, _socket) = connect(&io).await;
    let (_second, _other) = connect(&io).await;
    let asked = io.clone();
    let answers = tokio::spawn(async move { asked.emit_with_ack::<String>("ask", ()).await });
    let event = first.recv().await.unwrap();
    event.answer("x".repeat(100_000)).unwrap();
    eventually("the answer counts", || io.metrics().memory >= 100_000).await;
    drop(_second);
    let answers = within("all have answered or gone", answers).await.unwrap().unwrap();
    assert_eq!(answers.iter().filter(|answer| answer.result.is_ok()).count(), 1);
    eventually("memory is given back", || io.metrics().memory == 0).await;
}
