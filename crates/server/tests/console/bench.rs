//! `bench`: every mode against a server that does what the modes need, and one that answers wrongly.

use serde_json::Value as Json;
use trunkline::{Args, Binary, Data, Reply, Socket};

use crate::program::{Left, json, run};
use crate::server::{Server, serve_tls};

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
        });
    for (mode, kinds) in [
        ("echo", &["echo"][..]),
        ("ack", &["ack"]),
        ("fanout", &["fanout"]),
        ("polling", &["polling"]),
        ("connect", &["connect"]),
        ("idle", &[]),
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
            assert!(found["count"].as_u64() > Some(0), "{kind}: {report:#}");
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
