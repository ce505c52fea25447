//! WebSocket frames and messages (RFC 6455) and permessage-deflate (RFC 7692), for servers and clients.
//!
//! Incoming bytes go to [`Decoder::decode`] until it has consumed them all and reports nothing more; outgoing
//! frames are a header from [`write_header`] followed by the payload, or [`encode_frame`] where a copy does
//! not matter. Everything a peer can do wrong is one variant of [`Violation`].
//!
//! ```
//! use trunkline_proto::ws::{Decoder, Event, Limits, OpCode, Role, encode_frame};
//!
//! let mut bytes = Vec::new();
//! encode_frame(&mut bytes, OpCode::Text, false, b"Hello", Some([1, 2, 3, 4])); // a client masks
//!
//! let mut decoder = Decoder::new(Role::Server, Limits::default(), false);
//! let (consumed, event) = decoder.decode(&mut bytes).unwrap();
//! assert_eq!((consumed, event), (11, Some(Event::Text("Hello"))));
//! ```

mod client;
mod decoder;
mod deflate;
mod encode;
mod frame;
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod mask;
mod utf8;
mod violation;

pub use client::{ClientHandshake, HandshakeError};
pub use decoder::{Decoder, Event, Limits};
pub use deflate::{DeflateAgreement, DeflateConfig, deflate, inflate, negotiate_deflate};
pub use encode::{
    MAX_HEADER, MAX_SERVER_HEADER, encode_close, encode_frame, encode_prefixed, server_header_len,
    write_header,
};
pub use frame::{OpCode, Role};
pub use handshake::{accept_key, is_valid_key};
pub use violation::Violation;
