//! Handlers: async functions whose arguments are extractors, erased once at registration.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Serialize;

use crate::ack::AckTarget;
use crate::admission::Refusal;
use crate::extract::{Cx, Extract, ExtractError};
use crate::io::States;
use crate::run::Panicked;

/// The kind of handler that answers events.
#[derive(Debug, Clone, Copy)]
pub struct EventPhase;
/// The kind of handler that is told of a new socket.
#[derive(Debug, Clone, Copy)]
pub struct ConnectPhase;
/// The kind of handler that is told of a socket's end.
#[derive(Debug, Clone, Copy)]
pub struct DisconnectPhase;
/// The kind of function that admits sockets.
#[derive(Debug, Clone, Copy)]
pub struct CheckPhase;

/// The kinds of handlers.
pub trait Phase {}
impl Phase for EventPhase {}
impl Phase for ConnectPhase {}
impl Phase for DisconnectPhase {}
impl Phase for CheckPhase {}

/// An async function of up to eight extractors that returns `()`, [`Reply`] or a `Result`. `P` is the kind of handler.
///
/// A closure must capture nothing, or only what lives for ever: shared things come by the extractors
/// [`State`](crate::State), [`Io`](crate::Io) and [`Socket`](crate::Socket).
#[diagnostic::on_unimplemented(
    message = "this is not a handler",
    note = "a handler is an async function or async closure of up to eight extractors, such as `Socket` and `Data<T>`",
    note = "it returns `()`, `Reply<T>` or `Result<T, E>` where `T: Serialize` and `E: std::error::Error` or `HandlerError`",
    note = "`Data`, `Args`, `Ack` and `EventName` are for handlers of events, `DisconnectReason` is for those of a disconnect",
    note = "its future must be `Send`, and a closure must not borrow what it captures: use `State<T>` for shared things"
)]
pub trait Handler<A, P>: Send + Sync + 'static {
    /// Extracts the arguments and starts the call.
    ///
    /// # Errors
    /// If an extractor fails; nothing has been called then.
    fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), HandlerError>>, ExtractError>;

    /// The name of a state type that is missing.
    fn missing_state(&self, states: &States) -> Option<&'static str>;
}

/// An async function of extractors that admits a socket or refuses it: returns `Result<(), E>`, `E: Into<Refusal>`.
#[diagnostic::on_unimplemented(
    message = "this is not a check",
    note = "a check is an async function or closure of extractors such as `Admission`, `Auth<T>` and `State<T>`",
    note = "it returns `Result<(), E>` where `E` is `Refusal`, `String` or `&str`; to say no, return `Err`"
)]
pub trait Check<A>: Send + Sync + 'static {
    /// Extracts the arguments and starts the call.
    ///
    /// # Errors
    /// If an extractor fails.
    fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), Refusal>>, ExtractError>;

    /// The name of a state type that is missing.
    fn missing_state(&self, states: &States) -> Option<&'static str>;
}

macro_rules! handlers {
    ($($T:ident)*) => {
        #[allow(non_snake_case, unused_variables)]
        impl<P, F, Fut, R, $($T,)*> Handler<($($T,)*), P> for F
        where
            F: Fn($($T),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoReply,
            $($T: Extract<P> + 'static,)*
        {
            fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), HandlerError>>, ExtractError> {
                // Refused before those extracted already are dropped: an `Ack` among them would answer otherwise.
                $(let $T = $T::extract(cx).inspect_err(|_| cx.refuse())?;)*
                let answerer = cx.answerer();
                let future = self($($T),*);
                Ok(Box::pin(async move { future.await.reply(answerer.target()) }))
            }

            fn missing_state(&self, states: &States) -> Option<&'static str> {
                None$(.or_else(|| $T::missing_state(states)))*
            }
        }

        #[allow(non_snake_case, unused_variables)]
        impl<F, Fut, E, $($T,)*> Check<($($T,)*)> for F
        where
            F: Fn($($T),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), E>> + Send + 'static,
            E: Into<Refusal>,
            $($T: Extract<CheckPhase> + 'static,)*
        {
            fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), Refusal>>, ExtractError> {
                $(let $T = $T::extract(cx)?;)*
                let future = self($($T),*);
                Ok(Box::pin(async move { future.await.map_err(Into::into) }))
            }

            fn missing_state(&self, states: &States) -> Option<&'static str> {
                None$(.or_else(|| $T::missing_state(states)))*
            }
        }
    };
}

handlers!();
handlers!(A1);
handlers!(A1 A2);
handlers!(A1 A2 A3);
handlers!(A1 A2 A3 A4);
handlers!(A1 A2 A3 A4 A5);
handlers!(A1 A2 A3 A4 A5 A6);
handlers!(A1 A2 A3 A4 A5 A6 A7);
handlers!(A1 A2 A3 A4 A5 A6 A7 A8);

