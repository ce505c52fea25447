//! Socket.IO protocol 5, and 4 for old clients: packets and both parsers. No IO, clock or lock.
//!
//! [`Decoder`] turns Engine.IO messages into [`Packet`]s whose arguments stay raw until somebody asks for a
//! type; the `encode_*` functions turn the application's values into messages, with room in front for the
//! layers below.

mod args;
mod binary;
mod encode;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod json;
mod json_text;
mod msgpack_scan;
mod packet;
mod parser;
mod reason;
mod reserved;
mod shape;
mod value;
mod violation;

pub use args::{Args, OwnedArgs, RawArg};
pub use binary::Binary;
pub use encode::{
    Encoded, encode_ack, encode_client_connect, encode_connect, encode_connect_error, encode_connect_once,
    encode_disconnect, encode_error_v4, encode_event, encode_event_with_offset, with_ack_id,
};
pub use error::{DecodeError, EncodeError};
pub use packet::{Kind, Packet};
pub use parser::{Decoder, Limits, Parser};
pub use reason::DisconnectReason;
pub use reserved::is_reserved;
pub use shape::{Many, is_many};
pub use value::Value;
pub use violation::Violation;

/// The event by which a client says, after a CONNECT with `"once": true`, that it repeats an event with the same ack id and never uses an
/// id twice. Only servers that have announced it see it.
pub const KEEPS_IDS: &str = "trunkline:keeps-ids";

/// The largest integer both ends represent exactly: 2^53 - 1, the limit of JavaScript. Ids above it are refused.
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
