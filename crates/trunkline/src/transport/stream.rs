//! Takes the TCP stream out of the HTTP server after a WebSocket handshake, so that the flusher can write it directly and the
//! HTTP server's buffers are freed.

use std::sync::Arc;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

#[cfg(feature = "tls")]
use super::corked::Corked;
use super::tcp_io::TcpIo;
use super::websocket::WsStream;

/// How an upgraded connection was opened. Counted, so that operators and tests (one per HTTP server) see whether the
/// flusher writes the sockets itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `trunkline::serve` over TCP.
    Own,
    /// hyper's http1 connection over TCP.
    Http1,
    /// hyper-util's auto builder over TCP (axum::serve).
    Auto,
    /// `trunkline::serve_tls`.
    Tls,
    /// Any other stream, boxed.
    Boxed,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [Self::Own, Self::Http1, Self::Auto, Self::Tls, Self::Boxed];

    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Http1 => "http1",
            Self::Auto => "auto",
            Self::Tls => "tls",
            Self::Boxed => "boxed",
        }
    }
}

/// A connection that was taken out of its HTTP server.
pub(crate) struct Opened {
    pub(crate) stream: WsStream,
    /// What the server had read beyond the handshake.
    pub(crate) early: Vec<u8>,
    /// The answer's head where it is still to be sent, in front of anything else.
    pub(crate) head: Vec<u8>,
    pub(crate) way: Way,
}

pub(crate) fn open(upgraded: Upgraded) -> Opened {
    let upgraded = match upgraded.downcast::<TcpIo>() {
        Ok(parts) => {
            let stream = WsStream::Tcp(Arc::new(parts.io.stream));
            return Opened { stream, early: parts.read_buf.to_vec(), head: parts.io.held, way: Way::Own };
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return tcp(parts.io.into_inner(), parts.read_buf.to_vec(), Way::Http1),
        Err(upgraded) => upgraded,
    };
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return tcp(parts.io.into_inner(), parts.read_buf.to_vec(), Way::Auto),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match upgraded.downcast::<TokioIo<TlsStream<Corked>>>() {
        Ok(parts) => {
            let stream = WsStream::Other(Box::new(Arc::new(Mutex::new(parts.io.into_inner()))));
            return Opened { stream, early: parts.read_buf.to_vec(), head: Vec::new(), way: Way::Tls };
        }
        Err(upgraded) => upgraded,
    };
    let stream = WsStream::Other(Box::new(Arc::new(Mutex::new(TokioIo::new(upgraded)))));
    Opened { stream, early: Vec::new(), head: Vec::new(), way: Way::Boxed }
}

fn tcp(stream: TcpStream, early: Vec<u8>, way: Way) -> Opened {
    // Small packets must not wait for the peer's acknowledgement of earlier ones.
    drop(stream.set_nodelay(true));
    Opened { stream: WsStream::Tcp(Arc::new(stream)), early, head: Vec::new(), way }
}
