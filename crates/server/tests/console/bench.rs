//! `bench`: every mode against a server that does what the modes need, and one that answers wrongly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value as Json;
use trunkline::{Admission, Args, Binary, Data, Refusal, Reply, Socket};

use crate::program::{Left, json, run};
use crate::server::{Server, serve_tls};
use crate::terminal::Terminal;

#[test]
fn every_mode_counts_what_it_does() {
    let server = Server::start();
    server
        .io
        .of("/bench")
        .on_connect(async |socket: Socket| socket.join("room"))
        .on("echo", async |socket: Socket, Data(text): Data<String>| socket.emit("echo", &text))
        .on("ack", async |Data(text): Data<String>| Reply(text))
        .on("pub", async |socket: Socket, Data(text): Data<String>| {
            socket.namespace().to("room").emit("msg", &text)
        })
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            Reply(())
        })
        .on("publish", async |socket: Socket, Args((room, event, text)): Args<(String, String, String)>| {
            socket.to(room).emit(&event, text).map(Reply)
        });
    for (mode, kinds) in [
        ("echo", &["echo"][..]),
        ("ack", &["ack"]),
        ("fanout", &["fanout"]),
        ("polling", &["polling"]),
        ("connect", &["connect"]),
        ("idle", &[]),
        ("publish", &["fanout", "publish"]),
        ("mixed", &["ack", "connect", "echo", "fanout"]),
    ] {
        let pid = std::process::id().to_string();
        let more =
            ["--mode", mode, "--connections", "10", "--pause", "10ms", "--inflight", "3", "--pid", &pid];
        let (left, report) = bench(&server.url("/bench?a=b"), &more);
        assert_eq!(left.code, Some(0), "{mode}: {report:#} {:?}", left.err);
        let messages = report["messages"].as_object().expect("an object");
        assert_eq!(messages.keys().collect::<Vec<_>>(), kinds, "{report:#}");
        for (kind, found) in messages {
            assert!(found["count"].as_u64() > Some(0) && found["unanswered"] == 0, "{kind}: {report:#}");
            // No message is there and back within a microsecond.
            assert!(found["p50_ms"].as_f64() > Some(0.001), "{kind}: {report:#}");
            assert!(found["p50_ms"].as_f64() <= found["max_ms"].as_f64(), "{kind}: {report:#}");
        }
        assert!(report["server"]["memory_bytes"].as_u64() > Some(0), "{report:#}");
    }
}

