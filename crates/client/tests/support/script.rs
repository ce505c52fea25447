//! A server that says what a test tells it to, right or wrong: one script per connection, over WebSocket.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use trunkline_testkit::DEADLINE;
use tungstenite::{Message, WebSocket};

/// What one connection is told. It ends with its script.
pub(crate) type Script = Box<dyn FnOnce(&mut Peer) + Send>;

/// The client's connection, as the server has it.
pub(crate) struct Peer(WebSocket<TcpStream>);

/// Runs its scripts in turn; dropped, it waits for the last.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    pub(crate) fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let mut scripts: VecDeque<Script> = scripts.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let thread = std::thread::spawn(move || {
            while let Some(script) = scripts.pop_front() {
                let (stream, _) = listener.accept().expect("a connection");
                stream.set_read_timeout(Some(DEADLINE)).expect("an open socket");
                script(&mut Peer(tungstenite::accept(stream).expect("a handshake")));
            }
        });
        Self { address, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the end of the last script, whose assertions count.
    pub(crate) fn finish(mut self) {
        self.thread.take().expect("runs").join().expect("the scripts hold");
    }
}

impl Peer {
    /// Opens the session.
    pub(crate) fn open(&mut self) {
        self.open_with(25_000, 20_000);
    }

    /// Opens the session; both in milliseconds.
    pub(crate) fn open_with(&mut self, interval: u32, timeout: u32) {
        self.send(&format!(
            r#"0{{"sid":"s","upgrades":[],"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":1000000}}"#
        ));
    }

    /// Opens the session and lets the client into `/`; gives its CONNECT.
    pub(crate) fn admit(&mut self, payload: &str) -> String {
        self.open();
        let connect = self.text();
        assert!(connect.starts_with("40"), "{connect}");
        self.send(&format!("40{payload}"));
        connect
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("the client reads");
    }

    pub(crate) fn send_binary(&mut self, data: &[u8]) {
        self.0.send(Message::binary(data.to_vec())).expect("the client reads");
    }

    /// Sends a frame as only clients may: masked (RFC 6455 section 5.1).
    pub(crate) fn send_masked(&mut self) {
        self.0.get_mut().write_all(b"\x81\x81\0\0\0\x003").expect("the client reads");
    }

    /// The client's next text message; its pongs are skipped.
    pub(crate) fn text(&mut self) -> String {
        loop {
            match self.0.read().expect("the client sends") {
                Message::Text(text) if text.as_str() == "3" => {}
                Message::Text(text) => return text.as_str().to_owned(),
                other => panic!("no text but {other:?}"),
            }
        }
    }

    pub(crate) fn binary(&mut self) -> Vec<u8> {
        match self.0.read().expect("the client sends") {
            Message::Binary(data) => data.to_vec(),
            other => panic!("no bytes but {other:?}"),
        }
    }

    /// Waits until the client has closed the connection, which sends nothing before that.
    pub(crate) fn closed_without_a_word(&mut self) {
        while let Ok(message) = self.0.read() {
            assert!(message.is_close(), "{message:?}");
        }
    }

    /// Waits until the client has closed the connection.
    pub(crate) fn closed(&mut self) {
        while self.0.read().is_ok() {}
    }
}
