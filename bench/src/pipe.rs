//! Clients without a network: their connections are pipes in memory, and come through hyper and the service as in any server.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline::Io;
use trunkline_proto::ws::{self, OpCode};

const REQUEST: &[u8] =
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Both ends of a pipe: the server's by its traits, the client's by its functions. Holds no buffer while nothing is under way.
#[derive(Debug, Clone, Default)]
pub struct Pipe(Arc<Mutex<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    server: Option<Waker>,
}

impl Pipe {
    /// The client's end of a pipe to `io`, of a client that has entered the namespace `/`.
    pub async fn connect(io: &Io) -> Self {
        let pipe = Self::default();
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

    fn with<R>(&self, f: impl FnOnce(&mut Ends) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From the client to the server, which is woken.
    pub fn send(&self, bytes: &[u8]) {
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

    /// Lets the server run until it has sent something, and gives that.
    pub async fn answer(&self) -> Vec<u8> {
        loop {
            let answer = self.with(|ends| std::mem::take(&mut ends.to_client));
            if !answer.is_empty() {
                return answer;
            }
            tokio::task::yield_now().await;
        }
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
