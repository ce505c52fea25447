//! What the machine is given and what it asks for.

use std::time::Duration;

use bytes::Bytes;
use trunkline_proto::sio::{Encoded, OwnedArgs};

use crate::events::Lifecycle;

/// A namespace by its place in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Nsp(pub(crate) usize);

/// One encoded packet: the first Engine.IO message, and its attachments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) head: Bytes,
    /// Whether the head is a binary message (msgpack).
    pub(crate) binary: bool,
    pub(crate) attachments: Vec<Bytes>,
}

impl Message {
    /// What it counts for, in bytes: its own, and its place in a queue, so that small messages are bounded too.
    pub(crate) fn size(&self) -> usize {
        PLACE + self.head.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }
}

impl From<Encoded> for Message {
    fn from(encoded: Encoded) -> Self {
        let mut head = Bytes::from(encoded.head);
        let start = encoded.head_offset.min(head.len());
        Self { head: head.split_off(start), binary: encoded.binary, attachments: encoded.attachments }
    }
}

/// Bytes counted for each message beside its own; the engine counts as many.
const PLACE: usize = 64;

/// An event to be sent.
#[derive(Debug)]
pub(crate) struct Emit<W> {
    pub(crate) message: Message,
    /// Present if the message asks for an answer.
    pub(crate) ack: Option<Asked<W>>,
    /// To be dropped if the transport cannot take it at once.
    pub(crate) volatile: bool,
}

/// An answer that is waited for.
#[derive(Debug)]
pub(crate) struct Asked<W> {
    pub(crate) id: u64,
    /// Who is told; nobody if the answer only ends the retries.
    pub(crate) waiter: Option<W>,
    /// `None`: as long as the connection lasts.
    pub(crate) timeout: Option<Duration>,
}

/// What is to be done, in order.
#[derive(Debug)]
pub(crate) enum Output<W> {
    /// Open a connection; to be answered with `handle_opened` or `handle_open_failed` and the same number.
    Open { opening: u64 },
    /// Close the connection, or give up opening one, after what was sent before.
    Close,
    /// Send a packet.
    Send { nsp: Nsp, message: Message, is_event: bool },
    /// Ask the namespace's auth function; to be answered with `handle_auth`.
    AskAuth { nsp: Nsp, attempt: u64 },
    /// An event for the application. `session` says to which connection an answer would belong.
    Event { nsp: Nsp, name: Box<str>, args: OwnedArgs, id: Option<u64>, session: u64 },
    /// The end of somebody's wait.
    Answer { waiter: W, result: Result<OwnedArgs, NoAnswer> },
    /// Something to tell: of one socket, or of the connection.
    Change { nsp: Option<Nsp>, change: Lifecycle },
}

/// Why an answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Timeout,
    Disconnected,
}
