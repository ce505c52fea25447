//! What the tests speak: one plain HTTP request, and Socket.IO written out over a WebSocket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use tungstenite::{Message, WebSocket};

use crate::program::DEADLINE;

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("it is connected");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer in time");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status line");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A Socket.IO client in one namespace.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    namespace: &'static str,
    pub(crate) id: String,
    next: u64,
}

impl Client {
    /// Connects with Engine.IO 4 and enters `/`.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::enter(address, "")
    }

    /// Enters a namespace, written as in a packet: `/chat,`.
    pub(crate) fn enter(address: SocketAddr, namespace: &'static str) -> Self {
        Self::request(address, namespace, "").0
    }

    /// Enters `/` with what CONNECT sends as auth, where clients are recovered; and the private id.
    pub(crate) fn enter_with(address: SocketAddr, auth: &Value) -> (Self, String) {
        let (client, data) = Self::request(address, "", &auth.to_string());
        (client, data["pid"].as_str().expect("a private id").to_owned())
    }

    fn request(address: SocketAddr, namespace: &'static str, auth: &str) -> (Self, Value) {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = tungstenite::client(url, connect(address)).expect("the upgrade is accepted");
        let mut client = Self { socket, namespace, id: String::new(), next: 0 };
        assert!(client.receive().is_some_and(|text| text.starts_with("0{")), "the handshake comes first");
        client.send(format!("40{namespace}{auth}"));
        let connected = client.receive().expect("an answer");
        let data = connected.strip_prefix(&format!("40{namespace}")).expect("the namespace is entered");
        let data: Value = serde_json::from_str(data).expect("JSON");
        client.id = data["sid"].as_str().expect("an id").to_owned();
        (client, data)
    }

    /// Emits an event and waits for its acknowledgement's first argument.
    pub(crate) fn ask(&mut self, event: &Value) -> Value {
        let (namespace, id) = (self.namespace, self.next);
        self.next += 1;
        self.send(format!("42{namespace}{id}{event}"));
        let answer = self.receive().expect("an acknowledgement");
        let args = answer.strip_prefix(&format!("43{namespace}{id}"));
        let args = args.unwrap_or_else(|| panic!("{answer:?} is no acknowledgement of {event}"));
        serde_json::from_str::<Value>(args).expect("JSON")[0].take()
    }

    /// Emits an event that asks for an acknowledgement, which is not waited for.
    pub(crate) fn tell(&mut self, event: &Value) {
        let (namespace, id) = (self.namespace, self.next);
        self.next += 1;
        self.send(format!("42{namespace}{id}{event}"));
    }

    /// All that comes before the connection is over, in order or not.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.socket.read().ok())
            .filter_map(|message| message.into_text().ok())
            .map(|t| t.to_string())
            .collect()
    }

    /// The next event with its arguments.
    pub(crate) fn event(&mut self) -> Value {
        let text = self.receive().expect("an event");
        let args = text.strip_prefix(&format!("42{}", self.namespace));
        serde_json::from_str(args.unwrap_or_else(|| panic!("{text:?} is no event"))).expect("JSON")
    }

    /// The next text; `None` at the end. Heartbeats are answered.
    pub(crate) fn receive(&mut self) -> Option<String> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) if text.as_str() == "2" => self.send("3".into()),
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => return None,
                Err(error) => panic!("no packet: {error}"),
            }
        }
    }

    /// Sends a packet as it stands.
    pub(crate) fn send(&mut self, text: String) {
        self.socket.send(Message::text(text)).expect("it is connected");
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    stream
}
