//! What HTTP answers carry besides packets: cookies, headers, compression, CORS, JSONP.

use std::io::Read;
use std::time::Duration;

use flate2::read::{GzDecoder, ZlibDecoder};
use http::{HeaderName, HeaderValue};
use trunkline::{Cookie, Cors};
use trunkline_testkit::{Http, Polling, Received, Request, Response, Rig, Ws, sid_of};

use crate::WEBSOCKET;

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";

#[tokio::test]
async fn the_handshake_sets_the_cookie_and_no_other_answer_does() {
    let rig = Rig::with(1, |b| b.cookie(Cookie::default()));
    let mut http = Http::connect(rig.address()).await;
    let response = http.request(&Request::get(POLLING)).await;
    let sid = sid_of(response.text());
    let expected = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(response.header("set-cookie"), Some(expected.as_str()));
    let response = http.request(&Request::post(&format!("{POLLING}&sid={sid}"), "4x")).await;
    assert_eq!((response.status, response.header("set-cookie")), (200, None));

    let rig = Rig::with(1, |b| {
        b.cookie(Cookie {
            name: "lb".into(),
            path: "/chat".into(),
            http_only: false,
            secure: true,
            same_site: "None".into(),
            max_age: Some(Duration::from_secs(60)),
        })
    });
    let response = Http::connect(rig.address()).await.request(&Request::get(POLLING)).await;
    let expected = format!("lb={}; Path=/chat; Max-Age=60; Secure; SameSite=None", sid_of(response.text()));
    assert_eq!(response.header("set-cookie"), Some(expected.as_str()));
}

#[tokio::test]
async fn the_application_adds_headers_to_the_first_answer_of_either_transport() {
    let rig = Rig::with(1, |b| {
        b.initial_headers(|headers, handshake| {
            let value = handshake.query_param("name").unwrap_or_default().into_owned();
            headers.insert(
                HeaderName::from_static("x-hello"),
                HeaderValue::from_str(&value).expect("a header value"),
            );
        })
    });
    let mut http = Http::connect(rig.address()).await;
    let response = http.request(&Request::get(&format!("{POLLING}&name=ann"))).await;
    assert_eq!(response.header("x-hello"), Some("ann"));
    let target = format!("{POLLING}&name=ann&sid={}", sid_of(response.text()));
    assert_eq!(http.request(&Request::post(&target, "4x")).await.header("x-hello"), None);
    let ws = Ws::connect(rig.address(), &format!("{WEBSOCKET}&name=ben")).await;
    assert_eq!(ws.response.header("x-hello"), Some("ben"));
}

#[tokio::test]
async fn long_answers_are_compressed_for_clients_that_accept_it() {
    let mut rig = Rig::with(1, |b| b.http_compression(Some(1024)));
    let mut client = Polling::open(rig.address()).await;
    let session = rig.opened().await;
    let (long, short) = ("x".repeat(2000), "x".repeat(1022));
    for (accept, text, coding) in [
        ("gzip, deflate", &long, Some("gzip")),
        ("deflate", &long, Some("deflate")),
        ("gzip;q=0, deflate", &long, Some("deflate")),
        ("br", &long, None),
        ("gzip", &short, None),
    ] {
        session.send(text).expect("room");
        let request = Request::get(&client.target).header("Accept-Encoding", accept);
        let response = client.getter.request(&request).await;
        assert_eq!(response.header("content-encoding"), coding, "{accept}");
        assert_eq!(unpack(&response), format!("4{text}"), "{accept}");
        assert!(coding.is_none() || response.body.len() < 200, "{accept}: {}", response.body.len());
    }
    let rig = Rig::with(1, |b| b.http_compression(None));
    let mut client = Polling::open(rig.address()).await;
    client.send(format!("4{long}")).await;
    let request = Request::get(&client.target).header("Accept-Encoding", "gzip");
    assert_eq!(client.getter.request(&request).await.header("content-encoding"), None);
}

