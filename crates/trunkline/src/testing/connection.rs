//! The connection below the clients of this module: two tasks that read and write an in-memory stream.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use trunkline_proto::eio::Version;
use trunkline_proto::sio::{self, Encoded, Kind, OwnedArgs, Parser};
use trunkline_proto::ws::{self, OpCode};

use super::{Client, Connect, End, Error, Event};
use crate::error::EncodeError;
use crate::handshake::Handshake;
use crate::io::Io;
use crate::socket::SocketId;
use crate::transport::websocket::{WsConn, WsStream};
use crate::wire::Wire;

/// What all namespaces of one connection share.
pub(super) struct Connection {
    pub(super) parser: Parser,
    pub(super) deadline: Duration,
    pub(super) next_ack: AtomicU64,
    pub(super) places: Mutex<HashMap<String, Place>>,
    /// Frames for the writing task; `None` ends it.
    out: mpsc::UnboundedSender<Option<Vec<u8>>>,
    pub(super) hold: watch::Sender<bool>,
}

/// A namespace from the connection's side.
pub(super) struct Place {
    entering: Option<oneshot::Sender<Result<Connected, Error>>>,
    events: mpsc::UnboundedSender<Item>,
    pub(super) acks: HashMap<u64, oneshot::Sender<OwnedArgs>>,
}

/// What CONNECT says.
#[derive(Debug, Deserialize)]
struct Connected {
    sid: String,
    pid: Option<String>,
}

#[derive(Debug)]
pub(super) enum Item {
    Event(Event),
    End(End),
}

/// Any key masks.
pub(super) const KEY: [u8; 4] = [0x51, 0x0c, 0x9e, 0x27];
/// Room in front of an encoded packet: the Engine.IO type.
pub(super) const ROOM: usize = 1;

impl Connection {
    pub(super) fn open(io: &Io, connect: &Connect) -> Arc<Self> {
        let (ours, theirs) = tokio::io::duplex(connect.buffer);
        let handshake = Handshake::new(&connect.url, &connect.headers, None, false);
        let limits = io.engine().config.ws_limits();
        let decoder = ws::Decoder::new(ws::Role::Server, limits, false);
        let stream = WsStream::Other(Box::new(Arc::new(Mutex::new(theirs))));
        let conn = WsConn { stream, decoder, wire: Wire::Ws4 };
        io.engine().open_websocket(Version::V4, false, handshake, conn, Vec::new(), Vec::new());
        let (out, frames) = mpsc::unbounded_channel();
        let (hold, held) = watch::channel(false);
        let connection = Arc::new(Self {
            parser: io.parser(),
            deadline: connect.deadline,
            next_ack: AtomicU64::new(0),
            places: Mutex::default(),
            out,
            hold,
        });
        let (reading, writing) = tokio::io::split(ours);
        tokio::spawn(write_all(writing, frames));
        // Not the connection itself: it ends when its last client is dropped.
        tokio::spawn(read_all(reading, Arc::downgrade(&connection), connection.parser, held));
        connection
    }

    pub(super) async fn enter(
        self: &Arc<Self>,
        namespace: &str,
        auth: Option<&serde_json::Value>,
    ) -> Result<Client, Error> {
        let connect =
            sio::encode_client_connect(self.parser, ROOM, namespace, auth).map_err(EncodeError::from)?;
        let (events, receiver) = mpsc::unbounded_channel();
        let (sender, entered) = oneshot::channel();
        let place = Place { entering: Some(sender), events, acks: HashMap::new() };
        self.places.lock().insert(namespace.to_owned(), place);
        self.send(connect);
        let Connected { sid, pid } = self.within(entered).await?.map_err(|_| Error::Closed)??;
        Ok(Client {
            connection: Arc::clone(self),
            namespace: namespace.to_owned(),
            id: SocketId::from(sid.as_str()),
            private_id: pid,
            events: receiver,
            passed: VecDeque::new(),
            end: None,
        })
    }

    pub(super) async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, Error> {
        tokio::time::timeout(self.deadline, future).await.map_err(|_| Error::Timeout)
    }

    pub(super) fn with_place<R>(&self, namespace: &str, f: impl FnOnce(&mut Place) -> R) -> Option<R> {
        self.places.lock().get_mut(namespace).map(f)
    }

    pub(super) fn event(
        &self,
        namespace: &str,
        id: Option<u64>,
        name: &str,
        args: &impl Serialize,
    ) -> Result<(), Error> {
        let encoded =
            sio::encode_event(self.parser, ROOM, namespace, id, name, args).map_err(EncodeError::from)?;
        if !self.places.lock().contains_key(namespace) {
            return Err(Error::Closed);
        }
        self.send(encoded);
        Ok(())
    }

    pub(super) fn send(&self, encoded: Encoded) {
        let Encoded { mut head, head_offset, attachments, binary } = encoded;
        if binary {
            self.frame(OpCode::Binary, head.get(head_offset..).unwrap_or_default());
        } else if let Some(kind) = head.get_mut(head_offset - ROOM) {
            *kind = b'4';
            self.frame(OpCode::Text, &head[head_offset - ROOM..]);
        }
        attachments.iter().for_each(|data| self.frame(OpCode::Binary, data));
    }

