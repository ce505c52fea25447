//! A server made of bytes: what it reads are request heads, what it writes is up to the test.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use trunkline_proto::ws::{OpCode, accept_key, encode_frame};
use trunkline_testkit::within;

/// A server that ends with this handle.
pub(super) struct RawServer {
    pub(super) address: SocketAddr,
    heads: UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

/// What follows a request's head.
pub(super) enum Reply {
    /// These bytes, then the next request of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then the connection stays open and silent.
    Hold(Vec<u8>),
    /// These bytes, then the end of the connection.
    Close(Vec<u8>),
}

impl RawServer {
    /// Answers each request with what `reply` makes of its head.
    pub(super) async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let (sender, heads) = unbounded_channel();
        let reply = Arc::new(reply);
        let task = tokio::spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (reply, sender) = (Arc::clone(&reply), sender.clone());
                connections.spawn(async move {
                    while let Some(head) = read_request(&mut stream).await {
                        let reply = reply(&head);
                        drop(sender.send(head));
                        let (Reply::Bytes(bytes) | Reply::Hold(bytes) | Reply::Close(bytes)) = &reply;
                        if stream.write_all(bytes).await.is_err() {
                            return;
                        }
                        match reply {
                            Reply::Bytes(_) => {}
                            Reply::Close(_) => return,
                            Reply::Hold(_) => {
                                let mut rest = Vec::new();
                                drop(stream.read_to_end(&mut rest).await);
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { address, heads, task }
    }

    /// The head of the next request.
    pub(super) async fn head(&mut self) -> String {
        within("a request", self.heads.recv()).await.expect("the server lives")
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request's head; its body is read off. `None` at the end of the connection.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let len = header(&head, "content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}

/// The value of a header of a request's head.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// An answer with a body; `headers` are whole lines.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

/// The 101 that belongs to a request, with what follows it.
pub(super) fn switch(head: &str, headers: &str, frames: &[u8]) -> Vec<u8> {
    let accept = accept_key(header(head, "sec-websocket-key").unwrap_or_default());
    let start = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
    let mut bytes = format!("{start}\r\nSec-WebSocket-Accept: {accept}\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(frames);
    bytes
}

/// One unmasked text frame.
pub(super) fn text(packet: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_frame(&mut frame, OpCode::Text, false, packet.as_bytes(), None);
    frame
}

/// An `open` packet with a heartbeat of `interval` and `timeout` milliseconds.
pub(super) fn open(upgrades: &str, interval: u64, timeout: u64) -> String {
    format!(
        r#"0{{"sid":"s1","upgrades":[{upgrades}],"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":1000000}}"#
    )
}
