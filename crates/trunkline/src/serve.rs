//! Serving an application: one current-thread runtime per core, each with the sessions of one shard.
//!
//! Under saturation tokio's multi-thread scheduler starved connections in every program measured (design 7); this is why
//! there is one runtime per core. The same services also run inside any other tokio runtime.

use std::any::Any;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};

use crate::handshake::ConnectionInfo;
use crate::service::{EngineService, NotFound};
#[cfg(feature = "tls")]
use crate::transport::corked::Corked;
use crate::transport::head_timer::{HeadTimer, Watched};
use crate::transport::tcp_io::{HoldHead, TcpIo};

thread_local! {
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of the serving thread that calls, if it is one of ours.
pub(crate) fn worker() -> Option<usize> {
    WORKER.get()
}

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of one request (reference/security.md, rule 9).
const MAX_HEADERS: usize = 64;
/// Bytes that a request's head may have; hyper's least is 8 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// Serves `app` on `listener` with one current-thread runtime per core.
///
/// `app` is any tower service over [`hyper::body::Incoming`] bodies: an axum `Router` with `io.layer()`, or
/// `io.service()`.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let io = trunkline::Io::new();
/// let listener = std::net::TcpListener::bind("127.0.0.1:3000")?;
/// trunkline::serve(listener, io.service()).run()
/// # }
/// ```
pub fn serve<A>(listener: std::net::TcpListener, app: A) -> Serve<A> {
    Serve {
        listener,
        app,
        threads: None,
        shutdown: None,
        #[cfg(feature = "tls")]
        tls: None,
    }
}

/// As [`serve`], over TLS. The configuration can be changed while serving by giving a resolver of certificates in it.
#[cfg(feature = "tls")]
pub fn serve_tls<A>(listener: std::net::TcpListener, app: A, tls: Arc<rustls::ServerConfig>) -> Serve<A> {
    Serve { tls: Some(tls), ..serve(listener, app) }
}

/// A server to be run; made by [`serve`].
pub struct Serve<A> {
    listener: std::net::TcpListener,
    app: A,
    threads: Option<usize>,
    shutdown: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl<A> std::fmt::Debug for Serve<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serve").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<A> Serve<A> {
    /// How many threads serve; default one per core. Best the same number as the `Io` has shards.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }

    /// Stops serving when `signal` is ready: nothing more is accepted and the threads end. Connections that are still
    /// open then are dropped; `Io::close` in `signal` ends them in order.
    #[must_use]
    pub fn with_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Some(Box::pin(signal));
        self
    }
}

impl<A, B> Serve<A>
where
    A: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    A::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Serves on the calling thread and as many more as asked for, until the shutdown signal; without one, for ever.
    ///
    /// # Errors
    /// If a runtime cannot be made or the listener cannot be used.
    pub fn run(self) -> io::Result<()> {
        let threads =
            self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        self.listener.set_nonblocking(true)?;
        // Small packets must not wait for the peer's acknowledgement of earlier ones. On Linux streams inherit it.
        socket2::SockRef::from(&self.listener).set_tcp_nodelay(true)?;
        let (end, ended) = watch::channel(());
        let mut workers = Vec::new();
        let mut handles = Vec::new();
        let acceptor = Acceptor {
            #[cfg(feature = "tls")]
            tls: self.tls.map(tokio_rustls::TlsAcceptor::from),
        };
        for index in 1..threads {
            let (sender, receiver) = mpsc::unbounded_channel();
            workers.push(sender);
            let runtime = runtime()?;
            let (app, acceptor, ended) = (self.app.clone(), acceptor.clone(), ended.clone());
            let thread = std::thread::Builder::new().name(format!("trunkline-{index}"));
            handles.push(thread.spawn(move || {
                WORKER.set(Some(index));
                runtime.block_on(work(receiver, app, acceptor, ended));
            })?);
        }
        let runtime = runtime()?;
        let before = WORKER.replace(Some(0));
        let result = runtime.block_on(accept(self.listener, workers, self.app, acceptor, self.shutdown));
        WORKER.set(before);
        drop(runtime);
        drop(end);
        for handle in handles {
            if handle.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
        result
    }
}

/// Connections that one look at the kernel's queue finds ready: few enough that what they need stays in the cache until their turn
/// (measured, bench/NOTES.md).
const READY: usize = 64;

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().max_io_events_per_tick(READY).enable_all().build()
}

/// What a connection needs besides its stream.
#[derive(Clone)]
struct Acceptor {
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsAcceptor>,
}

/// Accepts for all threads and hands streams out in turn.
async fn accept<A, B>(
    listener: std::net::TcpListener,
    workers: Vec<mpsc::UnboundedSender<(std::net::TcpStream, SocketAddr)>>,
    app: A,
    acceptor: Acceptor,
    shutdown: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>,
) -> io::Result<()>
where
    A: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    A::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut shutdown = shutdown.unwrap_or_else(|| Box::pin(std::future::pending()));
    let mut turn = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return Ok(()),
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others must close before it can go on.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let worker = turn % (workers.len() + 1);
        turn += 1;
        match worker.checked_sub(1).and_then(|i| workers.get(i)) {
            None => drop(tokio::spawn(connection(stream, address, app.clone(), acceptor.clone()))),
            Some(worker) => {
                if let Ok(stream) = stream.into_std() {
                    drop(worker.send((stream, address)));
                }
            }
        }
    }
}

