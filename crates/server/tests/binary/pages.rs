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
    assert_eq!(get(program.address, "/page.css").status, 200);
    assert_eq!(get(program.address, "/page.js").status, 200);

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
    let shown = ["sessions", "websocket", "sockets", "rooms", "shards"].map(|name| stats[name].as_u64());
    assert_eq!(shown, [1, 1, 1, 1, 2].map(Some), "{stats}");
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
    assert_eq!(get(program.address, "/healthz").status, 200);
}
