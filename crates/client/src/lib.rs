//! Socket.IO client.

// Until the Socket.IO half is built on it, only its tests use it.
#[cfg_attr(not(test), allow(dead_code, unused_imports))]
mod engine;

pub use engine::{ConnectError, Proxy, ProxyError, Url, UrlError};
