//! A client in memory, for testing handlers without a port.
//!
//! [`Client`] runs against the real session: real WebSocket frames over an in-memory stream, the real decoders, timers and
//! bounds. Only HTTP is left out, and with it `allow_request`, CORS and polling.
//! Where a test has stopped the clock (`tokio::time::pause`), heartbeats, deadlines and recovery go by that.
//!
//! ```
//! use trunkline::testing::Client;
//! use trunkline::{Data, Io, Reply, Socket};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Io::new();
//! io.of("/chat")
//!     .on_connect(async |socket: Socket| socket.join("lobby"))
//!     .on("post", async |socket: Socket, Data(text): Data<String>| {
//!         socket.to("lobby").emit("post", &text).ok();
//!         Reply(text.len())
//!     });
//!
//! let ann = Client::connect(&io, "/chat", None).await?;
//! let mut bob = Client::connect(&io, "/chat", None).await?;
//! let length: usize = ann.emit_with_ack("post", "hello").await?;
//! assert_eq!(length, 5);
//! assert_eq!(bob.recv_event::<String>("post").await?, "hello");
//! # Ok(())
//! # }
//! ```

mod connection;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_core::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use trunkline_proto::sio::{self, OwnedArgs};
use trunkline_proto::ws::{self, OpCode};

use crate::error::EncodeError;
use crate::io::Io;
use crate::socket::SocketId;
use connection::{Connection, Item, KEY, ROOM};

/// One client in one namespace. The connection ends when the last client of it is dropped, or by [`Client::close`].
#[derive(Debug)]
pub struct Client {
    connection: Arc<Connection>,
    namespace: String,
    id: SocketId,
    private_id: Option<String>,
    events: mpsc::UnboundedReceiver<Item>,
    /// Events that [`Client::recv_event`] has passed over.
    passed: VecDeque<Event>,
    end: Option<End>,
}

/// How a connection is opened; for tests that need more than [`Client::connect`].
#[derive(Debug, Clone)]
pub struct Connect {
    url: String,
    headers: HeaderMap,
    buffer: usize,
    deadline: Duration,
}

/// What a client of this module can run into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the namespace.
    #[error("refused: {message}")]
    Refused {
        /// The refusal's message.
        message: String,
        /// Its data, if it has some.
        data: Option<serde_json::Value>,
    },
    /// Nothing came within the deadline ([`Connect::deadline`]).
    #[error("nothing came in time")]
    Timeout,
    /// The socket is disconnected.
    #[error("the socket is disconnected")]
    Closed,
    /// What came has another type.
    #[error("cannot be decoded: {0}")]
    Decode(String),
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// An event from the server.
#[derive(Debug)]
pub struct Event {
    name: String,
    args: OwnedArgs,
    ack: Option<u64>,
    namespace: String,
    connection: Arc<Connection>,
}

/// How a socket has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server took it out of its namespace; the connection lives on.
    Namespace,
    /// The connection is over.
    Connection,
}

impl Connect {
    /// A connection with a query as the JavaScript client sends it, no headers, and room for 64 KiB on its way.
    pub fn new() -> Self {
        Self {
            url: "/socket.io/?EIO=4&transport=websocket".to_owned(),
            headers: HeaderMap::new(),
            buffer: 64 * 1024,
            deadline: Duration::from_secs(10),
        }
    }