fn unpack(response: &Response) -> String {
    let mut text = String::new();
    let result = match response.header("content-encoding") {
        Some("gzip") => GzDecoder::new(&response.body[..]).read_to_string(&mut text),
        Some("deflate") => ZlibDecoder::new(&response.body[..]).read_to_string(&mut text),
        _ => (&response.body[..]).read_to_string(&mut text),
    };
    result.expect("well packed");
    text
}

#[tokio::test]
async fn a_preflight_is_answered_for_origins_on_the_list() {
    let rig = Rig::with(1, |b| {
        b.cors(Cors::origins(["http://page.example"]).credentials(true).max_age(Duration::from_secs(600)))
    });
    let mut http = Http::connect(rig.address()).await;
    let preflight = |origin: &str| {
        Request::new("OPTIONS", POLLING)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-token")
    };
    let response = http.request(&preflight("http://page.example")).await;
    assert_eq!((response.status, response.text()), (204, ""));
    for (name, value) in [
        ("access-control-allow-origin", "http://page.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET,HEAD,PUT,PATCH,POST,DELETE"),
        ("access-control-allow-headers", "x-token"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let response = http.request(&preflight("http://evil.example")).await;
    let told: Vec<_> = response.headers.iter().filter(|(n, _)| n.starts_with("access-control")).collect();
    assert_eq!((response.status, told), (204, vec![]));
}

#[tokio::test]
async fn every_origin_may_be_admitted_and_same_origin_always_is() {
    let rig = Rig::with(1, |b| b.cors(Cors::any()));
    let request = Request::get(POLLING).header("Origin", "http://any.example");
    let response = Http::connect(rig.address()).await.request(&request).await;
    assert_eq!((response.status, response.header("access-control-allow-origin")), (200, Some("*")));

    let rig = Rig::start(1);
    let request = Request::get(POLLING).header("Host", "own.example").header("Origin", "https://own.example");
    let response = Http::connect(rig.address()).await.request(&request).await;
    assert_eq!((response.status, response.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn jsonp_wraps_answers_and_unwraps_posts() {
    let mut rig = Rig::start(1);
    let mut client = Polling::open_with(rig.address(), "EIO=4&j=3").await;
    assert!(client.handshake.starts_with("___eio[3](\"0{\\\"sid\\\":"), "{}", client.handshake);
    assert!(client.handshake.ends_with("});") || client.handshake.ends_with("}\");"), "{}", client.handshake);

    client.send("d=4a%20%22quoted%22%20%5Cn%20text%1E4second").await;
    assert_eq!(rig.received().await, Received::Text("a \"quoted\" \n text".into()));
    assert_eq!(rig.received().await, Received::Text("second".into()));
    let response = client.get().await;
    assert_eq!(response.header("content-type"), Some("text/javascript; charset=UTF-8"));
    assert_eq!(response.text(), r#"___eio[3]("4a \"quoted\" \n text\u001e4second");"#);

    rig.opened().await.send("line\u{2028}ends\u{2029}").expect("room");
    assert_eq!(client.receive().await, r#"___eio[3]("4line\u2028ends\u2029");"#);
}

#[tokio::test]
async fn a_jsonp_body_without_its_field_is_a_parse_error() {
    for body in ["4text", "d=4a&d=4b", "e=4a", ""] {
        let mut rig = Rig::start(1);
        let mut client = Polling::open_with(rig.address(), "EIO=4&j=0").await;
        assert_eq!(client.post(body).await.status, 400, "{body}");
        assert_eq!(rig.closed().await, "parse error", "{body}");
    }
}

#[tokio::test]
async fn the_callback_index_carries_nothing_but_digits() {
    let rig = Rig::start(1);
    let request = Request::get(&format!("{POLLING}&j=1%5D(alert)%2F%2F2"));
    let response = Http::connect(rig.address()).await.request(&request).await;
    assert!(response.text().starts_with("___eio[12](\""), "{}", response.text());
}
