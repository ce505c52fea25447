//! Running handlers for one socket: one event at a time, its handlers in order, each polled inside the session's task.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use trunkline_proto::sio::{self, DisconnectReason, OwnedArgs};

use crate::ack::{AckTarget, Wanted};
use crate::clock;
use crate::extract::{Cx, ExtractError};
use crate::handler::{ErasedHandler, HandlerError, INTERNAL};
use crate::metrics::Metrics;
use crate::namespace::Table;
use crate::once::Met;
use crate::session::Session;
use crate::socket::Socket;

/// What runs and what waits for one socket. There is none while a socket is idle.
#[derive(Default)]
pub(crate) struct Run {
    current: Option<Running>,
    pub(crate) queue: VecDeque<Event>,
}

struct Running {
    call: Call,
    event: Box<str>,
}

/// A handler's future, or that of several.
struct Call {
    future: BoxFuture<'static, Result<(), HandlerError>>,
    /// For what the future does not answer.
    ack: Wanted,
}

/// What a socket's handlers are told.
pub(crate) enum Event {
    Connected,
    Message { name: Box<str>, id: Option<u64>, args: OwnedArgs },
    Gone(DisconnectReason),
}

/// A handler's poll over this is a warning: it keeps its connection's task, and those beside it, waiting.
const SLOW: Duration = Duration::from_millis(50);

type Handlers = Vec<Arc<dyn ErasedHandler>>;

impl Run {
    /// Starts an event for a socket that is idle; `None` if it was over at once. `handlers`: what was known of its namespace's.
    pub(crate) fn start(
        socket: &Socket,
        handlers: &mut Arc<Table>,
        name: &str,
        id: Option<u64>,
        args: sio::Args<'_>,
        cx: &mut Context<'_>,
    ) -> Option<Box<Self>> {
        let mut call = dispatch(socket, handlers, name, id, args)?;
        match call.poll(name, socket, cx) {
            Poll::Ready(()) => None,
            Poll::Pending => {
                let current = Some(Running { call, event: name.into() });
                Some(Box::new(Self { current, queue: VecDeque::new() }))
            }
        }
    }

    /// Starts an event; call when nothing runs.
    pub(crate) fn begin(&mut self, socket: &Socket, handlers: &mut Arc<Table>, event: Event) {
        self.current = match event {
            Event::Message { name, id, args } => dispatch(socket, handlers, &name, id, args.as_args())
                .map(|call| Running { call, event: name }),
            Event::Connected => {
                let table = socket.namespace_core().table.read();
                lifecycle(socket, "connect", table.connect.clone(), None)
            }
            Event::Gone(reason) => gone(socket, reason),
        };
    }

    /// Polls what runs; ready when nothing does.
    pub(crate) fn poll(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Running { call, event }) = &mut self.current else { return Poll::Ready(()) };
        match call.poll(event, socket, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.current = None;
                Poll::Ready(())
            }
        }
    }
}

impl Call {
    fn poll(&mut self, event: &str, socket: &Socket, cx: &mut Context<'_>) -> Poll<()> {
        let io = &socket.namespace_core().io;
        let before = clock::coarse();
        let polled = poll_for(socket.session(), || guard_poll(&mut self.future, cx));
        let took = clock::coarse().saturating_sub(before);
        if took > SLOW {
            io.parts.metrics.slow_handlers.add(1);
            tracing::warn!(
                event,
                ?socket,
                ?took,
                "a handler kept its thread; use tokio::spawn or handlers_on"
            );
        }
        match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => {}
            Ok(Poll::Ready(Err(error))) => {
                // A handler has answered with its error; only the runtime that it was moved to has not.
                if let Wanted::Shared(ack) = &self.ack {
                    ack.fail(error.public_message(), error.public_data());
                }
                io.failed(event, Some(socket), &error, false);
            }
            Err(()) => {
                self.ack.fail(socket, INTERNAL);
                io.failed(event, Some(socket), &Panicked.into(), true);
            }
        }
        Poll::Ready(())
    }
}

/// Runs a function of the application; a panic ends nothing but that call, and is counted and told.
pub(crate) fn guard<T>(metrics: &Metrics, what: &str, call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).inspect_err(|_| metrics.panicked(what)).ok()
}

/// A panic ends nothing but its future.
pub(crate) fn guard_poll<T>(future: &mut BoxFuture<'_, T>, cx: &mut Context<'_>) -> Result<Poll<T>, ()> {
    guard_catch(future, cx).map_err(drop)
}

