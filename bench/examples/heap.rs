//! `heap [COUNT]`: bytes on the heap that an idle connection costs the server, by an allocator that counts.
//!
//! Clients are plain sockets of this process, which hold nothing on the heap; each has entered the namespace and is in a room.
//! With `DHAT=1` a file `dhat-heap.json` tells where the bytes were allocated.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use trunkline::{Io, Socket};
use trunkline_proto::ws::{self, OpCode};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2000);
    let is_traced = std::env::var_os("DHAT").is_some();
    let builder = dhat::Profiler::builder();
    let profiler = if is_traced { builder.build() } else { builder.testing().build() };
    let io = Io::builder().shards(1).build();
    io.of("/").on_connect(async |socket: Socket| socket.join("room"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("is bound");
    let service = io.service();
    std::thread::spawn(move || trunkline::serve(listener, service).threads(1).run());
    // What is there once, and tables that double: so the difference of two counts is measured.
    let mut clients = Vec::with_capacity(2 * count);
    clients.extend((0..count).map(|_| connect(address)));
    let half = bytes();
    clients.extend((0..count).map(|_| connect(address)));
    let all = bytes();
    println!("{} bytes per connection, {count} after {count}", (all - half) / count);
    if is_traced {
        drop(profiler);
    }
    std::process::exit(0);
}

fn bytes() -> usize {
    // Tasks that have ended are freed a moment later.
    std::thread::sleep(std::time::Duration::from_millis(500));
    dhat::HeapStats::get().curr_bytes
}

/// A client that has entered the namespace `/`.
fn connect(address: SocketAddr) -> TcpStream {
    const REQUEST: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.write_all(REQUEST.as_bytes()).expect("writes");
    let mut seen = [0; 2048];
    let mut len = 0;
    let mut until = |stream: &mut TcpStream, text: &[u8]| {
        while !seen[..len].windows(text.len()).any(|window| window == text) {
            let n = stream.read(&mut seen[len..]).expect("reads");
            assert!(n > 0, "closed");
            len += n;
        }
    };
    until(&mut stream, b"maxPayload");
    let mut frame = Vec::new();
    ws::encode_frame(&mut frame, OpCode::Text, false, b"40", Some([1, 2, 3, 4]));
    stream.write_all(&frame).expect("writes");
    until(&mut stream, b"40{\"sid\"");
    stream
}
