//! A Socket.IO client: namespaces, acknowledgements and binary over WebSocket and HTTP long-polling, with reconnection,
//! for servers of Socket.IO 3 and newer. There is no WebTransport, and nothing for wasm.
//!
//! ```no_run
//! use trunkline_client::{Client, Data, Socket};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::builder("http://127.0.0.1:3000").build()?;
//!     let chat = client.of("/chat");
//!     chat.on("question", async |Data(text): Data<String>| -> Result<usize, std::convert::Infallible> {
//!         Ok(text.len()) // the acknowledgement
//!     });
//!     chat.on("post", async |socket: Socket, Data(text): Data<String>| {
//!         println!("{} on {}", text, socket.namespace());
//!     });
//!     chat.connected().await?;
//!     let id: u64 = chat.emit_with_ack("post", "hello").await?;
//!     println!("post {id}");
//!     client.close().await;
//!     Ok(())
//! }
//! ```
//!
//! | to … | look at |
//! | --- | --- |
//! | describe a client | [`Client::builder`], [`Builder`], [`Reconnection`], [`OfflineBuffer`] |
//! | enter a namespace | [`Client::of`], [`Client::socket`] |
//! | send | [`Socket::emit`], [`Socket::emit_with_ack`], [`Socket::volatile`], [`Builder::retries`] |
//! | answer events | [`Socket::on`], [`Handler`], the extractors; [`Socket::events`] as a stream |
//! | follow the connection | [`Socket::connected`], [`Socket::on_disconnect`], [`Socket::lifecycle`] |
//! | prove who one is | [`Builder::auth`], [`Builder::auth_with`] |
//! | do without Tokio | [`blocking`] |

pub mod blocking;

mod ack;
mod auth;
mod builder;
mod client;
mod config;
mod engine;
mod error;
mod events;
mod extract;
mod guard;
mod handler;
mod listeners;
mod manager;
mod reason;
mod run;
mod shared;
mod socket;
mod task;

pub use ack::{Ack, AckFuture};
pub use builder::Builder;
pub use client::{Client, SocketBuilder};
pub use config::{OfflineBuffer, Reconnection};
pub use engine::{ConnectError as EngineError, HttpError, ProxyError, TransportError, UrlError};
pub use error::{AckError, BuildError, ConnectError, EmitError, EncodeError, OpenError};
pub use events::{Changes, Event, Events, Items, Lifecycle};
pub use extract::{Cx, Data, EventName, Extract, ExtractError, Recovered, State};
pub use handler::{
    Answer, Call, ConnectErrorPhase, ConnectPhase, DisconnectPhase, EventPhase, Handler, HandlerError,
    IntoReply, Phase, Reply,
};
pub use listeners::Outgoing;
pub use reason::DisconnectReason;
pub use shared::HandlerFailure;
pub use socket::{Emitter, Socket};
pub use trunkline_proto::eio::TransportKind;
pub use trunkline_proto::sio::{Binary, DecodeError, Many as Args, Value};
