//! A TCP stream as hyper's HTTP server wants it, with one `recv` per request.
//!
//! hyper reads once more after each request, to learn of the next one or of the connection's end. Clearing the readiness after a
//! short read tells it so without asking the kernel (design 7).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::websocket::{recv, with_buffer};

/// What our own HTTP server runs plain connections on.
pub(crate) struct TcpIo(pub(crate) TcpStream);

impl Read for TcpIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            let result = with_buffer(|lent| {
                let len = lent.len().min(buf.remaining());
                let n = recv(&self.0, &mut lent[..len])?;
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
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || SockRef::from(&self.0).send(buf)) {
                Err(error) if is_retried(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Answers are short: gathered into one buffer they cost the kernel less than a vectored send (measured: 7 % of a
    /// polling request).
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0).shutdown(std::net::Shutdown::Write))
    }
}

fn is_retried(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
