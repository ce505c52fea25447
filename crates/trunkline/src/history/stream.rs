//! A room's events as an event stream (HTML, "Server-sent events"): text that is made as the reader takes it.
//!
//! Nothing waits for a reader: each has its position in the log, and reads on from there when its connection takes more.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http_body::{Body, Frame};

use super::page;
use super::readers::Watch;
use super::{REFRESH, Served};
use crate::engine::EngineCore;
use crate::log::{Reading, Start};
use crate::namespace::Hold;

/// The body of an answer that goes on.
pub struct EventStream(Option<BoxFuture<'static, Option<(Feed, Bytes)>>>);

impl EventStream {
    pub(super) fn new(feed: Feed) -> Self {
        Self(Some(Box::pin(feed.next())))
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(future) = &mut self.0 else { return Poll::Ready(None) };
        let Poll::Ready(next) = future.as_mut().poll(cx) else { return Poll::Pending };
        self.0 = None;
        Poll::Ready(next.map(|(feed, bytes)| {
            self.0 = Some(Box::pin(feed.next()));
            Ok(Frame::data(bytes))
        }))
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

/// Where a reader is.
pub(super) struct Feed {
    pub(super) engine: Arc<EngineCore>,
    pub(super) served: Arc<Served>,
    pub(super) hold: Hold,
    pub(super) room: Arc<str>,
    pub(super) watch: Watch,
    pub(super) start: Start,
    pub(super) is_begun: bool,
}

/// Events and bytes of one piece.
const PIECE_EVENTS: usize = 100;
const PIECE_BYTES: usize = 32 * 1024;

impl Feed {
    /// The next piece of the stream; `None` at its end.
    async fn next(mut self) -> Option<(Self, Bytes)> {
        let namespace = Arc::clone(self.hold.namespace());
        let log = namespace.log()?;
        let parser = namespace.io.config.parser;
        let heartbeat = tokio::time::sleep(self.served.history.heartbeat);
        tokio::pin!(heartbeat);
        loop {
            if !self.watch.catch_up() || self.engine.is_closing() {
                return None;
            }
            let released = log.news().notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let found = log.read(&Reading {
                room: &self.room,
                start: self.start,
                limit: PIECE_EVENTS,
                bytes: PIECE_BYTES,
                excepted: self.served.history.excepted,
            });
            let start = std::mem::replace(&mut self.start, Start::After(found.next));
            if found.gap || !found.events.is_empty() {
                self.is_begun = true;
                namespace.io.parts.metrics.history.read(&found);
                let text = page::stream(&found, start, parser);
                return Some((self, text.into()));
            }
            // Something at once, so that who opens it sees that it is open, and where it is.
            if !std::mem::replace(&mut self.is_begun, true) {
                return Some((self, page::heartbeat(found.next).into()));
            }
            tokio::select! {
                () = self.watch.news() => {}
                () = &mut released, if found.held => {}
                () = tokio::time::sleep(REFRESH) => {}
                () = &mut heartbeat => return Some((self, page::heartbeat(found.next).into())),
                () = self.engine.closing() => return None,
            }
        }
    }
}
