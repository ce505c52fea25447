//! One WebSocket connection: what is read from it, and what is written when the flusher could not.

use std::cell::Cell;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;
use trunkline_proto::ws;

#[cfg(feature = "tls")]
use super::corked::Corked;
use crate::flush::{self, Outcome};
use crate::outbox::{Mode, Sink};
use crate::session::Session;
use crate::wire::{Queue, Wire};

/// A WebSocket after its handshake.
pub(crate) struct WsConn {
    pub(crate) stream: WsStream,
    pub(crate) decoder: ws::Decoder,
    pub(crate) wire: Wire,
}

/// What a WebSocket runs on.
pub(crate) enum WsStream {
    /// Plain TCP: the flusher writes it.
    Tcp(Arc<TcpStream>),
    /// Taken off its runtime, on the way to another one.
    Detached(std::net::TcpStream),
    /// TLS and other streams. Boxed, so that the others have a thin one's size.
    Other(Box<SharedStream>),
    /// Could not be registered with the runtime.
    Dead,
}

/// A byte stream of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Where its output can be kept back, to be sent together with that of others: under TLS of ours.
    #[cfg(feature = "tls")]
    fn corked(&mut self) -> Option<&mut Corked> {
        None
    }
}

impl Stream for TokioIo<Upgraded> {}

impl Stream for DuplexStream {}

#[cfg(feature = "tls")]
impl Stream for TlsStream<Corked> {
    fn corked(&mut self) -> Option<&mut Corked> {
        Some(self.get_mut().0)
    }
}

/// A stream that the session's task reads and the flusher writes. Each holds it for one call; nobody waits while holding it.
pub(crate) type SharedStream = Arc<Mutex<dyn Stream>>;

impl WsStream {
    /// Registers a stream that came from another runtime.
    pub(crate) fn attach(&mut self) {
        if let Self::Detached(_) = self
            && let Self::Detached(stream) = std::mem::replace(self, Self::Dead)
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            *self = Self::Tcp(Arc::new(stream));
        }
    }

    /// Takes the stream off its runtime, where that is possible.
    pub(crate) fn detach(self) -> Self {
        match self {
            Self::Tcp(stream) => match Arc::try_unwrap(stream) {
                Ok(stream) => stream.into_std().map_or(Self::Dead, Self::Detached),
                Err(shared) => Self::Tcp(shared),
            },
            other => other,
        }
    }

    pub(crate) fn sink(&self) -> Sink {
        match self {
            Self::Tcp(stream) => Sink::Tcp(Arc::clone(stream)),
            Self::Other(stream) => Sink::Other(Arc::clone(stream)),
            Self::Detached(_) | Self::Dead => Sink::Task,
        }
    }

    /// Reads into `buf`. A short read of a TCP stream also clears its readiness, which spares the second `recv` that
    /// would only say "would block" (measured, design 7).
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => loop {
                ready!(stream.poll_read_ready(cx))?;
                match recv(stream, buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Other(stream) => {
                let mut buf = ReadBuf::new(buf);
                ready!(Pin::new(&mut *stream.lock()).poll_read(cx, &mut buf))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
            Self::Detached(_) | Self::Dead => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Writes a few bytes if the stream takes them now; true if it took all.
    pub(crate) fn try_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> bool {
        match self {
            // Past tokio's readiness: of a stream that was just moved to this runtime it knows nothing yet.
            Self::Tcp(stream) => SockRef::from(&**stream).send(bytes).is_ok_and(|n| n == bytes.len()),
            Self::Other(stream) => {
                let mut stream = stream.lock();
                let written = matches!(Pin::new(&mut *stream).poll_write(cx, bytes), Poll::Ready(Ok(n)) if n == bytes.len());
                written && !matches!(Pin::new(&mut *stream).poll_flush(cx), Poll::Ready(Err(_)))
            }
            Self::Detached(_) | Self::Dead => false,
        }
    }

    /// Bounds what the kernel keeps; nothing where it is not known what the stream runs on.
    pub(crate) fn set_send_buffer(&self, bytes: usize) {
        match self {
            Self::Tcp(stream) => drop(SockRef::from(&**stream).set_send_buffer_size(bytes)),
            #[cfg(feature = "tls")]
            Self::Other(stream) => {
                if let Some(corked) = stream.lock().corked() {
                    drop(SockRef::from(&corked.stream).set_send_buffer_size(bytes));
                }
            }
            _ => {}
        }
    }

    /// Ends the sending half; pending while something is left to send (TLS).
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(stream) => drop(SockRef::from(&**stream).shutdown(std::net::Shutdown::Write)),
            Self::Other(stream) => drop(ready!(Pin::new(&mut *stream.lock()).poll_shutdown(cx))),
            Self::Detached(_) | Self::Dead => {}
        }
        Poll::Ready(())
    }
}

