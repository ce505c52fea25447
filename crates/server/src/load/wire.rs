//! One connection, as light as it can be: a WebSocket by the protocol crate's halves, without queue, task and reconnection.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use trunkline_proto::eio::Open;
use trunkline_proto::sio::{self, Decoder, Kind, Packet, Parser, encode_client_connect};
use trunkline_proto::ws::{
    self, ClientHandshake, Event, OpCode, Role, encode_close, encode_frame, encode_prefixed,
};

use super::lost::Lost;
use crate::Failure;
use crate::console;
use crate::verify::{Dice, chance};

/// Where connections go, worked out once.
#[derive(Clone)]
pub(crate) struct Address {
    authority: String,
    host: String,
    tls: Option<TlsConnector>,
    /// The request's first line and headers, up to those of the handshake.
    head: String,
    pub(crate) namespace: Arc<str>,
    connect: Arc<[u8]>,
}

impl Address {
    /// # Errors
    /// What of the options cannot be used.
    pub(crate) fn new(options: &console::Options) -> Result<Self, Failure> {
        // The client library checks addresses, headers and the rest.
        drop(console::builder(options)?);
        let authority = options.target.authority();
        let host = authority.rsplit_once(':').map_or(&*authority, |(host, _)| host).to_owned();
        let tls = if options.target.is_secure() {
            let config: Arc<ClientConfig> = console::tls(options)?;
            Some(TlsConnector::from(config))
        } else {
            None
        };
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut query = options.target.query().map(|query| format!("{query}&")).unwrap_or_default();
        for (name, value) in &options.query {
            // Writing to a `String` does not fail, here and below.
            let _ = write!(query, "{}={}&", encode(name), encode(value));
        }
        let path = options.path.as_deref().unwrap_or("/socket.io/").trim_matches('/');
        let mut head =
            format!("GET /{path}/?{query}EIO=4&transport=websocket HTTP/1.1\r\nhost: {authority}\r\n");
        for (name, value) in &options.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !options.cookies.is_empty() {
            let _ = write!(head, "cookie: {}\r\n", options.cookies.join("; "));
        }
        let namespace = Arc::<str>::from(&*options.target.namespace);
        let connect = encode_client_connect(Parser::Json, 0, &namespace, options.auth.as_ref())
            .map_err(|error| Failure::config(error.to_string()))?;
        Ok(Self { authority, host, tls, head, namespace, connect: connect.packet().into() })
    }

    async fn dial(&self) -> Result<Box<dyn Bytes>, Lost> {
        let tcp = TcpStream::connect(&self.authority).await?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = self.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }
}

/// A stream of bytes, whatever it is made of.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// One connection in its namespace.
pub(crate) struct Wire {
    stream: Box<dyn Bytes>,
    frames: ws::Decoder,
    packets: Decoder,
    out: Vec<u8>,
    masks: Dice,
    namespace: Arc<str>,
}

