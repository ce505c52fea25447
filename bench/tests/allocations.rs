//! How many allocations a message costs the server, by an allocator that counts.
//!
//! The clients are blocking sockets with buffers on the stack: while they are served, only the server allocates. There is one test in
//! this file, since allocations are counted for the whole process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use trunkline::{Data, Io, Reply, Socket};
use trunkline_proto::ws::{self, OpCode};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Of an event with a text: the text, the handler's future, and a packet and its bytes for the answer.
const EVENT: u64 = 4;
/// Of a POST with such an event and the GET that brings the answer. Beyond the event's: what hyper needs for two requests, the heads of two
/// answers, the POST's body and its way to the session and back, and the GET's wait.
const POLLING: u64 = 22;

const ROUNDS: u64 = 200;
const TEXT: &str = "the quick brown fox jumps over the lazy dog";

#[test]
fn a_message_costs_few_allocations() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let io = Io::builder().shards(1).build();
    io.of("/")
        .on("echo", async |socket: Socket, Data(text): Data<String>| socket.emit("echo", &text))
        .on("ack", async |Data(text): Data<String>| Reply(text));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("is bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serve = trunkline::serve(listener, io.service()).threads(1);
    let serving = std::thread::spawn(move || serve.with_shutdown(async move { drop(stopped.await) }).run());

    let mut client = Client::websocket(address);
    let echo = client.per_round(&[(0, frame(&format!("42[\"echo\",\"{TEXT}\"]")))]);
    let ack = client.per_round(&[(0, frame(&format!("421[\"ack\",\"{TEXT}\"]")))]);
    let mut client = Client::polling(address);
    let post = request("POST", &client.sid, &format!("42[\"echo\",\"{TEXT}\"]"));
    let get = request("GET", &client.sid, "");
    let polling = client.per_round(&[(0, post), (1, get)]);
    println!("echo {echo:.2}, ack {ack:.2}, polling {polling:.2}");
    drop(stop);
    serving.join().expect("ends").expect("serves");
    for (what, count, bound) in [("echo", echo, EVENT), ("ack", ack, EVENT), ("polling", polling, POLLING)] {
        // Queues grow now and then.
        assert!(count < bound as f64 + 0.5, "{what}: {count} allocations, not {bound}");
    }
}

/// A client of one or two connections.
struct Client {
    streams: Vec<TcpStream>,
    sid: String,
}

impl Client {
    fn websocket(address: SocketAddr) -> Self {
        let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut client = Self { streams: vec![stream(address)], sid: String::new() };
        client.exchange(0, upgrade.as_bytes(), b"maxPayload\":1000000}");
        client.exchange(0, &frame("40"), b"}");
        client
    }

    fn polling(address: SocketAddr) -> Self {
        let mut client = Self { streams: vec![stream(address), stream(address)], sid: String::new() };
        let opened = client.exchange(0, &request("GET", "", ""), b"maxPayload\":1000000}");
        client.sid = opened.split("\"sid\":\"").nth(1).expect("a session").chars().take(20).collect();
        client.exchange(0, &request("POST", &client.sid.clone(), "40"), b"ok");
        client.exchange(1, &request("GET", &client.sid.clone(), ""), b"}");
        client
    }

    /// Sends on one of the connections and reads an answer up to its `end`.
    fn exchange(&mut self, connection: usize, bytes: &[u8], end: &[u8]) -> String {
        let mut seen = [0; 2048];
        let len = exchange(&mut self.streams[connection], bytes, end, &mut seen);
        String::from_utf8_lossy(&seen[..len]).into_owned()
    }

    /// Allocations of a round of exchanges; all answers end with a text, but that of a POST.
    fn per_round(&mut self, exchanges: &[(usize, Vec<u8>)]) -> f64 {
        let mut seen = [0; 2048];
        let mut rounds = |count| {
            for _ in 0..count {
                for (connection, bytes) in exchanges {
                    let end: &[u8] = if bytes.starts_with(b"POST") { b"ok" } else { b"\"]" };
                    exchange(&mut self.streams[*connection], bytes, end, &mut seen);
                }
            }
        };
        // What grows with the first messages and then stays.
        rounds(20);
        let before = dhat::HeapStats::get().total_blocks;
        rounds(ROUNDS);
        (dhat::HeapStats::get().total_blocks - before) as f64 / ROUNDS as f64
    }
}

fn stream(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("takes a deadline");
    stream
}

fn exchange(stream: &mut TcpStream, bytes: &[u8], end: &[u8], seen: &mut [u8]) -> usize {
    stream.write_all(bytes).expect("writes");
    let mut len = 0;
    while !seen[..len].ends_with(end) {
        let n = stream.read(&mut seen[len..]).expect("is answered");
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&seen[..len]));
        len += n;
    }
    len
}

fn frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    ws::encode_frame(&mut frame, OpCode::Text, false, text.as_bytes(), Some([1, 2, 3, 4]));
    frame
}

fn request(method: &str, sid: &str, body: &str) -> Vec<u8> {
    let sid = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    let len = body.len();
    let head = format!(
        "{method} /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}"
    );
    format!("{head}\r\n\r\n{body}").into_bytes()
}
