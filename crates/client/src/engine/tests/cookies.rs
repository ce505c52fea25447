//! Cookies go along with every later request, the upgrade included, and live in the jar beyond a session.

use super::raw::{RawServer, Reply, answer, header, open, switch, text};
use super::support::{BOTH, WEBSOCKET, config, next};
use crate::engine::{CookieJar, Engine, EngineEvent};
use trunkline_testkit::within;

#[tokio::test]
async fn cookies_of_answers_are_sent_with_all_later_requests() {
    let mut server = RawServer::start(|head| {
        if head.contains("transport=websocket") {
            Reply::Bytes(answer("400 Bad Request", "Set-Cookie: three=3\r\n", ""))
        } else if head.starts_with("POST") {
            Reply::Bytes(answer("200 OK", "Set-Cookie: two=2; Path=/\r\n", "ok"))
        } else if head.contains("sid=") {
            Reply::Hold(Vec::new())
        } else {
            let open = open("\"websocket\"", 25_000, 20_000);
            Reply::Bytes(answer("200 OK", "Set-Cookie: one=1; HttpOnly\r\n", &open))
        }
    })
    .await;
    let mut jar = CookieJar::default();
    let config = config(server.address, BOTH);
    let mut engine = within("a session", Engine::connect(&config, &mut jar)).await.expect("connects");
    assert_eq!(header(&server.head().await, "cookie"), None);
    engine.send_text("hello".into());
    assert!(matches!(next(&mut engine).await, EngineEvent::UpgradeFailed(_)));
    for _ in 0..3 {
        let head = server.head().await;
        let cookie = header(&head, "cookie").expect("a cookie with each later request");
        assert!(cookie.starts_with("one=1"), "{head}");
    }
    // A new session begins with all of them.
    drop(within("a session", Engine::connect(&config, &mut jar)).await.expect("connects"));
    let head = server.head().await;
    let cookie = header(&head, "cookie").expect("cookies");
    for pair in ["one=1", "three=3"] {
        assert!(cookie.contains(pair), "{head}");
    }
}

#[tokio::test]
async fn a_101_sets_cookies_too() {
    let mut server = RawServer::start(|head| {
        Reply::Hold(switch(head, "Set-Cookie: node=7\r\n", &text(&open("", 25_000, 20_000))))
    })
    .await;
    let mut jar = CookieJar::default();
    let config = config(server.address, WEBSOCKET);
    for expected in [None, Some("node=7")] {
        drop(within("a session", Engine::connect(&config, &mut jar)).await.expect("connects"));
        assert_eq!(header(&server.head().await, "cookie"), expected);
    }
}
