//! The task that owns a session: its reading, its state machine, its timers, and the application's half.
//!
//! One poll reads top to bottom: commands, handlers, reading, writing what was blocked, timers. **The machine's outputs are
//! drained after each of its inputs** (`drain`).

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use trunkline_proto::eio::{
    self, CloseReason, Output, Packet as EioPacket, TransportKind, Version, Violation,
};
use trunkline_proto::ws::{self, Event, OpCode};

use crate::alarms::Time;
use crate::clock;
use crate::engine::SessionApp;
use crate::flush;
use crate::outbox::{Mode, Sink};
use crate::session::{Command, PostBody, Session};
use crate::shard::{Class, Push};
use crate::transport::polling;
use crate::transport::websocket::{WsConn, WsStream, poll_blocked, with_buffer};
use crate::turn::Turn;
use crate::wire::{Packet, Queue};

/// Owns a session: the future that a task runs to the session's end. Small, since a server has one for each client
/// (`size_of` is asserted below).
pub(crate) struct SessionTask {
    session: Arc<Session>,
    machine: eio::Session,
    app: Box<dyn SessionApp>,
    /// The WebSocket that is the session's transport.
    ws: Option<WsConn>,
    /// `None` while there is nothing in it.
    aside: Option<Box<Aside>>,
    /// When its alarm will ring; later deadlines do not move it.
    armed: Option<Time>,
    opened: bool,
    /// On a runtime of one thread ([`Turn`]).
    is_alone: bool,
    /// The close packet is queued; the machine is told once it is written.
    finishing: bool,
    /// The peer has sent its close frame: nothing follows that.
    peer_closed: bool,
    closed: bool,
}

/// What few sessions have at a moment.
#[derive(Default)]
struct Aside {
    /// The WebSocket that asks to become the transport.
    probe: Option<WsConn>,
    /// A POST whose answer waits until the application takes messages again.
    post: Option<Post>,
    /// What was read before it could be taken: beyond the WebSocket handshake, or while the application took nothing more.
    early: Vec<u8>,
    /// Bytes of `early` that count in the memory budget.
    early_counted: usize,
    /// Since when the application takes nothing more.
    full_since: Option<Instant>,
    /// The close frame that a broken rule asks for, in place of the ordinary one.
    goodbye: Option<Box<[u8]>>,
    linger: Option<Linger>,
}

impl Aside {
    fn is_empty(&self) -> bool {
        let Self { probe, post, early, early_counted: _, full_since, goodbye, linger } = self;
        probe.is_none()
            && post.is_none()
            && early.is_empty()
            && full_since.is_none()
            && goodbye.is_none()
            && linger.is_none()
    }
}

/// A POST that is being read.
struct Post {
    /// What was not read yet.
    rest: Option<PostBody>,
    reply: oneshot::Sender<Result<(), Violation>>,
}

