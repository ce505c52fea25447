//! A namespace as the application sees it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use trunkline_proto::sio;

use crate::ack::{AckFuture, Waiter};
use crate::auth::Auth;
use crate::client::{Client, Handle};
use crate::error::{BuildError, ConnectError, EmitError, EncodeError};
use crate::events::{Changes, Events};
use crate::handler::{ConnectErrorPhase, ConnectPhase, DisconnectPhase, EventPhase, Handler, erase};
use crate::listeners::Outgoing;
use crate::manager::{Asked, Emit};
use crate::shared::{Core, Shared, moment};

/// One namespace of a [`Client`]; cheap to clone. It outlives disconnects: what is registered stays, and what is emitted
/// meanwhile is kept by the [`OfflineBuffer`](crate::OfflineBuffer)'s rule.
///
/// Handlers run one at a time per socket, in arrival order; answers and heartbeats go on meanwhile.
#[derive(Clone, Debug)]
pub struct Socket {
    handle: Arc<Handle>,
    core: Arc<Core>,
}

impl Socket {
    pub(crate) fn new(handle: Arc<Handle>, core: Arc<Core>) -> Self {
        Self { handle, core }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.handle.shared()
    }

    /// The client it belongs to.
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.handle))
    }

    /// The namespace's name, with its slash.
    pub fn namespace(&self) -> &str {
        &self.core.name
    }

    /// The id that the server gave; a new one with each connection that was not recovered. `None` while not connected.
    pub fn id(&self) -> Option<String> {
        self.shared().manager.lock().id(self.core.nsp).map(str::to_owned)
    }

    /// Whether the server has let it in.
    pub fn is_connected(&self) -> bool {
        self.shared().manager.lock().is_connected(self.core.nsp)
    }

    /// Whether it is connected or will be by itself; false after [`disconnect`](Self::disconnect), after the server sent it
    /// away, after it was refused, and once nobody reconnects any more.
    pub fn is_active(&self) -> bool {
        self.shared().manager.lock().is_active(self.core.nsp)
    }

    /// Whether the server, at the last connection, restored the state of the one before, and sent what was missed. A handler
    /// of connections asks for [`Recovered`](crate::Recovered) instead: when it runs, a later connection may be the last.
    pub fn is_recovered(&self) -> bool {
        self.shared().manager.lock().is_recovered(self.core.nsp)
    }

    /// Connects, and the client if need be; nothing if it is active. Returns at once. A connection that is lost for good,
    /// without reconnection or after its last attempt, is opened again.
    pub fn connect(&self) {
        self.shared().manager.lock().connect(self.core.nsp, Instant::now());
        self.shared().wake();
    }

    /// Leaves the namespace and does not come back by itself. The last socket that leaves closes the connection.
    pub fn disconnect(&self) {
        self.shared().manager.lock().disconnect(self.core.nsp);
        self.shared().wake();
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// Why it will not be by itself: refused, disconnected, closed, reconnection off or used up. While the client goes on
    /// trying, this goes on waiting.
    pub async fn connected(&self) -> Result<(), ConnectError> {
        let mut progress = self.shared().progress.subscribe();
        loop {
            {
                let manager = self.shared().manager.lock();
                if manager.is_connected(self.core.nsp) {
                    return Ok(());
                }
                if manager.is_shut() {
                    return Err(ConnectError::Closed);
                }
                if !manager.is_active(self.core.nsp) {
                    return Err(manager.failure(self.core.nsp).cloned().unwrap_or(ConnectError::Closed));
                }
            }
            // The sender lives as long as `self`.
            drop(progress.changed().await);
        }
    }

    /// Sets what the server is told on every CONNECT from now on: a value that serializes to an object.
    ///
    /// # Errors
    /// [`BuildError::AuthNotAnObject`].
    pub fn set_auth(&self, auth: impl Serialize) -> Result<(), BuildError> {
        *self.core.auth.lock() = Some(Auth::value(&auth)?);
        Ok(())
    }

    /// Sets an async function that is asked on every CONNECT from now on; see [`Builder::auth_with`](crate::Builder::auth_with).
    pub fn set_auth_with<F, Fut, T, E>(&self, function: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: std::fmt::Display,
    {
        *self.core.auth.lock() = Some(Auth::function(function));
    }

    /// Sends an event: `()` is no argument, [`Args`](crate::Args) several, anything else one. Never waits: `Ok` means
    /// queued, or kept while offline.
    ///
    /// # Errors
    /// [`EmitError::Full`] at the bound of the send buffer; [`EmitError::Closed`] if the client is closed, or offline with
    /// [`OfflineBuffer::None`](crate::OfflineBuffer::None); [`EmitError::Encode`]. Nothing was queued then.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Sends an event and waits for its answer, 10 s unless set otherwise; see [`AckFuture`]. The event is on its way when
    /// this returns, also if the future is never polled.
    pub fn emit_with_ack<T: DeserializeOwned>(&self, event: &str, args: impl Serialize) -> AckFuture<T> {
        self.emitter().emit_with_ack(event, args)
    }

    /// Events sent through this are dropped if they cannot leave at once, also while the namespace is being entered, as is a position that is out of date anyway.
    /// They are never sent twice.
    pub fn volatile(&self) -> Emitter<'_> {
        self.emitter().volatile()
    }

    /// Answers to events sent through this are waited for so long.
    pub fn timeout(&self, timeout: Duration) -> Emitter<'_> {
        self.emitter().timeout(timeout)
    }

    /// Answers to events sent through this are waited for as long as the connection lasts; see [`AckFuture`] for
    /// those that are emitted while offline.
    pub fn no_timeout(&self) -> Emitter<'_> {
        self.emitter().no_timeout()
    }

    fn emitter(&self) -> Emitter<'_> {
        Emitter { socket: self, volatile: false, timeout: Some(self.core.sending.ack_timeout) }
    }

    /// Calls `handler` for each such event; several handlers of an event run in order of registration, and the first
    /// answer counts.
    pub fn on<H, A>(&self, event: &str, handler: H) -> &Self
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        self.core.listeners.write().add(event, erase(handler), false);
        self
    }

    /// As [`on`](Self::on), for the next such event only.
    pub fn once<H, A>(&self, event: &str, handler: H) -> &Self
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        self.core.listeners.write().add(event, erase(handler), true);
        self
    }

    /// Removes all handlers of an event.
    pub fn off(&self, event: &str) -> &Self {
        self.core.listeners.write().remove(event);
        self
    }

    /// Calls `handler` for every event, before the event's own handlers.
    pub fn on_any<H, A>(&self, handler: H) -> &Self
    where
        H: Handler<A, EventPhase>,
        A: 'static,
    {
        self.core.listeners.write().add_any(erase(handler));
        self
    }

    /// Removes the catch-all handlers.
    pub fn off_any(&self) -> &Self {
        self.core.listeners.write().remove_any();
        self
    }

    /// Calls `hook` for every event that is handed to the connection; not for what is kept while offline, until it leaves.
    /// It must not block.
    pub fn on_any_outgoing(&self, hook: impl Fn(&Outgoing) + Send + Sync + 'static) -> &Self {
        self.core.listeners.write().outgoing.push(Arc::new(hook));
        self
    }

    /// Removes the hooks of [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) -> &Self {
        self.core.listeners.write().outgoing.clear();
        self
    }

    /// Calls `handler` on each connection, also after a reconnection; it may ask for [`Recovered`](crate::Recovered).
    pub fn on_connect<H, A>(&self, handler: H) -> &Self
    where
        H: Handler<A, ConnectPhase>,
        A: 'static,
    {
        self.core.listeners.write().connect.push(erase(handler));
        self
    }

    /// Calls `handler` when the socket is not connected any more; it may ask for the
    /// [`DisconnectReason`](crate::DisconnectReason).
    pub fn on_disconnect<H, A>(&self, handler: H) -> &Self
    where
        H: Handler<A, DisconnectPhase>,
        A: 'static,
    {
        self.core.listeners.write().disconnect.push(erase(handler));
        self
    }

    /// Calls `handler` whenever connecting fails; it may ask for the [`ConnectError`].
    pub fn on_connect_error<H, A>(&self, handler: H) -> &Self
    where
        H: Handler<A, ConnectErrorPhase>,
        A: 'static,
    {
        self.core.listeners.write().connect_error.push(erase(handler));
        self
    }

    /// The events from now on, as a stream beside the handlers. It holds 256 events and 1 MiB; read too slowly it loses
    /// the oldest and [counts](crate::Items::missed) them.
    pub fn events(&self) -> Events {
        self.core.events.lock().subscribe()
    }

    /// What happens to the socket and its connection from now on, as a stream of the same kind.
    pub fn lifecycle(&self) -> Changes {
        self.core.changes.lock().subscribe()
    }
}

