//! `trunkline emit`: the answer, the ways in which there is none, and the exit codes.

use crate::program::{Program, run};
use crate::server::Server;

/// Runs `emit` with these words after the address; the code, the output and the errors.
fn emit(url: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let left = run(&[&["emit", url], words].concat());
    (left.code, left.out.join("\n"), left.err.join("\n"))
}

#[test]
fn the_answer_is_printed_one_value_per_line() {
    let server = Server::start();
    let answer = |words: &[&str], expected: &str| {
        assert_eq!(emit(&server.url(""), words), (Some(0), expected.to_owned(), String::new()), "{words:?}");
    };
    answer(&["echo"], "");
    answer(&["echo", "1", "hello", r#"{"a":[1]}"#, "str:1"], "1\n\"hello\"\n{\"a\":[1]}\n\"1\"");
    answer(&["echo", "-5", "--", "--no-ack"], "-5\n\"--no-ack\"");
    answer(&["echo", "a\u{1b}[2J\u{9b}"], r#""a\u001b[2J\u009b""#);
    let (code, out, _) = emit(&server.url("/chat"), &["where"]);
    assert_eq!((code, out.as_str()), (Some(0), "\"/chat\""));
}

#[test]
fn binary_goes_both_ways_with_both_parsers_and_all_transports() {
    let path = std::env::temp_dir().join(format!("trunkline-emit-{}", std::process::id()));
    std::fs::write(&path, b"\x00file").expect("the folder can be written");
    let file = format!("@{}", path.display());
    let plain = Server::start();
    let msgpack = Server::with(trunkline::IoBuilder::msgpack);
    for (server, parser) in [(&plain, "json"), (&msgpack, "msgpack")] {
        for transport in ["websocket", "polling", "upgrade"] {
            let options = ["--parser", parser, "--transport", transport];
            let nested = r#"{"deep":[{"$binary":{"base64":"AQ=="}}]}"#;
            let words = [&["echo", "hex:00ff", "base64:AQI=", &file, nested][..], &options].concat();
            let (code, out, err) = emit(&server.url(""), &words);
            let expected = [
                r#"{"$binary":{"base64":"AP8=","size":2}}"#,
                r#"{"$binary":{"base64":"AQI=","size":2}}"#,
                r#"{"$binary":{"base64":"AGZpbGU=","size":5}}"#,
                r#"{"deep":[{"$binary":{"base64":"AQ==","size":1}}]}"#,
            ];
            assert_eq!((code, out, err), (Some(0), expected.join("\n"), String::new()), "{options:?}");
        }
    }
    std::fs::remove_file(&path).expect("it is there");
}

#[test]
fn an_answer_that_is_an_error() {
    let server = Server::start();
    let (code, out, err) = emit(&server.url(""), &["fail"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let expected =
        r#"trunkline: fail: the answer is an error: {"error":{"data":{"code":7},"message":"no\u001bpe"}}"#;
    assert_eq!(err, expected);
}

#[test]
fn no_answer() {
    let server = Server::start();
    let (code, out, err) = emit(&server.url(""), &["silent", "--timeout", "300ms"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "trunkline: silent: no acknowledgement within the timeout");
    let (code, _, err) = emit(&server.url(""), &["kick"]);
    // It left before it answered, or answered before it left.
    assert!(code == Some(0) || err.contains("disconnected before it was answered"), "{code:?} {err}");
    assert_eq!(emit(&server.url(""), &["silent", "--no-ack"]), (Some(0), String::new(), String::new()));
}

#[test]
fn what_is_sent_without_waiting_arrives() {
    let server = Server::start();
    let (sender, received) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    server.io.of("/").on_any_outgoing(|_| {}).on(
        "note",
        async |socket: trunkline::Socket, trunkline::Data(n): trunkline::Data<u32>| {
            socket.namespace().emit("noted", n).expect("there is room");
        },
    );
    server.io.of("/").on_any_outgoing(move |outgoing| {
        let sender = sender.lock().expect("not poisoned");
        drop(sender.send(outgoing.event().to_owned()));
    });
    for transport in ["websocket", "polling"] {
        let words = ["note", "7", "--no-ack", "--transport", transport];
        assert_eq!(emit(&server.url(""), &words).0, Some(0));
        let event = received.recv_timeout(trunkline_testkit::DEADLINE).expect("it has arrived");
        assert_eq!(event, "noted");
    }
}

#[test]
fn what_cannot_be_sent_in_time_is_told() {
    let path = std::env::temp_dir().join(format!("trunkline-unsent-{}", std::process::id()));
    // More than systems keep for a connection.
    std::fs::write(&path, vec![0; 24 << 20]).expect("the folder can be written");
    let file = format!("@{}", path.display());
    for words in [["emit", "up", &file, "--no-ack"].as_slice(), &["connect"]] {
        let (mut words, rest) = (vec![words[0]], &words[1..]);
        let (url, end) = mute();
        words.push(&url);
        words.extend(rest);
        words.extend(["--transport", "websocket", "--timeout", "2s"]);
        let mut program = Program::start(&words);
        if words[0] == "connect" {
            program.line(&format!("emit up {file}"));
        }
        let left = program.end();
        assert_eq!(left.code, Some(1), "{left:?}");
        assert!(left.err.iter().any(|line| line.ends_with("not everything was sent")), "{left:?}");
        drop(end);
    }
    std::fs::remove_file(&path).expect("it is there");
}

/// A server that lets one client into `/` and reads nothing more until the sender is dropped; its address.
fn mute() -> (String, std::sync::mpsc::Sender<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
    let (end, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut peer = tungstenite::accept(stream).expect("a handshake");
        let open =
            r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        peer.send(tungstenite::Message::text(open)).expect("the client reads");
        assert_eq!(peer.read().expect("the client sends"), tungstenite::Message::text("40"));
        peer.send(tungstenite::Message::text(r#"40{"sid":"id"}"#)).expect("the client reads");
        assert!(ended.recv().is_err(), "nothing is sent here");
    });
    (url, end)
}

#[test]
fn refusals_and_missing_servers() {
    let server = Server::start();
    let (code, _, err) = emit(&server.url("/members"), &["echo", "1"]);
    assert_eq!((code, err.as_str()), (Some(1), r#"trunkline: connect error: not authorized {"code":7}"#));
    let token = ["echo", "1", "--auth", r#"{"token":"open sesame"}"#];
    assert_eq!(emit(&server.url("/members"), &token), (Some(0), "1".to_owned(), String::new()));
    let (code, _, err) = emit(&server.url("/nowhere"), &["echo"]);
    assert_eq!((code, err.as_str()), (Some(1), "trunkline: connect error: Invalid namespace"));
    let (code, _, err) = emit(&server.url(""), &["echo", "--path", "/elsewhere"]);
    assert!(code == Some(1) && err.starts_with("trunkline: connect error: "), "{code:?} {err}");
    // Nobody listens at a port that was just free.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let (code, _, err) = emit(&format!("http://{free}"), &["echo"]);
    assert!(code == Some(1) && err.contains("Connection refused"), "{code:?} {err}");
    // Somebody listens and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", mute.local_addr().expect("a bound listener"));
    let (code, _, err) = emit(&url, &["echo", "--timeout", "300ms"]);
    assert!(code == Some(1) && err.starts_with("trunkline: connect error: "), "{code:?} {err}");
}

#[test]
fn headers_cookies_and_query_are_sent() {
    let server = Server::start();
    let url = server.url("");
    for transport in ["websocket", "polling"] {
        let words = [
            "headers",
            "--header",
            "X-One: 1",
            "--cookie",
            "a=b",
            "--cookie",
            "c=d",
            "--query",
            "q=x y",
            "--transport",
            transport,
        ];
        let (code, out, err) = emit(&url, &words);
        assert_eq!((code, out.as_str()), (Some(0), "\"1\"\n\"a=b; c=d\"\n\"x y\""), "{transport}: {err}");
    }
    let (_, out, _) = emit(&format!("{url}/?q=in+the+address"), &["headers"]);
    assert_eq!(out, "null\nnull\n\"in the address\"");
}

#[test]
fn mistakes_on_the_command_line() {
    for (words, expected) in [
        (&["emit"][..], "trunkline: the URL is missing"),
        (&["emit", "http://h"], "trunkline: the event is missing"),
        (&["emit", "http://h", "e", "@/nowhere"], "trunkline: /nowhere: "),
        (&["emit", "ftp://h", "e"], "trunkline: the URL does not begin with "),
        (&["emit", "http://h", "e", "--proxy", "x"], "trunkline: "),
        (&["emit", "http://h", "e", "--header", "a b: c"], "trunkline: "),
        (&["emit", "https://h", "e", "--ca", "/nowhere"], "trunkline: --ca: /nowhere: No such file"),
        (&["listen", "http://h", "--no-ack"], "trunkline: unknown option --no-ack; "),
        (&["connect", "http://h", "x"], "trunkline: unknown argument \"x\""),
    ] {
        let left = run(words);
        assert_eq!((left.code, left.out.len(), left.err.len()), (Some(2), 0, 1), "{words:?} {left:?}");
        assert!(left.err[0].starts_with(expected), "{words:?} {left:?}");
    }
    let help = run(&["emit", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.iter().any(|line| line.contains("trunkline listen URL")), "{help:?}");
}
