//! A session as others see it: its ids, its outbox, and the mailbox of the task that owns it.
//!
//! The task itself is [`crate::session_task`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::Waker;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use trunkline_proto::eio::{CloseReason, TransportKind, Version, Violation};
use trunkline_proto::sio::DisconnectReason;

use crate::engine::EngineCore;
use crate::handshake::Handshake;
use crate::shard::{Class, Push, Shard, Slot};
use crate::sid::Id;
use crate::socket::Socket;
use crate::transport::websocket::WsConn;
use crate::wire::Packet;

/// An Engine.IO session; shared by its task, its sockets and the requests that carry it.
pub(crate) struct Session {
    /// Secret: who knows it can take the session over.
    pub(crate) sid: Id,
    pub(crate) engine: Arc<EngineCore>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) slot: Slot,
    pub(crate) version: Version,
    /// The client cannot take binary (`b64=1`).
    pub(crate) base64: bool,
    pub(crate) handshake: Handshake,
    /// 0 polling, 1 WebSocket.
    transport: AtomicU8,
    /// A POST is being read or waits for its answer.
    pub(crate) posting: AtomicBool,
    /// Its alarm has rung.
    rang: AtomicBool,
    has_mail: AtomicBool,
    mail: Mutex<Mail>,
}

#[derive(Default)]
struct Mail {
    commands: VecDeque<Command>,
    waker: Option<Waker>,
    /// The task is gone.
    ended: bool,
}

/// What others ask of a session's task.
pub(crate) enum Command {
    /// A POST body and where its outcome goes.
    Post(PostBody, oneshot::Sender<Result<(), Violation>>),
    /// A WebSocket that asks to take over, and what was read beyond its handshake.
    Probe(Box<WsConn>, Vec<u8>),
    /// Close at once, with this reason.
    Close(CloseReason),
    /// Close after all that is queued.
    Finish(CloseReason),
    /// The current transport has ended.
    TransportClosed(CloseReason),
    /// The peer broke a rule.
    Violation(Violation),
    /// A socket was removed from its namespace by the application; its handlers are still to be told.
    Left(Socket, DisconnectReason),
    /// All sockets leave, then the connection closes.
    DisconnectAll,
}

/// A polling payload as it came.
pub(crate) enum PostBody {
    /// Text, also the decoded `d` parameter of JSONP.
    Text(Bytes),
    /// Engine.IO 3, `application/octet-stream`.
    Binary(Bytes),
}

impl Session {
    #[expect(clippy::too_many_arguments, reason = "called once")]
    pub(crate) fn new(
        sid: Id,
        engine: Arc<EngineCore>,
        shard: Arc<Shard>,
        slot: Slot,
        version: Version,
        base64: bool,
        handshake: Handshake,
        transport: TransportKind,
    ) -> Self {
        Self {
            sid,
            engine,
            shard,
            slot,
            version,
            base64,
            handshake,
            transport: AtomicU8::new(transport as u8),
            posting: AtomicBool::new(false),
            rang: AtomicBool::new(false),
            has_mail: AtomicBool::new(false),
            mail: Mutex::default(),
        }
    }

    pub(crate) fn transport(&self) -> TransportKind {
        if self.transport.load(Ordering::Acquire) == TransportKind::WebSocket as u8 {
            TransportKind::WebSocket
        } else {
            TransportKind::Polling
        }
    }

    pub(crate) fn set_transport(&self, transport: TransportKind) {
        self.transport.store(transport as u8, Ordering::Release);
    }

    /// Queues a packet for the client.
    pub(crate) fn push(&self, packet: &Arc<Packet>, class: Class) -> Push {
        self.shard.push(self.slot, packet, class)
    }

    /// Leaves a command for the task. After the task's end it is dropped.
    pub(crate) fn command(&self, command: Command) {
        let waker = {
            let mut mail = self.mail.lock();
            if mail.ended {
                return;
            }
            mail.commands.push_back(command);
            self.has_mail.store(true, Ordering::Release);
            mail.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has the task look around.
    pub(crate) fn wake(&self) {
        let waker = self.mail.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has the task look at its deadlines.
    pub(crate) fn ring(&self) {
        self.rang.store(true, Ordering::Release);
        self.wake();
    }

    /// The task: whether its alarm has rung.
    pub(crate) fn take_ring(&self) -> bool {
        self.rang.load(Ordering::Acquire) && self.rang.swap(false, Ordering::AcqRel)
    }

    /// The task: registers where to wake it.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut mail = self.mail.lock();
        match &mut mail.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// The task: the next command.
    pub(crate) fn take_command(&self) -> Option<Command> {
        if !self.has_mail.load(Ordering::Acquire) {
            return None;
        }
        let mut mail = self.mail.lock();
        let command = mail.commands.pop_front();
        if mail.commands.is_empty() {
            self.has_mail.store(false, Ordering::Release);
            // A few places are kept: a polling client leaves a command with each POST.
            mail.commands.shrink_to(4);
        }
        command
    }

    /// The task: nothing more will be looked at.
    pub(crate) fn end_mail(&self) {
        let rest = {
            let mut mail = self.mail.lock();
            mail.ended = true;
            mail.waker = None;
            std::mem::take(&mut mail.commands)
        };
        drop(rest);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The sid is a secret: its first characters name it well enough.
        write!(f, "Session({}…)", &self.sid.as_str()[..8])
    }
}
