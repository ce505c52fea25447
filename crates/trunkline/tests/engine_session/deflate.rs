//! permessage-deflate (RFC 7692).

use trunkline_proto::ws::{OpCode, deflate, encode_frame};
use trunkline_testkit::{Conn, Frame, Request, Rig, Ws};

use crate::WEBSOCKET;

async fn open(rig: &Rig, offers: &[&str]) -> Ws {
    let request =
        offers.iter().fold(Request::upgrade(WEBSOCKET), |r, o| r.header("Sec-WebSocket-Extensions", o));
    let mut ws = Ws::request(Conn::open(rig.address()).await, &request).await.expect("101");
    ws.text().await;
    ws
}

#[tokio::test]
async fn it_is_agreed_on_without_context_takeover() {
    let rig = Rig::with(1, |b| b.per_message_deflate(true));
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for (offers, answer) in [
        (&["permessage-deflate"][..], Some(agreed.to_owned())),
        (
            &["permessage-deflate; client_max_window_bits"],
            Some(format!("{agreed}; client_max_window_bits=15")),
        ),
        (
            &["permessage-deflate; server_max_window_bits=10"],
            Some(format!("{agreed}; server_max_window_bits=10")),
        ),
        (&["x-unknown", "permessage-deflate"], Some(agreed.to_owned())),
        (&["permessage-deflate; what=1, permessage-deflate"], Some(agreed.to_owned())),
        (&[], None),
        (&["constructor"], None),
        (&["permessage-deflate; server_max_window_bits=8"], None),
        (&["permessage-deflate; server_max_window_bits=\"x"], None),
    ] {
        let ws = open(&rig, offers).await;
        let given = ws.response.header("sec-websocket-extensions").map(str::to_owned);
        if let (Some(answer), Some(given)) = (&answer, &given) {
            // Whether a window the client only mentioned is named in the answer is free (RFC 7692 section 7.1.2.2).
            assert!(given == answer || answer.starts_with(given.as_str()), "{offers:?}: {given}");
        } else {
            assert_eq!(given, answer, "{offers:?}");
        }
    }
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let rig = Rig::start(1);
    let ws = open(&rig, &["permessage-deflate"]).await;
    assert_eq!(ws.response.header("sec-websocket-extensions"), None);
}

#[tokio::test]
async fn long_messages_are_packed_in_both_directions() {
    let rig = Rig::with(1, |b| b.per_message_deflate(true));
    for offer in ["permessage-deflate", "permessage-deflate; server_max_window_bits=9"] {
        let mut ws = open(&rig, &[offer]).await;
        let text = format!("4{}", "long and boring ".repeat(5000));
        let mut frame = Vec::new();
        encode_frame(&mut frame, OpCode::Text, true, &deflate(text.as_bytes(), 15, 6), Some([1, 2, 3, 4]));
        assert!(frame.len() < 1000);
        let before = rig.engine.metrics().bytes_out;
        for _ in 0..3 {
            ws.send_raw(&frame).await;
            assert_eq!(ws.text().await, text);
        }
        ws.send_binary(&[7; 5000]).await;
        assert_eq!(ws.recv().await, Frame::Binary(vec![7; 5000]));
        ws.send("4short").await;
        assert_eq!(ws.text().await, "4short");
        let sent = rig.engine.metrics().bytes_out - before;
        assert!(sent < 10_000, "{sent} bytes for {}", 3 * text.len() + 5000);
    }
}

#[tokio::test]
async fn what_grows_over_the_limit_ends_the_session() {
    let mut rig = Rig::with(1, |b| b.per_message_deflate(true).max_payload(10_000));
    for (packed, code) in [(deflate(&[b'4'; 10_001], 15, 9), 1009), (b"\xff\xff\xff".to_vec(), 1007)] {
        let mut ws = open(&rig, &["permessage-deflate"]).await;
        let mut frame = Vec::new();
        encode_frame(&mut frame, OpCode::Text, true, &packed, Some([1, 2, 3, 4]));
        ws.send_raw(&frame).await;
        assert_eq!(ws.closed().await, Some(Some(code)));
        assert_eq!(rig.closed().await, "transport error");
    }
}
