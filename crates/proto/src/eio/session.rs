//! The life of one session: heartbeat of both protocols, upgrade to WebSocket, orderly close.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::timer::{Timer, TimerTable};
use super::{CloseReason, Message, Packet, TransportKind, Version, Violation};

/// The periods of sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// v4: from a pong to the next ping; v3: part of the silence allowed to a client. Default 25 s, the
    /// reference's.
    pub ping_interval: Duration,
    /// v4: how long a pong may take; v3: added to `ping_interval`. Default 20 s, the reference's.
    pub ping_timeout: Duration,
    /// How long a probing WebSocket may take to become the transport. Default 10 s, the reference's.
    pub upgrade_timeout: Duration,
    /// How long a closing session waits for its last packets to leave. Default 30 s, the reference's
    /// (polling).
    pub close_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
        }
    }
}

/// How far a session's life has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Packets flow.
    Open,
    /// No new messages; what is queued, and then a `close` packet, still leave.
    Closing,
    /// Over. Every call is ignored.
    Closed,
}

/// What the owner of a session does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// The WebSocket is the transport now; the polling transport is discarded.
    Upgraded,
    /// Send `2` on the current transport.
    Ping,
    /// Send `3` on the current transport (v3).
    Pong,
    /// Send `3probe` on the probing WebSocket.
    ProbePong,
    /// If a GET waits, answer it with `6`; else nothing.
    Noop,
    /// Close the probing WebSocket only; the session goes on.
    CloseProbe,
    /// Send what is queued, then a `close` packet (`1`), then call [`Session::handle_flushed`].
    Finish,
    /// The session is over: drop its transports. The last output, given exactly once.
    Closed(CloseReason),
}

/// One session, as seen by a server.
///
/// Give every event to a `handle_*` function. **After each of them, drain [`Session::poll_output`] and set
/// one timer to [`Session::poll_timeout`]**; when it fires, call [`Session::handle_timeout`]. Until it is
/// closed a session always has a deadline. Nothing is queued per packet: equal outputs that were not
/// drained are given once, so a flood of pings makes no work pile up.
#[derive(Clone, Debug)]
pub struct Session {
    timers: TimerTable,
    config: Arc<Config>,
    outputs: Outputs,
    version: Version,
    transport: TransportKind,
    state: State,
    probe: Probe,
    /// Meaningful once the session closes.
    reason: CloseReason,
}

