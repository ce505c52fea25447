//! Inputs that have broken systems of this kind, at the Socket.IO layer and over TCP: the offender is closed or ignored,
//! a bystander never notices, and memory comes back.

mod sio_support;

use std::io;

use serde_json::json;
use sio_support::{raw, serve};
use trunkline::testing::Client;
use trunkline::{Args, Data, Io, Reply, Socket, Value};
use trunkline_testkit::{Frame, TestServer, Ws, eventually, resident_bytes, uring};

/// What becomes of a client that sends something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Closed,
    Lives,
}
use Fate::{Closed, Lives};

enum Message {
    Text(String),
    Binary(Vec<u8>),
}

fn text(text: impl Into<String>) -> Message {
    Message::Text(text.into())
}

fn server() -> Io {
    let io = Io::builder().uring(uring()).shards(2).build();
    io.of("/")
        .on("echo", async |Args(args): Args<Vec<Value>>| Reply(Args(args)))
        .on("number", async |Data(n): Data<u32>| Reply(n))
        .on("room", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    io
}

/// The rows: what it is, what is sent after CONNECT, and what becomes of the sender.
fn rows() -> Vec<(&'static str, Vec<Message>, Fate)> {
    let mut rows = Vec::new();
    let mut row = |name, messages, fate| rows.push((name, messages, fate));
    for event in ["connect", "disconnect", "disconnecting", "newListener", "removeListener", "connect_error"]
    {
        row("CVE-2024-38355, reserved names", vec![text(format!("42[\"{event}\"]"))], Closed);
    }
    row("CVE-2024-38355, no handler", vec![text("42[\"error\"]")], Lives);
    row(
        "CVE-2020-36049, id of 900,000 digits",
        vec![text(format!("42{}[\"x\"]", "1".repeat(900_000)))],
        Closed,
    );
    row("CVE-2020-36049, digits only", vec![text(format!("4{}", "5".repeat(900_000)))], Closed);
    row(
        "CVE-2020-36049, namespace of 900,000 characters",
        vec![text(format!("40/{}", "n".repeat(900_000)))],
        Lives,
    );
    row(
        "CVE-2020-36049, event for such a namespace",
        vec![text(format!("42/{},[1]", "n".repeat(900_000)))],
        Closed,
    );
    for num in ["\"splice\"", "\"length\"", "-1", "1", "1.5", "4294967296", "1e400", "null", "{}", "[0]"] {
        let message = format!("451-[\"echo\",{{\"_placeholder\":true,\"num\":{num}}}]");
        row("CVE-2022-2421", vec![text(message), Message::Binary(vec![1])], Closed);
    }
    row(
        "CVE-2022-2421, missing attachment",
        vec![text("450-[\"echo\",{\"_placeholder\":true,\"num\":0}]")],
        Closed,
    );
    for payload in ["[{\"toString\":\"foo\"}]", "[]", "[null]", "{}", "[[\"x\"]]", "[false,1]", "\"x\"", ""] {
        row("CVE-2023-32695", vec![text(format!("42{payload}"))], Closed);
    }
    for ack in ["431{}", "431\"x\"", "43[1]", "431", "439007199254740993[1]"] {
        row("CVE-2023-32695, acks", vec![text(ack)], Closed);
    }
    for head in
        ["459999999-[\"x\"]", "4511-[\"x\"]", "4518446744073709551617-[\"x\"]", "45-[\"x\"]", "45x-[\"x\"]"]
    {
        row("CVE-2026-33151, announced", vec![text(head)], Closed);
    }
    let ten = "4510-[\"echo\",{\"_placeholder\":true,\"num\":0}]";
    let mut eleven = vec![text(ten)];
    eleven.extend((0..11).map(|n| Message::Binary(vec![n; 1000])));
    row("CVE-2026-33151, eleven binaries", eleven, Closed);
    row(
        "CVE-2026-33151, text between",
        vec![text(ten), Message::Binary(vec![1]), text("42[\"echo\"]")],
        Closed,
    );
    row("CVE-2026-33151, never sent", vec![text(ten), Message::Binary(vec![1; 900_000])], Lives);
    row("a binary message nobody waits for", vec![Message::Binary(vec![1; 900_000])], Closed);
    row("nesting", vec![text(format!("42[\"echo\",{}", "[".repeat(500_000)))], Closed);
    row(
        "balanced nesting",
        vec![text(format!("42[\"echo\",{}{}]", "[".repeat(9999), "]".repeat(9999)))],
        Closed,
    );
    row("nested objects", vec![text(format!("42[\"echo\",{}", "{\"a\":".repeat(100_000)))], Closed);
    row("a hundred thousand arguments", vec![text(format!("42[\"echo\"{}]", ",1".repeat(100_000)))], Lives);
    row("a number beyond all types", vec![text("421[\"number\",1e999]"), text("422[\"number\",-0]")], Lives);
    row(
        "prototype names",
        vec![text("42[\"__proto__\",{\"__proto__\":{\"x\":1},\"constructor\":1}]")],
        Lives,
    );
    row("an unpaired surrogate", vec![text("42[\"\\ud800\"]")], Lives);
    row("a NUL in a name", vec![text("42[\"a\\u0000b\"]"), text("40/a\0b")], Lives);
    row("answers that nobody asked for", (0..500).map(|n| text(format!("43{n}[\"x\"]"))).collect(), Lives);
    let connects = |n| (0..n).map(|n| text(format!("40/none-{n}"))).collect();
    row("a flood of namespaces", connects(500), Lives);
    row("an auth of 900,000 bytes", vec![text(format!("40/x,{{\"a\":\"{}\"}}", "a".repeat(900_000)))], Lives);
    row("second CONNECT", vec![text("40")], Closed);
    row("ERROR from a client", vec![text("44{\"message\":\"x\"}")], Closed);
    row("DISCONNECT, then an event", vec![text("41"), text("42[\"echo\"]")], Closed);
    row("a flood of pongs", (0..500).map(|_| text("3")).collect(), Lives);
    row("rooms of any name", (0..100).map(|n| text(format!("42[\"room\",\"{n}\"]"))).collect(), Lives);
    rows
}

/// Sends a row; the client's stream must end or answer accordingly.
async fn attack(server: &TestServer, name: &str, messages: &[Message], fate: Fate) {
    let (mut ws, _) = raw(server, 4).await;
    ws.send("40").await;
    ws.text().await;
    for message in messages {
        let sent = match message {
            Message::Text(text) => send(&mut ws, false, text.as_bytes()).await,
            Message::Binary(data) => send(&mut ws, true, data).await,
        };
        if sent.is_err() {
            assert_eq!(fate, Closed, "{name}");
            return;
        }
    }
    if fate == Lives {
        // A WebSocket ping is answered behind all else; the session may well be waiting for attachments.
        let mut ping = Vec::new();
        trunkline_proto::ws::encode_frame(
            &mut ping,
            trunkline_proto::ws::OpCode::Ping,
            false,
            b"still there?",
            Some([1; 4]),
        );
        ws.send_raw(&ping).await;
    }
    loop {
        match ws.recv().await {
            Frame::Pong(data) if data == b"still there?" => return assert_eq!(fate, Lives, "{name}"),
            Frame::Close(_) | Frame::End => return assert_eq!(fate, Closed, "{name}"),
            _ => {}
        }
    }
}

async fn send(ws: &mut Ws, binary: bool, payload: &[u8]) -> io::Result<()> {
    let opcode = if binary { trunkline_proto::ws::OpCode::Binary } else { trunkline_proto::ws::OpCode::Text };
    let mut frame = Vec::new();
    trunkline_proto::ws::encode_frame(&mut frame, opcode, false, payload, Some([7; 4]));
    ws.try_send_raw(&frame).await
}

#[tokio::test]
async fn the_list_harms_nobody_else_and_memory_comes_back() {
    let io = server();
    let served = serve(&io, 2);
    let bystander = Client::connect(&io, "/", None).await.unwrap();
    let mut resident = 0;
    for round in 0..6 {
        for (name, messages, fate) in rows() {
            attack(&served, name, &messages, fate).await;
            let answer = bystander.emit_with_ack::<u32>("number", round).await;
            assert_eq!(answer, Ok(round), "after: {name}");
        }
        eventually("the sessions end", || io.session_count() == 1).await;
        eventually("memory is given back", || io.metrics().memory == 0).await;
        // The first rounds fill the allocator's and the threads' caches.
        if round == 2 {
            resident = resident_bytes().unwrap_or_default();
        }
    }
    if let Some(now) = resident_bytes() {
        assert!(now <= resident + resident / 10, "{resident} bytes before, {now} after");
    }
    assert_eq!(io.metrics().handler_panics, 0);
    assert_eq!((io.of("/").socket_count(), io.of("/").rooms().len()), (1, 0));
    assert_eq!(io.namespaces().len(), 1, "no name that a client invented is kept");
    let (mut ws, _) = raw(&served, 4).await;
    ws.send("40").await;
    ws.text().await;
    ws.send("421[\"echo\",{\"still\":\"here\"}]").await;
    assert_eq!(ws.text().await, format!("431[{}]", json!({ "still": "here" })));
}

#[tokio::test]
async fn ids_are_random_and_never_the_sessions() {
    let io = server();
    let served = serve(&io, 1);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..200 {
        let (mut ws, open) = raw(&served, 4).await;
        ws.send("40").await;
        let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        let connected: serde_json::Value = serde_json::from_str(&ws.text().await[2..]).unwrap();
        for id in [&open["sid"], &connected["sid"]] {
            let id = id.as_str().unwrap();
            assert!(
                id.len() == 20 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "{id}"
            );
            assert!(ids.insert(id.to_owned()), "twice: {id}");
        }
    }
}
