//! `trunkline listen`: lines of JSON, how many, and what ends it.

use rustix::process::Signal;
use serde_json::json;
use trunkline::Value;

use crate::program::{Program, json, run};
use crate::server::Server;

#[test]
fn a_count_of_events_as_lines_of_json() {
    let server = Server::start();
    let listening =
        Program::start(&["listen", &server.url(""), "--event", "a\u{1b}", "--event", "b", "--count", "2"]);
    listening.error("connected to / as ");
    let all = server.io.of("/");
    let binary = Value::Binary(b"\x01"[..].into());
    all.emit("a\u{1b}", trunkline::Args(("x\u{9b}", binary))).expect("there is room");
    all.emit("other", 1).expect("there is room");
    all.emit("b", ()).expect("there is room");
    all.emit("b", "one too many").expect("there is room");
    let left = listening.wait();
    assert_eq!((left.code, left.out.len()), (Some(0), 2), "{left:?}");
    assert!(
        left.out[0]
            .contains(r#","event":"a\u001b","args":["x\u009b",{"$binary":{"base64":"AQ==","size":1}}]}"#)
    );
    let second = json(&left.out[1]);
    assert_eq!((&second["event"], &second["args"]), (&json!("b"), &json!([])));
    let time = second["time"].as_str().expect("a text");
    assert!(time.len() == 24 && time.ends_with('Z') && time.starts_with("20"), "{time}");
}

#[test]
fn nothing_is_lost_when_events_come_faster_than_lines_go() {
    let server = Server::start();
    let listening = Program::start(&["listen", &server.url(""), "--count", "3000"]);
    listening.error("connected to / as ");
    for n in 0..3000 {
        server.io.of("/").emit("n", n).expect("there is room");
    }
    for n in 0..3000 {
        assert_eq!(listening.json()["args"], json!([n]));
    }
    assert_eq!(listening.wait().code, Some(0));
}

#[test]
fn a_server_that_asks_is_told_that_nobody_answers() {
    let server = Server::start();
    let listening = Program::start(&["listen", &server.url("")]);
    listening.error("connected to / as ");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let all = server.io.of("/");
    let answers = runtime.block_on(all.emit_with_ack::<serde_json::Value>("question", 1));
    let answers = format!("{answers:?}");
    assert!(answers.contains("not answered"), "{answers}");
}

#[test]
fn it_comes_back_unless_told_otherwise() {
    let server = Server::start();
    let url = server.url("");
    let (patient, hasty) =
        (Program::start(&["listen", &url]), Program::start(&["listen", &url, "--no-reconnect"]));
    patient.error("connected to / as ");
    hasty.error("connected to / as ");
    let server = server.restart();
    patient.error("; reconnecting");
    patient.error("reconnecting in ");
    patient.error("connected to / as ");
    server.io.of("/").emit("again", ()).expect("there is room");
    assert_eq!(patient.json()["event"], "again");
    let left = hasty.wait();
    assert_eq!(left.code, Some(1));
    let last = left.err.last().expect("it says why");
    assert!(
        last.starts_with("trunkline: disconnected: transport ") && !last.contains("reconnecting"),
        "{left:?}"
    );
}

#[test]
fn what_ends_it() {
    let server = Server::start();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let listening = Program::start(&["listen", &server.url("")]);
        listening.error("connected to / as ");
        listening.signal(signal);
        assert_eq!(listening.wait().code, Some(code));
    }
    let listening = Program::start(&["listen", &server.url("")]);
    listening.error("connected to / as ");
    server.io.of("/").disconnect_sockets(false);
    let left = listening.wait();
    assert_eq!(left.code, Some(1), "{left:?}");
    assert!(left.err.iter().any(|line| line == "trunkline: disconnected: io server disconnect"), "{left:?}");
    let left = run(&["listen", &server.url("/members")]);
    assert_eq!(left.code, Some(1));
    assert_eq!(left.err, [r#"trunkline: connect error: not authorized {"code":7}"#]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let left = run(&["listen", &format!("http://{free}")]);
    assert!(left.code == Some(1) && left.err[0].contains("Connection refused"), "{left:?}");
}
