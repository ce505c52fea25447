//! `sessions [COUNT]`: bytes on the heap that an idle session costs the server where there is no network.
//!
//! Sessions come through hyper and the service as in any server, but on pipes in memory, so that 100,000 fit into one process. Each
//! has entered the namespace and is in a room. All that the heap holds more than before is counted, tables that have doubled
//! included, and divided by COUNT. A pipe stands for the kernel's socket: its own bytes, measured before, are told apart. Fails above
//! `BOUND`. With `DHAT=1` a file `dhat-heap.json` tells where the bytes were allocated.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline::{Io, Socket};
use trunkline_proto::ws::{self, OpCode};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Bytes of a session at most, from 20,000 sessions on; with fewer, what is there once counts for more.
const BOUND: usize = 1200;
const REQUEST: &[u8] =
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let is_traced = std::env::var_os("DHAT").is_some();
    let builder = dhat::Profiler::builder();
    let profiler = if is_traced { builder.build() } else { builder.testing().build() };
    let pipe = pipe_size();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let io = Io::builder().shards(1).build();
    io.of("/").on_connect(async |socket: Socket| socket.join("room"));
    let mut clients = Vec::with_capacity(count);
    let before = bytes();
    runtime.block_on(async {
        for _ in 0..count {
            clients.push(connect(&io).await);
        }
        // Tasks that have ended are freed when the runtime gets to it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    });
    let each = (bytes() - before) / count - pipe;
    println!("{each} bytes per session, {count} of them; {pipe} bytes more of each pipe");
    drop(profiler);
    std::process::exit(i32::from(each > BOUND));
}

fn bytes() -> usize {
    dhat::HeapStats::get().curr_bytes
}

/// What one idle pipe holds on the heap.
fn pipe_size() -> usize {
    const PIPES: usize = 1000;
    let mut pipes = Vec::with_capacity(PIPES);
    let before = bytes();
    pipes.extend((0..PIPES).map(|_| Pipe::default()));
    (bytes() - before) / PIPES
}

/// A client that has entered the namespace `/`.
async fn connect(io: &Io) -> Pipe {
    let pipe = Pipe::default();
    let service = TowerToHyperService::new(io.service());
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(pipe.clone()), service)
        .with_upgrades();
    tokio::spawn(connection);
    pipe.send(REQUEST);
    pipe.until(b"maxPayload").await;
    let mut frame = Vec::new();
    ws::encode_frame(&mut frame, OpCode::Text, false, b"40", Some([1, 2, 3, 4]));
    pipe.send(&frame);
    pipe.until(b"40{\"sid\"").await;
    pipe
}

/// Both ends of a pipe: the server's by its traits, the client's by its functions. Holds no buffer while nothing is under way.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    server: Option<Waker>,
}

impl Pipe {
    fn with<R>(&self, f: impl FnOnce(&mut Ends) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn send(&self, bytes: &[u8]) {
        let server = self.with(|ends| {
            ends.to_server.extend_from_slice(bytes);
            ends.server.take()
        });
        if let Some(server) = server {
            server.wake();
        }
    }

    /// Lets the server run until it has sent `text`, and throws that away with all before it.
    async fn until(&self, text: &[u8]) {
        while !self.with(|ends| ends.to_client.windows(text.len()).any(|window| window == text)) {
            tokio::task::yield_now().await;
        }
        self.with(|ends| ends.to_client = Vec::new());
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|ends| {
            if ends.to_server.is_empty() {
                ends.server = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let n = buf.remaining().min(ends.to_server.len());
            buf.put_slice(&ends.to_server[..n]);
            ends.to_server = ends.to_server.split_off(n);
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|ends| ends.to_client.extend_from_slice(buf));
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
