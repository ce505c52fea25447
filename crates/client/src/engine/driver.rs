//! One open session: everything it does happens in one poll of its owner.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use tokio::time::Sleep;
pub(crate) use trunkline_proto::eio::Open as Opened;
use trunkline_proto::eio::{
    ClientConfig, ClientOutput, ClientSession, CloseReason, Message, Moment, Packet, State, TransportKind,
    Version,
};

use super::config::EngineConfig;
use super::cookies::CookieJar;
use super::endpoint::Endpoint;
use super::error::{ConnectError, TransportError};
use super::open::{self, Session};
use super::polling::Polling;
use super::queue::{self, Outgoing, Queue};
use super::websocket::{Frame, WebSocket};

/// An Engine.IO session, owned by one task, in which everything happens: it has none of its own. Dropped without
/// [`Engine::close`], its connections end without a word.
pub(crate) struct Engine {
    endpoint: Arc<Endpoint>,
    opened: Opened,
    session: ClientSession,
    transport: Transport,
    probe: Option<Probe>,
    queue: Queue,
    /// The cost of what the POST under way carries.
    posted: usize,
    /// A few at most: one for each output of the machine.
    events: VecDeque<EngineEvent>,
    /// Why the probe or the session is about to end.
    probe_error: Option<ConnectError>,
    failure: Option<String>,
    /// Whether the session ended with something unsent.
    is_cut: bool,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
}

/// What happens to a session.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// The session has moved from polling to WebSocket.
    Upgraded,
    /// It has not, and goes on by polling; there is no second attempt.
    UpgradeFailed(ConnectError),
    /// The server pinged; the answer is on its way.
    Ping,
    /// The session is over: why, and in more words. Given once; afterwards nothing happens any more.
    Closed(CloseReason, Option<String>),
}

/// Whether messages are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    On,
    /// Not now: there is no room for them.
    Paused,
}

/// The current transport.
pub(super) enum Transport {
    Polling(Box<Polling>),
    WebSocket(Box<WebSocket>),
    /// The session is closed.
    Gone,
}

/// How far an orderly end has come.
#[derive(Debug, Default)]
struct Goodbye {
    /// Whether the server was told.
    told: bool,
    /// Whether it has got what was queued before.
    arrived: bool,
}

/// The WebSocket that may take over.
enum Probe {
    Opening(Pin<Box<dyn Future<Output = Result<WebSocket, ConnectError>> + Send>>),
    Open(Box<WebSocket>),
}

impl Engine {
    /// Opens a session: ready once the server's `open` packet was read. `jar` gives and takes cookies, now and later.
    ///
    /// # Errors
    /// What went wrong with the last transport that was tried.
    pub(crate) async fn connect(config: &EngineConfig, jar: &mut CookieJar) -> Result<Self, ConnectError> {
        // Boxed: what connecting needs is not kept in the owner's task for the session's whole life.
        let Session { endpoint, open, transport } = Box::pin(open::open(config, jar)).await?;
        let kind = match transport {
            Transport::WebSocket(_) => TransportKind::WebSocket,
            Transport::Polling(_) | Transport::Gone => TransportKind::Polling,
        };
        let now = moment();
        let times = ClientConfig { close_timeout: endpoint.config.close_timeout, ..ClientConfig::default() };
        let mut engine = Self {
            endpoint,
            session: ClientSession::new(times, &open, kind, now),
            opened: open,
            transport,
            probe: None,
            queue: Queue::default(),
            posted: 0,
            events: VecDeque::new(),
            probe_error: None,
            failure: None,
            is_cut: false,
            timer: Box::pin(tokio::time::sleep_until(now.monotonic.into())),
            timer_at: Some(now.monotonic),
        };
        engine.begin_upgrade(now);
        Ok(engine)
    }

    /// What the server said when it opened the session.
    pub(crate) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The current transport.
    pub(crate) fn transport(&self) -> TransportKind {
        self.session.transport()
    }

    /// The next thing that happens. Cancel safe: may be dropped and called again. While nobody calls it the session stands
    /// still, its heartbeat included.
    #[cfg(test)]
    pub(crate) async fn next(&mut self) -> EngineEvent {
        poll_fn(|cx| self.poll_next(cx, Reading::On)).await
    }