impl Session {
    /// A session whose handshake was accepted at `now` on `transport`. The first v4 ping is due one
    /// interval later, never at once: the official suites and slow clients rely on it. Sessions can share
    /// their `config`.
    pub fn new(
        config: impl Into<Arc<Config>>,
        version: Version,
        transport: TransportKind,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            timers: TimerTable::new(now),
            config: config.into(),
            outputs: Outputs::default(),
            version,
            transport,
            state: State::Open,
            probe: Probe::None,
            reason: CloseReason::TransportClose,
        };
        match version {
            Version::V3 => session.expect_client(now),
            Version::V4 => session.timers.arm(Timer::Ping, now, session.config.ping_interval),
        }
        session
    }

    /// The current transport.
    pub fn transport(&self) -> TransportKind {
        self.transport
    }

    /// The protocol, as the handshake fixed it.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether a WebSocket is probing.
    pub fn is_upgrading(&self) -> bool {
        self.probe != Probe::None
    }

    /// How far the session's life has come.
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes a packet from the current transport. `Some` is a message for the application; everything else
    /// is handled inside. On a violation the caller ends the session:
    /// `handle_transport_closed(violation.close_reason())`.
    ///
    /// A session that is closing takes no messages any more (reference: "packet received with closed
    /// socket").
    pub fn handle_packet<'a>(
        &mut self,
        now: Instant,
        packet: Packet<'a>,
    ) -> Result<Option<Message<'a>>, Violation> {
        match self.state {
            State::Closed => return Ok(None),
            State::Closing => {
                if packet == Packet::Close {
                    self.handle_transport_closed(CloseReason::TransportClose);
                }
                return Ok(None);
            }
            State::Open => {}
        }
        if self.version == Version::V3 {
            // Anything that arrives proves that the client is there; it costs one number.
            self.expect_client(now);
        }
        match (packet, self.version) {
            (Packet::Message(message), _) => return Ok(Some(message)),
            (Packet::Ping(_), Version::V3) => self.outputs.push(Bit::Pong),
            (Packet::Pong(_), Version::V4) => {
                // An unasked pong changes nothing: it must not put off the next ping.
                if self.timers.is_armed(Timer::PongTimeout) {
                    self.timers.disarm(Timer::PongTimeout);
                    self.timers.arm(Timer::Ping, now, self.config.ping_interval);
                }
            }
            (Packet::Ping(_), Version::V4) | (Packet::Pong(_), Version::V3) => {
                return Err(Violation::HeartbeatDirection);
            }
            (Packet::Close, _) => {
                if self.transport == TransportKind::Polling {
                    // The GET that waits is answered, not cut.
                    self.outputs.push(Bit::Noop);
                }
                self.close(CloseReason::TransportClose);
            }
            // Some clients post a noop to end their own poll before an upgrade.
            (Packet::Noop, _) => {}
            (Packet::Open(_) | Packet::Upgrade, _) => return Err(Violation::UnexpectedPacket),
        }
        Ok(None)
    }

    /// A WebSocket with this session's id asks to take over. `false`: refuse, and close that WebSocket; the
    /// session is upgrading, upgraded, on WebSocket already, or ending.
    pub fn handle_probe_open(&mut self, now: Instant) -> bool {
        let refused = self.state != State::Open
            || self.transport != TransportKind::Polling
            || self.is_upgrading()
            // The owner has not yet closed the last one: it would take this one for it.
            || self.outputs.has(Bit::CloseProbe);
        if !refused {
            self.probe = Probe::Opened;
            self.timers.arm(Timer::Upgrade, now, self.config.upgrade_timeout);
        }
        !refused
    }

    /// A packet from the probing WebSocket: `2probe` is answered, `5` completes the upgrade, anything else
    /// closes the WebSocket while polling goes on (engine.io-protocol v4, "Upgrade").
    pub fn handle_probe_packet(&mut self, now: Instant, packet: &Packet<'_>) {
        if !self.is_upgrading() {
            return;
        }
        match packet {
            Packet::Ping(data) if data == "probe" => {
                self.outputs.push(Bit::ProbePong);
                if self.probe == Probe::Opened {
                    self.probe = Probe::Answered;
                    self.timers.arm(Timer::NoopRepeat, now, NOOP_PERIOD);
                }
            }
            // The reference server takes it without a probe before, too.
            Packet::Upgrade => {
                self.end_probe();
                self.transport = TransportKind::WebSocket;
                self.outputs.push(Bit::Upgraded);
            }
            _ => self.drop_probe(),
        }
    }

    /// The probing WebSocket is gone, or sent what is no packet; polling goes on. The caller closes it.
    pub fn handle_probe_closed(&mut self) {
        self.end_probe();
        self.outputs.remove(Bit::CloseProbe);
    }

    /// The current transport is gone, or the session must end at once without a word to the peer. A session
    /// that was closing already keeps the reason it was given then.
    pub fn handle_transport_closed(&mut self, reason: CloseReason) {
        match self.state {
            State::Open => self.close(reason),
            State::Closing => self.close(self.reason),
            State::Closed => {}
        }
    }

    /// This side ends the session in order: what is queued leaves first, then a `close` packet. A probing
    /// WebSocket is dropped at once. Ignored unless the session is open.
    pub fn handle_close(&mut self, now: Instant, reason: CloseReason) {
        if self.state != State::Open {
            return;
        }
        self.state = State::Closing;
        self.reason = reason;
        self.drop_probe();
        self.timers.disarm_all();
        self.timers.arm(Timer::Close, now, self.config.close_timeout);
        self.outputs.push(Bit::Finish);
    }

    /// Everything up to the `close` packet has left; see [`Output::Finish`].
    pub fn handle_flushed(&mut self) {
        if self.state == State::Closing {
            self.close(self.reason);
        }
    }

    /// Does what is due at `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        for timer in Timer::ALL {
            let due = self.timers.deadline(timer);
            if !self.timers.expire(timer, now) {
                continue;
            }
            match timer {
                Timer::Ping => {
                    self.outputs.push(Bit::Ping);
                    let is_late = |due: &Instant| now.saturating_duration_since(*due) > TIMER_GRAIN;
                    let from = due.filter(|due| !is_late(due)).unwrap_or(now);
                    self.timers.arm(Timer::PongTimeout, from, self.config.ping_timeout);
                }
                Timer::PongTimeout => self.close(CloseReason::PingTimeout),
                Timer::Upgrade => self.drop_probe(),
                Timer::NoopRepeat => {
                    self.outputs.push(Bit::Noop);
                    self.timers.arm(Timer::NoopRepeat, now, NOOP_PERIOD);
                }
                Timer::Close => self.close(self.reason),
            }
        }
    }

    /// The earliest deadline; `None` only when the session is closed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The owner reads again after it had stopped for a while, because the application took nothing more: what the peer
    /// sent meanwhile was not seen, so its deadline starts anew.
    pub fn handle_resumed(&mut self, now: Instant) {
        if self.state != State::Open {
            return;
        }
        match self.version {
            Version::V3 => self.expect_client(now),
            Version::V4 if self.timers.is_armed(Timer::PongTimeout) => {
                self.timers.arm(Timer::PongTimeout, now, self.config.ping_timeout);
            }
            Version::V4 => {}
        }
    }

    /// The next thing to do, until there is none. **Drain after every `handle_*`.**
    pub fn poll_output(&mut self) -> Option<Output> {
        Some(match self.outputs.pop()? {
            Bit::Upgraded => Output::Upgraded,
            Bit::Ping => Output::Ping,
            Bit::Pong => Output::Pong,
            Bit::ProbePong => Output::ProbePong,
            Bit::Noop => Output::Noop,
            Bit::CloseProbe => Output::CloseProbe,
            Bit::Finish => Output::Finish,
            Bit::Closed => Output::Closed(self.reason),
        })
    }

    /// v3: the client speaks within an interval and a timeout.
    fn expect_client(&mut self, now: Instant) {
        let silence = self.config.ping_interval.saturating_add(self.config.ping_timeout);
        self.timers.arm(Timer::PongTimeout, now, silence);
    }

    fn end_probe(&mut self) {
        self.probe = Probe::None;
        self.timers.disarm(Timer::Upgrade);
        self.timers.disarm(Timer::NoopRepeat);
        self.outputs.remove(Bit::ProbePong);
    }

    fn drop_probe(&mut self) {
        if self.is_upgrading() {
            self.end_probe();
            self.outputs.push(Bit::CloseProbe);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        self.drop_probe();
        self.timers.disarm_all();
        self.state = State::Closed;
        self.reason = reason;
        for unsent in [Bit::Ping, Bit::Pong, Bit::Finish] {
            self.outputs.remove(unsent);
        }
        self.outputs.push(Bit::Closed);
    }
}

