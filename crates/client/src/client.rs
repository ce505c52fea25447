//! One connection to a server, as the application sees it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::auth::Auth;
use crate::builder::Builder;
use crate::config::{OfflineBuffer, Sending};
use crate::engine::TransportKind;
use crate::error::{BuildError, ConnectError};
use crate::events::Changes;
use crate::shared::{Core, Shared};
use crate::socket::Socket;

/// One connection with its namespaces; cheap to clone. The reference calls it `Manager`.
///
/// When the last `Client` and [`Socket`] of a connection is dropped, what is queued is sent, then the connection is closed
/// and its task ends; what was kept while offline is lost. A handler that captured one of them would keep the client open for ever: handlers get theirs as an
/// argument.
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Keeps a client open.
#[derive(Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.manager.lock().shutdown();
        self.shared.wake();
    }
}

impl Client {
    /// Describes a client for the server at `url` (`http`, `https`, `ws` or `wss`). The path is where the server answers,
    /// `/socket.io/` if absent; it names no namespace.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.handle.shared()
    }

    /// The socket of a namespace, the same one for each call with its name; a missing slash is added. It connects at once,
    /// unless [`Builder::auto_connect`] says otherwise. A comma cannot be part of a name: the protocol ends names with it.
    ///
    /// Events arrive one round trip later at the earliest, so register handlers before anything else is awaited; or use
    /// [`socket`](Self::socket), which connects when it is told to.
    pub fn of(&self, namespace: &str) -> Socket {
        let socket = self.socket(namespace).build();
        // Sockets that left, or were sent away, come back only when told to.
        if self.shared().auto_connect && self.shared().manager.lock().is_untouched(socket.core().nsp) {
            socket.connect();
        }
        socket
    }

    /// Describes the socket of a namespace: its auth, retries and what it keeps while offline.
    pub fn socket(&self, namespace: &str) -> SocketBuilder {
        let slash = if namespace.starts_with('/') { "" } else { "/" };
        SocketBuilder {
            client: self.clone(),
            namespace: format!("{slash}{namespace}"),
            sending: self.shared().sending,
            auth: self.shared().auth.clone(),
        }
    }

    /// Opens the connection, as the first socket does otherwise, and waits for it. Servers close connections that enter no
    /// namespace within their time, often 45 s.
    ///
    /// # Errors
    /// Why the first attempt failed; reconnection goes on if it is on.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let mut progress = self.shared().progress.subscribe();
        {
            let mut manager = self.shared().manager.lock();
            self.shared().connection.lock().failure = None;
            manager.open();
        }
        self.shared().wake();
        loop {
            {
                // Under one lock: an attempt that ends in between has its reason.
                let manager = self.shared().manager.lock();
                if let Some(error) = self.shared().connection.lock().failure.clone() {
                    return Err(error);
                }
                if manager.is_open() {
                    return Ok(());
                }
                if !manager.is_trying() {
                    return Err(ConnectError::Closed);
                }
            }
            // The sender lives as long as `self`.
            drop(progress.changed().await);
        }
    }

    /// Whether there is a connection.
    pub fn is_open(&self) -> bool {
        self.shared().manager.lock().is_open()
    }

    /// By what the connection goes; `None` without one.
    pub fn transport(&self) -> Option<TransportKind> {
        self.shared().connection.lock().transport
    }

    /// What happens to the connection from now on, see [`Socket::lifecycle`]; nothing about single sockets.
    pub fn lifecycle(&self) -> Changes {
        self.shared().changes.lock().subscribe()
    }

    /// Leaves all namespaces, sends what is queued, closes the connection and waits for its end, for
    /// [`Builder::close_timeout`] at most. Nothing can be sent afterwards; waits for answers end with `Disconnected`.
    ///
    /// Whether all that was queued has left, in the client's whole life: `false` after a connection that ended with something
    /// unsent, or events kept while offline. What a connection had taken may be lost with it nevertheless: only
    /// acknowledgements are certain.
    pub async fn close(&self) -> bool {
        self.shared().manager.lock().shutdown();
        self.shared().wake();
        let mut ended = self.shared().ended.subscribe();
        // The sender lives as long as `self`.
        drop(ended.wait_for(|ended| *ended).await);
        !self.shared().manager.lock().is_cut()
    }
}

/// Describes a socket; made by [`Client::socket`].
#[derive(Debug)]
#[must_use = "nothing is made before `build` or `connect`"]
pub struct SocketBuilder {
    client: Client,
    namespace: String,
    sending: Sending,
    auth: Option<Auth>,
}

impl SocketBuilder {
    /// What the server is told on every CONNECT: a value that serializes to an object. Default: the client's.
    ///
    /// # Errors
    /// [`BuildError::AuthNotAnObject`].
    pub fn auth(mut self, auth: impl Serialize) -> Result<Self, BuildError> {
        self.auth = Some(Auth::value(&auth)?);
        Ok(self)
    }

    /// An async function that is asked on every CONNECT, see [`Builder::auth_with`].
    pub fn auth_with<F, Fut, T, E>(mut self, function: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: std::fmt::Display,
    {
        self.auth = Some(Auth::function(function));
        self
    }

    /// As [`Builder::retries`], for this socket.
    pub fn retries(mut self, retries: u32) -> Self {
        self.sending.retries = Some(retries);
        self
    }

    /// As [`Builder::ack_timeout`], for this socket.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.sending.ack_timeout = timeout;
        self
    }

    /// As [`Builder::offline_buffer`], for this socket.
    pub fn offline_buffer(mut self, policy: OfflineBuffer) -> Self {
        self.sending.offline = policy;
        self
    }

    /// The socket, not connecting yet. If the namespace has one already, that one, as it is.
    pub fn build(self) -> Socket {
        let shared = self.client.shared();
        let mut sockets = shared.sockets.write();
        let core = match sockets.iter().find(|core| *core.name == *self.namespace) {
            Some(core) => Arc::clone(core),
            None => {
                let nsp = shared.manager.lock().add(&self.namespace, self.sending);
                let core = Arc::new(Core::new(nsp, &self.namespace, self.sending, self.auth));
                sockets.push(Arc::clone(&core));
                core
            }
        };
        drop(sockets);
        Socket::new(self.client.handle, core)
    }

    /// The socket, connecting.
    pub fn connect(self) -> Socket {
        let client = self.client.clone();
        let socket = self.build();
        client.shared().manager.lock().connect(socket.core().nsp, Instant::now());
        client.shared().wake();
        socket
    }
}
