//! Each row of the reference server's error matrix, the order of the rows, and the `open` packet.

use serde_json::{Value, json};
use trunkline_proto::eio::{
    Query, Request, TransportKind, Transports, Verdict, Version, Violation, open_packet, verify,
};

#[test]
fn vectors() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("vectors/eio/requests.json")).expect("vectors");
    assert!(!rows.is_empty());
    for row in rows {
        let method = row["method"].as_str().unwrap_or("GET");
        let request = Request {
            method_is_get: method == "GET",
            method_is_post: method == "POST",
            query: Query::parse(row["query"].as_str().expect("query")),
            origin_valid: row["origin"] != false,
            upgrade: row["upgrade"] == true,
        };
        let allowed = match row["allowed"].as_array() {
            Some(names) => names.iter().filter_map(|name| TransportKind::from_name(name.as_str()?)).collect(),
            None => Transports::ALL,
        };
        match verify(&request, allowed, row["eio3"] == true, session) {
            Ok(verdict) => assert_eq!(row["verdict"], describe(&verdict), "{row}"),
            Err(violation) => assert_eq!(row["error"], violation.context_name(), "{row}"),
        }
    }
}

#[test]
fn answers_are_those_of_the_reference() {
    for (violation, status, body) in [
        (Violation::TransportUnknown, 400, json!({"code": 0, "message": "Transport unknown"})),
        (Violation::SessionUnknown, 400, json!({"code": 1, "message": "Session ID unknown"})),
        (Violation::BadHandshakeMethod, 400, json!({"code": 2, "message": "Bad handshake method"})),
        (Violation::InvalidOrigin, 400, json!({"code": 3, "message": "Bad request"})),
        (Violation::TransportMismatch, 400, json!({"code": 3, "message": "Bad request"})),
        (Violation::TransportHandshake, 400, json!({"code": 3, "message": "Bad request"})),
        (Violation::IdGeneration, 400, json!({"code": 3, "message": "Bad request"})),
        (Violation::Middleware, 400, json!({"code": 3, "message": "Bad request"})),
        (
            Violation::Forbidden { message: "Thou shall not pass".into() },
            403,
            json!({"code": 4, "message": "Thou shall not pass"}),
        ),
        (Violation::UnsupportedVersion, 400, json!({"code": 5, "message": "Unsupported protocol version"})),
    ] {
        assert_eq!(violation.http_status(), status, "{violation}");
        let found: Value = serde_json::from_str(&violation.body().expect("a body")).expect("JSON");
        assert_eq!(found, body);
    }
}

#[test]
fn the_open_packet() {
    let mut out = Vec::new();
    let upgrades = [TransportKind::WebSocket];
    open_packet(&mut out, "lv_VI97HAXpY6yYWAAAC", &upgrades, 25_000, 20_000, 1_000_000);
    assert_eq!(
        std::str::from_utf8(&out),
        Ok("0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[\"websocket\"],\
            \"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")
    );
    out.clear();
    open_packet(&mut out, "a\"b", &[], 1, 2, 3);
    let value: Value = serde_json::from_slice(&out[1..]).expect("JSON");
    assert_eq!(
        value,
        json!({"sid": "a\"b", "upgrades": [], "pingInterval": 1, "pingTimeout": 2, "maxPayload": 3})
    );
}

#[test]
fn the_lookup_runs_only_for_one_sid() {
    for query in ["transport=polling&EIO=4", "transport=polling&EIO=4&sid=a&sid=b", "EIO=4&sid=a"] {
        let request = Request {
            method_is_get: true,
            method_is_post: false,
            query: Query::parse(query),
            origin_valid: true,
            upgrade: false,
        };
        let _ = verify(&request, Transports::ALL, false, |sid| panic!("looked up {sid}"));
    }
}

fn session(sid: &str) -> Option<TransportKind> {
    match sid {
        "polls" => Some(TransportKind::Polling),
        "streams" => Some(TransportKind::WebSocket),
        _ => None,
    }
}

fn describe(verdict: &Verdict<'_>) -> String {
    match verdict {
        Verdict::Handshake { version, transport, base64, jsonp } => {
            let number = if *version == Version::V3 { 3 } else { 4 };
            let base64 = if *base64 { " base64" } else { "" };
            let jsonp = jsonp.map(|index| format!(" jsonp={index}")).unwrap_or_default();
            format!("handshake {number} {}{base64}{jsonp}", transport.as_str())
        }
        Verdict::Existing { sid, transport } => format!("existing {sid} {}", transport.as_str()),
    }
}
