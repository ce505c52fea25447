//! A Socket.IO server: rooms, namespaces, acknowledgements and broadcast over WebSocket and HTTP long-polling, for every
//! official Socket.IO client from 1.x to 4.x.
//!
//! ```no_run
//! use trunkline::{Data, Io, Socket};
//!
//! fn main() -> std::io::Result<()> {
//!     let io = Io::new();
//!     io.of("/chat")
//!         .on_connect(async |socket: Socket| socket.join("lobby"))
//!         .on("post", async |socket: Socket, Data(text): Data<String>| {
//!             socket.to("lobby").emit("post", &text).ok();
//!         });
//!     let listener = std::net::TcpListener::bind("127.0.0.1:3000")?;
//!     trunkline::serve(listener, io.service()).run()
//! }
//! ```
//!
//! | to … | look at |
//! | --- | --- |
//! | describe a server | [`Io::builder`] |
//! | admit or refuse clients | [`Namespace::check`], [`Admission`] |
//! | answer events | [`Namespace::on`], [`Handler`], the extractors |
//! | handle what clients repeat once | [`Namespace::once_by`] |
//! | have clients recovered after a broken connection | [`Recovery`] |
//! | let a room's events be read over HTTP | [`History`] |
//! | compute long in a handler | [`blocking`], [`IoBuilder::handlers_on`] |
//! | send to one, to many | [`Socket::emit`], [`Broadcast`] |
//! | say what slow readers may miss | [`SlowReaders`] |
//! | serve beside HTTP routes | [`Io::layer`], [`serve`] |
//! | use the layer below alone | [`engine::Engine`] |
//! | test handlers without a port | [`testing::Client`] |

pub mod engine;
pub mod testing;

mod ack;
mod admission;
mod alarms;
mod blocking;
mod broadcast;
mod client;
mod client_bundle;
mod clock;
mod config;
mod cors;
mod dirty;
mod dynamic;
mod error;
mod extract;
mod flush;
mod handler;
mod handshake;
mod hash;
mod history;
mod io;
mod log;
mod metrics;
mod namespace;
mod once;
mod outbox;
mod rate;
mod recovery;
mod request;
mod rooms;
mod run;
mod serve;
mod service;
mod session;
mod session_task;
mod shard;
mod sid;
mod slow;
mod socket;
mod transport;
mod turn;
mod uring;
mod wire;
#[cfg(test)]
mod woken;

pub use ack::{Ack, AckFuture};
pub use admission::{Admission, Purpose, Refusal};
pub use blocking::blocking;
pub use broadcast::{Answer, Broadcast, IntoRooms, RemoteSocket};
pub use config::{ConnectionError, Cookie, Transport};
pub use cors::Cors;
pub use dynamic::ParentNamespace;
pub use error::{AckError, BroadcastError, EmitError, EncodeError};
pub use extract::{Auth, Cx, Data, EventName, Extension, Extract, ExtractError, Params, State};
pub use handler::{
    Check, CheckPhase, ConnectPhase, DisconnectPhase, EventPhase, Handler, HandlerError, IntoReply, Phase,
    Reply,
};
pub use handshake::{ConnectionInfo, Handshake};
pub use history::{CountedBody, EventStream, History, Rewind, Rewound};
pub use io::{HandlerFailure, Io, IoBuilder, States};
pub use log::{Durability, LogError};
pub use metrics::Snapshot;
pub use namespace::{Namespace, Outgoing, Receivers};
pub use once::{ExactlyOnce, IntoKey};
pub use recovery::Recovery;
pub use rooms::RoomEvent;
#[cfg(feature = "tls")]
pub use serve::serve_tls;
pub use serve::{Serve, serve};
pub use service::{EngineLayer, EngineService, NotFound, ResponseBody, ResponseFuture};
pub use sid::{ID_LEN, Id, InvalidId};
pub use slow::SlowReaders;
pub use socket::{Socket, SocketEmitter, SocketId};
pub use trunkline_proto::sio::{Binary, DisconnectReason, Many as Args, Value};
pub use uring::{Uring, UringError};
