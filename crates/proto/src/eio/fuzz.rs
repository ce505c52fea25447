//! Fuzz targets as plain functions: bytes into the payload decoders, sequences of operations into the
//! session.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::{
    CloseReason, Config, Message, Output, Packet, PayloadV4Encoder, Query, Session, State, TransportKind,
    Version, decode_payload_v4, jsonp, payload_v3,
};

/// Feeds `data` to every decoder; what decodes must survive a round trip.
pub fn fuzz_eio_payload(data: &[u8]) {
    let binary: Vec<_> = payload_v3::decode_binary(data).map_while(Result::ok).collect();
    round_trip_v3(&binary);
    for version in [Version::V3, Version::V4] {
        if let Ok(Packet::Message(Message::Binary(content))) = Packet::decode_binary(version, data) {
            let mut again = Vec::new();
            Packet::encode_binary(version, &content, &mut again);
            assert_eq!(again, data);
        }
    }
    if let Ok(payload) = jsonp::decode_post(data) {
        assert!(payload.len() <= data.len());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let query = Query::parse(text);
    assert!(query.jsonp().is_none_or(|index| index.bytes().all(|byte| byte.is_ascii_digit())));

    let packets: Vec<_> = payload_v3::decode_text(text).map_while(Result::ok).collect();
    round_trip_v3(&packets);
    let packets: Vec<_> = decode_payload_v4(text).map_while(Result::ok).collect();
    if !packets.is_empty() {
        let mut encoder = PayloadV4Encoder::new();
        for packet in &packets {
            match packet {
                Packet::Message(Message::Binary(content)) => encoder.binary(content),
                packet => {
                    let mut raw = Vec::new();
                    packet.encode_text(Version::V4, &mut raw);
                    encoder.text(&raw);
                }
            }
        }
        let body = String::from_utf8(encoder.finish()).expect("packets of a text are text");
        let again: Vec<_> = decode_payload_v4(&body).collect::<Result<_, _>>().expect("own encoding decodes");
        assert_eq!(again, packets);
    }
}

/// Reads `data` as operations on a session with a virtual clock, and checks after each what must always
/// hold: an unclosed session has a deadline, `Closed` comes once and last.
pub fn fuzz_eio_session(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let setup = bytes.next().unwrap_or(0);
    let version = if setup & 1 == 0 { Version::V4 } else { Version::V3 };
    let transport = if setup & 2 == 0 { TransportKind::Polling } else { TransportKind::WebSocket };
    let mut now = Instant::now();
    let mut session = Session::new(Config::default(), version, transport, now);
    let mut closed = false;
    while let Some(operation) = bytes.next() {
        let argument = bytes.next().unwrap_or(0);
        let was = session.state();
        match operation % 11 {
            0 => now += Duration::from_millis(u64::from(argument) * 97),
            1 => now = session.poll_timeout().unwrap_or(now).max(now),
            2 => match session.handle_packet(now, packet(argument)) {
                Ok(message) => assert!(message.is_none() || was == State::Open),
                Err(violation) => session.handle_transport_closed(violation.close_reason()),
            },
            3 => {
                let accepted = session.handle_probe_open(now);
                assert_eq!(accepted, accepted && session.is_upgrading());
            }
            4 => session.handle_probe_packet(now, &packet(argument)),
            5 => session.handle_probe_closed(),
            6 if argument > 200 => session.handle_transport_closed(CloseReason::TransportClose),
            7 if argument > 100 => session.handle_close(now, CloseReason::ForcedClose),
            8 => session.handle_flushed(),
            10 => session.handle_resumed(now),
            _ => session.handle_timeout(now),
        }
        // One time in four the owner forgets to drain.
        if argument % 4 != 3 {
            closed |= drain(&mut session, closed);
        }
        assert_eq!(session.state() == State::Closed, session.poll_timeout().is_none());
        assert!(!session.is_upgrading() || session.transport() == TransportKind::Polling);
    }
    // Left alone, every session ends by itself.
    for _ in 0..1_000 {
        closed |= drain(&mut session, closed);
        let Some(deadline) = session.poll_timeout() else { break };
        session.handle_timeout(deadline);
    }
    assert!(closed && session.state() == State::Closed);
}

/// Takes all outputs; says whether the session closed. Nothing may follow `Closed`.
fn drain(session: &mut Session, closed: bool) -> bool {
    let mut closes = false;
    while let Some(output) = session.poll_output() {
        assert!(!closed && !closes, "{output:?} after the end");
        closes = matches!(output, Output::Closed(_));
    }
    closes
}

fn packet(argument: u8) -> Packet<'static> {
    match argument % 9 {
        0 => Packet::Open(Cow::Borrowed("{}")),
        1 => Packet::Close,
        2 => Packet::Ping(Cow::Borrowed("")),
        3 => Packet::Ping(Cow::Borrowed("probe")),
        4 => Packet::Pong(Cow::Borrowed("")),
        5 => Packet::Message(Message::Text(Cow::Borrowed("hello"))),
        6 => Packet::Message(Message::Binary(Cow::Borrowed(&[1, 2]))),
        7 => Packet::Upgrade,
        _ => Packet::Noop,
    }
}

fn round_trip_v3(packets: &[Packet<'_>]) {
    let mut text = payload_v3::Encoder::text_form();
    let mut binary = payload_v3::Encoder::binary_form();
    for packet in packets {
        text.packet(packet);
        binary.packet(packet);
    }
    let text = String::from_utf8(text.finish()).expect("packets of a text form are text");
    let again: Vec<_> =
        payload_v3::decode_text(&text).collect::<Result<_, _>>().expect("own encoding decodes");
    assert_eq!(again, packets);
    let binary = binary.finish();
    let again: Vec<_> =
        payload_v3::decode_binary(&binary).collect::<Result<_, _>>().expect("own encoding decodes");
    assert_eq!(again, packets);
}
