//! Who may enter a namespace: what a check sees, and how it refuses.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use trunkline_proto::sio::OwnedArgs;

use crate::handshake::Handshake;
use crate::session::Session;

/// What someone wants to enter a namespace for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// To connect a socket.
    Connect,
}

/// A request to enter a namespace, before there is a socket. Checks run in the order of their registration; the first
/// refusal counts.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    namespace: Arc<str>,
    session: Arc<Session>,
    auth: Option<OwnedArgs>,
    data: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
}

impl Admission {
    pub(crate) fn new(namespace: Arc<str>, session: Arc<Session>, auth: Option<OwnedArgs>) -> Self {
        Self(Arc::new(Inner { namespace, session, auth, data: Mutex::default() }))
    }

    /// The namespace's name.
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// What for.
    pub fn purpose(&self) -> Purpose {
        Purpose::Connect
    }

    /// The request that opened the connection.
    pub fn handshake(&self) -> &Handshake {
        &self.0.session.handshake
    }

    /// What the client sent to prove who it is, as `T`; `None` if it sent nothing or something else.
    pub fn auth<T: DeserializeOwned>(&self) -> Option<T> {
        self.0.auth.as_ref()?.as_args().next()?.deserialize().ok()
    }

    /// Keeps a value for the socket to come, one of each type; see [`crate::Extension`].
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        self.0.data.lock().insert(TypeId::of::<T>(), Box::new(value));
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    pub(crate) fn raw_auth(&self) -> Option<&OwnedArgs> {
        self.0.auth.as_ref()
    }

    pub(crate) fn take_data(&self) -> HashMap<TypeId, Box<dyn Any + Send + Sync>> {
        std::mem::take(&mut self.0.data.lock())
    }
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
