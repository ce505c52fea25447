//! Upgrades and closes as scripts, and what must hold after any sequence of operations.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use trunkline_proto::eio::{
    CloseReason, Config, Message, Output, Packet, Session, State, TransportKind, Version, Violation, fuzz,
};

const NOOP_PERIOD: Duration = Duration::from_millis(100);

#[test]
fn an_upgrade() {
    for version in [Version::V3, Version::V4] {
        let (mut session, now) = polling(version);
        assert!(session.handle_probe_open(now));
        assert!(session.is_upgrading());
        session.handle_probe_packet(now, &probe());
        assert_eq!(outputs(&mut session), [Output::ProbePong]);
        for step in 1..4 {
            let at = now + NOOP_PERIOD * step;
            assert_eq!(session.poll_timeout(), Some(at));
            session.handle_timeout(at);
            assert_eq!(outputs(&mut session), [Output::Noop]);
        }
        // Polling works until the end.
        assert_eq!(session.handle_packet(now, text()), Ok(Some(Message::Text("hello".into()))));
        session.handle_probe_packet(now + NOOP_PERIOD * 3, &Packet::Upgrade);
        assert_eq!(outputs(&mut session), [Output::Upgraded]);
        assert_eq!((session.transport(), session.is_upgrading()), (TransportKind::WebSocket, false));
        assert!(session.poll_timeout().is_some_and(|at| at > now + NOOP_PERIOD * 4), "no noop after it");
        assert!(!session.handle_probe_open(now), "once upgraded, never again");
        assert_eq!(outputs(&mut session), []);
    }
}

#[test]
fn an_upgrade_has_a_deadline_of_its_own() {
    let (mut session, now) = polling(Version::V4);
    assert!(session.handle_probe_open(now));
    session.handle_probe_packet(now, &probe());
    assert_eq!(outputs(&mut session), [Output::ProbePong]);
    let deadline = now + Config::default().upgrade_timeout;
    // Further probes do not put it off.
    session.handle_probe_packet(deadline - Duration::from_millis(1), &probe());
    session.handle_timeout(deadline);
    assert_eq!(outputs(&mut session), [Output::CloseProbe]);
    assert_eq!((session.state(), session.transport()), (State::Open, TransportKind::Polling));
    assert!(!session.is_upgrading());
    assert!(session.handle_probe_open(deadline), "a client may try again");
}

#[test]
fn any_other_packet_closes_only_the_probe() {
    for packet in [
        Packet::Ping("".into()),
        Packet::Ping("Probe".into()),
        Packet::Pong("probe".into()),
        Packet::Close,
        Packet::Noop,
        Packet::Open("".into()),
        text(),
    ] {
        let (mut session, now) = polling(Version::V4);
        assert!(session.handle_probe_open(now));
        session.handle_probe_packet(now, &packet);
        assert_eq!(outputs(&mut session), [Output::CloseProbe], "{packet:?}");
        assert_eq!((session.state(), session.is_upgrading()), (State::Open, false));
        session.handle_probe_packet(now, &Packet::Upgrade);
        assert_eq!(outputs(&mut session), [], "a dropped probe is not heard");
        assert_eq!(session.transport(), TransportKind::Polling);
    }
}

#[test]
fn a_second_probe_is_refused() {
    let (mut session, now) = polling(Version::V4);
    assert!(session.handle_probe_open(now));
    assert!(!session.handle_probe_open(now));
    session.handle_probe_closed();
    assert_eq!(outputs(&mut session), []);
    assert!(session.handle_probe_open(now), "the first is gone");
}

#[test]
fn a_websocket_session_refuses_probes() {
    let now = Instant::now();
    let mut session = Session::new(Config::default(), Version::V4, TransportKind::WebSocket, now);
    assert!(!session.handle_probe_open(now));
}