/// One `recv`; a short one also clears the stream's readiness.
pub(crate) fn recv(stream: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    let mut got = None;
    let result = stream.try_io(Interest::READABLE, || {
        let n = (&*SockRef::from(stream)).read(buf)?;
        got = Some(n);
        if n > 0 && n < buf.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    got.map_or_else(|| Err(result.err().unwrap_or_else(|| io::ErrorKind::WouldBlock.into())), Ok)
}

/// Writes what waits in an outbox that the flusher left to its session's task. Pending until the stream takes more.
pub(crate) fn poll_blocked(
    session: &Session,
    stream: &mut WsStream,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        if let WsStream::Tcp(tcp) = stream {
            ready!(tcp.poll_write_ready(cx))?;
        }
        let Some((mut queue, mut written, wire)) = take(session) else {
            return if let WsStream::Other(stream) = stream {
                Pin::new(&mut *stream.lock()).poll_flush(cx)
            } else {
                Poll::Ready(Ok(()))
            };
        };
        let (mut total, before) = (0, queue.len());
        let outcome = match stream {
            WsStream::Tcp(tcp) => flush::write(tcp, &mut queue, &mut written, wire, &mut total),
            WsStream::Other(other) => {
                write_other(&mut *other.lock(), cx, &mut queue, &mut written, wire, &mut total)
            }
            WsStream::Detached(_) | WsStream::Dead => Outcome::Failed,
        };
        session.shard.counters.sent(before - queue.len(), total);
        put_back(session, queue, written);
        match outcome {
            Outcome::Done => {}
            Outcome::Blocked if matches!(stream, WsStream::Tcp(_)) => {}
            Outcome::Blocked => return Poll::Pending,
            Outcome::Failed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

fn take(session: &Session) -> Option<(Queue, usize, Wire)> {
    session.shard.with(|state| {
        let outbox = state.get(session.slot).filter(|o| o.mode == Mode::Blocked)?;
        if outbox.queue.is_empty() {
            outbox.mode = Mode::Idle;
            outbox.since = None;
            outbox.bytes = 0;
            outbox.wake_drained();
            return None;
        }
        let (queue, written, wire) = (outbox.take_free(), outbox.written, outbox.wire);
        if queue.is_empty() {
            // Nothing is blocked: what is left waits for its log.
            outbox.mode = Mode::Idle;
            outbox.since = None;
            state.hold(session.slot);
            return None;
        }
        outbox.taken = true;
        Some((queue, written, wire))
    })
}

fn put_back(session: &Session, mut queue: Queue, written: usize) {
    session.shard.with(|state| {
        let Some(outbox) = state.get(session.slot) else { return };
        queue.extend(outbox.queue.drain(..));
        outbox.queue = queue;
        outbox.taken = false;
        outbox.written = written;
        outbox.bytes = outbox.queue.iter().map(|p| p.cost()).sum();
        if !outbox.queue.is_empty() {
            outbox.since.get_or_insert_with(std::time::Instant::now);
        }
    });
}

/// Bytes given to a TLS stream at a time: one record.
const RECORD: usize = 16 * 1024;

/// For the flusher: writes `queue` until it is empty or the stream takes no more. What is left, and what the stream itself still holds,
/// is the session's task's then, whose waker the stream is given.
pub(crate) fn write_shared(
    stream: &SharedStream,
    queue: &mut Queue,
    written: &mut usize,
    wire: Wire,
    total: &mut usize,
) -> Outcome {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut stream = stream.lock();
    match write_other(&mut *stream, cx, queue, written, wire, total) {
        Outcome::Done => match Pin::new(&mut *stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => Outcome::Done,
            Poll::Ready(Err(_)) => Outcome::Failed,
            Poll::Pending => Outcome::Blocked,
        },
        other => other,
    }
}

/// Writes `queue` to a stream that is no TCP stream.
pub(crate) fn write_other(
    stream: &mut dyn Stream,
    cx: &mut Context<'_>,
    queue: &mut Queue,
    written: &mut usize,
    wire: Wire,
    total: &mut usize,
) -> Outcome {
    let mut record = Vec::new();
    while !queue.is_empty() {
        let bytes = match &queue[..] {
            // Alone and whole, as most are: nothing is to be put together.
            [packet] if *written == 0 && packet.ws(wire).1.is_empty() => {
                let head = packet.ws(wire).0;
                &head[..head.len().min(RECORD)]
            }
            _ => {
                gather(queue, *written, wire, &mut record);
                &record[..]
            }
        };
        match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) if !bytes.is_empty() => return Outcome::Failed,
            Poll::Ready(Ok(n)) => {
                *total += n;
                flush::advance(queue, written, wire, n);
            }
            Poll::Ready(Err(_)) => return Outcome::Failed,
            Poll::Pending => return Outcome::Blocked,
        }
    }
    Outcome::Done
}

/// Puts what comes next, at most a record, into `record`.
fn gather(queue: &Queue, written: usize, wire: Wire, record: &mut Vec<u8>) {
    record.clear();
    let mut skip = written;
    for packet in queue {
        let (head, tail) = packet.ws(wire);
        for part in [head, tail] {
            let skipped = skip.min(part.len());
            skip -= skipped;
            let room = RECORD - record.len();
            let rest = &part[skipped..];
            record.extend_from_slice(&rest[..rest.len().min(room)]);
            if rest.len() >= room {
                return;
            }
        }
    }
}

/// Bytes read at a time.
const BUFFER: usize = 64 * 1024;

thread_local! {
    static LENT: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the thread's read buffer: an idle connection holds none. It is taken out while lent, so that user code that
/// runs meanwhile may read a connection of its own.
pub(crate) fn with_buffer<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = LENT.take().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
    let result = f(&mut buffer);
    LENT.set(Some(buffer));
    result
}
