//! Every refusal of the handshake and of polling requests: status, exact body, headers, and what becomes of the session.
//!
//! The rows are those of the reference server's `verify` and of its polling transport.

use trunkline::{Cors, Transport};
use trunkline_testkit::{Conn, Frame, Http, Polling, Received, Request, Response, Rig, Ws, eventually};

const ORIGIN: &str = "http://page.example";
const UNKNOWN_TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;
const UNKNOWN_SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_METHOD: &str = r#"{"code":2,"message":"Bad handshake method"}"#;
const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;
const REFUSED: &str = r#"{"code":4,"message":"no \"entry\""}"#;
const FOREIGN: &str = r#"{"code":4,"message":"Origin not allowed"}"#;
const UNSUPPORTED: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;

/// Admits pages of `ORIGIN`, refuses requests with the header `x-refuse`.
fn rig(threads: usize) -> Rig {
    Rig::with(threads, |builder| {
        builder.cors(Cors::origins([ORIGIN])).max_payload(1000).allow_request(|handshake| {
            let refused = handshake.header("x-refuse").is_some();
            Box::pin(async move { if refused { Err("no \"entry\"".to_owned()) } else { Ok(()) } })
        })
    })
}

fn assert_refused(response: &Response, status: u16, body: &str, what: &str) {
    assert_eq!((response.status, response.text()), (status, body), "{what}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{what}");
}

#[tokio::test]
async fn a_refused_handshake_is_answered_with_code_and_message() {
    let mut rig = rig(1);
    let with = |method, query: &str| Request::new(method, &format!("/engine.io/{query}"));
    let get = |query| with("GET", query);
    let unknown = "a".repeat(20);
    let rows = [
        (get(""), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4"), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport="), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport=tobi"), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport=webtransport"), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport=__proto__"), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport=constructor"), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport=polling&transport=polling"), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport[]=polling"), UNKNOWN_TRANSPORT, "UNKNOWN_TRANSPORT"),
        (get("?EIO=4&transport=polling&sid=tobi"), UNKNOWN_SID, "UNKNOWN_SID"),
        (get(&format!("?EIO=4&transport=polling&sid={unknown}")), UNKNOWN_SID, "UNKNOWN_SID"),
        (get("?EIO=4&transport=polling&sid=a&sid=b"), UNKNOWN_SID, "UNKNOWN_SID"),
        (get("?EIO=4&transport=websocket&sid=tobi"), UNKNOWN_SID, "UNKNOWN_SID"),
        (with("POST", "?EIO=4&transport=polling&sid=tobi"), UNKNOWN_SID, "UNKNOWN_SID"),
        (with("POST", "?EIO=4&transport=polling"), BAD_METHOD, "BAD_HANDSHAKE_METHOD"),
        (with("PUT", "?EIO=4&transport=polling"), BAD_METHOD, "BAD_HANDSHAKE_METHOD"),
        (with("DELETE", "?EIO=3&transport=websocket"), BAD_METHOD, "BAD_HANDSHAKE_METHOD"),
        (get("?EIO=4&transport=websocket"), BAD_REQUEST, "TRANSPORT_HANDSHAKE_ERROR"),
        (get("?EIO=3&transport=websocket"), BAD_REQUEST, "TRANSPORT_HANDSHAKE_ERROR"),
        (get("?transport=polling"), UNSUPPORTED, "UNSUPPORTED_PROTOCOL_VERSION"),
        (get("?EIO=3&transport=polling"), UNSUPPORTED, "UNSUPPORTED_PROTOCOL_VERSION"),
        (get("?EIO=5&transport=polling"), UNSUPPORTED, "UNSUPPORTED_PROTOCOL_VERSION"),
        (get("?EIO=4&EIO=4&transport=polling"), UNSUPPORTED, "UNSUPPORTED_PROTOCOL_VERSION"),
    ];
    // One connection for all: a refusal does not cost it.
    let mut http = Http::connect(rig.address()).await;
    for (request, body, context) in rows {
        let what = format!("{request:?}");
        let response = http.request(&request.header("Origin", ORIGIN)).await;
        assert_refused(&response, 400, body, &what);
        assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN), "{what}");
        assert_eq!(response.header("vary"), Some("Origin"), "{what}");
        let error = rig.refused().await;
        assert_eq!((error.context.as_str(), error.status), (context, 400), "{what}");
        assert!(body.contains(&format!("{{\"code\":{},", error.code.expect("a code"))), "{what}");
        assert!(body.contains(&error.message), "{what}");
    }
    assert_eq!(rig.engine.metrics().sessions_opened, 0);
    assert_eq!(rig.engine.metrics().refused, 23);
}

