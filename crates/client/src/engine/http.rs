//! One HTTP/1.1 connection of a client: exchanges with bounded answers, and the upgrade that takes the stream out.

use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection, Parts, SendRequest};
use hyper_util::rt::TokioIo;

use super::error::HttpError;
use super::stream::Stream;

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A connection that is kept for the next exchange. It is polled only during one: nothing runs in the background.
pub(super) struct HttpConn {
    sender: SendRequest<Full<Bytes>>,
    wire: Wire,
}

/// How an exchange failed.
pub(super) enum ExchangeError {
    /// Before anything was sent, so that the request may go over another connection.
    Unsent(Box<Request<Full<Bytes>>>),
    Failed(HttpError),
}

impl HttpConn {
    pub(super) async fn new(stream: Stream) -> Result<Self, HttpError> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self { sender, wire: Wire { connection, ended: false } })
    }

    /// Whether the server keeps the connection, as far as is known.
    pub(super) fn is_reusable(&self) -> bool {
        !self.wire.ended && !self.sender.is_closed()
    }

    /// Sends `request` and reads the answer, whose body may have `limit` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, ExchangeError> {
        let Self { sender, wire } = self;
        // An idle connection that the server has closed is noticed here.
        if wire.drive(sender.ready()).await.is_err() {
            return Err(ExchangeError::Unsent(Box::new(request)));
        }
        match wire.drive(sender.try_send_request(request)).await {
            Ok(response) => wire.read(response, limit).await.map_err(ExchangeError::Failed),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => ExchangeError::Unsent(Box::new(request)),
                None => ExchangeError::Failed(error.into_error().into()),
            }),
        }
    }
}

/// What came of a request to change the protocol.
pub(super) enum Upgrade {
    /// The stream is the new protocol's, which may already have sent `early`.
    Done { status: StatusCode, headers: HeaderMap, stream: Stream, early: Bytes },
    /// The server answered with HTTP.
    Refused(Answer),
}

/// Sends a request that asks for another protocol, or for a tunnel; `agrees` says for which status the server has agreed.
pub(super) async fn upgrade(
    stream: Stream,
    request: Request<Full<Bytes>>,
    agrees: impl Fn(StatusCode) -> bool,
) -> Result<Upgrade, HttpError> {
    let HttpConn { mut sender, mut wire } = HttpConn::new(stream).await?;
    let response = wire.drive(sender.send_request(request)).await?;
    if !agrees(response.status()) {
        return wire.read(response, MAX_REFUSAL).await.map(Upgrade::Refused);
    }
    let (head, _) = response.into_parts();
    let parts = wire.into_parts().await?;
    Ok(Upgrade::Done {
        status: head.status,
        headers: head.headers,
        stream: parts.io.into_inner(),
        early: parts.read_buf,
    })
}

/// The connection's own half: whoever waits for something polls it along.
struct Wire {
    connection: Connection<TokioIo<Stream>, Full<Bytes>>,
    ended: bool,
}

impl Wire {
    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // What it fails with is also what the future fails with.
            self.ended = self.ended || self.connection.poll_without_shutdown(cx).is_ready();
            future.as_mut().poll(cx)
        })
        .await
    }

    async fn read(&mut self, response: Response<Incoming>, limit: usize) -> Result<Answer, HttpError> {
        let (head, body) = response.into_parts();
        // A length that is too large is refused before the body comes.
        if body.size_hint().lower() > limit.try_into().unwrap_or(u64::MAX) {
            return Err(HttpError::TooLarge { limit });
        }
        let body = match self.drive(Limited::new(body, limit).collect()).await {
            Ok(body) => body.to_bytes(),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => return Err(HttpError::Protocol(*error)),
                // `Limited` has no other error than the limit.
                Err(_) => return Err(HttpError::TooLarge { limit }),
            },
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The stream, once the answer that ends HTTP on it was read.
    async fn into_parts(mut self) -> Result<Parts<TokioIo<Stream>>, HttpError> {
        if !self.ended {
            poll_fn(|cx| self.connection.poll_without_shutdown(cx)).await?;
        }
        Ok(self.connection.into_parts())
    }
}

/// Bytes of an answer's head.
const MAX_HEAD: usize = 16 * 1024;
/// Headers of an answer.
const MAX_HEADERS: usize = 64;
/// Bytes of an answer that refuses.
const MAX_REFUSAL: usize = 16 * 1024;
