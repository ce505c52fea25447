//! What a handler may ask for: its arguments' types say it. The same extractors as the server library's, where they make sense.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_proto::sio::{self, DecodeError};

use crate::ack::{Ack, AckTarget};
use crate::error::ConnectError;
use crate::handler::{ConnectErrorPhase, ConnectPhase, DisconnectPhase, EventPhase, Phase};
use crate::reason::DisconnectReason;
use crate::socket::Socket;

/// Where extractors find what they give. The parts are those of one call.
#[derive(Debug)]
pub struct Cx<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) event: &'a str,
    pub(crate) args: Option<sio::Args<'a>>,
    pub(crate) ack: Option<&'a Arc<AckTarget>>,
    pub(crate) ack_taken: bool,
    pub(crate) recovered: bool,
    pub(crate) reason: Option<DisconnectReason>,
    pub(crate) error: Option<&'a ConnectError>,
}

impl Cx<'_> {
    /// Tells the server that the handler could not be given its arguments.
    pub(crate) fn refuse(&self) {
        if let Some(ack) = self.ack {
            ack.fail("invalid arguments", None);
        }
    }

    fn missing(what: &'static str) -> ExtractError {
        ExtractError(format!("{what} is not to be had here"))
    }
}

/// An argument of a handler: made from the call it is for. `P` is the kind of handler: an extractor that makes no sense
/// there does not compile.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of this kind of handler",
    note = "event handlers take `Socket`, `Data<T>`, `Args<T>`, `Ack<T>`, `EventName` and `State<T>`",
    note = "other handlers take `Socket` and `State<T>`; those of a connection also `Recovered`, those of a disconnect also `DisconnectReason`, those of a connect error also `ConnectError`"
)]
pub trait Extract<P>: Sized {
    /// Makes it.
    ///
    /// # Errors
    /// If the call does not have it, or has something else; the error hook and the waiting server are told.
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError>;
}

/// Why a handler could not be given its arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExtractError(String);

/// The next argument of the event as `T`; two of them take two arguments. A missing argument fits `Option` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> Extract<EventPhase> for Data<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        let args = cx.args.as_mut().ok_or_else(|| Cx::missing("Data"))?;
        match args.next() {
            Some(arg) => arg.deserialize().map(Self).map_err(|error| wrong::<T>(&error)),
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
        args.deserialize_all().map(Self).map_err(|error| wrong::<T>(&error))
    }
}

fn wrong<T>(error: &DecodeError) -> ExtractError {
    ExtractError(format!("{}: {error}", type_name::<T>()))
}

impl<T: Serialize> Extract<EventPhase> for Ack<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        cx.ack_taken = true;
        Ok(Self::new(cx.ack.cloned()))
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

/// In a handler of a connection: whether the server restored the state of the connection before, and sent what was missed
/// (the reference's `socket.recovered`). If not, what the application knows may be out of date. It is that of the connection
/// which the handler is told of; [`Socket::is_recovered`] is that of the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered(pub bool);

impl Extract<ConnectPhase> for Recovered {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        Ok(Self(cx.recovered))
    }
}

impl Extract<DisconnectPhase> for DisconnectReason {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        cx.reason.ok_or_else(|| Cx::missing("DisconnectReason"))
    }
}

impl Extract<ConnectErrorPhase> for ConnectError {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        cx.error.cloned().ok_or_else(|| Cx::missing("ConnectError"))
    }
}

macro_rules! everywhere {
    ($($phase:ident)*) => {
        $(impl Extract<$phase> for Socket {
            fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
                Ok(cx.socket.clone())
            }
        })*
    };
}
everywhere!(EventPhase ConnectPhase DisconnectPhase ConnectErrorPhase);

/// A value given to [`Builder::state`](crate::Builder::state), by its type; cloned for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<P: Phase, T: Clone + Send + Sync + 'static> Extract<P> for State<T> {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        let state = cx.socket.shared().states.get::<T>();
        state.map(Self).ok_or_else(|| ExtractError(format!("no state of type {}", type_name::<T>())))
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

/// Values by their type.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(state));
    }

    fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref::<T>().cloned()
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("States").field("types", &self.0.len()).finish()
    }
}

/// An answer, or the arguments of an event: the first as `T`, all of them if `T` is [`Args`](crate::Args); where the first
/// does not fit, also all of them, so that `()` and tuples fit too.
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
