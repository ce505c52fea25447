//! A WebSocket client that sends what it is told, rules or no rules.

use std::io;
use std::net::SocketAddr;

use trunkline_proto::ws::{Decoder, Event, Limits, MAX_HEADER, OpCode, Role, encode_close, encode_frame};

use crate::conn::Conn;
use crate::http::{Http, Request, Response};

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame, with its code.
    Close(Option<u16>),
    /// The end of the stream, in order or by a reset.
    End,
}

/// A WebSocket connection.
#[derive(Debug)]
pub struct Ws {
    conn: Conn,
    buf: Vec<u8>,
    decoder: Decoder,
    /// The answer to the handshake.
    pub response: Response,
}

impl Ws {
    /// Opens a WebSocket that must be admitted.
    pub async fn connect(address: SocketAddr, target: &str) -> Self {
        Self::request(Conn::open(address).await, &Request::upgrade(target)).await.expect("101")
    }

    /// Opens a WebSocket with a request of one's own. `Err`: it was refused.
    ///
    /// # Errors
    /// Any answer but 101, with its body.
    pub async fn request(conn: Conn, request: &Request) -> Result<Self, Response> {
        Self::request_with(conn, request, &[]).await
    }

    /// As [`Ws::request`], with the first frames sent in one write with the request, not waiting for its answer.
    ///
    /// # Errors
    /// Any answer but 101, with its body.
    pub async fn request_with(conn: Conn, request: &Request, early: &[u8]) -> Result<Self, Response> {
        let mut http = Http::over(conn);
        http.send_raw(&[&request.bytes(), early].concat()).await;
        let response = http.response().await;
        if response.status != 101 {
            return Err(response);
        }
        let deflate = response.header("sec-websocket-extensions").is_some();
        let (conn, buf) = http.into_parts();
        let limits = Limits { max_message: 64 << 20, ..Limits::default() };
        Ok(Self { conn, buf, decoder: Decoder::new(Role::Client, limits, deflate), response })
    }

    /// Sends a text message.
    pub async fn send(&mut self, text: &str) {
        self.send_frame(OpCode::Text, text.as_bytes()).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, data: &[u8]) {
        self.send_frame(OpCode::Binary, data).await;
    }

    /// Sends one whole frame.
    pub async fn send_frame(&mut self, opcode: OpCode, payload: &[u8]) {
        self.conn.write(&client_frame(opcode, payload)).await;
    }

    /// Sends a close frame.
    pub async fn send_close(&mut self, code: u16) {
        let mut out = Vec::with_capacity(MAX_HEADER);
        encode_close(&mut out, code, "", Some(KEY));
        self.conn.write(&out).await;
    }

    /// Sends bytes as they are, in pieces of `piece` bytes.
    pub async fn send_split(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece) {
            self.conn.write(piece).await;
        }
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.conn.write(bytes).await;
    }

    /// Sends what the kernel takes at once; see [`Conn::write_now`].
    ///
    /// # Errors
    /// If the server has closed or reset the connection.
    pub fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.conn.write_now(bytes)
    }

    /// As [`Ws::send_raw`], to a server that may close meanwhile.
    ///
    /// # Errors
    /// If it did.
    pub async fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.conn.try_write(bytes).await
    }

    /// What comes next.
    pub async fn recv(&mut self) -> Frame {
        loop {
            if !self.buf.is_empty() {
                let (used, event) = match self.decoder.decode(&mut self.buf) {
                    Ok((used, event)) => (used, event.map(Frame::from)),
                    Err(violation) => panic!("the server broke a rule: {violation}"),
                };
                self.buf.drain(..used);
                if let Some(frame) = event {
                    return frame;
                }
            }
            if !matches!(self.conn.read(&mut self.buf).await, Ok(1..)) {
                return Frame::End;
            }
        }
    }

    /// The next text message.
    ///
    /// # Panics
    /// If something else comes.
    pub async fn text(&mut self) -> String {
        match self.recv().await {
            Frame::Text(text) => text,
            other => panic!("no text but {other:?}"),
        }
    }

    /// Reads on to the end and gives the code of the close frame; `Some(None)` for one without a code, `None` if
    /// there was no close frame. Messages before it are dropped.
    pub async fn closed(&mut self) -> Option<Option<u16>> {
        let mut code = None;
        loop {
            match self.recv().await {
                Frame::Close(given) => code = Some(given),
                Frame::End => return code,
                _ => {}
            }
        }
    }

    /// Gives up the connection: see [`Conn::reset`].
    pub fn into_conn(self) -> Conn {
        self.conn
    }
}

/// The bytes of a client's frame, for scripts that split, join or repeat them.
pub fn client_frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_HEADER + payload.len());
    encode_frame(&mut out, opcode, false, payload, Some(KEY));
    out
}

/// Any key masks; a fixed one keeps scripts repeatable.
const KEY: [u8; 4] = [0x17, 0x2a, 0x3b, 0x4c];

impl From<Event<'_>> for Frame {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(data) => Self::Binary(data.to_owned()),
            Event::Ping(data) => Self::Ping(data.to_owned()),
            Event::Pong(data) => Self::Pong(data.to_owned()),
            Event::Close(reason) => Self::Close(reason.map(|(code, _)| code)),
        }
    }
}
