//! Handlers that are slower than the server: reading stops, answers still get through, sending goes on, and what cannot go on is
//! ended.

#[path = "support/script.rs"]
mod script;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use script::{Peer, Script, Scripted};
use support::{next, quickly, serve, until};
use tokio::sync::{Notify, mpsc};
use trunkline::Io;
use trunkline_client::{
    AckError, Builder, Client, Data, DisconnectReason, Lifecycle, Socket, State, TransportKind,
};
use trunkline_testkit::within;

fn builder(server: &Scripted) -> Builder {
    Client::builder(&server.url())
        .transports([TransportKind::WebSocket])
        .reconnection(quickly())
        .max_pending_events(4)
}

#[tokio::test]
async fn a_flood_while_a_handler_waits_for_an_answer_ends_the_connection() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"a"}"#);
            peer.send(r#"42["n",0]"#);
            // The handler waits now, for an answer behind all this.
            assert_eq!(peer.text(), r#"420["ask"]"#);
            for number in 1..=16 {
                peer.send(&format!(r#"42["n",{number}]"#));
            }
            peer.closed();
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"b"}"#);
            peer.closed();
        }),
    ]);
    let (sender, mut ends) = mpsc::unbounded_channel::<(u32, Result<(), AckError>)>();
    let client = builder(&server).state(sender).build().unwrap();
    let socket = client.socket("/").build();
    type Ends = mpsc::UnboundedSender<(u32, Result<(), AckError>)>;
    socket.on("n", async |socket: Socket, Data(number): Data<u32>, State(ends): State<Ends>| {
        let end = if number == 0 { socket.no_timeout().emit_with_ack("ask", ()).await } else { Ok(()) };
        ends.send((number, end)).unwrap();
    });
    let mut changes = socket.lifecycle();
    socket.connect();
    let lost = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    assert!(
        matches!(lost, Lifecycle::Disconnect { reason: DisconnectReason::InboundOverflow, .. }),
        "{lost:?}"
    );
    assert_eq!(within("the end of the wait", ends.recv()).await.unwrap(), (0, Err(AckError::Disconnected)));
    // What was read is handled nevertheless.
    for number in 1..=16 {
        assert_eq!(within("an event", ends.recv()).await.unwrap(), (number, Ok(())));
    }
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    client.close().await;
    server.finish();
}

