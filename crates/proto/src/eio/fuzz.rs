//! Fuzz targets as plain functions: bytes into the payload decoders, sequences of operations into the
//! sessions of both sides.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use super::{
    ClientConfig, ClientOutput, ClientSession, CloseReason, Config, Message, Moment, Open, Output, Packet,
    PayloadV4Encoder, Query, Session, State, TransportKind, Version, decode_payload_v4, jsonp, payload_v3,
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

/// Reads `data` as an `open` packet, then as operations on a client's session with virtual clocks. After each must hold:
/// an unclosed session has a deadline, `Closed` comes once and last, requests never overlap, and the transport changes
/// only while none is under way.
pub fn fuzz_eio_client(data: &[u8]) {
    if let Ok(open) = std::str::from_utf8(data).map_err(drop).and_then(|text| Open::parse(text).map_err(drop))
    {
        // An interval of zero is announced by servers that round it to seconds.
        assert!(!open.sid.is_empty() && !open.ping_timeout.is_zero());
    }
    let mut bytes = data.iter().copied();
    let setup = bytes.next().unwrap_or(0);
    let transport = if setup & 1 == 0 { TransportKind::Polling } else { TransportKind::WebSocket };
    let open = Open {
        sid: "a".into(),
        upgrades_to_websocket: true,
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(20),
        max_payload: None,
    };
    let mut now = Moment { monotonic: Instant::now(), wall: SystemTime::now() };
    let mut session = ClientSession::new(ClientConfig::default(), &open, transport, now);
    let (mut closed, mut get, mut post) = (false, false, false);
    while let Some(operation) = bytes.next() {
        let argument = bytes.next().unwrap_or(0);
        let was = session.state();
        match operation % 14 {
            0 => now = now.after(Duration::from_millis(u64::from(argument) * 97)),
            1 => {
                let due = session.poll_timeout().unwrap_or(now.monotonic);
                now = now.after(due.saturating_duration_since(now.monotonic));
            }
            2 => match session.handle_packet(now, packet(argument)) {
                Ok(message) => assert!(message.is_none() || was == State::Open),
                Err(violation) => session.handle_transport_closed(violation.close_reason()),
            },
            3 => assert!(!session.begin_upgrade(now) || session.is_upgrading()),
            4 => session.handle_probe_open(),
            5 if argument > 100 => session.handle_probe_packet(&Packet::Pong(Cow::Borrowed("probe"))),
            5 => session.handle_probe_packet(&packet(argument)),
            6 => session.handle_probe_failed(),
            7 if session.begin_get() => {
                assert!(!get, "a second GET");
                get = true;
            }
            8 if get => {
                get = false;
                session.handle_get_ended();
            }
            9 if session.begin_post() => {
                assert!(!post, "a second POST");
                post = true;
            }
            10 if post => {
                post = false;
                session.handle_post_ended();
            }
            11 if argument > 200 => session.handle_transport_closed(CloseReason::TransportClose),
            12 if argument > 150 => session.handle_close(now),
            12 => session.handle_flushed(),
            // The machine slept: only the wall clock went on.
            13 if argument > 200 => now.wall += Duration::from_secs(3_600),
            _ => session.handle_timeout(now),
        }
        // One time in four the owner forgets to drain.
        if argument % 4 != 3 {
            while let Some(output) = session.poll_output() {
                assert!(!closed, "{output:?} after the end");
                assert!(output != ClientOutput::Upgraded || !(get || post), "a request was left behind");
                closed = matches!(output, ClientOutput::Closed(_));
            }
        }
        assert_eq!(session.state() == State::Closed, session.poll_timeout().is_none());
        assert!(!session.is_upgrading() || session.transport() == TransportKind::Polling);
    }
    // Left alone, every session ends by itself.
    for _ in 0..10 {
        let Some(deadline) = session.poll_timeout() else { break };
        now = now.after(deadline.saturating_duration_since(now.monotonic));
        session.handle_timeout(now);
    }
    assert_eq!(session.state(), State::Closed);
    while let Some(output) = session.poll_output() {
        assert!(!closed, "{output:?} after the end");
        closed = matches!(output, ClientOutput::Closed(_));
    }
    assert!(closed);
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
