//! The task of one client: carries out what the machine asks for, and tells it what happens.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::ack::AckTarget;
use crate::auth::{self, Auth};
use crate::engine::{self, CloseReason, CookieJar, Engine, EngineConfig, EngineEvent, Reading};
use crate::error::{ConnectError, OpenError, describe};
use crate::events::{Event, Lifecycle};
use crate::listeners::Outgoing;
use crate::manager::{Message, Nsp, Output};
use crate::run;
use crate::shared::{Core, Job, Shared, moment};

pub(crate) struct Task {
    shared: Arc<Shared>,
    config: Arc<EngineConfig>,
    jar: CookieJar,
    link: Link,
    /// Connections that say goodbye, each bounded in time by its engine.
    closing: Vec<JoinHandle<()>>,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    /// Of the open connection.
    reading: Reading,
    pause: Option<Pause>,
}

/// Reading has stopped, and handlers have not gone on since.
struct Pause {
    since: Instant,
    /// When it is next looked whether that is too long.
    check: Instant,
    /// The handlers' progress at the time.
    taken: u64,
}

impl Pause {
    fn new(taken: u64, max_pause: Duration) -> Self {
        let since = Instant::now();
        Self { since, check: since + PAUSE_CHECK.min(max_pause), taken }
    }
}

enum Link {
    None,
    Opening(u64, BoxFuture<'static, Result<Box<Engine>, engine::ConnectError>>),
    Open(Box<Engine>),
}

/// What the task waited for.
enum Happened {
    /// Somebody called, or a deadline is due.
    Woken,
    Opened(u64, Result<Box<Engine>, engine::ConnectError>),
    Engine(EngineEvent),
}

impl Task {
    pub(crate) fn new(shared: Arc<Shared>, mut config: EngineConfig) -> Self {
        // The machine bounds what is sent; the engine's own bound, with its allowance per message, is only the last resort.
        let limits = &shared.limits;
        let most = limits.max_send_buffer.saturating_add(limits.max_offline).saturating_mul(4);
        config.max_buffer = config.max_buffer.max(most);
        Self {
            shared,
            config: Arc::new(config),
            jar: CookieJar::default(),
            link: Link::None,
            closing: Vec::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            timer_at: None,
            reading: Reading::On,
            pause: None,
        }
    }

    /// Runs until the client is closed.
    pub(crate) async fn run(mut self) {
        loop {
            self.carry_out();
            if self.shared.manager.lock().is_shut() {
                break;
            }
            let happened = self.wait().await;
            self.handle(happened);
        }
        for closing in self.closing.drain(..) {
            // It ends by itself; a panic in it is no reason for another.
            drop(closing.await);
        }
    }

