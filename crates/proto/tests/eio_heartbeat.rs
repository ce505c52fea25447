//! Heartbeats of both protocols, with a virtual clock.

use std::time::{Duration, Instant};

use trunkline_proto::eio::{
    CloseReason, Config, Message, Output, Packet, Session, State, TransportKind, Version, Violation,
};

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);

#[test]
fn v4_first_ping_comes_after_the_interval() {
    let (mut session, start) = session(Version::V4);
    assert_eq!(outputs(&mut session), []);
    assert_eq!(session.poll_timeout(), Some(start + INTERVAL));
    session.handle_timeout(start);
    session.handle_timeout(start + INTERVAL - Duration::from_nanos(1));
    assert_eq!(outputs(&mut session), []);
    session.handle_timeout(start + INTERVAL);
    assert_eq!(outputs(&mut session), [Output::Ping]);
    assert_eq!(session.poll_timeout(), Some(start + INTERVAL + TIMEOUT));
}

#[test]
fn v4_a_slightly_late_ping_does_not_move_the_end() {
    // (ms the ping is late, ms after which the session ends without a pong)
    for (late, end) in [(0, 500), (2, 500), (5, 500), (6, 506)] {
        let (mut session, start) = session(Version::V4);
        session.handle_timeout(start + INTERVAL + Duration::from_millis(late));
        assert_eq!(outputs(&mut session), [Output::Ping]);
        assert_eq!(session.poll_timeout(), Some(start + Duration::from_millis(end)), "{late} ms late");
    }
}

#[test]
fn v4_pong_starts_the_next_interval() {
    let (mut session, mut now) = session(Version::V4);
    for round in 0..3 {
        now += INTERVAL;
        session.handle_timeout(now);
        assert_eq!(outputs(&mut session), [Output::Ping], "round {round}");
        now += Duration::from_millis(50);
        assert_eq!(session.handle_packet(now, pong()), Ok(None));
        assert_eq!(session.poll_timeout(), Some(now + INTERVAL), "round {round}");
    }
    assert_eq!(session.state(), State::Open);
}

#[test]
fn v4_only_a_pong_saves_a_session() {
    let (mut session, start) = session(Version::V4);
    session.handle_timeout(start + INTERVAL);
    assert_eq!(outputs(&mut session), [Output::Ping]);
    let deadline = start + INTERVAL + TIMEOUT;
    assert!(
        session.handle_packet(deadline - Duration::from_millis(1), text()).is_ok_and(|got| got.is_some())
    );
    assert_eq!(session.poll_timeout(), Some(deadline));
    session.handle_timeout(deadline);
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::PingTimeout)]);
    assert_eq!((session.state(), session.poll_timeout()), (State::Closed, None));
}

#[test]
fn v4_unasked_pongs_change_nothing() {
    let (mut session, start) = session(Version::V4);
    for step in 0..1_000 {
        let now = start + Duration::from_micros(step);
        assert_eq!(session.handle_packet(now, pong()), Ok(None));
        assert_eq!(outputs(&mut session), []);
    }
    assert_eq!(session.poll_timeout(), Some(start + INTERVAL), "a client cannot put off its ping");
}

#[test]
fn wrong_direction_is_a_violation() {
    for (version, packet) in [(Version::V4, ping()), (Version::V3, pong())] {
        let (mut session, now) = session(version);
        let violation = session.handle_packet(now, packet).expect_err("a heartbeat in the wrong direction");
        assert_eq!(violation, Violation::HeartbeatDirection);
        session.handle_transport_closed(violation.close_reason());
        assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::TransportError)]);
    }
}

#[test]
fn v3_pings_are_answered_and_prolong() {
    let (mut session, start) = session(Version::V3);
    assert_eq!(session.poll_timeout(), Some(start + INTERVAL + TIMEOUT));
    let now = start + INTERVAL;
    assert_eq!(session.handle_packet(now, ping()), Ok(None));
    assert_eq!(outputs(&mut session), [Output::Pong]);
    assert_eq!(session.poll_timeout(), Some(now + INTERVAL + TIMEOUT));
    let now = now + INTERVAL;
    assert_eq!(session.handle_packet(now, text()), Ok(Some(Message::Text("hello".into()))));
    assert_eq!(session.poll_timeout(), Some(now + INTERVAL + TIMEOUT), "any packet is a sign of life");
    session.handle_timeout(now + INTERVAL + TIMEOUT);
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn v3_ping_flood_piles_up_nothing() {
    let (mut session, now) = session(Version::V3);
    for _ in 0..100_000 {
        assert_eq!(session.handle_packet(now, ping()), Ok(None));
    }
    assert_eq!(outputs(&mut session), [Output::Pong]);
    assert_eq!(session.poll_timeout(), Some(now + INTERVAL + TIMEOUT));
}

#[test]
fn heartbeats_go_on_during_an_upgrade() {
    let (mut session, start) = session(Version::V4);
    assert!(session.handle_probe_open(start + INTERVAL - Duration::from_millis(1)));
    session.handle_timeout(start + INTERVAL);
    assert_eq!(outputs(&mut session), [Output::Ping]);
    session.handle_probe_packet(start + INTERVAL, &Packet::Upgrade);
    assert_eq!(outputs(&mut session), [Output::Upgraded]);
    assert_eq!(session.poll_timeout(), Some(start + INTERVAL + TIMEOUT), "the pong is still due");
    let now = start + INTERVAL + Duration::from_millis(10);
    assert_eq!(session.handle_packet(now, pong()), Ok(None));
    assert_eq!(session.poll_timeout(), Some(now + INTERVAL));
}

#[test]
fn a_late_driver_still_gives_the_client_its_time() {
    let (mut session, start) = session(Version::V4);
    let late = start + INTERVAL * 100;
    session.handle_timeout(late);
    assert_eq!(outputs(&mut session), [Output::Ping]);
    assert_eq!(session.poll_timeout(), Some(late + TIMEOUT));
}

fn session(version: Version) -> (Session, Instant) {
    let now = Instant::now();
    let config = Config { ping_interval: INTERVAL, ping_timeout: TIMEOUT, ..Config::default() };
    (Session::new(config, version, TransportKind::Polling, now), now)
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

fn ping() -> Packet<'static> {
    Packet::Ping("".into())
}

fn pong() -> Packet<'static> {
    Packet::Pong("".into())
}

fn text() -> Packet<'static> {
    Packet::Message(Message::Text("hello".into()))
}
