//! `verify`: what it finds of servers that keep all, that forget clients, and that lose, repeat and turn events around.

use std::sync::Mutex;

use serde_json::Value as Json;
use trunkline::{Args, Data, Recovery, Reply, Socket, Value};

use crate::program::{Left, Program, json, run};
use crate::server::Server;

#[test]
fn a_server_with_recovery_loses_nothing() {
    let server = honest(Server::with(|builder| builder.recovery(Recovery::memory())));
    for transport in ["websocket", "upgrade"] {
        let (left, report) = verify(&server, &["--strict", "--transport", transport]);
        assert_eq!((left.code, &report["ok"]), (Some(0), &Json::Bool(true)), "{report:#} {:?}", left.err);
        let deliveries = &report["deliveries"];
        // Every event goes to the four receivers of its room.
        assert_eq!(
            deliveries["expected"].as_u64(),
            report["published"]["acknowledged"].as_u64().map(|n| 4 * n)
        );
        assert_eq!(deliveries["received"], deliveries["expected"]);
        assert!(report["connections"]["recovered"].as_u64() > Some(0), "{report:#}");
        assert!(report["latency_ms"]["live"]["count"].as_u64() > Some(0), "{report:#}");
        assert!(report["latency_ms"]["replayed"]["count"].as_u64() > Some(0), "{report:#}");
    }
}