/// Where the upgrade stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Probe {
    None,
    /// The WebSocket is open and has sent nothing.
    Opened,
    /// `2probe` was answered: waiting polls are ended until `5` comes.
    Answered,
}

/// The outputs that wait, a bit each.
#[derive(Clone, Copy, Default, Debug)]
struct Outputs(u8);

/// In the order in which outputs are given: the change of transport first, the end last.
#[derive(Clone, Copy)]
enum Bit {
    Upgraded,
    Ping,
    Pong,
    ProbePong,
    Noop,
    CloseProbe,
    Finish,
    Closed,
}

impl Bit {
    const ALL: [Self; 8] = [
        Self::Upgraded,
        Self::Ping,
        Self::Pong,
        Self::ProbePong,
        Self::Noop,
        Self::CloseProbe,
        Self::Finish,
        Self::Closed,
    ];

    const fn mask(self) -> u8 {
        1 << self as u8
    }
}

impl Outputs {
    fn push(&mut self, bit: Bit) {
        self.0 |= bit.mask();
    }

    fn remove(&mut self, bit: Bit) {
        self.0 &= !bit.mask();
    }

    fn has(self, bit: Bit) -> bool {
        self.0 & bit.mask() != 0
    }

    fn pop(&mut self) -> Option<Bit> {
        let bit = Bit::ALL.get(self.0.trailing_zeros() as usize).copied()?;
        self.remove(bit);
        Some(bit)
    }
}

/// How late the ping may be sent at the cost of the pong's time: a runtime's timer fires up to some
/// milliseconds late, and two in a row would let a dead session outlive its interval and timeout.
const TIMER_GRAIN: Duration = Duration::from_millis(5);
/// How often a waiting poll is ended while a client upgrades (reference server: `_maybeUpgrade`, `check`).
const NOOP_PERIOD: Duration = Duration::from_millis(100);

const _: () =
    assert!(size_of::<Session>() <= 56, "a session machine must stay small: a server holds one per client");
