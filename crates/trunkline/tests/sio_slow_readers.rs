//! Slow readers: what each policy drops for them, and what it never drops.

mod sio_support;

use serde_json::{Value, json};
use sio_support::{BUFFER, LIMIT, connect, kib, log_disconnects, logged_with, narrow, settle};
use trunkline::testing::{Client, Connect};
use trunkline::{Args, Binary, Broadcast, EmitError, Recovery, SlowReaders};
use trunkline_testkit::{eventually, within};

/// The first arguments of all events up to `last`, which ends the test's sending.
async fn numbers(client: &mut Client, last: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let event = client.recv().await.unwrap();
        numbers.push(event.data::<(u64, Value)>().unwrap().0);
    }
    numbers
}

fn is_growing(numbers: &[u64]) -> bool {
    numbers.is_sorted_by(|a, b| a < b)
}

#[tokio::test]
async fn drop_oldest_keeps_the_newest_and_the_connection() {
    let (io, log) = narrow();
    let (mut slow, socket) = connect(&io).await;
    let (mut good, _) = connect(&io).await;
    slow.hold_reading(true);
    for n in 1..=100u64 {
        io.policy(SlowReaders::drop_oldest()).emit("n", (n, kib())).unwrap();
        assert_eq!(good.recv_event::<(u64, String)>("n").await.unwrap().0, n, "who keeps up gets all");
    }
    let metrics = io.metrics();
    assert!(metrics.queued <= LIMIT as u64 && metrics.queued > LIMIT as u64 / 2, "{}", metrics.queued);
    assert_eq!((metrics.blocked_sessions, metrics.dropped_full, metrics.dropped_outdated), (1, 0, 0));
    slow.hold_reading(false);
    let got = numbers(&mut slow, 100).await;
    assert!(is_growing(&got), "{got:?}");
    assert_eq!(got[..2], [1, 2], "what was under way before");
    assert_eq!(got.len() as u64 + metrics.dropped_oldest, 100, "each is received or counted");
    assert!(got.len() < 40 && got.ends_with(&[97, 98, 99, 100]), "{got:?}");
    assert!(socket.is_connected() && log.now().is_empty());
    eventually("nothing waits", || io.metrics().queued == 0 && io.metrics().blocked_sessions == 0).await;
}

#[tokio::test]
async fn what_has_no_policy_is_never_dropped_for_what_has_one() {
    let (io, log) = narrow();
    let (mut slow, socket) = connect(&io).await;
    slow.hold_reading(true);
    for n in 1..=12u64 {
        socket.emit("sure", (n, kib())).unwrap();
        settle().await;
    }
    for n in 101..=130u64 {
        io.policy(SlowReaders::drop_oldest()).emit("maybe", (n, kib())).unwrap();
    }
    slow.hold_reading(false);
    settle().await;
    within("drained", socket.drained()).await.unwrap();
    socket.emit("end", (1000, kib())).unwrap();
    let got = numbers(&mut slow, 1000).await;
    assert!(is_growing(&got), "{got:?}");
    assert_eq!(got.iter().filter(|n| **n <= 12).count(), 12, "{got:?}");
    let maybe = got.iter().filter(|n| (101..=130).contains(*n)).count() as u64;
    assert!(maybe < 10, "{got:?}");
    assert_eq!(maybe + io.metrics().dropped_oldest, 30);
    assert!(log.now().is_empty());
}

#[tokio::test]
async fn a_queue_of_what_must_stay_drops_the_new_event_and_not_the_receiver() {
    let (io, log) = narrow();
    let (slow, socket) = connect(&io).await;
    slow.hold_reading(true);
    loop {
        match socket.emit("sure", kib()) {
            Ok(()) => settle().await,
            Err(error) => break assert_eq!(error, EmitError::Full),
        }
    }
    let queued = io.metrics().queued;
    for _ in 0..10 {
        io.policy(SlowReaders::drop_oldest()).emit("maybe", kib()).unwrap();
    }
    assert_eq!((io.metrics().queued, io.metrics().dropped_oldest), (queued, 10));
    assert!(socket.is_connected() && log.now().is_empty());
    io.policy(SlowReaders::disconnect()).emit("sure", kib()).unwrap();
    assert_eq!(log.next().await, "/: slow reader");
}