/// A handler without its types.
pub(crate) trait ErasedHandler: Send + Sync {
    fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), HandlerError>>, ExtractError>;
}

/// A check without its types.
pub(crate) trait ErasedCheck: Send + Sync {
    fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), Refusal>>, ExtractError>;

    fn missing_state(&self, states: &States) -> Option<&'static str>;
}

struct Erased<H, A, P>(H, PhantomData<fn(A, P)>);

impl<H: Handler<A, P>, A, P> ErasedHandler for Erased<H, A, P> {
    fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), HandlerError>>, ExtractError> {
        self.0.call(cx)
    }
}

impl<C: Check<A>, A> ErasedCheck for Erased<C, A, CheckPhase> {
    fn call(&self, cx: &mut Cx<'_>) -> Result<BoxFuture<'static, Result<(), Refusal>>, ExtractError> {
        self.0.call(cx)
    }

    fn missing_state(&self, states: &States) -> Option<&'static str> {
        self.0.missing_state(states)
    }
}

pub(crate) fn erase<H: Handler<A, P>, A: 'static, P: 'static>(handler: H) -> Arc<dyn ErasedHandler> {
    Arc::new(Erased(handler, PhantomData))
}

pub(crate) fn erase_check<C: Check<A>, A: 'static>(check: C) -> Arc<dyn ErasedCheck> {
    Arc::new(Erased::<C, A, CheckPhase>(check, PhantomData))
}

/// An acknowledgement's value, returned by a handler that cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<T>(pub T);

impl<T: Serialize> Serialize for Reply<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What a handler may return. If the client waits for an answer and the handler took no [`Ack`](crate::Ack): `()` answers
/// without arguments, [`Reply`] and `Ok` with their value, `Err` with `{"error": {"message", "data"?}}`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by a handler",
    note = "return `()`, `Reply<T>` or `Result<T, E>` where `T: Serialize` and `E: std::error::Error` or `HandlerError`"
)]
pub trait IntoReply: Send {
    /// Answers, if an answer is wanted.
    ///
    /// # Errors
    /// The handler's own error, or that the answer could not be encoded: for the error hook.
    fn reply(self, ack: Option<&AckTarget>) -> Result<(), HandlerError>;
}

impl IntoReply for () {
    fn reply(self, ack: Option<&AckTarget>) -> Result<(), HandlerError> {
        answer(ack, ())
    }
}

impl<T: Serialize + Send> IntoReply for Reply<T> {
    fn reply(self, ack: Option<&AckTarget>) -> Result<(), HandlerError> {
        answer(ack, self.0)
    }
}

impl<T: Serialize + Send, E: Into<HandlerError> + Send> IntoReply for Result<T, E> {
    fn reply(self, ack: Option<&AckTarget>) -> Result<(), HandlerError> {
        match self {
            Ok(value) => answer(ack, value),
            Err(error) => {
                let error = error.into();
                if let Some(ack) = ack {
                    ack.fail(error.public_message(), error.data.as_ref());
                }
                Err(error)
            }
        }
    }
}

fn answer<T: Serialize>(ack: Option<&AckTarget>, value: T) -> Result<(), HandlerError> {
    let Some(ack) = ack else { return Ok(()) };
    match ack.answer(&value) {
        // A client that is gone waits no more. A panic of the value's end must not be answered too.
        Ok(()) | Err(crate::EmitError::Closed) => {
            catch_unwind(AssertUnwindSafe(|| drop(value))).map_err(|_| Panicked.into())
        }
        Err(error) => {
            ack.fail(INTERNAL, None);
            Err(error.into())
        }
    }
}

/// What a client is told of an error whose message is not public.
pub(crate) const INTERNAL: &str = "internal error";

/// A handler's error: any `std::error::Error` by `?`, whose message stays on the server, or a public one.
#[derive(Debug)]
pub struct HandlerError {
    message: String,
    is_public: bool,
    data: Option<serde_json::Value>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl HandlerError {
    /// An error whose message the client is told.
    pub fn public(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_public: true, data: None, source: None }
    }

    /// Adds data for the client.
    #[must_use]
    pub fn data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// The message, for logs.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error it was made from.
    pub fn source(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    /// What a client is told.
    pub(crate) fn public_message(&self) -> &str {
        if self.is_public { &self.message } else { INTERNAL }
    }

    pub(crate) fn public_data(&self) -> Option<&serde_json::Value> {
        self.data.as_ref()
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { message: error.to_string(), is_public: false, data: None, source: Some(Box::new(error)) }
    }
}

impl std::fmt::Display for HandlerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