fn guard_catch<T>(
    future: &mut BoxFuture<'_, T>,
    cx: &mut Context<'_>,
) -> Result<Poll<T>, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
}

#[derive(Debug, thiserror::Error)]
#[error("the handler panicked")]
pub(crate) struct Panicked;

thread_local! {
    /// The session whose handler is being polled, by address; 0 for none.
    static POLLED: Cell<usize> = const { Cell::new(0) };
}

/// Whether this is called by a handler of `session`.
pub(crate) fn is_in_handler_of(session: &Arc<Session>) -> bool {
    POLLED.get() == Arc::as_ptr(session) as usize
}

/// Polls a handler's future as one of `session`.
fn poll_for<T>(session: &Arc<Session>, poll: impl FnOnce() -> T) -> T {
    let before = POLLED.replace(Arc::as_ptr(session) as usize);
    let result = poll();
    POLLED.set(before);
    result
}

/// Starts the handlers of an event.
fn dispatch(
    socket: &Socket,
    handlers: &mut Arc<Table>,
    name: &str,
    id: Option<u64>,
    args: sio::Args<'_>,
) -> Option<Call> {
    let namespace = socket.namespace_core();
    namespace.table.refresh(handlers);
    let table = &**handlers;
    let mut ack = Wanted::new(id);
    if let Some(once) = &table.once {
        ack = match once.meet(socket, name, args, ack.share(socket).cloned()) {
            Met::New(ack) => ack.into(),
            Met::Repeat => return None,
        };
    }
    if namespace.io.config.handlers_on.is_some() {
        // That runtime may end before the handler does.
        ack.share(socket);
    }
    let listeners = table.events.get(name).map_or(&[][..], |l| l);
    let has_own = socket.listens(name);
    if let ([handler], false, true, true) =
        (listeners, has_own, table.any.is_empty(), table.before.is_empty())
    {
        // The common case: one handler, called with the arguments where they lie.
        let future = match call(socket, &**handler, name, Some(args), &mut ack, None) {
            Ok(future) => future,
            Err(failure) => {
                failure.tell(socket, name, &ack);
                return None;
            }
        };
        return Some(Call { future: relocate(socket, future), ack });
    }
    if listeners.is_empty() && !has_own && table.any.is_empty() && table.before.is_empty() {
        tracing::trace!(?socket, event = name, "an event without a handler");
        return None;
    }
    let steps = Steps { any: table.any.clone(), before: table.before.clone(), listeners: listeners.to_vec() };
    let shared = ack.share(socket).cloned();
    let future = Box::pin(run_steps(socket.clone(), name.into(), args.to_owned(), shared, steps));
    Some(Call { future: relocate(socket, future), ack })
}

/// To the runtime that the application named for its handlers, if it did.
fn relocate(
    socket: &Socket,
    future: BoxFuture<'static, Result<(), HandlerError>>,
) -> BoxFuture<'static, Result<(), HandlerError>> {
    match &socket.namespace_core().io.config.handlers_on {
        None => future,
        Some(runtime) => {
            let session = Arc::clone(socket.session());
            let mut future = future;
            let task = runtime.spawn(std::future::poll_fn(move |cx| {
                // A panic passes on to the join handle, and the worker's mark must not stay.
                let polled = poll_for(&session, || guard_catch(&mut future, cx));
                polled.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }));
            Box::pin(async move {
                match task.await {
                    Ok(result) => result,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(error) => Err(error.into()),
                }
            })
        }
    }
}

struct Steps {
    any: Handlers,
    before: Handlers,
    listeners: Handlers,
}

/// Catch-all handlers, then those before, which may stop the event, then its own.
async fn run_steps(
    socket: Socket,
    name: Box<str>,
    args: OwnedArgs,
    ack: Option<Arc<AckTarget>>,
    steps: Steps,
) -> Result<(), HandlerError> {
    let (mut none, mut ack) = (Wanted::Nothing, Wanted::from(ack));
    for handler in &steps.any {
        if let Err(failure) = step(&socket, &**handler, &name, Some(&args), &mut none, None).await {
            failure.tell(&socket, &name, &none);
        }
    }
    for handler in &steps.before {
        if let Err(failure) = step(&socket, &**handler, &name, Some(&args), &mut none, None).await {
            failure.tell(&socket, &name, &ack);
            return Ok(());
        }
    }
    // Only now: what the handlers above have stopped leaves listeners for one event in place.
    let mut listeners = steps.listeners;
    socket.take_listeners(&name, &mut listeners);
    for handler in &listeners {
        if let Err(failure) = step(&socket, &**handler, &name, Some(&args), &mut ack, None).await {
            failure.tell(&socket, &name, &ack);
        }
    }
    Ok(())
}

