//! A server in threads of its own, ended when its handle is dropped.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::oneshot;

/// A server on a port of 127.0.0.1 that the system chose.
#[derive(Debug)]
pub struct TestServer {
    /// Where it listens.
    pub address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Serves `app` with [`trunkline::serve`] on `threads` threads.
    pub fn start<A, B>(threads: usize, app: A) -> Self
    where
        A: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        A::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::spawn(|listener, end| {
            move || trunkline::serve(listener, app).threads(threads).with_shutdown(end).run().expect("serves")
        })
    }

    /// As [`TestServer::start`], over TLS with [`crate::tls_config`].
    pub fn start_tls<A, B>(threads: usize, app: A) -> Self
    where
        A: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        A::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::spawn(|listener, end| {
            let serve = trunkline::serve_tls(listener, app, crate::tls_config());
            move || serve.threads(threads).with_shutdown(end).run().expect("serves")
        })
    }

    /// Runs any other server: `make` gets the listener and what is ready at the end, and gives what runs in the thread.
    pub fn spawn<R>(make: impl FnOnce(TcpListener, End) -> R) -> Self
    where
        R: FnOnce() + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let (end, ended) = oneshot::channel();
        let ended: End = Box::pin(async move { drop(ended.await) });
        let thread = std::thread::spawn(make(listener, ended));
        Self { address, end: Some(end), thread: Some(thread) }
    }

    /// Ends the server and waits for its threads.
    pub fn stop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            // A second panic would hide the first.
            assert!(result.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// Ready when a server shall end.
pub type End = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}