#[tokio::test]
async fn after_a_queue_of_what_must_stay_the_oldest_are_dropped_again() {
    let (io, log) = narrow();
    let (mut slow, socket) = connect(&io).await;
    slow.hold_reading(true);
    while socket.emit("sure", (0, kib())).is_ok() {
        settle().await;
    }
    io.policy(SlowReaders::drop_oldest()).emit("maybe", (0, kib())).unwrap();
    assert_eq!(io.metrics().dropped_oldest, 1, "there was nothing else to drop");
    slow.hold_reading(false);
    within("drained", socket.drained()).await.unwrap();
    settle().await;
    slow.received();
    slow.hold_reading(true);
    for n in 1..=100u64 {
        io.policy(SlowReaders::drop_oldest()).emit("maybe", (n, kib())).unwrap();
        settle().await;
    }
    slow.hold_reading(false);
    let got = numbers(&mut slow, 100).await;
    assert!(is_growing(&got) && got.ends_with(&[97, 98, 99, 100]), "{got:?}");
    assert!(log.now().is_empty());
}

#[tokio::test]
async fn an_event_longer_than_the_backlog_takes_the_place_of_all_or_of_none() {
    let (io, log) = narrow();
    let (mut client, socket) = connect(&io).await;
    let policy = || io.policy(SlowReaders::drop_oldest().backlog(4096));
    // Nothing is written meanwhile: this thread writes.
    policy().emit("short", (1, kib())).unwrap();
    policy().emit("long", (2, "x".repeat(8000))).unwrap();
    assert_eq!(numbers(&mut client, 2).await, [2], "a waiting receiver gets the newest");
    socket.emit("sure", (3, kib())).unwrap();
    policy().emit("short", (4, kib())).unwrap();
    policy().emit("long", (5, "x".repeat(8000))).unwrap();
    assert_eq!(numbers(&mut client, 4).await, [3, 4], "what must stay leaves it no place");
    assert_eq!(io.metrics().dropped_oldest, 2);

    // By key: in place of the older value, however long it is.
    let latest = || io.policy(SlowReaders::latest_by_key("k").backlog(4096));
    latest().emit("value", (6, kib())).unwrap();
    latest().emit("value", (7, "x".repeat(LIMIT))).unwrap();
    assert_eq!(numbers(&mut client, 7).await, [7]);
    assert!(socket.is_connected() && log.now().is_empty());
}

#[tokio::test]
async fn latest_by_key_keeps_the_newest_of_each_key_in_order() {
    let (io, log) = narrow();
    let (mut slow, socket) = connect(&io).await;
    let (mut good, _) = connect(&io).await;
    slow.hold_reading(true);
    for n in 1..=300u64 {
        let policy = SlowReaders::latest_by_key((n % 3).to_string()).backlog(4 * 1024);
        io.policy(policy).emit("price", (n, kib())).unwrap();
        assert_eq!(good.recv_event::<(u64, String)>("price").await.unwrap().0, n, "who keeps up gets all");
        if n % 7 == 0 {
            settle().await;
        }
    }
    assert!(io.metrics().queued <= LIMIT as u64);
    slow.hold_reading(false);
    let got = numbers(&mut slow, 300).await;
    assert!(is_growing(&got), "{got:?}");
    assert!(got.ends_with(&[298, 299, 300]), "{got:?}");
    assert!(got.len() < 60, "{got:?}");
    assert_eq!(got.len() as u64 + io.metrics().dropped_outdated, 300);
    assert_eq!(io.metrics().dropped_oldest, 0);
    assert!(socket.is_connected() && log.now().is_empty());
}