    async fn wait(&mut self) -> Happened {
        let shared = Arc::clone(&self.shared);
        let mut woken = std::pin::pin!(shared.wake.notified());
        poll_fn(|cx| {
            if woken.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Happened::Woken);
            }
            if let Poll::Ready(happened) = self.poll_link(cx) {
                return Poll::Ready(happened);
            }
            self.poll_timer(cx).map(|()| Happened::Woken)
        })
        .await
    }

    fn poll_link(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        match &mut self.link {
            Link::None => Poll::Pending,
            Link::Opening(number, opening) => {
                opening.as_mut().poll(cx).map(|result| Happened::Opened(*number, result))
            }
            Link::Open(engine) => {
                let reading = if self.shared.must_pause() { Reading::Paused } else { Reading::On };
                if self.reading != reading {
                    self.reading = reading;
                    self.shared.manager.lock().handle_reading(reading == Reading::On, moment());
                }
                let polled = engine.poll_next(cx, reading);
                // Writing goes on inside, so the machine's picture is renewed even if nothing is to be told.
                self.shared.manager.lock().handle_transport(engine.buffered(), engine.is_writable());
                polled.map(Happened::Engine)
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut at = self.shared.manager.lock().poll_timeout();
        if matches!(self.link, Link::Open(_)) && self.shared.must_pause() {
            let taken = self.shared.inbound.taken();
            let pause = self.pause.take().filter(|pause| pause.taken == taken);
            let pause = pause.unwrap_or_else(|| Pause::new(taken, self.shared.limits.max_pause));
            at = Some(at.map_or(pause.check, |at| at.min(pause.check)));
            self.pause = Some(pause);
        } else {
            self.pause = None;
        }
        let Some(at) = at else {
            self.timer_at = None;
            return Poll::Pending;
        };
        if self.timer_at != Some(at) {
            self.timer_at = Some(at);
            self.timer.as_mut().reset(at.into());
        }
        self.timer.as_mut().poll(cx).map(|()| {
            self.timer_at = None;
            let now = Instant::now();
            if let Some(pause) = &mut self.pause
                && pause.check <= now
            {
                pause.check = now + PAUSE_CHECK.min(self.shared.limits.max_pause);
                self.shared.end_pause(now.saturating_duration_since(pause.since));
            }
        })
    }

    fn handle(&mut self, happened: Happened) {
        let now = Instant::now();
        // Without a namespace the machine may have nothing to tell, but somebody waits for the connection.
        let is_news = matches!(happened, Happened::Opened(..) | Happened::Engine(EngineEvent::Closed(..)));
        match happened {
            Happened::Woken => {}
            Happened::Opened(opening, Ok(engine)) => {
                let opened = engine.opened();
                let patience = opened.ping_interval.saturating_add(opened.ping_timeout);
                // What the machine says and why is one thing for who asks from another thread.
                let mut manager = self.shared.manager.lock();
                {
                    let mut connection = self.shared.connection.lock();
                    connection.failure = None;
                    connection.transport = Some(engine.transport());
                }
                self.link = Link::Open(engine);
                self.reading = Reading::On;
                // If it was given up meanwhile, to be closed is the next thing that is asked for.
                manager.handle_opened(opening, patience, moment());
            }
            Happened::Opened(opening, Err(error)) => {
                self.link = Link::None;
                let error = ConnectError::Transport(OpenError::from(error));
                let mut manager = self.shared.manager.lock();
                if manager.handle_open_failed(opening, &error, now) {
                    self.shared.connection.lock().failure = Some(error);
                }
            }
            Happened::Engine(event) => self.handle_engine(event, now),
        }
        if is_news {
            self.note_progress();
        }
        self.shared.manager.lock().handle_timeout(now);
    }

    fn handle_engine(&mut self, event: EngineEvent, now: Instant) {
        let mut manager = self.shared.manager.lock();
        match event {
            EngineEvent::Text(text) => manager.handle_text(&text, now),
            EngineEvent::Binary(data) => manager.handle_binary(data, now),
            EngineEvent::Ping => manager.handle_ping(moment()),
            EngineEvent::Upgraded => {
                if let Link::Open(engine) = &self.link {
                    self.shared.connection.lock().transport = Some(engine.transport());
                    manager.handle_upgraded(engine.transport());
                }
            }
            EngineEvent::UpgradeFailed(error) => {
                tracing::debug!(error = describe(&error), "the upgrade to WebSocket failed, polling goes on");
            }
            EngineEvent::Closed(reason, description) => {
                if let Link::Open(engine) = std::mem::replace(&mut self.link, Link::None)
                    && engine.is_cut()
                {
                    manager.note_cut();
                }
                self.shared.connection.lock().transport = None;
                let description = description.map(Arc::from);
                manager.handle_closed(reason.into(), description.as_ref(), now);
            }
        }
    }

    /// Does what the machine asks for.
    fn carry_out(&mut self) {
        let mut changed = false;
        loop {
            // Its own statement: the lock must not last longer.
            let output = self.shared.manager.lock().poll_output();
            let Some(output) = output else { break };
            changed = true;
            match output {
                Output::Open { opening } => {
                    let (config, mut jar) = (Arc::clone(&self.config), self.jar.clone());
                    let engine = async move { Engine::connect(&config, &mut jar).await.map(Box::new) };
                    self.link = Link::Opening(opening, Box::pin(engine));
                }
                Output::Close => self.close(),
                Output::Send { nsp, message, is_event } => self.send(nsp, message, is_event),
                Output::AskAuth { nsp, attempt } => self.ask_auth(nsp, attempt),
                Output::Event { nsp, name, args, id, session } => {
                    if let Some(core) = self.shared.socket(nsp) {
                        let ack = id.map(|id| Arc::new(AckTarget::new(&self.shared, &core, session, id)));
                        deliver(&self.shared, &core, name.into(), Arc::new(args), ack);
                    }
                }
                // Whoever waited may have stopped.
                Output::Answer { waiter, result } => drop(waiter.send(result)),
                Output::Change { nsp, change } => self.tell(nsp, &change),
            }
        }
        if changed {
            self.note_progress();
            if let Link::Open(engine) = &self.link {
                self.shared.manager.lock().handle_transport(engine.buffered(), engine.is_writable());
            }
        }
    }

    /// For those who wait for a state.
    fn note_progress(&self) {
        self.shared.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn send(&mut self, nsp: Nsp, message: Message, is_event: bool) {
        let Link::Open(engine) = &mut self.link else { return };
        if is_event && let Some(core) = self.shared.socket(nsp) {
            let hooks = core.listeners.read().outgoing.clone();
            if !hooks.is_empty()
                && let Some(outgoing) = Outgoing::read(self.shared.parser, &message)
            {
                for hook in hooks {
                    let call = std::panic::AssertUnwindSafe(|| hook(&outgoing));
                    if std::panic::catch_unwind(call).is_err() {
                        tracing::warn!(event = outgoing.event(), "an outgoing hook panicked");
                    }
                }
            }
        }
        let Message { head, binary, attachments } = message;
        // A packet goes whole or not at all.
        let bytes = head.len() + attachments.iter().map(|attachment| attachment.len()).sum::<usize>();
        let mut sent = engine.has_room(1 + attachments.len(), bytes);
        sent = sent && if binary { engine.send_binary(head) } else { engine.send_text(head) };
        for attachment in attachments {
            sent = sent && engine.send_binary(attachment);
        }
        if !sent {
            // Something was lost, perhaps half a packet: a new connection is the only honest way on.
            let reason = CloseReason::TransportError.into();
            let description = Arc::from("more to send than may be held");
            self.link = Link::None;
            self.shared.connection.lock().transport = None;
            let mut manager = self.shared.manager.lock();
            manager.note_cut();
            manager.handle_closed(reason, Some(&description), Instant::now());
        }
    }

    fn close(&mut self) {
        self.shared.connection.lock().transport = None;
        // An attempt under way is dropped; a connection sends what is queued first.
        if let Link::Open(engine) = std::mem::replace(&mut self.link, Link::None) {
            self.closing.retain(|closing| !closing.is_finished());
            let shared = Arc::clone(&self.shared);
            self.closing.push(tokio::spawn(async move {
                if !engine.close().await {
                    shared.manager.lock().note_cut();
                }
            }));
        }
    }

    fn ask_auth(&self, nsp: Nsp, attempt: u64) {
        let Some(core) = self.shared.socket(nsp) else { return };
        let auth = core.auth.lock().clone();
        let value = match auth {
            None => None,
            Some(Auth::Value(value)) => Some(value),
            Some(Auth::Function(function)) => {
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    let result = auth::ask(function, shared.limits.connect_timeout).await;
                    shared.manager.lock().handle_auth(nsp, attempt, result, Instant::now());
                    shared.wake();
                });
                return;
            }
        };
        self.shared.manager.lock().handle_auth(nsp, attempt, Ok(value), Instant::now());
    }

    /// Tells handlers and streams.
    fn tell(&self, nsp: Option<Nsp>, change: &Lifecycle) {
        let size = size_of::<Lifecycle>();
        let Some(nsp) = nsp else {
            if matches!(change, Lifecycle::ReconnectFailed) {
                self.shared.connection.lock().failure = Some(ConnectError::GaveUp);
            }
            self.shared.changes.lock().write(size, || change.clone());
            for core in self.shared.sockets.read().iter() {
                core.changes.lock().write(size, || change.clone());
            }
            return;
        };
        let Some(core) = self.shared.socket(nsp) else { return };
        core.changes.lock().write(size, || change.clone());
        let listeners = core.listeners.read();
        let job = match change {
            Lifecycle::Connect { recovered } if !listeners.connect.is_empty() => Job::Connect(*recovered),
            Lifecycle::Disconnect { reason, .. } if !listeners.disconnect.is_empty() => {
                Job::Disconnect(*reason)
            }
            Lifecycle::ConnectError(error) if !listeners.connect_error.is_empty() => {
                Job::ConnectError(error.clone())
            }
            _ => return,
        };
        drop(listeners);
        run::push(&self.shared, &core, job);
    }
}

impl Drop for Task {
    /// Also when the runtime ends or something here panics: nobody waits for ever.
    fn drop(&mut self) {
        self.shared.manager.lock().shutdown();
        self.link = Link::None;
        self.carry_out();
        self.shared.changes.lock().end();
        for core in self.shared.sockets.read().iter() {
            core.changes.lock().end();
            core.events.lock().end();
        }
        self.note_progress();
        self.shared.ended.send_replace(true);
    }
}

/// Gives an event to streams and handlers.
fn deliver(
    shared: &Arc<Shared>,
    core: &Arc<Core>,
    name: Arc<str>,
    args: Arc<trunkline_proto::sio::OwnedArgs>,
    ack: Option<Arc<AckTarget>>,
) {
    {
        let events = core.events.lock();
        if !events.is_empty() {
            let size = args.size() + name.len();
            events.write(size, || Event::new(Arc::clone(&name), Arc::clone(&args), ack.clone()));
        }
    }
    if core.listeners.read().hears(&name) {
        run::push(shared, core, Job::Event { name, args, ack });
    }
}

/// How often it is looked whether a connection is not read for too long.
const PAUSE_CHECK: Duration = Duration::from_secs(1);
