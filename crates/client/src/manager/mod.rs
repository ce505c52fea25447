//! The machine behind a client: connects, reconnects, enters namespaces, keeps what cannot be sent yet, and ends every wait.
//!
//! No IO, clock or lock; `now` and the seed are arguments. Commands and `handle_*` change the state, [`Manager::poll_output`]
//! gives what is to be done, [`Manager::poll_timeout`] when [`Manager::handle_timeout`] is due. It follows the reference's
//! `Manager` and `Socket` (`socket.io-client`), whose names its parts have. `W` is whoever waits for an answer.

mod backoff;
mod buffer;
mod entering;
mod message;
mod namespace;
mod sending;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline_proto::eio::{Moment, TransportKind};
use trunkline_proto::sio::{self, Decoder, Parser, Violation};

use self::backoff::Backoff;
pub(crate) use self::message::{Asked, Emit, Message, NoAnswer, Nsp, Output};
use self::namespace::{Namespace, Stage};
use crate::config::{Limits, Reconnection, Sending};
use crate::error::ConnectError;
use crate::events::Lifecycle;
use crate::reason::DisconnectReason;

/// What a machine is made from.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) parser: Parser,
    pub(crate) decoder: sio::Limits,
    pub(crate) reconnection: Reconnection,
    pub(crate) limits: Limits,
    /// For the random part of delays.
    pub(crate) seed: u64,
}

/// The payload of CONNECT, before recovery adds to it.
pub(crate) type AuthPayload = serde_json::Map<String, serde_json::Value>;

/// One connection and its namespaces.
pub(crate) struct Manager<W> {
    settings: Settings,
    link: Link,
    backoff: Backoff,
    /// Between the loss of the connection and its return.
    reconnecting: bool,
    /// Whether the opening under way belongs to a reconnection.
    opening_again: bool,
    /// Counts the openings, so that what becomes of one that was given up is not taken for the next one's.
    openings: u64,
    skip_reconnect: bool,
    reconnect_at: Option<Instant>,
    is_shut: bool,
    /// Whether something was queued that did not leave.
    is_cut: bool,
    namespaces: Vec<Namespace<W>>,
    decoder: Decoder,
    attachments_deadline: Option<Instant>,
    /// When answers are due.
    deadlines: BTreeSet<(Instant, Nsp, u64)>,
    outputs: VecDeque<Output<W>>,
    /// Bytes to be sent among the outputs.
    unsent: usize,
    /// What the transport said last: bytes it holds, and whether it can take more at once.
    transport: (usize, bool),
    auth_attempts: u64,
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Closed,
    Opening,
    Open {
        /// Ping interval and timeout together.
        patience: Duration,
        /// When the server has been silent for too long, on either clock.
        expires: Moment,
        /// Whether that was seen, perhaps after the machine slept: nothing more is sent then.
        is_doubtful: bool,
        /// Whether the transport is read; if it is not, nobody knows whether the server is silent.
        is_read: bool,
    },
}

