//! The Socket.IO half of a connection: the namespaces it is in, and the handlers that run for it.
//!
//! Owned and polled by the session's task. Handlers of one socket run one at a time, in arrival order; reading, acknowledgements
//! and heartbeats go on meanwhile (design 8.3).

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::future::BoxFuture;
use smallvec::SmallVec;
use trunkline_proto::eio::{self, CloseReason, Version};
use trunkline_proto::sio::{self, DisconnectReason, Kind, OwnedArgs, Violation};

use crate::admission::{Admission, Refusal, ask};
use crate::clock;
use crate::dynamic::Rule;
use crate::engine::{EngineCore, SessionApp};
use crate::handshake::query_pairs;
use crate::io::IoCore;
use crate::metrics::EntryBound;
use crate::namespace::{Hold, NamespaceCore, Table};
use crate::recovery::{Claim, NamespaceLog, Outcome};
use crate::run::{Event, Panicked, Run, guard_poll};
use crate::session::{Command, Session};
use crate::shard::{Class, Push};
use crate::sid::Id;
use crate::socket::{Flags, Recoverable, Socket, SocketId, reason_of};
use crate::wire::{HEADROOM, Packet};

/// One connection's namespaces.
pub(crate) struct Client {
    io: Arc<IoCore>,
    session: Arc<Session>,
    sockets: SmallVec<[Entry; 1]>,
    /// `None` while there is nothing in it.
    aside: Option<Box<Aside>>,
    /// The bound was reached, and half of it is still waiting: reading goes on below that, not after each event.
    full: bool,
    /// A rule was broken: nothing more is taken.
    ending: bool,
}

/// What an idle client has not.
#[derive(Default)]
struct Aside {
    /// While the attachments of a packet are to come.
    decoder: Option<sio::Decoder>,
    /// Until when they have to come.
    attachments_deadline: Option<Instant>,
    entering: Vec<Entering>,
    /// Until when it has to enter a namespace.
    connect_deadline: Option<Instant>,
    /// Namespaces that the server took the client out of: what was under way for them is dropped, not a violation.
    left: Vec<Arc<str>>,
    /// Events that wait for a handler, and their bytes.
    pending: usize,
    pending_bytes: usize,
}

impl Aside {
    fn is_empty(&self) -> bool {
        let Self { decoder, attachments_deadline, entering, connect_deadline, left, pending, pending_bytes } =
            self;
        decoder.is_none()
            && attachments_deadline.is_none()
            && entering.is_empty()
            && connect_deadline.is_none()
            && left.is_empty()
            && (*pending, *pending_bytes) == (0, 0)
    }
}

/// A socket and what runs for it.
struct Entry {
    socket: Socket,
    /// As they were when the last event came.
    handlers: Arc<Table>,
    run: Option<Box<Run>>,
    gone: bool,
}

/// A namespace that the checks have not decided on yet.
struct Entering {
    namespace: Arc<str>,
    future: BoxFuture<'static, Result<Entered, Refusal>>,
}

struct Entered {
    namespace: Hold,
    admission: Admission,
    /// Whether the checks have run: they may be spared a client that is recovered.
    is_checked: bool,
}

/// Events handled in one poll: others come first then.
const EVENTS_PER_POLL: usize = 64;
/// The reference's words.
const INVALID_NAMESPACE: &str = "Invalid namespace";
/// Bytes of a namespace's name: a pattern keeps the names that clients invent.
pub(crate) const MAX_NAMESPACE: usize = 256;
/// Bytes of a CONNECT's payload: it is kept as long as its socket.
const MAX_AUTH: usize = 16 * 1024;
/// Bytes that CONNECT and its namespace's name take at most.
const CONNECT_MARGIN: usize = 1024;
/// What an event costs in the queue beside its bytes.
const EVENT_COST: usize = 64;

