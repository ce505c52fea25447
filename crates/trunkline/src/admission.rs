//! Who may enter a namespace: what a check sees, and how it refuses.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use trunkline_proto::sio::OwnedArgs;

use crate::ack::Wanted;
use crate::engine::EngineCore;
use crate::extract::Cx;
use crate::handler::ErasedCheck;
use crate::handshake::Handshake;
use crate::io::IoCore;
use crate::namespace::NamespaceCore;

/// What someone wants to enter a namespace for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// To connect a socket.
    Connect,
    /// To read the events of a room over HTTP; see [`History`](crate::History).
    ReadHistory,
}

/// A request to enter a namespace, before there is a socket. Checks run in the order of their registration; the first
/// refusal counts.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    namespace: Arc<str>,
    handshake: Handshake,
    /// Whose history is to be read.
    room: Option<Arc<str>>,
    auth: Option<OwnedArgs>,
    data: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
}

impl Admission {
    pub(crate) fn to_connect(namespace: Arc<str>, handshake: Handshake, auth: Option<OwnedArgs>) -> Self {
        Self(Arc::new(Inner { namespace, handshake, room: None, auth, data: Mutex::default() }))
    }

    pub(crate) fn to_read(
        namespace: Arc<str>,
        handshake: Handshake,
        room: Arc<str>,
        auth: Option<OwnedArgs>,
    ) -> Self {
        Self(Arc::new(Inner { namespace, handshake, room: Some(room), auth, data: Mutex::default() }))
    }

    /// The namespace's name.
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// What for.
    pub fn purpose(&self) -> Purpose {
        if self.0.room.is_some() { Purpose::ReadHistory } else { Purpose::Connect }
    }

    /// The room whose history is to be read; `None` for a socket that connects.
    pub fn room(&self) -> Option<&str> {
        self.0.room.as_deref()
    }

    /// The request that opened the connection, or the one for history.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// What the client sent to prove who it is, as `T`; `None` if it sent nothing or something else. A request for history with
    /// `Authorization: Bearer <token>` has sent `{"token": "<token>"}`.
    pub fn auth<T: DeserializeOwned>(&self) -> Option<T> {
        self.0.auth.as_ref()?.as_args().next()?.deserialize().ok()
    }

    /// Keeps a value for the socket to come, one of each type; see [`crate::Extension`].
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        self.0.data.lock().insert(TypeId::of::<T>(), Box::new(value));
    }

    pub(crate) fn raw_auth(&self) -> Option<&OwnedArgs> {
        self.0.auth.as_ref()
    }

    pub(crate) fn take_data(&self) -> HashMap<TypeId, Box<dyn Any + Send + Sync>> {
        std::mem::take(&mut self.0.data.lock())
    }
}

/// Asks `checks` in order.
pub(crate) async fn ask(
    io: &Arc<IoCore>,
    engine: &Arc<EngineCore>,
    namespace: &Arc<NamespaceCore>,
    admission: &Admission,
    checks: &[Arc<dyn ErasedCheck>],
) -> Result<(), Refusal> {
    for check in checks {
        let future = {
            let mut cx = Cx {
                io,
                engine,
                handshake: admission.handshake(),
                namespace,
                socket: None,
                admission: Some(admission),
                auth: admission.raw_auth(),
                event: "check",
                args: None,
                ack: &mut Wanted::Nothing,
                ack_taken: false,
                reason: None,
            };
            check.call(&mut cx).map_err(|error| {
                let refusal = Refusal::new(error.to_string());
                io.failed("check", None, &error.into(), false);
                refusal
            })?
        };
        future.await?;
    }
    Ok(())
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

/// Why someone may not enter: the client's `connect_error` has it as `message` and `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

impl Refusal {
    /// With a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds data.
    #[must_use]
    pub fn data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}
