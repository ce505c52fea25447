//! WebSocket, Engine.IO and Socket.IO as state machines.
//!
//! This crate performs no IO, reads no clock, spawns nothing and takes no lock: time and seeds are arguments.
//! `handle_*` and `decode*` take input, `poll_*` and `encode*` give output; each type states its call order.
//!
//! | module | what it speaks |
//! | --- | --- |
//! | [`ws`] | WebSocket frames and messages (RFC 6455) and permessage-deflate (RFC 7692), both roles |
//! | [`eio`] | Engine.IO 3 and 4: packets, polling payloads, handshake, the session machine |
//! | [`sio`] | Socket.IO protocol 4 and 5: packets, the default and the msgpack parser, one connection's namespaces |

pub mod eio;
pub mod sio;
pub mod ws;