impl Client {
    pub(crate) fn new(io: Arc<IoCore>, session: Arc<Session>) -> Self {
        let connect_deadline = Some(clock::now() + io.config.connect_timeout);
        let aside = Some(Box::new(Aside { connect_deadline, ..Aside::default() }));
        Self { io, session, sockets: SmallVec::new(), aside, full: false, ending: false }
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Gives the place back when nothing is in it any more.
    fn tidy(&mut self) {
        if self.aside.as_ref().is_some_and(|aside| aside.is_empty()) {
            self.aside = None;
        }
    }

    fn entering(&self) -> &[Entering] {
        self.aside.as_ref().map_or(&[], |aside| &aside.entering)
    }

    /// Namespaces that the server took it out of.
    fn left(&self) -> &[Arc<str>] {
        self.aside.as_ref().map_or(&[], |aside| &aside.left)
    }

    fn new_decoder(&self) -> sio::Decoder {
        let config = &self.io.config;
        // A packet is one message and one for each attachment: Engine.IO bounds each of them.
        let messages = config.max_attachments.saturating_add(1);
        let max_bytes = self.session.engine.config.max_payload.saturating_mul(messages);
        let limits =
            sio::Limits { max_attachments: config.max_attachments, max_bytes, ..sio::Limits::default() };
        sio::Decoder::new(config.parser, limits)
    }

    fn on_packet(&mut self, packet: sio::Packet<'_>, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let is_named = |e: &Entry| !e.gone && *e.socket.namespace_core().name == *packet.nsp;
        // One that the application disconnects at this moment is left already, though its handlers are still to be told.
        let found = self.sockets.iter().position(|e| is_named(e) && e.socket.is_connected());
        match (packet.kind, found) {
            (Kind::Connect { .. }, Some(_)) => self.violate(Violation::DuplicateConnect),
            (Kind::Connect { auth, query }, None) => {
                if self.entering().iter().any(|e| *e.namespace == *packet.nsp) {
                    self.violate(Violation::DuplicateConnect);
                    return Ok(());
                }
                let auth = match query {
                    _ if self.session.version == Version::V4 => auth.map(|auth| auth.to_owned()),
                    Some(query) => Some(OwnedArgs::from_value(&query_object(query))),
                    None => None,
                };
                if auth.as_ref().is_some_and(|auth| auth.size() > MAX_AUTH) {
                    self.io.parts.metrics.entry_refused(EntryBound::Auth);
                    self.refuse(packet.nsp, &Refusal::new("Auth payload too large"));
                    return Ok(());
                }
                self.enter(packet.nsp, auth, cx);
            }
            (Kind::ConnectError { .. }, _) => self.violate(Violation::ConnectErrorFromClient),
            (Kind::Disconnect, Some(index)) => {
                let entry = &mut self.sockets[index];
                // False if the application was faster: `on_left` follows.
                if entry.socket.exit(DisconnectReason::ClientNamespaceDisconnect) {
                    entry.gone = true;
                    self.queue(index, Event::Gone(DisconnectReason::ClientNamespaceDisconnect), cx);
                    self.forget_gone();
                }
            }
            (Kind::Event { name, id, args }, Some(index)) => {
                return self.on_event(index, &name, id, args, cx);
            }
            (Kind::Ack { id, args }, Some(index)) => {
                let socket = &self.sockets[index].socket;
                if !socket.core().acks.answer(socket.id(), id, &args) {
                    tracing::debug!(?socket, id, "an acknowledgement that nobody waits for");
                }
            }
            (_, None) if self.left().iter().any(|name| **name == *packet.nsp) => {}
            (_, None) if self.sockets.iter().any(is_named) => {}
            // In protocol 4 a client may leave what it never entered, as the reference allows.
            (Kind::Disconnect, None) if self.session.version == Version::V3 => {}
            (_, None) => self.violate(Violation::NotConnectedToNamespace),
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        index: usize,
        name: &str,
        id: Option<u64>,
        args: sio::Args<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        let entry = &mut self.sockets[index];
        if entry.run.is_none() {
            // Nothing runs and nothing waits: the arguments need not be copied.
            entry.run = Run::start(&entry.socket, &mut entry.handlers, name, id, args, cx);
            return Ok(());
        }
        let args = args.to_owned();
        let aside = self.aside.get_or_insert_default();
        aside.pending += 1;
        aside.pending_bytes += args.size() + name.len() + EVENT_COST;
        let config = &self.io.config;
        let is_full =
            aside.pending >= config.max_pending_events || aside.pending_bytes >= config.max_pending_bytes;
        if is_full && !self.full {
            self.full = true;
            self.io.parts.metrics.reading_stopped.add(1);
        }
        self.session.engine.budget.add(args.size() + name.len() + EVENT_COST);
        self.queue(index, Event::Message { name: name.into(), id, args }, cx);
        self.check_overflow()
    }

    /// A handler that waits for this client's answer would wait in vain once we stop reading (design 8.3).
    fn check_overflow(&self) -> Result<(), CloseReason> {
        if self.is_full() && self.sockets.iter().any(|e| e.socket.core().acks.is_awaited_by_handler()) {
            return Err(CloseReason::InboundOverflow);
        }
        Ok(())
    }

    /// Puts an event behind those that wait; starts it if there are none.
    fn queue(&mut self, index: usize, event: Event, cx: &mut Context<'_>) {
        let Entry { socket, run, .. } = &mut self.sockets[index];
        let is_idle = run.is_none();
        run.get_or_insert_default().queue.push_back(event);
        if is_idle {
            let socket = socket.clone();
            self.advance(index, &socket, cx);
        }
    }

    /// Polls what runs for a socket, and starts what waits.
    fn advance(&mut self, index: usize, socket: &Socket, cx: &mut Context<'_>) {
        let Some(entry) = self.sockets.get_mut(index) else { return };
        let Some(run) = &mut entry.run else { return };
        for _ in 0..EVENTS_PER_POLL {
            if run.poll(socket, cx).is_pending() {
                return;
            }
            let Some(event) = run.queue.pop_front() else {
                entry.run = None;
                return;
            };
            if let Event::Message { name, args, .. } = &event {
                let cost = args.size() + name.len() + EVENT_COST;
                let aside = self.aside.get_or_insert_default();
                aside.pending -= 1;
                aside.pending_bytes -= cost;
                let config = &self.io.config;
                if aside.pending <= config.max_pending_events / 2
                    && aside.pending_bytes <= config.max_pending_bytes / 2
                {
                    self.full = false;
                }
                self.session.engine.budget.sub(cost);
            }
            run.begin(socket, &mut entry.handlers, event);
        }
        cx.waker().wake_by_ref();
    }

    fn advance_all(&mut self, cx: &mut Context<'_>) {
        let mut has_gone = false;
        for index in 0..self.sockets.len() {
            if self.sockets[index].run.is_some() {
                let socket = self.sockets[index].socket.clone();
                self.advance(index, &socket, cx);
            }
            has_gone |= self.sockets[index].gone;
        }
        if has_gone {
            self.forget_gone();
        }
    }

    /// Lets go of the sockets that have left and whose handlers have been told. At once: an idle connection comes by again only with
    /// its next heartbeat.
    fn forget_gone(&mut self) {
        self.sockets.retain(|e| {
            let is_over = e.gone && e.run.is_none();
            if is_over {
                e.socket.forget_listeners();
            }
            !is_over
        });
    }

    /// A client asks to enter a namespace.
    fn enter(&mut self, name: &str, auth: Option<OwnedArgs>, cx: &mut Context<'_>) {
        let metrics = &self.io.parts.metrics;
        if name.len() > MAX_NAMESPACE {
            metrics.entry_refused(EntryBound::Name);
            return self.refuse(name, &Refusal::new(INVALID_NAMESPACE));
        }
        let inside = self.sockets.iter().filter(|e| !e.gone || e.run.is_some()).count();
        if inside + self.entering().len() >= self.io.config.max_namespaces {
            metrics.entry_refused(EntryBound::Count);
            return self.refuse(name, &Refusal::new("Too many namespaces"));
        }
        let namespace: Arc<str> = Arc::from(name);
        let future =
            Box::pin(admit(Arc::clone(&self.io), Arc::clone(&self.session), Arc::clone(&namespace), auth));
        let aside = self.aside();
        aside.left.retain(|left| **left != *name);
        aside.entering.push(Entering { namespace, future });
        self.poll_entering(cx);
    }

    fn poll_entering(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some(aside) = &mut self.aside {
            let Some(entering) = aside.entering.get_mut(index) else { break };
            let result = match guard_poll(&mut entering.future, cx) {
                Ok(Poll::Pending) => {
                    index += 1;
                    continue;
                }
                Ok(Poll::Ready(result)) => result,
                Err(()) => {
                    self.io.failed("check", None, &Panicked.into(), true);
                    Err(Refusal::new(crate::handler::INTERNAL))
                }
            };
            let entering = aside.entering.swap_remove(index);
            match result {
                Ok(entered) => self.entered(entered, cx),
                Err(refusal) => self.refuse(&entering.namespace, &refusal),
            }
        }
        self.tidy();
    }

    fn entered(&mut self, entered: Entered, cx: &mut Context<'_>) {
        let socket = match entered.namespace.namespace().log().filter(|_| self.session.version == Version::V4)
        {
            None => self.entered_new(&entered),
            Some(log) => match self.entered_again(log, &entered) {
                Some(socket) => socket,
                None => {
                    // The checks were spared a client that cannot be recovered after all: they are to run.
                    let Entered { namespace, admission, .. } = entered;
                    let name: Arc<str> = Arc::clone(&namespace.namespace().name);
                    let engine = Arc::clone(&self.session.engine);
                    let future = Box::pin(check(Arc::clone(&self.io), engine, namespace, admission, true));
                    self.aside().entering.push(Entering { namespace: name, future });
                    return;
                }
            },
        };
        self.aside().connect_deadline = None;
        let handlers = socket.namespace_core().table.read();
        self.sockets.push(Entry { socket, handlers, run: None, gone: false });
        self.queue(self.sockets.len() - 1, Event::Connected, cx);
    }

    /// Into a namespace that recovers nobody, or with a protocol that cannot be recovered.
    fn entered_new(&self, entered: &Entered) -> Socket {
        let (namespace, admission) = (entered.namespace.namespace(), &entered.admission);
        let is_v3 = self.session.version == Version::V3;
        let id =
            if is_v3 { SocketId::for_v3(&namespace.name, &self.session.sid) } else { SocketId::random() };
        let socket = self.socket(id, namespace, admission, None);
        let sid = (!is_v3).then(|| socket.id().as_str());
        // No broadcast overtakes it, and none that follows it misses the socket.
        let connect =
            Packet::encoded(self.connect_packet(namespace, sid, None), true, &self.session.engine.budget);
        let (is_queued, events) = socket.enter(std::iter::once((&connect, Class::Control)), &[]);
        if !is_queued {
            self.session.command(Command::Close(CloseReason::SlowReader));
        }
        namespace.tell_rooms(events);
        socket
    }

    /// Into a namespace with recovery: as the socket of before, or as a new one. `None`: the checks have to run first.
    fn entered_again(&self, log: &NamespaceLog, entered: &Entered) -> Option<Socket> {
        let (namespace, admission) = (entered.namespace.namespace(), &entered.admission);
        let claim = Claim::of(admission.raw_auth());
        let mut admitted = loop {
            match log.admit(&claim, self.room()) {
                Ok(admitted) => break admitted,
                Err(old) => self.replace(&old),
            }
        };
        let is_recovered = admitted.outcome == Some(Outcome::Restored);
        if !is_recovered && !entered.is_checked {
            return None;
        }
        let recoverable = Recoverable { pid: admitted.pid(), is_recovered };
        let socket = self.socket(admitted.id(), namespace, admission, Some(recoverable));
        socket.restore_data(admitted.take_data());
        let (sid, pid) = (socket.id().as_str(), admitted.pid());
        let connect = self.connect_packet(namespace, Some(sid), Some(pid.as_str()));
        let budget = &self.session.engine.budget;
        let connect = Packet::logged(connect, true, budget, Some(admitted.gate()));
        // CONNECT goes first: not every client keeps events that come before it.
        let missed = admitted.take_missed();
        let packets = missed.iter().map(|packet| (packet, Class::Event));
        let packets = std::iter::once((&connect, Class::Control)).chain(packets);
        let (are_queued, events) = socket.enter(packets, &admitted.rooms());
        if !are_queued {
            self.session.command(Command::Close(CloseReason::SlowReader));
        }
        let (outcome, latest) = (admitted.outcome, admitted.latest());
        admitted.finish(&socket);
        drop(missed);
        namespace.tell_rooms(events);
        if let Some(outcome) = outcome {
            self.io.parts.metrics.recovery(outcome);
            if let (false, Some(event)) = (is_recovered, log.settings.gap_event_name()) {
                let gap =
                    serde_json::json!({ "from": claim.offset, "to": latest, "reason": outcome.as_str() });
                // Not kept: clients must not be able to fill the log.
                if let Err(error) = socket.emit_kept(event, &gap, Flags::default(), false) {
                    tracing::debug!(?socket, %error, "the gap event was not sent");
                }
            }
        }
        Some(socket)
    }

    fn connect_packet(
        &self,
        namespace: &NamespaceCore,
        sid: Option<&str>,
        pid: Option<&str>,
    ) -> sio::Encoded {
        let (parser, name) = (self.io.config.parser, &namespace.name);
        match sid {
            Some(sid) if namespace.takes_ids() => sio::encode_connect_once(parser, HEADROOM, name, sid, pid),
            _ => sio::encode_connect(parser, HEADROOM, name, sid, pid),
        }
    }

    /// Bytes that the client's outbox takes, with a margin for CONNECT.
    fn room(&self) -> usize {
        let queued = self.session.shard.with(|state| state.get(self.session.slot).map_or(0, |o| o.bytes));
        self.session.engine.config.max_send_buffer.saturating_sub(queued + CONNECT_MARGIN)
    }

    /// The client has opened another connection: the server has not noticed yet that this socket's is lost.
    fn replace(&self, old: &Socket) {
        let reason = CloseReason::TransportClose;
        if old.exit(reason_of(reason)) {
            old.session().command(Command::Left(old.clone(), reason_of(reason)));
        }
        if !Arc::ptr_eq(old.session(), &self.session) {
            old.session().command(Command::Close(reason));
        }
    }

    fn socket(
        &self,
        id: SocketId,
        namespace: &Arc<NamespaceCore>,
        admission: &Admission,
        recoverable: Option<Recoverable>,
    ) -> Socket {
        Socket::new(
            id,
            Arc::clone(&self.io),
            Arc::clone(namespace),
            Arc::clone(&self.session),
            admission.raw_auth().cloned(),
            admission.take_data(),
            recoverable,
        )
    }

    fn refuse(&mut self, namespace: &str, refusal: &Refusal) {
        let encoded = if self.session.version == Version::V3 {
            // The reference answers with the bare data or message, but for a namespace that is not there.
            let payload = match &refusal.data {
                Some(data) => data.clone(),
                None if refusal.message == INVALID_NAMESPACE => {
                    serde_json::json!({ "message": INVALID_NAMESPACE })
                }
                None => refusal.message.clone().into(),
            };
            sio::encode_error_v4(HEADROOM, namespace, &payload)
        } else {
            sio::encode_connect_error(
                self.io.config.parser,
                HEADROOM,
                namespace,
                &refusal.message,
                refusal.data.as_ref(),
            )
        };
        self.push(encoded);
    }

    /// Calls `each` for the sockets that can be recovered.
    fn recoverable(&self, each: impl Fn(&NamespaceLog, &Id)) {
        for socket in self.sockets.iter().filter(|e| !e.gone).map(|e| &e.socket) {
            if let Some((log, recoverable)) = socket.log() {
                each(log, &recoverable.pid);
            }
        }
    }

    fn push(&self, encoded: sio::Encoded) {
        let packet = Packet::encoded(encoded, true, &self.session.engine.budget);
        if self.session.push(&packet, Class::Control) == Push::Full {
            self.session.command(Command::Close(CloseReason::SlowReader));
        }
    }

    /// The client broke a rule of the Socket.IO protocol: its connection ends, after what is queued for it.
    fn violate(&mut self, violation: Violation) {
        tracing::debug!(session = ?self.session, %violation, "the client broke a rule");
        self.io.parts.metrics.violations.add(1);
        self.ending = true;
        // Nor does it enter what the checks have not decided on.
        if let Some(aside) = &mut self.aside {
            aside.entering.clear();
        }
        let is_ours = matches!(
            violation,
            Violation::DuplicateConnect
                | Violation::NotConnectedToNamespace
                | Violation::ConnectErrorFromClient
        );
        if is_ours {
            for entry in &mut self.sockets {
                if !entry.gone && entry.socket.exit(DisconnectReason::ForcedServerClose) {
                    entry.gone = true;
                    let run = entry.run.get_or_insert_default();
                    run.queue.push_back(Event::Gone(DisconnectReason::ForcedServerClose));
                }
            }
        }
        self.session.command(Command::Finish(CloseReason::ForcedClose));
    }
}

impl SessionApp for Client {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        // Clients of protocol 4 are in `/` without asking.
        if self.session.version == Version::V3 {
            self.enter("/", None, cx);
        }
    }

    fn on_message(&mut self, message: eio::Message<'_>, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        if self.ending {
            return Ok(());
        }
        // Between packets there is none: it holds nothing then.
        let decoder = self.aside.as_mut().and_then(|aside| aside.decoder.take());
        let mut decoder = decoder.unwrap_or_else(|| self.new_decoder());
        let held = decoder.buffered();
        let decoded = match &message {
            eio::Message::Text(text) => decoder.decode_text(text),
            eio::Message::Binary(data) => decoder.decode_binary(std::borrow::Cow::Borrowed(data)),
        };
        let result = match decoded {
            Ok(Some(packet)) => self.on_packet(packet, cx),
            Ok(None) => Ok(()),
            Err(violation) => {
                self.violate(violation);
                Ok(())
            }
        };
        decoder.release();
        let holds = decoder.buffered();
        let budget = &self.session.engine.budget;
        budget.add(holds);
        budget.sub(held);
        budget.relieve();
        // What comes in counts too: over the bound nobody may make us hold more.
        let result =
            if holds > held && budget.is_over() { Err(CloseReason::InboundOverflow) } else { result };
        if decoder.is_waiting() {
            let until = clock::now() + self.io.config.attachments_timeout;
            let aside = self.aside();
            aside.attachments_deadline.get_or_insert(until);
            aside.decoder = Some(decoder);
        } else if let Some(aside) = &mut self.aside {
            aside.attachments_deadline = None;
            self.tidy();
        }
        result
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        self.advance_all(cx);
        self.poll_entering(cx);
        self.check_overflow()
    }