#[tokio::test]
async fn an_answer_behind_waiting_events_still_comes() {
    let server = Scripted::start([Box::new(|peer: &mut Peer| {
        peer.admit(r#"{"sid":"a"}"#);
        peer.send(r#"42["n",0]"#);
        assert_eq!(peer.text(), r#"420["ask"]"#);
        for number in 1..=10 {
            peer.send(&format!(r#"42["n",{number}]"#));
        }
        peer.send("430[]");
        assert_eq!(peer.text(), r#"42["done"]"#);
        peer.send(r#"42["bye"]"#);
        peer.closed();
    }) as Script]);
    let client = builder(&server).build().unwrap();
    let socket = client.socket("/").build();
    socket.on("n", async |socket: Socket, Data(number): Data<u32>| {
        if number == 0 {
            socket.no_timeout().emit_with_ack::<()>("ask", ()).await.unwrap();
        }
        if number == 10 {
            socket.emit("done", ()).unwrap();
        }
    });
    let mut events = socket.events();
    socket.connect();
    for _ in 0..=11 {
        within("an event", events.next()).await.unwrap();
    }
    client.close().await;
    server.finish();
}

/// Its first call waits until the gate opens.
async fn stuck(Data(number): Data<u32>, State(gate): State<Arc<Notify>>) {
    if number == 0 {
        gate.notified().await;
    }
}

#[tokio::test]
async fn what_is_sent_leaves_while_reading_has_stopped() {
    for transport in [TransportKind::Polling, TransportKind::WebSocket] {
        let io = Io::builder().shards(1).build();
        let (sender, mut notes) = mpsc::unbounded_channel::<u32>();
        io.of("/").on("note", move |trunkline::Data(number): trunkline::Data<u32>| {
            let sender = sender.clone();
            async move { sender.send(number).unwrap() }
        });
        let server = serve(&io);
        let gate = Arc::new(Notify::new());
        let client = support::builder(&server)
            .transports([transport])
            .max_pending_events(4)
            .state(Arc::clone(&gate))
            .build()
            .unwrap();
        let socket = client.of("/");
        socket.on("n", stuck);
        let mut events = socket.events();
        within("the connection", socket.connected()).await.unwrap();
        for number in 0..20 {
            io.of("/").emit("n", number).unwrap();
        }
        // One is being handled, four wait; the others are not read.
        for _ in 0..5 {
            within("an event", events.next()).await.unwrap();
        }
        for number in 0..3 {
            socket.emit("note", number).unwrap();
            assert_eq!(within("a note", notes.recv()).await, Some(number), "{transport:?}");
        }
        gate.notify_one();
        for _ in 5..20 {
            within("an event", events.next()).await.unwrap();
        }
        client.close().await;
    }
}

#[tokio::test]
async fn silence_means_nothing_while_reading_has_stopped() {
    let (sender, mut heard) = mpsc::unbounded_channel();
    let server = Scripted::start([Box::new(move |peer: &mut Peer| {
        peer.open_with(250, 250);
        peer.text();
        peer.send(r#"40{"sid":"a"}"#);
        for number in 0..20 {
            peer.send(&format!(r#"42["n",{number}]"#));
        }
        // Twice as long as the client waits for a ping when it reads.
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            assert_eq!(peer.text(), r#"42["still here"]"#);
            sender.send(()).unwrap();
        }
        drop(sender);
        peer.closed();
    }) as Script]);
    let gate = Arc::new(Notify::new());
    let client = builder(&server).state(Arc::clone(&gate)).build().unwrap();
    let socket = client.socket("/").build();
    socket.on("n", stuck);
    let (mut events, mut changes) = (socket.events(), socket.lifecycle());
    socket.connect();
    assert!(matches!(next(&mut changes).await, Lifecycle::Connect { .. }));
    for _ in 0..5 {
        within("an event", events.next()).await.unwrap();
    }
    loop {
        socket.emit("still here", ()).unwrap();
        if within("the server", heard.recv()).await.is_none() {
            break;
        }
    }
    assert!(client.is_open());
    client.close().await;
    let left = Lifecycle::Disconnect { reason: DisconnectReason::IoClientDisconnect, description: None };
    assert_eq!(next(&mut changes).await, left, "nothing was lost before");
    gate.notify_one();
    server.finish();
}

#[tokio::test]
async fn a_stuck_handler_costs_the_connection_but_not_the_client() {
    let server = Scripted::start([
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"a"}"#);
            for number in 0..20 {
                peer.send(&format!(r#"42["n",{number}]"#));
            }
            // Neither these nor its pings are read.
            peer.closed();
        }) as Script,
        Box::new(|peer: &mut Peer| {
            peer.admit(r#"{"sid":"b"}"#);
            assert_eq!(peer.text(), r#"42["unstuck"]"#);
            peer.closed();
        }),
    ]);
    let gate = Arc::new(Notify::new());
    let pause = Duration::from_secs(1);
    let client = builder(&server).max_pause(pause).state(Arc::clone(&gate)).build().unwrap();
    let socket = client.socket("/").build();
    socket.on("n", stuck);
    let mut changes = socket.lifecycle();
    socket.connect();
    assert!(matches!(next(&mut changes).await, Lifecycle::Connect { .. }));
    let lost = until(&mut changes, |change| matches!(change, Lifecycle::Disconnect { .. })).await;
    assert!(
        matches!(lost, Lifecycle::Disconnect { reason: DisconnectReason::InboundOverflow, .. }),
        "{lost:?}"
    );
    // The way back is open although the handler is still stuck.
    until(&mut changes, |change| matches!(change, Lifecycle::Connect { .. })).await;
    gate.notify_one();
    socket.emit("unstuck", ()).unwrap();
    client.close().await;
    server.finish();
}
