//! What a handler may ask for: its arguments' types say it.

use std::any::type_name;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_proto::sio::{self, DecodeError, DisconnectReason, OwnedArgs};

use crate::ack::{Ack, AckTarget, Answerer, Wanted};
use crate::admission::Admission;
use crate::engine::EngineCore;
use crate::handler::{CheckPhase, ConnectPhase, DisconnectPhase, EventPhase, Phase};
use crate::handshake::Handshake;
use crate::io::{Io, IoCore, States};
use crate::namespace::{Namespace, NamespaceCore};
use crate::socket::Socket;

/// Where extractors find what they give. The parts are those of one call.
pub struct Cx<'a> {
    pub(crate) io: &'a Arc<IoCore>,
    pub(crate) engine: &'a Arc<EngineCore>,
    /// The request that opened the connection, or the one that asks for history.
    pub(crate) handshake: &'a Handshake,
    pub(crate) namespace: &'a Arc<NamespaceCore>,
    pub(crate) socket: Option<&'a Socket>,
    pub(crate) admission: Option<&'a Admission>,
    pub(crate) auth: Option<&'a OwnedArgs>,
    pub(crate) event: &'a str,
    pub(crate) args: Option<sio::Args<'a>>,
    pub(crate) ack: &'a mut Wanted,
    pub(crate) ack_taken: bool,
    pub(crate) reason: Option<DisconnectReason>,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("event", &self.event).field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Cx<'_> {
    /// Tells the client that the handler could not be given its arguments.
    pub(crate) fn refuse(&mut self) {
        if let Some(ack) = self.share_ack() {
            ack.fail("invalid arguments", None);
        }
    }

    fn share_ack(&mut self) -> Option<&Arc<AckTarget>> {
        self.ack.share(self.socket?)
    }

    /// For what the handler returns: answers, unless the handler took an [`Ack`].
    pub(crate) fn answerer(&self) -> Answerer {
        if self.ack_taken { Answerer::Nobody } else { self.ack.answerer(self.socket) }
    }

    pub(crate) fn missing(what: &'static str) -> ExtractError {
        ExtractError(format!("{what} is not to be had here"))
    }
}

/// An argument of a handler: made from the call it is for. `P` is the kind of handler: an extractor that makes no sense
/// there does not compile.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of this kind of handler",
    note = "event handlers take `Socket`, `Data<T>`, `Args<T>`, `Ack<T>`, `Auth<T>`, `State<T>`, `Extension<T>`, `EventName`, `Namespace`, `Params`, `Handshake` and `Io`",
    note = "connect handlers take those but `Data`, `Args`, `Ack` and `EventName`; disconnect handlers also `DisconnectReason`",
    note = "checks take `Admission`, `Auth<T>`, `State<T>`, `Params`, `Handshake` and `Io`"
)]
pub trait Extract<P>: Sized {
    /// Makes it.
    ///
    /// # Errors
    /// If the call does not have it, or has something else; the error hook and the waiting client are told.
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError>;

    /// The type whose state it needs and that was not given to the builder; asked at registration.
    fn missing_state(states: &States) -> Option<&'static str> {
        let _ = states;
        None
    }
}

/// Why a handler could not be given its arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExtractError(pub(crate) String);

/// The next argument of the event as `T`; two of them take two arguments. A missing argument fits `Option` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> Extract<EventPhase> for Data<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        let args = cx.args.as_mut().ok_or_else(|| Cx::missing("Data"))?;
        match args.next() {
            Some(arg) => {
                arg.deserialize().map(Self).map_err(|e| ExtractError(format!("{}: {e}", type_name::<T>())))
            }
            None => serde_json::from_str("null")
                .map(Self)
                .map_err(|_| ExtractError("an argument is missing".into())),
        }
    }
}

/// All arguments that are left, as a tuple, a struct (fields in order) or a `Vec`.
impl<T: DeserializeOwned> Extract<EventPhase> for sio::Many<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        let args = cx.args.ok_or_else(|| Cx::missing("Args"))?;
        args.deserialize_all().map(Self).map_err(|e| ExtractError(format!("{}: {e}", type_name::<T>())))
    }
}

impl<T: Serialize> Extract<EventPhase> for Ack<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        cx.ack_taken = true;
        Ok(Self::new(cx.share_ack().cloned()))
    }
}

/// The event's name; for catch-all handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(pub String);

impl Extract<EventPhase> for EventName {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        Ok(Self(cx.event.to_owned()))
    }
}

