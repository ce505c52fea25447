//! The machine against a virtual clock: single rules, then random sequences.

mod leaving;

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use trunkline_proto::sio::{Parser, encode_event};

use super::*;
use crate::config::OfflineBuffer;
use crate::error::EmitError;

const SECOND: Duration = Duration::from_secs(1);

/// A machine with one namespace `/`, and what it did.
struct Rig {
    manager: Manager<u32>,
    now: Instant,
    start: Instant,
    /// Time that the monotonic clock has missed.
    slept: Duration,
    nsp: Nsp,
}

#[derive(Debug, PartialEq)]
enum Did {
    Open,
    Close,
    Sent(String),
    Auth(u64),
    Event(String),
    Answer(u32, Result<(), NoAnswer>),
    Change(Lifecycle),
}

impl Rig {
    fn new(reconnection: Reconnection, sending: Sending) -> Self {
        let settings = Settings {
            parser: Parser::Json,
            decoder: sio::Limits::default(),
            reconnection,
            limits: Limits { max_offline: 1000, max_send_buffer: 1000, ..Limits::default() },
            seed: 7,
        };
        let mut manager = Manager::new(settings);
        let nsp = manager.add("/", sending);
        let now = Instant::now();
        Self { manager, now, start: now, slept: Duration::ZERO, nsp }
    }

    fn moment(&self) -> Moment {
        Moment { monotonic: self.now, wall: SystemTime::UNIX_EPOCH + self.slept + (self.now - self.start) }
    }

    fn did(&mut self) -> Vec<Did> {
        std::iter::from_fn(|| self.manager.poll_output())
            .map(|output| match output {
                Output::Open { .. } => Did::Open,
                Output::Close => Did::Close,
                Output::Send { message, .. } => {
                    Did::Sent(String::from_utf8(message.head.to_vec()).expect("text"))
                }
                Output::AskAuth { attempt, .. } => Did::Auth(attempt),
                Output::Event { name, .. } => Did::Event(name.into()),
                Output::Answer { waiter, result } => Did::Answer(waiter, result.map(drop)),
                Output::Change { change, .. } => Did::Change(change),
            })
            .collect()
    }

    /// Everything up to the connected socket.
    fn connect(&mut self) {
        self.manager.connect(self.nsp, self.now);
        self.open();
        self.did();
    }

