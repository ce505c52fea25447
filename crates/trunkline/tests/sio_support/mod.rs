//! What the Socket.IO tests share: a log that handlers write to, and a raw client over TCP.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::sync::Mutex;

use trunkline::testing::{Client, Connect};
use trunkline::{DisconnectReason, Io, Namespace, Socket, State};
use trunkline_testkit::{Frame, TestServer, Ws, uring, within};

/// What handlers did, in order. A state of the `Io` under test, because handlers capture nothing.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lines: Mutex<Vec<String>>,
    changed: tokio::sync::Notify,
}

impl Log {
    /// Notes a line.
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.0.lines.lock().unwrap().push(line.into());
        self.0.changed.notify_waiters();
    }

    /// Waits for `count` lines, and takes all there are.
    pub(crate) async fn take(&self, count: usize) -> Vec<String> {
        within(&format!("{count} lines in the log"), async {
            loop {
                let changed = self.0.changed.notified();
                {
                    let mut lines = self.0.lines.lock().unwrap();
                    if lines.len() >= count {
                        return std::mem::take(&mut *lines);
                    }
                }
                changed.await;
            }
        })
        .await
    }

    /// The next line.
    pub(crate) async fn next(&self) -> String {
        within("a line in the log", async {
            loop {
                let changed = self.0.changed.notified();
                {
                    let mut lines = self.0.lines.lock().unwrap();
                    if !lines.is_empty() {
                        return lines.remove(0);
                    }
                }
                changed.await;
            }
        })
        .await
    }

    /// What is there at this moment.
    pub(crate) fn now(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lines.lock().unwrap())
    }
}

/// An `Io` with a log, and the log.
pub(crate) fn logged() -> (Io, Log) {
    logged_with(|builder| builder)
}

/// The same with settings of one's own.
pub(crate) fn logged_with(configure: impl FnOnce(trunkline::IoBuilder) -> trunkline::IoBuilder) -> (Io, Log) {
    let log = Log::default();
    let hook = log.clone();
    let builder = Io::builder().uring(uring()).shards(1).state(log.clone()).on_error(move |failure| {
        let kind = if failure.panicked { "panic" } else { "error" };
        hook.say(format!("{kind} in {}: {}", failure.event, failure.error));
    });
    (configure(builder).build(), log)
}

/// Notes the reason of each disconnect as `<namespace>: <reason>`.
pub(crate) fn log_disconnects(namespace: Namespace) -> Namespace {
    namespace.on_disconnect(async |socket: Socket, reason: DisconnectReason, State(log): State<Log>| {
        log.say(format!("{}: {reason}", socket.namespace().name()));
    })
}

/// Bytes on their way to a client of [`connect`].
pub(crate) const BUFFER: usize = 1024;
/// A send buffer that some packets fill.
pub(crate) const LIMIT: usize = 16 * 1024;

/// An `Io` whose clients have a send buffer of [`LIMIT`], and the log of their disconnects.
pub(crate) fn narrow() -> (Io, Log) {
    let (io, log) = logged_with(|builder| builder.max_send_buffer(LIMIT));
    log_disconnects(io.of("/"));
    (io, log)
}

/// A client with a short way to it, and its socket.
pub(crate) async fn connect(io: &Io) -> (Client, Socket) {
    let client = Connect::new().buffer(BUFFER).to(io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    (client, socket)
}

/// A text of about a kilobyte.
pub(crate) fn kib() -> String {
    "x".repeat(1000)
}

/// Fills a client's line until its task cannot write on.
pub(crate) async fn block(client: &Client, socket: &Socket) {
    client.hold_reading(true);
    for _ in 0..8 {
        socket.emit("fill", kib()).unwrap();
        settle().await;
    }
}

/// Ready after `count` reschedulings: for the rare case that nothing announces that something does not happen.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Serves on a port of its own.
pub(crate) fn serve(io: &Io, threads: usize) -> TestServer {
    TestServer::start(threads, io.service())
}

/// A raw client that has read the handshake; its text, and the client.
pub(crate) async fn raw(server: &TestServer, version: u8) -> (Ws, String) {
    let mut ws = Ws::connect(server.address, &format!("/socket.io/?EIO={version}&transport=websocket")).await;
    let open = ws.text().await;
    assert!(open.starts_with("0{"), "{open}");
    (ws, open)
}

/// Reads until the connection is over.
pub(crate) async fn ended(ws: &mut Ws) {
    while !matches!(ws.recv().await, Frame::End) {}
}
