//! One Engine.IO session as a client: HTTP long-polling, WebSocket, and the upgrade from one to the other. Engine.IO 4
//! only; what Socket.IO is stays above.
//!
//! | file | what it does |
//! | --- | --- |
//! | `driver.rs` | [`Engine`]: reading, writing, timers, polls and upgrade in one poll of the owner's task |
//! | `open.rs` | from a configuration to an open session: which transport is tried when |
//! | `polling.rs`, `websocket.rs` | the two transports, polled, without a task of their own |
//! | `queue.rs`, `mask.rs` | what waits to be sent; masking keys |
//! | `endpoint.rs`, `cookies.rs`, `url.rs`, `config.rs` | what a request says: path, query, headers, cookies |
//! | `http.rs` | one HTTP/1.1 connection, its exchanges and its upgrade |
//! | `dial.rs`, `proxy.rs`, `socks.rs`, `tls.rs`, `stream.rs` | from an address to a byte stream |
//! | `error.rs` | why a session could not be opened, and why it ended |
//!
//! Rules of the protocol live in `trunkline_proto`: `eio::ClientSession`, `ws`.

mod config;
mod cookies;
mod dial;
mod driver;
mod endpoint;
mod error;
mod http;
mod mask;
mod open;
mod polling;
mod proxy;
mod queue;
mod socks;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod url;
mod websocket;

pub(crate) use config::EngineConfig;
pub(crate) use cookies::CookieJar;
#[cfg(test)]
pub(crate) use driver::Opened;
pub(crate) use driver::{Engine, EngineEvent, Reading};
pub use error::{ConnectError, HttpError, TransportError};
pub(crate) use proxy::Proxy;
pub use proxy::ProxyError;
pub(crate) use trunkline_proto::eio::{CloseReason, TransportKind};
pub(crate) use url::Url;
pub use url::UrlError;
