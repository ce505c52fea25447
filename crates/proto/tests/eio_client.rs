//! A client's session under virtual clocks: heartbeat, sleep, upgrade, close, and any sequence of operations.

use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use trunkline_proto::eio::{
    ClientConfig, ClientOutput, ClientSession, CloseReason, Message, Moment, Open, Packet, State,
    TransportKind, Violation, fuzz,
};

const SILENCE: Duration = Duration::from_secs(45);
const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn pings_are_answered_and_put_the_deadline_off() {
    let (mut session, start) = session(TransportKind::WebSocket);
    let mut now = start;
    for _ in 0..3 {
        now = now.after(SILENCE - MILLISECOND);
        session.handle_timeout(now);
        assert_eq!(session.handle_packet(now, Packet::Ping("".into())), Ok(None));
        assert_eq!(outputs(&mut session), [ClientOutput::Pong]);
        assert_eq!(session.poll_timeout(), Some(now.after(SILENCE).monotonic));
    }
    // Anything but a ping puts nothing off.
    let late = now.after(SILENCE - MILLISECOND);
    assert_eq!(session.handle_packet(late, text()), Ok(Some(Message::Text("hello".into()))));
    session.handle_timeout(now.after(SILENCE));
    assert_eq!(outputs(&mut session), [ClientOutput::Closed(CloseReason::PingTimeout)]);
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_sleep_is_seen_on_the_wall_clock() {
    let (mut session, now) = session(TransportKind::WebSocket);
    let awake = Moment { wall: now.wall + SILENCE, ..now };
    assert!(!session.has_expired(Moment { wall: now.wall + SILENCE - MILLISECOND, ..now }));
    assert!(session.has_expired(awake));
    session.handle_timeout(awake);
    assert_eq!(outputs(&mut session), [ClientOutput::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn a_wall_clock_set_back_changes_nothing() {
    let (mut session, now) = session(TransportKind::WebSocket);
    let back = Moment { wall: now.wall - Duration::from_secs(86_400), ..now };
    assert!(!session.has_expired(back));
    session.handle_timeout(Moment { monotonic: now.after(SILENCE).monotonic, ..back });
    assert_eq!(outputs(&mut session), [ClientOutput::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn silence_means_nothing_while_nobody_reads() {
    let (mut session, start) = session(TransportKind::WebSocket);
    session.handle_reading_stopped();
    assert_eq!(session.poll_timeout(), None);
    let now = start.after(10 * SILENCE);
    session.handle_timeout(now);
    assert!(!session.has_expired(now) && outputs(&mut session).is_empty());
    for _ in 0..2 {
        session.handle_reading_resumed(now);
        assert_eq!(session.poll_timeout(), Some(now.after(SILENCE).monotonic));
    }
    // Reading on is no news: it puts nothing off.
    session.handle_reading_resumed(now.after(SILENCE - MILLISECOND));
    session.handle_timeout(now.after(SILENCE));
    assert_eq!(outputs(&mut session), [ClientOutput::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn an_upgrade_waits_for_the_requests_under_way() {
    let (mut session, now) = session(TransportKind::Polling);
    assert!(session.begin_get() && !session.begin_get());
    assert!(session.begin_post() && !session.begin_post());
    assert!(session.begin_upgrade(now) && !session.begin_upgrade(now));
    assert_eq!(outputs(&mut session), []);
    session.handle_probe_open();
    assert_eq!(outputs(&mut session), [ClientOutput::ProbePing]);
    session.handle_post_ended();
    assert!(session.begin_post(), "polling goes on until the answer");
    session.handle_probe_packet(&Packet::Pong("probe".into()));
    assert!(session.is_paused());
    session.handle_get_ended();
    assert!(!session.begin_get(), "paused");
    // What the last poll brought still counts.
    assert_eq!(session.handle_packet(now, text()), Ok(Some(Message::Text("hello".into()))));
    assert_eq!(outputs(&mut session), []);
    session.handle_post_ended();
    assert_eq!(outputs(&mut session), [ClientOutput::Upgraded]);
    assert_eq!((session.transport(), session.is_upgrading()), (TransportKind::WebSocket, false));
    assert_eq!(session.poll_timeout(), Some(now.after(SILENCE).monotonic), "the upgrade's deadline is over");
    assert!(!session.begin_get() && !session.begin_post() && !session.begin_upgrade(now));
}

#[test]
fn a_failed_upgrade_falls_back_to_polling() {
    let (mut session, now) = session(TransportKind::Polling);
    assert!(session.begin_upgrade(now));
    session.handle_probe_failed();
    assert_eq!(outputs(&mut session), [], "the owner knows already");
    assert!(session.begin_get());

    for packet in [Packet::Pong("".into()), Packet::Pong("Probe".into()), Packet::Close, Packet::Noop, text()]
    {
        assert!(session.begin_upgrade(now));
        session.handle_probe_open();
        session.handle_probe_packet(&packet);
        assert_eq!(
            outputs(&mut session),
            [ClientOutput::ProbePing, ClientOutput::CloseProbe][1..],
            "{packet:?}"
        );
        assert!(!session.is_upgrading());
    }
}

#[test]
fn an_answer_before_the_question_is_refused() {
    let (mut session, now) = session(TransportKind::Polling);
    assert!(session.begin_upgrade(now));
    session.handle_probe_packet(&Packet::Pong("probe".into()));
    assert_eq!(outputs(&mut session), [ClientOutput::CloseProbe]);
    assert!(!session.is_paused());
}

#[test]
fn an_upgrade_has_a_deadline_also_when_paused() {
    let (mut session, now) = session(TransportKind::Polling);
    assert!(session.begin_get() && session.begin_upgrade(now));
    session.handle_probe_open();
    session.handle_probe_packet(&Packet::Pong("probe".into()));
    assert_eq!(outputs(&mut session), [ClientOutput::ProbePing]);
    let deadline = now.after(ClientConfig::default().upgrade_timeout);
    assert_eq!(session.poll_timeout(), Some(deadline.monotonic));
    session.handle_timeout(deadline);
    assert_eq!(outputs(&mut session), [ClientOutput::CloseProbe]);
    session.handle_get_ended();
    assert_eq!(outputs(&mut session), [], "too late");
    assert!(session.begin_get() && session.begin_post(), "polling goes on");
}

#[test]
fn a_close_flushes_first() {
    let (mut session, now) = session(TransportKind::Polling);
    assert!(session.begin_get() && session.begin_upgrade(now));
    session.handle_probe_open();
    session.handle_probe_packet(&Packet::Pong("probe".into()));
    assert_eq!(outputs(&mut session), [ClientOutput::ProbePing]);
    session.handle_close(now);
    assert_eq!(outputs(&mut session), [ClientOutput::CloseProbe, ClientOutput::Finish]);
    assert_eq!(session.handle_packet(now, text()), Ok(None), "no message reaches a closing session");
    session.handle_get_ended();
    assert!(session.begin_post() && !session.begin_get());
    session.handle_flushed();
    assert_eq!(outputs(&mut session), [ClientOutput::Closed(CloseReason::ForcedClose)]);
    session.handle_transport_closed(CloseReason::TransportError);
    assert_eq!(outputs(&mut session), []);
}

#[test]
fn a_close_does_not_wait_forever() {
    let (mut session, now) = session(TransportKind::WebSocket);
    session.handle_close(now);
    assert_eq!(outputs(&mut session), [ClientOutput::Finish]);
    let deadline = now.after(ClientConfig::default().close_timeout);
    assert_eq!(session.poll_timeout(), Some(deadline.monotonic));
    session.handle_timeout(deadline);
    assert_eq!(outputs(&mut session), [ClientOutput::Closed(CloseReason::ForcedClose)]);
}

#[test]
fn the_end_of_a_transport_ends_the_session_in_every_state() {
    for reason in [CloseReason::TransportClose, CloseReason::TransportError, CloseReason::ParseError] {
        let (mut session, now) = session(TransportKind::Polling);
        assert!(session.begin_upgrade(now));
        session.handle_transport_closed(reason);
        assert_eq!(outputs(&mut session), [ClientOutput::CloseProbe, ClientOutput::Closed(reason)]);
        assert!(!session.begin_get() && !session.begin_post() && !session.begin_upgrade(now));
    }
    let (mut session, now) = session(TransportKind::WebSocket);
    assert_eq!(session.handle_packet(now, Packet::Close), Ok(None));
    assert_eq!(outputs(&mut session), [ClientOutput::Closed(CloseReason::TransportClose)]);
    assert_eq!((session.handle_packet(now, text()), session.state()), (Ok(None), State::Closed));
}

#[test]
fn packets_out_of_place() {
    let (mut session, now) = session(TransportKind::Polling);
    assert_eq!(session.handle_packet(now, Packet::Noop), Ok(None));
    assert_eq!(session.handle_packet(now, Packet::Pong("".into())), Err(Violation::HeartbeatDirection));
    for packet in [Packet::Open("{}".into()), Packet::Upgrade] {
        assert_eq!(session.handle_packet(now, packet), Err(Violation::UnexpectedPacket));
    }
}

#[test]
fn a_flood_of_pings_makes_no_work_pile_up() {
    let (mut session, now) = session(TransportKind::WebSocket);
    for _ in 0..1_000 {
        assert_eq!(session.handle_packet(now, Packet::Ping("".into())), Ok(None));
    }
    assert_eq!(outputs(&mut session), [ClientOutput::Pong]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// `fuzz_eio_client` asserts after each operation what must always hold.
    #[test]
    fn any_sequence_keeps_the_promises(operations in proptest::collection::vec(any::<u8>(), 0..120)) {
        fuzz::fuzz_eio_client(&operations);
    }
}

fn session(transport: TransportKind) -> (ClientSession, Moment) {
    let now = Moment { monotonic: Instant::now(), wall: SystemTime::now() };
    let open = Open {
        sid: "a".into(),
        upgrades_to_websocket: true,
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(20),
        max_payload: Some(1_000_000),
    };
    (ClientSession::new(ClientConfig::default(), &open, transport, now), now)
}

fn outputs(session: &mut ClientSession) -> Vec<ClientOutput> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

fn text() -> Packet<'static> {
    Packet::Message(Message::Text("hello".into()))
}
