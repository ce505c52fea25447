//! The life of one session as its client sees it: heartbeat, upgrade to WebSocket, orderly close. Engine.IO 4 only.

use std::time::{Duration, Instant, SystemTime};

use super::{CloseReason, Message, Open, Packet, State, TransportKind, Violation};

/// One moment, on both clocks. The monotonic one may stand still while the machine sleeps; the wall clock does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// For deadlines.
    pub monotonic: Instant,
    /// For what a sleep must not hide.
    pub wall: SystemTime,
}

impl Moment {
    /// The same moment, so much later on both clocks.
    #[must_use]
    pub fn after(self, passed: Duration) -> Self {
        Self {
            monotonic: self.monotonic.checked_add(passed).unwrap_or(self.monotonic),
            wall: self.wall.checked_add(passed).unwrap_or(self.wall),
        }
    }
}

/// The client's own periods; those of the heartbeat come from the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientConfig {
    /// From the start of a probe to the end of the upgrade. Default 10 s, the reference server's.
    pub upgrade_timeout: Duration,
    /// How long a closing session waits for its last packets to leave. Default 5 s.
    pub close_timeout: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self { upgrade_timeout: Duration::from_secs(10), close_timeout: Duration::from_secs(5) }
    }
}

/// What the owner of a client's session does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientOutput {
    /// Send `5` on the probing WebSocket: it is the transport now, and polling is over.
    Upgraded,
    /// Send `3` on the current transport: the server pinged.
    Pong,
    /// Send `2probe` on the probing WebSocket.
    ProbePing,
    /// Drop the probing WebSocket; the session goes on by polling.
    CloseProbe,
    /// Send what is queued, then end the transport, then call [`ClientSession::handle_flushed`].
    Finish,
    /// The session is over: drop its transports. The last output, given exactly once.
    Closed(CloseReason),
}

/// One session, as seen by its client, from the `open` packet on.
///
/// Give every event to a `handle_*` function, and ask a `begin_*` function before each request of polling.
/// **After each of them, drain [`ClientSession::poll_output`] and set one timer to
/// [`ClientSession::poll_timeout`]**; when it fires, call [`ClientSession::handle_timeout`]. Until it is closed a
/// session that is read always has a deadline. Nothing is queued per packet: equal outputs that were not drained are given once.
#[derive(Clone, Debug)]
pub struct ClientSession {
    config: ClientConfig,
    /// Longest silence between two pings.
    silence: Duration,
    /// When the server counts as gone, on both clocks.
    heartbeat: Moment,
    /// Whether the owner reads nothing at the moment.
    is_deaf: bool,
    upgrade: Option<Instant>,
    close: Option<Instant>,
    transport: TransportKind,
    state: State,
    probe: Probe,
    get: bool,
    post: bool,
    /// Meaningful once the session closes.
    reason: CloseReason,
    pending: Pending,
}

impl ClientSession {
    /// A session that `open` opened at `now` on `transport`.
    pub fn new(config: ClientConfig, open: &Open, transport: TransportKind, now: Moment) -> Self {
        let silence = open.ping_interval.saturating_add(open.ping_timeout);
        Self {
            config,
            silence,
            heartbeat: now.after(silence),
            is_deaf: false,
            upgrade: None,
            close: None,
            transport,
            state: State::Open,
            probe: Probe::None,
            get: false,
            post: false,
            reason: CloseReason::TransportClose,
            pending: Pending::default(),
        }
    }

    /// The current transport.
    pub fn transport(&self) -> TransportKind {
        self.transport
    }

    /// How far the session's life has come.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether a WebSocket is being probed.
    pub fn is_upgrading(&self) -> bool {
        self.probe != Probe::None
    }

    /// Whether polling has stopped for the last step of an upgrade: nothing can be sent at the moment.
    pub fn is_paused(&self) -> bool {
        self.probe == Probe::Answered
    }

