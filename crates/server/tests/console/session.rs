//! `trunkline connect` with its input piped: commands line by line, lines of JSON, the exit code at the end.

use serde_json::json;

use crate::program::{Program, run};
use crate::server::Server;

#[test]
fn commands_are_carried_out_and_answers_are_waited_for() {
    let server = Server::start();
    let mut session = Program::start(&["connect", &server.url("")]);
    session.line("ack echo 1 {\"a\": [1, 2]} 'b c' hex:00ff");
    session.line("");
    session.line("emit back x");
    session.line("ack echo last");
    let left = session.end();
    assert_eq!((left.code, left.err.len()), (Some(0), 0), "{left:?}");
    let lines: Vec<_> = left.out.iter().map(|line| crate::program::json(line)).collect();
    assert_eq!(lines[0]["status"], "connected");
    assert_eq!((&lines[0]["namespace"], &lines[0]["recovered"]), (&json!("/"), &json!(false)));
    assert_eq!(lines[0]["id"].as_str().map(str::len), Some(20));
    let answer = |number| {
        let found = lines.iter().find(|line| line["answer"] == "echo" && line["number"] == number);
        found.unwrap_or_else(|| panic!("no answer {number} in {lines:?}"))
    };
    let binary = json!({ "$binary": { "size": 2, "base64": "AP8=" } });
    assert_eq!(answer(1)["args"], json!([1, { "a": [1, 2] }, "b c", binary]));
    assert_eq!(answer(2)["args"], json!(["last"]));
    assert!(answer(1)["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{lines:?}");
    let back = |line: &&serde_json::Value| line["event"] == "back" && line["args"] == json!(["x"]);
    assert_eq!(lines.iter().filter(back).count(), 1);
}

#[test]
fn events_that_came_before_the_last_answer_are_printed() {
    let server = Server::start();
    let mut session = Program::start(&["connect", &server.url(""), "--transport", "websocket"]);
    session.line("emit ticks 500");
    session.line("ack echo");
    let left = session.end();
    assert_eq!(left.code, Some(0), "{left:?}");
    assert_eq!(left.out.iter().filter(|line| line.contains(r#""event":"tick""#)).count(), 500);
    let last = crate::program::json(left.out.last().expect("there are lines"));
    assert_eq!(last["reason"], "io client disconnect");
}

#[test]
fn a_transport_is_told_with_the_connection_or_when_it_changes() {
    let server = Server::start();
    let session = Program::start(&["connect", &server.url("")]);
    let connected = session.json_with("status", "connected");
    // The upgrade may be faster than the namespace.
    if connected["transport"] == "polling" {
        assert_eq!(session.json_with("status", "upgraded")["transport"], "websocket");
    } else {
        assert_eq!(connected["transport"], "websocket");
    }
    let left = session.end();
    assert!(!left.out.iter().any(|line| line.contains("upgraded")), "{left:?}");
}

#[test]
fn the_servers_questions_are_answered_by_their_numbers() {
    let server = Server::start();
    let mut session = Program::start(&["connect", &server.url("")]);
    session.line("ack 'ask me' how?");
    let question = session.json_with("event", "question");
    assert_eq!((&question["args"], &question["ack"]), (&json!(["how?"]), &json!(1)));
    session.line("answer 1 {\"so\": true}");
    assert_eq!(session.json_with("answer", "ask me")["args"], json!([{ "so": true }]));
    session.line("answer 1 again");
    session.error("trunkline: #1: nothing with this number waits for an answer");
    assert_eq!(session.end().code, Some(1), "a command failed");
}

#[test]
fn a_namespace_is_left_and_entered_again() {
    let server = Server::start();
    let mut session = Program::start(&["connect", &server.url("/chat")]);
    let first = session.json_with("status", "connected");
    session.line("disconnect");
    let left = session.json_with("status", "disconnected");
    assert_eq!((&left["reason"], &left["reconnecting"]), (&json!("io client disconnect"), &json!(false)));
    session.line("emit where");
    session.error("trunkline: where: not connected; try connect");
    session.line("connect");
    assert_ne!(session.json_with("status", "connected")["id"], first["id"]);
    session.line("ack where");
    assert_eq!(session.json_with("answer", "where")["args"], json!(["/chat"]));
    session.line("status");
    session.error("/chat: connected as ");
    assert_eq!(session.end().code, Some(1));
}

#[test]
fn a_restarted_server_is_found_again_and_gets_what_was_kept() {
    let server = Server::start();
    let mut session = Program::start(&["connect", &server.url("")]);
    session.json_with("status", "connected");
    let server = server.restart();
    assert_eq!(session.json_with("status", "disconnected")["reconnecting"], true);
    session.line("ack echo kept");
    let attempt = session.json_with("status", "reconnecting");
    assert_eq!((&attempt["attempt"], attempt["delay_ms"].is_u64()), (&json!(1), true));
    session.json_with("status", "connected");
    assert_eq!(session.json_with("answer", "echo")["args"], json!(["kept"]));
    assert_eq!(session.end().code, Some(0));
    drop(server);
}

#[test]
fn what_fails_is_told_at_the_end() {
    let server = Server::start();
    for (line, error) in [
        ("ack fail", ""),
        ("emit", "trunkline: emit needs an event's name"),
        ("jump", "trunkline: unknown command \"jump\"; try help"),
        ("emit a 'b", "trunkline: a ' is not closed"),
        ("ack echo @/nowhere", "trunkline: /nowhere: "),
        ("emit connect", "trunkline: connect: "),
    ] {
        let mut session = Program::start(&["connect", &server.url("")]);
        session.line(line);
        if !error.is_empty() {
            session.error(error);
        }
        assert_eq!(session.end().code, Some(1), "{line}");
    }
    let refused = run(&["connect", &server.url("/members")]);
    assert_eq!((refused.code, refused.out.len()), (Some(1), 1), "{refused:?}");
    let line = crate::program::json(&refused.out[0]);
    assert_eq!((&line["status"], &line["message"]), (&json!("connect_error"), &json!("not authorized")));
    assert_eq!((&line["data"], &line["reconnecting"]), (&json!({ "code": 7 }), &json!(false)));
}

#[test]
fn the_built_in_handlers_are_spoken_to() {
    let serving = Serving::start();
    let mut session = Program::start(&["connect", &serving.url]);
    session.line("join lobby");
    assert_eq!(session.json_with("answer", "join")["args"], json!([{ "ok": true, "rooms": ["lobby"] }]));
    session.line("ack publish lobby said hello");
    assert_eq!(session.json_with("answer", "publish")["args"], json!([{ "ok": true, "receivers": 0 }]));
    session.line("leave lobby");
    assert_eq!(session.json_with("answer", "leave")["args"], json!([{ "ok": true, "rooms": [] }]));
    session.line("quit");
    assert_eq!(session.wait().code, Some(0));
}

/// The binary as a server.
struct Serving {
    url: String,
    child: std::process::Child,
}

impl Serving {
    fn start() -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = crate::program::command(&["--port", "0", "--internal", "off"])
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stderr = child.stderr.take().expect("it is piped");
        BufReader::new(stderr).read_line(&mut line).expect("a line in time");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("its address");
        Self { url: url.to_owned(), child }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
