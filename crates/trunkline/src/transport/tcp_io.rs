//! A TCP stream as hyper's HTTP server wants it, with one `recv` per request.
//!
//! hyper reads once more after each request, to learn of the next one or of the connection's end. Clearing the readiness after a
//! short read tells it so without asking the kernel (design 7). The head that answers a WebSocket handshake can be held back, to
//! leave together with the session's first packet.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::websocket::{recv, with_buffer};

/// A response extension: who takes the connection over sends its head. Only [`crate::serve`] knows it; other servers send the
/// head by themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HoldHead;

/// What our own HTTP server runs plain connections on.
pub(crate) struct TcpIo {
    pub(crate) stream: TcpStream,
    /// Set when the next write is a head to be held.
    holds: Arc<AtomicBool>,
    /// A head that was not sent yet.
    pub(crate) held: Vec<u8>,
}

impl TcpIo {
    /// With the switch that has the next write held.
    pub(crate) fn new(stream: TcpStream) -> (Self, Arc<AtomicBool>) {
        let holds = Arc::new(AtomicBool::new(false));
        (Self { stream, holds: Arc::clone(&holds), held: Vec::new() }, holds)
    }

    fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || SockRef::from(&self.stream).send(buf)) {
                Err(error) if is_retried(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Sends what is held: nobody took the connection over, after all.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let n = ready!(self.poll_send(cx, &self.held))?;
            self.held.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for TcpIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let result = with_buffer(|lent| {
                let len = lent.len().min(buf.remaining());
                let n = recv(&self.stream, &mut lent[..len])?;
                buf.put_slice(&lent[..n]);
                Ok(())
            });
            match result {
                Err(error) if is_retried(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl Write for TcpIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_release(cx))?;
        if self.holds.swap(false, Ordering::Relaxed) {
            self.held = buf.to_vec();
            return Poll::Ready(Ok(buf.len()));
        }
        self.poll_send(cx, buf)
    }

    /// Answers are short: gathered into one buffer they cost the kernel less than a vectored send (measured: 7 % of a
    /// polling request).
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Poll::Ready(SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write))
    }
}

fn is_retried(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
