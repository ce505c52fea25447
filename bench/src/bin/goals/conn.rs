//! One client: a WebSocket in its namespace, on a socket that never waits.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Socket, Type};
use trunkline_bench::tls;
use trunkline_proto::ws::{self, Decoder, Event, OpCode, Role};

use crate::Failure;
use crate::server::Server;

/// How a client enters.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    headers: String,
    deflate: bool,
    /// The Socket.IO packet CONNECT.
    connect: &'static str,
}

impl Door {
    /// The namespace `/` of `server`: everybody is in its room.
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            address: server.address,
            tls: server.tls.clone(),
            headers: String::new(),
            deflate: false,
            connect: "40",
        }
    }

    /// The namespace `/rooms` instead, where nobody is in a room yet.
    pub(crate) fn rooms(self) -> Self {
        Self { connect: "40/rooms,", ..self }
    }

    /// With more headers in the request: whole lines.
    pub(crate) fn headers(self, headers: String) -> Self {
        Self { headers, ..self }
    }

    /// With permessage-deflate, which the server has to agree to.
    pub(crate) fn deflate(self) -> Self {
        Self { deflate: true, ..self }
    }

    fn request(&self) -> String {
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {}{}\r\n",
            self.address,
            if self.deflate { offer } else { "" },
            self.headers
        )
    }
}

/// One client.
pub(crate) struct Conn {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    decoder: Decoder,
    /// Not sent yet.
    out: Vec<u8>,
    state: State,
    deflate: bool,
    connect: &'static str,
    /// Bytes that have come, as the network carried them.
    pub(crate) received: u64,
}

enum State {
    /// With what has come of the answer's head.
    Head(Vec<u8>),
    Entering,
    Entered,
}

/// Any key does; zero would be a mask that changes nothing.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

impl Conn {
    /// Connects and sends the request. `number` of clients are there already.
    pub(crate) fn open(door: &Door, number: usize) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // One address has ports for 14,000; the kernel looks long for the others.
        let source = Ipv4Addr::new(127, 0, 0, 2 + (number % 32) as u8);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&door.address.into())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let tls = match &door.tls {
            Some(config) => Some(Box::new(ClientConnection::new(Arc::clone(config), tls::NAME.try_into()?)?)),
            None => None,
        };
        let mut conn = Self {
            stream: TcpStream::from_std(socket.into()),
            tls,
            decoder: Decoder::new(Role::Client, ws::Limits::default(), door.deflate),
            out: door.request().into_bytes(),
            state: State::Head(Vec::new()),
            deflate: door.deflate,
            connect: door.connect,
            received: 0,
        };
        conn.flush()?;
        Ok(conn)
    }

    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(crate) fn has_entered(&self) -> bool {
        matches!(self.state, State::Entered)
    }

    /// Sends a Socket.IO packet.
    pub(crate) fn send(&mut self, packet: &str) -> Result<(), Failure> {
        ws::encode_prefixed(&mut self.out, OpCode::Text, b"4", packet.as_bytes(), Some(MASK));
        self.flush()
    }

    /// Sends as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let Some(tls) = &mut self.tls else {
            while !self.out.is_empty() {
                match self.stream.write(&self.out) {
                    Ok(n) => drop(self.out.drain(..n)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(());
        };
        tls.writer().write_all(&self.out)?;
        self.out.clear();
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there, by way of `buffer`; `hear` is given each Socket.IO packet after CONNECT's answer.
    pub(crate) fn read(&mut self, buffer: &mut [u8], hear: &mut impl FnMut(&str)) -> Result<(), Failure> {
        loop {
            let (n, most) = match &mut self.tls {
                None => (self.stream.read(buffer), buffer.len()),
                Some(tls) => (tls.read_tls(&mut self.stream), TLS_READ),
            };
            let n = match n {
                Ok(0) => return Err("the server ended the connection".into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.received += n as u64;
            match &mut self.tls {
                None => self.feed(&mut buffer[..n], hear)?,
                Some(tls) => {
                    tls.process_new_packets()?;
                    self.read_plain(buffer, hear)?;
                    self.flush()?;
                }
            }
            // A short read has emptied the socket: what comes later is told of anew.
            if n < most {
                return Ok(());
            }
        }
    }

    fn read_plain(&mut self, buffer: &mut [u8], hear: &mut impl FnMut(&str)) -> Result<(), Failure> {
        while let Some(tls) = &mut self.tls {
            match tls.reader().read(buffer) {
                Ok(0) => break,
                Ok(n) => self.feed(&mut buffer[..n], hear)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn feed(&mut self, mut input: &mut [u8], hear: &mut impl FnMut(&str)) -> Result<(), Failure> {
        if let State::Head(head) = &mut self.state {
            let before = head.len();
            head.extend_from_slice(input);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(()) };
            let text = String::from_utf8_lossy(&head[..end]).to_lowercase();
            if !text.starts_with("http/1.1 101") || self.deflate != text.contains("permessage-deflate") {
                return Err(format!("not the answer that was asked for: {text}").into());
            }
            self.state = State::Entering;
            input = &mut input[end + 4 - before..];
        }
        while !input.is_empty() {
            let (used, event) = self.decoder.decode(input).map_err(|violation| format!("{violation:?}"))?;
            match event {
                Some(Event::Text(text)) => match text.split_at_checked(1) {
                    Some(("0", _)) => {
                        let connect = self.connect.as_bytes();
                        ws::encode_frame(&mut self.out, OpCode::Text, false, connect, Some(MASK));
                    }
                    Some(("2", _)) => {
                        ws::encode_frame(&mut self.out, OpCode::Text, false, b"3", Some(MASK));
                    }
                    Some(("4", packet)) => match (&self.state, packet.as_bytes().first()) {
                        (State::Entered, _) => hear(packet),
                        (_, Some(b'0')) => self.state = State::Entered,
                        _ => return Err(format!("not let in: {packet}").into()),
                    },
                    _ => return Err(format!("not expected: {text}").into()),
                },
                Some(event) => return Err(format!("not expected: {event:?}").into()),
                None => break,
            }
            input = &mut std::mem::take(&mut input)[used..];
        }
        if self.out.is_empty() { Ok(()) } else { self.flush() }
    }
}

/// What rustls reads at a time, at least.
const TLS_READ: usize = 4096;