#[test]
fn wrong_answers_are_failures() {
    let server = Server::start();
    server.io.of("/wrong").on("ack", async || Reply("something else"));
    let (left, report) = bench(&server.url("/wrong"), &["--mode", "ack", "--connections", "1"]);
    assert_eq!(left.code, Some(1));
    assert!(report["bad"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn silence_is_a_failure_that_names_the_handler() {
    let server = Server::start();
    for (mode, unanswered, handler) in [
        ("echo", 12, "on(\"hi\", text) emits hi(text)"),
        ("ack", 12, "on(\"ack\", text, callback) calls callback(text)"),
        ("polling", 12, "on(\"hi\", text) emits hi(text)"),
        // Three publications, each to all.
        ("fanout", 12, "on(\"pub\", text) emits msg(text) to all connections"),
        // It does not get as far as that.
        ("publish", 0, "on(\"enter\", room, callback) and on(\"publish\", room, event, text, callback)"),
    ] {
        let more = ["--mode", mode, "--inflight", "3", "--timeout", "1s"];
        let names = ["--echo-event", "hi", "--join-event", "enter"];
        let (left, report) = bench(&server.url("/chat"), &[&more[..], &names].concat());
        assert_eq!(left.code, Some(1), "{mode}: {report:#}");
        assert!(left.err.iter().any(|line| line.contains(handler)), "{mode}: {:?}", left.err);
        assert!(left.err[0].contains("no answer within 1s"), "{mode}: {:?}", left.err);
        let found = &report["messages"][mode];
        assert_eq!(found["unanswered"], unanswered, "{mode}: {report:#}");
        assert_eq!((&found["count"], &found["p50_ms"]), (&0.into(), &Json::Null), "{mode}: {report:#}");
    }
}

#[test]
fn each_answer_that_does_not_come_is_counted() {
    let server = Server::start();
    let seen = AtomicU64::new(0);
    let handler = move |socket: Socket, Data(text): Data<String>| {
        // One of all, long before the end.
        let is_answered = seen.fetch_add(1, Ordering::Relaxed) != 20;
        std::future::ready(if is_answered { socket.emit("echo", text) } else { Ok(()) })
    };
    server.io.of("/some").on("echo", handler);
    let more = ["--mode", "echo", "--connections", "2", "--timeout", "1s"];
    let (left, report) = bench(&server.url("/some"), &more);
    assert_eq!((left.code, &report["failed"]), (Some(1), &1.into()), "{report:#}");
    let echo = &report["messages"]["echo"];
    assert!(echo["unanswered"] == 1 && echo["count"].as_u64() > Some(0), "{report:#}");
    assert!(left.err.iter().any(|line| line.contains("echo: messages without an answer: 1")));
}

#[test]
fn a_disconnect_by_the_server_is_told_as_such() {
    let server = Server::start();
    server.io.of("/short").on("echo", async |socket: Socket| socket.disconnect(false));
    for mode in ["echo", "polling"] {
        let (left, report) = bench(&server.url("/short"), &["--mode", mode]);
        assert_eq!((left.code, &report["disconnected"]), (Some(1), &4.into()), "{mode}: {report:#}");
        let told =
            "failed connections: 4 (4 disconnected by the server); the first: the server ended the namespace";
        assert!(left.err[0].contains(told), "{mode}: {:?}", left.err);
        let mut lines = left.err.iter();
        assert!(!lines.any(|line| line.contains("must have")), "no handler is missing: {:?}", left.err);
    }
}

#[test]
fn a_terminal_shows_the_progress_and_a_text() {
    let server = Server::start();
    let entering = Arc::new(tokio::sync::Semaphore::new(0));
    let door = Arc::clone(&entering);
    let check = move |_: Admission| {
        let door = Arc::clone(&door);
        async move {
            // Closing it lets everybody in.
            let _ = door.acquire().await;
            Ok::<_, Refusal>(())
        }
    };
    let ack = async |Data(text): Data<String>| Reply(text);
    server.io.of("/door").check(check).on("ack", ack);
    let (url, pid) = (server.url("/door"), std::process::id().to_string());
    let words = ["bench", &url, "--mode", "ack", "--connections", "3", "--duration", "700ms", "--pid", &pid];
    let mut terminal = Terminal::open(&words, &[]);
    terminal.see("opening: 0 of 3 connections");
    entering.close();
    terminal
        .see_that("a bar", |text| text.contains("\r\u{1b}[K[###") && text.contains(" messages/s, 0 failed"));
    assert_eq!(terminal.wait(), Some(0));
    terminal.see("ack: 3 connections, 0 failed, 0 wrong answers, 0.");
    terminal.see("\nack        ");
    terminal.see(" per second\r\n           p50 ");
    terminal.see("\nserver     ");
    terminal.see(" bytes per connection\r\n");
    terminal.see("\ngenerator  ");
}

#[test]
fn binary_events_of_others_disturb_nothing() {
    let server = Server::start();
    server
        .io
        .of("/binary")
        .on_connect(async |socket: Socket| {
            let parts = (bytes(b"\x00\xff"), bytes(&[7; 300]));
            socket.namespace().emit("picture", Args(parts)).expect("there is room");
        })
        .on("ack", async |socket: Socket, Data(text): Data<String>| {
            socket.emit("picture", bytes(b"one")).expect("there is room");
            Reply(text)
        })
        .on("echo", async |socket: Socket, Data(text): Data<String>| {
            socket.emit("picture", bytes(b"one")).expect("there is room");
            socket.emit("echo", &text)
        });
    for mode in ["ack", "echo", "polling", "connect", "idle"] {
        let (left, report) = bench(&server.url("/binary"), &["--mode", mode]);
        assert_eq!(left.code, Some(0), "{mode}: {report:#} {:?}", left.err);
    }
}

#[test]
fn who_is_not_let_in_says_why() {
    let server = Server::start();
    let (left, report) = bench(&server.url("/members"), &["--connections", "2"]);
    assert_eq!((left.code, report["failed"].as_u64()), (Some(1), Some(2)));
    assert!(left.err.iter().any(|line| line.contains("not authorized")), "{:?}", left.err);
    let auth = ["--auth", r#"{"token":"open sesame"}"#, "--mode", "idle"];
    assert_eq!(bench(&server.url("/members"), &auth).0.code, Some(0));
    let (left, _) = bench("http://127.0.0.1:1", &["--connections", "1"]);
    assert!(left.code == Some(1) && left.err[0].contains("refused"), "{:?}", left.err);
}

#[test]
fn over_tls() {
    let server = serve_tls(None);
    let url = format!("https://{}/chat", server.address);
    let (left, report) = bench(&url, &["--mode", "idle", "--insecure"]);
    assert_eq!((left.code, report["opened"].as_u64()), (Some(0), Some(4)), "{:?}", left.err);
    assert_eq!(bench(&url, &["--mode", "idle"]).0.code, Some(1), "nobody trusts this certificate");
}

fn bytes(bytes: &'static [u8]) -> Binary {
    Binary::from(bytes)
}

fn bench(url: &str, more: &[&str]) -> (Left, Json) {
    let words =
        ["bench", url, "--connections", "4", "--duration", "500ms", "--warmup", "50ms", "--threads", "2"];
    let left = run(&[&words[..], more].concat());
    let report = left.out.first().map_or(Json::Null, |line| json(line));
    (left, report)
}