    pub(super) fn frame(&self, opcode: OpCode, payload: &[u8]) {
        let mut frame = Vec::new();
        ws::encode_frame(&mut frame, opcode, false, payload, Some(KEY));
        self.write(frame);
    }

    pub(super) fn write(&self, frame: Vec<u8>) {
        // The connection may have ended.
        drop(self.out.send(Some(frame)));
    }

    pub(super) fn end(&self) {
        drop(self.out.send(None));
    }

    /// A message of the server; false at what a server must not send.
    fn on_packet(self: &Arc<Self>, packet: sio::Packet<'_>) -> bool {
        #[derive(Deserialize)]
        struct Refused {
            message: String,
            data: Option<serde_json::Value>,
        }
        let mut places = self.places.lock();
        let Some(place) = places.get_mut(packet.nsp) else { return true };
        match packet.kind {
            Kind::Connect { auth, .. } => {
                let Some(Ok(connected)) = auth.map(|auth| auth.deserialize()) else { return false };
                if let Some(entering) = place.entering.take() {
                    drop(entering.send(Ok(connected)));
                }
            }
            Kind::ConnectError { data } => {
                let Some(Ok(Refused { message, data })) = data.map(|data| data.deserialize()) else {
                    return false;
                };
                if let Some(entering) = places.remove(packet.nsp).and_then(|mut place| place.entering.take())
                {
                    drop(entering.send(Err(Error::Refused { message, data })));
                }
            }
            Kind::Event { name, id, args } => {
                let event = Event {
                    name: name.into_owned(),
                    args: args.to_owned(),
                    ack: id,
                    namespace: packet.nsp.to_owned(),
                    connection: Arc::clone(self),
                };
                drop(place.events.send(Item::Event(event)));
            }
            Kind::Ack { id, args } => {
                if let Some(waiting) = place.acks.remove(&id) {
                    drop(waiting.send(args.to_owned()));
                }
            }
            Kind::Disconnect => {
                drop(place.events.send(Item::End(End::Namespace)));
                places.remove(packet.nsp);
            }
        }
        true
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// The writing half, to its end.
async fn write_all(
    mut stream: WriteHalf<DuplexStream>,
    mut frames: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
) {
    while let Some(Some(frame)) = frames.recv().await {
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
    drop(stream.shutdown().await);
}

/// The reading half, to its end.
async fn read_all(
    mut stream: ReadHalf<DuplexStream>,
    connection: std::sync::Weak<Connection>,
    parser: Parser,
    mut held: watch::Receiver<bool>,
) {
    let limits = ws::Limits { max_message: usize::MAX >> 1, ..ws::Limits::default() };
    let mut frames = ws::Decoder::new(ws::Role::Client, limits, false);
    let limits = sio::Limits { max_attachments: usize::MAX, max_bytes: usize::MAX, ..sio::Limits::default() };
    let mut packets = sio::Decoder::new(parser, limits);
    let mut buf = vec![0; 16 * 1024];
    // An error of the watch means that the connection was dropped: then it is read to its end.
    'read: loop {
        drop(held.wait_for(|hold| !hold).await);
        let Ok(read @ 1..) = stream.read(&mut buf).await else { break };
        // A hold counts for what has just been read, too.
        drop(held.wait_for(|hold| !hold).await);
        let mut bytes = &mut buf[..read];
        while !bytes.is_empty() {
            let Ok((used, event)) = frames.decode(bytes) else { break 'read };
            let Some(connection) = connection.upgrade() else { break };
            if !event.is_none_or(|event| on_frame(&connection, event, &mut packets)) {
                break 'read;
            }
            bytes = &mut std::mem::take(&mut bytes)[used..];
        }
    }
    if let Some(connection) = connection.upgrade() {
        connection.end();
        for (_, place) in std::mem::take(&mut *connection.places.lock()) {
            drop(place.events.send(Item::End(End::Connection)));
        }
    }
}

/// One WebSocket message from the server; false if it was the last.
fn on_frame(connection: &Arc<Connection>, event: ws::Event<'_>, packets: &mut sio::Decoder) -> bool {
    let packet = match event {
        ws::Event::Text(text) => match text.split_at_checked(1) {
            Some(("2", data)) => {
                connection.frame(OpCode::Text, format!("3{data}").as_bytes());
                return true;
            }
            Some(("4", message)) => packets.decode_text(message),
            _ => return true,
        },
        ws::Event::Binary(data) => packets.decode_binary(data.into()),
        ws::Event::Close(_) => return false,
        ws::Event::Ping(_) | ws::Event::Pong(_) => return true,
    };
    match packet {
        Ok(Some(packet)) => connection.on_packet(packet),
        Ok(None) => true,
        Err(_) => false,
    }
}