impl Wire {
    /// Connects and enters the namespace.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn open(address: &Address) -> Result<Self, Lost> {
        let mut masks = Dice::new(chance());
        let stream = address.dial().await?;
        let limits = ws::Limits { max_message: MAX_MESSAGE, ..ws::Limits::default() };
        let mut wire = Self {
            stream,
            frames: ws::Decoder::new(Role::Client, limits, false),
            packets: Decoder::new(Parser::Json, sio::Limits::default()),
            out: Vec::new(),
            masks: masks.split(),
            namespace: Arc::clone(&address.namespace),
        };
        let mut early = wire.handshake(address, &mut masks).await?;
        let mut step = Ok(Entry::Opening);
        // The server speaks first; its first words may have come with its answer.
        wire.feed_entry(&mut early, address, &mut step)?;
        loop {
            wire.flush().await?;
            match step? {
                Entry::Entered => return Ok(wire),
                other => step = Ok(other),
            }
            let mut chunk = [0; 4096];
            let n = wire.stream.read(&mut chunk).await?;
            let input = chunk.get_mut(..n).filter(|input| !input.is_empty());
            wire.feed_entry(input.ok_or("the server ended the connection")?, address, &mut step)?;
        }
    }

    /// The upgrade; what came behind the answer.
    async fn handshake(&mut self, address: &Address, dice: &mut Dice) -> Result<Vec<u8>, Lost> {
        let nonce = [dice.word().to_ne_bytes(), dice.word().to_ne_bytes()].concat();
        let handshake = ClientHandshake::new(nonce.try_into().unwrap_or_default());
        let mut request = address.head.clone();
        for (name, value) in handshake.headers() {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        request.push_str("\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let mut answer = Vec::new();
        let end = loop {
            if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            let n = self.stream.read_buf(&mut answer).await?;
            if n == 0 || answer.len() > MAX_HEAD {
                return Err("the answer to the upgrade is no HTTP".into());
            }
        };
        let early = answer.split_off(end + 4);
        let text = String::from_utf8_lossy(&answer);
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        let headers =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.as_bytes()));
        handshake.check(status.unwrap_or(0), headers).map_err(|error| error.to_string())?;
        Ok(early)
    }

    fn feed_entry(
        &mut self,
        input: &mut [u8],
        address: &Address,
        step: &mut Result<Entry, Lost>,
    ) -> Result<(), Lost> {
        let mut masks = self.masks.split();
        let connect = Arc::clone(&address.connect);
        self.feed(input, &mut |heard, out| {
            *step = match heard {
                Heard::Opened(json) => {
                    Open::parse(json).map_err(|error| error.to_string().into()).map(|_| {
                        encode_prefixed(out, OpCode::Text, b"4", &connect, Some(masks.mask()));
                        Entry::Entering
                    })
                }
                Heard::Packet(packet) if *packet.nsp == *address.namespace => match packet.kind {
                    Kind::Connect { .. } => Ok(Entry::Entered),
                    Kind::ConnectError { data } => {
                        let why = data.and_then(|data| data.as_json().map(str::to_owned)).unwrap_or_default();
                        Err(Lost::Failed(format!("refused: {why}")))
                    }
                    _ => return,
                },
                Heard::Packet(_) => return,
            };
        })
    }

    /// Queues an event; it leaves with the next [`Wire::turn`] or [`Wire::flush`].
    pub(crate) fn push(&mut self, event: &[u8]) {
        let mask = self.masks.mask();
        encode_prefixed(&mut self.out, OpCode::Text, b"4", event, Some(mask));
    }

    /// Sends what is queued, reads once, and tells what came. May be dropped and called again.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) async fn turn(&mut self, mut hear: impl FnMut(Packet<'_>)) -> Result<(), Lost> {
        self.flush().await?;
        let mut hear = |heard: Heard<'_>, _: &mut Vec<u8>| {
            if let Heard::Packet(packet) = heard {
                hear(packet);
            }
        };
        poll_fn(|cx| self.poll_read(cx, &mut hear)).await?;
        self.flush().await
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) async fn flush(&mut self) -> Result<(), Lost> {
        while !self.out.is_empty() {
            let n = self.stream.write(&self.out).await?;
            if n == 0 {
                return Err("nothing more can be written".into());
            }
            self.out.drain(..n);
        }
        Ok(self.stream.flush().await?)
    }

    /// Ends the connection as browsers do, and waits for the server's end.
    pub(crate) async fn close(mut self) {
        let mask = self.masks.mask();
        encode_close(&mut self.out, 1000, "", Some(mask));
        // However it ends, it ends.
        drop(self.flush().await);
        while self.turn(|_| {}).await.is_ok() {}
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        hear: &mut impl FnMut(Heard<'_>, &mut Vec<u8>),
    ) -> Poll<Result<(), Lost>> {
        with_buffer(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err("the server ended the connection".into()));
            }
            Poll::Ready(self.feed(buffer.filled_mut(), hear))
        })
    }

    /// Decodes what was read, and answers pings.
    fn feed(
        &mut self,
        mut input: &mut [u8],
        hear: &mut impl FnMut(Heard<'_>, &mut Vec<u8>),
    ) -> Result<(), Lost> {
        while !input.is_empty() {
            let (consumed, event) =
                self.frames.decode(input).map_err(|violation| format!("{violation:?}"))?;
            match event {
                Some(Event::Text(text)) => match text.split_at_checked(1) {
                    Some(("0", json)) => hear(Heard::Opened(json), &mut self.out),
                    Some(("1", _)) => return Err("the server closed the session".into()),
                    Some(("2", _)) => {
                        encode_frame(&mut self.out, OpCode::Text, false, b"3", Some(self.masks.mask()));
                    }
                    Some(("4", text)) => {
                        let packet = self.packets.decode_text(text);
                        taken(packet, &self.namespace, |packet| hear(packet, &mut self.out))?;
                    }
                    _ => {}
                },
                Some(Event::Ping(data)) => {
                    encode_frame(&mut self.out, OpCode::Pong, false, data, Some(self.masks.mask()));
                }
                Some(Event::Close(code)) => {
                    return Err(format!("the server closed the connection: {code:?}").into());
                }
                // Attachments: without them the next text would be taken for a mistake of the server's.
                Some(Event::Binary(data)) => {
                    let packet = self.packets.decode_binary(Cow::Borrowed(data));
                    taken(packet, &self.namespace, |packet| hear(packet, &mut self.out))?;
                }
                Some(Event::Pong(_)) => {}
                None => break,
            }
            input = input.get_mut(consumed..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Tells of a packet, once it is whole; the end of our namespace is that of the connection.
fn taken(
    packet: Result<Option<Packet<'_>>, sio::Violation>,
    namespace: &str,
    hear: impl FnOnce(Heard<'_>),
) -> Result<(), Lost> {
    match packet {
        Ok(Some(Packet { nsp, kind: Kind::Disconnect })) if nsp == namespace => {
            return Err(Lost::Disconnected);
        }
        Ok(Some(packet)) => hear(Heard::Packet(packet)),
        Ok(None) => {}
        Err(violation) => return Err(format!("{violation:?}").into()),
    }
    Ok(())
}

/// What a connection hears.
enum Heard<'a> {
    /// The data of the OPEN packet.
    Opened(&'a str),
    Packet(Packet<'a>),
}

/// How far a connection is on its way into the namespace.
#[derive(Clone, Copy)]
enum Entry {
    Opening,
    Entering,
    Entered,
}

/// Lends the thread's read buffer, so that idle connections hold none.
fn with_buffer<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static LENT: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    }
    let mut buffer = LENT.take().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
    let result = f(&mut buffer);
    LENT.set(Some(buffer));
    result
}

/// Bytes read at a time.
const BUFFER: usize = 64 * 1024;
/// The longest message taken.
const MAX_MESSAGE: usize = 16 << 20;
/// The longest answer to the upgrade, in bytes.
const MAX_HEAD: usize = 64 * 1024;