    /// Queues a text message, given in UTF-8 and without a packet type; it leaves at the next [`Engine::next`], together
    /// with others. False if there is no room for it: then it is not queued.
    pub(crate) fn send_text(&mut self, text: Bytes) -> bool {
        let has_room = self.has_room(1, text.len());
        if has_room {
            self.queue.push(Outgoing::Text(text));
        }
        has_room
    }

    /// Queues a binary message; otherwise as [`Engine::send_text`].
    pub(crate) fn send_binary(&mut self, data: Bytes) -> bool {
        let has_room = self.has_room(1, data.len());
        if has_room {
            self.queue.push(Outgoing::Binary(data));
        }
        has_room
    }

    /// Whether that many messages with that many bytes in all would be queued: for packets that must leave whole.
    pub(crate) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        let more = queue::cost(0).saturating_mul(messages).saturating_add(bytes);
        self.buffered().saturating_add(more) <= self.endpoint.config.max_buffer
    }

    /// Bytes that are not with the kernel, or in a POST that was not answered; 64 more are counted for each message.
    pub(crate) fn buffered(&self) -> usize {
        let encoded = match &self.transport {
            Transport::WebSocket(websocket) => websocket.unwritten(),
            Transport::Polling(_) | Transport::Gone => self.posted,
        };
        self.queue.bytes().saturating_add(encoded)
    }

    /// Whether what is sent now leaves now: the kernel has taken all before it, or no POST is under way. Volatile packets
    /// are dropped when it does not (reference: `transport.writable`).
    pub(crate) fn is_writable(&self) -> bool {
        let is_free = match &self.transport {
            Transport::WebSocket(websocket) => websocket.unwritten() == 0,
            Transport::Polling(_) => self.posted == 0 && !self.session.is_paused(),
            Transport::Gone => false,
        };
        is_free && self.session.state() == State::Open && !self.is_expired(Instant::now())
    }

    /// Whether the server has been silent for longer than it may: what is sent now would be lost. True at once when the
    /// machine wakes from a sleep that was longer than the heartbeat, before [`Engine::next`] says so.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.session.has_expired(Moment { monotonic: now, wall: SystemTime::now() })
    }

    /// Whether the session ended with something unsent.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Ends the session in order: what is queued leaves, then the server is told. Bounded by
    /// [`EngineConfig::close_timeout`]; what is received meanwhile is dropped. Whether the server has got everything, so far
    /// as it can be known.
    pub(crate) async fn close(mut self) -> bool {
        self.session.handle_close(moment());
        let mut goodbye = Goodbye::default();
        poll_fn(|cx| self.poll_close(cx, &mut goodbye)).await;
        goodbye.arrived
    }

    /// The next thing that happens, all that a session does being done meanwhile. With [`Reading::Paused`] it gives no
    /// messages and reads none: what is queued leaves, requests under way and the upgrade go on, and only the server's
    /// silence means nothing, since its pings are among what is not read. A server that gives up on a WebSocket meanwhile is
    /// noticed by writing, or once it is read again.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>, reading: Reading) -> Poll<EngineEvent> {
        loop {
            let now = moment();
            if reading == Reading::On {
                self.session.handle_reading_resumed(now);
            }
            self.session.handle_timeout(now);
            if reading == Reading::Paused {
                // Behind the deadlines: a session that was over before stays over.
                self.session.handle_reading_stopped();
            }
            self.drain();
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            if self.session.state() == State::Closed {
                return Poll::Pending;
            }
            if let Poll::Ready(result) = self.poll_send(cx) {
                self.fail_on(result);
                continue;
            }
            if self.poll_probe(cx).is_ready() {
                continue;
            }
            let received = match reading {
                Reading::On => self.poll_receive(cx, now),
                Reading::Paused => self.poll_get(cx).map_ok(|()| None),
            };
            match received {
                Poll::Ready(Ok(Some(event))) => return Poll::Ready(event),
                Poll::Ready(result) => {
                    self.fail_on(result.map(drop));
                    continue;
                }
                Poll::Pending => {}
            }
            if matches!(&self.transport, Transport::WebSocket(websocket) if websocket.owes_pong()) {
                continue;
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, goodbye: &mut Goodbye) -> Poll<()> {
        let Goodbye { told, arrived } = goodbye;
        loop {
            self.session.handle_timeout(moment());
            self.drain();
            if self.session.state() == State::Closed {
                return Poll::Ready(());
            }
            if let Poll::Ready(result) = self.poll_send(cx) {
                self.fail_on(result);
                continue;
            }
            let is_flushed = self.queue.is_empty()
                && self.posted == 0
                && match &self.transport {
                    Transport::WebSocket(websocket) => websocket.is_flushed(),
                    Transport::Polling(_) | Transport::Gone => true,
                };
            match &mut self.transport {
                _ if !is_flushed => {}
                Transport::WebSocket(websocket) if !*told => {
                    *told = true;
                    let result = websocket.push_close();
                    self.fail_on(result.map_err(TransportError::from));
                    continue;
                }
                Transport::Polling(_) if !*told => {
                    // Each request was answered.
                    (*told, *arrived) = (true, true);
                    self.queue.push(Outgoing::Control("1"));
                    continue;
                }
                // The server answers the close frame; whatever comes before is dropped.
                Transport::WebSocket(websocket) => match websocket.poll_frame(cx) {
                    Poll::Ready(Ok(_)) => continue,
                    Poll::Ready(Err(end)) => {
                        *arrived = matches!(end, TransportError::Closed { .. } | TransportError::Ended);
                        self.session.handle_flushed();
                        continue;
                    }
                    Poll::Pending => {}
                },
                Transport::Polling(_) | Transport::Gone => {
                    self.session.handle_flushed();
                    continue;
                }
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Writes what waits. Ready only when something ended: a POST, or the transport.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.transport {
            Transport::WebSocket(websocket) => match websocket.poll_send(cx, &mut self.queue) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            },
            Transport::Polling(polling) => {
                if !self.queue.is_empty() && self.session.begin_post() {
                    let max = self.opened.max_payload.unwrap_or(usize::MAX);
                    let (body, cost) = self.queue.take_payload(max);
                    self.posted = cost;
                    polling.start_post(body);
                }
                let result = polling.poll_post(cx);
                if let Poll::Ready(result) = &result {
                    self.is_cut |= result.is_err() && self.posted > 0;
                    self.posted = 0;
                    self.session.handle_post_ended();
                }
                result
            }
            Transport::Gone => Poll::Pending,
        }
    }

    /// Goes on with the GET under way, whose answer is kept as it is.
    fn poll_get(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.transport {
            Transport::Polling(polling) => polling.poll_get(cx),
            Transport::WebSocket(_) | Transport::Gone => Poll::Pending,
        }
    }

    /// Reads until a message, or until the machine has something to do.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Poll<Result<Option<EngineEvent>, TransportError>> {
        match &mut self.transport {
            Transport::WebSocket(websocket) => {
                let frame = match websocket.poll_frame(cx) {
                    Poll::Ready(Ok(frame)) => frame,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                };
                Poll::Ready(match frame {
                    Frame::Binary(data) => Ok(Some(EngineEvent::Binary(data))),
                    Frame::Text(text) => Packet::decode_text(Version::V4, &text)
                        .and_then(|packet| self.session.handle_packet(now, packet))
                        .map(|message| message.map(event))
                        .map_err(TransportError::from),
                })
            }
            Transport::Polling(polling) => {
                if let Some(packet) = polling.body().next() {
                    let message = packet.and_then(|packet| self.session.handle_packet(now, packet));
                    return Poll::Ready(
                        message.map(|message| message.map(event)).map_err(TransportError::from),
                    );
                }
                if polling.take_answered() {
                    self.session.handle_get_ended();
                    return Poll::Ready(Ok(None));
                }
                if self.session.begin_get() {
                    polling.start_get();
                }
                match polling.poll_get(cx) {
                    Poll::Ready(result) => Poll::Ready(result.map(|()| None)),
                    Poll::Pending => Poll::Pending,
                }
            }
            Transport::Gone => Poll::Pending,
        }
    }

    /// Goes on with the upgrade; ready when it has taken a step.
    fn poll_probe(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let failure = match &mut self.probe {
            None => return Poll::Pending,
            Some(Probe::Opening(opening)) => match opening.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(websocket)) => {
                    self.probe = Some(Probe::Open(Box::new(websocket)));
                    self.session.handle_probe_open();
                    return Poll::Ready(());
                }
                Poll::Ready(Err(error)) => error,
            },
            Some(Probe::Open(websocket)) => {
                let sent = websocket.poll_send(cx, &mut Queue::default());
                match (sent, websocket.poll_frame(cx)) {
                    (Poll::Ready(Err(error)), _) => TransportError::from(error).into(),
                    (_, Poll::Ready(Err(error))) => error.into(),
                    (_, Poll::Ready(Ok(frame))) => {
                        let packet = match &frame {
                            Frame::Text(text) => Packet::decode_text(Version::V4, text),
                            Frame::Binary(data) => Packet::decode_binary(Version::V4, data),
                        };
                        match packet {
                            Ok(packet) => {
                                self.probe_error =
                                    Some(ConnectError::NotSocketIo { why: "it did not answer the probe" });
                                self.session.handle_probe_packet(&packet);
                                if self.session.is_upgrading() {
                                    // It did; what may still happen is that the last poll takes too long.
                                    self.probe_error = None;
                                }
                                return Poll::Ready(());
                            }
                            Err(violation) => TransportError::from(violation).into(),
                        }
                    }
                    (_, Poll::Pending) => return Poll::Pending,
                }
            }
        };
        self.session.handle_probe_failed();
        self.drop_probe(failure);
        Poll::Ready(())
    }

    /// Carries out what the machine wants.
    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                ClientOutput::Upgraded => self.complete_upgrade(),
                ClientOutput::Pong => {
                    self.queue.push_front(Outgoing::Control("3"));
                    self.events.push_back(EngineEvent::Ping);
                }
                ClientOutput::ProbePing => {
                    if let Some(Probe::Open(websocket)) = &mut self.probe
                        && let Err(error) = websocket.push_packet("2probe")
                    {
                        self.session.handle_probe_failed();
                        self.drop_probe(TransportError::from(error).into());
                    }
                }
                ClientOutput::CloseProbe => {
                    let error = self.probe_error.take();
                    self.drop_probe(error.unwrap_or(ConnectError::Timeout { step: "the upgrade" }));
                }
                // `poll_close` looks at what remains to be sent.
                ClientOutput::Finish => {}
                ClientOutput::Closed(reason) => {
                    self.is_cut |= self.buffered() > 0;
                    self.transport = Transport::Gone;
                    self.probe = None;
                    self.events.push_back(EngineEvent::Closed(reason, self.failure.take()));
                }
            }
        }
    }

    fn begin_upgrade(&mut self, now: Moment) {
        let config = &self.endpoint.config;
        let is_wanted = config.upgrade
            && self.opened.upgrades_to_websocket
            && config.transports.contains(&TransportKind::WebSocket);
        if is_wanted && self.session.begin_upgrade(now) {
            let (endpoint, sid) = (Arc::clone(&self.endpoint), self.opened.sid.clone());
            let opening = async move { endpoint.open_websocket(Some(&sid)).await };
            self.probe = Some(Probe::Opening(Box::pin(opening)));
        }
    }

    fn complete_upgrade(&mut self) {
        let Some(Probe::Open(mut websocket)) = self.probe.take() else { return };
        let result = websocket.push_packet("5");
        self.transport = Transport::WebSocket(websocket);
        self.probe_error = None;
        self.endpoint.config.websocket_worked.store(true, Ordering::Relaxed);
        self.events.push_back(EngineEvent::Upgraded);
        self.fail_on(result.map_err(TransportError::from));
    }

    fn drop_probe(&mut self, error: ConnectError) {
        if self.probe.take().is_some() {
            self.events.push_back(EngineEvent::UpgradeFailed(error));
        }
        self.probe_error = None;
    }

    fn fail_on(&mut self, result: Result<(), TransportError>) {
        if let Err(error) = result {
            self.failure = Some(error.description());
            self.session.handle_transport_closed(error.close_reason());
        }
    }

    /// Ready when a deadline has come; re-armed only when it has changed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.session.poll_timeout() else { return Poll::Pending };
        if self.timer_at != Some(deadline) {
            self.timer_at = Some(deadline);
            self.timer.as_mut().reset(deadline.into());
        }
        let result = self.timer.as_mut().poll(cx);
        if result.is_ready() {
            // An elapsed timer must be set again before it is polled.
            self.timer_at = None;
        }
        result
    }
}

fn event(message: Message<'_>) -> EngineEvent {
    match message {
        Message::Text(text) => EngineEvent::Text(text.into_owned()),
        Message::Binary(data) => EngineEvent::Binary(data.into_owned().into()),
    }
}

fn moment() -> Moment {
    Moment { monotonic: Instant::now(), wall: SystemTime::now() }
}
