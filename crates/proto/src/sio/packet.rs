//! A decoded Socket.IO packet: what it is for and where it belongs, its arguments still raw.

use std::borrow::Cow;

use super::{Args, RawArg};

/// A decoded packet; borrows the message it came from (or the decoder that put it together).
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// The namespace, `"/"` when the packet names none; without the query part of protocol 4.
    pub nsp: &'a str,
    /// What the packet asks for.
    pub kind: Kind<'a>,
}

/// The packet types of socket.io-protocol v5, binary variants folded into the plain ones.
#[derive(Clone, Debug)]
pub enum Kind<'a> {
    /// A client asks to join the namespace, or a server confirms (type 0).
    Connect {
        /// The payload, always an object; absent in protocol 4 and for clients without credentials.
        auth: Option<RawArg<'a>>,
        /// Protocol 4: the part after `?` in the namespace, still percent-encoded.
        query: Option<&'a str>,
    },
    /// The peer leaves the namespace (type 1).
    Disconnect,
    /// An event (types 2 and 5).
    Event {
        /// The event name, never a reserved one; a number as event name becomes its text.
        name: Cow<'a, str>,
        /// Present when the sender waits for an acknowledgement.
        id: Option<u64>,
        /// What follows the name.
        args: Args<'a>,
    },
    /// The answer to an event with an id (types 3 and 6).
    Ack {
        /// The id of the event that is answered.
        id: u64,
        /// The values of the answer.
        args: Args<'a>,
    },
    /// The namespace was refused (type 4; ERROR in protocol 4). Only servers send it.
    ConnectError {
        /// A string or an object, usually `{"message": ..}`.
        data: Option<RawArg<'a>>,
    },
}