#[test]
fn closing_during_an_upgrade_closes_both() {
    let (mut session, now) = polling(Version::V4);
    assert!(session.handle_probe_open(now));
    session.handle_transport_closed(CloseReason::TransportError);
    assert_eq!(outputs(&mut session), [Output::CloseProbe, Output::Closed(CloseReason::TransportError)]);

    let (mut session, now) = polling(Version::V4);
    assert!(session.handle_probe_open(now));
    session.handle_close(now, CloseReason::ForcedClose);
    assert_eq!(outputs(&mut session), [Output::CloseProbe, Output::Finish]);
    session.handle_flushed();
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn a_close_waits_for_the_flush() {
    let (mut session, now) = polling(Version::V4);
    session.handle_close(now, CloseReason::ServerShuttingDown);
    assert_eq!(session.state(), State::Closing);
    assert_eq!(outputs(&mut session), [Output::Finish]);
    assert_eq!(session.handle_packet(now, text()), Ok(None), "no message reaches a closing session");
    session.handle_close(now, CloseReason::ForcedClose);
    assert_eq!(outputs(&mut session), [], "a second close changes nothing");
    session.handle_flushed();
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::ServerShuttingDown)]);
    session.handle_flushed();
    session.handle_timeout(now + Duration::from_secs(3600));
    session.handle_transport_closed(CloseReason::TransportClose);
    assert_eq!(outputs(&mut session), []);
}

#[test]
fn a_close_does_not_wait_forever() {
    let (mut session, now) = polling(Version::V4);
    session.handle_close(now, CloseReason::ForcedClose);
    assert_eq!(outputs(&mut session), [Output::Finish]);
    let deadline = now + Config::default().close_timeout;
    assert_eq!(session.poll_timeout(), Some(deadline));
    session.handle_timeout(deadline);
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn a_lost_transport_keeps_the_reason_of_the_close() {
    let (mut session, now) = polling(Version::V4);
    session.handle_close(now, CloseReason::SlowReader);
    session.handle_transport_closed(CloseReason::TransportError);
    assert_eq!(
        outputs(&mut session),
        [Output::Closed(CloseReason::SlowReader)],
        "nothing to finish any more"
    );
}

#[test]
fn a_close_packet_ends_the_session() {
    let (mut session, now) = polling(Version::V4);
    assert_eq!(session.handle_packet(now, Packet::Close), Ok(None));
    assert_eq!(outputs(&mut session), [Output::Noop, Output::Closed(CloseReason::TransportClose)]);

    let mut session = Session::new(Config::default(), Version::V4, TransportKind::WebSocket, now);
    assert_eq!(session.handle_packet(now, Packet::Close), Ok(None));
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::TransportClose)]);
    assert_eq!(session.handle_packet(now, text()), Ok(None), "nothing is heard after the end");
}

#[test]
fn packets_out_of_place() {
    let (mut session, now) = polling(Version::V4);
    assert_eq!(session.handle_packet(now, Packet::Noop), Ok(None));
    for packet in [Packet::Open("".into()), Packet::Upgrade] {
        assert_eq!(session.handle_packet(now, packet), Err(Violation::UnexpectedPacket));
    }
}

#[test]
fn undecodable_packets_are_parse_errors() {
    let (mut session, _) = polling(Version::V4);
    let violation = Packet::decode_text(Version::V4, "abc").expect_err("no packet");
    session.handle_transport_closed(violation.close_reason());
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::ParseError)]);
}

#[test]
fn sessions_are_small() {
    assert!(size_of::<Session>() <= 96, "{}", size_of::<Session>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// `fuzz_eio_session` asserts after each operation: an unclosed session has a deadline, `Closed` comes
    /// once, last.
    #[test]
    fn every_state_has_a_deadline(operations in proptest::collection::vec(any::<u8>(), 0..120)) {
        fuzz::fuzz_eio_session(&operations);
    }

    /// Drained after each step, at most one output of a kind per step, and left alone, an end.
    #[test]
    fn periods_of_any_length_end(interval in 0u64..=u64::MAX, timeout in 0u64..=u64::MAX, v3: bool) {
        let now = Instant::now();
        let config = Config {
            ping_interval: Duration::from_millis(interval),
            ping_timeout: Duration::from_millis(timeout),
            ..Config::default()
        };
        let version = if v3 { Version::V3 } else { Version::V4 };
        let mut session = Session::new(config, version, TransportKind::Polling, now);
        let mut seen = Vec::new();
        while let Some(deadline) = session.poll_timeout() {
            session.handle_timeout(deadline);
            seen.extend(outputs(&mut session));
            prop_assert!(seen.len() <= 2);
        }
        let end = Output::Closed(CloseReason::PingTimeout);
        prop_assert_eq!(seen, if v3 { vec![end] } else { vec![Output::Ping, end] });
    }
}

fn polling(version: Version) -> (Session, Instant) {
    let now = Instant::now();
    (Session::new(Config::default(), version, TransportKind::Polling, now), now)
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

fn probe() -> Packet<'static> {
    Packet::Ping("probe".into())
}

fn text() -> Packet<'static> {
    Packet::Message(Message::Text("hello".into()))
}
