//! The transports: how a session's packets travel.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `websocket` | a WebSocket connection: reading from a lent buffer, writing when its stream was blocked |
//! | `stream` | getting the TCP stream out of the HTTP server after the upgrade |
//! | `tcp_io` | a TCP stream as the HTTP server wants it |
//! | `corked` | the TCP stream under TLS, whose output the flusher gathers |
//! | `head_timer` | the deadline of a request's head |
//! | `polling` | answers and bodies of HTTP long-polling, JSONP among them |

#[cfg(feature = "tls")]
pub(crate) mod corked;
pub(crate) mod head_timer;
pub(crate) mod polling;
pub(crate) mod stream;
pub(crate) mod tcp_io;
pub(crate) mod websocket;