#[tokio::test]
async fn the_application_may_refuse_a_handshake_and_is_asked_before_the_version_is() {
    let mut rig = rig(1);
    let mut http = Http::connect(rig.address()).await;
    for query in ["EIO=4", "EIO=3"] {
        let request = Request::get(&format!("/engine.io/?transport=polling&{query}"));
        let response = http.request(&request.header("Origin", ORIGIN).header("X-Refuse", "1")).await;
        assert_refused(&response, 403, REFUSED, query);
        assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN));
        let error = rig.refused().await;
        assert_eq!((error.code, error.status, error.message.as_str()), (Some(4), 403, "no \"entry\""));
    }
    // Requests of a session are not asked about.
    let mut client = Polling::open(rig.address()).await;
    let request = Request::post(&client.target, "4hi").header("X-Refuse", "1");
    assert_eq!(client.poster.request(&request).await.status, 200);
}

#[tokio::test]
async fn an_origin_that_is_no_text_is_a_bad_request_after_the_transport_was_looked_at() {
    let mut rig = rig(1);
    let mut http = Http::connect(rig.address()).await;
    for (query, body) in
        [("EIO=4&transport=polling", BAD_REQUEST), ("EIO=4&transport=tobi", UNKNOWN_TRANSPORT)]
    {
        let request = Request::get(&format!("/engine.io/?{query}"));
        let response = http.request(&request.header_bytes("Origin", b"http://\xff.example")).await;
        assert_refused(&response, 400, body, query);
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    assert_eq!(rig.refused().await.context, "INVALID_ORIGIN");
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_by_polling_and_by_websocket() {
    let mut rig = rig(1);
    for origin in ["http://evil.example", "http://page.example.evil", "null", "https://page.example"] {
        let mut http = Http::connect(rig.address()).await;
        let request = Request::get("/engine.io/?EIO=4&transport=polling").header("Origin", origin);
        let response = http.request(&request).await;
        assert_refused(&response, 403, FOREIGN, origin);
        assert_eq!(response.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(rig.refused().await.context, "ORIGIN_NOT_ALLOWED");

        let request = Request::upgrade("/engine.io/?EIO=4&transport=websocket").header("Origin", origin);
        let response = Ws::request(Conn::open(rig.address()).await, &request).await.expect_err(origin);
        assert_eq!((response.status, response.text()), (403, "Origin not allowed"), "{origin}");
        assert_eq!(response.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(rig.refused().await.status, 403);
    }
    assert_eq!(rig.engine.metrics().sessions_opened, 0);
}

#[tokio::test]
async fn a_refused_upgrade_is_answered_with_the_message_as_text_and_closed() {
    for threads in [1, 4] {
        let mut rig = rig(threads);
        let polling = Polling::open(rig.address()).await;
        let sid = &polling.sid;
        let to = |query: &str| Request::upgrade(&format!("/engine.io/?{query}"));
        let good = || to("EIO=4&transport=websocket");
        let key = "Sec-WebSocket-Key";
        let rows = [
            (to(""), "Transport unknown"),
            (to("EIO=4&transport=tobi"), "Transport unknown"),
            (to("EIO=4&transport=__proto__"), "Transport unknown"),
            (good().header_bytes("Origin", b"\xff"), "Bad request"),
            (to("EIO=4&transport=websocket&sid=tobi"), "Session ID unknown"),
            (to("EIO=4&transport=polling"), "Bad request"),
            (to(&format!("EIO=4&transport=polling&sid={sid}")), "Bad request"),
            (good().header("X-Refuse", "1"), "no \"entry\""),
            (to("EIO=3&transport=websocket"), "Unsupported protocol version"),
            (to("transport=websocket"), "Unsupported protocol version"),
            (good().without(key), "Bad request"),
            (good().without(key).header(key, "short"), "Bad request"),
            (good().header(key, "dGhlIHNhbXBsZSBub25jZQ=="), "Bad request"),
            (good().without("Sec-WebSocket-Version"), "Bad request"),
            (good().without("Sec-WebSocket-Version").header("Sec-WebSocket-Version", "8"), "Bad request"),
        ];
        for (request, message) in rows {
            let what = format!("{request:?}");
            let is_from_page = !what.contains("Origin");
            let request = if is_from_page { request.header("Origin", ORIGIN) } else { request };
            let mut http = Http::connect(rig.address()).await;
            let response = http.request(&request).await;
            assert_eq!((response.status, response.text()), (400, message), "{what}");
            assert_eq!(response.header("content-type"), Some("text/html"), "{what}");
            assert_eq!(response.header("connection"), Some("close"), "{what}");
            let allowed = response.header("access-control-allow-origin");
            assert_eq!(allowed, is_from_page.then_some(ORIGIN), "{what}");
            assert_eq!(http.ended().await, 0, "{what}");
            assert_eq!(rig.refused().await.message, message, "{what}");
        }
        assert_eq!(rig.engine.session_count(), 1, "the polling session goes on");
        assert!(rig.none_closed());
    }
}

#[tokio::test]
async fn a_request_over_another_transport_than_the_sessions_is_a_mismatch() {
    let mut rig = rig(1);
    let mut ws = Ws::connect(rig.address(), "/engine.io/?EIO=4&transport=websocket").await;
    let sid = trunkline_testkit::sid_of(&ws.text().await);
    let mut http = Http::connect(rig.address()).await;
    for method in ["GET", "POST", "PUT"] {
        let target = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");
        let response = http.request(&Request::new(method, &target).header("Origin", ORIGIN)).await;
        assert_refused(&response, 400, BAD_REQUEST, method);
        assert_eq!(rig.refused().await.context, "TRANSPORT_MISMATCH");
    }
    ws.send("4still here").await;
    assert_eq!(ws.text().await, "4still here");
}

#[tokio::test]
async fn transports_that_are_not_enabled_are_unknown() {
    let rig = Rig::with(1, |builder| builder.transports(&[Transport::WebSocket]));
    let mut http = Http::connect(rig.address()).await;
    let response = http.request(&Request::get("/engine.io/?EIO=4&transport=polling")).await;
    assert_refused(&response, 400, UNKNOWN_TRANSPORT, "polling");

    let rig = Rig::with(1, |builder| builder.transports(&[Transport::Polling]));
    let request = Request::upgrade("/engine.io/?EIO=4&transport=websocket");
    let response = Ws::request(Conn::open(rig.address()).await, &request).await.expect_err("refused");
    assert_eq!((response.status, response.text()), (400, "Transport unknown"));
    let client = Polling::open(rig.address()).await;
    assert!(client.handshake.contains(r#""upgrades":[]"#), "{}", client.handshake);
}

#[tokio::test]
async fn sessions_over_the_limit_are_asked_to_come_again() {
    let rig = Rig::with(1, |builder| builder.max_sessions(1));
    let _first = Polling::open(rig.address()).await;
    let mut http = Http::connect(rig.address()).await;
    let response = http.request(&Request::get("/engine.io/?EIO=4&transport=polling")).await;
    assert_eq!((response.status, response.text()), (503, ""));
    assert_eq!(response.header("retry-after"), Some("1"));
    let request = Request::upgrade("/engine.io/?EIO=4&transport=websocket");
    let response = Ws::request(Conn::open(rig.address()).await, &request).await.expect_err("refused");
    assert_eq!(response.status, 503);
    assert_eq!(response.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn sessions_opened_too_fast_are_asked_to_come_again() {
    let rig = Rig::with(1, |builder| builder.max_handshakes_per_second(1));
    let mut first = Polling::open(rig.address()).await;
    let mut http = Http::connect(rig.address()).await;
    // The burst is one, and a second has not passed: of many at once all but one or two are refused.
    let mut refused = 0;
    for _ in 0..20 {
        let response = http.request(&Request::get("/engine.io/?EIO=4&transport=polling")).await;
        if response.status == 503 {
            assert_eq!(response.header("retry-after"), Some("1"));
            refused += 1;
        }
    }
    assert!(refused > 0);
    // Whoever is in is not concerned.
    first.send("4hello").await;
}

#[tokio::test]
async fn a_request_below_another_path_is_not_ours() {
    let rig = rig(1);
    let mut http = Http::connect(rig.address()).await;
    for target in ["/", "/engine.io", "/engine.iox/?EIO=4&transport=polling", "/other"] {
        let response = http.request(&Request::get(target)).await;
        assert_eq!((response.status, response.text()), (404, "not found"), "{target}");
    }
}

// --- polling requests of a session ---------------------------------------------------------------------------------

/// Refused without a body, as all errors of polling requests are.
fn assert_bare(response: &Response, status: u16, what: &str) {
    assert_eq!((response.status, response.text()), (status, ""), "{what}");
    assert_eq!(response.header("content-type"), None, "{what}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{what}");
}

/// Sends a GET, and waits until it waits at the server.
async fn start_get(rig: &mut Rig, client: &mut Polling) {
    let session = rig.opened().await;
    client.start_get().await;
    eventually("the GET waits", || session.is_writable()).await;
}

#[tokio::test]
async fn good_requests_are_answered_as_the_reference_does() {
    let mut rig = rig(1);
    let mut client = Polling::open(rig.address()).await;
    let request = Request::post(&client.target, "4hello\u{1e}4w\u{f6}rld").header("Origin", ORIGIN);
    let response = client.poster.request(&request).await;
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(response.header("content-type"), Some("text/html"));
    assert_eq!(response.header("content-length"), Some("2"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(response.header("x-xss-protection"), None);
    assert_eq!(rig.received().await, Received::Text("hello".into()));
    assert_eq!(rig.received().await, Received::Text("w\u{f6}rld".into()));

    let request = Request::get(&client.target).header("Origin", ORIGIN);
    let response = client.getter.request(&request).await;
    assert_eq!((response.status, response.text()), (200, "4hello\u{1e}4w\u{f6}rld"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN));
}

#[tokio::test]
async fn old_internet_explorers_are_told_not_to_filter() {
    let rig = rig(1);
    for agent in ["Mozilla/5.0 (compatible;MSIE 10.0)", "Mozilla/5.0 (Windows NT 6.1; Trident/7.0)"] {
        let mut client = Polling::open(rig.address()).await;
        let request = Request::post(&client.target, "4x").header("User-Agent", agent);
        let response = client.poster.request(&request).await;
        assert_eq!(response.header("x-xss-protection"), Some("0"), "{agent}");
        let response = client.getter.request(&Request::get(&client.target).header("User-Agent", agent)).await;
        assert_eq!(response.header("x-xss-protection"), Some("0"), "{agent}");
    }
}

#[tokio::test]
async fn a_second_get_ends_the_session_and_the_first_get() {
    for threads in [1, 4] {
        let mut rig = rig(threads);
        let mut client = Polling::open(rig.address()).await;
        start_get(&mut rig, &mut client).await;
        let request = Request::get(&client.target).header("Origin", ORIGIN);
        let second = client.poster.request(&request).await;
        assert_bare(&second, 400, "the second GET");
        assert_eq!(second.header("access-control-allow-origin"), Some(ORIGIN));
        let first = client.getter.response().await;
        assert_eq!((first.status, first.text()), (200, "1"));
        assert_eq!(rig.closed().await, "transport error");
        assert_refused(&client.get().await, 400, UNKNOWN_SID, "after the end");
    }
}

#[tokio::test]
async fn a_second_post_ends_the_session() {
    for threads in [1, 4] {
        let mut rig = rig(threads);
        let mut client = Polling::open(rig.address()).await;
        start_get(&mut rig, &mut client).await;
        let half = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n4a", client.target);
        let mut other = Http::connect(rig.address()).await;
        client.poster.send_raw(half.as_bytes()).await;
        other.send_raw(half.as_bytes()).await;
        let response = tokio::select! {
            response = client.poster.response() => response,
            response = other.response() => response,
        };
        assert_bare(&response, 400, "the second POST");
        assert_eq!(rig.closed().await, "transport error");
        assert_eq!(client.getter.response().await.text(), "1");
    }
}

#[tokio::test]
async fn binary_bodies_under_version_4_end_the_session() {
    let mut rig = rig(1);
    let mut client = Polling::open(rig.address()).await;
    let request = Request::post(&client.target, "4x").header("Content-Type", "application/octet-stream");
    assert_bare(&client.poster.request(&request).await, 400, "octet-stream");
    assert_eq!(rig.closed().await, "transport error");
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_the_session_goes_on() {
    for threads in [1, 4] {
        let mut rig = rig(threads);
        let mut client = Polling::open(rig.address()).await;

        let fits = format!("4{}", "x".repeat(999));
        client.send(fits.clone()).await;
        assert_eq!(client.receive().await, fits);
        let response = client.post(format!("{fits}x")).await;
        assert_bare(&response, 413, "declared");

        // Nothing of a body that is declared too long needs to be sent.
        let mut http = Http::connect(rig.address()).await;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nContent-Length: 99999999\r\n\r\n",
            client.target
        );
        http.send_raw(head.as_bytes()).await;
        let response = http.response().await;
        assert_bare(&response, 413, "declared far too long");
        assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN));

        let mut http = Http::connect(rig.address()).await;
        let head =
            format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", client.target);
        http.send_raw(head.as_bytes()).await;
        for _ in 0..11 {
            http.send_raw(format!("64\r\n{}\r\n", "4".repeat(100)).as_bytes()).await;
        }
        assert_bare(&http.response().await, 413, "chunked, without an end");

        client.send("4still here").await;
        assert_eq!(client.receive().await, "4still here");
        assert!(rig.none_closed());
    }
}

#[tokio::test]
async fn an_aborted_get_ends_the_session() {
    for threads in [1, 4] {
        let mut rig = rig(threads);
        let mut client = Polling::open(rig.address()).await;
        start_get(&mut rig, &mut client).await;
        drop(client.getter);
        assert_eq!(rig.closed().await, "transport error");
        let response = client.poster.request(&Request::post(&client.target, "4x")).await;
        assert_refused(&response, 400, UNKNOWN_SID, "after the end");
    }
}

#[tokio::test]
async fn an_aborted_post_ends_the_session() {
    for threads in [1, 4] {
        let mut rig = rig(threads);
        let mut client = Polling::open(rig.address()).await;
        start_get(&mut rig, &mut client).await;
        let half = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n4a", client.target);
        client.poster.send_raw(half.as_bytes()).await;
        drop(client.poster);
        assert_eq!(rig.closed().await, "transport error");
        assert_eq!(client.getter.response().await.text(), "1");
    }
}

#[tokio::test]
async fn a_body_that_takes_too_long_ends_the_session() {
    let mut rig = Rig::with(1, |builder| builder.post_timeout(std::time::Duration::from_millis(50)));
    let mut client = Polling::open(rig.address()).await;
    let half = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n4a", client.target);
    client.poster.send_raw(half.as_bytes()).await;
    assert_bare(&client.poster.response().await, 400, "too slow");
    assert_eq!(rig.closed().await, "transport error");
}

#[tokio::test]
async fn what_is_no_packet_ends_the_session_after_the_packets_before_it() {
    for (body, reason) in [
        ("4first\u{1e}x", "parse error"),
        ("4first\u{1e}\u{1e}4second", "parse error"),
        ("4first\u{1e}b!", "parse error"),
        ("4first\u{1e}2", "transport error"),
        ("4first\u{1e}0{}", "transport error"),
        ("4first\u{1e}5", "transport error"),
    ] {
        let mut rig = rig(1);
        let mut client = Polling::open(rig.address()).await;
        assert_bare(&client.post(body).await, 400, body);
        assert_eq!(rig.closed().await, reason, "{body}");
        assert_eq!(rig.received().await, Received::Text("first".into()));
        assert_refused(&client.get().await, 400, UNKNOWN_SID, body);
    }
    for body in [&b""[..], b"\xff"] {
        let mut rig = rig(1);
        let mut client = Polling::open(rig.address()).await;
        assert_bare(&client.post(body).await, 400, "no packet at all");
        assert_eq!(rig.closed().await, "parse error");
    }
}

#[tokio::test]
async fn other_methods_are_no_way_to_speak_to_a_session() {
    let mut rig = rig(1);
    let mut client = Polling::open(rig.address()).await;
    for method in ["PUT", "DELETE", "PATCH"] {
        let response = client.poster.request(&Request::new(method, &client.target)).await;
        assert_bare(&response, 500, method);
    }
    client.send("4still here").await;
    assert_eq!(client.receive().await, "4still here");
    assert!(rig.none_closed());
}

#[tokio::test]
async fn a_websocket_for_a_session_that_has_one_is_opened_and_closed_at_once() {
    for threads in [1, 4] {
        let mut rig = rig(threads);
        let mut ws = Ws::connect(rig.address(), "/engine.io/?EIO=4&transport=websocket").await;
        let sid = trunkline_testkit::sid_of(&ws.text().await);
        let target = format!("/engine.io/?EIO=4&transport=websocket&sid={sid}");
        let mut second = Ws::connect(rig.address(), &target).await;
        assert_eq!(second.recv().await, Frame::Close(None));
        assert_eq!(second.recv().await, Frame::End);
        ws.send("4still here").await;
        assert_eq!(ws.text().await, "4still here");
        assert!(rig.none_closed());
    }
}