#[test]
fn what_a_server_without_recovery_misses_are_gaps() {
    let server = honest(Server::start());
    let (left, report) = verify(&server, &[]);
    assert_eq!(left.code, Some(0), "{report:#} {:?}", left.err);
    assert!(report["deliveries"]["in_gaps"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["connections"]["recovered"], 0);
    assert_eq!(verify(&server, &["--strict"]).0.code, Some(1));
}

#[test]
fn a_lossy_server_is_found_out() {
    let server = Server::start();
    let held = &*Box::leak(Box::new(Mutex::new(None)));
    server.io.of("/").on("enter", join).on(
        "send",
        async |socket: Socket, Args((room, event, data)): Args<(String, String, Json)>| {
            let send = |data: &Json| socket.to(&room).emit(&event, data).expect("there is room");
            match data["n"].as_u64().map(|n| n % 10) {
                Some(3) => {}
                Some(5) => (send(&data), send(&data)).0,
                Some(7) => *held.lock().expect("nobody panics") = Some(data),
                _ => {
                    send(&data);
                    if let Some(late) = held.lock().expect("nobody panics").take() {
                        send(&late);
                    }
                }
            }
            Reply("taken")
        },
    );
    let names = ["--join-event", "enter", "--publish-event", "send", "--rooms", "1", "--rate", "50"];
    let (left, report) =
        verify(&server, &[&names[..], &["--cuts-per-second", "0", "--settle", "1s"]].concat());
    assert_eq!((left.code, &report["ok"]), (Some(1), &Json::Bool(false)), "{report:#} {:?}", left.err);
    for (found, expected) in
        [("lost", 10), ("duplicated", 10), ("reordered", 10), ("in_gaps", 0), ("stray", 0)]
    {
        // 100 numbers for 8 receivers; the last tick may fall behind the end.
        let found_count = report["deliveries"][found].as_u64().unwrap_or_default();
        assert!(found_count.abs_diff(8 * expected) <= 8, "{found}: {report:#}");
    }
    assert_eq!(report["receivers"][0]["lost"][0], serde_json::json!([3, 3]));
}

#[test]
fn who_may_not_join_cannot_be_judged() {
    let server = Server::start();
    server.io.of("/").on("join", async || Reply(serde_json::json!({ "error": "closed\u{1b}" })));
    let left = run(&["verify", &server.url(""), "--clients", "1", "--rooms", "1"]);
    assert_eq!((left.code, left.out.len()), (Some(1), 0));
    assert_eq!(left.err, [r#"trunkline: join was refused: {"error":"closed\u001b"}"#]);
    let left = run(&["verify", "http://127.0.0.1:1", "--clients", "1", "--rooms", "1"]);
    assert_eq!(left.code, Some(1), "{:?}", left.err);
}

#[test]
fn what_was_not_verified_is_not_ok() {
    let server = Server::start();
    server.io.of("/").on("join", join).on("publish", async || Reply(serde_json::json!({ "error": "no" })));
    let (left, report) = verify(&server, &["--cuts-per-second", "0"]);
    assert_eq!((left.code, &report["ok"]), (Some(1), &Json::Bool(false)), "{report:#} {:?}", left.err);
    assert_eq!(report["published"]["acknowledged"], 0);

    let server = honest(Server::start());
    let url = server.url("");
    let words = ["verify", &url, "--clients", "4", "--rooms", "1", "--cuts-per-second", "0"];
    let program = Program::start(&[&words[..], &["--duration", "1s", "--settle", "1s"]].concat());
    program.error("publishing for");
    drop(server);
    let left = program.wait();
    let report = left.out.first().map_or(Json::Null, |line| json(line));
    assert_eq!((left.code, &report["ok"]), (Some(1), &Json::Bool(false)), "{report:#} {:?}", left.err);
    assert_eq!(report["connections"]["away"], 4);
}

/// Each piece of the way may take up to half a second; nothing is lost by that.
#[test]
fn delays_are_seen_in_the_times() {
    let server = honest(Server::with(|builder| builder.recovery(Recovery::memory())));
    let (left, report) = verify(&server, &["--cuts-per-second", "0", "--rate", "20", "--delay", "500ms"]);
    assert_eq!((left.code, &report["ok"]), (Some(0), &Json::Bool(true)), "{report:#} {:?}", left.err);
    assert!(report["deliveries"]["received"].as_u64() > Some(0), "{report:#}");
    // A half of 500 ms on the average; on a way without delays it is a millisecond.
    assert!(report["latency_ms"]["live"]["p50"].as_f64() > Some(100.0), "{report:#}");
}

/// Two of eight take 2 kB in a second of what are 25 kB: they fall behind, until the end of the storm.
#[test]
fn slow_readers_fall_behind_and_lose_nothing() {
    let server = honest(Server::with(|builder| builder.recovery(Recovery::memory())));
    let slow = ["--slow-readers", "2", "--slow-rate", "2048", "--size", "1000", "--rate", "50"];
    let (left, report) = verify(&server, &[&slow[..], &["--cuts-per-second", "0"]].concat());
    assert_eq!((left.code, &report["ok"]), (Some(0), &Json::Bool(true)), "{report:#} {:?}", left.err);
    let deliveries = &report["deliveries"];
    assert_eq!(deliveries["received"], deliveries["expected"], "{report:#}");
    let live = &report["latency_ms"]["live"];
    // A quarter of the deliveries are those of the slow.
    assert!(live["p99"].as_f64() > Some(400.0), "{report:#}");
    assert!(live["p50"].as_f64() < live["p90"].as_f64(), "{report:#}");
}

fn verify(server: &Server, more: &[&str]) -> (Left, Json) {
    let url = server.url("");
    let words = [
        "verify",
        &url,
        "--clients",
        "8",
        "--rooms",
        "2",
        "--rate",
        "200",
        "--duration",
        "2s",
        "--seed",
        "5",
    ];
    let storm = ["--cuts-per-second", "15", "--half-open-time", "300ms", "--reconnect-delay", "20ms"];
    let left = run(&[&words[..], &storm, more].concat());
    let report = left.out.first().map_or(Json::Null, |line| json(line));
    (left, report)
}

async fn join(socket: Socket, Data(room): Data<String>) -> Reply<&'static str> {
    socket.join(room);
    Reply("in")
}

/// With the two handlers that the documentation asks for.
fn honest(server: Server) -> Server {
    server.io.of("/").on("join", join).on(
        "publish",
        async |socket: Socket, Args((room, event, data)): Args<(String, String, Value)>| {
            socket.to(&room).emit(&event, data).expect("there is room");
            Reply("taken")
        },
    );
    server
}