impl Extract<DisconnectPhase> for DisconnectReason {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        cx.reason.ok_or_else(|| Cx::missing("DisconnectReason"))
    }
}

impl Extract<CheckPhase> for Admission {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        cx.admission.cloned().ok_or_else(|| Cx::missing("Admission"))
    }
}

/// A value given to [`crate::IoBuilder::state`], by its type; cloned for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

/// A value kept with the socket by [`Socket::insert`] or [`Admission::insert`], by its type; cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<T>(pub T);

/// What the client sent to prove who it is, as `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<T>(pub T);

/// The parameters of a namespace that a pattern made: name and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

macro_rules! in_phases {
    ($([$($generic:tt)*] $type:ty, $phases:tt, $body:expr;)*) => {
        $(in_phases!(@each [$($generic)*] $type, $phases, $body);)*
    };
    (@each $generic:tt $type:ty, ($($phase:ident),*), $body:expr) => {
        $(in_phases!(@one $generic $type, $phase, $body);)*
    };
    (@one [$($generic:tt)*] $type:ty, $phase:ident, $body:expr) => {
        impl<$($generic)*> Extract<$phase> for $type {
            fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
                let make: fn(&mut Cx<'_>) -> Result<Self, ExtractError> = $body;
                make(cx)
            }
        }
    };
}

in_phases! {
    [] Socket, (EventPhase, ConnectPhase, DisconnectPhase), |cx| {
        cx.socket.cloned().ok_or_else(|| Cx::missing("Socket"))
    };
    [] Io, (EventPhase, ConnectPhase, DisconnectPhase, CheckPhase), |cx| Ok(Io::of_engine(cx.engine, cx.io));
    [] Namespace, (EventPhase, ConnectPhase, DisconnectPhase), |cx| {
        Ok(Namespace::from_core(Arc::clone(cx.namespace)))
    };
    [] Params, (EventPhase, ConnectPhase, DisconnectPhase, CheckPhase), |cx| Ok(Params(cx.namespace.params.clone()));
    [] Handshake, (EventPhase, ConnectPhase, DisconnectPhase, CheckPhase), |cx| Ok(cx.handshake.clone());
    [T: DeserializeOwned] Auth<T>, (EventPhase, ConnectPhase, DisconnectPhase, CheckPhase), |cx| {
        let decoded = match cx.auth.and_then(|auth| auth.as_args().next().map(|arg| arg.deserialize())) {
            Some(decoded) => decoded.map_err(|e| e.to_string()),
            None => serde_json::from_str("null").map_err(|_| "nothing was sent".to_owned()),
        };
        decoded.map(Self).map_err(|e| ExtractError(format!("auth: {e}")))
    };
    [T: Clone + Send + Sync + 'static] Extension<T>, (EventPhase, ConnectPhase, DisconnectPhase), |cx| {
        let kept = cx.socket.and_then(|socket| socket.get::<T>());
        kept.map(Self).ok_or_else(|| ExtractError(format!("the socket has no {}", type_name::<T>())))
    };
}

impl<P: Phase, T: Clone + Send + Sync + 'static> Extract<P> for State<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        cx.io
            .states
            .get::<T>()
            .map(Self)
            .ok_or_else(|| ExtractError(format!("no state of type {}", type_name::<T>())))
    }

    fn missing_state(states: &States) -> Option<&'static str> {
        if states.has::<T>() { None } else { Some(type_name::<T>()) }
    }
}

/// An optional extractor: `None` where it cannot be had.
impl<P, T: Extract<P>> Extract<P> for Option<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        Ok(T::extract(cx).ok())
    }
}

/// An extractor that says why it cannot be had.
impl<P, T: Extract<P>> Extract<P> for Result<T, ExtractError> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        Ok(T::extract(cx))
    }
}

/// An answer: its first argument as `T`, all of them if `T` is [`crate::Args`]; where the first does not fit, also all of
/// them, so that `()` and tuples fit too.
pub(crate) fn decode_answer<T: DeserializeOwned>(args: sio::Args<'_>) -> Result<T, DecodeError> {
    if sio::is_many::<T>() {
        return args.deserialize_all();
    }
    let mut rest = args;
    match rest.next() {
        Some(first) => first.deserialize().or_else(|error| args.deserialize_all().map_err(|_| error)),
        None => args.deserialize_all().or_else(|error| serde_json::from_str("null").map_err(|_| error)),
    }
}
