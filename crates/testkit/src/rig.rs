//! An Engine.IO server that echoes, and reports what its sessions do.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use trunkline::ConnectionError;
use trunkline::engine::{Engine, EngineBuilder, EngineSession, Message};

use crate::server::TestServer;
use crate::wait::within;

/// A server whose sessions send every message back. A text message that begins with `quiet` is not sent back.
#[derive(Debug)]
pub struct Rig {
    /// The engine under test.
    pub engine: Engine,
    /// What serves it.
    pub server: TestServer,
    opened: UnboundedReceiver<EngineSession>,
    received: UnboundedReceiver<Received>,
    closed: UnboundedReceiver<&'static str>,
    refused: UnboundedReceiver<ConnectionError>,
}

/// A message that the server received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Rig {
    /// A server with as many threads as shards, otherwise with defaults.
    pub fn start(threads: usize) -> Self {
        Self::with(threads, |builder| builder)
    }

    /// A server with settings of one's own.
    pub fn with(threads: usize, configure: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::serving(
            |builder| configure(builder.shards(threads)),
            |engine| TestServer::start(threads, engine.service()),
        )
    }

    /// A server over TLS.
    pub fn tls(threads: usize, configure: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::serving(
            |builder| configure(builder.shards(threads)),
            |engine| TestServer::start_tls(threads, engine.service()),
        )
    }

    /// A server that is served in another way.
    pub fn serving(
        configure: impl FnOnce(EngineBuilder) -> EngineBuilder,
        serve: impl FnOnce(&Engine) -> TestServer,
    ) -> Self {
        let (on_open, opened) = reporter();
        let (on_message, received) = reporter();
        let (on_close, closed) = reporter();
        let (on_refused, refused) = reporter();
        let builder = Engine::builder()
            .uring(crate::uring())
            .on_open(move |session| on_open(session.clone()))
            .on_message(move |session, message| match message {
                Message::Text(text) => {
                    on_message(Received::Text(text.to_owned()));
                    if !text.starts_with("quiet") {
                        drop(session.send(text));
                    }
                }
                Message::Binary(data) => {
                    on_message(Received::Binary(data.to_owned()));
                    drop(session.send_binary(data));
                }
            })
            .on_close(move |_, reason| on_close(reason))
            .on_connection_error(move |error| on_refused(error.clone()));
        let engine = configure(builder).build();
        let server = serve(&engine);
        Self { engine, server, opened, received, closed, refused }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The next session that was opened.
    pub async fn opened(&mut self) -> EngineSession {
        within("a session", self.opened.recv()).await.expect("the engine lives")
    }

    /// The next message that was received.
    pub async fn received(&mut self) -> Received {
        within("a message", self.received.recv()).await.expect("the engine lives")
    }

    /// Why the next session was closed.
    pub async fn closed(&mut self) -> &'static str {
        within("a session's end", self.closed.recv()).await.expect("the engine lives")
    }

    /// The next request that was refused.
    pub async fn refused(&mut self) -> ConnectionError {
        within("a refusal", self.refused.recv()).await.expect("the engine lives")
    }

    /// Whether no session was closed that [`Rig::closed`] has not told of.
    pub fn none_closed(&mut self) -> bool {
        self.closed.is_empty()
    }

    /// Forgets what was reported so far.
    pub fn forget(&mut self) {
        while self.opened.try_recv().is_ok() {}
        while self.received.try_recv().is_ok() {}
        while self.closed.try_recv().is_ok() {}
        while self.refused.try_recv().is_ok() {}
    }
}

fn reporter<T: Send + 'static>() -> (Arc<dyn Fn(T) + Send + Sync>, UnboundedReceiver<T>) {
    let (sender, receiver): (UnboundedSender<T>, _) = unbounded_channel();
    (Arc::new(move |value| drop(sender.send(value))), receiver)
}