    fn is_full(&self) -> bool {
        self.full
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let aside = self.aside.as_ref()?;
        [aside.connect_deadline, aside.attachments_deadline].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant, _: &mut Context<'_>) -> Result<(), CloseReason> {
        let Some(aside) = &mut self.aside else { return Ok(()) };
        if aside.attachments_deadline.is_some_and(|d| d <= now) {
            aside.attachments_deadline = None;
            return Err(CloseReason::ParseError);
        }
        if aside.connect_deadline.is_some_and(|d| d <= now) {
            aside.connect_deadline = None;
            if self.sockets.is_empty() {
                tracing::debug!(session = ?self.session, "entered no namespace in time");
                self.session.command(Command::Finish(CloseReason::ForcedClose));
            }
        }
        Ok(())
    }

    fn on_left(&mut self, socket: Socket, reason: DisconnectReason, cx: &mut Context<'_>) {
        let Some(index) = self.sockets.iter().position(|e| e.socket == socket) else { return };
        let name = &socket.namespace_core().name;
        let most = self.io.config.max_namespaces;
        let left = &mut self.aside().left;
        if !left.contains(name) && left.len() < most {
            left.push(Arc::clone(name));
        }
        self.sockets[index].gone = true;
        self.queue(index, Event::Gone(reason), cx);
    }