    fn open(&mut self) {
        self.opened();
        let attempt = self.manager.auth_attempts;
        self.manager.handle_auth(self.nsp, attempt, Ok(None), self.now);
        self.manager.handle_text(r#"0{"sid":"id"}"#, self.now);
    }

    fn opened(&mut self) {
        self.manager.handle_opened(self.manager.openings, 45 * SECOND, self.moment());
    }

    fn open_failed(&mut self) {
        self.manager.handle_open_failed(self.manager.openings, &ConnectError::Timeout, self.now);
    }

    fn lose(&mut self) {
        self.manager.handle_closed(DisconnectReason::TransportClose, None, self.now);
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.manager.handle_timeout(self.now);
    }

    /// Goes to the next deadline.
    fn next_deadline(&mut self) -> Duration {
        let at = self.manager.poll_timeout().expect("a deadline");
        let step = at.saturating_duration_since(self.now);
        self.advance(step);
        step
    }

    fn emit(&mut self, name: &str, waiter: Option<u32>, timeout: Option<Duration>) -> Result<(), EmitError> {
        let is_retried = self.manager.namespaces[self.nsp.0].sending.retries.is_some();
        let id = (waiter.is_some() || is_retried).then(|| self.manager.next_ack_id(self.nsp));
        let message = encode_event(Parser::Json, 0, "/", id, name, &()).expect("encodes").into();
        let ack = id.map(|id| Asked { id, waiter, timeout });
        self.manager.emit(self.nsp, Emit { message, ack, volatile: false }, self.moment())
    }
}

fn lost(reason: DisconnectReason) -> Did {
    Did::Change(Lifecycle::Disconnect { reason, description: None })
}

/// `delay` in seconds.
fn again(attempt: u32, delay: u32) -> Did {
    Did::Change(Lifecycle::ReconnectIn { attempt, delay: delay * SECOND })
}

fn connected() -> Did {
    Did::Change(Lifecycle::Connect { recovered: false })
}

fn sent(text: &str) -> Did {
    Did::Sent(text.into())
}

fn plain() -> Reconnection {
    Reconnection::default().randomization(0.0)
}

#[test]
fn connecting_goes_step_by_step_and_nothing_is_sent_too_early() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.emit("early", None, None).unwrap();
    assert_eq!(rig.did(), []);
    rig.manager.connect(rig.nsp, rig.now);
    assert_eq!(rig.did(), [Did::Open]);
    rig.opened();
    assert_eq!(rig.did(), [Did::Auth(1)]);
    rig.manager.handle_auth(rig.nsp, 1, Ok(None), rig.now);
    assert_eq!(rig.did(), [sent("0")]);
    rig.manager.handle_text(r#"2["before"]"#, rig.now);
    assert_eq!(rig.did(), []);
    rig.manager.handle_text(r#"0{"sid":"id"}"#, rig.now);
    assert_eq!(rig.did(), [Did::Event("before".into()), sent(r#"2["early"]"#), connected()]);
    assert_eq!((rig.manager.id(rig.nsp), rig.manager.is_connected(rig.nsp)), (Some("id"), true));
    assert_eq!(rig.manager.poll_timeout(), None, "an idle connection has no deadline here");
}

#[test]
fn a_late_answer_of_the_auth_function_is_for_nobody() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.manager.connect(rig.nsp, rig.now);
    rig.opened();
    rig.lose();
    rig.did();
    rig.manager.handle_auth(rig.nsp, 1, Ok(None), rig.now);
    assert_eq!(rig.did(), []);
}

#[test]
fn attempts_double_their_delay_are_counted_and_start_anew() {
    let mut rig = Rig::new(plain().attempts(4), Sending::default());
    rig.connect();
    rig.lose();
    assert_eq!(rig.did(), [lost(DisconnectReason::TransportClose), again(1, 1)]);
    for (attempt, delay) in [(1, 1), (2, 2), (3, 4), (4, 5)] {
        assert_eq!(rig.next_deadline(), delay * SECOND);
        assert_eq!(rig.did(), [Did::Change(Lifecycle::ReconnectAttempt(attempt)), Did::Open]);
        rig.open_failed();
        let mut told = rig.did();
        assert_eq!(told[0], Did::Change(Lifecycle::ConnectError(ConnectError::Timeout)));
        let (failed, end) = (Lifecycle::ReconnectError(ConnectError::Timeout), Lifecycle::ReconnectFailed);
        let expected = match attempt {
            4 => [Did::Change(end), Did::Change(failed)],
            _ => [Did::Change(failed), again(attempt + 1, (2 * delay).min(5))],
        };
        assert_eq!(told.split_off(1), expected);
    }
    assert!(!rig.manager.is_trying() && rig.manager.poll_timeout().is_none());
    // Whoever asks anew begins anew.
    rig.manager.open();
    assert_eq!(rig.did(), [Did::Open]);
    rig.open();
    assert_eq!(rig.did().last(), Some(&connected()));
    rig.lose();
    assert_eq!(rig.next_deadline(), SECOND);
}

#[test]
fn who_connects_after_the_last_attempt_is_connected() {
    for reconnection in [plain().attempts(1), Reconnection::none()] {
        let mut rig = Rig::new(reconnection, Sending::default());
        rig.connect();
        rig.lose();
        if rig.manager.poll_timeout().is_some() {
            rig.next_deadline();
            rig.open_failed();
        }
        rig.did();
        assert!(!rig.manager.is_active(rig.nsp) && rig.manager.poll_timeout().is_none());
        rig.manager.connect(rig.nsp, rig.now);
        assert_eq!(rig.did(), [Did::Open]);
        assert!(rig.manager.is_active(rig.nsp));
        rig.open();
        assert_eq!(rig.did().last(), Some(&connected()));
    }
}

/// The task may learn of an opening's end after somebody has given it up and asked for another.
#[test]
fn what_becomes_of_an_opening_that_was_given_up_is_nothing_to_the_next() {
    for ends_well in [true, false] {
        let mut rig = Rig::new(plain(), Sending::default());
        rig.manager.connect(rig.nsp, rig.now);
        rig.did();
        let first = rig.manager.openings;
        rig.manager.disconnect(rig.nsp);
        rig.manager.connect(rig.nsp, rig.now);
        if ends_well {
            rig.manager.handle_opened(first, 45 * SECOND, rig.moment());
        } else {
            rig.manager.handle_open_failed(first, &ConnectError::Timeout, rig.now);
        }
        let closed = Did::Change(Lifecycle::ConnectError(ConnectError::Closed));
        assert_eq!(rig.did(), [closed, Did::Close, Did::Open]);
        rig.open();
        assert_eq!(rig.did(), [Did::Auth(1), sent("0"), connected()]);
    }
}

#[test]
fn a_volatile_question_that_is_dropped_does_not_wait_for_ever() {
    let mut rig = Rig::new(plain(), Sending::default());
    for (waiter, timeout) in [(1, None), (2, Some(SECOND))] {
        let id = rig.manager.next_ack_id(rig.nsp);
        let message = encode_event(Parser::Json, 0, "/", Some(id), "e", &()).expect("encodes").into();
        let ack = Some(Asked { id, waiter: Some(waiter), timeout });
        rig.manager.emit(rig.nsp, Emit { message, ack, volatile: true }, rig.moment()).unwrap();
    }
    assert_eq!(rig.did(), [Did::Answer(1, Err(NoAnswer::Disconnected))]);
    rig.advance(SECOND);
    assert_eq!(rig.did(), [Did::Answer(2, Err(NoAnswer::Timeout))]);
    assert!(!rig.manager.is_answer_awaited());
}

#[test]
fn a_reconnection_is_told_with_its_number() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.connect();
    rig.lose();
    rig.next_deadline();
    rig.open_failed();
    rig.next_deadline();
    rig.did();
    rig.open();
    assert_eq!(rig.did(), [Did::Auth(2), Did::Change(Lifecycle::Reconnect(2)), sent("0"), connected()]);
}

#[test]
fn no_reconnection_after_disconnects_that_were_meant() {
    let disconnects: [fn(&mut Rig); 3] = [
        |rig| rig.manager.disconnect(rig.nsp),
        |rig| rig.manager.handle_text("1", rig.now),
        |rig| rig.manager.shutdown(),
    ];
    for disconnect in disconnects {
        let mut rig = Rig::new(plain(), Sending::default());
        rig.connect();
        disconnect(&mut rig);
        assert!(rig.did().contains(&Did::Close));
        assert!(!rig.manager.is_trying() && !rig.manager.is_active(rig.nsp));
        assert_eq!(rig.manager.poll_timeout(), None);
    }
}

#[test]
fn a_refused_namespace_leaves_the_others_alone() {
    let mut rig = Rig::new(plain(), Sending::default());
    let other = rig.manager.add("/other", Sending::default());
    rig.connect();
    rig.manager.connect(other, rig.now);
    rig.manager.handle_auth(other, 2, Ok(None), rig.now);
    rig.did();
    rig.manager.handle_text(r#"4/other,{"message":"no","data":1}"#, rig.now);
    let refused = ConnectError::Refused { message: "no".into(), data: Some(1.into()) };
    assert_eq!(rig.did(), [Did::Change(Lifecycle::ConnectError(refused))]);
    assert!(!rig.manager.is_active(other) && rig.manager.is_connected(rig.nsp));
}

#[test]
fn each_wait_ends_once_by_answer_timeout_or_disconnect() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.connect();
    rig.emit("a", Some(1), Some(SECOND)).unwrap();
    rig.emit("b", Some(2), Some(SECOND)).unwrap();
    rig.emit("c", Some(3), None).unwrap();
    rig.did();
    rig.manager.handle_text("30[5]", rig.now);
    assert_eq!(rig.did(), [Did::Answer(1, Ok(()))]);
    rig.manager.handle_text("30[5]", rig.now);
    assert_eq!(rig.did(), []);
    assert_eq!(rig.next_deadline(), SECOND);
    assert_eq!(rig.did(), [Did::Answer(2, Err(NoAnswer::Timeout))]);
    rig.lose();
    assert_eq!(
        rig.did(),
        [lost(DisconnectReason::TransportClose), Did::Answer(3, Err(NoAnswer::Disconnected)), again(1, 1)]
    );
}

#[test]
fn what_was_not_sent_survives_a_disconnect_unless_its_time_is_over() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.connect();
    rig.lose();
    rig.did();
    rig.emit("kept", Some(1), Some(100 * SECOND)).unwrap();
    rig.emit("late", Some(2), Some(SECOND / 2)).unwrap();
    rig.next_deadline();
    assert_eq!(rig.did(), [Did::Answer(2, Err(NoAnswer::Timeout))]);
    rig.next_deadline();
    rig.did();
    rig.open();
    let did = rig.did();
    assert!(did.contains(&sent(r#"20["kept"]"#)) && !did.contains(&sent(r#"21["late"]"#)), "{did:?}");
    rig.manager.handle_text("30[]", rig.now);
    assert_eq!(rig.did(), [Did::Answer(1, Ok(()))]);
}

#[test]
fn after_a_sleep_events_are_kept_instead_of_written_to_a_dead_connection() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.connect();
    rig.now += 44 * SECOND;
    rig.manager.handle_ping(rig.moment());
    rig.now += 44 * SECOND;
    rig.emit("alive", None, None).unwrap();
    assert_eq!(rig.did(), [sent(r#"2["alive"]"#)]);
    rig.slept = 3600 * SECOND;
    rig.emit("kept", None, None).unwrap();
    assert_eq!(rig.did(), []);
    rig.manager.handle_closed(DisconnectReason::PingTimeout, None, rig.now);
    rig.next_deadline();
    rig.did();
    rig.open();
    assert!(rig.did().contains(&sent(r#"2["kept"]"#)));
}

#[test]
fn a_server_that_knows_repeats_is_told_that_ids_are_kept() {
    let answer = |retries: Option<u32>, connect: &str| {
        let mut rig = Rig::new(plain(), Sending { retries, ..Sending::default() });
        rig.manager.connect(rig.nsp, rig.now);
        rig.emit("a", Some(1), Some(SECOND)).unwrap();
        rig.opened();
        rig.manager.handle_auth(rig.nsp, rig.manager.auth_attempts, Ok(None), rig.now);
        rig.did();
        rig.manager.handle_text(connect, rig.now);
        rig.did()
    };
    let said = || sent(r#"2["trunkline:keeps-ids"]"#);
    let announced = r#"0{"sid":"id","once":true}"#;
    assert_eq!(answer(Some(1), announced)[..2], [said(), sent(r#"20["a"]"#)], "before all else");
    assert!(!answer(None, announced).contains(&said()), "without retries nothing is sent twice");
    for other in [r#"0{"sid":"id"}"#, r#"0{"sid":"id","once":false}"#] {
        assert!(!answer(Some(1), other).contains(&said()), "{other}");
    }
}

#[test]
fn silence_is_no_reason_for_doubt_while_nothing_is_read() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.connect();
    rig.manager.handle_reading(false, rig.moment());
    rig.now += 100 * SECOND;
    rig.emit("sent", None, None).unwrap();
    assert_eq!(rig.did(), [sent(r#"2["sent"]"#)]);
    rig.manager.handle_reading(true, rig.moment());
    rig.now += 44 * SECOND;
    rig.emit("sent", None, None).unwrap();
    assert_eq!(rig.did(), [sent(r#"2["sent"]"#)]);
    rig.manager.handle_reading(true, rig.moment());
    rig.now += SECOND;
    rig.emit("kept", None, None).unwrap();
    assert_eq!(rig.did(), []);
}

#[test]
fn retries_go_one_at_a_time_and_end_after_their_number() {
    let sending = Sending { retries: Some(1), ..Sending::default() };
    let mut rig = Rig::new(plain(), sending);
    rig.connect();
    rig.emit("a", Some(1), Some(SECOND)).unwrap();
    rig.emit("b", Some(2), Some(SECOND)).unwrap();
    assert_eq!(rig.did(), [sent(r#"20["a"]"#)]);
    rig.next_deadline();
    assert_eq!(rig.did(), [sent(r#"22["a"]"#)], "the second try, with an id of its own");
    // What answers the first try comes too late, as in the reference.
    rig.manager.handle_text("30[]", rig.now);
    assert_eq!(rig.did(), []);
    rig.next_deadline();
    // tries > retries: dropped, and the next one begins.
    assert_eq!(rig.did(), [Did::Answer(1, Err(NoAnswer::Timeout)), sent(r#"21["b"]"#)]);
    rig.lose();
    assert_eq!(rig.did(), [lost(DisconnectReason::TransportClose), again(1, 1)]);
    rig.next_deadline();
    rig.did();
    rig.open();
    assert!(rig.did().contains(&sent(r#"23["b"]"#)), "again after the reconnection");
    rig.manager.handle_text("33[]", rig.now);
    assert_eq!(rig.did(), [Did::Answer(2, Ok(()))]);
    assert_eq!(rig.manager.poll_timeout(), None);
}

/// Nothing else would end a wait for an event that waits for its first try, or that has no timeout.
#[test]
fn waits_without_an_end_of_their_own_end_when_nobody_tries_to_connect() {
    let gone = |waiter: u32| Did::Answer(waiter, Err(NoAnswer::Disconnected));
    type End = fn(&mut Rig);
    let ends: [(Reconnection, End); 5] = [
        (plain(), |rig| rig.manager.disconnect(rig.nsp)),
        (plain(), |rig| {
            rig.next_deadline();
            rig.opened();
            rig.manager.handle_auth(rig.nsp, rig.manager.auth_attempts, Ok(None), rig.now);
            rig.manager.handle_text(r#"4{"message":"no"}"#, rig.now);
        }),
        (plain(), |rig| {
            rig.next_deadline();
            rig.opened();
            rig.manager.handle_auth(rig.nsp, rig.manager.auth_attempts, Err("no".into()), rig.now);
        }),
        (plain().attempts(1), |rig| {
            rig.next_deadline();
            rig.open_failed();
        }),
        (Reconnection::none(), |_| {}),
    ];
    for (reconnection, end) in ends {
        for retries in [None, Some(1)] {
            let mut rig = Rig::new(reconnection, Sending { retries, ..Sending::default() });
            rig.connect();
            let timeout = retries.map(|_| SECOND);
            if reconnection.enabled {
                rig.lose();
                rig.emit("a", Some(1), timeout).unwrap();
                end(&mut rig);
            } else {
                rig.lose();
                rig.emit("a", Some(1), timeout).unwrap();
            }
            rig.advance(Duration::ZERO);
            assert!(!rig.did().contains(&gone(1)), "somebody may connect again");
            assert_eq!(rig.next_deadline(), 10 * SECOND);
            assert_eq!(rig.did(), [gone(1)]);
            rig.emit("b", Some(2), timeout).unwrap();
            rig.advance(Duration::ZERO);
            assert_eq!(rig.next_deadline(), 10 * SECOND, "also what is emitted afterwards");
            assert_eq!(rig.did(), [gone(2)]);
            assert_eq!(rig.manager.poll_timeout(), None);
            // The events are still kept for who connects again.
            rig.manager.connect(rig.nsp, rig.now);
            rig.open();
            assert!(rig.did().contains(&sent(r#"20["a"]"#)));
            rig.manager.handle_text("30[]", rig.now);
            assert!(!rig.did().iter().any(|did| matches!(did, Did::Answer(..))));
        }
    }
}

#[test]
fn a_wait_ends_with_the_only_connection() {
    let mut rig = Rig::new(Reconnection::none(), Sending { retries: Some(1), ..Sending::default() });
    rig.connect();
    rig.emit("a", Some(1), Some(SECOND)).unwrap();
    rig.did();
    rig.lose();
    rig.advance(Duration::ZERO);
    assert_eq!(rig.did(), [lost(DisconnectReason::TransportClose)]);
    rig.next_deadline();
    assert_eq!(rig.did(), [Did::Answer(1, Err(NoAnswer::Disconnected))]);
}

#[test]
fn what_is_asked_before_anybody_connects_waits_for_that() {
    for retries in [None, Some(1)] {
        let mut rig = Rig::new(plain(), Sending { retries, ..Sending::default() });
        rig.emit("a", Some(1), retries.map(|_| SECOND)).unwrap();
        assert_eq!(rig.did(), []);
        rig.connect();
        rig.manager.handle_text("30[]", rig.now);
        assert_eq!(rig.did(), [Did::Answer(1, Ok(()))]);
    }
}

#[test]
fn volatile_events_are_dropped_while_the_transport_is_busy() {
    let mut rig = Rig::new(plain(), Sending::default());
    let volatile = |rig: &mut Rig| {
        let message = encode_event(Parser::Json, 0, "/", None, "v", &()).expect("encodes").into();
        rig.manager.emit(rig.nsp, Emit { message, ack: None, volatile: true }, rig.moment()).unwrap();
        rig.did()
    };
    assert_eq!(volatile(&mut rig), []);
    rig.manager.connect(rig.nsp, rig.now);
    rig.opened();
    assert_eq!(volatile(&mut rig), [Did::Open, Did::Auth(1)]);
    rig.manager.handle_auth(rig.nsp, 1, Ok(None), rig.now);
    assert_eq!(volatile(&mut rig), [sent("0")]);
    rig.manager.handle_text(r#"0{"sid":"id"}"#, rig.now);
    assert_eq!(rig.did(), [connected()], "nothing was kept meanwhile");
    assert_eq!(volatile(&mut rig), [sent(r#"2["v"]"#)]);
    rig.manager.handle_transport(10, false);
    assert_eq!(volatile(&mut rig), []);
    rig.manager.handle_transport(0, true);
    assert_eq!(volatile(&mut rig), [sent(r#"2["v"]"#)]);
}

#[test]
fn the_send_buffer_is_bounded_by_what_the_transport_holds() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.connect();
    rig.manager.handle_transport(995, true);
    assert_eq!(rig.emit("long name", None, None), Err(EmitError::Full));
    rig.manager.handle_transport(0, true);
    assert_eq!(rig.emit("long name", None, None), Ok(()));
}

#[test]
fn times_beyond_the_clock_are_no_panic() {
    let mut rig = Rig::new(plain().delay(Duration::MAX).delay_max(Duration::MAX), Sending::default());
    rig.manager.settings.limits.connect_timeout = Duration::MAX;
    rig.connect();
    rig.emit("a", Some(1), Some(Duration::MAX)).unwrap();
    rig.lose();
    assert!(rig.manager.poll_timeout().is_some_and(|at| at > rig.now + 3600 * SECOND));
}

#[test]
fn attachments_have_a_deadline() {
    let mut rig = Rig::new(plain(), Sending::default());
    rig.connect();
    rig.manager.handle_text(r#"51-["x",{"_placeholder":true,"num":0}]"#, rig.now);
    assert_eq!(rig.next_deadline(), 10 * SECOND);
    let did = rig.did();
    assert_eq!(did[0], Did::Close);
    let Did::Change(Lifecycle::Disconnect { reason, .. }) = &did[1] else { panic!("{did:?}") };
    assert_eq!(*reason, DisconnectReason::ParseError);
}

/// What a machine must keep to, whatever happens: one connection at a time, sending only while it is open, every wait
/// ended exactly once, every event delivered in order at most once and never lost while nothing was lost.
#[test]
fn random_sequences_keep_the_promises() {
    let (mut sent, mut answered) = (0, 0);
    for seed in 0..400 {
        let retries = (seed % 3 == 0).then_some(2);
        let offline = if seed % 5 == 0 { OfflineBuffer::Last(3) } else { OfflineBuffer::All };
        let sending = Sending { retries, offline, ..Sending::default() };
        let mut rig = Rig::new(Reconnection::default(), sending);
        let mut random = seed * 0x9e37_79b9 + 1;
        let mut dice = move |sides: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % sides
        };
        // 0: none, 1: opening, 2: open.
        let mut link = 0;
        let mut asking = None;
        let mut waits: HashMap<u32, u32> = HashMap::new();
        let mut last_sent = -1;
        for step in 0..300u32 {
            match dice(12) {
                0 => rig.manager.connect(rig.nsp, rig.now),
                1 if dice(4) == 0 => rig.manager.disconnect(rig.nsp),
                2 if link == 1 => {
                    rig.opened();
                    link = 2;
                }
                3 if link == 1 => {
                    link = 0;
                    rig.open_failed();
                }
                4 if link == 2 && dice(3) == 0 => {
                    link = 0;
                    rig.lose();
                }
                5 => {
                    if let Some(attempt) = asking.take() {
                        rig.manager.handle_auth(rig.nsp, attempt, Ok(None), rig.now);
                    }
                }
                6 if link == 2 => rig.manager.handle_text(r#"0{"sid":"x","pid":"p"}"#, rig.now),
                7 if link == 2 => {
                    let id = dice(rig.manager.namespaces[rig.nsp.0].ack_ids + 1);
                    rig.manager.handle_text(&format!("3{id}[]"), rig.now);
                }
                8 => rig.advance(Duration::from_millis(dice(4000))),
                9 if link == 2 && dice(8) == 0 => rig.manager.handle_text("nonsense", rig.now),
                10 if link == 2 => rig.manager.handle_ping(rig.moment()),
                _ => {
                    if rig.emit(&format!("e{step}"), Some(step), Some(3 * SECOND)).is_ok() {
                        waits.insert(step, 0);
                    }
                }
            }
            for did in rig.did() {
                match did {
                    Did::Open => {
                        assert_eq!(link, 0, "seed {seed}: opened twice");
                        link = 1;
                    }
                    Did::Close => link = 0,
                    Did::Sent(text) => {
                        assert_eq!(link, 2, "seed {seed}: {text} without a connection");
                        if let Some(number) =
                            text.split_once("[\"e").and_then(|(_, rest)| rest.split_once('"')).map(|(n, _)| n)
                        {
                            let number: i64 = number.parse().unwrap();
                            // The same again is a retry.
                            assert!(
                                number > last_sent || retries.is_some() && number == last_sent,
                                "seed {seed}: {text} after {last_sent}"
                            );
                            last_sent = number;
                            sent += 1;
                        }
                    }
                    Did::Auth(attempt) => asking = Some(attempt),
                    Did::Answer(waiter, result) => {
                        *waits.get_mut(&waiter).expect("somebody waited") += 1;
                        answered += u32::from(result.is_ok());
                    }
                    Did::Event(_) | Did::Change(_) => {}
                }
            }
            assert!(waits.values().all(|ends| *ends <= 1), "seed {seed}: ended twice");
        }
        rig.manager.shutdown();
        for did in rig.did() {
            if let Did::Answer(waiter, _) = did {
                *waits.get_mut(&waiter).expect("somebody waited") += 1;
            }
        }
        assert!(waits.values().all(|ends| *ends == 1), "seed {seed}: a wait without end");
        assert_eq!((rig.manager.unsent, rig.manager.deadlines.len()), (0, 0), "seed {seed}");
        assert!(rig.manager.poll_timeout().is_none(), "seed {seed}");
    }
    assert!(sent > 1000 && answered > 100, "the sequences get far enough: {sent} sent, {answered} answered");
}
