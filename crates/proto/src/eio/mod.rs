//! Engine.IO protocol 3 and 4: packets, polling payloads, handshake checks and the session machine.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `packet.rs` | one packet, as text or as a binary WebSocket frame |
//! | `payload.rs`, [`payload_v3`] | many packets in one polling body |
//! | `handshake.rs` | the request query and the order in which a request is checked |
//! | `violation.rs` | every rule a peer can break, and the answer to it: one table |
//! | `session.rs`, `timer.rs` | heartbeat, upgrade and close of one session |
//! | `open.rs`, `client.rs` | the same session from its client's side, Engine.IO 4 only |
//! | `jsonp.rs` | polling through a script tag |
//!
//! Rules come from engine.io-protocol v3 and v4; where the prose is silent, from the reference server
//! (`engine.io` 6). No IO, no clock, no lock: time is an argument.

#[doc(hidden)]
pub mod fuzz;
pub mod jsonp;
pub mod payload_v3;

mod base64;
mod client;
mod handshake;
mod open;
mod packet;
mod payload;
mod reason;
mod session;
mod timer;
mod urlencoded;
mod violation;

pub use client::{ClientConfig, ClientOutput, ClientSession, Moment};
pub use handshake::{Query, Request, Transports, Verdict, open_packet, verify};
pub use open::{MAX_PERIOD, MAX_SID, Open, OpenError};
pub use packet::{Message, Packet, TransportKind, Version};
pub use payload::{PayloadV4, PayloadV4Encoder, decode_payload_v4};
pub use reason::CloseReason;
pub use session::{Config, Output, Session, State};
pub use violation::Violation;