    fn on_disconnect_all(&mut self, _: &mut Context<'_>) {
        if let Some(aside) = &mut self.aside {
            aside.entering.clear();
        }
        self.sockets.iter().filter(|e| !e.gone).for_each(|e| e.socket.disconnect(false));
        self.session.command(Command::Finish(CloseReason::ForcedClose));
    }

    fn on_finish(&mut self) {
        // It could not be told any more.
        if let Some(aside) = &mut self.aside {
            aside.entering.clear();
        }
    }

    fn on_ping(&mut self) {
        self.recoverable(|log, pid| log.pinged(pid));
    }

    fn on_pong(&mut self) {
        self.recoverable(|log, pid| log.ponged(pid));
    }

    fn on_close(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        if let Some(aside) = &mut self.aside {
            aside.entering.clear();
            (aside.connect_deadline, aside.attachments_deadline) = (None, None);
            let held = aside.decoder.take().map_or(0, |decoder| decoder.buffered());
            self.session.engine.budget.sub(held);
        }
        for index in 0..self.sockets.len() {
            let entry = &mut self.sockets[index];
            // False also if the application disconnects it at this moment: `on_left` follows.
            if entry.socket.exit(reason_of(reason)) {
                entry.gone = true;
                self.queue(index, Event::Gone(reason_of(reason)), cx);
            }
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.advance_all(cx);
        if self.sockets.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Only if the runtime ended before the session did.
        if let Some(aside) = &self.aside {
            let held = aside.decoder.as_ref().map_or(0, |decoder| decoder.buffered());
            self.session.engine.budget.sub(aside.pending_bytes + held);
        }
        for entry in &self.sockets {
            entry.socket.exit(DisconnectReason::TransportClose);
            entry.socket.forget_listeners();
        }
    }
}

/// Finds or makes the namespace and asks its checks.
async fn admit(
    io: Arc<IoCore>,
    session: Arc<Session>,
    name: Arc<str>,
    auth: Option<OwnedArgs>,
) -> Result<Entered, Refusal> {
    let admission = Admission::to_connect(Arc::clone(&name), session.handshake.clone(), auth);
    let mut found = io.enter(&name);
    if found.is_none() {
        for parent in io.functions() {
            let Rule::Function(function) = &parent.rule else { continue };
            if function(admission.clone()).await {
                found = Some(io.enter_child(&name, &parent));
                break;
            }
        }
    }
    let Some(hold) = found else { return Err(Refusal::new(INVALID_NAMESPACE)) };
    let limit = session.engine.config.max_send_buffer.saturating_sub(CONNECT_MARGIN);
    let is_spared = session.version == Version::V4
        && hold.namespace().log().is_some_and(|log| {
            !log.settings.runs_checks() && log.could_restore(&Claim::of(admission.raw_auth()), limit)
        });
    check(io, Arc::clone(&session.engine), hold, admission, !is_spared).await
}

/// Asks the checks of a namespace, if they `are_asked`.
async fn check(
    io: Arc<IoCore>,
    engine: Arc<EngineCore>,
    hold: Hold,
    admission: Admission,
    are_asked: bool,
) -> Result<Entered, Refusal> {
    if are_asked {
        let namespace = hold.namespace();
        let table = namespace.table.read();
        ask(&io, &engine, namespace, &admission, &table.checks).await?;
    }
    Ok(Entered { namespace: hold, admission, is_checked: are_asked })
}

/// Protocol 4: the namespace's query as an object of strings.
fn query_object(query: &str) -> serde_json::Value {
    query_pairs(query)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

const _: () = assert!(
    size_of::<Client>() <= 72,
    "a client's half of a session must stay small: a server has one for each client"
);
