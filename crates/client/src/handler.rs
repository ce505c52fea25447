//! Handlers: async functions whose arguments are extractors, erased once at registration.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Serialize;

use crate::ack::AckTarget;
use crate::error::EmitError;
use crate::extract::{Cx, Extract, ExtractError};

/// The kind of handler that answers events.
#[derive(Debug, Clone, Copy)]
pub struct EventPhase;
/// The kind of handler that is told of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectPhase;
/// The kind of handler that is told of a disconnect.
#[derive(Debug, Clone, Copy)]
pub struct DisconnectPhase;
/// The kind of handler that is told why a socket did not connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectErrorPhase;

/// The kinds of handlers.
pub trait Phase {}
impl Phase for EventPhase {}
impl Phase for ConnectPhase {}
impl Phase for DisconnectPhase {}
impl Phase for ConnectErrorPhase {}

/// An async function of up to six extractors that returns `()`, [`Reply`] or a `Result`. `P` is the kind of handler.
///
/// An async closure must capture nothing, or only what lives for ever: shared things come by
/// [`State`](crate::State) and [`Socket`](crate::Socket).
#[diagnostic::on_unimplemented(
    message = "this is not a handler",
    note = "a handler is an async function or async closure of up to six extractors, such as `Socket` and `Data<T>`",
    note = "it returns `()`, `Reply<T>` or `Result<T, E>` where `T: Serialize` and `E: std::error::Error` or `HandlerError`",
    note = "`Data`, `Args`, `Ack` and `EventName` are for handlers of events",
    note = "its future must be `Send`, and a closure must not borrow what it captures: use `State<T>` for shared things"
)]
pub trait Handler<A, P>: Send + Sync + 'static {
    /// Extracts the arguments and starts the call.
    ///
    /// # Errors
    /// If an extractor fails; nothing has been called then.
    fn call(&self, cx: &mut Cx<'_>) -> Result<Call, ExtractError>;
}

/// A handler's call under way.
pub type Call = BoxFuture<'static, Result<(), HandlerError>>;

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
            fn call(&self, cx: &mut Cx<'_>) -> Result<Call, ExtractError> {
                // Refused before those extracted already are dropped: an `Ack` among them would answer otherwise.
                $(let $T = $T::extract(cx).inspect_err(|_| cx.refuse())?;)*
                let ack = if cx.ack_taken { None } else { cx.ack.cloned() };
                let future = self($($T),*);
                Ok(Box::pin(async move { future.await.reply(Answer(ack.as_deref())) }))
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

/// A handler without its types.
pub(crate) trait ErasedHandler: Send + Sync {
    fn call(&self, cx: &mut Cx<'_>) -> Result<Call, ExtractError>;
}

struct Erased<H, A, P>(H, PhantomData<fn(A, P)>);

impl<H: Handler<A, P>, A, P> ErasedHandler for Erased<H, A, P> {
    fn call(&self, cx: &mut Cx<'_>) -> Result<Call, ExtractError> {
        self.0.call(cx)
    }
}

pub(crate) fn erase<H: Handler<A, P>, A: 'static, P: 'static>(handler: H) -> Arc<dyn ErasedHandler> {
    Arc::new(Erased(handler, PhantomData))
}

/// An acknowledgement's value, returned by a handler that cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<T>(pub T);

/// Where a handler's answer goes, if one is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a>(Option<&'a AckTarget>);

impl Answer<'_> {
    fn give<T: Serialize>(self, value: &T) -> Result<(), HandlerError> {
        let Some(ack) = self.0 else { return Ok(()) };
        match ack.answer(value) {
            // A server that is gone waits no more.
            Ok(()) | Err(EmitError::Closed) => Ok(()),
            Err(error) => {
                ack.fail(INTERNAL, None);
                Err(error.into())
            }
        }
    }
}

/// What a handler may return. If the server waits for an answer and the handler took no [`Ack`](crate::Ack): `()` answers
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
    fn reply(self, answer: Answer<'_>) -> Result<(), HandlerError>;
}

impl IntoReply for () {
    fn reply(self, answer: Answer<'_>) -> Result<(), HandlerError> {
        answer.give(&())
    }
}

impl<T: Serialize + Send> IntoReply for Reply<T> {
    fn reply(self, answer: Answer<'_>) -> Result<(), HandlerError> {
        answer.give(&self.0)
    }
}

impl<T: Serialize + Send, E: Into<HandlerError> + Send> IntoReply for Result<T, E> {
    fn reply(self, answer: Answer<'_>) -> Result<(), HandlerError> {
        match self {
            Ok(value) => answer.give(&value),
            Err(error) => {
                let error = error.into();
                if let Some(ack) = answer.0 {
                    ack.fail(error.public_message(), error.data.as_ref());
                }
                Err(error)
            }
        }
    }
}

/// What the server is told of an error whose message is not public.
pub(crate) const INTERNAL: &str = "internal error";

/// A handler's error: any `std::error::Error` by `?`, whose message stays here, or a public one.
#[derive(Debug)]
pub struct HandlerError {
    message: String,
    is_public: bool,
    data: Option<serde_json::Value>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl HandlerError {
    /// An error whose message the server is told.
    pub fn public(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_public: true, data: None, source: None }
    }

    /// Adds data for the server.
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

    fn public_message(&self) -> &str {
        if self.is_public { &self.message } else { INTERNAL }
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
