//! HTTP long-polling: one GET that waits, one POST at a time, each on a connection that is kept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use trunkline_proto::eio::{Packet, Violation, decode_payload_v4};

use super::endpoint::{Endpoint, refusal};
use super::error::{ConnectError, TransportError};
use super::http::{Answer, HttpConn};

/// The polling transport of one session.
pub(super) struct Polling {
    endpoint: Arc<Endpoint>,
    sid: Arc<str>,
    /// How long a GET may wait.
    patience: Duration,
    get: Lane,
    post: Lane,
    body: Body,
    /// The last GET was answered; it counts as under way until its body was read.
    answered: bool,
}

/// One connection, or the exchange that uses it.
enum Lane {
    Idle(Option<Box<HttpConn>>),
    Busy(Exchange),
}

type Exchange = Pin<Box<dyn Future<Output = Result<(Answer, Box<HttpConn>), ConnectError>> + Send>>;

impl Polling {
    /// A session whose first GET was answered over `conn` with `body`, whose first packet opened it.
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        sid: &str,
        silence: Duration,
        conn: Box<HttpConn>,
        body: Body,
    ) -> Self {
        let patience = silence.max(endpoint.config.request_timeout);
        let (get, post) = (Lane::Idle(Some(conn)), Lane::Idle(None));
        Self { endpoint, sid: sid.into(), patience, get, post, body, answered: false }
    }

    /// What the last GET brought.
    pub(super) fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Whether a GET was answered since the last call: to be asked when [`Polling::body`] is at its end.
    pub(super) fn take_answered(&mut self) -> bool {
        std::mem::take(&mut self.answered)
    }

    pub(super) fn start_get(&mut self) {
        let patience = self.patience;
        start(&mut self.get, &self.endpoint, &self.sid, None, patience);
    }

    pub(super) fn start_post(&mut self, body: Vec<u8>) {
        let patience = self.endpoint.config.request_timeout;
        start(&mut self.post, &self.endpoint, &self.sid, Some(body), patience);
    }

    /// Ready when the GET has filled [`Polling::body`]; pending also when none is under way.
    pub(super) fn poll_get(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let answer = ready!(poll_lane(&mut self.get, cx))?;
        self.body = Body::new(answer.body)?;
        self.answered = true;
        Poll::Ready(Ok(()))
    }

    /// Ready when the POST was answered; pending also when none is under way.
    pub(super) fn poll_post(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        poll_lane(&mut self.post, cx).map_ok(drop)
    }
}

fn start(
    lane: &mut Lane,
    endpoint: &Arc<Endpoint>,
    sid: &Arc<str>,
    body: Option<Vec<u8>>,
    patience: Duration,
) {
    let conn = match lane {
        Lane::Idle(conn) => conn.take(),
        Lane::Busy(_) => None,
    };
    let (endpoint, sid) = (Arc::clone(endpoint), Arc::clone(sid));
    *lane = Lane::Busy(Box::pin(async move { endpoint.poll(conn, Some(&sid), body, patience).await }));
}

fn poll_lane(lane: &mut Lane, cx: &mut Context<'_>) -> Poll<Result<Answer, TransportError>> {
    let Lane::Busy(exchange) = lane else { return Poll::Pending };
    let result = ready!(exchange.as_mut().poll(cx));
    let failed = |error| TransportError::Request(Box::new(error));
    Poll::Ready(match result {
        Ok((answer, conn)) => {
            *lane = Lane::Idle(Some(conn));
            if answer.status.as_u16() == 200 { Ok(answer) } else { Err(failed(refusal(&answer))) }
        }
        Err(error) => {
            *lane = Lane::Idle(None);
            Err(failed(error))
        }
    })
}

/// A polling answer that is decoded packet by packet, as the owner asks for them.
#[derive(Debug, Default)]
pub(super) struct Body {
    text: String,
    /// Where the next packet begins; `None` after the last.
    at: Option<usize>,
}

impl Body {
    pub(super) fn new(bytes: Bytes) -> Result<Self, TransportError> {
        let text = String::from_utf8(bytes.into()).map_err(|_| TransportError::NotText)?;
        Ok(Self { text, at: Some(0) })
    }

    /// The next packet; `None` when all were given.
    pub(super) fn next(&mut self) -> Option<Result<Packet<'_>, Violation>> {
        let Some(at) = self.at else {
            // Not before: the last packet was still borrowed from it.
            self.text = String::new();
            return None;
        };
        let mut packets = decode_payload_v4(self.text.get(at..).unwrap_or_default());
        let packet = packets.next();
        self.at = packets.rest().map(|rest| self.text.len() - rest.len());
        packet
    }
}
