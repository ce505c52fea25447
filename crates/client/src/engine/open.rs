//! From a configuration to an open session: transports in order, the first packet read and checked.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::timeout;
use trunkline_proto::eio::{Open, Packet, TransportKind, Version};

use super::config::EngineConfig;
use super::cookies::CookieJar;
use super::driver::Transport;
use super::endpoint::{Endpoint, refusal};
use super::error::ConnectError;
use super::polling::{Body, Polling};
use super::websocket::{Frame, WebSocket};

/// A session that the server has opened.
pub(super) struct Session {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) open: Open,
    pub(super) transport: Transport,
}

/// Opens a session by the first transport or, with `try_all_transports`, by the first that works; if none does, the last
/// one's error is given.
pub(super) async fn open(config: &EngineConfig, jar: &CookieJar) -> Result<Session, ConnectError> {
    let endpoint = Endpoint::new(config.clone(), jar.clone());
    let mut failed = ConnectError::NoTransport;
    for kind in order(config) {
        let attempt = async {
            match kind {
                TransportKind::Polling => open_polling(&endpoint).await,
                TransportKind::WebSocket => open_websocket(&endpoint).await,
            }
        };
        match timeout(config.connect_timeout, attempt).await {
            Ok(Ok((open, transport))) => {
                config.websocket_worked.store(kind == TransportKind::WebSocket, Ordering::Relaxed);
                return Ok(Session { endpoint, open, transport });
            }
            Ok(Err(error)) => failed = error,
            Err(_) => failed = ConnectError::Timeout { step: "connecting" },
        }
        if !config.try_all_transports {
            break;
        }
    }
    Err(failed)
}

fn order(config: &EngineConfig) -> Vec<TransportKind> {
    let mut order = config.transports.clone();
    if config.remember_upgrade && config.websocket_worked.load(Ordering::Relaxed) {
        // Stable: what remains keeps its order.
        order.sort_by_key(|kind| *kind != TransportKind::WebSocket);
    }
    order
}

async fn open_polling(endpoint: &Arc<Endpoint>) -> Result<(Open, Transport), ConnectError> {
    let (answer, conn) = endpoint.poll(None, None, None, endpoint.config.connect_timeout).await?;
    if answer.status.as_u16() != 200 {
        return Err(refusal(&answer));
    }
    let mut body = Body::new(answer.body).map_err(|_| NOT_OPEN)?;
    let open = match body.next() {
        Some(Ok(Packet::Open(json))) => Open::parse(&json)?,
        Some(Ok(_) | Err(_)) | None => return Err(NOT_OPEN),
    };
    let silence = open.ping_interval.saturating_add(open.ping_timeout);
    let polling = Polling::new(Arc::clone(endpoint), &open.sid, silence, conn, body);
    Ok((open, Transport::Polling(Box::new(polling))))
}

async fn open_websocket(endpoint: &Endpoint) -> Result<(Open, Transport), ConnectError> {
    let mut websocket: WebSocket = endpoint.open_websocket(None).await?;
    let open = match poll_fn(|cx| websocket.poll_frame(cx)).await? {
        Frame::Text(text) => match Packet::decode_text(Version::V4, &text) {
            Ok(Packet::Open(json)) => Open::parse(&json)?,
            Ok(_) | Err(_) => return Err(NOT_OPEN),
        },
        Frame::Binary(_) => return Err(NOT_OPEN),
    };
    Ok((open, Transport::WebSocket(Box::new(websocket))))
}

const NOT_OPEN: ConnectError = ConnectError::NotSocketIo { why: "its first packet is no open packet" };