    /// Adds a query parameter; name and value as they stand in the URL.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push_str(&format!("&{name}={value}"));
        self
    }

    /// Adds a header to the handshake.
    ///
    /// # Panics
    /// If HTTP does not allow the name or the value.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a valid header name");
        self.headers.append(name, HeaderValue::from_str(value).expect("a valid header value"));
        self
    }

    /// How many bytes may be on their way in each direction, as in the kernel's buffers; default 64 KiB. For tests of slow
    /// readers.
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes.max(1);
        self
    }

    /// How long each wait of the client may take; default 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Opens a connection and enters a namespace. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Refused`] by a check, [`Error::Closed`] if the server closes, [`Error::Encode`] if `auth` is no object.
    pub async fn to(
        self,
        io: &Io,
        namespace: &str,
        auth: Option<serde_json::Value>,
    ) -> Result<Client, Error> {
        Connection::open(io, &self).enter(namespace, auth.as_ref()).await
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Connects to `io` and enters a namespace; `auth` is what the client's `auth` option holds, an object. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// As [`Connect::to`].
    pub async fn connect(io: &Io, namespace: &str, auth: Option<serde_json::Value>) -> Result<Self, Error> {
        Connect::new().to(io, namespace, auth).await
    }

    /// Enters another namespace over the same connection.
    ///
    /// # Errors
    /// As [`Connect::to`].
    pub async fn enter(&self, namespace: &str, auth: Option<serde_json::Value>) -> Result<Self, Error> {
        self.connection.enter(namespace, auth.as_ref()).await
    }

    /// The id that the server gave, the same as [`crate::Socket::id`].
    pub fn id(&self) -> &SocketId {
        &self.id
    }

    /// The private id of a client in a namespace with recovery: with it, as `pid` in its auth, and the last argument of the latest
    /// event, as `offset`, it can come back.
    pub fn private_id(&self) -> Option<&str> {
        self.private_id.as_deref()
    }

    /// The namespace it is in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sends an event; `args` as in [`crate::Socket::emit`].
    ///
    /// # Errors
    /// [`Error::Encode`] for a reserved name or what cannot be encoded, [`Error::Closed`] after the end.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), Error> {
        self.connection.event(&self.namespace, None, event, &args)
    }

    /// Sends an event at once and waits for the handler's answer: its first value as `T`, all with
    /// [`Args`](crate::Args), none with `()`.
    ///
    /// # Errors
    /// As [`Client::emit`]; [`Error::Timeout`] without an answer, [`Error::Decode`] for one of another type.
    pub fn emit_with_ack<T: DeserializeOwned + 'static>(
        &self,
        event: &str,
        args: impl Serialize,
    ) -> BoxFuture<'static, Result<T, Error>> {
        let connection = Arc::clone(&self.connection);
        let id = connection.next_ack.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        connection.with_place(&self.namespace, |place| place.acks.insert(id, sender));
        let sent = connection.event(&self.namespace, Some(id), event, &args);
        Box::pin(async move {
            sent?;
            let args = connection.within(answer).await?.map_err(|_| Error::Closed)?;
            crate::extract::decode_answer(args.as_args()).map_err(|e| Error::Decode(e.to_string()))
        })
    }

    /// The next event.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Closed`] after the last event of a socket that has ended.
    pub async fn recv(&mut self) -> Result<Event, Error> {
        if let Some(event) = self.passed.pop_front() {
            return Ok(event);
        }
        self.next().await
    }

    /// The next event of this name, its first argument as `T` (all of them with [`Args`](crate::Args), none with `()`).
    /// Other events before it are kept for later calls.
    ///
    /// # Errors
    /// As [`Client::recv`]; [`Error::Decode`] for arguments of another type.
    pub async fn recv_event<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Error> {
        let event = match self.passed.iter().position(|event| event.name == name) {
            Some(index) => self.passed.remove(index).ok_or(Error::Closed)?,
            None => loop {
                let event = self.next().await?;
                if event.name == name {
                    break event;
                }
                self.passed.push_back(event);
            },
        };
        event.data()
    }

    /// What has come already and was not asked for, without waiting.
    pub fn received(&mut self) -> Vec<Event> {
        while let (None, Ok(item)) = (self.end, self.events.try_recv()) {
            match item {
                Item::Event(event) => self.passed.push_back(event),
                Item::End(end) => self.end = Some(end),
            }
        }
        self.passed.drain(..).collect()
    }

    /// Waits until the socket has ended, and tells how. Events before it are kept.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub async fn ended(&mut self) -> Result<End, Error> {
        loop {
            match self.next().await {
                Ok(event) => self.passed.push_back(event),
                Err(Error::Closed) => return Ok(self.end.unwrap_or(End::Connection)),
                Err(error) => return Err(error),
            }
        }
    }

    async fn next(&mut self) -> Result<Event, Error> {
        if self.end.is_some() {
            return Err(Error::Closed);
        }
        match self.connection.within(self.events.recv()).await? {
            Some(Item::Event(event)) => Ok(event),
            Some(Item::End(end)) => {
                self.end = Some(end);
                Err(Error::Closed)
            }
            None => Err(Error::Closed),
        }
    }

    /// Leaves the namespace (`client namespace disconnect`); the connection stays.
    pub fn disconnect(self) {
        self.connection.send(sio::encode_disconnect(self.connection.parser, ROOM, &self.namespace));
        self.connection.places.lock().remove(&self.namespace);
    }

    /// Ends the connection with all its namespaces, as a browser does whose page is left (`transport close`).
    pub fn close(self) {
        let mut frame = Vec::new();
        ws::encode_close(&mut frame, 1000, "", Some(KEY));
        self.connection.write(frame);
    }

    /// Cuts the connection without a word (`transport close`).
    pub fn cut(self) {
        self.connection.end();
    }

    /// Stops reading from the connection, or goes on: what the server sends fills the buffer, then the server's queue.
    pub fn hold_reading(&self, hold: bool) {
        self.connection.hold.send_replace(hold);
    }

    /// Sends a text message as it is, such as `42["event"]`: for what well-behaved clients do not send.
    pub fn send_text(&self, message: &str) {
        self.connection.frame(OpCode::Text, format!("4{message}").as_bytes());
    }

    /// Sends a binary message as it is.
    pub fn send_binary(&self, message: &[u8]) {
        self.connection.frame(OpCode::Binary, message);
    }
}

impl Event {
    /// The event's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first argument as `T`; all of them with [`Args`](crate::Args) or a tuple, none with `()`.
    ///
    /// # Errors
    /// [`Error::Decode`] for arguments of another type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        crate::extract::decode_answer(self.args.as_args()).map_err(|e| Error::Decode(e.to_string()))
    }

    /// All arguments as `T`: a tuple or a `Vec`.
    ///
    /// # Errors
    /// [`Error::Decode`] for arguments of another type.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.args.as_args().deserialize_all().map_err(|e| Error::Decode(e.to_string()))
    }

    /// Whether the server waits for an answer.
    pub fn wants_answer(&self) -> bool {
        self.ack.is_some()
    }

    /// Answers the server; does nothing if it does not wait.
    ///
    /// # Errors
    /// [`Error::Encode`] if the value cannot be encoded.
    pub fn answer(&self, value: impl Serialize) -> Result<(), Error> {
        let Some(id) = self.ack else { return Ok(()) };
        let parser = self.connection.parser;
        let encoded =
            sio::encode_ack(parser, ROOM, &self.namespace, id, &value).map_err(EncodeError::from)?;
        self.connection.send(encoded);
        Ok(())
    }
}