#[tokio::test]
async fn keys_of_other_rooms_and_events_are_other_keys() {
    let (io, _) = narrow();
    let (mut slow, socket) = connect(&io).await;
    socket.join(["a", "b"]);
    slow.hold_reading(true);
    let policy = || SlowReaders::latest_by_key("k").backlog(1);
    let send = |to: Broadcast, name: &str, n: u64| to.policy(policy()).emit(name, (n, kib())).unwrap();
    for n in 1..=4 {
        // So that the line is blocked.
        socket.emit("fill", (n, kib())).unwrap();
        settle().await;
    }
    for n in (10..=60).step_by(10) {
        send(io.to("a"), "x", n);
        send(io.to("b"), "x", n + 1);
        send(io.to("a"), "y", n + 2);
        send(io.to(["a", "b"]), "y", n + 3);
    }
    slow.hold_reading(false);
    let mut got = numbers(&mut slow, 63).await;
    got.retain(|n| *n >= 10);
    assert!(got.ends_with(&[60, 61, 62, 63]), "{got:?}");
    assert!(got.len() < 12, "{got:?}");
}

#[tokio::test]
async fn more_keys_than_a_send_buffer_holds_disconnect_the_receiver() {
    let (io, log) = narrow();
    let (slow, _socket) = connect(&io).await;
    slow.hold_reading(true);
    for n in 0..100 {
        io.policy(SlowReaders::latest_by_key(n.to_string())).emit("price", kib()).unwrap();
    }
    assert_eq!(log.next().await, "/: slow reader");
}

#[tokio::test]
async fn rooms_have_policies_by_pattern_and_a_broadcast_has_its_own() {
    let (io, log) = narrow();
    io.of("/")
        .room_policy("chart-{symbol}", SlowReaders::drop_oldest())
        .room_policy("chart-x", SlowReaders::disconnect())
        .room_policy(
            "prices",
            SlowReaders::latest_by(|event| Some(event.args::<((String, Value),)>()?.0.0)).backlog(1),
        );
    let (mut slow, socket) = connect(&io).await;
    socket.join(["chart-x", "prices", "plain"]);
    slow.hold_reading(true);
    for n in 0..50u64 {
        io.to(["plain", "chart-x"]).emit("bar", (n, kib())).unwrap();
    }
    assert!(io.metrics().dropped_oldest > 20, "the pattern registered first");
    for n in 0..50u64 {
        io.to("prices").emit("price", (["a", "b"][n as usize % 2], n)).unwrap();
    }
    assert!(io.metrics().dropped_outdated > 20);
    slow.hold_reading(false);
    let mut prices: Vec<(String, u64)> = Vec::new();
    while prices.last().is_none_or(|(_, n)| *n != 49) {
        prices.push(slow.recv_event("price").await.unwrap());
    }
    assert_eq!(prices[prices.len() - 2..], [("a".to_owned(), 48), ("b".to_owned(), 49)]);
    slow.hold_reading(true);
    assert!(log.now().is_empty());
    for n in 0..50u64 {
        io.to("chart-x").policy(SlowReaders::disconnect()).emit("bar", (n, kib())).unwrap();
    }
    assert_eq!(log.next().await, "/: slow reader");
}

#[tokio::test]
async fn a_key_that_panics_or_is_missing_drops_nothing() {
    let (io, log) = narrow();
    let (slow, _socket) = connect(&io).await;
    slow.hold_reading(true);
    let policy = SlowReaders::latest_by(|event| {
        assert_ne!(event.event(), "bad");
        None
    });
    for name in ["bad", "fine"].into_iter().cycle().take(60) {
        io.policy(policy.clone().backlog(1)).emit(name, kib()).unwrap();
    }
    assert_eq!(log.next().await, "/: slow reader");
    assert_eq!(io.metrics().dropped_outdated, 0);
    assert!(io.metrics().handler_panics > 0);
}