/// One handler from call to end.
async fn step(
    socket: &Socket,
    handler: &dyn ErasedHandler,
    name: &str,
    args: Option<&OwnedArgs>,
    ack: &mut Wanted,
    reason: Option<DisconnectReason>,
) -> Result<(), Failure> {
    let mut future = call(socket, handler, name, args.map(OwnedArgs::as_args), ack, reason)?;
    std::future::poll_fn(|cx| match guard_poll(&mut future, cx) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(Failure::Returned)),
        Err(()) => Poll::Ready(Err(Failure::Panicked)),
    })
    .await
}

/// Extracts the arguments and makes the handler's future.
fn call(
    socket: &Socket,
    handler: &dyn ErasedHandler,
    name: &str,
    args: Option<sio::Args<'_>>,
    ack: &mut Wanted,
    reason: Option<DisconnectReason>,
) -> Result<BoxFuture<'static, Result<(), HandlerError>>, Failure> {
    let namespace = socket.namespace_core();
    let mut cx = Cx {
        io: socket.io_core(),
        engine: &socket.session().engine,
        handshake: socket.handshake(),
        namespace,
        socket: Some(socket),
        admission: None,
        auth: socket.raw_auth(),
        event: name,
        args,
        ack,
        ack_taken: false,
        reason,
    };
    match catch_unwind(AssertUnwindSafe(|| handler.call(&mut cx))) {
        Ok(Ok(future)) => Ok(future),
        Ok(Err(error)) => Err(Failure::Arguments(error)),
        Err(_) => Err(Failure::Panicked),
    }
}

enum Failure {
    Arguments(ExtractError),
    /// The handler returned an error, and has answered with it.
    Returned(HandlerError),
    Panicked,
}

impl Failure {
    fn tell(self, socket: &Socket, event: &str, ack: &Wanted) {
        let io = &socket.namespace_core().io;
        match self {
            Self::Arguments(error) => {
                // Those of `before` know no ack: the event's is answered here.
                ack.fail(socket, "invalid arguments");
                io.failed(event, Some(socket), &error.into(), false);
            }
            Self::Returned(error) => {
                if let Wanted::Shared(ack) = ack {
                    ack.fail(error.public_message(), error.public_data());
                }
                io.failed(event, Some(socket), &error, false);
            }
            Self::Panicked => {
                ack.fail(socket, INTERNAL);
                io.failed(event, Some(socket), &Panicked.into(), true);
            }
        }
    }
}

/// Starts the handlers of a socket's beginning or end.
fn lifecycle(
    socket: &Socket,
    event: &'static str,
    handlers: Handlers,
    reason: Option<DisconnectReason>,
) -> Option<Running> {
    if handlers.is_empty() {
        return None;
    }
    let socket = socket.clone();
    let owner = socket.clone();
    let future = Box::pin(async move {
        let mut none = Wanted::Nothing;
        for handler in &handlers {
            if let Err(failure) = step(&socket, &**handler, event, None, &mut none, reason).await {
                failure.tell(&socket, event, &none);
            }
        }
        Ok(())
    });
    let call = Call { future: relocate(&owner, future), ack: Wanted::Nothing };
    Some(Running { call, event: event.into() })
}

/// Disconnecting, then disconnect.
fn gone(socket: &Socket, reason: DisconnectReason) -> Option<Running> {
    let table = socket.namespace_core().table.read();
    if table.disconnecting.is_empty() {
        return lifecycle(socket, "disconnect", table.disconnect.clone(), Some(reason));
    }
    let (disconnecting, disconnect) = (table.disconnecting.clone(), table.disconnect.clone());
    let socket = socket.clone();
    let owner = socket.clone();
    let future = Box::pin(async move {
        let mut none = Wanted::Nothing;
        for handler in &disconnecting {
            if let Err(failure) =
                step(&socket, &**handler, "disconnecting", None, &mut none, Some(reason)).await
            {
                failure.tell(&socket, "disconnecting", &none);
            }
        }
        socket.forget_rooms();
        for handler in &disconnect {
            if let Err(failure) = step(&socket, &**handler, "disconnect", None, &mut none, Some(reason)).await
            {
                failure.tell(&socket, "disconnect", &none);
            }
        }
        Ok(())
    });
    let call = Call { future: relocate(&owner, future), ack: Wanted::Nothing };
    Some(Running { call, event: "disconnect".into() })
}