/// One of the further threads: serves the streams that it is given.
async fn work<A, B>(
    mut streams: mpsc::UnboundedReceiver<(std::net::TcpStream, SocketAddr)>,
    app: A,
    acceptor: Acceptor,
    mut ended: watch::Receiver<()>,
) where
    A: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    A::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        let (stream, address) = tokio::select! {
            Some(next) = streams.recv() => next,
            _ = ended.changed() => return,
        };
        if let Ok(stream) = TcpStream::from_std(stream) {
            tokio::spawn(connection(stream, address, app.clone(), acceptor.clone()));
        }
    }
}

async fn connection<A, B>(stream: TcpStream, address: SocketAddr, app: A, acceptor: Acceptor)
where
    A: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    A::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !cfg!(target_os = "linux") {
        drop(stream.set_nodelay(true));
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = acceptor.tls {
        // The same deadline as for a request's head: every state has one.
        let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(Corked::new(stream))).await else {
            return;
        };
        let info = ConnectionInfo { address, secure: true };
        return http1(hyper_util::rt::TokioIo::new(stream), info, None, app).await;
    }
    #[cfg(not(feature = "tls"))]
    let _ = acceptor;
    let (io, holds) = TcpIo::new(stream);
    http1(io, ConnectionInfo { address, secure: false }, Some(holds), app).await;
}

/// `holds`: has the next head held, where the stream can do so.
async fn http1<I, A, B>(io: I, info: ConnectionInfo, holds: Option<Arc<AtomicBool>>, app: A)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    A: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    A::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let control = Arc::new(Control { holds, abort: Notify::new(), can_be_aborted: AtomicBool::new(false) });
    let answering = Arc::clone(&control);
    // Where there is no application beside ours, nobody else could ask for the extension, which costs three allocations a request.
    let mut app = app;
    let ours = (&mut app as &mut dyn Any).downcast_mut::<EngineService<NotFound>>();
    let is_ours = ours.map(|service| service.of_connection(info)).is_some();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        if !is_ours {
            request.extensions_mut().insert(info);
        }
        let (mut app, control) = (app.clone(), Arc::clone(&answering));
        async move {
            std::future::poll_fn(|cx| app.poll_ready(cx)).await?;
            let response = app.call(request).await;
            if let Ok(response) = &response
                && !response.extensions().is_empty()
            {
                control.obey(response.extensions());
            }
            response
        }
    });
    let timer = HeadTimer::default();
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(timer.clone())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(Watched::new(connection, timer));
    let mut aborted = std::pin::pin!(control.abort.notified());
    std::future::poll_fn(|cx| {
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            if let Err(error) = result {
                tracing::debug!(%error, "an HTTP connection ended");
            }
            return Poll::Ready(());
        }
        // Set by the poll above, if at all.
        if control.can_be_aborted.load(Ordering::Relaxed) && aborted.as_mut().poll(cx).is_ready() {
            tracing::debug!("an HTTP connection was ended: it took nothing");
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// What answers ask of their connection.
#[derive(Debug)]
struct Control {
    /// Has the next head held.
    holds: Option<Arc<AtomicBool>>,
    abort: Notify,
    /// Somebody has been given the means to.
    can_be_aborted: AtomicBool,
}

impl Control {
    fn obey(self: &Arc<Self>, extensions: &http::Extensions) {
        if let (Some(holds), Some(HoldHead)) = (&self.holds, extensions.get()) {
            holds.store(true, Ordering::Relaxed);
        }
        if let Some(Abort(connection)) = extensions.get() {
            connection.get_or_init(|| Arc::clone(self));
            self.can_be_aborted.store(true, Ordering::Relaxed);
        }
    }
}

/// Ends a connection of ours from outside; a response extension.
#[derive(Debug, Clone, Default)]
pub(crate) struct Abort(Arc<OnceLock<Arc<Control>>>);

impl Abort {
    /// Does nothing where somebody else serves.
    pub(crate) fn abort(&self) {
        if let Some(connection) = self.0.get() {
            connection.abort.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;
    use crate::service::NotFound;

    /// How long a connection lives on which a client has sent `bytes` and nothing else. Time is virtual: it passes while nothing is to do.
    async fn lifetime(bytes: &[u8], acceptor: Acceptor) -> Duration {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        let before = Instant::now();
        let served = tokio::spawn(connection(stream, address, NotFound, acceptor));
        client.read_to_end(&mut Vec::new()).await.unwrap();
        served.await.unwrap();
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_no_whole_request_is_let_go_after_a_while() {
        let soon = HEAD_TIMEOUT..HEAD_TIMEOUT + Duration::from_millis(100);
        for bytes in ["", "GET / HTTP/1.1\r\nhost: x\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let acceptor = Acceptor {
                #[cfg(feature = "tls")]
                tls: None,
            };
            let lived = lifetime(bytes.as_bytes(), acceptor).await;
            assert!(soon.contains(&lived), "{bytes:?}: {lived:?}");
        }
    }

    #[cfg(feature = "tls")]
    #[tokio::test(start_paused = true)]
    async fn so_is_one_that_does_not_go_on_with_its_tls_handshake() {
        let soon = HEAD_TIMEOUT..HEAD_TIMEOUT + Duration::from_millis(100);
        // Nothing, and the beginning of a record.
        for bytes in [&[][..], &[0x16, 3, 1, 2, 0, 1]] {
            let tls = Some(tokio_rustls::TlsAcceptor::from(trunkline_testkit::tls_config()));
            let lived = lifetime(bytes, Acceptor { tls }).await;
            assert!(soon.contains(&lived), "{bytes:?}: {lived:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn streams_inherit_nodelay() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&listener).set_tcp_nodelay(true).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        assert!(stream.nodelay().unwrap());
        drop(client);
    }
}