/// After the close frame: reading on for a moment, so that the kernel does not reset what was just sent.
struct Linger {
    stream: WsStream,
    /// Our half is closed; until then there is something left to send (TLS).
    is_shut: bool,
    until: Instant,
    /// Fires at `until`; made when first polled.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// How long a closed WebSocket is read on.
const LINGER: Duration = Duration::from_secs(2);
/// What is due within this time is done: the runtime rounds every sleep up to its next millisecond, and a client that asks
/// right after its time has passed is to find the session closed.
const TIMER_GRAIN: Duration = Duration::from_millis(1);
/// For how long a session's deadlines wait while the application takes nothing.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// Packets of a POST in one poll.
const PACKETS: usize = 256;
/// Reads of one poll: a busy peer must not starve the others.
const READS: usize = 4;

pub(crate) static CLOSE_PACKET: LazyLock<Arc<Packet>> = LazyLock::new(|| Packet::control("1"));
static PING_PACKET: LazyLock<Arc<Packet>> = LazyLock::new(|| Packet::control("2"));
static PONG_PACKET: LazyLock<Arc<Packet>> = LazyLock::new(|| Packet::control("3"));
pub(crate) static NOOP_PACKET: LazyLock<Arc<Packet>> = LazyLock::new(|| Packet::control("6"));
/// A WebSocket close frame without a code.
const CLOSE_FRAME: [u8; 2] = [0x88, 0];

impl SessionTask {
    /// Must be called inside the runtime that will run it. `early`: what was read beyond the WebSocket handshake.
    pub(crate) fn new(
        session: Arc<Session>,
        app: Box<dyn SessionApp>,
        ws: Option<WsConn>,
        early: Vec<u8>,
        now: Instant,
    ) -> Self {
        let periods = Arc::clone(&session.engine.periods);
        let machine = eio::Session::new(periods, session.version, session.transport(), now);
        let aside = (!early.is_empty()).then(|| Box::new(Aside { early, ..Aside::default() }));
        Self {
            session,
            machine,
            app,
            ws,
            aside,
            armed: None,
            opened: false,
            is_alone: Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread,
            finishing: false,
            peer_closed: false,
            closed: false,
        }
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.register(cx.waker());
        if !std::mem::replace(&mut self.opened, true) {
            self.app.on_open(cx);
            self.read_early(cx);
        }
        while let Some(command) = self.session.take_command() {
            self.on_command(command, cx);
        }
        if !self.closed {
            self.poll_app(cx);
        }
        if !self.closed {
            self.poll_read(cx);
            self.poll_write(cx);
        }
        if !self.closed {
            self.poll_timers(cx);
        }
        let has_parted = self.poll_linger(cx).is_ready();
        if self.aside.as_ref().is_some_and(|aside| aside.is_empty()) {
            self.aside = None;
        }
        if !self.closed {
            return Poll::Pending;
        }
        // The application's end does not wait for the connection's.
        let is_done = self.app.poll_closed(cx).is_ready();
        if has_parted && is_done { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_command(&mut self, command: Command, cx: &mut Context<'_>) {
        if self.closed && !matches!(command, Command::Left(..)) {
            return;
        }
        let now = clock::now();
        match command {
            Command::Post(body, reply) => self.on_post(Post { rest: Some(body), reply }, cx),
            Command::Probe(conn, early) => self.on_probe(*conn, early, now, cx),
            Command::Close(reason) => self.machine.handle_transport_closed(reason),
            Command::Finish(reason) => self.machine.handle_close(now, reason),
            Command::TransportClosed(reason) => self.machine.handle_transport_closed(reason),
            // They come from polling requests: since the upgrade those are nobody's transport any more.
            Command::Violation(_) if self.ws.is_some() => {}
            Command::Violation(violation) => self.violate(&violation),
            Command::Left(socket, reason) => self.app.on_left(socket, reason, cx),
            Command::DisconnectAll => self.app.on_disconnect_all(cx),
        }
        self.drain(cx);
    }

    fn poll_app(&mut self, cx: &mut Context<'_>) {
        if let Err(reason) = self.app.poll(cx) {
            self.machine.handle_transport_closed(reason);
            return self.drain(cx);
        }
        match (self.app.is_full(), self.full_since()) {
            (true, None) => self.aside().full_since = Some(clock::now()),
            (true, Some(_)) | (false, None) => {}
            (false, Some(_)) => {
                self.aside().full_since = None;
                self.machine.handle_resumed(clock::now());
                self.drain(cx);
            }
        }
        if !self.app.is_full()
            && !self.closed
            && let Some(post) = self.aside.as_mut().and_then(|aside| aside.post.take())
        {
            self.on_post(post, cx);
        }
    }

    // --- input -------------------------------------------------------------------------------------------------

    fn poll_read(&mut self, cx: &mut Context<'_>) {
        with_buffer(|buf| {
            self.poll_read_current(cx, buf);
            self.poll_read_probe(cx, buf);
        });
    }

    fn poll_read_current(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) {
        for _ in 0..READS {
            if self.must_wait() {
                return;
            }
            self.read_early(cx);
            if self.must_wait() {
                return;
            }
            let Some(ws) = &mut self.ws else { return };
            match ws.stream.poll_read(cx, buf) {
                Poll::Pending => return,
                Poll::Ready(Ok(n)) if n > 0 => self.feed(&mut buf[..n], Which::Current, cx),
                Poll::Ready(result) => {
                    let reason = if result.is_ok() {
                        CloseReason::TransportClose
                    } else {
                        CloseReason::TransportError
                    };
                    self.machine.handle_transport_closed(reason);
                    return self.drain(cx);
                }
            }
        }
        cx.waker().wake_by_ref();
    }

    fn poll_read_probe(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) {
        for turn in 0..READS {
            let Some(probe) = self.conn(Which::Probe) else {
                if turn > 0 {
                    // It has become the transport, whose turn to be read was before.
                    cx.waker().wake_by_ref();
                }
                return;
            };
            match probe.stream.poll_read(cx, buf) {
                Poll::Pending => return,
                Poll::Ready(Ok(n)) if n > 0 => self.feed(&mut buf[..n], Which::Probe, cx),
                Poll::Ready(_) => {
                    self.drop_probe();
                    return self.drain(cx);
                }
            }
        }
        // Also where the last read made it the transport.
        cx.waker().wake_by_ref();
    }

    fn read_early(&mut self, cx: &mut Context<'_>) {
        let Some(aside) = self.aside.as_mut().filter(|aside| !aside.early.is_empty()) else { return };
        let mut early = std::mem::take(&mut aside.early);
        self.session.engine.budget.sub(std::mem::take(&mut aside.early_counted));
        self.feed(&mut early, Which::Current, cx);
    }

    /// Bytes of a WebSocket.
    fn feed(&mut self, mut bytes: &mut [u8], mut which: Which, cx: &mut Context<'_>) {
        let now = clock::now();
        let Some(mut decoder) = self.take_decoder(which) else { return };
        let held = decoder.buffered();
        loop {
            let len = bytes.len();
            let (used, event) = match decoder.decode(bytes) {
                Ok(decoded) => decoded,
                Err(violation) => {
                    self.on_ws_violation(which, &violation);
                    break;
                }
            };
            let is_end = event.is_none();
            match event {
                Some(event) => self.on_ws_event(event, &mut which, now, cx),
                None if used < len => break,
                None => {}
            }
            bytes = &mut std::mem::take(&mut bytes)[used..];
            if self.closed || is_end || !self.has(which) {
                break;
            }
            if which == Which::Current && !bytes.is_empty() && self.must_wait() {
                self.session.engine.budget.add(bytes.len());
                let aside = self.aside();
                (aside.early, aside.early_counted) = (bytes.to_vec(), bytes.len());
                break;
            }
        }
        let holds = decoder.buffered();
        if holds > held {
            self.session.engine.budget.add(holds - held);
            self.session.engine.budget.relieve();
            // What comes in counts too: over the bound nobody may make us hold more.
            if self.session.engine.budget.is_over() {
                self.machine.handle_transport_closed(CloseReason::InboundOverflow);
            }
        } else {
            self.session.engine.budget.sub(held - holds);
        }
        self.put_decoder(which, decoder);
        self.drain(cx);
    }

    fn on_ws_event(&mut self, event: Event<'_>, which: &mut Which, now: Instant, cx: &mut Context<'_>) {
        let version = self.session.version;
        let packet = match event {
            Event::Text(text) => EioPacket::decode_text(version, text),
            Event::Binary(data) => EioPacket::decode_binary(version, data),
            Event::Pong(_) => return,
            Event::Ping(data) => return self.pong(*which, data, cx),
            Event::Close(_) => return self.on_ws_close(*which, cx),
        };
        match (packet, *which) {
            // A WebSocket is answered by its end.
            (Ok(packet), Which::Current) => drop(self.on_packet(packet, now, cx)),
            (Ok(packet), Which::Probe) => {
                self.machine.handle_probe_packet(now, &packet);
                self.drain(cx);
                if self.ws.is_some() {
                    *which = Which::Current;
                }
            }
            (Err(violation), Which::Current) => {
                self.violate(&violation);
                self.drain(cx);
            }
            (Err(_), Which::Probe) => {
                self.machine.handle_probe_packet(now, &EioPacket::Noop);
                self.drain(cx);
            }
        }
    }

    /// A packet on the current transport. After an error, which says how to answer a POST, the session is closed.
    fn on_packet(
        &mut self,
        packet: EioPacket<'_>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if matches!(packet, EioPacket::Pong(_)) {
            self.app.on_pong();
        }
        let result = match self.machine.handle_packet(now, packet) {
            Ok(None) => Ok(()),
            Ok(Some(message)) => {
                self.session.shard.counters.received(1);
                match self.app.on_message(message, cx) {
                    Ok(()) => return Ok(()),
                    Err(reason) => self.machine.handle_transport_closed(reason),
                }
                Ok(())
            }
            Err(violation) => {
                self.violate(&violation);
                Err(violation)
            }
        };
        self.drain(cx);
        result
    }

    /// Reads on in a POST, as long as the application takes its messages; then it is answered.
    fn on_post(&mut self, mut post: Post, cx: &mut Context<'_>) {
        let now = clock::now();
        let version = self.session.version;
        let (mut outcome, mut waits, mut read) = (Ok(()), false, 0);
        let body = post.rest.take();
        post.rest = body.and_then(|body| {
            polling::decode(version, body, |packet| {
                read += 1;
                let is_last = match packet {
                    Ok(packet) => {
                        let is_close = matches!(packet, EioPacket::Close);
                        outcome = self.on_packet(packet, now, cx);
                        is_close
                    }
                    Err(violation) => {
                        self.violate(&violation);
                        self.drain(cx);
                        outcome = Err(violation);
                        true
                    }
                };
                let is_over = is_last || self.closed || outcome.is_err();
                waits = !is_over && (read >= PACKETS || self.app.is_full());
                !is_over && !waits
            })
        });
        if !waits {
            drop(post.reply.send(outcome));
            return;
        }
        if !self.app.is_full() {
            // Others come first.
            cx.waker().wake_by_ref();
        }
        self.aside().post = Some(post);
    }

    fn on_probe(&mut self, mut conn: WsConn, mut early: Vec<u8>, now: Instant, cx: &mut Context<'_>) {
        conn.stream.attach();
        if !self.machine.handle_probe_open(now) {
            self.part(conn, &CLOSE_FRAME, cx);
            return;
        }
        self.aside().probe = Some(conn);
        if !early.is_empty() {
            self.feed(&mut early, Which::Probe, cx);
        }
    }

    fn violate(&mut self, violation: &Violation) {
        tracing::debug!(session = ?self.session, %violation, "the client broke a rule");
        self.session.engine.metrics.violations.add(1);
        self.machine.handle_transport_closed(violation.close_reason());
    }

    fn on_ws_violation(&mut self, which: Which, violation: &ws::Violation) {
        tracing::debug!(session = ?self.session, %violation, "the client broke a rule of the WebSocket protocol");
        self.session.engine.metrics.violations.add(1);
        match which {
            Which::Current => {
                let mut frame = Vec::new();
                ws::encode_close(&mut frame, violation.close_code(), "", None);
                self.aside().goodbye = Some(frame.into_boxed_slice());
                self.machine.handle_transport_closed(CloseReason::TransportError);
            }
            Which::Probe => self.drop_probe(),
        }
    }

    fn on_ws_close(&mut self, which: Which, cx: &mut Context<'_>) {
        match which {
            Which::Current => {
                self.peer_closed = true;
                self.machine.handle_transport_closed(CloseReason::TransportClose);
            }
            Which::Probe => self.drop_probe(),
        }
        self.drain(cx);
    }

    /// The probing WebSocket is gone; polling goes on.
    fn drop_probe(&mut self) {
        if let Some(probe) = self.take_probe() {
            self.session.engine.budget.sub(probe.decoder.buffered());
        }
        self.machine.handle_probe_closed();
    }

    /// Answers a WebSocket ping with exactly its bytes (RFC 6455, 5.5.3).
    fn pong(&mut self, which: Which, data: &[u8], cx: &mut Context<'_>) {
        let mut frame = Vec::with_capacity(2 + data.len());
        ws::encode_frame(&mut frame, OpCode::Pong, false, data, None);
        match which {
            Which::Current => self.control(&Packet::frame(frame, Some(&self.session.engine.budget))),
            Which::Probe => {
                // Half a frame would be the beginning of the next one.
                if self.conn(Which::Probe).is_some_and(|probe| !probe.stream.try_write(cx, &frame)) {
                    self.drop_probe();
                }
            }
        }
    }

    // --- output ------------------------------------------------------------------------------------------------

    /// Carries out what the machine decided.
    fn drain(&mut self, cx: &mut Context<'_>) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Ping => {
                    self.app.on_ping();
                    self.control(&PING_PACKET);
                }
                Output::Pong => self.control(&PONG_PACKET),
                Output::ProbePong => {
                    let mut frame = Vec::with_capacity(8);
                    ws::encode_frame(&mut frame, OpCode::Text, false, b"3probe", None);
                    if self.conn(Which::Probe).is_some_and(|probe| !probe.stream.try_write(cx, &frame)) {
                        self.drop_probe();
                    }
                    self.noop();
                }
                Output::Noop => self.noop(),
                Output::Upgraded => self.upgraded(),
                Output::CloseProbe => {
                    if let Some(probe) = self.take_probe() {
                        self.part(probe, &CLOSE_FRAME, cx);
                    }
                }
                Output::Finish => self.finish(cx),
                Output::Closed(reason) => self.end(reason, cx),
            }
        }
    }

    fn control(&mut self, packet: &Arc<Packet>) {
        if self.session.push(packet, Class::Control) == Push::Full {
            // A peer that takes nothing, not even the answers to its own pings.
            self.session.command(Command::Close(CloseReason::SlowReader));
        }
    }

    /// A GET that waits is answered, so that the client can pause polling (engine.io-protocol, "Upgrade").
    fn noop(&self) {
        let slot = self.session.slot;
        self.session.shard.with(|state| state.answer_poll(slot, &NOOP_PACKET));
    }

    fn upgraded(&mut self) {
        let Some(conn) = self.take_probe() else { return };
        let (wire, sink) = (conn.wire, conn.stream.sink());
        self.ws = Some(conn);
        self.session.set_transport(TransportKind::WebSocket);
        self.session.engine.metrics.upgrades.add(1);
        let waiting = self.session.shard.with(|state| state.switch(self.session.slot, wire, sink));
        if let Some(sender) = waiting {
            drop(sender.send(Queue::from_iter([Arc::clone(&NOOP_PACKET)])));
        }
    }

    /// Queues the close packet behind all else.
    fn finish(&mut self, cx: &mut Context<'_>) {
        let packet = match self.session.transport() {
            TransportKind::Polling => Arc::clone(&CLOSE_PACKET),
            TransportKind::WebSocket => Packet::frame(CLOSE_FRAME.to_vec(), None),
        };
        self.session.shard.with(|state| {
            state.push(self.session.slot, &packet, Class::Control);
            if let Some(outbox) = state.get(self.session.slot) {
                outbox.finishing = true;
                outbox.on_drained(cx.waker());
            }
        });
        self.finishing = true;
        self.app.on_finish();
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) {
        let is_blocked = flush::own(&self.session);
        let written = match &mut self.ws {
            Some(ws) if is_blocked || !matches!(ws.stream, WsStream::Tcp(_)) => {
                Some(poll_blocked(&self.session, &mut ws.stream, cx))
            }
            Some(_) => Some(Poll::Ready(Ok(()))),
            None => None,
        };
        if let Some(Poll::Ready(Err(_))) = written {
            self.machine.handle_transport_closed(CloseReason::TransportError);
            self.drain(cx);
        }
        // Pending also while a TLS stream still holds what it was given.
        if self.finishing && !self.closed && !matches!(written, Some(Poll::Pending)) {
            let slot = self.session.slot;
            let is_flushed = self.session.shard.with(|state| match state.get(slot) {
                Some(outbox) if outbox.bytes > 0 || outbox.mode != Mode::Idle => {
                    outbox.on_drained(cx.waker());
                    false
                }
                _ => true,
            });
            if is_flushed {
                self.machine.handle_flushed();
                self.drain(cx);
            }
        }
    }

    /// The session is over: its ids are forgotten, what was never sent is dropped, the application is told.
    fn end(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        tracing::debug!(session = ?self.session, reason = reason.as_str(), "session closed");
        self.session.shard.remove_session(&self.session.sid);
        self.app.on_close(reason, cx);
        if let Some(armed) = self.armed.take() {
            self.session.shard.alarms.clear(self.session.slot, armed);
        }
        let outbox = self.session.shard.with(|state| state.close(self.session.slot));
        let mut is_between_packets = true;
        if let Some(outbox) = outbox {
            is_between_packets = outbox.written == 0 && outbox.mode != Mode::Flushing;
            if let Sink::Poll(sender) = outbox.sink {
                drop(sender.send(Queue::from_iter([Arc::clone(&CLOSE_PACKET)])));
            }
        }
        if let Some(probe) = self.take_probe() {
            self.part(probe, &CLOSE_FRAME, cx);
        }
        let aside = self.aside.as_deref_mut();
        let (goodbye, counted) = aside.map_or((None, 0), |aside| {
            (aside.post, aside.early) = (None, Vec::new());
            (aside.goodbye.take(), std::mem::take(&mut aside.early_counted))
        });
        self.session.engine.budget.sub(counted);
        if let Some(ws) = self.ws.take() {
            let frame = match (goodbye, self.finishing) {
                (Some(frame), _) => Cow::Owned(frame.into_vec()),
                (None, true) => Cow::Borrowed(&[][..]),
                (None, false) => Cow::Borrowed(&CLOSE_FRAME[..]),
            };
            self.part(ws, if is_between_packets { &frame } else { &[] }, cx);
        }
        self.session.engine.session_closed(reason);
    }

    /// Says goodbye on a WebSocket and reads on for a moment.
    fn part(&mut self, mut conn: WsConn, frame: &[u8], cx: &mut Context<'_>) {
        if !frame.is_empty() {
            conn.stream.try_write(cx, frame);
        }
        // Nothing is left to be read, so closing at once resets nothing (RFC 6455, 7.1.1: the server closes first).
        if self.peer_closed && matches!(conn.stream, WsStream::Tcp(_)) {
            return self.session.engine.budget.sub(conn.decoder.buffered());
        }
        let is_shut = conn.stream.poll_shutdown(cx).is_ready();
        self.session.engine.budget.sub(conn.decoder.buffered());
        // There is one place: the session's own transport, the last to come, is read on rather than one that was refused before.
        let is_last = self.closed;
        let linger = &mut self.aside().linger;
        if linger.is_none() || is_last {
            let until = clock::now() + LINGER;
            *linger = Some(Linger { stream: conn.stream, is_shut, until, sleep: None });
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(aside) = &mut self.aside else { return Poll::Ready(()) };
        let Some(linger) = &mut aside.linger else { return Poll::Ready(()) };
        if !linger.is_shut {
            linger.is_shut = linger.stream.poll_shutdown(cx).is_ready();
        }
        let until = linger.until.into();
        let sleep = linger.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        let is_late = sleep.as_mut().poll(cx).is_ready();
        let poll = with_buffer(|buf| {
            for _ in 0..READS {
                match linger.stream.poll_read(cx, buf) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        if poll.is_ready() || is_late {
            aside.linger = None;
            return Poll::Ready(());
        }
        poll
    }

    // --- time --------------------------------------------------------------------------------------------------

    fn poll_timers(&mut self, cx: &mut Context<'_>) {
        if self.session.take_ring() {
            self.armed = None;
            self.on_time(clock::now() + TIMER_GRAIN, cx);
            if self.closed {
                return;
            }
        }
        let deadline = [self.machine_timeout(), self.app.poll_timeout()].into_iter().flatten().min();
        let Some(deadline) = deadline else { return };
        self.session.engine.ensure_tasks(self.session.shard.index);
        let alarms = &self.session.shard.alarms;
        let time = alarms.time(deadline.checked_sub(TIMER_GRAIN).unwrap_or(deadline));
        if self.armed.is_none_or(|armed| time < armed) {
            alarms.set(self.session.slot, self.armed.replace(time), time);
        }
    }

    /// While the application takes nothing, the pong may be among what was not read: the deadlines of an open session wait
    /// (design 8.3), but not for ever.
    fn machine_timeout(&self) -> Option<Instant> {
        match self.full_since() {
            Some(since) if self.machine.state() == eio::State::Open => Some(since + MAX_PAUSE),
            _ => self.machine.poll_timeout(),
        }
    }

    fn on_time(&mut self, now: Instant, cx: &mut Context<'_>) {
        if let Err(reason) = self.app.handle_timeout(now, cx) {
            self.machine.handle_transport_closed(reason);
            self.drain(cx);
        }
        if self.closed {
            return;
        }
        match self.full_since() {
            Some(since) if self.machine.state() == eio::State::Open => {
                if since + MAX_PAUSE <= now {
                    self.machine.handle_transport_closed(CloseReason::InboundOverflow);
                }
            }
            _ => {
                let was_upgrading = self.machine.is_upgrading();
                self.machine.handle_timeout(now);
                if was_upgrading && !self.machine.is_upgrading() && self.machine.state() == eio::State::Open {
                    self.session.engine.metrics.upgrades_timed_out.add(1);
                }
            }
        }
        self.drain(cx);
    }

    // --- what is aside -----------------------------------------------------------------------------------------

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Whether what the WebSocket brings has to wait: for the application, or for what a POST has brought before.
    fn must_wait(&self) -> bool {
        self.app.is_full() || self.aside.as_ref().is_some_and(|aside| aside.post.is_some())
    }

    fn full_since(&self) -> Option<Instant> {
        self.aside.as_ref()?.full_since
    }

    fn take_probe(&mut self) -> Option<WsConn> {
        self.aside.as_mut()?.probe.take()
    }

    // --- decoders ----------------------------------------------------------------------------------------------

    fn conn(&mut self, which: Which) -> Option<&mut WsConn> {
        match which {
            Which::Current => self.ws.as_mut(),
            Which::Probe => self.aside.as_mut()?.probe.as_mut(),
        }
    }

    fn has(&mut self, which: Which) -> bool {
        self.conn(which).is_some()
    }

    /// The decoder is taken out while it lends events, and put back where its connection is then.
    fn take_decoder(&mut self, which: Which) -> Option<ws::Decoder> {
        let limits = self.session.engine.config.ws_limits();
        let conn = self.conn(which)?;
        Some(std::mem::replace(&mut conn.decoder, ws::Decoder::new(ws::Role::Server, limits, false)))
    }

    fn put_decoder(&mut self, which: Which, decoder: ws::Decoder) {
        match self.conn(which) {
            Some(conn) => conn.decoder = decoder,
            None => self.session.engine.budget.sub(decoder.buffered()),
        }
    }
}

impl Future for SessionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let session = Arc::clone(&self.session);
        let _turn = self.is_alone.then(|| Turn::begin(&session.shard));
        self.poll_all(cx)
    }
}

/// Also when the runtime ends, or the task panicked: an outbox left behind would keep the connection open.
impl Drop for SessionTask {
    fn drop(&mut self) {
        self.end(CloseReason::ServerShuttingDown, &mut Context::from_waker(Waker::noop()));
        self.session.end_mail();
        self.session.engine.task_ended();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Current,
    Probe,
}

/// The wire form that a WebSocket of this session takes.
pub(crate) fn ws_wire(version: Version, base64: bool, deflate_bits: Option<u8>) -> crate::wire::Wire {
    use crate::wire::Wire;
    match (version, base64, deflate_bits) {
        (Version::V4, true, _) => Wire::WsB64V4,
        (Version::V3, true, _) => Wire::WsB64V3,
        (Version::V4, false, Some(bits)) => Wire::Deflate(window_class(bits)),
        (Version::V3, false, Some(bits)) => Wire::DeflateV3(window_class(bits)),
        (Version::V4, false, None) => Wire::Ws4,
        (Version::V3, false, None) => Wire::Ws3,
    }
}

/// Three classes instead of seven: each is one more compression of a broadcast, and clients choose it. A smaller window than
/// agreed is always right (RFC 7692, 7.1.2.1).
fn window_class(bits: u8) -> u8 {
    match bits {
        15.. => 15,
        12..=14 => 12,
        _ => 9,
    }
}

// With what the runtime adds a task takes 256 bytes up to this size, and then 384.
const _: () = assert!(
    size_of::<SessionTask>() <= 152,
    "a session's task must stay small: a server has one for each client"
);
