//! Test support: a server in a thread, and clients that speak raw HTTP and WebSocket, so that tests read like scripts of
//! frames. Only for development; every wait has a deadline, and what goes wrong panics with what was read.

mod conn;
mod http;
mod polling;
mod rig;
mod server;
mod uring;
mod wait;
mod ws;

pub use conn::{Conn, tls_config};
pub use http::{Http, Request, Response};
pub use polling::{Polling, sid_of};
pub use rig::{Received, Rig};
pub use server::{End, TestServer};
pub use uring::uring;
pub use wait::{DEADLINE, eventually, resident_bytes, within};
pub use ws::{Frame, Ws, client_frame};
