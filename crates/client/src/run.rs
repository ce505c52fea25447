//! One socket's handlers, one call at a time in arrival order.
//!
//! They run in a task of their own that lasts while there is something to do, not in the client's: a handler that computes
//! for long holds up neither heartbeats nor other namespaces, and an idle socket costs no task.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use trunkline_proto::sio::OwnedArgs;

use crate::ack::AckTarget;
use crate::error::ConnectError;
use crate::extract::Cx;
use crate::guard::Guarded;
use crate::handler::{ErasedHandler, HandlerError, INTERNAL};
use crate::reason::DisconnectReason;
use crate::shared::{Core, HandlerFailure, Job, Shared};
use crate::socket::Socket;

/// Queues a call, and sees to it that somebody works on the queue.
pub(crate) fn push(shared: &Arc<Shared>, core: &Arc<Core>, job: Job) {
    if let Job::Event { args, .. } = &job {
        shared.inbound.add(args.size());
    }
    let mut jobs = core.jobs.lock();
    jobs.waiting.push_back(job);
    if !jobs.is_running {
        jobs.is_running = true;
        shared.runtime.spawn(work(Arc::clone(shared), Arc::clone(core)));
    }
}

async fn work(shared: Arc<Shared>, core: Arc<Core>) {
    loop {
        let job = {
            let mut jobs = core.jobs.lock();
            let Some(job) = jobs.waiting.pop_front() else {
                jobs.is_running = false;
                jobs.waiting = std::collections::VecDeque::new();
                return;
            };
            job
        };
        if let Job::Event { args, .. } = &job {
            let was_full = shared.inbound.reaches(1, &shared.limits);
            shared.inbound.remove(args.size());
            if was_full {
                shared.wake();
            }
        }
        // Without a handle nobody is left to be told.
        if let Some(handle) = shared.handle.upgrade() {
            run(&Socket::new(handle, Arc::clone(&core)), job).await;
        }
    }
}

async fn run(socket: &Socket, job: Job) {
    let core = socket.core();
    let (handlers, call) = match &job {
        Job::Event { name, args, ack } => {
            let mut taken = core.listeners.write();
            (taken.take(name), Call { event: name, args: Some(args), ack: ack.as_ref(), ..Call::default() })
        }
        Job::Connect(recovered) => (
            core.listeners.read().connect.clone(),
            Call { event: "connect", recovered: *recovered, ..Call::default() },
        ),
        Job::ConnectError(error) => (
            core.listeners.read().connect_error.clone(),
            Call { event: "connect_error", error: Some(error), ..Call::default() },
        ),
        Job::Disconnect(reason) => (
            core.listeners.read().disconnect.clone(),
            Call { event: "disconnect", reason: Some(*reason), ..Call::default() },
        ),
    };
    for handler in handlers {
        call.make(socket, &*handler).await;
    }
}

/// What the handlers of one call are given.
#[derive(Default)]
struct Call<'a> {
    event: &'a str,
    args: Option<&'a Arc<OwnedArgs>>,
    ack: Option<&'a Arc<AckTarget>>,
    recovered: bool,
    reason: Option<DisconnectReason>,
    error: Option<&'a ConnectError>,
}

impl Call<'_> {
    async fn make(&self, socket: &Socket, handler: &dyn ErasedHandler) {
        match self.start(socket, handler) {
            Ok(future) => match Guarded::new(future).await {
                Some(Ok(())) => {}
                // It has answered with the error.
                Some(Err(error)) => self.failed(socket, &error, false),
                None => self.panicked(socket),
            },
            Err(Some(error)) => self.failed(socket, &error, false),
            Err(None) => self.panicked(socket),
        }
    }

    /// Extracts the arguments and makes the handler's future; `Err(None)` is a panic.
    fn start(
        &self,
        socket: &Socket,
        handler: &dyn ErasedHandler,
    ) -> Result<crate::handler::Call, Option<HandlerError>> {
        let mut cx = Cx {
            socket,
            event: self.event,
            args: self.args.map(|args| args.as_args()),
            ack: self.ack,
            ack_taken: false,
            recovered: self.recovered,
            reason: self.reason,
            error: self.error,
        };
        match catch_unwind(AssertUnwindSafe(|| handler.call(&mut cx))) {
            Ok(called) => called.map_err(|error| Some(error.into())),
            Err(_) => Err(None),
        }
    }

    fn panicked(&self, socket: &Socket) {
        if let Some(ack) = self.ack {
            ack.fail(INTERNAL, None);
        }
        self.failed(socket, &HandlerError::public("the handler panicked"), true);
    }

    fn failed(&self, socket: &Socket, error: &HandlerError, panicked: bool) {
        let namespace = socket.namespace();
        tracing::warn!(namespace, event = self.event, %error, panicked, "a handler failed");
        if let Some(hook) = &socket.shared().on_error {
            let failure = HandlerFailure { event: self.event, error, panicked };
            // The hook is the application's too.
            drop(catch_unwind(AssertUnwindSafe(|| hook(&failure))));
        }
    }
}