    /// Whether the server has been silent for longer than it may, although no timer may have fired yet: after the
    /// machine slept, what is sent now would be lost (reference: `_hasPingExpired`). A wall clock that is set forward looks
    /// the same and costs a reconnection, as it does in the reference.
    pub fn has_expired(&self, now: Moment) -> bool {
        !self.is_deaf && (now.monotonic >= self.heartbeat.monotonic || now.wall >= self.heartbeat.wall)
    }

    /// The owner reads nothing for a while, because the application takes nothing more: the ping may be among what is not
    /// read, so silence means nothing. The owner bounds that time.
    pub fn handle_reading_stopped(&mut self) {
        self.is_deaf = true;
    }

    /// The owner reads again: the server's time starts anew. Without effect unless reading had stopped.
    pub fn handle_reading_resumed(&mut self, now: Moment) {
        if std::mem::take(&mut self.is_deaf) {
            self.heartbeat = now.after(self.silence);
        }
    }

    /// Takes a packet from the current transport. `Some` is a message for the application; everything else is handled
    /// inside. On a violation the caller ends the session: `handle_transport_closed(violation.close_reason())`.
    ///
    /// # Errors
    /// A packet that no server may send to an open session.
    pub fn handle_packet<'a>(
        &mut self,
        now: Moment,
        packet: Packet<'a>,
    ) -> Result<Option<Message<'a>>, Violation> {
        match (self.state, packet) {
            (State::Closed, _) => {}
            (_, Packet::Close) => self.handle_transport_closed(CloseReason::TransportClose),
            (State::Closing, _) => {}
            (State::Open, Packet::Message(message)) => return Ok(Some(message)),
            (State::Open, Packet::Ping(_)) => {
                self.heartbeat = now.after(self.silence);
                self.pending.pong = true;
            }
            (State::Open, Packet::Noop) => {}
            (State::Open, Packet::Pong(_)) => return Err(Violation::HeartbeatDirection),
            (State::Open, Packet::Open(_) | Packet::Upgrade) => return Err(Violation::UnexpectedPacket),
        }
        Ok(None)
    }

    /// Whether a WebSocket may be opened now, to take over from polling. If so the upgrade has begun and has a deadline.
    pub fn begin_upgrade(&mut self, now: Moment) -> bool {
        let may = self.state == State::Open
            && self.transport == TransportKind::Polling
            && !self.is_upgrading()
            // The owner has not yet dropped the last one: it would take this one for it.
            && !self.pending.close_probe;
        if may {
            self.probe = Probe::Opening;
            self.upgrade = Some(now.after(self.config.upgrade_timeout).monotonic);
        }
        may
    }

    /// The WebSocket's own handshake is done.
    pub fn handle_probe_open(&mut self) {
        if self.probe == Probe::Opening {
            self.probe = Probe::Asked;
            self.pending.probe_ping = true;
        }
    }

    /// A packet from the probing WebSocket: `3probe` stops polling and, once no request is under way, completes the
    /// upgrade (engine.io-protocol v4, "Upgrade"); anything else drops the WebSocket while polling goes on.
    pub fn handle_probe_packet(&mut self, packet: &Packet<'_>) {
        match (self.probe, packet) {
            (Probe::None, _) => {}
            (Probe::Asked, Packet::Pong(data)) if data == "probe" => {
                self.probe = Probe::Answered;
                self.try_upgrade();
            }
            _ => self.drop_probe(),
        }
    }

    /// The probing WebSocket could not be opened, or is gone; polling goes on. The caller drops it.
    pub fn handle_probe_failed(&mut self) {
        self.end_probe();
        self.pending.close_probe = false;
    }

    /// Whether a GET may be sent now. If so it counts as under way.
    pub fn begin_get(&mut self) -> bool {
        let may = self.state == State::Open && self.may_request() && !self.get;
        self.get |= may;
        may
    }

    /// The GET was answered or failed.
    pub fn handle_get_ended(&mut self) {
        self.get = false;
        self.try_upgrade();
    }

    /// Whether a POST may be sent now; a closing session may still send. If so it counts as under way.
    pub fn begin_post(&mut self) -> bool {
        let may = self.state != State::Closed && self.may_request() && !self.post;
        self.post |= may;
        may
    }

    /// The POST was answered or failed.
    pub fn handle_post_ended(&mut self) {
        self.post = false;
        self.try_upgrade();
    }

    /// The current transport is gone. A session that was closing keeps the reason it was given then.
    pub fn handle_transport_closed(&mut self, reason: CloseReason) {
        match self.state {
            State::Open => self.end(reason),
            State::Closing => self.end(self.reason),
            State::Closed => {}
        }
    }

    /// This side ends the session in order: what is queued leaves first. A probing WebSocket is dropped at once. Ignored
    /// unless the session is open.
    pub fn handle_close(&mut self, now: Moment) {
        if self.state != State::Open {
            return;
        }
        self.state = State::Closing;
        self.reason = CloseReason::ForcedClose;
        self.drop_probe();
        self.pending.pong = false;
        self.pending.finish = true;
        self.close = Some(now.after(self.config.close_timeout).monotonic);
    }

    /// Everything has left; see [`ClientOutput::Finish`].
    pub fn handle_flushed(&mut self) {
        if self.state == State::Closing {
            self.end(self.reason);
        }
    }

    /// Does what is due at `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Moment) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now.monotonic);
        if self.state == State::Open && self.has_expired(now) {
            self.end(CloseReason::PingTimeout);
        }
        if is_due(self.upgrade) {
            self.drop_probe();
        }
        if is_due(self.close) {
            self.handle_flushed();
        }
    }

    /// The earliest deadline; `None` when the session is closed, or is not read and awaits nothing else.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let heartbeat = (self.state == State::Open && !self.is_deaf).then_some(self.heartbeat.monotonic);
        [heartbeat, self.upgrade, self.close].into_iter().flatten().min()
    }

    /// The next thing to do, until there is none. **Drain after every `handle_*`.**
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        let pending = &mut self.pending;
        let rows = [
            (&mut pending.upgraded, ClientOutput::Upgraded),
            (&mut pending.pong, ClientOutput::Pong),
            (&mut pending.probe_ping, ClientOutput::ProbePing),
            (&mut pending.close_probe, ClientOutput::CloseProbe),
            (&mut pending.finish, ClientOutput::Finish),
            (&mut pending.closed, ClientOutput::Closed(self.reason)),
        ];
        rows.into_iter().find_map(|(waits, output)| std::mem::take(waits).then_some(output))
    }

    fn may_request(&self) -> bool {
        self.transport == TransportKind::Polling && !self.is_paused()
    }

    /// The last step: what a request still carries must arrive before what the WebSocket will carry.
    fn try_upgrade(&mut self) {
        if self.state == State::Open && self.is_paused() && !self.get && !self.post {
            self.end_probe();
            self.transport = TransportKind::WebSocket;
            self.pending.upgraded = true;
        }
    }

    fn end_probe(&mut self) {
        self.probe = Probe::None;
        self.upgrade = None;
        self.pending.probe_ping = false;
    }

    fn drop_probe(&mut self) {
        if self.is_upgrading() {
            self.end_probe();
            self.pending.close_probe = true;
        }
    }

    fn end(&mut self, reason: CloseReason) {
        self.drop_probe();
        self.state = State::Closed;
        self.reason = reason;
        self.close = None;
        self.pending = Pending { close_probe: self.pending.close_probe, closed: true, ..Pending::default() };
    }
}

/// Where the upgrade stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Probe {
    None,
    /// The WebSocket is being opened.
    Opening,
    /// `2probe` was sent, or is about to be.
    Asked,
    /// `3probe` came: polling has stopped, requests under way are waited for.
    Answered,
}

/// The outputs that wait.
#[derive(Clone, Copy, Default, Debug)]
struct Pending {
    upgraded: bool,
    pong: bool,
    probe_ping: bool,
    close_probe: bool,
    finish: bool,
    closed: bool,
}