/// How one event is sent: made by [`Socket::volatile`], [`Socket::timeout`] and [`Socket::no_timeout`].
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is sent yet"]
pub struct Emitter<'a> {
    socket: &'a Socket,
    volatile: bool,
    timeout: Option<Duration>,
}

impl Emitter<'_> {
    /// As [`Socket::volatile`].
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// As [`Socket::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// As [`Socket::no_timeout`].
    pub fn no_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// As [`Socket::emit`].
    ///
    /// # Errors
    /// Those of [`Socket::emit`].
    #[allow(clippy::needless_pass_by_value, reason = "values and references alike")]
    pub fn emit(self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        let is_retried = self.socket.core.sending.retries.is_some() && !self.volatile;
        let id = is_retried.then(|| self.next_id());
        self.send(event, &args, id, None)
    }

    /// As [`Socket::emit_with_ack`].
    #[allow(clippy::needless_pass_by_value, reason = "values and references alike")]
    pub fn emit_with_ack<T: DeserializeOwned>(self, event: &str, args: impl Serialize) -> AckFuture<T> {
        let (waiter, receiver) = oneshot::channel();
        let id = self.next_id();
        match self.send(event, &args, Some(id), Some(waiter)) {
            Ok(()) => AckFuture::new(self.socket.shared(), self.socket.core.nsp, id, receiver),
            Err(error) => AckFuture::failed(error),
        }
    }

    fn next_id(&self) -> u64 {
        self.socket.shared().manager.lock().next_ack_id(self.socket.core.nsp)
    }

    fn send(
        &self,
        event: &str,
        args: &impl Serialize,
        id: Option<u64>,
        waiter: Option<Waiter>,
    ) -> Result<(), EmitError> {
        let (shared, core) = (self.socket.shared(), &self.socket.core);
        let encoded = sio::encode_event(shared.parser, 0, &core.name, id, event, args);
        let message = encoded.map_err(EncodeError::from)?.into();
        let ack = id.map(|id| Asked { id, waiter, timeout: self.timeout });
        let emit = Emit { message, ack, volatile: self.volatile };
        shared.manager.lock().emit(core.nsp, emit, moment())?;
        shared.wake();
        Ok(())
    }
}
