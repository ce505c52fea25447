//! What ends a connection: every broken rule, with the reason that the sockets are told.

mod sio_support;

use std::sync::Arc;
use std::time::Duration;

use sio_support::{Log, block, connect, log_disconnects, logged, logged_with, settle};
use tokio::sync::Semaphore;
use trunkline::testing::{Client, End};
use trunkline::{Io, Socket, State};

fn rig() -> (Io, Log) {
    let (io, log) = logged();
    for name in ["/", "/a"] {
        log_disconnects(io.of(name)).on("live", async || {});
    }
    (io, log)
}

/// Sends `messages` (text, or binary after `#`) from a client in `/` and `/a`: both sockets must end for `reason`, and a
/// bystander must not notice.
async fn check(messages: &[&str], reason: &str) {
    let (io, log) = rig();
    let bystander = Client::connect(&io, "/", None).await.unwrap();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let _other = client.enter("/a", None).await.unwrap();
    for message in messages {
        match message.strip_prefix('#') {
            Some(data) => client.send_binary(data.as_bytes()),
            None => client.send_text(message),
        }
    }
    assert_eq!(client.ended().await, Ok(End::Connection), "{messages:?}");
    let mut reasons = log.take(2).await;
    reasons.sort();
    assert_eq!(reasons, [format!("/: {reason}"), format!("/a: {reason}")], "{messages:?}");
    bystander.emit_with_ack::<()>("live", ()).await.expect("the others live");
    assert_eq!(io.metrics().violations, 1, "{messages:?}");
}

#[tokio::test]
async fn packets_that_are_out_of_place_force_the_connection_closed() {
    for messages in [
        &["0"][..],
        &["0/a,"],
        &["0/a,{\"x\":1}"],
        &["2/b,[\"x\"]"],
        &["3/b,1[]"],
        &["1/b,"],
        &["4{\"message\":\"x\"}"],
        &["4/a,\"x\""],
        &["4/b,\"x\""],
    ] {
        check(messages, "forced server close").await;
    }
}

#[tokio::test]
async fn packets_for_a_namespace_that_was_left_force_the_connection_closed() {
    let (io, log) = rig();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let other = client.enter("/a", None).await.unwrap();
    other.disconnect();
    assert_eq!(log.next().await, "/a: client namespace disconnect");
    client.send_text("2/a,[\"x\"]");
    assert_eq!(client.ended().await, Ok(End::Connection));
    assert_eq!(log.next().await, "/: forced server close");
}

#[tokio::test]
async fn packets_that_cannot_be_decoded_close_the_connection() {
    for message in [
        "",
        "7",
        "x",
        "2",
        "2[",
        "2[\"x\"",
        "2[\"x\"]]",
        "2[\"x\",]",
        "2{}",
        "2\"x\"",
        "2[]",
        "2[null]",
        "2[{\"toString\":\"foo\"}]",
        "2[[\"x\"]]",
        "2[true]",
        "3[1]",
        "31{}",
        "31",
        "0[]",
        "0\"x\"",
        "1{}",
        "12[\"x\"]",
        "299999999999999999999[\"x\"]",
    ] {
        check(&[message], "forced close").await;
    }
}

#[tokio::test]
async fn reserved_event_names_close_the_connection() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        check(&[&format!("2[\"{name}\"]")], "forced close").await;
        check(&[&format!("21[\"{name}\",1]")], "forced close").await;
    }
}

#[tokio::test]
async fn names_that_only_look_reserved_are_events_like_others() {
    let (io, log) = rig();
    io.of("/").on_any(async |name: trunkline::EventName, State(log): State<Log>| log.say(name.0));
    let client = Client::connect(&io, "/", None).await.unwrap();
    for name in ["error", "Connect", "__proto__", "constructor", "toString", ""] {
        client.emit(name, ()).unwrap();
        assert_eq!(log.next().await, name);
    }
    client.send_text("2[12,1]");
    assert_eq!(log.next().await, "12", "a number is a name, too");
}

#[tokio::test]
async fn attachments_that_break_the_rules_close_the_connection() {
    for messages in [
        &["511-[\"x\"]"][..],
        &["59999999-[\"x\"]"],
        &["599999999999999999999-[\"x\"]"],
        &["5[\"x\"]"],
        &["5-[\"x\"]"],
        &["5-1-[\"x\"]"],
        &["51-[\"x\",{\"_placeholder\":true,\"num\":\"splice\"}]"],
        &["51-[\"x\",{\"_placeholder\":true,\"num\":-1}]"],
        &["51-[\"x\",{\"_placeholder\":true,\"num\":1}]"],
        &["51-[\"x\",{\"_placeholder\":true,\"num\":1.5}]"],
        &["51-[\"x\",{\"_placeholder\":true,\"num\":4294967296}]"],
        &["51-[\"x\",{\"_placeholder\":true}]"],
        &["51-[\"x\",{\"_placeholder\":true,\"num\":0}]", "2[\"y\"]"],
        &["52-[\"x\",{\"_placeholder\":true,\"num\":0}]", "#one", "0/b,"],
        &["#nobody waits"],
        &["2[\"x\"]", "#nobody waits"],
    ] {
        check(messages, "forced close").await;
    }
}

#[tokio::test]
async fn attachments_that_do_not_come_in_time_close_the_connection() {
    let (io, log) = logged_with(|builder| builder.attachments_timeout(Duration::from_millis(30)));
    log_disconnects(io.of("/"));
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    client.send_text("52-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]");
    client.send_binary(b"one");
    assert_eq!(client.ended().await, Ok(End::Connection));
    assert_eq!(log.next().await, "/: parse error");
    trunkline_testkit::eventually("memory is given back", || io.metrics().memory == 0).await;
}

#[tokio::test]
async fn a_packet_under_way_to_a_socket_that_the_server_disconnects_breaks_no_rule() {
    let (io, log) = rig();
    io.of("/a").on("out", async |socket: Socket| socket.disconnect(false));
    let client = Client::connect(&io, "/", None).await.unwrap();
    let mut other = client.enter("/a", None).await.unwrap();
    client.send_text("2/a,[\"out\"]");
    client.send_text("2/a,[\"late\"]");
    client.send_text("2/a,7[\"late\"]");
    client.send_text("1/a,");
    assert_eq!(other.ended().await, Ok(End::Namespace));
    assert_eq!(log.next().await, "/a: server namespace disconnect");
    client.emit_with_ack::<()>("live", ()).await.expect("the connection lives");
    let again = client.enter("/a", None).await.expect("may come back");
    again.emit_with_ack::<()>("live", ()).await.unwrap();
    assert_eq!(io.metrics().violations, 0);
}

/// Lets checks go on.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

#[tokio::test]
async fn who_broke_a_rule_enters_nothing_any_more() {
    let gate = Gate(Arc::new(Semaphore::new(0)));
    let (io, log) = logged_with(|builder| builder.state(gate.clone()));
    log_disconnects(io.of("/"));
    io.of("/slow")
        .check(async |State(gate): State<Gate>| gate.0.acquire().await.map(drop).map_err(|_| "closed"))
        .on_connect(async |State(log): State<Log>| log.say("entered"));
    let (client, socket) = connect(&io).await;
    // So that the end of the connection takes its time.
    block(&client, &socket).await;
    client.send_text("0/slow,");
    client.send_text("2/nowhere,[\"x\"]");
    assert_eq!(log.next().await, "/: forced server close");
    gate.0.add_permits(1);
    settle().await;
    assert_eq!((log.now(), io.of("/slow").socket_count(), io.session_count()), (Vec::<String>::new(), 0, 1));
}