#[tokio::test]
async fn packets_with_attachments_are_dropped_whole() {
    let (io, _) = narrow();
    let (mut slow, socket) = connect(&io).await;
    slow.hold_reading(true);
    for n in 1..=60u64 {
        let event = (n, Binary::from(vec![n as u8; 500]), Binary::from(vec![0; 500]));
        io.policy(SlowReaders::drop_oldest()).emit("n", Args(event)).unwrap();
        settle().await;
    }
    slow.hold_reading(false);
    let mut got = Vec::new();
    while got.last() != Some(&60) {
        let (n, first, second) = slow.recv().await.unwrap().args::<(u64, Binary, Binary)>().unwrap();
        assert_eq!((&first[..], second.len()), (&[n as u8; 500][..], 500), "nothing of another packet");
        got.push(n);
    }
    assert!(is_growing(&got) && got.len() < 30, "{got:?}");
    assert!(socket.is_connected());
    eventually("memory is given back", || io.metrics().memory == 0).await;
}

#[tokio::test]
async fn acknowledged_and_volatile_events_have_no_policy() {
    let (io, log) = narrow();
    let (slow, _) = connect(&io).await;
    slow.hold_reading(true);
    for _ in 0..30 {
        io.policy(SlowReaders::drop_oldest()).volatile().emit("v", kib()).unwrap();
        settle().await;
    }
    assert!(io.metrics().dropped_volatile > 20 && io.metrics().dropped_oldest == 0);
    for _ in 0..30 {
        tokio::spawn(io.policy(SlowReaders::drop_oldest()).emit_with_ack::<u8>("q", kib()));
    }
    assert_eq!(log.next().await, "/: slow reader");
    assert_eq!(io.metrics().dropped_oldest, 0);
}

/// A client that comes back gets what followed the last event that it received, also what was dropped meanwhile.
#[tokio::test]
async fn a_recovered_client_gets_what_was_dropped_after_its_last_event() {
    let (io, log) = logged_with(|builder| builder.max_send_buffer(LIMIT));
    log_disconnects(io.of("/").recovery(Recovery::memory()));
    let client = Connect::new().buffer(BUFFER).to(&io, "/", Some(json!({}))).await.unwrap();
    let pid = client.private_id().unwrap().to_owned();
    let mut client = client;
    let policy = || SlowReaders::drop_oldest().backlog(2 * 1024);
    io.policy(policy()).emit("n", (0, "")).unwrap();
    let offset = client.recv().await.unwrap().args::<((u64, String), String)>().unwrap().1;
    client.hold_reading(true);
    for n in 1..=12u64 {
        io.policy(policy()).emit("n", (n, kib())).unwrap();
        settle().await;
    }
    assert!(io.metrics().dropped_oldest > 5);
    client.cut();
    assert_eq!(log.next().await, "/: transport close");
    let auth = json!({ "pid": pid, "offset": offset });
    let mut client = Client::connect(&io, "/", Some(auth)).await.unwrap();
    assert_eq!(client.private_id(), Some(&*pid));
    for n in 1..=12u64 {
        assert_eq!(client.recv().await.unwrap().args::<((u64, String), String)>().unwrap().0.0, n);
    }
}

#[tokio::test]
async fn drained_ends_with_the_socket() {
    let (io, _) = narrow();
    let (slow, socket) = connect(&io).await;
    slow.hold_reading(true);
    for _ in 0..8 {
        socket.emit("fill", kib()).unwrap();
        settle().await;
    }
    let drained = tokio::spawn(socket.drained());
    settle().await;
    assert!(!drained.is_finished());
    socket.disconnect(false);
    assert_eq!(
        within("the end", drained).await.unwrap(),
        Err(EmitError::Closed),
        "though its connection lives on"
    );
    assert_eq!(socket.drained().await, Err(EmitError::Closed));
}