impl<W> Manager<W> {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            backoff: Backoff::new(&settings.reconnection, settings.seed),
            decoder: Decoder::new(settings.parser, settings.decoder),
            settings,
            link: Link::Closed,
            reconnecting: false,
            opening_again: false,
            openings: 0,
            skip_reconnect: false,
            reconnect_at: None,
            is_shut: false,
            is_cut: false,
            namespaces: Vec::new(),
            attachments_deadline: None,
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            unsent: 0,
            transport: (0, false),
            auth_attempts: 0,
        }
    }

    // Questions.

    /// The next thing to do; `None` until something changes.
    pub(crate) fn poll_output(&mut self) -> Option<Output<W>> {
        let output = self.outputs.pop_front();
        match &output {
            Some(Output::Send { message, .. }) => self.unsent -= message.size(),
            // A burst must not leave its memory behind.
            None if self.outputs.capacity() > 64 => self.outputs = VecDeque::new(),
            _ => {}
        }
        output
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let stages = self.namespaces.iter().filter_map(Namespace::stage_deadline);
        let acks = self.deadlines.first().map(|(at, ..)| *at);
        let hopeless = self.namespaces.iter().filter_map(|namespace| namespace.hopeless);
        stages.chain(hopeless).chain(acks).chain(self.reconnect_at).chain(self.attachments_deadline).min()
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.link, Link::Open { .. })
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// Whether something was queued that did not leave, at any time.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the connection is there or will be without anybody's asking.
    pub(crate) fn is_trying(&self) -> bool {
        self.link != Link::Closed || self.reconnecting
    }

    pub(crate) fn is_connected(&self, nsp: Nsp) -> bool {
        self.namespaces.get(nsp.0).is_some_and(Namespace::is_connected)
    }

    /// Whether a namespace is connected, or will be without anybody's asking.
    pub(crate) fn is_active(&self, nsp: Nsp) -> bool {
        self.is_wanted(nsp) && self.is_trying()
    }

    /// Whether a namespace is to be connected whenever there is a connection.
    fn is_wanted(&self, nsp: Nsp) -> bool {
        self.namespaces.get(nsp.0).is_some_and(|namespace| namespace.active)
    }

    /// Whether a namespace was never told to connect.
    pub(crate) fn is_untouched(&self, nsp: Nsp) -> bool {
        self.namespaces.get(nsp.0).is_some_and(|namespace| !namespace.was_asked)
    }

    /// Of the present connection, or of the last one.
    pub(crate) fn is_recovered(&self, nsp: Nsp) -> bool {
        self.namespaces.get(nsp.0).is_some_and(|namespace| namespace.recovered)
    }

    pub(crate) fn id(&self, nsp: Nsp) -> Option<&str> {
        self.namespaces.get(nsp.0)?.id.as_deref()
    }

    /// Why a namespace last failed to connect, forgotten when it connects.
    pub(crate) fn failure(&self, nsp: Nsp) -> Option<&ConnectError> {
        self.namespaces.get(nsp.0)?.failure.as_ref()
    }

    /// Whether a namespace is connected and none is about to be.
    pub(crate) fn is_settled(&self) -> bool {
        self.namespaces.iter().any(Namespace::is_connected)
            && self.namespaces.iter().all(|namespace| namespace.stage_deadline().is_none())
    }

    /// Whether anybody waits for an answer.
    pub(crate) fn is_answer_awaited(&self) -> bool {
        self.namespaces.iter().any(|namespace| !namespace.acks.is_empty())
    }

    // Commands.

    /// Adds a namespace; the caller sees to it that there is one of a name.
    pub(crate) fn add(&mut self, name: &str, sending: Sending) -> Nsp {
        self.namespaces.push(Namespace::new(name, sending, &self.settings.limits));
        Nsp(self.namespaces.len() - 1)
    }

    /// An id for an event that wants an answer.
    pub(crate) fn next_ack_id(&mut self, nsp: Nsp) -> u64 {
        self.namespaces.get_mut(nsp.0).map_or(0, Namespace::next_ack_id)
    }

    /// Opens the connection without entering a namespace.
    pub(crate) fn open(&mut self) {
        if !self.reconnecting {
            self.start_opening(false);
        }
    }

    /// Connects a namespace, and the connection if need be (`socket.connect()`).
    pub(crate) fn connect(&mut self, nsp: Nsp, now: Instant) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        if self.is_shut {
            return;
        }
        if namespace.active {
            // The attempts may be used up, or there are none.
            self.open();
            return;
        }
        namespace.active = true;
        namespace.was_asked = true;
        namespace.hopeless = None;
        namespace.failure = None;
        if self.is_open() {
            self.enter(nsp, now);
        } else {
            self.open();
        }
    }

    /// Leaves a namespace, and closes the connection if it was the last (`socket.disconnect()`).
    pub(crate) fn disconnect(&mut self, nsp: Nsp) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let was_active = namespace.active;
        let is_connected = namespace.is_connected();
        self.deactivate(nsp);
        if is_connected {
            self.send_disconnect(nsp);
            self.leave(nsp, DisconnectReason::IoClientDisconnect, None);
        } else if was_active {
            self.fail(nsp, ConnectError::Closed);
        }
        self.close_if_unused();
    }

    /// Ends everything; nothing is taken afterwards.
    pub(crate) fn shutdown(&mut self) {
        if self.is_shut {
            return;
        }
        self.is_shut = true;
        for nsp in self.all() {
            self.disconnect(nsp);
            self.forget_waiting(nsp);
        }
        self.close(DisconnectReason::ForcedClose);
        self.outputs.push_back(Output::Close);
    }

    // What happened.

    /// The connection is open.
    pub(crate) fn handle_opened(&mut self, opening: u64, patience: Duration, moment: Moment) {
        if !self.is_opening(opening) {
            return;
        }
        self.link =
            Link::Open { patience, expires: moment.after(patience), is_doubtful: false, is_read: true };
        let now = moment.monotonic;
        self.transport = (0, true);
        self.decoder = Decoder::new(self.settings.parser, self.settings.decoder);
        for nsp in self.all() {
            if self.is_wanted(nsp) {
                self.enter(nsp, now);
            }
        }
        if self.opening_again {
            let attempts = self.backoff.attempts();
            self.reconnecting = false;
            self.backoff.reset();
            self.change(None, Lifecycle::Reconnect(attempts));
        }
    }

    /// The connection could not be opened. False if that was given up meanwhile.
    pub(crate) fn handle_open_failed(&mut self, opening: u64, error: &ConnectError, now: Instant) -> bool {
        if !self.is_opening(opening) {
            return false;
        }
        self.link = Link::Closed;
        for nsp in self.all() {
            if self.is_wanted(nsp) {
                self.fail(nsp, error.clone());
            }
        }
        if self.opening_again {
            self.reconnecting = false;
            self.reconnect(Some(error), now);
        } else {
            self.reconnect(None, now);
        }
        true
    }

    /// The connection was lost.
    pub(crate) fn handle_closed(
        &mut self,
        reason: DisconnectReason,
        description: Option<&Arc<str>>,
        now: Instant,
    ) {
        if !self.is_open() {
            return;
        }
        // What was not handed over is lost with the connection.
        self.is_cut |=
            self.outputs.iter().any(|output| matches!(output, Output::Send { is_event: true, .. }));
        self.outputs.retain(|output| !matches!(output, Output::Send { .. }));
        self.unsent = 0;
        self.lose(reason, description);
        self.reconnect(None, now);
    }

    /// Something that the transport had taken did not leave.
    pub(crate) fn note_cut(&mut self) {
        self.is_cut = true;
    }

    /// The server sent its heartbeat.
    pub(crate) fn handle_ping(&mut self, now: Moment) {
        if let Link::Open { patience, expires, is_doubtful, .. } = &mut self.link {
            *expires = now.after(*patience);
            *is_doubtful = false;
        }
    }

    /// The connection goes on by another transport.
    pub(crate) fn handle_upgraded(&mut self, transport: TransportKind) {
        if self.is_open() {
            self.change(None, Lifecycle::Upgraded(transport));
        }
    }

    /// How full the transport is: bytes, and whether it takes more at once.
    pub(crate) fn handle_transport(&mut self, buffered: usize, is_writable: bool) {
        self.transport = (buffered, is_writable);
    }

    /// Whether the transport is read from now on. When it is again, the server's time starts anew.
    pub(crate) fn handle_reading(&mut self, reads: bool, now: Moment) {
        if let Link::Open { patience, expires, is_read, .. } = &mut self.link {
            if reads && !*is_read {
                *expires = now.after(*patience);
            }
            *is_read = reads;
        }
    }

    /// A text message.
    pub(crate) fn handle_text(&mut self, text: &str, now: Instant) {
        self.decode(now, |decoder, manager| {
            decoder.decode_text(text).map(|packet| packet.map(|packet| manager.handle_packet(&packet, now)))
        });
    }

    /// A binary message.
    pub(crate) fn handle_binary(&mut self, data: Bytes, now: Instant) {
        self.decode(now, |decoder, manager| {
            decoder
                .decode_binary(Cow::Owned(data.into()))
                .map(|packet| packet.map(|packet| manager.handle_packet(&packet, now)))
        });
    }

    /// What the auth function said, if it is not too late.
    pub(crate) fn handle_auth(
        &mut self,
        nsp: Nsp,
        attempt: u64,
        result: Result<Option<AuthPayload>, String>,
        now: Instant,
    ) {
        let is_current = self
            .namespaces
            .get(nsp.0)
            .is_some_and(|ns| matches!(ns.stage, Stage::Asking { attempt: asking, .. } if asking == attempt));
        if !is_current {
            return;
        }
        match result {
            Ok(auth) => self.send_connect(nsp, auth, now),
            Err(error) => self.refuse(nsp, ConnectError::Auth(error)),
        }
    }

    /// Whatever is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.attachments_deadline.is_some_and(|at| at <= now) {
            self.violate("attachments are missing", now);
        }
        for nsp in self.all() {
            let due = self.namespaces.get(nsp.0).and_then(Namespace::stage_deadline);
            if due.is_some_and(|at| at <= now) {
                self.refuse(nsp, ConnectError::Timeout);
            }
            self.end_hopeless(nsp, now);
        }
        while let Some((at, nsp, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            self.end_ack(nsp, id, NoAnswer::Timeout, now);
        }
        if self.reconnect_at.is_some_and(|at| at <= now) {
            self.reconnect_at = None;
            self.change(None, Lifecycle::ReconnectAttempt(self.backoff.attempts()));
            self.start_opening(true);
        }
    }

    /// Closes the connection because events come faster than they are handled, or are not handled at all.
    pub(crate) fn overflow(&mut self, now: Instant) {
        self.abandon(DisconnectReason::InboundOverflow, None, now);
    }

    // Connecting.

    fn start_opening(&mut self, again: bool) {
        if self.link == Link::Closed && !self.is_shut {
            self.skip_reconnect = false;
            self.opening_again = again;
            self.link = Link::Opening;
            self.openings += 1;
            self.outputs.push_back(Output::Open { opening: self.openings });
        }
    }

    fn is_opening(&self, opening: u64) -> bool {
        self.link == Link::Opening && self.openings == opening
    }

    /// Plans the next attempt, if there is to be one; `failed` is why the last one did.
    fn reconnect(&mut self, failed: Option<&ConnectError>, now: Instant) {
        let plan = self.settings.reconnection;
        let is_wanted = plan.enabled && !self.reconnecting && !self.skip_reconnect && !self.is_shut;
        let is_over = is_wanted && plan.attempts.is_some_and(|attempts| self.backoff.attempts() >= attempts);
        if is_over {
            self.backoff.reset();
            self.change(None, Lifecycle::ReconnectFailed);
        }
        if let Some(error) = failed {
            // Behind the end of the attempts, as in the reference.
            self.change(None, Lifecycle::ReconnectError(error.clone()));
        }
        if is_wanted && !is_over {
            let delay = self.backoff.next_delay();
            self.reconnecting = true;
            self.reconnect_at = Some(later(now, delay));
            self.change(None, Lifecycle::ReconnectIn { attempt: self.backoff.attempts(), delay });
        }
    }

    // Closing.

    /// `_destroy` of the reference: without an active socket there is no need for a connection.
    fn close_if_unused(&mut self) {
        if self.namespaces.iter().all(|namespace| !namespace.active) {
            self.close(DisconnectReason::ForcedClose);
        }
    }

    /// Closes for good: no reconnection follows.
    fn close(&mut self, reason: DisconnectReason) {
        self.skip_reconnect = true;
        self.reconnecting = false;
        self.reconnect_at = None;
        if self.link != Link::Closed {
            self.outputs.push_back(Output::Close);
        }
        self.lose(reason, None);
    }

    /// Closes a connection that is of no use any more; a reconnection follows.
    fn abandon(&mut self, reason: DisconnectReason, description: Option<&Arc<str>>, now: Instant) {
        if self.is_open() {
            self.outputs.push_back(Output::Close);
            self.lose(reason, description);
            self.reconnect(None, now);
        }
    }

    fn violate(&mut self, rule: &str, now: Instant) {
        self.abandon(DisconnectReason::ParseError, Some(&rule.into()), now);
    }

    /// The connection is gone, for whatever reason.
    fn lose(&mut self, reason: DisconnectReason, description: Option<&Arc<str>>) {
        self.link = Link::Closed;
        self.backoff.reset();
        self.attachments_deadline = None;
        for nsp in self.all() {
            if self.is_connected(nsp) {
                self.leave(nsp, reason, description.cloned());
            } else if self.namespaces.get(nsp.0).is_some_and(|namespace| namespace.stage != Stage::Idle) {
                self.fail(nsp, ConnectError::Lost(reason));
            }
        }
        self.namespaces.iter_mut().for_each(Namespace::forget_connection);
    }

    // Helpers.

    /// Runs the decoder apart from the rest, because its packets borrow it.
    fn decode(
        &mut self,
        now: Instant,
        run: impl FnOnce(&mut Decoder, &mut Self) -> Result<Option<()>, Violation>,
    ) {
        if !self.is_open() {
            return;
        }
        let spare = Decoder::new(self.settings.parser, self.settings.decoder);
        let mut decoder = std::mem::replace(&mut self.decoder, spare);
        match run(&mut decoder, self) {
            Ok(_) => {
                decoder.release();
                let is_waiting = self.is_open() && decoder.is_waiting();
                let deadline = later(now, self.settings.limits.attachments_timeout);
                self.attachments_deadline = is_waiting.then(|| self.attachments_deadline.unwrap_or(deadline));
                self.decoder = decoder;
            }
            Err(violation) => self.violate(&violation.to_string(), now),
        }
    }

    fn change(&mut self, nsp: Option<Nsp>, change: Lifecycle) {
        self.outputs.push_back(Output::Change { nsp, change });
    }

    fn all(&self) -> impl Iterator<Item = Nsp> + use<W> {
        (0..self.namespaces.len()).map(Nsp)
    }
}

/// `now + time`, also for times like [`Duration::MAX`], which mean "never".
fn later(now: Instant, time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    now.checked_add(time.min(YEAR)).unwrap_or(now)
}
