//! One WebSocket: frames in, frames out, polled by the session's owner.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_proto::ws::{Decoder, Event, Limits, OpCode, Role, encode_close, encode_frame};

use super::error::TransportError;
use super::mask;
use super::queue::Queue;
use super::stream::Stream;

/// A WebSocket after its handshake. An idle one holds no buffer.
pub(super) struct WebSocket {
    stream: Stream,
    decoder: Decoder,
    /// Read but not yet decoded, from `at` on.
    input: Vec<u8>,
    at: usize,
    /// Encoded but not yet written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// The stream may hold bytes of its own (TLS).
    unflushed: bool,
    /// The answer to the latest ping; earlier ones need none (RFC 6455 section 5.5.3).
    pong: Option<Bytes>,
}

/// A whole data message.
#[derive(Debug)]
pub(super) enum Frame {
    Text(String),
    Binary(Bytes),
}

impl WebSocket {
    pub(super) fn new(stream: Stream, early: Bytes, max_message: usize) -> Self {
        let limits = Limits { max_message, ..Limits::default() };
        Self {
            stream,
            decoder: Decoder::new(Role::Client, limits, false),
            input: early.into(),
            at: 0,
            out: Vec::new(),
            written: 0,
            unflushed: false,
            pong: None,
        }
    }

    /// The next message. After an error the connection is over; if the server broke a rule it is told so.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, TransportError>> {
        loop {
            let step =
                if self.at < self.input.len() { self.decode_kept() } else { ready!(self.poll_read(cx)) };
            match step {
                Ok(Some(frame)) => return Poll::Ready(Ok(frame)),
                Ok(None) => {}
                Err(error) => {
                    match &error {
                        TransportError::Frame(violation) => self.say_goodbye(cx, violation.close_code()),
                        // The answer to a close frame has its code (RFC 6455 section 5.5.1).
                        TransportError::Closed { code, .. } => self.say_goodbye(cx, *code),
                        _ => {}
                    }
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Whether everything that was encoded is with the kernel.
    pub(super) fn is_flushed(&self) -> bool {
        self.out.is_empty() && !self.unflushed
    }

    /// Whether [`WebSocket::poll_send`] has something new to write although nothing was queued: the answer to a ping.
    pub(super) fn owes_pong(&self) -> bool {
        self.pong.is_some() && self.out.is_empty()
    }

    /// Bytes that are encoded but not with the kernel.
    pub(super) fn unwritten(&self) -> usize {
        self.out.len().saturating_sub(self.written)
    }

    /// Appends a packet of the upgrade, such as `2probe`.
    pub(super) fn push_packet(&mut self, packet: &str) -> io::Result<()> {
        encode_frame(&mut self.out, OpCode::Text, false, packet.as_bytes(), Some(mask::key()?));
        Ok(())
    }

    /// Appends a close frame without a code, as browsers send it when the application closes.
    pub(super) fn push_close(&mut self) -> io::Result<()> {
        encode_frame(&mut self.out, OpCode::Close, false, &[], Some(mask::key()?));
        Ok(())
    }

    /// Writes what waits here and in `queue`. Ready when all has left; whoever queues more calls again.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        loop {
            if let Some(data) = self.pong.take_if(|_| self.out.is_empty()) {
                encode_frame(&mut self.out, OpCode::Pong, false, &data, Some(mask::key()?));
            }
            if self.written == 0 {
                queue.take_frames(&mut self.out)?;
            }
            if self.out.is_empty() {
                if self.unflushed {
                    ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Ready(Ok(()));
            }
            let rest = self.out.get(self.written..).unwrap_or_default();
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
            self.unflushed = true;
            if self.written >= self.out.len() {
                self.out = Vec::new();
                self.written = 0;
            }
        }
    }

    fn decode_kept(&mut self) -> Result<Option<Frame>, TransportError> {
        let Self { decoder, input, at, pong, .. } = self;
        let (consumed, event) = decoder.decode(input.get_mut(*at..).unwrap_or_default())?;
        let frame = own(event, pong)?;
        *at += consumed;
        if *at >= input.len() {
            *input = Vec::new();
            *at = 0;
        }
        Ok(frame)
    }

    /// Reads once into the thread's buffer and decodes the first message; what is behind it is kept.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, TransportError>> {
        with_buffer(|buffer| {
            let mut buf = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            let mut rest = buf.filled_mut();
            if rest.is_empty() {
                return Poll::Ready(Err(TransportError::Ended));
            }
            while !rest.is_empty() {
                let (consumed, event) = self.decoder.decode(rest)?;
                let frame = own(event, &mut self.pong)?;
                rest = rest.get_mut(consumed..).unwrap_or_default();
                if frame.is_some() {
                    self.input = rest.to_vec();
                    self.at = 0;
                    return Poll::Ready(Ok(frame));
                }
            }
            Poll::Ready(Ok(None))
        })
    }

    /// One attempt to write a close frame: the connection is over, and nobody waits for it.
    fn say_goodbye(&mut self, cx: &mut Context<'_>, code: u16) {
        // Not into the middle of a frame that is half written.
        if self.out.is_empty()
            && let Ok(key) = mask::key()
        {
            let mut frame = Vec::new();
            encode_close(&mut frame, code, "", Some(key));
            let written = Pin::new(&mut self.stream).poll_write(cx, &frame);
            let flushed = Pin::new(&mut self.stream).poll_flush(cx);
            // Whether it arrives changes nothing.
            drop((written, flushed));
        }
    }
}

/// Copies an event's data out of the buffer it lies in; a ping is noted.
fn own(event: Option<Event<'_>>, pong: &mut Option<Bytes>) -> Result<Option<Frame>, TransportError> {
    match event {
        Some(Event::Text(text)) => Ok(Some(Frame::Text(text.to_owned()))),
        Some(Event::Binary(data)) => Ok(Some(Frame::Binary(Bytes::copy_from_slice(data)))),
        Some(Event::Ping(data)) => {
            *pong = Some(Bytes::copy_from_slice(data));
            Ok(None)
        }
        Some(Event::Pong(_)) | None => Ok(None),
        Some(Event::Close(close)) => {
            let (code, reason) = close.unwrap_or((1005, ""));
            Err(TransportError::Closed { code, reason: reason.to_owned() })
        }
    }
}

/// Bytes read at a time.
const BUFFER: usize = 32 * 1024;

/// Lends the thread's read buffer, so that idle connections hold none.
fn with_buffer<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static LENT: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    }
    let mut buffer = LENT.take().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
    let result = f(&mut buffer);
    LENT.set(Some(buffer));
    result
}
