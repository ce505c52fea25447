//! What the ports serve besides Socket.IO.

use serde_json::Value;

use crate::client::{Client, get};
use crate::program::Program;

#[test]
fn the_public_port_serves_page_numbers_and_health() {
    let program = Program::start(&["--shards", "2"]);
    assert!(program.start_line.starts_with(concat!(
        "trunkline ",
        env!("CARGO_PKG_VERSION"),
        " listening on http://"
    )));
    assert!(program.start_line.contains(" (2 shards)"), "{}", program.start_line);

    let page = get(program.address, "/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html; charset=utf-8"), "{}", page.head);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(page.body.contains("<title>trunkline</title>"));
    let numbers = get(program.address, "/stats.html");
    assert_eq!(numbers.status, 200);
    assert!(numbers.body.contains("<title>Numbers · trunkline</title>"));

    assert_eq!(
        (get(program.address, "/healthz").status, &*get(program.address, "/healthz").body),
        (200, "ok\n")
    );
    assert_eq!(get(program.address, "/nothing").status, 404);
    assert_eq!(get(program.address, "/metrics").status, 404, "metrics are internal");

    let mut client = Client::connect(program.address);
    client.ask(&serde_json::json!(["join", "lobby"]));
    // Nobody has asked before, hence these numbers are fresh.
    let stats: Value = serde_json::from_str(&get(program.address, "/stats").body).expect("JSON");
    let shown =
        ["sessions", "websocket", "sockets", "rooms", "shards", "chat"].map(|name| stats[name].as_u64());
    assert_eq!(shown, [1, 1, 1, 1, 2, 0].map(Some), "{stats}");
}

#[test]
fn all_that_the_pages_load_is_there() {
    let program = Program::start(&[]);
    let mut open = vec!["/".to_owned(), "/stats.html".to_owned(), "/chat.html".to_owned()];
    let mut seen = std::collections::BTreeMap::new();
    while let Some(path) = open.pop() {
        if seen.contains_key(&path) {
            continue;
        }
        let answer = get(program.address, &path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}: {}", answer.head);
        let kind =
            answer.head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        let expected = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "html")) => "text/html; charset=utf-8",
            _ => kind,
        };
        assert_eq!(kind, expected, "{path}");
        if kind.starts_with("text/") && path.contains('.') || path == "/" {
            assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{path}");
        }
        // What stands in quotes after these words is loaded, or can be clicked.
        for mark in ["href=\"/", "src=\"/", "from \"./"] {
            for found in answer.body.split(mark).skip(1) {
                let name = found.split('"').next().unwrap_or_default();
                open.push(if mark.contains('.') { format!("/chat/{name}") } else { format!("/{name}") });
            }
        }
        seen.insert(path, kind.to_owned());
    }
    for path in
        ["/base.css", "/gallery.js", "/stats.js", "/chat/main.js", "/chat/conversation.js", "/healthz"]
    {
        assert!(seen.contains_key(path), "{path} is not among {:?}", seen.keys());
    }
}

#[test]
fn the_client_is_served_below_the_path() {
    let program = Program::start(&["--path", "/live"]);
    let client = get(program.address, "/live/socket.io.js");
    assert_eq!(client.status, 200);
    assert!(client.head.contains("content-type: text/javascript"), "{}", client.head);
    assert!(client.head.contains("cache-control: public, max-age=0"), "{}", client.head);
    let program = Program::start(&["--serve-client", "false"]);
    assert_eq!(get(program.address, "/socket.io/socket.io.js").status, 400);
}

#[test]
fn the_chat_can_be_switched_off() {
    let stats = |program: &Program| -> Value {
        serde_json::from_str(&get(program.address, "/stats").body).expect("JSON")
    };
    let program = Program::start(&["--apps", "false"]);
    assert_eq!(get(program.address, "/").status, 200);
    assert_eq!(get(program.address, "/chat.html").status, 404);
    assert_eq!(stats(&program)["chat"], Value::Null);
    // A namespace of the operator's stays the operator's: it has the program's own handlers.
    let program = Program::start(&["--namespaces", "[\"/chat\"]"]);
    assert_eq!(get(program.address, "/chat.html").status, 404);
    let mut client = Client::enter(program.address, "/chat,");
    assert_eq!(
        client.ask(&serde_json::json!(["leave", "lobby"])),
        serde_json::json!({ "ok": true, "rooms": [] })
    );
}

#[test]
fn the_internal_port_serves_metrics() {
    let program = Program::start(&[]);
    let internal = program.internal.expect("it is on by default");
    let _client = Client::connect(program.address);
    let metrics = get(internal, "/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.lines().any(|line| line == "trunkline_sessions 1"), "{}", metrics.body);
    assert_eq!(get(internal, "/healthz").status, 200);
    assert_eq!(get(internal, "/").status, 404);
}

#[test]
fn the_page_can_be_switched_off() {
    let program = Program::start(&["--start-page", "false"]);
    assert_eq!(get(program.address, "/").status, 404);
    assert_eq!(get(program.address, "/stats").status, 404);
    assert_eq!(get(program.address, "/chat.html").status, 404);
    assert_eq!(get(program.address, "/healthz").status, 200);
}
